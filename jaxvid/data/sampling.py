"""Sampling schemes: which frames of a clip the network sees.

All that depends on the scheme stands in its class here, and `SAMPLINGS` names the classes; the rest of the program asks
`create_sampling(config.clip)`. Frames are given as positions in a clip of `num_frames` frames; a clip that is too short
repeats its last frame.
"""

import abc
import dataclasses
from types import MappingProxyType
from typing import ClassVar

import numpy as np
from jaxtyping import Float, Int

from jaxvid.types import ConfigDict


@dataclasses.dataclass(frozen=True)
class Sampling(abc.ABC):
    """A sampling scheme with its keys of the config's section `clip`.

    Attributes:
      num_frames: of a training sample and of a view.
      frame_interval: frames from one that is taken to the next.
      window_stride: frames from the start of one window to that of the next.
      fps: frames per second at which clips are resampled.
      speed_jitter: largest change of a training window's speed, as a share of it.
      is_fixed: whether training takes the same frames of a clip every time.
      takes_sequences: whether clips are sequences stored at one frame rate, which are taken as they are.
      stretches: whether a window over a stream may have any length, over which its frames are spread.
      has_speed: whether `frame_interval` sets the speed of a training window, which can then vary.
    """

    num_frames: int
    frame_interval: int
    window_stride: int
    fps: float
    speed_jitter: float

    is_fixed: ClassVar[bool] = False
    takes_sequences: ClassVar[bool] = False
    stretches: ClassVar[bool] = False
    has_speed: ClassVar[bool] = False

    @abc.abstractmethod
    def train(self, num_frames: int, fps: float, rng: np.random.Generator, sample: int = 0) -> Int[np.ndarray, "time"]:
        """Returns the frames of a training sample.

        Args:
          num_frames: of the clip.
          fps: of the clip.
          rng: for what is drawn at random.
          sample: number of the sample, where a clip gives several (see `count`).
        """

    @abc.abstractmethod
    def evaluate(self, num_frames: int, fps: float, num_views: int = 0) -> Int[np.ndarray, "view time"]:
        """Returns the frames of every view of a clip in evaluation, the same at each call.

        Args:
          num_frames: of the clip.
          fps: of the clip.
          num_views: number of views; 0 for the scheme's own.
        """

    def plain(self, num_frames: int, fps: float, sample: int = 0) -> Int[np.ndarray, "time"]:
        """Returns the frames of a training sample without randomness: those of the only view in evaluation.

        Args:
          num_frames: of the clip.
          fps: of the clip.
          sample: number of the sample, where a clip gives several (see `count`).
        """
        return self.evaluate(num_frames, fps, 1)[0]

    @abc.abstractmethod
    def window_seconds(self, clip_seconds: float, fps: float) -> float:
        """Returns the length of a window over a stream that matches a training sample.

        Args:
          clip_seconds: median length of the training clips.
          fps: their median frame rate.
        """

    @abc.abstractmethod
    def window_offsets(self, seconds: float, fps: float) -> Float[np.ndarray, "time"]:
        """Returns the times of the frames of such a window, in seconds from its start.

        Args:
          seconds: length of the window.
          fps: median frame rate of the training clips.
        """

    def count(self, num_frames: Int[np.ndarray, "clip"]) -> Int[np.ndarray, "clip"]:
        """Returns the number of training samples of every clip."""
        return np.ones_like(num_frames)

    def frame_rate(self, fps: float) -> float:
        """Returns the frame rate among whose frames samples are taken, of clips of `fps` frames per second."""
        return fps

    def misfit(self, num_frames: int) -> str | None:
        """Returns why a clip of `num_frames` frames does not suit the scheme; None if it does."""
        return None

    def check(self) -> None:
        """Checks the keys.

        Raises:
          ValueError: naming the key, its value and what is allowed.
        """
        for key in ("num_frames", "frame_interval", "window_stride"):
            if getattr(self, key) < 1:
                raise ValueError(f"config.clip.{key} is {getattr(self, key)}; allowed: 1 or more")
        if not 0 <= self.speed_jitter < 1:
            raise ValueError(f"config.clip.speed_jitter is {self.speed_jitter}; allowed: 0 to below 1")
        if self.speed_jitter and not self.has_speed:
            jittered = ", ".join(name for name, scheme in SAMPLINGS.items() if scheme.has_speed)
            raise ValueError(
                f"config.clip.speed_jitter is {self.speed_jitter}; allowed with this sampling: 0 "
                f"(others with {jittered})"
            )


