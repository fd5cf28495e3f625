"""Sliding windows over a stream of frames."""

import collections
import dataclasses
from collections.abc import Generator, Iterable, Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int16, UInt8

from jaxvid.data.sampling import create_sampling
from jaxvid.types import ConfigDict
from jaxvid.video.sound import Sound
from jaxvid.video.streams import ONE_FRAME, TIME_EPSILON, TimedFrame

# Decoded pictures that are kept, in case that a window shows them: the last window may show any frame of its time.
_MAX_WAITING_BYTES = 64 << 20


class Window(NamedTuple):
    """A stretch of a video as the network takes it.

    Attributes:
      start: seconds since the video's first frame.
      end: seconds since the video's first frame.
      images: RGB frames, those of neighboring windows in part the same; each (height, width, 3).
      numbers: of the frames, by which windows know the frames that they share: positions in the video.
      num_frames: number of real frames; the others repeat the last one.
      audio: 16-bit samples; empty without sound.
    """

    start: float
    end: float
    images: tuple[UInt8[np.ndarray, "height width 3"], ...]
    numbers: tuple[int, ...]
    num_frames: int
    audio: Int16[np.ndarray, "sample"]

    @property
    def frames(self) -> UInt8[np.ndarray, "time height width 3"]:
        """The images as one array."""
        return np.stack(self.images)


@dataclasses.dataclass(frozen=True)
class WindowPlan:
    """Positions of windows, and of the frames in them.

    Attributes:
      seconds: length of a window.
      stride: seconds between window starts.
      offsets: times of the frames, in seconds since the start of the window.
      stretches: whether the frames of a video shorter than a window are spread over the video instead of repeated.
    """

    seconds: float
    stride: float
    offsets: Float[np.ndarray, "time"]
    stretches: bool

    def instants(self, start: float, available: float) -> Float[np.ndarray, "time"]:
        """Returns the times of a window's frames when the video has `available` seconds from `start` on."""
        share = min(1.0, available / self.seconds) if self.stretches else 1.0
        return start + share * self.offsets


def plan_windows(config: ConfigDict, window_seconds: float | None = None, stride: float | None = None) -> WindowPlan:
    """Returns the windows that a model was trained for: as long as the training clips, or as its frames take.

    Args:
      config: config of the training run.
      window_seconds: length of a window, where the sampling scheme leaves a choice (`Sampling.stretches`).
      stride: seconds between window starts (default: a quarter of a window).

    Raises:
      ValueError: if a value is not positive, or the sampling leaves no choice of the length.
    """
    clip = config.clip
    for name, value in (("window_seconds", window_seconds), ("stride_seconds", stride)):
        if value is not None and value <= 0:
            raise ValueError(f"{name} is {value:g}; allowed: above 0")
    scheme = create_sampling(clip)
    if window_seconds is not None and not scheme.stretches:
        raise ValueError(f"window_seconds is given, but sampling {clip.sampling!r} fixes how long a window is")
    fps = config.dataset.fps
    seconds = window_seconds or scheme.window_seconds(config.dataset.clip_seconds, fps)
    return WindowPlan(seconds, stride or seconds / 4, scheme.window_offsets(seconds, fps), scheme.stretches)


class SlidingWindow:
    """The windows of a stream whose frames come one by one.

    A frame lasts until the next one begins, the last frame as long as the one before it. A video shorter than a window
    makes one window. Frames are kept for as long as a window may show them.
    """

    def __init__(self, plan: WindowPlan, sound: Sound | None = None):
        """Stands at the beginning of a stream; `sound` is that of the video, for models that take audio."""
        self._plan, self._sound = plan, sound
        self._kept: collections.deque[TimedFrame] = collections.deque()
        # Position in the stream of the first frame that is kept.
        self._first = 0
        self._start, self._last_start = 0.0, None

    def add(self, frame: TimedFrame) -> None:
        """Takes the next frame."""
        self._kept.append(frame)
        waiting = sum(frame.waiting_bytes for frame in self._kept)
        for kept in self._kept:
            if waiting <= _MAX_WAITING_BYTES:
                break
            waiting -= kept.waiting_bytes
            # Computed and kept instead of the larger picture that it is made of.
            _ = kept.image

    def certain(self) -> tuple[tuple[int, ...], tuple[UInt8[np.ndarray, "height width 3"], ...]]:
        """Returns numbers and images of the first frames of the next window: those that no later frame can change."""
        instants = self._plan.instants(self._start, self._plan.seconds)
        return self._frames(instants[instants < self._kept[-1].seconds - TIME_EPSILON])

    def complete(self) -> Iterator[Window]:
        """Yields the windows whose last frame has come."""
        # Until the instant of a window's frame has passed, a later frame may be the one that shows then.
        while self._kept[-1].seconds > self._start + self._plan.offsets[-1]:
            yield self._next()

    def newest(self) -> Iterator[Window]:
        """Yields the newest of the windows whose last frame has come, if there are any; the others are left out."""
        late = self._kept[-1].seconds - self._start - self._plan.offsets[-1]
        if late > 0:
            self._start += (float(np.ceil(late / self._plan.stride)) - 1) * self._plan.stride
            yield self._next()

    def finish(self) -> Iterator[Window]:
        """Yields the window that ends with the video, unless the last one did; nothing of a video without frames."""
        if not self._kept:
            return
        last = self._kept[-1].seconds
        end = last + (last - self._kept[-2].seconds if len(self._kept) > 1 else ONE_FRAME)
        if self._last_start is None or end > self._last_start + self._plan.seconds + TIME_EPSILON:
            start = max(0.0, end - self._plan.seconds)
            yield self._window(start, end, self._plan.instants(start, end - start))

    def _next(self) -> Window:
        start = self._start
        window = self._window(start, start + self._plan.seconds, self._plan.instants(start, self._plan.seconds))
        self._last_start, self._start = start, start + self._plan.stride
        # The last window of the video may begin right after this one.
        while len(self._kept) > 1 and self._kept[1].seconds <= start:
            self._kept.popleft()
            self._first += 1
        return window

    def _window(self, start: float, end: float, instants: Float[np.ndarray, "time"]) -> Window:
        numbers, images = self._frames(instants)
        own = max(1, int((instants < end + TIME_EPSILON).sum()))
        audio = self._sound.stretch(start, end) if self._sound else np.zeros(0, np.int16)
        return Window(start, end, images, numbers, own, audio)

    def _frames(
        self, instants: Float[np.ndarray, "_"]
    ) -> tuple[tuple[int, ...], tuple[UInt8[np.ndarray, "height width 3"], ...]]:
        """Returns numbers and images of the frames that show at some instants."""
        begins = [frame.seconds - TIME_EPSILON for frame in self._kept]
        shown = np.maximum(np.searchsorted(begins, instants, side="right") - 1, 0).tolist()
        return tuple(self._first + position for position in shown), tuple(self._kept[i].image for i in shown)


def windows(
    frames: Iterable[TimedFrame], plan: WindowPlan, *, sound: Sound | None = None
) -> Generator[Window, None, None]:
    """Yields the windows of a video, each as soon as its last frame has come; the last one ends with the video.

    Args:
      frames: frames in order of time.
      plan: the windows to take.
      sound: sound of the video, for models that take audio.
    """
    sliding = SlidingWindow(plan, sound)
    for frame in frames:
        sliding.add(frame)
        yield from sliding.complete()
    yield from sliding.finish()
