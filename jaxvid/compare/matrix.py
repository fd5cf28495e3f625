"""Systems across datasets: what they were trained on by what they were tested on, as tables and as a plot."""

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from jaxvid.compare.runs import SystemRuns, dataset_label
from jaxvid.metrics.table import COMPARED, Metric
from jaxvid.report.html import PlotImages
from jaxvid.report.plots import DARK, LIGHT, Theme, drawable, new_axes, new_plot, png
from jaxvid.tables import Table

_SHOWN = ("accuracy", "roc_auc")
# Characters in a line of a name beside a row, below a column; more names than fit in so many lines are no names.
_ROW_LABEL, _COLUMN_LABEL, _MAX_LABEL = 32, 20, 160
_LINE_HEIGHT = 0.15
# Colors begin at guessing between two classes.
_LOWEST = 0.5


class Matrix(NamedTuple):
    """The systems of a comparison across datasets.

    Attributes:
      rows: system, and the datasets that it was trained on.
      columns: datasets that it was tested on.
      cells: the systems' runs, by position of the row and the column.
    """

    rows: list[tuple[str, str]]
    columns: list[str]
    cells: dict[tuple[int, int], SystemRuns]


def matrix_of(groups: Sequence[SystemRuns]) -> Matrix | None:
    """Returns the matrix of systems; None if none was tested on another dataset than it was trained on.

    The test splits of several datasets together have no column.
    """
    if not any(group.is_across for group in groups):
        return None
    shown = [group for group in groups if "+" not in dataset_label(group.data)]
    rows = sorted(
        dict.fromkeys((group.system, group.trained_on) for group in shown),
        # A system's rows stand together, those of several training sets last.
        key=lambda row: ([group.system for group in shown].index(row[0]), row[1].count("+")),
    )
    columns = list(dict.fromkeys(dataset_label(group.data) for group in shown))
    # As the rows, so that the diagonal is one.
    trained_on = [name for _, name in rows]
    columns.sort(key=lambda name: trained_on.index(name) if name in trained_on else len(rows))
    cells: dict[tuple[int, int], SystemRuns] = {}
    for group in shown:
        place = rows.index((group.system, group.trained_on)), columns.index(dataset_label(group.data))
        # Runs of other classes or sizes of frames are systems of the tables alone.
        cells.setdefault(place, group)
    return Matrix(rows, columns, cells)


def matrix_tables(matrix: Matrix) -> list[Table]:
    """Makes a table of each metric: a header, and a row for each system and training set."""
    several = len({system for system, _ in matrix.rows}) > 1
    tables = []
    for metric in (metric for metric in COMPARED if metric.name in _SHOWN):
        header = [metric.label, *(["system"] if several else []), *(f"on {column}" for column in matrix.columns)]
        rows = []
        for row, (system, trained_on) in enumerate(matrix.rows):
            cells = [matrix.cells.get((row, column)) for column in range(len(matrix.columns))]
            texts = ["" if group is None else group.metric_text(metric) for group in cells]
            rows.append([f"trained on {trained_on}", *([system] if several else []), *texts])
        tables.append([header, *rows])
    return tables


def matrix_plot(matrix: Matrix) -> PlotImages:
    """Plots the metrics of a matrix as colored cells; those tested on what they were trained on have a frame."""
    return PlotImages(*(png(_draw(matrix, theme)) for theme in (LIGHT, DARK)))


def _draw(matrix: Matrix, theme: Theme) -> Figure:
    metrics = [metric for metric in COMPARED if metric.name in _SHOWN]
    several = len({system for system, _ in matrix.rows}) > 1
    names = [f"{system}: {trained_on}" if several else trained_on for system, trained_on in matrix.rows]
    labels = [wrapped(name, _ROW_LABEL) for name in names]
    num_lines = 1 + max(label.count("\n") for label in labels)
    width, height = 1.5 * len(matrix.columns), max(0.62, 0.1 + _LINE_HEIGHT * num_lines) * len(matrix.rows)
    figure = new_plot((3.4 + len(metrics) * (width + 0.4), 1.9 + height), theme)
    for position, metric in enumerate(metrics, start=1):
        axes = new_axes(figure, theme, metric.label, (1, len(metrics), position))
        _draw_metric(axes, matrix, metric, theme)
        shown = labels if position == 1 else [""] * len(labels)
        axes.set_yticks(range(len(labels)), shown, fontsize=8.5, parse_math=False)
        axes.set_ylabel("trained on" if position == 1 else "")
    return figure


def _draw_metric(axes: Axes, matrix: Matrix, metric: Metric, theme: Theme) -> None:
    values = np.full((len(matrix.rows), len(matrix.columns)), np.nan)
    for place, group in matrix.cells.items():
        values[place], _ = group.mean_and_spread(metric.name)
    colors = LinearSegmentedColormap.from_list("value", [theme.paper, theme.series[0]])
    axes.imshow(np.ma.masked_invalid(values), cmap=colors, vmin=_LOWEST, vmax=1, aspect="auto")
    for (row, column), group in matrix.cells.items():
        dark = values[row, column] > (1 + _LOWEST) / 2
        text = group.metric_text(metric).replace(" % ", " %\n", 1)
        style = {"ha": "center", "va": "center", "fontsize": 8.5, "parse_math": False}
        axes.text(column, row, text, color=theme.paper if dark else theme.ink, **style)
        if matrix.columns[column] in matrix.rows[row][1].split(" + "):
            frame = {"fill": False, "edgecolor": theme.ink, "linewidth": 1.6, "zorder": 3}
            axes.add_patch(Rectangle((column - 0.49, row - 0.49), 0.98, 0.98, **frame))
    ticks = [wrapped(name, _COLUMN_LABEL) for name in matrix.columns]
    axes.set_xticks(range(len(ticks)), ticks, fontsize=8.5, parse_math=False)
    axes.set_xlabel("tested on")
    axes.tick_params(length=0)


def wrapped(name: str, width: int) -> str:
    """Returns a name in lines of at most `width` characters; longer words are broken behind signs such as "_"."""
    lines = [""]
    for word in drawable(name, _MAX_LABEL).split(" "):
        long = len(word) > width
        pieces = re.findall(rf"[^_/+=,-]{{0,{width - 1}}}[_/+=,-]|.{{1,{width}}}", word) if long else [word]
        for piece in (*pieces[:-1], f"{pieces[-1]} "):
            if len((lines[-1] + piece).rstrip()) > width:
                lines.append("")
            lines[-1] += piece
    return "\n".join(line.rstrip() for line in lines)
