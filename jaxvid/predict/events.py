"""Per-window probabilities along a video, and the events detected from them.

A window's probabilities hold for the time around its middle: up to half way to the middles of its neighbors. The first
window's hold from the beginning of the video, the last window's to its end.
"""

import csv
import dataclasses
import functools
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from jaxvid.calibration import Threshold
from jaxvid.files import replacing
from jaxvid.tables import quoted_formula


@dataclasses.dataclass(frozen=True, eq=False)
class Timeline:
    """The windows of a video in order of time, with their probabilities.

    Attributes:
      starts: seconds at which the windows begin.
      ends: seconds at which they end.
      probabilities: probability of every class in every window.
      class_names: classes in the order of the probabilities.
      positive_class: the positive one of two classes; None if it is not known, and of more classes.
      threshold: that decides between two classes; None for the most probable class.
    """

    starts: Float[np.ndarray, "window"]
    ends: Float[np.ndarray, "window"]
    probabilities: Float[np.ndarray, "window classes"]
    class_names: list[str]
    positive_class: str | None = None
    threshold: Threshold | None = None

    @functools.cached_property
    def edges(self) -> Float[np.ndarray, "edge"]:
        """Seconds between which the probabilities of one window hold; one more than there are windows."""
        middles = (self.starts + self.ends) / 2
        return np.concatenate([self.starts[:1], (middles[1:] + middles[:-1]) / 2, self.ends[-1:]])

    @property
    def drawn_classes(self) -> list[str]:
        """Classes whose probabilities are drawn: the positive one of two, which implies the other's; else all."""
        return self.class_names if self.positive_class is None else [self.positive_class]

    def of_class(self, class_name: str) -> Float[np.ndarray, "window"]:
        """Returns the probability of one class in every window."""
        return self.probabilities[:, self.class_names.index(class_name)]

    def at(self, seconds: float) -> Float[np.ndarray, "classes"]:
        """Returns the probabilities at a time; outside the video, those of the first or the last window."""
        index = int(np.searchsorted(self.edges, seconds, side="right")) - 1
        return self.probabilities[min(max(index, 0), len(self.starts) - 1)]

    def mean(self) -> Float[np.ndarray, "classes"]:
        """Returns the mean probabilities of all windows."""
        return self.probabilities.mean(axis=0)

    def decide(self, probabilities: Float[np.ndarray, "classes"]) -> str:
        """Returns the class that probabilities decide for: by the threshold, without one the most probable."""
        if self.threshold is None:
            return self.class_names[int(probabilities.argmax())]
        [label] = self.threshold.decide(probabilities[None], self.class_names)
        return self.class_names[label]


@dataclasses.dataclass(frozen=True)
class Segment:
    """A stretch of a video in which one class is the most probable.

    Attributes:
      start: seconds since the video's first frame.
      end: seconds since the video's first frame.
      class_name: the class.
      probability: mean probability of the class over the windows of the segment.
    """

    start: float
    end: float
    class_name: str
    probability: float


def find_segments(timeline: Timeline) -> list[Segment]:
    """Divides the whole video into segments of one class each, such as the genres along a film."""
    predicted = timeline.probabilities.argmax(axis=1)
    begins = np.flatnonzero(np.diff(predicted, prepend=-1))
    ends = np.append(begins[1:], len(predicted))
    return [
        Segment(
            float(timeline.edges[begin]),
            float(timeline.edges[end]),
            timeline.class_names[predicted[begin]],
            float(timeline.probabilities[begin:end, predicted[begin]].mean()),
        )
        for begin, end in zip(begins, ends, strict=True)
    ]


@dataclasses.dataclass(frozen=True)
class Event:
    """A stretch of time in which the network detects a class.

    Attributes:
      class_name: the class.
      onset: second at which the event begins.
      offset: second at which it ends; None while it lasts.
      peak: second of the highest probability.
      probability: the highest probability.
    """

    class_name: str
    onset: float
    offset: float | None
    peak: float
    probability: float


