"""What a page about data shows, and which of the clips."""

import dataclasses
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from jaxtyping import UInt8

from jaxvid.data.show.facts import Facts
from jaxvid.data.show.network import NetworkClip
from jaxvid.types import ConfigDict

# Clips whose frames are shown, of all classes together and of one: a page must stay small, whatever the dataset.
MAX_SAMPLES = 96
_MAX_OF_CLASS = 6
# Clips whose inputs of a network are shown. An even number: mixup and CutMix take pairs.
_NUM_NETWORK_CLIPS = 4
# Where the frames of a sample are, as shares of its length; the check of folders compares the same.
POSITIONS = (1 / 6, 1 / 2, 5 / 6)
# Among so many clips of a class those of different sources are looked for.
_MAX_CANDIDATES = 500


class Sample(NamedTuple):
    """A clip whose frames are shown.

    Attributes:
      row: of the clip among the facts.
      frames: at POSITIONS.
    """

    row: int
    frames: UInt8[np.ndarray, "time height width 3"]


@dataclasses.dataclass(frozen=True, eq=False)
class ShownData:
    """A dataset or a folder as its page shows it.

    Attributes:
      name: of the dataset, or the path of the folder.
      details: name to value of what it is.
      facts: its numbers.
      samples: clips of every class, one class after another.
      differences: in what the classes differ besides content, one sentence each.
      alike: sentences on clips that look alike; None if nobody looked for them.
      problems: files that do not decode, with the reason; None if nobody tried them all.
      config: whose inputs are shown; None for no inputs.
      inputs: what the network gets of a few clips.
    """

    name: str
    details: dict[str, str]
    facts: Facts
    samples: list[Sample]
    differences: list[str]
    alike: list[str] | None = None
    problems: list[tuple[str, str]] | None = None
    config: ConfigDict | None = None
    inputs: Sequence[NetworkClip] = ()


def sample_rows(facts: Facts) -> list[list[int]]:
    """Chooses clips of every class, at random but the same at every call, and of as many sources as there are.

    Of many classes each has fewer clips, and of more than MAX_SAMPLES only the first have any.
    """
    rng = np.random.default_rng(0)
    labels, sources = facts.column("label"), facts.clips["source"]
    num_classes = min(len(facts.class_names), MAX_SAMPLES)
    limit = min(_MAX_OF_CLASS, MAX_SAMPLES // num_classes)
    chosen = []
    for label in range(num_classes):
        rows = np.flatnonzero(labels == label)
        rows = rng.choice(rows, min(len(rows), _MAX_CANDIDATES), replace=False)
        spread = _spread_over_sources(rows.tolist(), sources.take(pa.array(rows)).to_pylist())
        chosen.append(sorted(spread[:limit]))
    return chosen


def _spread_over_sources(rows: Sequence[int], sources: Iterable[str]) -> list[int]:
    """Returns first one row of each source, then the others."""
    seen: dict[str, int] = {}
    for row, source in zip(rows, sources, strict=True):
        seen.setdefault(source, row)
    first = list(seen.values())
    return first + [row for row in rows if row not in set(first)]


def network_rows(facts: Facts, samples: Sequence[Sequence[int]]) -> list[int]:
    """Chooses clips for the inputs of a network: of the samples to train on, those of different classes in turn."""
    splits = facts.column("split")
    training = [[row for row in of_class if splits[row] == 0] for of_class in samples]
    depth = max(map(len, training), default=0)
    in_turn = [of_class[place] for place in range(depth) for of_class in training if place < len(of_class)]
    return in_turn[:_NUM_NETWORK_CLIPS]
