"""Predictions of several videos whose windows share the batches of a network."""

import collections
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from jaxvid.predict.batches import Classified, WindowClassifier
from jaxvid.predict.events import Timeline
from jaxvid.predict.windows import Window
from jaxvid.video.damage import Damage
from jaxvid.video.workers import InvalidVideo


class VideoPrediction(NamedTuple):
    """What is known of a video once its last window is classified.

    Attributes:
      video: position of its path.
      timeline: None if the video could not be read.
      problems: parts of the video that were not read as they were recorded.
      reason: why it could not be read; "" if it could.
    """

    video: int
    timeline: Timeline | None
    problems: Damage
    reason: str


class VideoEnd(NamedTuple):
    """Follows the last window of a video: what was wrong with it, or why it could not be read."""

    video: int
    outcome: Damage | InvalidVideo


def classified_videos(
    read: Iterable[tuple[int, Window | Damage | InvalidVideo]], classifier: WindowClassifier
) -> Iterator[Classified | VideoEnd]:
    """Yields the windows of videos as they are classified, and after the last one of each video its end.

    Args:
      read: the windows of each video, and last its Damage, or an InvalidVideo (`jaxvid.predict.reading.read_videos`).
      classifier: that has seen no window.
    """
    num_waiting: collections.Counter[int] = collections.Counter()
    ends: dict[int, VideoEnd] = {}

    def passed_on(classified: Iterable[Classified]) -> Iterator[Classified | VideoEnd]:
        for window in classified:
            num_waiting[window.video] -= 1
            yield window
        for video in [video for video in ends if not num_waiting[video]]:
            del num_waiting[video]
            yield ends.pop(video)

    for video, item in read:
        if isinstance(item, Window):
            num_waiting[video] += 1
            yield from passed_on(classifier.add(video, item))
        else:
            classifier.forget(video)
            ends[video] = VideoEnd(video, item)
            yield from passed_on(())
    yield from passed_on(classifier.finish())
