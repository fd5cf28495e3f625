"""Videos of any length as streams of frames with their times, and the windows of a network over them, with PyAV.

Nothing is kept but the frames of the windows under way, so that memory stays flat however long a video is.
"""

import collections
import contextlib
import dataclasses
import queue
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import av
import av.error
import numpy as np
from jaxtyping import Float, Int16, UInt8

from jaxvid.data.sound import Sound
from jaxvid.data.workers import InvalidVideoError
from jaxvid.types import ConfigDict

# Frames that may be decoded ahead of the network.
_AHEAD = 64
# How long the only frame of a video shows, in seconds.
ONE_FRAME = 0.04
# Times of frames are rounded to the container's time base.
_EPSILON = 1e-6

T = TypeVar("T")


class TimedFrame(NamedTuple):
    """A picture, and the time in seconds since the first one at which it begins to show."""

    seconds: float
    picture: UInt8[np.ndarray, "height width 3"]


class Window(NamedTuple):
    """What the network sees of a stretch of a video.

    Attributes:
      start: in seconds.
      end: in seconds.
      frames: the pictures.
      num_frames: how many of them are the video's own; the others repeat its last one.
      audio: the sound as 16-bit samples; empty where there is none.
    """

    start: float
    end: float
    frames: UInt8[np.ndarray, "time height width 3"]
    num_frames: int
    audio: Int16[np.ndarray, "sample"]


@dataclasses.dataclass(frozen=True)
class WindowPlan:
    """Where windows begin, and at which instants of a window its frames are taken.

    Attributes:
      seconds: length of a window.
      stride: seconds from the start of one window to that of the next.
      offsets: of the frames, in seconds from the start of the window.
      stretches: whether a video shorter than a window is seen at instants as evenly spread, rather than up to its end.
    """

    seconds: float
    stride: float
    offsets: Float[np.ndarray, "time"]
    stretches: bool

    def instants(self, start: float, available: float) -> Float[np.ndarray, "time"]:
        """The times of a window's frames, of a video of which `available` seconds can be had for it."""
        share = min(1.0, available / self.seconds) if self.stretches else 1.0
        return start + share * self.offsets


def plan_windows(config: ConfigDict, window_seconds: float | None = None, stride: float | None = None) -> WindowPlan:
    """The windows that a network was trained for: as long as the training clips, or as its frames take.

    Args:
      config: of the training run.
      window_seconds: another length; for clip.sampling 'uniform' and 'random_segment' alone.
      stride: seconds between windows; by default a quarter of a window.

    Raises:
      ValueError: if a value is not positive, or the sampling leaves no choice of the length.
    """
    clip = config.clip
    for name, value in (("window_seconds", window_seconds), ("stride_seconds", stride)):
        if value is not None and value <= 0:
            raise ValueError(f"{name} is {value:g}; allowed: above 0")
    spread = clip.sampling in ("uniform", "random_segment")
    if window_seconds is not None and not spread:
        raise ValueError(f"window_seconds is given, but sampling {clip.sampling!r} fixes how long a window is")
    if spread:
        seconds = window_seconds or config.dataset.clip_seconds
        offsets = (np.arange(clip.num_frames) + 0.5) * seconds / clip.num_frames
    else:
        # Frames of a sequence follow one another as they are stored.
        interval = clip.frame_interval / (clip.fps if clip.sampling == "fps" else config.dataset.fps)
        seconds = clip.num_frames * interval
        # The middle of a frame's time, which the roundings of a container's clock cannot move to another frame.
        offsets = (np.arange(clip.num_frames) * clip.frame_interval + 0.5) * interval / clip.frame_interval
    return WindowPlan(seconds, stride or seconds / 4, offsets, spread)


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


def begin_of(frame: Any, number: int, stream: Any) -> float:
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
            seconds = begin_of(frame, number, stream)
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


def picture_begin(container: Any) -> float:
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


def windows(
    frames: Iterable[TimedFrame],
    plan: WindowPlan,
    *,
    sound: Sound | None = None,
    more_waiting: Callable[[], bool] | None = None,
) -> Generator[Window, None, None]:
    """The windows of a stream, each as soon as its last frame has come; the last one ends where the video does.

    A frame shows until the next one begins, the last one as long as the one before it. A video shorter than a window
    makes one window.

    Args:
      frames: in order of time.
      plan: of the windows.
      sound: of the video, if it is asked for.
      more_waiting: of a live stream, whether more frames have come already: windows that a later one has overtaken are
        left out then.
    """
    kept: collections.deque[TimedFrame] = collections.deque()
    start, last_start = 0.0, None
    for frame in frames:
        kept.append(frame)
        # A frame of the window may still be replaced by the next one until its instant has passed.
        if more_waiting is not None and more_waiting():
            continue
        while frame.seconds > start + plan.offsets[-1]:
            if more_waiting is not None:
                overtaken = np.ceil((frame.seconds - start - plan.offsets[-1]) / plan.stride) - 1
                start += float(overtaken) * plan.stride
            yield _window(kept, start, start + plan.seconds, plan.instants(start, plan.seconds), sound)
            last_start, start = start, start + plan.stride
            # The last window of all may begin right after this one.
            while len(kept) > 1 and kept[1].seconds <= last_start:
                kept.popleft()
    if not kept:
        return
    end = kept[-1].seconds + (kept[-1].seconds - kept[-2].seconds if len(kept) > 1 else ONE_FRAME)
    if last_start is None or end > last_start + plan.seconds + _EPSILON:
        start = max(0.0, end - plan.seconds)
        yield _window(kept, start, end, plan.instants(start, end - start), sound)


def _window(
    frames: Iterable[TimedFrame], start: float, end: float, instants: Float[np.ndarray, "time"], sound: Sound | None
) -> Window:
    listed = list(frames)
    begins = [frame.seconds - _EPSILON for frame in listed]
    shown = np.maximum(np.searchsorted(begins, instants, side="right") - 1, 0)
    own = max(1, int((instants < end + _EPSILON).sum()))
    audio = sound.stretch(start, end) if sound else np.zeros(0, np.int16)
    return Window(start, end, np.stack([listed[i].picture for i in shown]), own, audio)


def _reason(error: BaseException) -> str:
    strerror = getattr(error, "strerror", None)
    return strerror or str(error).splitlines()[0]
