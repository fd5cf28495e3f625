"""Metrics of events that were found in videos: precision, recall, false alarms an hour, average precision.

Matching is that of ActivityNet (F. C. Heilbron et al., CVPR 2015) and THUMOS (H. Idrees et al., CVIU 2017): events are
taken in order of falling probability; each is matched with the true event of its video that it overlaps most by
temporal IoU (the length that two events share over the length that they cover), of those not matched before, if that
IoU reaches a threshold. So a true event counts once, and a second event found on it is a false alarm.
"""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple, TypedDict

import numpy as np
from jaxtyping import Bool, Float, Int

from jaxvid.metrics.bootstrap import resample_counts
from jaxvid.metrics.classification import Estimate, estimate

THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5)


@dataclasses.dataclass(frozen=True, eq=False)
class Events:
    """Events of one class in several videos.

    Attributes:
      video: index of the video of every event.
      onsets: seconds at which they begin.
      offsets: seconds at which they end.
      probabilities: their highest probabilities; for true events, anything.
    """

    video: Int[np.ndarray, "event"]
    onsets: Float[np.ndarray, "event"]
    offsets: Float[np.ndarray, "event"]
    probabilities: Float[np.ndarray, "event"]

    @classmethod
    def of(cls, rows: Sequence[tuple[int, float, float, float]]) -> "Events":
        """Makes events of rows of video, onset, offset and probability."""
        video, *columns = np.asarray(rows, dtype=np.float64).reshape(-1, 4).T
        return cls(video.astype(np.int64), *columns)

    def __len__(self) -> int:
        return len(self.video)


class Matching(NamedTuple):
    """Which events count, and as what.

    Attributes:
      right: whether each event that was found is a true one.
      counted: whether it counts: it is right, or overlaps no event that is left out.
      found: whether each true event was found.
    """

    right: Bool[np.ndarray, "event"]
    counted: Bool[np.ndarray, "event"]
    found: Bool[np.ndarray, "true_event"]


class EventMetrics(TypedDict):
    """Metrics at one demand on the overlap; an average precision of any overlap is None."""

    num_right: int
    num_false_alarms: int
    num_missed: int
    precision: Estimate
    recall: Estimate
    f1: Estimate
    false_alarms_per_hour: Estimate
    average_precision: float | None


def temporal_iou(
    onset: float, offset: float, onsets: Float[np.ndarray, "other"], offsets: Float[np.ndarray, "other"]
) -> Float[np.ndarray, "other"]:
    """Returns the temporal IoU of one event with others; 0 where they share nothing."""
    shared = np.minimum(offset, offsets) - np.maximum(onset, onsets)
    covered = np.maximum(offset, offsets) - np.minimum(onset, onsets)
    return np.divide(shared, covered, out=np.zeros(len(onsets)), where=shared > 0)


def match(found: Events, true: Events, left_out: Events, threshold: float | None) -> Matching:
    """Matches the events that were found with true ones.

    Args:
      found: in any order.
      true: of the same class.
      left_out: events of which nobody knows if they are true: what was found there, and is not right, does not count.
      threshold: least temporal IoU of a match; None if any overlap will do, and one event may match several.
    """
    of_true, of_left_out = _overlaps(found, true), _overlaps(found, left_out)
    right, taken = np.zeros(len(found), bool), np.zeros(len(true), bool)
    for event in np.argsort(-found.probabilities, kind="stable"):
        candidates = [index for index, iou in of_true[event] if iou >= (threshold or 0.0)]
        if threshold is not None:
            candidates = [index for index in candidates if not taken[index]][:1]
        right[event] = bool(candidates)
        taken[candidates] = True
    unknown = np.array([any(iou >= (threshold or 0.0) for _, iou in pairs) for pairs in of_left_out], bool)
    return Matching(right, right | ~unknown, taken)


def _overlaps(found: Events, others: Events) -> list[list[tuple[int, float]]]:
    """Returns for each event that was found the others that it overlaps, with their IoU, the highest first."""
    by_onset = np.lexsort((others.onsets, others.video))
    bounds = np.searchsorted(others.video[by_onset], [found.video, found.video + 1]).T
    of_video = {begin: _Sorted(others, by_onset[begin:end]) for begin, end in np.unique(bounds, axis=0).tolist()}
    return [
        of_video[begin].overlapped(float(onset), float(offset))
        for (begin, _), onset, offset in zip(bounds.tolist(), found.onsets, found.offsets, strict=True)
    ]


