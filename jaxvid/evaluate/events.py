"""Evaluates the events that prediction found in videos against the events that people see in them."""

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxvid.classes import match_classes
from jaxvid.evaluate.labels import Label, read_labels
from jaxvid.files import replacing
from jaxvid.metrics.detection import THRESHOLDS, EventMetrics, Events, event_metrics
from jaxvid.metrics.text import format_estimate
from jaxvid.predict.pages.interaction import video_name
from jaxvid.tables import aligned

_PROBABILITY = "probability_"
_MAX_LISTED = 5
# What a table of metrics calls a match of any overlap.
ANY_OVERLAP = "any"


class Predicted(NamedTuple):
    """What prediction wrote of a video.

    Attributes:
      hours: length.
      class_names: classes of the model.
      events: as in events.json.
    """

    hours: float
    class_names: list[str]
    events: list[dict[str, Any]]


def evaluate_events(
    predictions: Path,
    labels: Sequence[Path],
    *,
    class_map: Mapping[str, str] | None = None,
    output: Path | None = None,
    num_resamples: int = 1000,
) -> dict[str, Any]:
    """Evaluates the events of the videos that labels name; writes event_metrics.json and prints a table.

    Args:
      predictions: directory that `jaxvid.predict` wrote to.
      labels: CSV files of true events (`read_labels`).
      class_map: names of classes in the labels to the model's.
      output: directory to write to; by default that of the predictions.
      num_resamples: bootstrap resamples of the videos, for the intervals.

    Returns:
      What event_metrics.json holds: num_videos, hours, cautions, and by class num_true, num_found, num_left_out and
      under "overlap" the metrics by the least temporal IoU ("0.1" to "0.5") or "any" (`event_metrics`).

    Raises:
      ValueError: if there are no predictions, or labels do not fit them.
    """
    predicted = read_predictions(predictions)
    rows, reviewed = read_labels(labels)
    if not rows:
        raise ValueError(f"{', '.join(map(str, labels))}: there is no label")
    found_in = {label.video: _find_video(label, list(predicted)) for label in rows}
    videos = list(dict.fromkeys(found_in.values()))
    rows = [label._replace(video=found_in[label.video]) for label in rows]
    rows = _with_our_classes(rows, predicted[videos[0]].class_names, class_map)
    hours = np.array([predicted[video].hours for video in videos])
    metrics = {
        "num_videos": len(videos),
        "hours": float(hours.sum()),
        "cautions": _cautions(rows, videos, list(predicted), reviewed),
        "classes": {
            name: _of_class(name, rows, [predicted[video] for video in videos], videos, hours, num_resamples)
            for name in _class_names(rows, [predicted[video] for video in videos])
        },
    }
    output = output or predictions
    output.mkdir(parents=True, exist_ok=True)
    with replacing(output / "event_metrics.json") as unfinished:
        unfinished.write_text(json.dumps(metrics, indent=2) + "\n")
    print(format_event_metrics(metrics))
    print(f"Written to {output / 'event_metrics.json'}")
    return metrics


def read_predictions(directory: Path) -> dict[str, Predicted]:
    """Reads what prediction wrote of every video, by the path of its directory below that of the call.

    Raises:
      ValueError: if there is nothing.
    """
    paths = sorted(directory.rglob("events.json"))
    if not paths:
        raise ValueError(f"{directory} holds no predictions: there is no events.json in it")
    return {video_name(path.parent, directory): _read_predicted(path) for path in paths}


def _read_predicted(path: Path) -> Predicted:
    with (path.parent / "timeline.csv").open(newline="", encoding="utf-8") as file:
        header, *windows = csv.reader(file)
    names = [column.removeprefix(_PROBABILITY) for column in header if column.startswith(_PROBABILITY)]
    seconds = float(windows[-1][1]) - float(windows[0][0])
    return Predicted(seconds / 3600, names, json.loads(path.read_text()))


def _find_video(label: Label, predicted: Sequence[str]) -> str:
    """Returns the predicted video of a label: that of its name, else the only one of which either name ends the other.

    Raises:
      ValueError: if there is none, or more than one.
    """
    name = label.video
    if name in predicted:
        return name
    ends = [other for other in predicted if f"/{name}".endswith(f"/{other}") or f"/{other}".endswith(f"/{name}")]
    if len(ends) == 1:
        return ends[0]
    if ends:
        raise ValueError(f"{label.where}: {name!r} may be any of {_some(ends)}; name it as the predictions do")
    raise ValueError(f"{label.where}: {name!r} was not predicted; predicted are {_some(predicted)}")