class _Segments(Sampling):
    """One frame from each of `num_frames` equal segments of the clip.

    A view takes the frames at one relative position in their segments, by default the middle.
    """

    stretches = True

    def evaluate(self, num_frames: int, fps: float, num_views: int = 0) -> Int[np.ndarray, "view time"]:
        positions = (np.arange(num_views or 1) + 0.5) / (num_views or 1)
        return np.stack([uniform(num_frames, self.num_frames, position) for position in positions.tolist()])

    def window_seconds(self, clip_seconds: float, fps: float) -> float:
        return clip_seconds

    def window_offsets(self, seconds: float, fps: float) -> Float[np.ndarray, "time"]:
        return (np.arange(self.num_frames) + 0.5) * seconds / self.num_frames


class _Uniform(_Segments):
    """The middle frame of each of `num_frames` equal segments of the clip."""

    is_fixed = True

    def train(self, num_frames: int, fps: float, rng: np.random.Generator, sample: int = 0) -> Int[np.ndarray, "time"]:
        return uniform(num_frames, self.num_frames)


class _RandomSegment(_Segments):
    """A random frame of each of `num_frames` equal segments of the clip."""

    def train(self, num_frames: int, fps: float, rng: np.random.Generator, sample: int = 0) -> Int[np.ndarray, "time"]:
        return random_segment(num_frames, self.num_frames, rng)


