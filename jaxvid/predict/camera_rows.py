"""A camera's windows and events, written into a database while it is followed."""

import datetime
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from absl import logging

from jaxvid.predict.background import Background
from jaxvid.predict.batches import Classified
from jaxvid.predict.database import DuckDatabase, open_database
from jaxvid.predict.events import Event, Timeline
from jaxvid.predict.predictor import Predictor
from jaxvid.predict.rows import Tables, Video, described_model, video_rows
from jaxvid.video.addresses import without_password
from jaxvid.video.headers import Header

# Seconds from one writing of windows to the next; events are written at once.
_INTERVAL = 10.0
# How long a writing waits for another program that has the database open. The rows wait for the next one then.
_PATIENCE = 5.0


class CameraRows:
    """Writes in a thread, so that no window waits; what is left is written at the end of the context."""

    def __init__(self, path: Path, predictor: Predictor, address: str, source: str = ""):
        """Opens a database.

        Args:
          path: a file of DuckDB.
          predictor: of the camera.
          address: of the camera; a name and a password in it are left out.
          source: its name; "" for the address.

        Raises:
          ValueError: if the database cannot be used.
        """
        if not isinstance(open_database(path), DuckDatabase):
            raise ValueError(f"--database={path}; allowed with --camera: a file name that ends in .duckdb or .db")
        self._database = DuckDatabase(path, _PATIENCE)
        self._model, self._class_names = described_model(predictor), predictor.class_names
        self._address = without_password(address)
        self._source = source or self._address
        self._began = datetime.datetime.now(datetime.UTC)
        self._seconds, self._written = 0.0, time.monotonic()
        self._rows: list[tuple[float, float, np.ndarray]] = []
        self._events: list[Event] = []
        # Of the thread: rows that could not be written yet.
        self._late: list[Tables] = []
        self._background = Background()

    def begin(self) -> None:
        """Takes note that the seconds of windows and events count from now on."""
        self._began = datetime.datetime.now(datetime.UTC)

    def add(self, classified: Classified) -> None:
        """Takes a window."""
        window = classified.window
        self._rows.append((window.start, window.end, classified.probabilities))
        self._seconds = window.end
        if time.monotonic() - self._written > _INTERVAL:
            self._write_soon()

    def change(self, event: Event) -> None:
        """Takes an event that began or ended."""
        self._events.append(event)
        self._write_soon()

    def _write_soon(self) -> None:
        self._background.run(partial(self._write, self._new_rows()))
        self._written = time.monotonic()

    def _new_rows(self) -> Tables:
        moment = self._began.isoformat(timespec="milliseconds").removesuffix("+00:00")
        header = Header(None, None, None, self._began)
        video = Video(f"{self._address}#{moment}Z", self._source, self._seconds, header)
        rows, self._rows, events, self._events = self._rows, [], self._events, []
        timeline = _timeline(rows, self._class_names) if rows else None
        return video_rows(video, self._model, timeline, events)

    def _write(self, new: Tables) -> None:
        self._late.append(new)
        try:
            for tables in list(self._late):
                self._database.write([tables], extends=True)
                self._late.remove(tables)
        except ValueError as error:
            logging.warning("%s; %d writings wait", error, len(self._late))

    def __enter__(self) -> "CameraRows":
        self._background.__enter__()
        return self

    def __exit__(self, *details: Any) -> None:
        if self._rows or self._events:
            self._write_soon()
        self._background.__exit__(*details)


def _timeline(rows: Sequence[tuple[float, float, np.ndarray]], class_names: list[str]) -> Timeline:
    starts, ends, probabilities = zip(*rows, strict=True)
    return Timeline(np.asarray(starts), np.asarray(ends), np.stack(probabilities), class_names)
