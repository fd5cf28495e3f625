"""Makes the workdir of a run, or reads those that are given; a program of its own.

Prints a line of JSON for every workdir: the error, if any, how long it took and the highest memory.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np

from jaxvid import checkpoint, parallel, trained
from jaxvid.config import load_config, save_config
from jaxvid.models.create import initial_variables, module_from_config
from jaxvid.predict.predictor import load
from jaxvid.steps import create_state
from jaxvid.train.logbook import Logbook, read_rows
from jaxvid.train.optimizer import create_optimizer, create_schedule
from jaxvid.train.sessions import read_sessions
from tests.faults.read_weights import highest_memory
from tests.tiny import tiny_config


def make(workdir: Path) -> None:
    """Makes a workdir with two checkpoints, metrics and sessions."""
    config = tiny_config(workdir)
    config.model.num_classes = 2
    config.dataset.update(class_names=("no_fight", "fight"), frame_size=(32, 32), clip_seconds=2.0, fps=10.0)
    workdir.mkdir()
    save_config(config, workdir)
    optimizer = create_optimizer(config.optimizer, create_schedule(config.optimizer, 1), "head")
    with checkpoint.open_checkpoints(workdir, "val_loss") as checkpoints:
        for step in (1, 2):
            variables = initial_variables(module_from_config(config.model), (4, 32, 32, 3), step)
            state = create_state(variables, optimizer).replace(step=np.int32(step))
            checkpoint.save(checkpoints, parallel.replicate(state), loop={}, metrics={"val_loss": float(step)})
    with Logbook(workdir, 0) as logbook:
        logbook.write(1, {"train_loss": 0.5})
    (workdir / "sessions.jsonl").write_text('{"command": "", "date": "2026-01-01", "seconds": 1.0, "step": 1}\n')


def read(workdir: Path) -> None:
    """Reads all of a workdir that evaluation, prediction and comparison read, and predicts a clip."""
    load_config(workdir)
    rows = read_rows(workdir)
    sum(row.get("train_loss", 0.0) for row in rows)
    read_sessions(workdir)
    for which in ("best", "last"):
        trained.load(workdir, which)
    predictor = load(workdir, "best")
    predictor.classify(np.zeros((1, 4, 32, 32, 3), np.uint8))


def main(paths: list[Path]) -> None:
    """Reads the workdirs."""
    for path in paths:
        Path("/proc/self/clear_refs").write_text("5")
        began, error = time.process_time(), None
        try:
            read(path)
        except (ValueError, OSError, FloatingPointError) as refusal:
            error = str(refusal)
        except Exception as other:
            error = f"TRACEBACK {type(other).__name__}: {other}"
        line = {"file": path.name, "seconds": time.process_time() - began, "memory": highest_memory(), "error": error}
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "make":
        make(Path(sys.argv[2]))
    else:
        main([Path(argument) for argument in sys.argv[1:]])
