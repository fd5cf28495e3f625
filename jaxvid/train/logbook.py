"""The logbook of a run: `metrics.jsonl`, TensorBoard and the changes of its activations."""

import contextlib
import json
import socket
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tensorboardX import summary
from tensorboardX.proto import event_pb2
from tensorboardX.record_writer import RecordWriter

from jaxvid.files import naming, replacing

FILE_NAME = "metrics.jsonl"
CHANGES_FILE_NAME = "activation_changes.jsonl"
Row = dict[str, int | float]

# Protobuf makes its classes when it is imported.
_EVENTS: Any = event_pb2
# Of TensorBoard's file, as tensorboardX does it.
_FLUSH_SECONDS = 120.0


class Logbook:
    """Writes rows of metrics, and keeps none; a context manager."""

    def __init__(self, workdir: Path, first_step: int, *, writes: bool = True):
        """Opens the logbook of `workdir` to continue after step `first_step`: rows of later steps are dropped.

        Of several processes, only one `writes`.
        """
        self._changes_path = workdir / CHANGES_FILE_NAME
        self._file = self._tensorboard = None
        if not writes:
            return
        self._path = workdir / FILE_NAME
        _replace(self._path, [row for row in read_rows(workdir) if row["step"] <= first_step])
        self._file = self._path.open("a", encoding="utf-8", buffering=1)
        self._tensorboard = _TensorBoard(workdir / "tensorboard", first_step + 1)

    def __enter__(self) -> "Logbook":
        return self

    def __exit__(self, *_: object) -> None:
        if self._file and self._tensorboard:
            with contextlib.closing(self._tensorboard), naming(self._path):
                self._file.close()

    def write(self, step: int, metrics: Row) -> None:
        """Adds a row, which other programs can read at once."""
        if self._file and self._tensorboard:
            with naming(self._path):
                self._file.write(json.dumps({"step": step, **metrics}) + "\n")
            for name, value in metrics.items():
                self._tensorboard.add(step, summary.scalar(name, value))

    def write_changes(self, step: int, changes: list[dict[str, Any]]) -> None:
        """Replaces the file of changes: every evaluation adds metrics to earlier rows (`adaptation.change_rows`)."""
        if not self._tensorboard:
            return
        _replace(self._changes_path, changes)
        self._tensorboard.add(step, summary.scalar("activation_changes", len(changes)))
        if changes and changes[-1]["step"] == step:
            text = f"{changes[-1]['from']} to {changes[-1]['to']} ({changes[-1]['reason']})"
            self._tensorboard.add(step, summary.text("activation_change", text))


class _TensorBoard:
    """Writes summaries for TensorBoard.

    The writer of tensorboardX has a thread for that, which a full disk ends. Its queue fills, and training would wait
    forever; so its file is written here.
    """

    def __init__(self, directory: Path, purge_step: int):
        """Opens a new file; TensorBoard hides what earlier ones have from `purge_step` on."""
        directory.mkdir(parents=True, exist_ok=True)
        self._path = directory / f"events.out.tfevents.{time.time():.0f}.{socket.gethostname()}"
        self._records = RecordWriter(str(self._path))
        self._flushed_at = time.monotonic()
        self._write(_EVENTS.Event(file_version="brain.Event:2"))
        start = _EVENTS.SessionLog(status=_EVENTS.SessionLog.START)
        self._write(_EVENTS.Event(step=purge_step, session_log=start))

    def add(self, step: int, value: Any) -> None:
        """Adds a summary, as `tensorboardX.summary` makes it."""
        self._write(_EVENTS.Event(step=step, summary=value))

    def close(self) -> None:
        """Writes what is left."""
        with naming(self._path), contextlib.closing(self._records):
            self._records.flush()

    def _write(self, event: Any) -> None:
        event.wall_time = time.time()
        with naming(self._path):
            self._records.write(event.SerializeToString())
            if time.monotonic() - self._flushed_at > _FLUSH_SECONDS:
                self._records.flush()
                self._flushed_at = time.monotonic()


def _replace(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Writes rows as JSON lines; the file appears complete or not at all."""
    with replacing(path) as unfinished:
        unfinished.write_text("".join(json.dumps(row) + "\n" for row in rows))


def read_rows(workdir: Path) -> list[Row]:
    """Reads the rows in the logbook of `workdir`, without lines cut off by a crash; empty if there is no logbook.

    Raises:
      ValueError: if a line is of another form.
    """
    path = workdir / FILE_NAME
    if not path.exists():
        return []
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
        try:
            row = json.loads(line)
        except (json.JSONDecodeError, RecursionError):
            continue
        if not isinstance(row, dict) or not all(isinstance(value, int | float) for value in row.values()):
            raise ValueError(f"{path}, line {number} is no row of metrics; remove the line, or restore the file")
        if "step" not in row:
            raise ValueError(f"{path}, line {number} has no step; remove the line, or restore the file")
        rows.append(row)
    return rows
