"""Time from the training command to its first step."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path

from jaxvid.benchmark.timing import Row
from jaxvid.train.loop import FIRST_STEP_DONE


def start_times(arguments: Sequence[str]) -> Row:
    """Starts the training command twice, each in a new workdir, and stops it at its first step.

    The first start compiles everything; the second one finds it compiled (`jaxvid.commands.keep_compiled_programs`).

    Args:
      arguments: that set the config.

    Raises:
      ValueError: if the command ends before its first step.
    """
    with tempfile.TemporaryDirectory() as directory:
        compiled = {"JAX_COMPILATION_CACHE_DIR": str(Path(directory) / "compiled")}
        first, second = (
            _seconds_to_first_step([*arguments, f"--workdir={Path(directory) / name}"], os.environ | compiled)
            for name in ("first", "second")
        )
    return {"what": "start", "first_start_seconds": first, "second_start_seconds": second}


def _seconds_to_first_step(arguments: Sequence[str], environment: dict[str, str]) -> float:
    began, last = time.perf_counter(), deque(maxlen=5)
    command = [sys.executable, "-m", "jaxvid.main", *arguments]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        seconds = None
        # Read to the end, so that the command is never held up.
        for line in process.stderr:
            last.append(line)
            if seconds is None and FIRST_STEP_DONE in line:
                seconds = time.perf_counter() - began
                process.send_signal(signal.SIGTERM)
    if seconds is None:
        raise ValueError(f"the training command ended before its first step; its last lines:\n{''.join(last)}")
    return seconds


def config_arguments(arguments: Sequence[str]) -> list[str]:
    """Returns the arguments that set the config, as the training command takes them."""
    taken, follows = [], False
    for argument in arguments:
        name, equals, _ = argument.lstrip("-").partition("=")
        is_config = name == "config" or name.startswith(("config.", "noconfig."))
        if is_config or (follows and not argument.startswith("-")):
            taken.append(argument)
        follows = is_config and not equals
    return taken