@dataclasses.dataclass(frozen=True)
class Thresholds:
    """Probabilities at which events begin and end (hysteresis).

    Attributes:
      on: probability at which an event begins.
      off: probability below which it ends.
      min_seconds: shortest event; shorter ones are discarded.

    Raises:
      ValueError: if a value is out of range.
    """

    on: float = 0.6
    off: float = 0.4
    min_seconds: float = 0.0

    @classmethod
    def around(cls, threshold: float) -> "Thresholds":
        """Returns those that go with a decision threshold.

        An event begins a fifth of the way from the threshold to 1 and ends a fifth of the way to 0: at 0.6 and 0.4 with
        a threshold of 0.5, at 0.44 and 0.24 with 0.3.
        """
        return cls(threshold + 0.2 * (1 - threshold), 0.8 * threshold)

    def __post_init__(self):
        if not 0 <= self.off <= self.on <= 1:
            raise ValueError(
                f"on_threshold is {self.on:g} and off_threshold {self.off:g}; allowed: 0 <= off_threshold <= "
                "on_threshold <= 1"
            )
        if self.min_seconds < 0:
            raise ValueError(f"min_seconds is {self.min_seconds:g}; allowed: 0 or more")


class EventTracker:
    """Detects the events of one class window by window, and reports them as they begin and end."""

    def __init__(self, class_name: str, thresholds: Thresholds):
        """Makes a tracker that has seen no window yet."""
        self._class_name = class_name
        self._thresholds = thresholds
        self._event: Event | None = None
        self._reported = False

    def update(self, begin: float, end: float, probability: float) -> Iterator[tuple[str, Event]]:
        """Adds a stretch of time; yields ("onset", event) once an event is long enough, ("offset", event) at its end.

        Args:
          begin: second at which the stretch begins, where the one before ended.
          end: second at which it ends.
          probability: probability of the class in the stretch.
        """
        middle = (begin + end) / 2
        if self._event is None:
            if probability < self._thresholds.on:
                return
            self._event, self._reported = Event(self._class_name, begin, None, middle, probability), False
        elif probability < self._thresholds.off:
            yield from self.finish(begin)
            return
        elif probability > self._event.probability:
            self._event = dataclasses.replace(self._event, peak=middle, probability=probability)
        if not self._reported and end - self._event.onset >= self._thresholds.min_seconds:
            self._reported = True
            yield "onset", self._event

    def finish(self, end: float) -> Iterator[tuple[str, Event]]:
        """Ends the open event, if one has been reported."""
        if self._event is not None and self._reported:
            yield "offset", dataclasses.replace(self._event, offset=end)
        self._event = None


def event_classes(
    class_names: Sequence[str], chosen: Sequence[str] = (), positive_class: str | None = None
) -> list[str]:
    """Returns the classes whose events are detected: those chosen, else the positive one, else all.

    Raises:
      ValueError: if a chosen one is no class.
    """
    for name in chosen:
        if name not in class_names:
            raise ValueError(f"event class {name!r} is no class of the model; allowed: {', '.join(class_names)}")
    return list(chosen) or ([positive_class] if positive_class else list(class_names))


def find_events(timeline: Timeline, classes: Sequence[str], thresholds: Thresholds) -> list[Event]:
    """Detects the events of a whole video, and returns them in order of their onset."""
    events = []
    edges = timeline.edges.tolist()
    for name in classes:
        tracker = EventTracker(name, thresholds)
        for begin, end, probability in zip(edges, edges[1:], timeline.of_class(name).tolist(), strict=False):
            events += [event for kind, event in tracker.update(begin, end, probability) if kind == "offset"]
        events += [event for _, event in tracker.finish(edges[-1])]
    return sorted(events, key=lambda event: event.onset)


def write_timeline(timeline: Timeline, path: Path) -> None:
    """Writes every window's start and end in seconds and the probability of every class as CSV."""
    with replacing(path) as unfinished, unfinished.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["start", "end", *(f"probability_{name}" for name in timeline.class_names)])
        for start, end, row in zip(timeline.starts, timeline.ends, timeline.probabilities.tolist(), strict=True):
            writer.writerow([f"{start:.3f}", f"{end:.3f}", *(f"{value:.6f}" for value in row)])


def write_segments(segments: Sequence[Segment], path: Path) -> None:
    """Writes every segment's start and end in seconds, class and mean probability as CSV.

    A class that a spreadsheet would take for a formula has a quote before it (`jaxvid.tables.quoted_formula`).
    """
    with replacing(path) as unfinished, unfinished.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["start", "end", "class", "probability"])
        for segment in segments:
            times = f"{segment.start:.3f}", f"{segment.end:.3f}"
            writer.writerow([*times, quoted_formula(segment.class_name), f"{segment.probability:.6f}"])


def write_events(events: Sequence[Event], path: Path) -> None:
    """Writes the events as a list of JSON objects."""
    with replacing(path) as unfinished:
        unfinished.write_text(json.dumps([dataclasses.asdict(event) for event in events], indent=2) + "\n")
