"""Splits by ratio: deterministic, stratified by class, with all videos of one source in one split."""

import dataclasses
import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from tfds_builders.video_files import VideoFile


def split_by_source(videos: Sequence[VideoFile], ratios: Mapping[str, float]) -> list[VideoFile]:
    """Returns the videos with their splits; all videos of one source are in the same split.

    Sources are assigned one by one, those with the most videos first, each to the split where it brings the counts of
    its classes closest to the ratios. A class too small for its ratio gets one video in every split. Where every video
    is its own source, the counts are exact. The same videos give the same splits, in whatever order.

    Args:
      videos: of the dataset; their `split` is ignored.
      ratios: the share of each split, such as `{"train": 0.8, "test": 0.2}`.

    Raises:
      ValueError: if the ratios are not positive or do not sum to 1, if a split would stay empty, or if a class has
        fewer sources than there are splits.
    """
    check_ratios(ratios)
    sources: dict[str, list[str]] = defaultdict(list)
    for video in videos:
        sources[video.source].append(video.label)
    split_of = _assign_sources(sources, ratios)
    if empty := [name for name in ratios if name not in split_of.values()]:
        raise ValueError(
            f"{len(videos)} videos of {len(sources)} sources are too few for the splits {dict(ratios)}: "
            f"{', '.join(empty)} would be empty"
        )
    _check_sources_of_classes(videos, ratios)
    return [dataclasses.replace(video, split=split_of[video.source]) for video in videos]


def _assign_sources(sources: Mapping[str, Sequence[str]], ratios: Mapping[str, float]) -> dict[str, str]:
    """Returns the split of every source; `sources` has the labels of their videos."""
    labels = sorted({label for of_source in sources.values() for label in of_source})
    counts = {
        source: np.array([sum(own == label for own in of_source) for label in labels])
        for source, of_source in sources.items()
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
    return split_of


def _check_sources_of_classes(videos: Sequence[VideoFile], ratios: Mapping[str, float]) -> None:
    sources: dict[str, set[str]] = defaultdict(set)
    for video in videos:
        sources[video.label].add(video.source)
    for label, of_class in sources.items():
        if len(of_class) < len(ratios):
            raise ValueError(
                f"class {label!r} has {len(of_class)} source video(s), such as {min(of_class)}, for the splits "
                f"{', '.join(ratios)}: add videos, or make folders of these names with the classes in them"
            )


def check_ratios(ratios: Mapping[str, float]) -> None:
    """Raises a ValueError unless the ratios are positive and sum to 1."""
    if not ratios or min(ratios.values()) <= 0 or abs(sum(ratios.values()) - 1) > 1e-6:
        raise ValueError(f"the ratios of the splits must be positive and sum to 1, got {dict(ratios)}")


def in_mixed_order(videos: Sequence[VideoFile]) -> list[VideoFile]:
    """Returns the videos in an order that depends on their names alone and mixes the classes."""
    return sorted(videos, key=lambda video: _scramble(video.filename))


def _scramble(text: str) -> bytes:
    return hashlib.sha256(text.encode(errors="surrogateescape")).digest()
