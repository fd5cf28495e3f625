"""The chart and the page of a comparison of runs."""

import html
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from jaxvid.compare.runs import SystemRuns
from jaxvid.report.html import PlotImages, cautions_element, counted, plot_element, render, row_cells, section, table
from jaxvid.report.plots import DARK, LIGHT, Theme, add_legend, drawable, new_axes, new_plot, png
from jaxvid.tables import Table

_MAX_LABEL = 48


def chart(groups: Sequence[SystemRuns]) -> PlotImages:
    """Plots the accuracy of every system as bars, colored by dataset, with its interval or the spread of its runs."""
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
        low, high = _error_bar(group, mean)
        style = {"ecolor": theme.ink, "elinewidth": 1.4, "capsize": 4, "fmt": "none"}
        axes.errorbar(100 * mean, position, xerr=[[100 * (mean - low)], [100 * (high - mean)]], **style)
    labels = [drawable(group.name, _MAX_LABEL) for group in groups]
    axes.set_yticks(range(len(groups)), labels, fontsize=8.5, parse_math=False)
    axes.set(xlim=(0, 100), xlabel="%")
    axes.invert_yaxis()
    axes.grid(axis="x", color=theme.grid, linewidth=0.8)
    axes.set_axisbelow(True)
    add_legend(axes, theme, loc="lower right", bbox_to_anchor=(1, 1), ncols=2, frameon=False)
    return figure


def _error_bar(group: SystemRuns, mean: float) -> tuple[float, float]:
    """The ends of the error bar: the interval of one run, one standard deviation either way of several."""
    if len(group.runs) == 1:
        accuracy = group.runs[0].metrics["accuracy"]
        return (mean, mean) if accuracy["low"] is None else (accuracy["low"], accuracy["high"])
    _, spread = group.mean_and_spread("accuracy")
    return mean - (spread or 0), float(np.minimum(1, mean + (spread or 0)))


class Content(NamedTuple):
    """What the page of a comparison shows.

    Attributes:
      systems: table of them, its header first, as in all tables.
      runs: table of them.
      differences: table of the pairs of systems.
      across: tables of the systems across datasets; empty without any.
      cautions: a sentence or two each.
      accuracies: plot of the systems' accuracies.
      curves: plot of their ROC curves; None if there are none.
      matrix: plot of the systems across datasets; None without any.
    """

    systems: Table
    runs: Table
    differences: Table
    across: Sequence[Table]
    cautions: Sequence[str]
    accuracies: PlotImages
    curves: PlotImages | None
    matrix: PlotImages | None


def page(groups: Sequence[SystemRuns], content: Content) -> str:
    """Renders the comparison of systems as one HTML file."""
    summary = (
        f"<p>{counted(len(content.runs) - 1, 'run')} of {counted(len(groups), 'system')}. A single run has its "
        "95&nbsp;% interval over source videos; several runs of one system, over seeds or folds, have their mean and "
        f"standard deviation.</p>\n{cautions_element([html.escape(caution) for caution in content.cautions])}"
    )
    accuracies = plot_element(content.accuracies, "Accuracy of every system.", "")
    sections = [
        section("Systems", accuracies + _table(content.systems, "Systems")),
        *([_across(content.matrix, content.across)] if content.matrix else []),
        *([section("ROC curves", _curves(content.curves))] if content.curves else []),
        section("Runs", _table(content.runs, "Runs")),
        section("Do two systems differ?", _differences(content.differences)),
    ]
    return render("jaxvid: comparison", summary, sections, "Written by jaxvid.")


def _across(matrix: PlotImages, tables: Sequence[Table]) -> str:
    words = (
        "Rows are what a system was trained on, columns what it was tested on. In a cell with a frame it was tested on "
        "a dataset that it was trained on, on clips of other source videos; in the others, on a dataset it never saw."
    )
    elements = [_table(table, f"Across datasets: {table[0][0]}") for table in tables]
    return section("Across datasets", plot_element(matrix, "Metrics across datasets.", words) + "\n".join(elements))


def _curves(curves: PlotImages) -> str:
    words = (
        "The curve of the positive class; without one, the mean over the classes. Of several runs it is the mean of "
        "their curves (of the true positive rates at each false positive rate), whose area is the mean of their areas."
    )
    return plot_element(curves, "ROC curves of every system.", words)


def _differences(rows: Table) -> str:
    if len(rows) == 1:
        return "<p>No two systems were evaluated on the same clips and classes.</p>"
    words = (
        "Clips that only one of two systems classifies correctly, and the difference of the accuracies in percentage "
        "points with its 95&nbsp;% interval over source videos. Systems over the same folds or seeds are compared run "
        "by run, on the clips of all runs together. McNemar's exact test assumes that clips are independent: where "
        "several of them come from one source video, its p-value is too small. The permutation test over sources "
        "exchanges the two systems for all clips of a source together; it is exact. The last column corrects its "
        "p-value for the number of pairs in this table (Holm)."
    )
    return f"<p>{words}</p>\n{_table(rows, 'Differences')}"


def _table(rows: Table, label: str) -> str:
    header, *body = rows
    return table(header, [row_cells(row) for row in body], label)
