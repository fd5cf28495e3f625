"""The files of a report: plots, and one HTML page that shows them."""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from matplotlib.figure import Figure

from jaxvid.files import replacing_directory
from jaxvid.metrics.classification import SplitMetrics
from jaxvid.metrics.predictions import Predictions
from jaxvid.report.activations import Adaptation
from jaxvid.report.data import DATA_PAGE
from jaxvid.report.html import PlotImages
from jaxvid.report.mistakes import worst_mistakes
from jaxvid.report.page import render_page
from jaxvid.report.plots import (
    DARK,
    LIGHT,
    Row,
    Theme,
    plot_confusion_matrix,
    plot_mistakes,
    plot_roc_curve,
    plot_training_curves,
    png,
)
from jaxvid.report.reliability import plot_reliability

PLOTS = ("confusion_matrix", "roc_curve", "reliability_diagram", "training_curves")
_PAGE = "index.html"
_MISTAKES = "mistakes.png"
_FILES = {_PAGE, _MISTAKES, DATA_PAGE, *(f"{name}.png" for name in PLOTS)}


def write_report(
    directory: str | os.PathLike[str],
    predictions: Predictions,
    metrics: SplitMetrics,
    *,
    history: Sequence[Row],
    frames_of: Callable[[int], UInt8[np.ndarray, "time height width 3"]],
    title: str,
    details: Mapping[str, str],
    adaptation: Adaptation | None = None,
    blur_faces: bool = False,
    data_page: Path | None = None,
) -> Path:
    """Writes a PNG file for each of PLOTS, mistakes.png and index.html, which shows them.

    A plot with nothing to show is left out, and the page says why: no ROC curve of a single class, no training curves
    without a history, no mistakes. The report is written beside `directory` and moved there when it is complete; a
    report that was there is replaced.

    Args:
      directory: where the files go; created if missing.
      predictions: the evaluated split.
      metrics: what `metrics.classification.classification_metrics` returns for it.
      history: rows of the run's metrics.jsonl, with step, epoch if known, and any of train_loss, train_accuracy,
        val_loss, val_accuracy, learning_rate; may be empty.
      frames_of: returns the frames of the clip at an index; called for the worst mistakes.
      title: heading of the page.
      details: name to value of what was evaluated and where, in the order to show. A value may have several lines.
        "Caution" holds one caution a line; these stand in the head of the page, before the cautions of the metrics.
      adaptation: how the run's activations changed; None if its policy is fixed.
      blur_faces: whether faces are blurred in the frames of the mistakes.
      data_page: page about the data that the run was trained on, which is copied beside index.html and linked there.

    Returns:
      The path of index.html.

    Raises:
      ValueError: if `directory` is a file or holds files that are not of a report, or frames_of returns no frames.
    """
    directory = Path(directory).absolute()
    _check_replaceable(directory)
    mistakes = worst_mistakes(predictions, frames_of, without_faces=blur_faces)
    plots = _plots(predictions, metrics, history, adaptation)
    link = DATA_PAGE if data_page else None
    page = render_page(title, metrics, details, mistakes, plots, adaptation, data_page=link)

    with replacing_directory(directory) as unfinished:
        for name, plot in plots.items():
            (unfinished / f"{name}.png").write_bytes(plot.light)
        if data_page:
            (unfinished / DATA_PAGE).write_bytes(data_page.read_bytes())
        if mistakes:
            (unfinished / _MISTAKES).write_bytes(png(plot_mistakes(mistakes)))
        # A file name that is not UTF-8 has characters that cannot be written.
        (unfinished / _PAGE).write_bytes(page.encode("utf-8", errors="replace"))
    return directory / _PAGE


def _check_replaceable(directory: Path) -> None:
    if not directory.exists():
        return
    if not directory.is_dir():
        raise ValueError(f"the report's directory must not be a file, got {directory}")
    others = sorted(path.name for path in directory.iterdir() if path.name not in _FILES)
    if others:
        raise ValueError(
            f"the report replaces its directory, and {directory} holds files that are not of a report: "
            f"{', '.join(others[:5])}; give another directory"
        )


def _plots(
    predictions: Predictions,
    metrics: SplitMetrics,
    history: Sequence[Row],
    adaptation: Adaptation | None,
) -> dict[str, PlotImages]:
    """The plots that have something to show, by the stem of their file."""
    changes = adaptation.changes if adaptation else ()
    confusion = np.array(metrics["confusion_matrix"]["value"])
    draw: dict[str, Callable[[Theme], Figure | None]] = {
        "confusion_matrix": lambda theme: plot_confusion_matrix(confusion, predictions.class_names, theme),
        "roc_curve": lambda theme: plot_roc_curve(predictions, metrics, theme),
        "reliability_diagram": lambda theme: plot_reliability(metrics, theme),
        "training_curves": lambda theme: plot_training_curves(history, theme, changes),
    }
    drawn = {name: (draw_in(LIGHT), draw_in(DARK)) for name, draw_in in draw.items()}
    return {name: PlotImages(png(light), png(dark)) for name, (light, dark) in drawn.items() if light and dark}
