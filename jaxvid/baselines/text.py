"""Baselines as text for the terminal, and their predictions as a file."""

import csv
from collections.abc import Mapping
from pathlib import Path

from jaxvid.baselines.fit import FittedBaseline
from jaxvid.baselines.metrics import ComparedBaselines
from jaxvid.files import replacing
from jaxvid.metrics.text import format_percent, format_points
from jaxvid.tables import aligned, quoted_formula, unquoted_formula

FILE_NAME = "baseline_predictions.csv"
_CLIP = "clip"


def format_baselines(baselines: ComparedBaselines) -> str:
    """Formats what metrics.json has under "baselines" as a short table with the notes."""
    if not baselines["systems"]:
        return "\n".join(baselines["notes"])
    rows = [["", "accuracy", "ROC AUC", "network less baseline"]]
    for system in baselines["systems"].values():
        difference = "" if system["difference"] is None else format_points(system["difference"])
        rows.append(
            [system["label"], format_percent(system["accuracy"]), format_percent(system["roc_auc"]), difference]
        )
    if not any(difference for *_, difference in rows[1:]):
        rows = [row[:-1] for row in rows]
    lines = (f"  {line}" for line in aligned(rows))
    return "\n".join([f"Baselines, fitted on {baselines['trained_on']}:", *lines, *baselines["notes"]])


def write_baseline_predictions(fitted: Mapping[str, FittedBaseline], path: Path) -> None:
    """Writes a row for each clip: its name, and the class that each baseline predicts.

    Without baselines, a file of an earlier evaluation is removed.
    """
    if not fitted:
        path.unlink(missing_ok=True)
        return
    predictions = [baseline.predictions for baseline in fitted.values()]
    names = [[of_baseline.class_names[label] for label in of_baseline.predicted] for of_baseline in predictions]
    with (
        replacing(path) as unfinished,
        unfinished.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file,
    ):
        writer = csv.writer(file)
        writer.writerow([_CLIP, *fitted])
        writer.writerows(map(quoted_formula, row) for row in zip(predictions[0].clips, *names, strict=True))


def read_baseline_predictions(path: Path) -> dict[str, dict[str, str]]:
    """Reads a file of `write_baseline_predictions`; returns the predicted class by baseline and clip."""
    with path.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        rows = csv.DictReader(file)
        predicted: dict[str, dict[str, str]] = {name: {} for name in rows.fieldnames or [] if name != _CLIP}
        for row in rows:
            for name, of_baseline in predicted.items():
                of_baseline[unquoted_formula(row[_CLIP])] = unquoted_formula(row[name])
    return predicted
