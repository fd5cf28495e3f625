"""ROC curves of systems in one plot (Figure 3 of paper 1.1)."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from jaxvid.compare.runs import EvaluatedRun, SystemRuns, dataset_label
from jaxvid.metrics.table import scikit_learn_metrics
from jaxvid.report.html import PlotImages
from jaxvid.report.plots import DARK, LIGHT, Theme, add_legend, drawable, new_axes, new_plot, png

_MAX_LABEL = 56
_LINES = ("-", "--", ":", "-.")

# False and true positive rates of its points. Curves have different numbers of points, which `_` allows.
Curve = tuple[Float[np.ndarray, "_"], Float[np.ndarray, "_"]]


def roc_plot(groups: Sequence[SystemRuns]) -> PlotImages | None:
    """Plots a curve for each system and dataset, the mean over its runs; None if no run has one.

    A run has the curve of its positive class; without one, the mean over its classes, each against the others.
    """
    curves = [(group, mean_curve([curve for run in group.runs for curve in _curves(run)])) for group in groups]
    drawn = [(group, curve) for group, curve in curves if curve is not None]
    if not drawn:
        return None
    return PlotImages(*(png(_draw(drawn, theme)) for theme in (LIGHT, DARK)))


def _draw(curves: Sequence[tuple[SystemRuns, Curve]], theme: Theme) -> Figure:
    figure = new_plot((6.4, 6.0 + 0.22 * len(curves)), theme)
    axes = new_axes(figure, theme, "ROC curves")
    axes.plot([0, 1], [0, 1], linestyle="--", color=theme.muted, linewidth=1)
    several = len({dataset_label(group.data) for group, _ in curves}) > 1
    for position, (group, (false_rate, true_rate)) in enumerate(curves):
        name = f"{group.name}, {dataset_label(group.data)}" if several else group.name
        mean, spread = group.mean_and_spread("roc_auc")
        area = f"{100 * mean:.1f} %" + (f" ± {100 * spread:.1f}" if spread is not None else "")
        style = _LINES[position // len(theme.series) % len(_LINES)]
        color = theme.series[position % len(theme.series)]
        label = f"{area}: {drawable(name, _MAX_LABEL)}"
        axes.plot(false_rate, true_rate, color=color, linestyle=style, linewidth=1.8, label=label)
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
    axes.set_xlabel("false positive rate")
    axes.set_ylabel("true positive rate (recall)")
    axes.grid(color=theme.grid, linewidth=0.8)
    # Below the curves: names of systems are long.
    add_legend(axes, theme, loc="upper left", bbox_to_anchor=(0, -0.1), title="area under the curve", frameon=False)
    return figure


def _curves(run: EvaluatedRun) -> list[Curve]:
    predictions = run.predictions
    positive = run.metrics["positive_class"]
    names = predictions.class_names if positive is None else [positive]
    curves = []
    for index in map(predictions.class_names.index, names):
        is_class = predictions.labels == index
        if is_class.any() and not is_class.all():
            false_rate, true_rate, _ = scikit_learn_metrics().roc_curve(is_class, predictions.probabilities[:, index])
            curves.append((false_rate, true_rate))
    return curves


def mean_curve(curves: Sequence[Curve]) -> Curve | None:
    """Returns the mean of ROC curves over the true positive rate (vertical averaging); None of none.

    T. Fawcett, An introduction to ROC analysis, Pattern Recognition Letters 27, 2006, section 7. The area under it is
    the mean of the areas. Clips of several runs are not pooled: the probabilities of different models are on different
    scales.
    """
    if not curves:
        return None
    false_rate = np.unique(np.concatenate([rates for rates, _ in curves]))
    # At every false positive rate a curve may rise: both ends of the step are points.
    lower, upper = (np.mean([_rate_at(false_rate, *curve, side=side) for curve in curves], 0) for side in (0, -1))
    return np.repeat(false_rate, 2), np.stack([lower, upper], axis=1).ravel()


def _rate_at(
    points: Float[np.ndarray, "point"],
    false_rate: Float[np.ndarray, "own"],
    true_rate: Float[np.ndarray, "own"],
    *,
    side: int,
) -> Float[np.ndarray, "point"]:
    """Returns the true positive rate of one curve; where it rises, of its lower (0) or upper (-1) end."""
    rates = np.interp(points, false_rate, true_rate)
    begin, end = np.searchsorted(false_rate, points, "left"), np.searchsorted(false_rate, points, "right")
    own = begin if side == 0 else end - 1
    return np.where(begin < end, true_rate[np.minimum(own, len(true_rate) - 1)], rates)
