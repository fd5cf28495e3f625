"""The plots of a report, drawn with matplotlib's objects alone: no global state, no display."""

import functools
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, PowerNorm, to_rgb
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.ticker import MaxNLocator
from matplotlib.typing import ColorType

from jaxvid.metrics.classification import SplitMetrics
from jaxvid.metrics.predictions import Predictions
from jaxvid.metrics.table import scikit_learn_metrics
from jaxvid.metrics.text import format_percent
from jaxvid.report.calibration import chosen_threshold
from jaxvid.report.mistakes import Mistake

_DPI = 144
_MAX_NUMBERED_CLASSES = 20
_MAX_NAMED_CLASSES = 60
_MAX_ROC_COLORS = 8
_NUM_LOWEST = 3
_MAX_LABEL = 24
_MAX_CAPTION = 70
_MAX_NAMED_CHANGES = 12

# A row of metrics.jsonl; JSON has no NaN, and null may stand for it.
Row = Mapping[str, int | float | None]


@dataclass(frozen=True)
class Theme:
    """Colors of a plot.

    Attributes:
      paper: the background, and the lower end of the confusion matrix's scale.
      ink: text.
      muted: secondary text and lines.
      grid: grid lines and frames.
      series: curves and bars, one after another; the first is the upper end of the confusion matrix's scale.
    """

    paper: str
    ink: str
    muted: str
    grid: str
    series: tuple[str, ...]


# The series follow Okabe and Ito's palette, which color-blind readers can distinguish; lightened for the dark page.
LIGHT = Theme(
    paper="#ffffff",
    ink="#1c2126",
    muted="#5b6570",
    grid="#e3e7eb",
    series=("#0b6fb8", "#c8500a", "#00815c", "#b0568c", "#8a6d00", "#3d8fc4", "#7a4b9e", "#4d5a66"),
)
DARK = Theme(
    paper="#1b2026",
    ink="#e8ebee",
    muted="#a3adb8",
    grid="#333b44",
    series=("#62b4ee", "#f59a5c", "#4cc9a0", "#e29cc6", "#e3c34a", "#9cd0f2", "#c0a2de", "#b4bec8"),
)


