"""What a person reads after an evaluation: pictures and one HTML page that holds them all."""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from jaxvid.files import replacing_directory
from jaxvid.metrics.predictions import Predictions
from jaxvid.report.activations import Adaptation
from jaxvid.report.html import Picture
from jaxvid.report.mistakes import worst_mistakes
from jaxvid.report.page import render_page
from jaxvid.report.plots import (
    DARK,
    LIGHT,
    Theme,
    confusion_matrix_figure,
    mistakes_figure,
    png,
    roc_curve_figure,
    training_curves_figure,
)

_PAGE = "index.html"
_MISTAKES = "mistakes.png"
_FILES = {_PAGE, "confusion_matrix.png", "roc_curve.png", "training_curves.png", _MISTAKES}


def write_report(
    directory: str | os.PathLike[str],
    predictions: Predictions,
    figures: Mapping[str, Any],
    *,
    history: Sequence[Mapping[str, Any]],
    frames_of: Callable[[int], np.ndarray],
    title: str,
    details: Mapping[str, str],
    adaptation: Adaptation | None = None,
) -> Path:
    """Write confusion_matrix.png, roc_curve.png, training_curves.png, mistakes.png and index.html, which shows them.

    A picture with nothing to show is left out, and the page says why: no ROC curve of a single class, no training
    curves without a history, no mistakes. The report is made beside `directory` and takes its place when complete; a
    report that was there is replaced.

    Args:
      directory: Where the files go; made if missing.
      predictions: The evaluated split.
      figures: What `metrics.classification_metrics` gives for it.
      history: Rows of the run's metrics.jsonl, with step, epoch if known, and any of train_loss, train_accuracy,
        val_loss, val_accuracy, learning_rate; may be empty.
      frames_of: Gives the frames of the clip at an index, (time, height, width, 3) uint8; asked for the worst mistakes.
      title: Heading of the page.
      details: What was evaluated and where, in the order to show: name to value.
      adaptation: How the run's activations changed; None where they were not to.

    Returns:
      The path of index.html.

    Raises:
      ValueError: if `directory` is a file or holds files that are not of a report, or frames_of gives something else.
    """
    directory = Path(directory).absolute()
    _check_replaceable(directory)
    mistakes = worst_mistakes(predictions, frames_of)
    pictures = _pictures(predictions, figures, history, adaptation)
    page = render_page(title, figures, details, mistakes, pictures, adaptation)

    with replacing_directory(directory) as unfinished:
        for name, picture in pictures.items():
            (unfinished / f"{name}.png").write_bytes(picture.light)
        if mistakes:
            (unfinished / _MISTAKES).write_bytes(png(mistakes_figure(mistakes)))
        # A file name that is not UTF-8 has characters that cannot be written.
        (unfinished / _PAGE).write_bytes(page.encode("utf-8", errors="replace"))
    return directory / _PAGE


def _check_replaceable(directory: Path) -> None:
    if not directory.exists():
        return
    if not directory.is_dir():
        raise ValueError(f"the report's directory must not be a file, got {directory}")
    foreign = sorted(path.name for path in directory.iterdir() if path.name not in _FILES)
    if foreign:
        raise ValueError(
            f"the report replaces its directory, and {directory} holds files that are not of a report: "
            f"{', '.join(foreign[:5])}; give another directory"
        )


def _pictures(
    predictions: Predictions,
    figures: Mapping[str, Any],
    history: Sequence[Mapping[str, Any]],
    adaptation: Adaptation | None,
) -> dict[str, Picture]:
    """The pictures that have something to show, by the stem of their file."""
    changes = adaptation.changes if adaptation else ()
    confusion = np.array(figures["confusion_matrix"]["value"])
    draw: dict[str, Callable[[Theme], Figure | None]] = {
        "confusion_matrix": lambda theme: confusion_matrix_figure(confusion, predictions.class_names, theme),
        "roc_curve": lambda theme: roc_curve_figure(predictions, figures, theme),
        "training_curves": lambda theme: training_curves_figure(history, theme, changes),
    }
    drawn = {name: (draw_in(LIGHT), draw_in(DARK)) for name, draw_in in draw.items()}
    return {name: Picture(png(light), png(dark)) for name, (light, dark) in drawn.items() if light and dark}
