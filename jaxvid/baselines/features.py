"""Features of videos for baselines, from the rows of a clip index (`tfds_builders.clip_index`)."""

from typing import NamedTuple

import numpy as np
import pyarrow as pa
from jaxtyping import Float, Int

from jaxvid.video.pixel_change import PixelChange


class Features(NamedTuple):
    """Features of videos.

    Attributes:
      names: of the features, in words.
      values: NaN where a feature of a video is not known.
    """

    names: tuple[str, ...]
    values: Float[np.ndarray, "video features"]


class VideoRows(NamedTuple):
    """The videos of rows of a clip index; of a video that is stored in sequences there are several rows.

    Attributes:
      rows: of the clips.
      names: of the videos, in the order of their first rows.
      number: position of every row's video among `names`.
      first: first row of every video.
    """

    rows: pa.Table
    names: list[str]
    number: Int[np.ndarray, "row"]
    first: Int[np.ndarray, "video"]


def videos_of(rows: pa.Table) -> VideoRows:
    """Returns the videos of rows of a clip index."""
    numbers: dict[str, int] = {}
    number = np.asarray([numbers.setdefault(video, len(numbers)) for video in rows["video"].to_pylist()], int)
    _, first = np.unique(number, return_index=True)
    return VideoRows(rows, list(numbers), number, first)


def file_features(videos: VideoRows) -> Features:
    """Returns what is known of the files without looking at their frames.

    Where the index does not have the length or the frame rate of a file, those of the stored frames stand for them.
    """
    rows, first = videos.rows, videos.first
    height, width, fps, seconds, sound, num_bytes = (
        _field(rows, "file", name)[first] for name in ("height", "width", "fps", "seconds", "has_sound", "num_bytes")
    )
    stored_fps = _numbers(rows["fps"])
    stored_seconds = _sums(videos, _numbers(rows["num_frames"]) / stored_fps)
    seconds = np.where(np.isnan(seconds), stored_seconds, seconds)
    bytes_per_frame = num_bytes / np.maximum(seconds * fps, 1)
    fps = np.where(np.isnan(fps), stored_fps[first], fps)
    names = ("length", "frame height", "frame width", "frame rate", "bytes a frame", "sound or not")
    return Features(names, np.stack([seconds, height, width, fps, bytes_per_frame, sound], axis=1))


def pixel_features(videos: VideoRows) -> Features:
    """Returns how much the pixels change, the mean over the sequences of a video."""
    columns = [_field(videos.rows, "pixel_change", name) for name in PixelChange._fields]
    num_rows = np.bincount(videos.number)
    values = np.stack([_sums(videos, column) / num_rows for column in columns], axis=1)
    return Features(tuple(name.replace("_", " ") for name in PixelChange._fields), values)


def _sums(videos: VideoRows, values: Float[np.ndarray, "row"]) -> Float[np.ndarray, "video"]:
    return np.bincount(videos.number, weights=values, minlength=len(videos.names))


def _field(rows: pa.Table, column: str, field: str) -> Float[np.ndarray, "row"]:
    """Returns a field of a column of structures; NaN where it, or the whole structure, is not known."""
    structures = rows[column].combine_chunks()
    return _numbers(structures.flatten()[structures.type.get_field_index(field)])


def _numbers(column: pa.Array | pa.ChunkedArray) -> Float[np.ndarray, "row"]:
    return np.asarray(column.cast(pa.float64()).to_numpy(zero_copy_only=False), float)
