"""The logbook of a run: `metrics.jsonl`, TensorBoard and the changes of its activations."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tensorboardX import SummaryWriter

from jaxvid.files import replacing

FILE_NAME = "metrics.jsonl"
CHANGES_FILE_NAME = "activation_changes.jsonl"
Row = dict[str, int | float]


class Logbook:
    """Writes rows of metrics, and keeps none; a context manager."""

    def __init__(self, workdir: Path, first_step: int, *, writes: bool = True):
        """Opens the logbook of `workdir` to continue after step `first_step`: rows of later steps are dropped.

        Of several processes, only one `writes`.
        """
        self._changes_path = workdir / CHANGES_FILE_NAME
        self._file = self._tensorboard = None
        if not writes:
            return
        path = workdir / FILE_NAME
        _replace(path, [row for row in read_rows(workdir) if row["step"] <= first_step])
        self._file = path.open("a", encoding="utf-8", buffering=1)
        self._tensorboard = SummaryWriter(str(workdir / "tensorboard"), purge_step=first_step + 1)

    def __enter__(self) -> "Logbook":
        return self

    def __exit__(self, *_: object) -> None:
        if self._file and self._tensorboard:
            self._file.close()
            self._tensorboard.close()

    def write(self, step: int, metrics: Row) -> None:
        """Adds a row, which other programs can read at once."""
        if self._file and self._tensorboard:
            self._file.write(json.dumps({"step": step, **metrics}) + "\n")
            for name, value in metrics.items():
                self._tensorboard.add_scalar(name, value, step)

    def write_changes(self, step: int, changes: list[dict[str, Any]]) -> None:
        """Replaces the file of changes: every evaluation adds metrics to earlier rows (`adaptation.change_rows`)."""
        if not self._tensorboard:
            return
        _replace(self._changes_path, changes)
        self._tensorboard.add_scalar("activation_changes", len(changes), step)
        if changes and changes[-1]["step"] == step:
            text = f"{changes[-1]['from']} to {changes[-1]['to']} ({changes[-1]['reason']})"
            self._tensorboard.add_text("activation_change", text, step)


def _replace(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Writes rows as JSON lines; the file appears complete or not at all."""
    with replacing(path) as unfinished:
        unfinished.write_text("".join(json.dumps(row) + "\n" for row in rows))


def read_rows(workdir: Path) -> list[Row]:
    """Reads the rows in the logbook of `workdir`, without lines cut off by a crash; empty if there is no logbook.

    Raises:
      ValueError: if a line is of another form.
    """
    path = workdir / FILE_NAME
    if not path.exists():
        return []
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
        try:
            row = json.loads(line)
        except (json.JSONDecodeError, RecursionError):
            continue
        if not isinstance(row, dict) or not all(isinstance(value, int | float) for value in row.values()):
            raise ValueError(f"{path}, line {number} is no row of metrics; remove the line, or restore the file")
        if "step" not in row:
            raise ValueError(f"{path}, line {number} has no step; remove the line, or restore the file")
        rows.append(row)
    return rows
