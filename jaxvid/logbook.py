"""What a run writes down while it trains: `metrics.jsonl` and TensorBoard."""

import json
import os
from pathlib import Path

from tensorboardX import SummaryWriter

FILE_NAME = "metrics.jsonl"
Row = dict[str, int | float]


class Logbook:
    """Writes rows of figures; a context manager.

    Attributes:
      rows: all rows of the run so far, those of the interrupted run before included.
    """

    def __init__(self, workdir: Path, first_step: int, *, writes: bool = True):
        """Opens the logbook of `workdir` for the steps after `first_step`; rows of later steps are dropped.

        Of several processes, only one `writes`.
        """
        self.rows = [row for row in read_rows(workdir) if row["step"] <= first_step]
        self._file = self._tensorboard = None
        if not writes:
            return
        path = workdir / FILE_NAME
        unfinished = path.with_suffix(".tmp")
        unfinished.write_text("".join(json.dumps(row) + "\n" for row in self.rows))
        os.replace(unfinished, path)
        self._file = path.open("a", encoding="utf-8", buffering=1)
        self._tensorboard = SummaryWriter(str(workdir / "tensorboard"), purge_step=first_step + 1)

    def __enter__(self) -> "Logbook":
        return self

    def __exit__(self, *_: object) -> None:
        if self._file and self._tensorboard:
            self._file.close()
            self._tensorboard.close()

    def write(self, step: int, figures: Row) -> None:
        """Adds a row, which other programs can read at once."""
        row: Row = {"step": step, **figures}
        self.rows.append(row)
        if self._file and self._tensorboard:
            self._file.write(json.dumps(row) + "\n")
            for name, value in figures.items():
                self._tensorboard.add_scalar(name, value, step)


def read_rows(workdir: Path) -> list[Row]:
    """The rows in the logbook of `workdir`; a line cut short by a crash is left out, none is an empty list."""
    path = workdir / FILE_NAME
    if not path.exists():
        return []
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return rows
