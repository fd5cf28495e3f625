"""The predictions of every clip of an evaluated split, in memory and as a CSV file."""

import csv
import dataclasses
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from jaxvid.calibration import Threshold
from jaxvid.files import replacing
from jaxvid.tables import quoted_formula, unquoted_formula

_FIRST_COLUMNS = ["clip", "source", "label", "predicted"]
_PROBABILITY = "probability_"
# Softmax in float32, averaged over views, is off by about 1e-6; logits passed by mistake are off by far more.
_SUM_TOLERANCE = 1e-3


@dataclass(frozen=True, eq=False)
class Predictions:
    """The clips of one evaluated split with their true classes and predicted probabilities.

    Attributes:
      clips: file name of every clip.
      sources: video that every clip was cut from; clips of one source are not independent of one another.
      labels: true class of every clip, an index into `class_names`.
      probabilities: probability of every class; rows sum to one.
      class_names: at least two different names.
      chosen: predicted class of every clip, where a threshold decides; None for the most probable one.

    Raises:
      ValueError: if lengths disagree, a label is out of range or a row is not a distribution over the classes.
    """

    clips: list[str]
    sources: list[str]
    labels: Int[np.ndarray, "clip"]
    probabilities: Float[np.ndarray, "clip classes"]
    class_names: list[str]
    chosen: Int[np.ndarray, "clip"] | None = None

    def __post_init__(self):
        num_clips, num_classes = len(self.clips), len(self.class_names)
        if num_classes < 2 or len(set(self.class_names)) != num_classes:
            raise ValueError(f"class_names must be two or more different names, got {self.class_names}")
        if len(self.sources) != num_clips:
            raise ValueError(f"sources must have one entry for each of {num_clips} clips, got {len(self.sources)}")
        if self.labels.shape != (num_clips,):
            raise ValueError(f"labels must have shape ({num_clips},), one for each clip, got {self.labels.shape}")
        if self.probabilities.shape != (num_clips, num_classes):
            expected = (num_clips, num_classes)
            raise ValueError(
                f"probabilities must have shape {expected} (clip, classes), got {self.probabilities.shape}"
            )
        self._check_values()

    def _check_values(self):
        bad_labels = (self.labels < 0) | (self.labels >= len(self.class_names))
        if bad_labels.any():
            clip = int(np.argmax(bad_labels))
            allowed = f"0 to {len(self.class_names) - 1}"
            raise ValueError(f"label of clip {self.clips[clip]!r} must be {allowed}, got {self.labels[clip]}")
        # In this form NaN fails too.
        valid = (self.probabilities >= 0).all(axis=1) & (np.abs(self.probabilities.sum(axis=1) - 1) <= _SUM_TOLERANCE)
        if not valid.all():
            clip = int(np.argmin(valid))
            values = self.probabilities[clip].tolist()
            raise ValueError(
                f"probabilities of clip {self.clips[clip]!r} must be non-negative and sum to 1, got {values}"
            )

    @property
    def predicted(self) -> Int[np.ndarray, "clip"]:
        """The chosen class; by default the one of the highest probability, of equal ones the first."""
        return self.probabilities.argmax(axis=1) if self.chosen is None else self.chosen

    def with_probabilities(self, probabilities: Float[np.ndarray, "clip classes"]) -> "Predictions":
        """Returns the predictions of the same clips by another system: the most probable classes."""
        return dataclasses.replace(self, probabilities=probabilities, chosen=None)

    def decided(self, threshold: Threshold | None) -> "Predictions":
        """Returns the same predictions with the classes that a threshold chooses; None for the most probable ones."""
        chosen = None if threshold is None else threshold.decide(self.probabilities, self.class_names)
        return dataclasses.replace(self, chosen=chosen)


def average_views(
    clip_index: Int[np.ndarray, "view"], probabilities: Float[np.ndarray, "view classes"], num_clips: int
) -> Float[np.ndarray, "clip classes"]:
    """Mean probabilities over the views (windows, crops) of each clip, in float64.

    Args:
      clip_index: index of the clip that each view shows, in any order.
      probabilities: probability of every class for each view.
      num_clips: number of clips; every one must have a view.

    Raises:
      ValueError: if an index is outside 0 to num_clips - 1, or a clip has no view.
    """
    if len(clip_index) != len(probabilities):
        raise ValueError(
            f"clip_index and probabilities must be of one length, got {len(clip_index)} and {len(probabilities)}"
        )
    outside = (clip_index < 0) | (clip_index >= num_clips)
    if outside.any():
        raise ValueError(f"clip_index must be 0 to {num_clips - 1}, got {clip_index[outside][0]}")
    views_per_clip = np.bincount(clip_index, minlength=num_clips)
    missing = np.flatnonzero(views_per_clip == 0)
    if missing.size:
        raise ValueError(
            f"every clip needs at least one view, but {missing.size} of {num_clips} clips have none; "
            f"the first is clip {missing[0]}"
        )
    sums = np.zeros((num_clips, probabilities.shape[1]))
    np.add.at(sums, clip_index, probabilities)
    return sums / views_per_clip[:, None]


