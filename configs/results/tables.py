"""The tables of the documents: each stands between two comments and is written from the CSV files of this folder.

    <!-- results: FILE[+FILE...] [show=COLUMN,...] [where=COLUMN:VALUE|VALUE] [by=COLUMN] -->
    <!-- end -->

`show` names the columns; by default all that hold something, without the circumstances of the measurement. A metric
stands with its spread, `accuracy_sd`, and its interval, `accuracy_low` and `accuracy_high`. What a paper says stands in
columns such as `paper_accuracy`. `above_pixels` is a difference, in points. `where` selects rows, and may be given
several times. `by` gives each of a column's values a column of its own. Values with spaces are quoted.
"""

import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from jaxvid.compare.results import Row, read_results
from jaxvid.metrics.table import METRICS
from jaxvid.metrics.text import format_points
from jaxvid.tables import in_markdown

FOLDER = Path(__file__).parent
ROOT = FOLDER.parent.parent
DOCUMENTS = ("README.md", "configs/README.md", "configs/results/README.md")

BLOCK = re.compile(r"^<!-- results: (?P<table>.+?) -->\n.*?^<!-- end -->", re.DOTALL | re.MULTILINE)

# Lower case, but for abbreviations: "accuracy", "ROC AUC".
_LABELS = {
    metric.name: metric.label if metric.label[:2].isupper() else metric.label[0].lower() + metric.label[1:]
    for metric in METRICS
}
_PERCENT = {metric.name: metric.percent for metric in METRICS}
_DIFFERENCE = "above_pixels"
_PARTS = ("_sd", "_low", "_high", "_runs")
# Shown on request alone.
_CIRCUMSTANCES = ("config", "split", "seconds", "hardware", "date", "command")


class Table(NamedTuple):
    """What the comment before a table asks for; see the docstring of this module."""

    files: list[str]
    show: list[str]
    where: dict[str, list[str]]
    by: str


def with_tables(text: str, folder: Path) -> str:
    """Returns a document with its tables as the CSV files give them.

    Args:
      text: of the document.
      folder: in which the document lies, for the links to the CSV files.

    Raises:
      ValueError: if a comment cannot be read, or names a file, a column or a value that does not exist.
    """

    def block(match: re.Match[str]) -> str:
        lines = [f"<!-- results: {match['table']} -->", "", *table_lines(match["table"], folder), "", "<!-- end -->"]
        return "\n".join(lines)

    return BLOCK.sub(block, text)


def table_lines(comment: str, folder: Path) -> list[str]:
    """Returns the Markdown lines of the table that a comment asks for, and below it how and when it was measured."""
    table = _parse(comment)
    paths = [FOLDER / f"{name}.csv" for name in table.files]
    if missing := [path.stem for path in paths if not path.exists()]:
        allowed = ", ".join(sorted(path.stem for path in FOLDER.glob("*.csv")))
        raise ValueError(f"results: {comment!r} names {missing[0]!r}; allowed: {allowed}")
    rows = [row for path in paths for row in read_results(path)]
    known = list(dict.fromkeys(column for row in rows for column in row))
    asked = [*table.show, *table.where, *([table.by] if table.by else [])]
    if unknown := [column for column in asked if column not in known]:
        raise ValueError(f"results: {comment!r} names the column {unknown[0]!r}; allowed: {', '.join(known)}")
    rows = [row for row in rows if all(row.get(column) in values for column, values in table.where.items())]
    if not rows:
        raise ValueError(f"results: {comment!r} selects no row")
    show = table.show or _filled(rows, known)
    cells = _pivoted(rows, show, table.by) if table.by else _plain(rows, show)
    links = [f"[{path.name}]({_relative(path, folder)})" for path in paths]
    what = "Commands and all figures" if any(row.get("command") for row in rows) else "All figures"
    return [*in_markdown(cells), "", *_wrapped(f"{_circumstances(rows)}{what}: {', '.join(links)}.")]


def _parse(comment: str) -> Table:
    files, *options = shlex.split(comment)
    table = Table(files.split("+"), [], {}, "")
    for option in options:
        name, _, value = option.partition("=")
        if name == "show":
            table = table._replace(show=value.split(","))
        elif name == "where" and ":" in value:
            column, _, values = value.partition(":")
            table.where[column] = values.split("|")
        elif name == "by":
            table = table._replace(by=value)
        else:
            allowed = "show=COLUMN,..., where=COLUMN:VALUE|VALUE, by=COLUMN"
            raise ValueError(f"results: {comment!r} has {option!r}; allowed: {allowed}")
    return table


def _filled(rows: Sequence[Row], known: Sequence[str]) -> list[str]:
    columns = [name for name in known if not (name in _CIRCUMSTANCES or _is_part(name))]
    return [name for name in columns if any(row.get(name) for row in rows)]


def _is_part(column: str) -> bool:
    """Returns whether a column stands in the cell of another one: a spread, an interval, the values of the runs."""
    return column.endswith(_PARTS) and (column.startswith(_DIFFERENCE) or _metric(column) is not None)


