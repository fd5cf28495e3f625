"""What the header of a video file states, and how the files of a class compare with those of another."""

import dataclasses
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypedDict

import av
import numpy as np

from jaxvid.video.streams import open_video


@dataclasses.dataclass(frozen=True)
class VideoProperties:
    """What a network could learn of a class instead of its content.

    Attributes:
      container: FFmpeg's name of the file format, such as "avi", "mov" (also of MP4) or "mpeg".
      codec: FFmpeg's name of the video codec, such as "h264".
      height: height of the frames in pixels, before rotation.
      width: width of the frames in pixels, before rotation.
      fps: average frame rate; 0 if the header states none.
      seconds: length; 0 if the header states none.
      has_sound: whether there is an audio stream.
      num_bytes: size of the file.
    """

    container: str
    codec: str
    height: int
    width: int
    fps: float
    seconds: float
    has_sound: bool
    num_bytes: int


class Range(TypedDict):
    """Least, median and greatest of several values."""

    min: float | int
    median: float
    max: float | int


class PropertiesSummary(TypedDict):
    """The properties of several videos; counts are of videos."""

    videos: int
    with_sound: int
    container: dict[str, int]
    codec: dict[str, int]
    size: dict[str, int]
    fps: dict[str, int]
    seconds: Range
    bytes: Range


def read_properties(path: Path) -> VideoProperties:
    """Reads the properties of a video from its header, in this process: only for files that decode.

    Raises:
      InvalidVideoError: if the file cannot be opened or holds no video stream.
    """
    with open_video(path) as container:
        stream = container.streams.video[0]
        return VideoProperties(
            container=container.format.name.split(",")[0],
            codec=stream.codec_context.name,
            height=stream.height,
            width=stream.width,
            fps=float(stream.average_rate or 0),
            seconds=(container.duration or 0) / av.time_base,
            has_sound=bool(container.streams.audio),
            num_bytes=path.stat().st_size,
        )


def properties_in_worker(path: Path) -> Iterator[VideoProperties]:
    """Yields what `read_properties` returns: for `decode_in_workers`, as files that do not decode can hang."""
    yield read_properties(path)


def summarize_properties(properties: Sequence[VideoProperties]) -> PropertiesSummary:
    """Returns the counts and ranges of the properties of one or more videos, most frequent values first."""
    return {
        "videos": len(properties),
        "with_sound": sum(video.has_sound for video in properties),
        "container": _counts([video.container for video in properties]),
        "codec": _counts([video.codec for video in properties]),
        "size": _counts([f"{video.height}x{video.width}" for video in properties]),
        "fps": _counts([f"{video.fps:.4g}" for video in properties]),
        "seconds": _range([video.seconds for video in properties]),
        "bytes": _range([video.num_bytes for video in properties]),
    }


def _counts(values: Sequence[str]) -> dict[str, int]:
    return dict(Counter(values).most_common())


def _range(values: Sequence[float | int]) -> Range:
    return {"min": min(values), "median": float(np.median(values)), "max": max(values)}
