"""The result of running a checkpoint over a split or a folder, before metrics are computed."""

import dataclasses
from collections.abc import Callable

import numpy as np
import pyarrow as pa
from jaxtyping import UInt8

from jaxvid.inference import Predicted


@dataclasses.dataclass(frozen=True)
class Evaluated:
    """The result of running a checkpoint over a split or a folder.

    Attributes:
      predicted: predictions of every clip, and of its views; the classes are the model's.
      frames_of: returns the frames of the clip at an index of `predicted.clips`.
      rows: of the evaluated clips in a clip index (`tfds_builders.clip_index`).
      details: name to value of what was evaluated, for the report.
    """

    predicted: Predicted
    frames_of: Callable[[int], UInt8[np.ndarray, "time height width 3"]]
    rows: pa.Table
    details: dict[str, str]
