"""The content of `statistics.json`: what a split is made of, and the properties of its files by class."""

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, NotRequired, TypedDict

import numpy as np

from tfds_builders.video_files import VideoFile

if TYPE_CHECKING:
    # Not at run time: reading a prepared dataset needs neither decord nor OpenCV.
    from jaxvid.video.properties import PropertiesSummary, VideoProperties


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
    classes: dict[str, "PropertiesSummary"]


class SplitStatistics:
    """Counts the videos and examples of a split."""

    def __init__(self):
        self._examples: Counter[str] = Counter()
        self._samples: Counter[str] = Counter()
        self._properties: dict[str, VideoProperties] = {}
        self._videos_by_class: dict[str, list[str]] = defaultdict(list)

    def add(self, video: VideoFile, audio: np.ndarray | None) -> int:
        """Counts an example of a video; returns its number among the video's examples."""
        from jaxvid.video.properties import read_properties

        number = self._examples[video.filename]
        if not number:
            self._properties[video.filename] = read_properties(video.path)
            self._videos_by_class[video.label].append(video.filename)
        self._examples[video.filename] += 1
        self._samples[video.filename] += 0 if audio is None else len(audio)
        return number

    def properties_of(self, video: VideoFile) -> "VideoProperties":
        """Returns the properties of a video of which an example has been counted."""
        return self._properties[video.filename]

    def summary(self, *, with_sound: bool) -> SplitSummary:
        """Returns the statistics; `with_sound` adds the names of videos without sound."""
        from jaxvid.video.properties import summarize_properties

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
