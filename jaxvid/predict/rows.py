"""Predicted videos as rows of three tables: videos, windows and events (README.md beside this file shows their use).

The tables are the same in a database, in Parquet files and in JSON lines. The columns `path` and `model` of a row say
which prediction it belongs to.
"""

import contextlib
import datetime
import hashlib
import io
import os
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import jaxvid
from jaxvid.files import naming
from jaxvid.predict.events import Event, Timeline
from jaxvid.predict.files import VideoResult
from jaxvid.predict.predictor import Predictor
from jaxvid.video.addresses import AnyPath
from jaxvid.video.damage import Flaw
from jaxvid.video.headers import Header, read_header
from jaxvid.video.workers import InvalidVideoError

_TIME = pa.timestamp("us", tz="UTC")
_PROBLEM = pa.struct({"begin_seconds": pa.float64(), "end_seconds": pa.float64(), "reason": pa.string()})
_KEY = {"path": pa.string(), "model": pa.string()}

VIDEOS = pa.schema(
    {
        **_KEY,
        "model_name": pa.string(),
        "step": pa.int64(),
        "version": pa.string(),
        "predicted_at": _TIME,
        "source": pa.string(),
        "seconds": pa.float64(),
        "fps": pa.float64(),
        "width": pa.int32(),
        "height": pa.int32(),
        "recorded_at": _TIME,
        "problems": pa.list_(_PROBLEM),
        "not_read": pa.string(),
    }
)
WINDOWS = pa.schema(
    {
        **_KEY,
        "start_seconds": pa.float64(),
        "end_seconds": pa.float64(),
        "probabilities": pa.map_(pa.string(), pa.float32()),
    }
)
EVENTS = pa.schema(
    {
        **_KEY,
        "class_name": pa.string(),
        "onset_seconds": pa.float64(),
        "offset_seconds": pa.float64(),
        "peak_seconds": pa.float64(),
        "probability": pa.float64(),
        "onset_at": _TIME,
    }
)


class Tables(NamedTuple):
    """Rows of one or more predicted videos; `SCHEMAS` has the columns."""

    videos: pa.Table
    windows: pa.Table
    events: pa.Table


SCHEMAS = Tables(VIDEOS, WINDOWS, EVENTS)
WRITE_ORDER = ("events", "windows", "videos")


class Model(NamedTuple):
    """The model of a prediction.

    Attributes:
      id: 16 hexadecimal digits, made of the weights, the temperature and the classes.
      name: the run directory or the exported file, as it was given.
      step: number of training steps.
    """

    id: str
    name: str
    step: int


def described_model(predictor: Predictor) -> Model:
    """Returns what identifies a predictor's model: the same checkpoint has the same id wherever it lies."""
    # Not at the top: the rows of a stored prediction need no JAX.
    import jax

    origin = predictor.origin
    if origin.fingerprint:
        return Model(origin.fingerprint, origin.name, origin.step)
    digest = hashlib.sha256(repr((predictor.class_names, predictor.calibration.temperature)).encode())
    for path, leaf in jax.tree_util.tree_leaves_with_path(predictor.variables):
        values = np.asarray(leaf)
        digest.update(f"{jax.tree_util.keystr(path)} {values.dtype} {values.shape}".encode())
        digest.update(np.ascontiguousarray(values).tobytes())
    return Model(digest.hexdigest()[:16], origin.name, origin.step)


class Video(NamedTuple):
    """A video, or a time for which a camera was followed.

    Attributes:
      path: where it lies (`stored_path`), the address that it was downloaded from, or the address of a camera and when
        it was first seen.
      source: the camera, or the folder.
      seconds: how long it is; 0 if it could not be read.
      header: what else is known of it.
    """

    path: str
    source: str
    seconds: float
    header: Header = Header(None, None, None, None)


def stored_path(path: Path) -> str:
    """Returns the absolute path as text; bytes that are not UTF-8 are written as escapes."""
    return os.path.abspath(path).encode(errors="backslashreplace").decode()


