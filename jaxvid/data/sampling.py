"""Which frames of a clip the network sees.

All functions speak of positions in a clip of `num_frames` frames. A clip that is too short repeats its last frame; of
a `sequence`, which is taken as it is stored, models that mask are told how many frames are its own.
"""

import numpy as np
from jaxtyping import Int

from jaxvid.types import ConfigDict

SAMPLINGS = ("uniform", "random_segment", "consecutive", "sliding_window", "fps", "sequence")


def _require_positive(**values: int | float) -> None:
    for name, value in values.items():
        if value <= 0:
            raise ValueError(f"{name} must be positive, not {value}")


def uniform(num_frames: int, length: int, place: float = 0.5) -> Int[np.ndarray, "time"]:
    """`length` frames evenly spaced over the clip: those at a `place` in [0, 1) of equal segments, the middles.

    Raises:
      ValueError: if num_frames or length is not positive.
    """
    _require_positive(num_frames=num_frames, length=length)
    if num_frames <= length:
        return np.minimum(np.arange(length), num_frames - 1)
    return ((np.arange(length) + place) * num_frames / length).astype(int)


def random_segment(num_frames: int, length: int, rng: np.random.Generator) -> Int[np.ndarray, "time"]:
    """One random frame of each of `length` equal segments (temporal segment networks, Wang et al., 2016).

    Raises:
      ValueError: if num_frames or length is not positive.
    """
    _require_positive(num_frames=num_frames, length=length)
    if num_frames <= length:
        return np.minimum(np.arange(length), num_frames - 1)
    return ((np.arange(length) + rng.random(length)) * num_frames / length).astype(int)


def window(num_frames: int, length: int, interval: int, start: int) -> Int[np.ndarray, "time"]:
    """`length` frames, `interval` apart, from frame `start` on.

    Raises:
      ValueError: if num_frames, length or interval is not positive.
    """
    _require_positive(num_frames=num_frames, length=length, interval=interval)
    return np.minimum(start + interval * np.arange(length), num_frames - 1)


def window_starts(num_frames: int, length: int, interval: int, stride: int) -> Int[np.ndarray, "window"]:
    """The first frames of all windows, `stride` apart; the last window ends on the last frame.

    Raises:
      ValueError: if num_frames, length, interval or stride is not positive.
    """
    _require_positive(num_frames=num_frames, length=length, interval=interval, stride=stride)
    last = max(0, num_frames - 1 - interval * (length - 1))
    return np.append(np.arange(0, last, stride), last)


def sliding_windows(num_frames: int, length: int, interval: int, stride: int) -> Int[np.ndarray, "window time"]:
    """Frames of every window, `stride` apart; the last one ends on the last frame.

    A clip shorter than a window yields one window that repeats its last frame.

    Raises:
      ValueError: if num_frames, length, interval or stride is not positive.
    """
    starts = window_starts(num_frames, length, interval, stride)
    return np.stack([window(num_frames, length, interval, start) for start in starts.tolist()])


def resampled(num_frames: int, fps: float, target_fps: float) -> Int[np.ndarray, "frame"]:
    """The frames that a clip of `fps` frames a second shows at the instants of `target_fps`: the last one begun.

    Raises:
      ValueError: if num_frames, fps or target_fps is not positive.
    """
    _require_positive(num_frames=num_frames, fps=fps, target_fps=target_fps)
    count = max(1, round(num_frames * target_fps / fps))
    # The small addend keeps an instant that falls on a frame from rounding down to the one before.
    return np.minimum((np.arange(count) * fps / target_fps + 1e-6).astype(int), num_frames - 1)


def check_sampling(clip: ConfigDict) -> None:
    """Checks the section `clip` of a config before anything is read.

    Raises:
      ValueError: naming the key, its value and what is allowed.
    """
    if clip.sampling not in SAMPLINGS:
        raise ValueError(f"config.clip.sampling is {clip.sampling!r}; allowed: {', '.join(SAMPLINGS)}")
    for key in ("num_frames", "frame_interval", "window_stride"):
        if clip[key] < 1:
            raise ValueError(f"config.clip.{key} is {clip[key]}; allowed: 1 or more")
    if clip.sampling == "sliding_window" and (clip.frame_interval != 1 or clip.window_stride > clip.num_frames):
        raise ValueError(
            f"config.clip has frame_interval {clip.frame_interval} and window_stride {clip.window_stride}; sampling "
            f"'sliding_window' skips no frame: allowed are an interval of 1 and a stride up to num_frames, "
            f"{clip.num_frames}"
        )
    if clip.sampling == "fps" and clip.fps <= 0:
        raise ValueError(f"config.clip.fps is {clip.fps}; sampling 'fps' needs a positive number of frames a second")


def windows_per_clip(num_frames: Int[np.ndarray, "clip"], clip: ConfigDict) -> Int[np.ndarray, "clip"]:
    """How many training samples every clip gives: all its windows for `sliding_window`, else one."""
    if clip.sampling != "sliding_window":
        return np.ones_like(num_frames)
    lasts = np.maximum(0, num_frames - clip.num_frames)
    return -(-lasts // clip.window_stride) + 1


def training_frames(num_frames: int, fps: float, clip: ConfigDict, rng: np.random.Generator) -> Int[np.ndarray, "time"]:
    """The frames of one training sample drawn at random; `clip` is that section of the config."""
    if clip.sampling == "uniform":
        return uniform(num_frames, clip.num_frames)
    if clip.sampling == "sequence":
        return window(num_frames, clip.num_frames, 1, 0)
    if clip.sampling == "random_segment":
        return random_segment(num_frames, clip.num_frames, rng)
    frames = _timeline(num_frames, fps, clip)
    last_start = max(0, len(frames) - 1 - clip.frame_interval * (clip.num_frames - 1))
    start = int(rng.integers(last_start + 1))
    return frames[window(len(frames), clip.num_frames, clip.frame_interval, start)]


def evaluation_frames(
    num_frames: int, fps: float, clip: ConfigDict, num_views: int = 0
) -> Int[np.ndarray, "view time"]:
    """The frames of every view of a clip in evaluation, the same at each call.

    Args:
      num_frames: of the clip.
      fps: of the clip, frames a second.
      clip: that section of the config.
      num_views: how many views. For `uniform` and `random_segment` they are frames at other places of the same
        segments, for the others windows evenly spaced over the clip. 0 stands for the middles of the segments, and for
        all windows `clip.window_stride` apart. A stored sequence has one view.
    """
    if clip.sampling in ("uniform", "random_segment"):
        places = (np.arange(num_views or 1) + 0.5) / (num_views or 1)
        return np.stack([uniform(num_frames, clip.num_frames, place) for place in places.tolist()])
    if clip.sampling == "sequence":
        return window(num_frames, clip.num_frames, 1, 0)[None]
    frames = _timeline(num_frames, fps, clip)
    if not num_views:
        return frames[sliding_windows(len(frames), clip.num_frames, clip.frame_interval, clip.window_stride)]
    last = max(0, len(frames) - 1 - clip.frame_interval * (clip.num_frames - 1))
    starts = np.rint(np.linspace(0, last, num_views)) if num_views > 1 else np.asarray([last // 2])
    windows = [window(len(frames), clip.num_frames, clip.frame_interval, int(start)) for start in starts]
    return frames[np.stack(windows)]


def _timeline(num_frames: int, fps: float, clip: ConfigDict) -> Int[np.ndarray, "frame"]:
    """The frames among which windows are taken: all, or those at a fixed rate."""
    return resampled(num_frames, fps, clip.fps) if clip.sampling == "fps" else np.arange(num_frames)
