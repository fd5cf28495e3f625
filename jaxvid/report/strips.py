"""Frames side by side, as one image of a page."""

import cv2
import numpy as np
from jaxtyping import UInt8

_GAP = 3


def side_by_side(
    frames: UInt8[np.ndarray, "time height width 3"], height: int
) -> UInt8[np.ndarray, "strip_height strip_width 3"]:
    """Returns frames as one image of that height, with gray gaps between them."""
    scale = height / frames.shape[1]
    size = (max(1, round(frames.shape[2] * scale)), height)
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    resized = [cv2.resize(frame, size, interpolation=interpolation) for frame in frames]
    gap = np.full((height, _GAP, 3), 127, np.uint8)
    with_gaps = [part for frame in resized for part in (frame, gap)][:-1]
    return np.concatenate(with_gaps, axis=1)


def jpeg(image: UInt8[np.ndarray, "height width 3"]) -> bytes:
    """Encodes an RGB image as a JPEG file."""
    _, encoded = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 88])
    return encoded.tobytes()
