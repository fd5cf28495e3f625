"""The content of `statistics.json`: what a split is made of, and the properties of its files by class."""

from collections import Counter, defaultdict
from typing import NotRequired, TypedDict

from jaxvid.video.properties import PropertiesSummary, VideoProperties, summarize_properties
from tfds_builders.clip_index import ClipRow, properties_of


class SplitSummary(TypedDict):
    """The statistics of a split.

    Attributes:
      videos: number of videos.
      examples: number of examples.
      videos_without_sound: names of the videos without sound, where sound is stored.
      classes: properties of the files by class, before they were decoded.
    """

    videos: int
    examples: int
    videos_without_sound: NotRequired[list[str]]
    classes: dict[str, PropertiesSummary]


class SplitStatistics:
    """Counts the videos and examples of a split."""

    def __init__(self):
        self._examples: Counter[str] = Counter()
        self._samples: Counter[str] = Counter()
        self._properties: dict[str, VideoProperties] = {}
        self._videos_by_class: dict[str, list[str]] = defaultdict(list)

    def add(self, row: ClipRow) -> None:
        """Counts an example, of whose video the properties are known."""
        video = row["video"]
        if video not in self._properties:
            self._properties[video] = properties_of(row)
            self._videos_by_class[row["label"]].append(video)
        self._examples[video] += 1
        self._samples[video] += row["num_samples"]

    def summary(self, *, with_sound: bool) -> SplitSummary:
        """Returns the statistics; `with_sound` adds the names of videos without sound."""
        summary: SplitSummary = {
            "videos": len(self._examples),
            "examples": self._examples.total(),
            "classes": {
                label: summarize_properties([self._properties[name] for name in names])
                for label, names in sorted(self._videos_by_class.items())
            },
        }
        if with_sound:
            summary["videos_without_sound"] = [name for name, samples in self._samples.items() if not samples]
        return summary
