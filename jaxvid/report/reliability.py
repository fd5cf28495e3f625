"""The reliability diagram: how often clips are right, by the probability of their most probable class."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from jaxvid.metrics.classification import SplitMetrics
from jaxvid.report.plots import LIGHT, Theme, add_legend, new_axes, new_plot


def plot_reliability(metrics: SplitMetrics, theme: Theme = LIGHT) -> Figure:
    """Plots the share of right clips over their confidence, by bins, and below it the number of clips in each bin.

    Where there is a temperature, a second curve is that of the probabilities without it.
    """
    shown, before = metrics["reliability"], metrics.get("calibration", {}).get("before")
    edges, count = np.asarray(shown["edges"]), np.asarray(shown["count"])
    # The most probable of n classes has 1/n or more.
    first = int(np.searchsorted(edges, 1 / len(metrics["class_names"]), side="right")) - 1
    figure = new_plot((6.4, 6.0), theme)

    axes = new_axes(figure, theme, "Reliability diagram", (4, 1, (1, 3)))
    axes.plot([0, 1], [0, 1], linestyle="--", color=theme.muted, linewidth=1, label="as often right as stated")
    if before is not None:
        points = _points(before["reliability"])
        axes.plot(*points.T, color=theme.series[1], linewidth=1.2, marker="s", markersize=4, label="before calibration")
    points = _points(shown)
    label = "share right" if before is None else "after calibration"
    axes.vlines(points[:, 0], points.min(axis=1), points.max(axis=1), color=theme.series[0], linewidth=5, alpha=0.25)
    axes.plot(*points.T, color=theme.series[0], linewidth=2, marker="o", markersize=6, label=label)
    axes.set(xlim=(edges[first], 1.01), ylim=(-0.02, 1.05), ylabel="share of clips that are right")
    axes.grid(color=theme.grid, linewidth=0.8)
    axes.tick_params(labelbottom=False)
    add_legend(axes, theme, loc="upper left")

    below = new_axes(figure, theme, "", (4, 1, 4))
    bars = below.bar(edges[:-1], count, np.diff(edges), align="edge", color=theme.series[0], edgecolor=theme.paper)
    below.bar_label(bars, [str(number) if number else "" for number in count], color=theme.ink, fontsize=8, padding=1)
    below.set(xlim=(edges[first], 1.01), ylim=(0, 1.3 * count.max()), ylabel="clips")
    below.set_xlabel("probability of the most probable class")
    below.yaxis.set_major_locator(MaxNLocator(3, integer=True))
    return figure


def _points(shown: Mapping[str, Any]) -> np.ndarray:
    """The mean confidence and the share of right clips of every bin that has clips."""
    pairs = zip(shown["confidence"], shown["accuracy"], strict=True)
    return np.array([pair for pair in pairs if pair[0] is not None])
