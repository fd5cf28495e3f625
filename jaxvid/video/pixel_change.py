"""How much the pixels of a clip change: the motion, and little else, of a few small gray frames."""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import UInt8

_NUM_FRAMES = 16
_WIDTH, _HEIGHT = 160, 120


class PixelChange(NamedTuple):
    """The absolute difference between neighbors of 16 evenly spaced gray frames of 160x120, in gray levels (0 to 255).

    Attributes:
      mean: over all pixels of all pairs of neighbors.
      spread: standard deviation over the same.
      maximum: over the same.
      spread_over_time: standard deviation, over the pairs, of their means.
      maximum_over_time: maximum, over the pairs, of their means.
    """

    mean: float
    spread: float
    maximum: float
    spread_over_time: float
    maximum_over_time: float


def pixel_change(frames: Sequence[bytes]) -> PixelChange:
    """Returns how much the pixels of a clip change; zeros for a single frame.

    Args:
      frames: JPEG images, at least one. Of fewer than 16 frames, all are taken.

    Raises:
      ValueError: if one of the 16 is no JPEG image.
    """
    positions = np.unique(np.linspace(0, len(frames) - 1, _NUM_FRAMES).round().astype(int))
    if len(positions) < 2:
        return PixelChange(0.0, 0.0, 0.0, 0.0, 0.0)
    gray = np.stack([_small_gray(frames[position]) for position in positions]).astype(np.float32)
    differences = np.abs(np.diff(gray, axis=0))
    of_pairs = differences.mean(axis=(1, 2))
    values = (differences.mean(), differences.std(), differences.max(), of_pairs.std(), of_pairs.max())
    return PixelChange(*map(float, values))


def _small_gray(frame: bytes) -> UInt8[np.ndarray, "120 160"]:
    image = cv2.imdecode(np.frombuffer(frame, np.uint8), cv2.IMREAD_GRAYSCALE)
    if image is None:
        raise ValueError("a frame is no JPEG image")
    return np.asarray(cv2.resize(image, (_WIDTH, _HEIGHT), interpolation=cv2.INTER_AREA), np.uint8)
