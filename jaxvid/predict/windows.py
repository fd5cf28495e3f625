"""Sliding windows over a stream of frames."""

import collections
import dataclasses
from collections.abc import Callable, Generator, Iterable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int16, UInt8

from jaxvid.data.sampling import create_sampling
from jaxvid.types import ConfigDict
from jaxvid.video.sound import Sound
from jaxvid.video.streams import ONE_FRAME, TIME_EPSILON, TimedFrame


class Window(NamedTuple):
    """A stretch of a video as the network takes it.

    Attributes:
      start: seconds since the video's first frame.
      end: seconds since the video's first frame.
      frames: RGB frames.
      num_frames: number of real frames; the others repeat the last one.
      audio: 16-bit samples; empty without sound.
    """

    start: float
    end: float
    frames: UInt8[np.ndarray, "time height width 3"]
    num_frames: int
    audio: Int16[np.ndarray, "sample"]


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


def windows(
    frames: Iterable[TimedFrame],
    plan: WindowPlan,
    *,
    sound: Sound | None = None,
    more_waiting: Callable[[], bool] | None = None,
) -> Generator[Window, None, None]:
    """Yields the windows of a stream, each as soon as its last frame has arrived; the last one ends with the video.

    A frame lasts until the next one begins, the last frame as long as the one before it. A video shorter than a window
    makes one window.

    Args:
      frames: frames in order of time.
      plan: the windows to take.
      sound: sound of the video, for models that take audio.
      more_waiting: for live streams, whether further frames have arrived already; stale windows are then skipped.
    """
    kept: collections.deque[TimedFrame] = collections.deque()
    start, last_start = 0.0, None
    for frame in frames:
        kept.append(frame)
        # Until the instant of a window's frame has passed, a later frame may be the one that shows then.
        if more_waiting is not None and more_waiting():
            continue
        while frame.seconds > start + plan.offsets[-1]:
            if more_waiting is not None:
                overtaken = np.ceil((frame.seconds - start - plan.offsets[-1]) / plan.stride) - 1
                start += float(overtaken) * plan.stride
            yield _window(kept, start, start + plan.seconds, plan.instants(start, plan.seconds), sound)
            last_start, start = start, start + plan.stride
            # The last window of the video may begin right after this one.
            while len(kept) > 1 and kept[1].seconds <= last_start:
                kept.popleft()
    if not kept:
        return
    end = kept[-1].seconds + (kept[-1].seconds - kept[-2].seconds if len(kept) > 1 else ONE_FRAME)
    if last_start is None or end > last_start + plan.seconds + TIME_EPSILON:
        start = max(0.0, end - plan.seconds)
        yield _window(kept, start, end, plan.instants(start, end - start), sound)


def _window(
    frames: Iterable[TimedFrame], start: float, end: float, instants: Float[np.ndarray, "time"], sound: Sound | None
) -> Window:
    listed = list(frames)
    begins = [frame.seconds - TIME_EPSILON for frame in listed]
    shown = np.maximum(np.searchsorted(begins, instants, side="right") - 1, 0)
    own = max(1, int((instants < end + TIME_EPSILON).sum()))
    audio = sound.stretch(start, end) if sound else np.zeros(0, np.int16)
    return Window(start, end, np.stack([listed[i].image for i in shown]), own, audio)
