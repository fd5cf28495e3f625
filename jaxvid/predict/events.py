"""What a network says along a video, and the events in it.

A window's probabilities stand for the time around its middle: up to half way to the middles of its neighbors, those of
the first window from the beginning, those of the last one to the end.
"""

import csv
import dataclasses
import functools
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from jaxvid.files import replacing


@dataclasses.dataclass(frozen=True, eq=False)
class Timeline:
    """The windows of a video, in order of time.

    Attributes:
      starts: of the windows, in seconds.
      ends: likewise.
      probabilities: of every class.
      class_names: in the order of the probabilities.
    """

    starts: Float[np.ndarray, "window"]
    ends: Float[np.ndarray, "window"]
    probabilities: Float[np.ndarray, "window class"]
    class_names: list[str]

    @functools.cached_property
    def edges(self) -> Float[np.ndarray, "edge"]:
        """The times between which the probabilities of one window stand; one more than there are windows."""
        middles = (self.starts + self.ends) / 2
        return np.concatenate([self.starts[:1], (middles[1:] + middles[:-1]) / 2, self.ends[-1:]])

    def at(self, seconds: float) -> Float[np.ndarray, "class"]:
        """The probabilities that stand at a time; beyond the ends, those of the first and the last window."""
        index = int(np.searchsorted(self.edges, seconds, side="right")) - 1
        return self.probabilities[min(max(index, 0), len(self.starts) - 1)]

    def mean(self) -> Float[np.ndarray, "class"]:
        """The mean probabilities of all windows."""
        return self.probabilities.mean(axis=0)


@dataclasses.dataclass(frozen=True)
class Segment:
    """A stretch of a video over which one class is the most probable.

    Attributes:
      start: in seconds.
      end: in seconds.
      class_name: the class.
      probability: its mean over the windows of the stretch.
    """

    start: float
    end: float
    class_name: str
    probability: float


def find_segments(timeline: Timeline) -> list[Segment]:
    """The video from beginning to end as stretches of one class, such as the genres along a film."""
    called = timeline.probabilities.argmax(axis=1)
    begins = np.flatnonzero(np.diff(called, prepend=-1))
    ends = np.append(begins[1:], len(called))
    return [
        Segment(
            float(timeline.edges[begin]),
            float(timeline.edges[end]),
            timeline.class_names[called[begin]],
            float(timeline.probabilities[begin:end, called[begin]].mean()),
        )
        for begin, end in zip(begins, ends, strict=True)
    ]


@dataclasses.dataclass(frozen=True)
class Event:
    """A stretch of time that the network takes for a class.

    Attributes:
      class_name: of the event.
      onset: in seconds.
      offset: in seconds; None while it goes on.
      peak: the time, in seconds, of the highest probability.
      probability: the highest.
    """

    class_name: str
    onset: float
    offset: float | None
    peak: float
    probability: float


@dataclasses.dataclass(frozen=True)
class Thresholds:
    """When an event begins and ends (hysteresis).

    Attributes:
      on: an event begins where the probability reaches this.
      off: and ends where it falls below this.
      min_seconds: what is shorter is no event.

    Raises:
      ValueError: if they are out of range, naming the value and what is allowed.
    """

    on: float = 0.6
    off: float = 0.4
    min_seconds: float = 0.0

    def __post_init__(self):
        if not 0 <= self.off <= self.on <= 1:
            raise ValueError(
                f"on_threshold is {self.on:g} and off_threshold {self.off:g}; allowed: 0 <= off_threshold <= "
                "on_threshold <= 1"
            )
        if self.min_seconds < 0:
            raise ValueError(f"min_seconds is {self.min_seconds:g}; allowed: 0 or more")


class EventTracker:
    """Follows the probability of one class, window by window, and tells of events as they begin and end."""

    def __init__(self, class_name: str, thresholds: Thresholds):
        """Nothing has been seen yet."""
        self._class_name = class_name
        self._thresholds = thresholds
        self._event: Event | None = None
        self._told = False

    def update(self, begin: float, end: float, probability: float) -> Iterator[tuple[str, Event]]:
        """After one more stretch: ("onset", event) once it has lasted long enough, ("offset", event) when over.

        Args:
          begin: of the stretch, in seconds, where the one before ended.
          end: of the stretch.
          probability: of the class, in it.
        """
        middle = (begin + end) / 2
        if self._event is None:
            if probability < self._thresholds.on:
                return
            self._event, self._told = Event(self._class_name, begin, None, middle, probability), False
        elif probability < self._thresholds.off:
            yield from self.finish(begin)
            return
        elif probability > self._event.probability:
            self._event = dataclasses.replace(self._event, peak=middle, probability=probability)
        if not self._told and end - self._event.onset >= self._thresholds.min_seconds:
            self._told = True
            yield "onset", self._event

    def finish(self, end: float) -> Iterator[tuple[str, Event]]:
        """The event that goes on, if one does and has been told of, ends here."""
        if self._event is not None and self._told:
            yield "offset", dataclasses.replace(self._event, offset=end)
        self._event = None


def event_classes(class_names: Sequence[str], chosen: Sequence[str] = ()) -> list[str]:
    """The classes that are events: those chosen, else the second of two, or all of more.

    Raises:
      ValueError: if one is no class.
    """
    for name in chosen:
        if name not in class_names:
            raise ValueError(f"event class {name!r} is no class of the model; allowed: {', '.join(class_names)}")
    return list(chosen) or (list(class_names[1:]) if len(class_names) == 2 else list(class_names))


def find_events(timeline: Timeline, classes: Sequence[str], thresholds: Thresholds) -> list[Event]:
    """The events of a whole video, in order of their onset."""
    events = []
    edges = timeline.edges.tolist()
    for name in classes:
        tracker = EventTracker(name, thresholds)
        column = timeline.probabilities[:, timeline.class_names.index(name)].tolist()
        for begin, end, probability in zip(edges, edges[1:], column, strict=False):
            events += [event for kind, event in tracker.update(begin, end, probability) if kind == "offset"]
        events += [event for _, event in tracker.finish(edges[-1])]
    return sorted(events, key=lambda event: event.onset)


def write_timeline(timeline: Timeline, path: Path) -> None:
    """Writes start and end of every window in seconds, and the probability of every class, as CSV."""
    with replacing(path) as unfinished, unfinished.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["start", "end", *(f"probability_{name}" for name in timeline.class_names)])
        for start, end, row in zip(timeline.starts, timeline.ends, timeline.probabilities.tolist(), strict=True):
            writer.writerow([f"{start:.3f}", f"{end:.3f}", *(f"{value:.6f}" for value in row)])


def write_segments(segments: Sequence[Segment], path: Path) -> None:
    """Writes start and end in seconds, class and mean probability of every segment, as CSV."""
    with replacing(path) as unfinished, unfinished.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["start", "end", "class", "probability"])
        for segment in segments:
            times = f"{segment.start:.3f}", f"{segment.end:.3f}"
            writer.writerow([*times, segment.class_name, f"{segment.probability:.6f}"])


def write_events(events: Sequence[Event], path: Path) -> None:
    """Writes the events as a list of JSON objects."""
    with replacing(path) as unfinished:
        unfinished.write_text(json.dumps([dataclasses.asdict(event) for event in events], indent=2) + "\n")