def png(figure: Figure) -> bytes:
    """Encodes a plot as a PNG file; the same plot gives the same bytes."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=_DPI, metadata={"Software": None})
    return buffer.getvalue()


def plot_confusion_matrix(
    confusion: Int[np.ndarray, "classes classes"], class_names: Sequence[str], theme: Theme = LIGHT
) -> Figure:
    """Plots the counts by true class (rows) and predicted class, shaded by their share of the row.

    With up to 20 classes the cells show their counts; with more than 60 the axes do not name every class.
    """
    num_classes = len(class_names)
    numbered = num_classes <= _MAX_NUMBERED_CLASSES
    side = min(10.0, 3.6 + 0.42 * num_classes)
    figure = new_plot((side + 0.4, side), theme)
    axes = new_axes(figure, theme, "Confusion matrix")
    shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    colors = LinearSegmentedColormap.from_list("share", [theme.paper, theme.series[0]])
    # With many classes the interesting cells hold small shares: the square root makes them visible.
    image = axes.imshow(shares, cmap=colors, norm=PowerNorm(1 if numbered else 0.5, vmin=0, vmax=1))

    step = math.ceil(num_classes / _MAX_NAMED_CLASSES)
    ticks = list(range(0, num_classes, step))
    labels = [drawable(class_names[index], _MAX_LABEL) for index in ticks]
    turned = num_classes > 3 or max(map(len, labels)) > 16
    size = 9 if numbered else 6.5
    axes.set_xticks(ticks, labels, rotation=90 if turned else 0, fontsize=size, parse_math=False)
    axes.set_yticks(ticks, labels, fontsize=size, parse_math=False)
    axes.tick_params(length=0)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    axes.set_xticks(np.arange(num_classes + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(num_classes + 1) - 0.5, minor=True)
    axes.grid(which="minor", color=theme.grid, linewidth=1.0 if numbered else 0.3)
    axes.tick_params(which="minor", length=0)
    if numbered:
        _write_counts(axes, confusion, shares, colors, theme)
    else:
        bar = figure.colorbar(image, ax=axes, shrink=0.6, label="share of the clips of the true class")
        bar.ax.yaxis.label.set_color(theme.ink)
        bar.ax.tick_params(colors=theme.muted, labelsize=8)
        bar.outline.set_edgecolor(theme.grid)  # pyright: ignore[reportCallIssue]
    return figure


def _write_counts(
    axes: Axes,
    confusion: Int[np.ndarray, "classes classes"],
    shares: Float[np.ndarray, "classes classes"],
    colors: LinearSegmentedColormap,
    theme: Theme,
) -> None:
    roomy = len(confusion) <= 6
    for (row, column), count in np.ndenumerate(confusion):
        share = float(shares[row, column])
        text = f"{count}\n{100 * share:.0f} %" if roomy else f"{count}"
        legible = max(theme.paper, theme.ink, key=lambda color: _contrast(color, colors(share)))
        color = legible if count else theme.muted
        axes.text(column, row, text, ha="center", va="center", color=color, fontsize=11 if roomy else 8)


def _contrast(first: ColorType, second: ColorType) -> float:
    """The contrast ratio of two colors, 1 to 21 (Web Content Accessibility Guidelines 2.2, section 1.4.3)."""
    low, high = sorted((_luminance(first), _luminance(second)))
    return (high + 0.05) / (low + 0.05)


def _luminance(color: ColorType) -> float:
    encoded = np.array(to_rgb(color))
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def plot_roc_curve(predictions: Predictions, metrics: SplitMetrics, theme: Theme = LIGHT) -> Figure | None:
    """Plots ROC curves with their areas and the line of guessing; returns None if no class can be ranked.

    Where there is a positive class, its curve is the only one, with a point where the threshold decides, or without one
    the most probable class.
    Otherwise each class has a curve, against the rest; of more than eight, the three with the least area stand out.
    """
    areas = {name: of_class["auc"] for name, of_class in metrics["per_class"].items()}
    names = predictions.class_names
    drawn = [index for index, name in enumerate(names) if areas[name]["value"] is not None]
    if not drawn:
        return None
    positive = None if metrics["positive_class"] is None else names.index(metrics["positive_class"])
    if positive is not None:
        drawn = [positive]
    drawn.sort(key=lambda index: areas[names[index]]["value"])
    colored = drawn if len(drawn) <= _MAX_ROC_COLORS else drawn[:_NUM_LOWEST]

    figure = new_plot((6.4, 6.0), theme)
    axes = new_axes(figure, theme, "ROC curve" if positive is not None else "ROC curves, one class against the rest")
    axes.plot([0, 1], [0, 1], linestyle="--", color=theme.muted, linewidth=1, label="guessing: 50 %")
    for index in drawn:
        if index not in colored:
            _plot_roc(axes, predictions, index, color=theme.muted, linewidth=0.6, alpha=0.5)
    for color, index in zip(theme.series, colored, strict=False):
        label = f"{drawable(names[index], _MAX_LABEL)}: {format_percent(areas[names[index]])}"
        _plot_roc(axes, predictions, index, color=color, linewidth=2, label=label)
    if positive is not None:
        threshold = chosen_threshold(metrics)
        label = "most probable class" if threshold is None else f"threshold {100 * threshold:.1f} %"
        _mark_decision(axes, predictions, positive, label, theme)
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
    axes.set_xlabel("false positive rate")
    axes.set_ylabel("true positive rate (recall)")
    axes.grid(color=theme.grid, linewidth=0.8)
    title = "area under the curve" if len(colored) == len(drawn) else f"{_NUM_LOWEST} smallest areas of {len(drawn)}"
    add_legend(axes, theme, loc="lower right", title=title)
    return figure


def _plot_roc(axes: Axes, predictions: Predictions, index: int, **style: Any) -> None:
    false_rate, true_rate, _ = scikit_learn_metrics().roc_curve(
        predictions.labels == index, predictions.probabilities[:, index]
    )
    axes.plot(false_rate, true_rate, **style)


def _mark_decision(axes: Axes, predictions: Predictions, index: int, label: str, theme: Theme) -> None:
    positive, predicted = predictions.labels == index, predictions.predicted == index
    point = (float(predicted[~positive].mean()), float(predicted[positive].mean()))
    style = {"marker": "o", "markersize": 9, "markerfacecolor": theme.paper, "markeredgecolor": theme.series[0]}
    axes.plot(*point, linestyle="none", markeredgewidth=2, label=label, **style)


def plot_training_curves(
    history: Sequence[Row], theme: Theme = LIGHT, changes: Sequence[Mapping[str, Any]] = ()
) -> Figure | None:
    """Plots loss, accuracy and learning rate over the run, as far as `history` has them; returns None if it has none.

    Changes of activations are vertical lines across loss and accuracy, labeled with the new activations (Figures 5 to 7
    of paper 1.2).

    Args:
      history: rows of the run's metrics.jsonl. Of rows of one step the last counts, as after a resumed run.
      theme: colors.
      changes: of activations, with step, epoch and to.
    """
    panels = {
        "Loss": ("train_loss", "val_loss"),
        "Accuracy": ("train_accuracy", "val_accuracy"),
        "Learning rate": ("learning_rate",),
    }
    unit = "epoch" if all("epoch" in row for row in history) else "step"
    curves = {title: {key: _curve(history, key, unit) for key in keys} for title, keys in panels.items()}
    curves = {title: lines for title, lines in curves.items() if any(len(line) for line in lines.values())}
    if not curves:
        return None
    figure = new_plot((4.2 * len(curves) + 0.4, 3.6), theme)
    for position, (title, lines) in enumerate(curves.items(), start=1):
        axes = new_axes(figure, theme, title, (1, len(curves), position))
        _plot_curves(axes, lines, theme)
        if len(lines) > 1:
            _mark_changes(axes, changes, unit, theme)
            # Above the curves, which can be in any corner.
            add_legend(axes, theme, loc="lower right", bbox_to_anchor=(1, 1), ncols=2, frameon=False)
        axes.ticklabel_format(axis="y", scilimits=(-2, 3))
        axes.yaxis.get_offset_text().set_color(theme.ink)
        axes.set_xlabel(unit)
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.grid(color=theme.grid, linewidth=0.8)
    return figure


def _curve(history: Sequence[Row], key: str, unit: str) -> Float[np.ndarray, "point 2"]:
    rows = [(row["step"], row[unit], row[key]) for row in history if row.get(key) is not None]
    points = np.array(rows, dtype=np.float64).reshape(-1, 3)
    points = points[np.isfinite(points[:, 2])][::-1]
    # Of the rows in reverse order, the first of each step.
    _, last = np.unique(points[:, 0], return_index=True)
    return points[last, 1:]


def _plot_curves(axes: Axes, lines: Mapping[str, Float[np.ndarray, "point 2"]], theme: Theme) -> None:
    for key, line in lines.items():
        if not len(line):
            continue
        validation = key.startswith("val_")
        label = {"train": "training", "val": "validation"}.get(key.split("_")[0])
        marker = "o" if len(line) == 1 or (validation and len(line) <= 60) else ""
        color = theme.series[1 if validation else 0]
        axes.plot(*line.T, color=color, linewidth=2 if validation else 1.2, marker=marker, markersize=4, label=label)


def _mark_changes(axes: Axes, changes: Sequence[Mapping[str, Any]], unit: str, theme: Theme) -> None:
    for change in changes:
        axes.axvline(change[unit], color=theme.muted, linestyle=":", linewidth=1.2)
    # Names of many changes would overlap; the table below the plot has them all.
    for change in changes[:_MAX_NAMED_CHANGES]:
        axes.annotate(
            drawable(change["to"], _MAX_LABEL),
            (change[unit], 0.02),
            xycoords=("data", "axes fraction"),
            xytext=(2, 0),
            textcoords="offset points",
            rotation=90,
            fontsize=7.5,
            color=theme.muted,
        )


def plot_mistakes(mistakes: Sequence[Mistake], theme: Theme = LIGHT) -> Figure:
    """Plots a strip of frames for each mistake, under its file name, true and predicted class and the probability.

    Raises:
      ValueError: if there are no mistakes.
    """
    if not mistakes:
        raise ValueError("mistakes must hold at least one mistake to draw, got none")
    width, caption_height = 10.0, 0.55
    widest = max(mistake.strip.shape[1] for mistake in mistakes)
    heights = [width * mistake.strip.shape[0] / widest + caption_height for mistake in mistakes]
    figure = new_plot((width, sum(heights)), theme)
    grid = figure.add_gridspec(len(mistakes), 1, height_ratios=heights)
    for row, mistake in enumerate(mistakes):
        axes = figure.add_subplot(grid[row])
        axes.imshow(mistake.strip, interpolation="antialiased")
        axes.set_xlim(-0.5, widest - 0.5)
        axes.set_axis_off()
        label, predicted = drawable(mistake.label, _MAX_LABEL), drawable(mistake.predicted, _MAX_LABEL)
        words = f"is {label}, predicted as {predicted} with probability {100 * mistake.probability:.1f} %"
        title = f"{drawable(mistake.clip, _MAX_CAPTION)}\n{words}"
        axes.set_title(title, loc="left", fontsize=9, color=theme.ink, parse_math=False)
    return figure


def new_plot(size: tuple[float, float], theme: Theme) -> Figure:
    """Creates an empty plot of that width and height, in inches, on the theme's paper."""
    return Figure(figsize=size, facecolor=theme.paper, layout="constrained")


