"""The pictures and the page of a comparison of several runs."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from jaxvid.compare.runs import SystemRuns
from jaxvid.report.html import PlotImages, plot_element, render, row_cells, section, table
from jaxvid.report.plots import DARK, LIGHT, Theme, add_legend, drawable, new_axes, new_plot, png

_MAX_LABEL = 48


def chart(groups: Sequence[SystemRuns]) -> PlotImages:
    """Bars of the accuracy of every system, by dataset, with intervals or the spread of the runs."""
    return PlotImages(*(png(_draw(groups, theme)) for theme in (LIGHT, DARK)))


def _draw(groups: Sequence[SystemRuns], theme: Theme) -> Figure:
    figure = new_plot((8.0, 1.4 + 0.42 * len(groups)), theme)
    axes = new_axes(figure, theme, "Accuracy")
    data = list(dict.fromkeys(group.data for group in groups))
    for position, group in enumerate(groups):
        mean, _ = group.mean_and_spread("accuracy")
        color = theme.series[data.index(group.data) % len(theme.series)]
        label = group.data if all(group.data != other.data for other in groups[:position]) else None
        axes.barh(position, 100 * mean, color=color, height=0.62, label=label)
        low, high = _reach(group, mean)
        style = {"ecolor": theme.ink, "elinewidth": 1.4, "capsize": 4, "fmt": "none"}
        axes.errorbar(100 * mean, position, xerr=[[100 * (mean - low)], [100 * (high - mean)]], **style)
    labels = [drawable(group.system, _MAX_LABEL) for group in groups]
    axes.set_yticks(range(len(groups)), labels, fontsize=8.5, parse_math=False)
    axes.set(xlim=(0, 100), xlabel="%")
    axes.invert_yaxis()
    axes.grid(axis="x", color=theme.grid, linewidth=0.8)
    axes.set_axisbelow(True)
    add_legend(axes, theme, loc="lower right", bbox_to_anchor=(1, 1), ncols=2, frameon=False)
    return figure


def _reach(group: SystemRuns, mean: float) -> tuple[float, float]:
    """The ends of the error bar: of one run its interval, of several one standard deviation either way."""
    if len(group.runs) == 1:
        figure = group.runs[0].metrics["accuracy"]
        return (mean, mean) if figure["low"] is None else (figure["low"], figure["high"])
    _, spread = group.mean_and_spread("accuracy")
    return mean - (spread or 0), float(np.minimum(1, mean + (spread or 0)))


def page(groups: Sequence[SystemRuns], tables: Sequence[Sequence[Sequence[str]]]) -> str:
    """The comparison as one HTML file; `tables` are of systems, runs and differences, each with its header first."""
    systems, runs, differences = tables
    summary = (
        f"<p>{len(runs) - 1} runs of {len(groups)} systems. A single run stands with its 95&nbsp;% interval over "
        "source videos, several runs of one system, over seeds or folds, with their mean and standard deviation.</p>"
    )
    sections = [
        section("Systems", plot_element(chart(groups), "Accuracy of every system.", "") + _table(systems, "Systems")),
        section("Runs", _table(runs, "Runs")),
        section("Do two runs differ?", _differences(differences)),
    ]
    return render("jaxvid: comparison", summary, sections, "Written by jaxvid.")


def _differences(rows: Sequence[Sequence[str]]) -> str:
    if len(rows) == 1:
        return "<p>No two runs were evaluated on the same clips.</p>"
    words = (
        "McNemar's exact test on clips that one run has right and the other wrong. It takes clips for independent; "
        "where many come from one source video, as here they may, the p-value is too small."
    )
    return f"<p>{words}</p>\n{_table(rows, 'Differences')}"


def _table(rows: Sequence[Sequence[str]], label: str) -> str:
    header, *body = rows
    return table(header, [row_cells(row) for row in body], label)
