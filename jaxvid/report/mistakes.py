"""The misclassified clips with the highest probabilities, as strips of frames."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int, UInt8

from jaxvid.metrics.predictions import Predictions
from jaxvid.report.strips import jpeg, side_by_side
from jaxvid.video.faces import blur_faces

_MAX_FRAMES = 8
_STRIP_HEIGHT = 160


@dataclass(frozen=True, eq=False)
class Mistake:
    """A misclassified clip.

    Attributes:
      clip: file name.
      source: video that the clip was cut from.
      label: name of the true class.
      predicted: name of the predicted class.
      probability: of the predicted class.
      label_probability: of the true class.
      num_frames: number of frames in the strip.
      strip: the frames side by side in order of time, RGB.
    """

    clip: str
    source: str
    label: str
    predicted: str
    probability: float
    label_probability: float
    num_frames: int
    strip: UInt8[np.ndarray, "height width 3"]

    def jpeg(self) -> bytes:
        """Encodes the strip as a JPEG file."""
        return jpeg(self.strip)


def worst_mistakes(
    predictions: Predictions, frames_of: Callable[[int], np.ndarray], *, limit: int = 8, without_faces: bool = False
) -> list[Mistake]:
    """Finds the `limit` misclassified clips with the highest probability of the wrong class, the worst first.

    Args:
      predictions: the evaluated split.
      frames_of: returns the frames of the clip at an index, (time, height, width, 3) uint8; called for these clips
        only.
      limit: greatest number to return.
      without_faces: whether faces are blurred in the strips.

    Raises:
      ValueError: if frames_of returns something else.
    """
    confidence = predictions.probabilities[np.arange(len(predictions.clips)), predictions.predicted]
    wrong = np.flatnonzero(predictions.labels != predictions.predicted)
    worst = wrong[np.argsort(-confidence[wrong], kind="stable")][:limit]
    return [_mistake(predictions, int(index), frames_of(int(index)), without_faces) for index in worst]


def _mistake(predictions: Predictions, index: int, frames: np.ndarray, without_faces: bool) -> Mistake:
    clip, names = predictions.clips[index], predictions.class_names
    label, predicted = predictions.labels[index], predictions.predicted[index]
    if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != np.uint8 or not frames.size:
        raise ValueError(
            f"frames_of must return (time, height, width, 3) uint8 frames, got {frames.shape} {frames.dtype} "
            f"for {clip!r}"
        )
    shown = frames[_spread(len(frames), _MAX_FRAMES)]
    shown = blur_faces(shown) if without_faces else shown
    return Mistake(
        clip=clip,
        source=predictions.sources[index],
        label=names[label],
        predicted=names[predicted],
        probability=float(predictions.probabilities[index, predicted]),
        label_probability=float(predictions.probabilities[index, label]),
        num_frames=len(shown),
        strip=side_by_side(shown, _STRIP_HEIGHT),
    )


def _spread(num_frames: int, limit: int) -> Int[np.ndarray, "time"]:
    return np.linspace(0, num_frames - 1, min(num_frames, limit)).round().astype(int)
