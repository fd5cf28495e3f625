"""What one evaluation found."""

import dataclasses
from collections.abc import Callable

import numpy as np
from jaxtyping import UInt8

from jaxvid.inference import Predicted


@dataclasses.dataclass(frozen=True)
class Evaluated:
    """What one evaluation found.

    Attributes:
      predicted: of every clip, and of its views.
      frames_of: the pictures of a clip, by its place among them.
      facts: what was evaluated, for the reader.
    """

    predicted: Predicted
    frames_of: Callable[[int], UInt8[np.ndarray, "time height width 3"]]
    facts: dict[str, str]
