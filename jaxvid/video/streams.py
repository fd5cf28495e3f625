"""Videos of any length as streams of frames with their times, and the windows of a network over them, with PyAV.

Nothing is kept but the frames of the windows under way, so that memory stays flat however long a video is.
"""

import contextlib
import queue
import threading
from collections.abc import Generator, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import av
import av.error
import numpy as np
from jaxtyping import UInt8

from jaxvid.video.workers import InvalidVideoError

# Frames that may be decoded ahead of the network.
_AHEAD = 64


# How long the only frame of a video shows, in seconds.
ONE_FRAME = 0.04


# Times of frames are rounded to the container's time base.
TIME_EPSILON = 1e-6


T = TypeVar("T")


class TimedFrame(NamedTuple):
    """A picture, and the time in seconds since the first one at which it begins to show."""

    seconds: float
    image: UInt8[np.ndarray, "height width 3"]


@contextlib.contextmanager
def open_video(path: Path | str) -> Iterator[Any]:
    """The PyAV container of a video that has a picture.

    Raises:
      InvalidVideoError: if it cannot be opened, or holds no picture.
    """
    try:
        container = av.open(str(path))
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise InvalidVideoError(Path(path), f"it cannot be opened: {_reason(error)}") from error
    with container:
        if not container.streams.video:
            raise InvalidVideoError(
                Path(path), "it holds no picture, only sound" if container.streams else "it is empty"
            )
        yield container


def video_seconds(container: Any) -> float | None:
    """How long a video is by its header; None if that does not say."""
    return container.duration / av.time_base if container.duration else None


def frame_time(frame: Any, number: int, stream: Any) -> float:
    """The second of the file's clock at which a frame begins to show; by its number where the file has no times."""
    return frame.time if frame.time is not None else number / float(stream.average_rate or 25)


def raw_frames(container: Any, path: Path) -> Generator[tuple[float, Any], None, None]:
    """The frames of an open video as PyAV's, each with the second since the first one at which it begins to show.

    Raises:
      InvalidVideoError: when iterating, if there is no frame, or one cannot be decoded.
    """
    stream = container.streams.video[0]
    number, first = -1, 0.0
    try:
        for number, frame in enumerate(container.decode(stream)):
            seconds = frame_time(frame, number, stream)
            first = first if number else seconds
            yield seconds - first, frame
    except av.error.FFmpegError as error:
        raise InvalidVideoError(path, f"it breaks off after {number + 1} frames: {_reason(error)}") from error
    if number < 0:
        raise InvalidVideoError(path, "it holds no frames")


def scaled(frame: Any, size: tuple[int, int]) -> UInt8[np.ndarray, "height width 3"]:
    """A PyAV frame as a picture of that height and width; its aspect ratio is not kept."""
    height, width = size
    # Bicubic, as the decoder of the builders scales.
    return frame.reformat(width=width, height=height, format="rgb24", interpolation="BICUBIC").to_ndarray()


def video_start(container: Any) -> float:
    """The second of the file's clock at which an open video's first frame begins to show, by its header."""
    stream = container.streams.video[0]
    return float(stream.start_time * stream.time_base) if stream.start_time is not None else 0.0


def decode_stream(container: Any, path: Path, size: tuple[int, int]) -> Generator[TimedFrame, None, None]:
    """The frames of an open video, one after another, scaled to height and width, by several threads.

    Raises:
      InvalidVideoError: when iterating, if there is no frame, or one cannot be decoded.
    """
    container.streams.video[0].thread_type = "AUTO"
    for seconds, frame in raw_frames(container, path):
        yield TimedFrame(seconds, scaled(frame, size))


def ahead(items: Iterable[T], capacity: int = _AHEAD) -> Generator[T, None, None]:
    """The items, made by a thread of its own while the consumer is busy, at most `capacity` ahead of it.

    Errors come out where the item would have. Closing the generator ends the thread.
    """
    made: queue.Queue[tuple[T | None, BaseException | None]] = queue.Queue(capacity)
    closed = threading.Event()

    def put(entry: tuple[T | None, BaseException | None]) -> bool:
        while not closed.is_set():
            with contextlib.suppress(queue.Full):
                made.put(entry, timeout=0.1)
                return True
        return False

    def work() -> None:
        try:
            for item in items:
                if not put((item, None)):
                    return
            put((None, StopIteration()))
        except BaseException as error:
            put((None, error))

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        while True:
            item, error = made.get()
            if isinstance(error, StopIteration):
                return
            if error is not None:
                raise error
            yield item  # pyright: ignore[reportReturnType]
    finally:
        closed.set()
        thread.join()


def _reason(error: BaseException) -> str:
    strerror = getattr(error, "strerror", None)
    return strerror or str(error).splitlines()[0]