def video_rows(
    video: Video,
    model: Model,
    timeline: Timeline | None,
    events: Sequence[Event],
    *,
    problems: Sequence[Flaw] = (),
    reason: str = "",
) -> Tables:
    """Returns the rows of a predicted video.

    Args:
      video: the video.
      model: that predicted it.
      timeline: its windows; None if it could not be read.
      events: its events.
      problems: parts that were not read as they were recorded.
      reason: why it could not be read; "" if it could.
    """
    key, now = [video.path, model.id], datetime.datetime.now(datetime.UTC)
    made_by = [model.name, model.step, jaxvid.__version__, now]
    flaws = [tuple(flaw) for flaw in sorted(problems)]
    row = [*key, *made_by, video.source, video.seconds, *video.header, flaws, reason or None]
    return Tables(
        pa.table([[value] for value in row], schema=VIDEOS),
        WINDOWS.empty_table() if timeline is None else _window_rows(key, timeline),
        pa.Table.from_pylist([_event_row(video, model, event) for event in events], schema=EVENTS),
    )


def result_rows(result: VideoResult, path: str, source: str, model: Model) -> Tables:
    """Returns the rows of a predicted file.

    Args:
      result: of the file.
      path: of its row: the file may be a copy.
      source: the camera; "" for the name of the folder.
      model: that predicted it.
    """
    header = Header(None, None, None, None)
    if result.timeline is not None:
        with contextlib.suppress(InvalidVideoError):
            header = read_header(result.path)
    seconds = float(result.timeline.ends[-1]) if result.timeline else 0.0
    video = Video(path, source or PurePosixPath(path).parent.name, seconds, header)
    return video_rows(
        video, model, result.timeline, result.events, problems=result.problems.flaws, reason=result.reason
    )


def _window_rows(key: list[str], timeline: Timeline) -> pa.Table:
    count, size = timeline.probabilities.shape
    offsets = pa.array(np.arange(0, count * size + 1, size, dtype=np.int32))
    values = pa.array(np.ascontiguousarray(timeline.probabilities, np.float32).ravel())
    maps = pa.MapArray.from_arrays(offsets, pa.array(timeline.class_names * count, pa.string()), values)
    return pa.table([*([value] * count for value in key), timeline.starts, timeline.ends, maps], schema=WINDOWS)


def _event_row(video: Video, model: Model, event: Event) -> dict[str, object]:
    began = video.header.recorded_at
    return {
        "path": video.path,
        "model": model.id,
        "class_name": event.class_name,
        "onset_seconds": event.onset,
        "offset_seconds": event.offset,
        "peak_seconds": event.peak,
        "probability": event.probability,
        "onset_at": None if began is None else began + datetime.timedelta(seconds=event.onset),
    }


def joined(tables: Sequence[Tables]) -> Tables:
    """Returns the rows of several videos as one; at least one is given."""
    return Tables(*map(pa.concat_tables, zip(*tables, strict=True)))


def as_parquet(table: pa.Table) -> bytes:
    """Returns a table as a Parquet file."""
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    return buffer.getvalue()


def write_tables(
    tables: Tables, file_of: Callable[[str], AnyPath], encoded: Callable[[pa.Table], bytes] = as_parquet
) -> None:
    """Writes the files of the same videos; that of `videos` comes last, and tells that the others are there.

    Args:
      tables: rows.
      file_of: returns the path or the address of the file of a table, by its name.
      encoded: returns the content of a file.
    """
    for name in WRITE_ORDER:
        _write_file(file_of(name), encoded(getattr(tables, name)))


def _write_file(file: AnyPath, content: bytes) -> None:
    """Writes a file; it appears complete or not at all.

    Until then its name ends in `.tmp`, so that patterns such as `*.parquet` do not find it: DuckDB's find hidden files.
    """
    unfinished = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    with naming(str(file)):
        unfinished.write_bytes(content)
    unfinished.rename(file)