class _Consecutive(Sampling):
    """A window of frames, `frame_interval` apart, at a random position.

    Views are windows evenly spaced over the clip, by default all windows `window_stride` apart. This is the dense
    sampling of non-local networks (X. Wang et al., 2018) and of MMAction2's DenseSampleFrames; `num_views` is the
    number of its clips in evaluation, usually 10.
    """

    has_speed = True

    def train(self, num_frames: int, fps: float, rng: np.random.Generator, sample: int = 0) -> Int[np.ndarray, "time"]:
        frames = self._timeline(num_frames, fps)
        offsets = self._offsets(len(frames), rng)
        start = int(rng.integers(max(0, len(frames) - 1 - int(offsets[-1])) + 1))
        return frames[np.minimum(start + offsets, len(frames) - 1)]

    def _offsets(self, num_frames: int, rng: np.random.Generator) -> Int[np.ndarray, "time"]:
        """Returns the distances of a training window's frames to its first, in a clip of `num_frames` frames."""
        offsets = self.frame_interval * np.arange(self.num_frames)
        if not self.speed_jitter or self.num_frames == 1:
            return offsets
        speed = rng.uniform(1 - self.speed_jitter, 1 + self.speed_jitter)
        # A window that fits at its own speed is not made longer than the clip.
        return np.rint(offsets * min(speed, max(1.0, (num_frames - 1) / offsets[-1]))).astype(int)

    def evaluate(self, num_frames: int, fps: float, num_views: int = 0) -> Int[np.ndarray, "view time"]:
        frames = self._timeline(num_frames, fps)
        if not num_views:
            return frames[sliding_windows(len(frames), self.num_frames, self.frame_interval, self.window_stride)]
        last = self._last_start(frames)
        starts = np.rint(np.linspace(0, last, num_views)) if num_views > 1 else np.asarray([last // 2])
        windows = [window(len(frames), self.num_frames, self.frame_interval, int(start)) for start in starts]
        return frames[np.stack(windows)]

    def window_seconds(self, clip_seconds: float, fps: float) -> float:
        return self.num_frames * self.frame_interval / self.frame_rate(fps)

    def window_offsets(self, seconds: float, fps: float) -> Float[np.ndarray, "time"]:
        # The middle of a frame's time, which the roundings of a container's clock cannot move to another frame.
        return (np.arange(self.num_frames) * self.frame_interval + 0.5) / self.frame_rate(fps)

    def _timeline(self, num_frames: int, fps: float) -> Int[np.ndarray, "frame"]:
        """Returns the frames among which windows are taken."""
        return np.arange(num_frames)

    def _last_start(self, frames: Int[np.ndarray, "frame"]) -> int:
        return max(0, len(frames) - 1 - self.frame_interval * (self.num_frames - 1))


class _FixedRate(_Consecutive):
    """A window as of `_Consecutive`, among the frames that the clip shows at `fps` instants per second."""

    def frame_rate(self, fps: float) -> float:
        return self.fps

    def check(self) -> None:
        super().check()
        if self.fps <= 0:
            raise ValueError(f"config.clip.fps is {self.fps}; allowed with sampling 'fps': above 0")

    def _timeline(self, num_frames: int, fps: float) -> Int[np.ndarray, "frame"]:
        return resampled(num_frames, fps, self.fps)


class _SlidingWindow(_Consecutive):
    """All windows of consecutive frames, `window_stride` apart, each a training sample and a view."""

    has_speed = False

    def train(self, num_frames: int, fps: float, rng: np.random.Generator, sample: int = 0) -> Int[np.ndarray, "time"]:
        return self.plain(num_frames, fps, sample)

    def plain(self, num_frames: int, fps: float, sample: int = 0) -> Int[np.ndarray, "time"]:
        return self.evaluate(num_frames, fps)[sample]

    def count(self, num_frames: Int[np.ndarray, "clip"]) -> Int[np.ndarray, "clip"]:
        lasts = np.maximum(0, num_frames - self.num_frames)
        return -(-lasts // self.window_stride) + 1

    def misfit(self, num_frames: int) -> str | None:
        if num_frames >= self.num_frames:
            return None
        return f"a sliding window longer than the clip; allowed: 1 to {num_frames}"

    def check(self) -> None:
        super().check()
        if self.frame_interval != 1 or self.window_stride > self.num_frames:
            raise ValueError(
                f"config.clip has frame_interval {self.frame_interval} and window_stride {self.window_stride}; allowed "
                f"with sampling 'sliding_window': an interval of 1 and a stride up to num_frames, {self.num_frames}"
            )


class _StoredSequence(Sampling):
    """The frames of a stored sequence as they are; models that mask are told how many are its own."""

    is_fixed = True
    takes_sequences = True

    def train(self, num_frames: int, fps: float, rng: np.random.Generator, sample: int = 0) -> Int[np.ndarray, "time"]:
        return window(num_frames, self.num_frames, 1, 0)

    def evaluate(self, num_frames: int, fps: float, num_views: int = 0) -> Int[np.ndarray, "view time"]:
        return window(num_frames, self.num_frames, 1, 0)[None]

    def window_seconds(self, clip_seconds: float, fps: float) -> float:
        return self.num_frames / fps

    def window_offsets(self, seconds: float, fps: float) -> Float[np.ndarray, "time"]:
        return (np.arange(self.num_frames) + 0.5) / fps

    def misfit(self, num_frames: int) -> str | None:
        if num_frames <= self.num_frames:
            return None
        return f"take a dataset that is stored in sequences, such as NAME/128x128_4fps_{self.num_frames}frames"


SAMPLINGS: MappingProxyType[str, type[Sampling]] = MappingProxyType(
    {
        "uniform": _Uniform,
        "random_segment": _RandomSegment,
        "consecutive": _Consecutive,
        "sliding_window": _SlidingWindow,
        "fps": _FixedRate,
        "sequence": _StoredSequence,
    }
)
SEQUENCE_SAMPLINGS = tuple(name for name, scheme in SAMPLINGS.items() if scheme.takes_sequences)


def create_sampling(clip: ConfigDict) -> Sampling:
    """Returns the sampling scheme that the section `clip` of a config names, with its keys.

    Raises:
      ValueError: if there is no such scheme.
    """
    if clip.sampling not in SAMPLINGS:
        raise ValueError(f"config.clip.sampling is {clip.sampling!r}; allowed: {', '.join(SAMPLINGS)}")
    values = clip.num_frames, clip.frame_interval, clip.window_stride, clip.fps, clip.speed_jitter
    return SAMPLINGS[clip.sampling](*values)


def _require_positive(**values: int | float) -> None:
    for name, value in values.items():
        if value <= 0:
            raise ValueError(f"{name} must be positive, not {value}")


def uniform(num_frames: int, length: int, position: float = 0.5) -> Int[np.ndarray, "time"]:
    """Returns one frame of each of `length` equal segments: that at a `position` in [0, 1), by default the middle.

    Raises:
      ValueError: if num_frames or length is not positive.
    """
    _require_positive(num_frames=num_frames, length=length)
    if num_frames <= length:
        return np.minimum(np.arange(length), num_frames - 1)
    return ((np.arange(length) + position) * num_frames / length).astype(int)


def random_segment(num_frames: int, length: int, rng: np.random.Generator) -> Int[np.ndarray, "time"]:
    """Returns one random frame of each of `length` equal segments (temporal segment networks, Wang et al., 2016).

    Raises:
      ValueError: if num_frames or length is not positive.
    """
    _require_positive(num_frames=num_frames, length=length)
    if num_frames <= length:
        return np.minimum(np.arange(length), num_frames - 1)
    return ((np.arange(length) + rng.random(length)) * num_frames / length).astype(int)


def window(num_frames: int, length: int, interval: int, start: int) -> Int[np.ndarray, "time"]:
    """Returns `length` frames, `interval` apart, from frame `start` on.

    Raises:
      ValueError: if num_frames, length or interval is not positive.
    """
    _require_positive(num_frames=num_frames, length=length, interval=interval)
    return np.minimum(start + interval * np.arange(length), num_frames - 1)


def window_starts(num_frames: int, length: int, interval: int, stride: int) -> Int[np.ndarray, "window"]:
    """Returns the first frames of all windows, `stride` apart; the last window ends on the last frame.

    Raises:
      ValueError: if num_frames, length, interval or stride is not positive.
    """
    _require_positive(num_frames=num_frames, length=length, interval=interval, stride=stride)
    last = max(0, num_frames - 1 - interval * (length - 1))
    return np.append(np.arange(0, last, stride), last)


def sliding_windows(num_frames: int, length: int, interval: int, stride: int) -> Int[np.ndarray, "window time"]:
    """Returns the frames of all windows, `stride` apart; the last window ends on the last frame.

    A clip shorter than a window yields one window that repeats its last frame.

    Raises:
      ValueError: if num_frames, length, interval or stride is not positive.
    """
    starts = window_starts(num_frames, length, interval, stride)
    return np.stack([window(num_frames, length, interval, start) for start in starts.tolist()])


def resampled(num_frames: int, fps: float, target_fps: float) -> Int[np.ndarray, "frame"]:
    """Returns the frames that a clip of `fps` frames per second shows at the instants of `target_fps`.

    Raises:
      ValueError: if num_frames, fps or target_fps is not positive.
    """
    _require_positive(num_frames=num_frames, fps=fps, target_fps=target_fps)
    count = max(1, round(num_frames * target_fps / fps))
    # The small addend keeps an instant that falls on a frame from rounding down to the frame before.
    return np.minimum((np.arange(count) * fps / target_fps + 1e-6).astype(int), num_frames - 1)
