"""The same download, the same build and the same workdir from three processes at once."""

import hashlib
import json
import os
import subprocess
import sys

from jaxvid.train.logbook import read_rows
from tests.faults.campaign import Try
from tests.faults.confined import ROOT
from tests.faults.downloads import host

PROMISE = "the same cache, build or workdir from several processes: one does it, the others wait or refuse clearly"
_PROCESSES, _DEADLINE = 3, 900.0
_STEPS = 4


def attempt(one: Try) -> list[str]:
    """Starts three processes that each download, build and train the same."""
    content = one.rng.bytes(300_000)
    secret = one.directory / "secret"
    environment = os.environ | {"PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu", "TF_CPP_MIN_LOG_LEVEL": "3"}
    environment["XLA_FLAGS"] = "--xla_backend_optimization_level=0"
    with host(content, ["slow"], secret) as address:
        command = [sys.executable, "-m", "tests.faults.work_together", str(one.directory), address]
        command.append(hashlib.sha256(content).hexdigest())
        processes = [
            subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            for _ in range(_PROCESSES)
        ]
        ended = [process.communicate(timeout=_DEADLINE) for process in processes]
    verdicts, trained = [], 0
    for output, errors in ended:
        lines = output.decode().splitlines()
        if not lines:
            verdicts.append(f"a process failed: {errors.decode()[-800:]}")
            continue
        outcomes = json.loads(lines[-1])
        verdicts += ["" if outcomes[step] == "done" else f"{step}: {outcomes[step]}" for step in ("download", "build")]
        refused = "another process" in outcomes["train"]
        trained += outcomes["train"] == "done"
        verdicts.append("" if outcomes["train"] == "done" or refused else f"train: {outcomes['train']}")
    steps = [row["step"] for row in read_rows(one.directory / "run") if "train_loss" in row]
    verdicts.append("" if trained and steps == list(range(1, _STEPS + 1)) else f"{trained} trained; steps: {steps}")
    kept = sorted(path.name for path in (one.directory / "cache").iterdir())
    left = [path.name for path in (one.directory / "run" / "checkpoints").iterdir() if not path.name.isdigit()]
    return [*verdicts, "" if kept == ["weights.bin"] and not left else f"left behind: {kept} {left}"]