def _some(names: Sequence[str]) -> str:
    more = len(names) - _MAX_LISTED
    return ", ".join(names[:_MAX_LISTED]) + (f" and {more} more" if more > 0 else "")


def _with_our_classes(
    rows: Sequence[Label], class_names: Sequence[str], class_map: Mapping[str, str] | None
) -> list[Label]:
    theirs = list(dict.fromkeys(label.class_name for label in rows if label.class_name is not None))
    ours = dict(zip(theirs, match_classes(theirs, class_names, class_map), strict=True))
    return [
        label if label.class_name is None else label._replace(class_name=class_names[ours[label.class_name]])
        for label in rows
    ]


def _class_names(rows: Sequence[Label], predicted: Sequence[Predicted]) -> list[str]:
    """The classes of which there are events or labels, in the model's order."""
    known = {label.class_name for label in rows} | {event["class_name"] for one in predicted for event in one.events}
    return [name for name in predicted[0].class_names if name in known]


def _of_class(
    name: str,
    rows: Sequence[Label],
    predicted: Sequence[Predicted],
    videos: Sequence[str],
    hours: np.ndarray,
    num_resamples: int,
) -> dict[str, Any]:
    number = {video: index for index, video in enumerate(videos)}
    found = Events.of(
        [
            (index, event["onset"], event["offset"], event["probability"])
            for index, of_video in enumerate(predicted)
            for event in of_video.events
            if event["class_name"] == name
        ]
    )
    true, left_out = (
        Events.of(
            [
                (number[label.video], label.onset, label.offset, 1.0)
                for label in rows
                if label.class_name == name and label.verdict == verdict
            ]
        )
        for verdict in ("true", "unreviewed")
    )
    overlap: dict[str, EventMetrics] = {
        ANY_OVERLAP if threshold is None else f"{threshold:g}": event_metrics(
            found, true, left_out, hours, threshold, num_resamples=num_resamples
        )
        for threshold in (None, *THRESHOLDS)
    }
    areas = [of_threshold["average_precision"] for of_threshold in overlap.values()]
    areas = [area for area in areas if area is not None]
    return {
        "num_true": len(true),
        "num_found": len(found),
        "num_left_out": len(left_out),
        "mean_average_precision": float(np.mean(areas)) if areas else None,
        "overlap": overlap,
    }


def _cautions(rows: Sequence[Label], videos: Sequence[str], predicted: Sequence[str], reviewed: bool) -> list[str]:
    """What a reader of the metrics must know."""
    cautions = []
    if unnamed := [video for video in predicted if video not in videos]:
        cautions.append(
            f"{len(unnamed)} of {len(predicted)} predicted videos do not count, as the labels do not name them: "
            f"{_some(unnamed)}. A row with nothing but its name makes a video count as one without events."
        )
    if num_open := sum(label.verdict == "unreviewed" for label in rows):
        cautions.append(f"Events without a verdict do not count; there are {num_open}.")
    watched = {label.video for label in rows if label.verdict == "watched"}
    if reviewed and (unwatched := [video for video in videos if video not in watched]):
        cautions.append(
            f"Recall is of the events that the network found or a person added; nobody has marked {_some(unwatched)} "
            "as watched in full."
        )
    return cautions


def format_event_metrics(metrics: Mapping[str, Any]) -> str:
    """Formats the metrics as a table for the terminal, with the cautions below."""
    rows = [["class", "overlap", "right", "false", "missed", "precision", "recall", "F1", "false an hour", "AP"]]
    for name, of_class in metrics["classes"].items():
        for overlap, of_overlap in of_class["overlap"].items():
            area = of_overlap["average_precision"]
            rows.append(
                [
                    name,
                    overlap if overlap == ANY_OVERLAP else f"IoU {overlap}",
                    *(str(of_overlap[key]) for key in ("num_right", "num_false_alarms", "num_missed")),
                    *(format_estimate(of_overlap[key], percent=True) for key in ("precision", "recall", "f1")),
                    format_estimate(of_overlap["false_alarms_per_hour"], percent=False),
                    "-" if area is None else f"{100 * area:.1f} %",
                ]
            )
    head = f"{metrics['num_videos']} videos, {metrics['hours']:.2f} hours; 95 % intervals resample videos"
    right = [False, False, *(len(rows[0]) - 2) * [True]]
    return "\n".join([head, *aligned(rows, right), *metrics["cautions"]])