def _metric(column: str) -> str | None:
    """Returns the metric that a column holds, such as "accuracy" of "val_accuracy_sd"; None if it holds no metric."""
    for part in _PARTS:
        column = column.removesuffix(part)
    # The longest name first: "balanced_accuracy" ends with "accuracy" too.
    return next((name for name in sorted(_LABELS, key=len)[::-1] if f"_{column}".endswith(f"_{name}")), None)


def _label(column: str) -> str:
    names = {
        "trained_on": "trained on",
        "seconds": "time of a run",
        "accuracy_runs": "of the runs",
        _DIFFERENCE: "less pixel change",
    }
    metric = _metric(column)
    if column in names or metric is None:
        return names.get(column, column.replace("_", " "))
    prefix = column.removesuffix(metric).removesuffix("_").replace("_", " ").replace("val", "validation")
    return f"{prefix} {_LABELS[metric]}".strip()


def _plain(rows: Sequence[Row], show: Sequence[str]) -> list[list[str]]:
    return [[_label(column) for column in show], *([_cell(row, column) for column in show] for row in rows)]


def _pivoted(rows: Sequence[Row], show: Sequence[str], by: str) -> list[list[str]]:
    """Makes a row for each combination of the columns that are no metrics, and a column for each metric and value."""
    values = list(dict.fromkeys(row[by] for row in rows))
    metrics = [column for column in show if _metric(column)]
    named = [column for column in show if column not in (*metrics, by)]
    header = [f"{value}, {_label(metric)}" if len(metrics) > 1 else value for value in values for metric in metrics]
    table: dict[tuple[str, ...], dict[str, Row]] = {}
    for row in rows:
        of_name = table.setdefault(tuple(_cell(row, column) for column in named), {})
        if row[by] in of_name:
            raise ValueError(f"results: two rows for {', '.join(row[column] for column in named)} and {row[by]}")
        of_name[row[by]] = row
    body = [
        [*name, *(_cell(cells.get(value, {}), metric) for value in values for metric in metrics)]
        for name, cells in table.items()
    ]
    return [[*map(_label, named), *header], *body]


def _cell(row: Row, column: str) -> str:
    value, metric = row.get(column, ""), _metric(column)
    if not value:
        return ""
    if column == "seconds":
        return _duration(value)
    if column == "config":
        return f"`{value}`"
    if column == _DIFFERENCE:
        return _points(row)
    if metric is None:
        return value
    percent = _PERCENT[metric]
    if column.startswith("paper_"):
        return f"{100 * float(value):.4g} %"
    unit = " %" if percent else ""
    if column.endswith("_runs"):
        return ", ".join(_figure(part, percent) for part in value.split()) + unit
    parts = {part: _figure(row.get(column + part, ""), percent) for part in _PARTS[:3]}
    spread = f" ± {parts['_sd']}" if parts["_sd"] else ""
    interval = f" [{parts['_low']}, {parts['_high']}]" if parts["_low"] else ""
    return f"{_figure(value, percent)}{unit}{spread}{interval}"


def _points(row: Row) -> str:
    """Formats a difference of fractions with its interval, in percentage points."""
    value, low, high = (row.get(_DIFFERENCE + part, "") for part in ("", "_low", "_high"))
    return format_points({"value": float(value), "low": _fraction(low), "high": _fraction(high)})


def _fraction(text: str) -> float | None:
    return float(text) if text else None


def _figure(text: str, percent: bool) -> str:
    """Formats a fraction in percent, with one digit after the point, or none of a figure that has no more."""
    if not (percent and re.fullmatch(r"[\d.]+", text)):
        return text
    digits = 1 if len(text) > len("0.12") and float(text) != 1 else 0
    return f"{100 * float(text):.{digits}f}"


def _duration(text: str) -> str:
    """Formats a number of seconds, or a range such as "180 to 420"."""
    values = [float(part) for part in text.split(" to ")]
    unit, size = ("s", 1) if values[-1] < 90 else ("min", 60) if values[-1] < 6000 else ("h", 3600)
    return f"{' to '.join(f'{value / size:.{2 if size > 1 else 3}g}' for value in values)} {unit}"


def _circumstances(rows: Sequence[Row]) -> str:
    """Returns in words on what the rows were measured, and when."""
    dates: dict[str, list[str]] = {}
    for row in rows:
        if row.get("hardware"):
            dates.setdefault(row["hardware"], []).append(row["date"])
    measured = []
    for hardware, of_hardware in dates.items():
        first, last = min(of_hardware), max(of_hardware)
        measured.append(f"{hardware}, {first}" if first == last else f"{hardware}, {first} to {last}")
    return f"On {'; '.join(measured)}. " if measured else ""


def _relative(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix()


def _wrapped(text: str) -> list[str]:
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        lines = [*lines[:-1], longer] if len(longer) <= 120 else [*lines, word]
    return lines
