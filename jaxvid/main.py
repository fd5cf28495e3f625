"""Trains what a config describes and evaluates the best checkpoint; run the same command again to resume.

    python -m jaxvid.main --config=configs/NAME.py[:key=value,...] --workdir=DIR [--config.SECTION.KEY=VALUE ...]

--sweep=KEY=v1,v2,... runs it for each value of one of the config's arguments, of one of its keys (seed, model.arch), or
of fold (0/5,1/5,... over source videos), each in a directory of the workdir, and compares the runs.

--beam_options=runner=NAME,... builds the dataset, if it is not prepared, on Apache Beam (tfds_builders/README.md).

Several processes, one per host: --coordinator=HOST:PORT --num_processes=N --process_id=I, or --distributed on a TPU pod
or a cluster that JAX recognizes.
"""

import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from absl import flags, logging
from ml_collections import config_flags

from jaxvid import commands

_CONFIG = config_flags.DEFINE_config_file("config", None, "config file, with its string argument after a colon")
_WORKDIR = flags.DEFINE_string("workdir", None, "run directory; a run already in it is resumed", required=True)
_SWEEP = flags.DEFINE_string("sweep", None, "KEY=v1,v2,...: one run for each value, and a comparison")
_BEAM_OPTIONS = flags.DEFINE_string(
    "beam_options", None, "build the dataset on Apache Beam: runner=NAME,NAME=VALUE,..."
)
_COORDINATOR = flags.DEFINE_string("coordinator", None, "address of the first process, HOST:PORT")
_NUM_PROCESSES = flags.DEFINE_integer("num_processes", None, "number of processes")
_PROCESS_ID = flags.DEFINE_integer("process_id", None, "number of this process, from 0")
_DISTRIBUTED = flags.DEFINE_bool("distributed", False, "join the other processes of a TPU pod or cluster")

# The status that a shell shows for a program that SIGTERM ended.
_EXIT_INTERRUPTED = 143


def main(argv: Sequence[str]) -> int:
    """Runs the command; returns its exit status."""
    commands.refuse_arguments(argv)
    if _SWEEP.value is not None:
        return _sweep(_SWEEP.value, Path(_WORKDIR.value))
    commands.keep_compiled_programs()
    _start_processes()
    # Not at the top: importing them takes seconds, which --help and a misspelled flag need not wait for.
    from jaxvid.processes import ending_together
    from jaxvid.train.loop import train
    from jaxvid.train.sessions import COMMAND_VARIABLE
    from jaxvid.train.signals import Interrupted

    workdir = Path(_WORKDIR.value)
    if _BEAM_OPTIONS.value is not None:
        _build_on_beam(_BEAM_OPTIONS.value)
    try:
        with ending_together(Interrupted):
            train(_CONFIG.value, workdir, os.environ.get(COMMAND_VARIABLE) or _command())
            _report(workdir)
    except Interrupted as interruption:
        logging.warning("%s", interruption)
        return _EXIT_INTERRUPTED
    return 0


def _report(workdir: Path) -> None:
    """Draws the data and evaluates the best checkpoint."""
    # After training, whose first step need not wait for what draws a report.
    from jaxvid.evaluate.evaluate import evaluate
    from jaxvid.parallel import on_first_process
    from jaxvid.report.data.run import write_page_of_run

    if on_first_process():
        print(f"Data: {write_page_of_run(workdir, _command())}")
    evaluate(workdir)


def _start_processes() -> None:
    if _DISTRIBUTED.value or _COORDINATOR.value:
        from jaxvid.processes import start

        start(_COORDINATOR.value, _NUM_PROCESSES.value, _PROCESS_ID.value)
        return
    for flag in (_NUM_PROCESSES, _PROCESS_ID):
        if flag.value is not None:
            raise ValueError(f"--{flag.name}={flag.value} needs --coordinator=HOST:PORT, or --distributed")


def _build_on_beam(options: str) -> None:
    from jaxvid.data.joined import prepare_data
    from jaxvid.train.checks import check_config

    # A mistake in the config is better said before a build of hours.
    check_config(_CONFIG.value)
    prepare_data(_CONFIG.value.dataset, _CONFIG.value.pipeline.decoder, options)


def _command() -> str:
    return shlex.join(["python", "-m", "jaxvid.main", *sys.argv[1:]])


def _sweep(sweep: str, workdir: Path) -> int:
    from jaxvid.compare.compare import compare
    from jaxvid.train.sessions import COMMAND_VARIABLE
    from jaxvid.train.sweep import plan_sweep, run_sweep

    runs = plan_sweep(_CONFIG.value, sys.argv[1:], sweep)
    os.environ[COMMAND_VARIABLE] = _command()
    status = run_sweep(runs)
    if not status:
        print(compare([run.workdir for run in runs], workdir))
        print(f"Page: {workdir / 'comparison.html'}")
    return status


if __name__ == "__main__":
    flags.mark_flag_as_required("config")
    commands.run(main)
