"""The clip index: a Parquet file for each split, beside its records, with all that is known of the clips but content.

Whoever opens a split reads `clips-SPLIT.parquet` instead of every record. It has a row for every record, in the same
order. Builders write it; `jaxvid.data.clip_index` reads it, and makes it for datasets that were built without.
"""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

import pyarrow as pa
import pyarrow.parquet as pq

from jaxvid.video.pixel_change import pixel_change
from tfds_builders.video_files import VideoFile

if TYPE_CHECKING:
    from jaxvid.video.clips import EncodedClip
    from jaxvid.video.properties import VideoProperties

_FORMAT = 1
# Rows as Python objects take ten times the memory of columns.
_ROWS_PER_CHUNK = 10_000
# The key of the file's metadata under which it says which records it is of.
_RECORDS = b"records"

SCHEMA = pa.schema(
    {
        "filename": pa.string(),
        "video": pa.string(),
        "label": pa.string(),
        "source": pa.string(),
        "num_frames": pa.int32(),
        "num_samples": pa.int64(),
        "fps": pa.float32(),
        "file": pa.struct(
            {
                "container": pa.string(),
                "codec": pa.string(),
                "height": pa.int32(),
                "width": pa.int32(),
                "fps": pa.float64(),
                "seconds": pa.float64(),
                "has_sound": pa.bool_(),
                "num_bytes": pa.int64(),
            }
        ),
        "pixel_change": pa.struct(
            {
                "mean": pa.float32(),
                "spread": pa.float32(),
                "maximum": pa.float32(),
                "spread_over_time": pa.float32(),
                "maximum_over_time": pa.float32(),
            }
        ),
    }
)


class ClipRow(TypedDict):
    """What is known of a clip.

    Attributes:
      filename: name of the clip: of the video file, for a sequence of it with its number, as in `<video>#0`.
      video: name of the video file.
      label: name of its class.
      source: name of the recording that the video file was cut from.
      num_frames: number of stored frames.
      num_samples: number of stored samples of sound; 0 without sound.
      fps: stored frames per second.
      file: fields of `VideoProperties`, of the whole video file; None, as any field of it, if not known.
      pixel_change: fields of `PixelChange`, of the stored frames.
    """

    filename: str
    video: str
    label: str
    source: str
    num_frames: int
    num_samples: int
    fps: float
    file: dict[str, Any] | None
    pixel_change: dict[str, float]


class RecordFacts(TypedDict):
    """What says of which records an index is; another build of a dataset differs in some of it.

    Attributes:
      format: version of the index's form.
      dataset: name of the dataset with config and version.
      split: name of the split.
      class_names: names of the classes in the order of the labels.
      shard_lengths: number of records in every shard.
      num_bytes: size of all records.
    """

    format: int
    dataset: str
    split: str
    class_names: list[str]
    shard_lengths: list[int]
    num_bytes: int


def clip_row(
    *,
    filename: str,
    video: str,
    label: str,
    source: str,
    frames: Sequence[bytes],
    fps: float,
    num_samples: int,
    properties: "VideoProperties | None",
) -> ClipRow:
    """Returns the row of a clip.

    Args:
      filename: as in `ClipRow`.
      video: likewise.
      label: likewise.
      source: likewise.
      frames: JPEG images.
      fps: as in `ClipRow`.
      num_samples: likewise.
      properties: of the video file; None if not known.

    Raises:
      ValueError: if a frame is no JPEG image.
    """
    return {
        "filename": filename,
        "video": video,
        "label": label,
        "source": source,
        "num_frames": len(frames),
        "num_samples": num_samples,
        "fps": fps,
        "file": None if properties is None else _known(properties),
        "pixel_change": pixel_change(frames)._asdict(),
    }


def row_of_decoded(
    video: VideoFile, filename: str, decoded: "EncodedClip", properties: "VideoProperties | None"
) -> ClipRow:
    """Returns the row of a decoded clip; `filename` is as in `ClipRow`, `properties` as in `clip_row`."""
    return clip_row(
        filename=filename,
        video=video.filename,
        label=video.label,
        source=video.source,
        frames=decoded.frames,
        fps=decoded.fps,
        num_samples=0 if decoded.audio is None else len(decoded.audio),
        properties=properties,
    )


def _known(properties: "VideoProperties") -> dict[str, Any]:
    # Headers may state neither frame rate nor length; both are then 0.
    return {
        **dataclasses.asdict(properties),
        "fps": properties.fps or None,
        "seconds": properties.seconds or None,
    }


def properties_of(row: ClipRow) -> "VideoProperties":
    """Returns the properties of a row's video file, which must be known."""
    # Not at the top: reading a prepared dataset needs no PyAV.
    from jaxvid.video.properties import VideoProperties

    file = row["file"]
    assert file is not None
    return VideoProperties(**{**file, "fps": file["fps"] or 0.0, "seconds": file["seconds"] or 0.0})


class ClipRows:
    """The rows of an index, in the order of the records; a million take some 150 MB."""

    def __init__(self):
        self._rows: list[ClipRow] = []
        self._chunks: list[pa.Table] = []

    def add(self, row: ClipRow) -> None:
        """Adds the row of the next record."""
        self._rows.append(row)
        if len(self._rows) == _ROWS_PER_CHUNK:
            self._flush()

    def table(self) -> pa.Table:
        """Returns all rows."""
        self._flush()
        return pa.concat_tables(self._chunks)

    def _flush(self) -> None:
        self._chunks.append(pa.Table.from_pylist(self._rows, SCHEMA))
        self._rows = []


def record_facts(info: Any, split: Any) -> RecordFacts:
    """Returns what says of which records an index is.

    Args:
      info: `tfds.core.DatasetInfo` of the dataset.
      split: `tfds.core.SplitInfo` of the split.
    """
    return {
        "format": _FORMAT,
        "dataset": info.full_name,
        "split": split.name,
        "class_names": list(info.features["label"].names),
        "shard_lengths": [int(length) for length in split.shard_lengths],
        "num_bytes": int(split.num_bytes),
    }


def index_path(directory: Path, split: str) -> Path:
    """Returns the path of a split's index in the directory of its records."""
    return directory / f"clips-{split}.parquet"


def write_index(table: pa.Table, path: Path, facts: RecordFacts) -> None:
    """Writes an index of those records."""
    pq.write_table(table.replace_schema_metadata({_RECORDS: json.dumps(facts)}), path)


def read_index(path: Path, facts: RecordFacts) -> pa.Table:
    """Reads an index.

    Raises:
      ValueError: if it cannot be read, or is of other records than these.
    """
    try:
        metadata = pq.read_schema(path).metadata or {}
        written = json.loads(metadata.get(_RECORDS, b"{}"))
        table = pq.read_table(path, schema=SCHEMA)
    except (OSError, ValueError) as error:
        raise ValueError(f"it cannot be read: {error}") from error
    if difference := _difference(written, facts):
        raise ValueError(difference)
    if len(table) != sum(facts["shard_lengths"]):
        raise ValueError(f"it has {len(table)} rows for {sum(facts['shard_lengths'])} records")
    return table


def _difference(written: Mapping[str, Any], facts: RecordFacts) -> str | None:
    """Returns the first fact in which an index is of other records; None if it is of these."""
    for name, value in facts.items():
        if written.get(name) != value:
            return f"its {name} is {written.get(name)}, that of the records {value}"
    return None
