"""The sessions of a run: the commands that began and resumed it, when, on what machine, and how long they trained."""

import datetime
import json
import os
import time
from pathlib import Path
from typing import Any

from jaxvid.files import replacing

FILE_NAME = "sessions.jsonl"

# A sweep gives its own command to the processes of its runs: that one makes all of them.
COMMAND_VARIABLE = "JAXVID_COMMAND"


class Session:
    """One session of a run. Its row is written with every checkpoint: what came after the last one is lost anyway."""

    def __init__(self, workdir: Path, command: str, *, first_stage: Path | None = None, writes: bool = True):
        """Begins a session now.

        Args:
          workdir: of the run.
          command: that began it; may be empty.
          first_stage: workdir of the first of two stages, whose time counts too; None where there is none.
          writes: whether this process, of several, writes the row.
        """
        self._path = workdir / FILE_NAME
        self._earlier = read_sessions(workdir)
        self._row = {"command": command, "date": datetime.date.today().isoformat(), "hardware": describe_hardware()}
        self._began = time.monotonic()
        self._before = sum(row["seconds"] for row in read_sessions(first_stage)) if first_stage else 0.0
        self._writes = writes

    def save(self, step: int) -> None:
        """Writes the row of this session, which has come to `step`."""
        if not self._writes:
            return
        row = {**self._row, "step": step, "seconds": round(self._before + time.monotonic() - self._began, 1)}
        with replacing(self._path) as unfinished:
            unfinished.write_text("".join(json.dumps(each) + "\n" for each in (*self._earlier, row)))


def read_sessions(workdir: Path) -> list[dict[str, Any]]:
    """Reads the sessions of a run: command, date, hardware, and the step and the seconds at its last checkpoint.

    The seconds count training, validation and the features of a frozen backbone, but not the preparation of a dataset.
    Runs of versions that kept no sessions have none.

    Raises:
      ValueError: if the file has lines of another form.
    """
    path = workdir / FILE_NAME
    if not path.exists():
        return []
    try:
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        if all(isinstance(row["seconds"], int | float) for row in rows):
            return rows
    except (ValueError, KeyError, TypeError, RecursionError):
        pass
    raise ValueError(f"{path} has lines that are no sessions of a run; remove them, or restore the file")


def describe_hardware() -> str:
    """Returns the devices of JAX in words, such as "2 CPU cores" or "1 x NVIDIA H100 80GB HBM3"."""
    # Not at the top: reading sessions need not wait for it.
    import jax

    devices = jax.devices()
    if devices[0].platform != "cpu":
        return f"{len(devices)} x {devices[0].device_kind}"
    # Fewer than the machine has where the process is bound to some of them; only Linux tells.
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return f"{cores} CPU {'core' if cores == 1 else 'cores'}"