class _Sorted:
    """The events of one video in order of their onsets: of ten thousand, only few can overlap one event."""

    def __init__(self, events: Events, indices: Int[np.ndarray, "event"]):
        self._indices = indices
        self._onsets, self._offsets = events.onsets[indices], events.offsets[indices]
        self._latest = np.maximum.accumulate(self._offsets)

    def overlapped(self, onset: float, offset: float) -> list[tuple[int, float]]:
        """Returns the indices of the events that an event overlaps, with their IoU, the highest first."""
        near = slice(np.searchsorted(self._latest, onset, side="right"), np.searchsorted(self._onsets, offset))
        ious = temporal_iou(onset, offset, self._onsets[near], self._offsets[near])
        order = np.argsort(-ious, kind="stable")[: int((ious > 0).sum())]
        return [(int(index), float(iou)) for index, iou in zip(self._indices[near][order], ious[order], strict=True)]


def average_precision(right: Bool[np.ndarray, "event"], num_true: int) -> float | None:
    """Returns the area under the curve of precision over recall; None if there is no true event.

    The precision at a recall is the highest at that recall or a greater one, as in ActivityNet. Events below the
    threshold of detection were never found, so that this is a lower bound of the area of all thresholds.

    Args:
      right: whether each event that counts is right, in order of falling probability.
      num_true: number of true events.
    """
    if not num_true:
        return None
    precision = np.cumsum(right) / np.arange(1, len(right) + 1)
    highest = np.maximum.accumulate(precision[::-1])[::-1]
    return float(highest[right].sum() / num_true)


def event_metrics(
    found: Events,
    true: Events,
    left_out: Events,
    hours: Float[np.ndarray, "video"],
    threshold: float | None,
    *,
    num_resamples: int = 1000,
    seed: int = 0,
) -> EventMetrics:
    """Computes the metrics of one class, with 95 % intervals over resamples of the videos.

    Args:
      found: events that were found.
      true: true events.
      left_out: as in `match`.
      hours: length of every video.
      threshold: as in `match`.
      num_resamples: bootstrap resamples.
      seed: of the resamples.
    """
    matching = match(found, true, left_out, threshold)
    counted = found.video[matching.counted]
    num_videos = len(hours)
    sums = np.stack(
        [
            np.bincount(found.video[matching.right], minlength=num_videos),
            np.bincount(counted, minlength=num_videos),
            np.bincount(true.video[matching.found], minlength=num_videos),
            np.bincount(true.video, minlength=num_videos),
            hours,
        ]
    ).astype(np.float64)
    samples = sums @ resample_counts([str(video) for video in range(num_videos)], num_resamples, seed)
    values, resampled = _rates(sums.sum(axis=1, keepdims=True)), _rates(samples)
    ranked = np.argsort(-found.probabilities, kind="stable")
    ranked = ranked[matching.counted[ranked]]
    area = None if threshold is None else average_precision(matching.right[ranked], len(true))
    # One video has no interval: all its resamples are itself.
    estimates = {
        name: estimate(float(value[0]), resampled[name] if num_videos > 1 else None) for name, value in values.items()
    }
    return {
        "num_right": int(matching.right.sum()),
        "num_false_alarms": int(len(counted) - matching.right.sum()),
        "num_missed": int(len(true) - matching.found.sum()),
        "precision": estimates["precision"],
        "recall": estimates["recall"],
        "f1": estimates["f1"],
        "false_alarms_per_hour": estimates["false_alarms_per_hour"],
        "average_precision": area,
    }


def _rates(sums: Float[np.ndarray, "5 resample"]) -> dict[str, Float[np.ndarray, "resample"]]:
    """Returns the rates of sums of events that are right, that count, true ones found, true ones, and of hours."""
    right, counted, found, true, hours = sums
    with np.errstate(divide="ignore", invalid="ignore"):
        precision, recall = right / counted, found / true
        f1 = np.where(right + found > 0, 2 * precision * recall / (precision + recall), 0.0)
        # Without an event that counts or is true, there is nothing to be right about.
        f1 = np.where(counted + true > 0, f1, np.nan)
        return {"precision": precision, "recall": recall, "f1": f1, "false_alarms_per_hour": (counted - right) / hours}