def vote_of_views(
    clip_index: Int[np.ndarray, "view"],
    probabilities: Float[np.ndarray, "view classes"],
    num_clips: int,
    decide: Callable[[np.ndarray], np.ndarray] | None = None,
) -> Float[np.ndarray, "clip classes"]:
    """The share of each clip's views that predict a class; the mean probability decides between equal shares.

    For that, the mean probabilities count as half a vote, divided among the classes. Arguments and errors are those of
    `average_views`. `decide` returns the classes of views, and of means, where a threshold decides; by default the most
    probable classes count.
    """
    means = average_views(clip_index, probabilities, num_clips)
    classes = probabilities.argmax(axis=1) if decide is None else decide(probabilities)
    each = np.eye(probabilities.shape[1])
    votes = average_views(clip_index, each[classes], num_clips)
    counts = np.bincount(clip_index, minlength=num_clips)[:, None]
    return (counts * votes + (means if decide is None else each[decide(means)]) / 2) / (counts + 0.5)


def by_view(
    predictions: Predictions,
    clip_index: Int[np.ndarray, "view"],
    probabilities: Float[np.ndarray, "view classes"],
) -> Predictions:
    """The predictions of every view (window), named `clip#0`, `clip#1`, ..., with the clip's source and class.

    Args:
      predictions: of the clips.
      clip_index: index of the clip that each view shows; the views of a clip are in order of time.
      probabilities: probability of every class for each view.
    """
    order = np.argsort(clip_index, kind="stable")
    clip_index = clip_index[order]
    number = np.arange(len(order)) - np.searchsorted(clip_index, clip_index)
    return Predictions(
        clips=[f"{predictions.clips[clip]}#{view}" for clip, view in zip(clip_index, number, strict=True)],
        sources=[predictions.sources[clip] for clip in clip_index],
        labels=predictions.labels[clip_index],
        probabilities=probabilities[order],
        class_names=predictions.class_names,
    )


def write_csv(predictions: Predictions, path: str | os.PathLike[str]) -> None:
    """Writes one row per clip: clip, source, label, predicted and a `probability_<class>` for each class.

    Labels are class names, and probabilities have all their digits: `read_csv` returns the same values. A name that a
    spreadsheet would take for a formula has a quote before it (`jaxvid.tables.quoted_formula`).
    An existing file is replaced once the new one is complete.
    """
    # File names on disk need not be UTF-8; surrogateescape keeps such bytes.
    with (
        replacing(Path(path)) as unfinished,
        unfinished.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file,
    ):
        writer = csv.writer(file)
        writer.writerow(_FIRST_COLUMNS + [_PROBABILITY + name for name in predictions.class_names])
        writer.writerows(_rows(predictions))


def _rows(predictions: Predictions) -> Iterator[list[str]]:
    names = predictions.class_names
    columns = zip(
        predictions.clips,
        predictions.sources,
        predictions.labels,
        predictions.predicted,
        predictions.probabilities.tolist(),
        strict=True,
    )
    for clip, source, label, predicted, probabilities in columns:
        yield [*map(quoted_formula, (clip, source, names[label], names[predicted])), *map(repr, probabilities)]


def read_csv(path: str | os.PathLike[str]) -> Predictions:
    """Reads a file of `write_csv`; probabilities are float64.

    Raises:
      ValueError: if the file does not have those columns, or a row does not fit them.
    """
    path = Path(path)
    with path.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        reader = csv.reader(file)
        class_names = _class_names(next(reader, []), path)
        # line_num counts the lines of the file: more than rows where a name has a line break.
        parsed = [_parse_row(row, class_names, f"{path}, line {reader.line_num}") for row in reader]
    return Predictions(
        clips=[clip for clip, *_ in parsed],
        sources=[source for _, source, *_ in parsed],
        labels=np.array([label for _, _, label, *_ in parsed], dtype=np.int64),
        probabilities=np.array([row for *_, row in parsed], dtype=np.float64).reshape(-1, len(class_names)),
        class_names=class_names,
        chosen=np.array([predicted for *_, predicted, _ in parsed], dtype=np.int64),
    )


def _class_names(header: Sequence[str], path: Path) -> list[str]:
    first, rest = header[: len(_FIRST_COLUMNS)], header[len(_FIRST_COLUMNS) :]
    if first != _FIRST_COLUMNS or not all(column.startswith(_PROBABILITY) for column in rest):
        expected = ", ".join([*_FIRST_COLUMNS, f"{_PROBABILITY}<class>", "..."])
        raise ValueError(f"{path}: columns must be {expected}, got {', '.join(header) or 'an empty file'}")
    return [column.removeprefix(_PROBABILITY) for column in rest]


def _parse_row(row: Sequence[str], class_names: list[str], where: str) -> tuple[str, str, int, int, list[float]]:
    if len(row) != len(_FIRST_COLUMNS) + len(class_names):
        raise ValueError(f"{where}: {len(_FIRST_COLUMNS) + len(class_names)} values expected, got {len(row)}")
    clip, source, label, predicted = map(unquoted_formula, row[: len(_FIRST_COLUMNS)])
    probabilities = row[len(_FIRST_COLUMNS) :]
    for column, name in (("label", label), ("predicted", predicted)):
        if name not in class_names:
            raise ValueError(f"{where}: {column} must be one of {', '.join(class_names)}, got {name!r}")
    classes = class_names.index(label), class_names.index(predicted)
    try:
        return clip, source, *classes, [float(value) for value in probabilities]
    except ValueError as error:
        raise ValueError(f"{where}: probabilities must be numbers, got {probabilities}") from error
