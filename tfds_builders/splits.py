"""Splitting clips by ratio: deterministic, stratified by class, and never through the middle of a source video."""

import dataclasses
import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from tfds_builders.clips import Clip


def split_by_source(clips: Sequence[Clip], ratios: Mapping[str, float]) -> list[Clip]:
    """The clips with their splits filled in; all clips of one source are in the same split.

    Each source, those with the most clips first, goes where it brings the class counts closest to the ratios, of small
    classes to one clip in every split. Where every clip is its own source, the counts are exact. The same clips always
    give the same splits, in whatever order.

    Args:
      clips: the clips; their `split` is ignored.
      ratios: the share of each split, such as `{"train": 0.8, "test": 0.2}`.

    Raises:
      ValueError: if the ratios are not positive or do not sum to 1, if a split would stay empty, or if a class has
        fewer sources than there are splits.
    """
    check_ratios(ratios)
    labels = sorted({clip.label for clip in clips})
    sources = defaultdict(list)
    for clip in clips:
        sources[clip.source].append(clip)
    counts = {
        source: np.array([sum(clip.label == label for clip in members) for label in labels])
        for source, members in sources.items()
    }
    shares = np.array(list(ratios.values()))
    targets = np.maximum(shares[:, None] * sum(counts.values()), 1.0)
    filled = np.zeros_like(targets)
    split_of = {}
    for source in sorted(sources, key=lambda source: (-len(sources[source]), _scramble(source))):
        # The growth of sum((filled - target)^2 / target), over the classes of this source, by split.
        costs = (counts[source] * (2 * (filled - targets) + counts[source]) / targets).sum(axis=1)
        position = int(np.argmin(costs))
        filled[position] += counts[source]
        split_of[source] = list(ratios)[position]
    if empty := [name for name in ratios if name not in split_of.values()]:
        raise ValueError(
            f"{len(clips)} clips of {len(sources)} sources are too few for the splits {dict(ratios)}: "
            f"{', '.join(empty)} would be empty"
        )
    for label, sources_of in _sources_by_class(clips).items():
        if len(sources_of) < len(ratios):
            raise ValueError(
                f"class {label!r} has {len(sources_of)} source video(s), such as {min(sources_of)}, for the splits "
                f"{', '.join(ratios)}: add videos, or make folders of these names with the classes in them"
            )
    return [dataclasses.replace(clip, split=split_of[clip.source]) for clip in clips]


def _sources_by_class(clips: Sequence[Clip]) -> dict[str, set[str]]:
    sources: dict[str, set[str]] = defaultdict(set)
    for clip in clips:
        sources[clip.label].add(clip.source)
    return sources


def check_ratios(ratios: Mapping[str, float]) -> None:
    """Raises a ValueError unless the ratios are positive and sum to 1."""
    if not ratios or min(ratios.values()) <= 0 or abs(sum(ratios.values()) - 1) > 1e-6:
        raise ValueError(f"the ratios of the splits must be positive and sum to 1, got {dict(ratios)}")


def in_mixed_order(clips: Sequence[Clip]) -> list[Clip]:
    """The clips in an order that depends on their names alone and has no runs of one class, so that slices are fair."""
    return sorted(clips, key=lambda clip: _scramble(clip.filename))


def _scramble(text: str) -> bytes:
    return hashlib.sha256(text.encode(errors="surrogateescape")).digest()
