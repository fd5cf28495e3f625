"""True events of videos, as CSV files list them: those that the pages of predictions download, or any others."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from jaxvid.tables import unquoted_formula

_COLUMNS = ("video", "onset", "offset", "class")
_TRUE, _FALSE, _OPEN = ("", "confirmed", "added"), ("rejected",), ("unreviewed",)
# The verdict on a video as a whole.
_WATCHED = "watched"


class Label(NamedTuple):
    """A row of a file of labels.

    Attributes:
      where: file and line, for messages.
      video: name of the video.
      onset: second at which the event begins.
      offset: second at which it ends.
      class_name: its class; None of a row that only names a video.
      verdict: "true", "rejected", "unreviewed", or "watched" of a row that only names a video.
    """

    where: str
    video: str
    onset: float
    offset: float
    class_name: str | None
    verdict: str


class Labels(NamedTuple):
    """The rows of files of labels.

    Attributes:
      rows: of all files.
      reviewed: whether they come from a page, where a person judged what was found: missed events may be missing.
    """

    rows: list[Label]
    reviewed: bool


def read_labels(paths: Sequence[Path]) -> Labels:
    """Reads CSV files with the columns video, onset, offset, class and, if a person reviewed events, verdict.

    A verdict is confirmed or added (a true event; so is a row without one), rejected (none), or unreviewed (nobody
    knows). A row with nothing but a video says that its video belongs to the labels, even if it has no event; with the
    verdict watched, that a person has seen all of it. Other columns are ignored.

    Raises:
      ValueError: if a file lacks a column, has a value that does not fit, or names a video of another file.
    """
    files = {path: _read(path) for path in paths}
    owner: dict[str, Path] = {}
    for path, labels in files.items():
        for label in labels.rows:
            if owner.setdefault(label.video, path) != path:
                raise ValueError(f"{label.where}: {label.video} has labels in {owner[label.video]} too")
    return Labels(
        [label for labels in files.values() for label in labels.rows],
        any(labels.reviewed for labels in files.values()),
    )


def _read(path: Path) -> Labels:
    # Spreadsheets write a byte order mark.
    with path.open(newline="", encoding="utf-8-sig", errors="replace") as file:
        rows = csv.DictReader(file)
        columns = rows.fieldnames or []
        for column in _COLUMNS:
            if column not in columns:
                raise ValueError(f"{path} has no column {column!r}; it has: {', '.join(columns) or 'none'}")
        return Labels([_label(row, f"{path}, line {rows.line_num}") for row in rows], "verdict" in columns)


def _label(row: dict[str, str | None], where: str) -> Label:
    video, onset, offset, class_name, verdict = ((row.get(column) or "").strip() for column in (*_COLUMNS, "verdict"))
    if not video:
        raise ValueError(f"{where}: the video is missing")
    video = unquoted_formula(video)
    if not (onset or offset or class_name):
        if verdict not in ("", _WATCHED):
            raise ValueError(f"{where}: the verdict on a video without an event is {verdict!r}; allowed: watched")
        return Label(where, video, 0.0, 0.0, None, _WATCHED)
    begin, end = _seconds(onset, "onset", where), _seconds(offset, "offset", where)
    if not (begin < end and class_name):
        raise ValueError(
            f"{where}: onset {onset!r}, offset {offset!r}, class {class_name!r}; allowed: onset < offset, and a class"
        )
    return Label(where, video, begin, end, unquoted_formula(class_name), _meaning(verdict, where))


def _meaning(verdict: str, where: str) -> str:
    for meaning, verdicts in (("true", _TRUE), ("rejected", _FALSE), ("unreviewed", _OPEN)):
        if verdict in verdicts:
            return meaning
    allowed = ", ".join(filter(None, (*_TRUE, *_FALSE, *_OPEN)))
    raise ValueError(f"{where}: the verdict is {verdict!r}; allowed: {allowed}, or none")


def _seconds(text: str, column: str, where: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    # In this form NaN fails too.
    if not 0 <= seconds < float("inf"):
        raise ValueError(f"{where}: {column} is {text!r}; allowed: seconds from 0 on")
    return seconds