def new_axes(
    figure: Figure, theme: Theme, title: str, position: tuple[int, int, int | tuple[int, int]] = (1, 1, 1)
) -> Axes:
    """Adds axes with a title, in the theme's colors; `position` is matplotlib's (rows, columns, number)."""
    axes = figure.add_subplot(*position, facecolor=theme.paper)
    axes.set_title(title, loc="left", color=theme.ink, fontsize=11, fontweight="bold")
    axes.tick_params(colors=theme.muted, labelsize=9, labelcolor=theme.ink)
    axes.xaxis.label.set_color(theme.ink)
    axes.yaxis.label.set_color(theme.ink)
    for spine in axes.spines.values():
        spine.set_color(theme.grid)
    return axes


def add_legend(axes: Axes, theme: Theme, **options: Any) -> None:
    """Adds a legend in the theme's colors; `options` are matplotlib's."""
    legend = axes.legend(fontsize=8.5, title_fontsize=8.5, labelcolor=theme.ink, facecolor=theme.paper, **options)
    legend.get_frame().set_edgecolor(theme.grid)
    legend.get_title().set_color(theme.muted)
    for text in legend.get_texts():
        text.set_parse_math(False)


def drawable(text: str, length: int) -> str:
    """Shortens `text` to its end, where names of clips differ, and replaces characters that the font lacks.

    matplotlib warns about such characters and draws boxes; the page with the plots has the names in full.
    """
    glyphs = _font_glyphs()
    text = "".join(char if ord(char) in glyphs and char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
    return text if len(text) <= length else f"…{text[-length + 1 :]}"


@functools.cache
def _font_glyphs() -> frozenset[int]:
    return frozenset(get_font(findfont(FontProperties())).get_charmap())
