"""Sweeps: one run for each value of a config key, one after another, each in its own process.

A key is one of the config's arguments (`backbone`), a dotted key of the config (`model.arch`, `seed`), or `fold`, whose
values are i/k: of k folds of all source videos, fold i is the test split, the next one validates, the others train. Of
joined datasets, each has its folds.
"""

import contextlib
import re
import runpy
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from absl import logging

from jaxvid.data.joined import sections
from jaxvid.types import ConfigDict
from jaxvid.video.workers import exit_reason

_REPLACED = ("config", "workdir", "sweep")


class SweepRun(NamedTuple):
    """One run of a sweep: its workdir and the arguments of its command."""

    workdir: Path
    arguments: list[str]


def parse_sweep(sweep: str) -> tuple[str, list[str]]:
    """Splits "KEY=v1,v2,..." into the key and its values.

    Raises:
      ValueError: if it is not of that form, or has a value twice.
    """
    key, equals, listed = sweep.partition("=")
    values = listed.split(",")
    if not (key and equals and all(values)) or len(set(values)) < len(values):
        raise ValueError(f"--sweep={sweep!r} is not of the form KEY=v1,v2,... with different values")
    return key, values


def plan_sweep(config: ConfigDict, arguments: Sequence[str], sweep: str) -> list[SweepRun]:
    """Returns the runs of a sweep, after reading the config with each value.

    Args:
      config: as the arguments of the command set it.
      arguments: of the command, without the name of the program.
      sweep: KEY=v1,v2,...

    Raises:
      ValueError: if the config has no such key, or a value is not allowed.
    """
    key, values = parse_sweep(sweep)
    given, others = _split_arguments(arguments)
    path, _, config_argument = given["config"].partition(":")
    runs = []
    for value in values:
        workdir = Path(given["workdir"]) / re.sub(r"[^\w.=+-]", "-", f"{key}={value}")
        argument, overrides = config_argument, []
        if key == "fold":
            overrides = [f"--config.{name}={split}" for name, split in _fold_splits(config, value).items()]
        elif _is_key(config, key):
            overrides = [f"--config.{key}={value}"]
        else:
            argument = ",".join(filter(None, [config_argument, f"{key}={value}"]))
            # A bad value stops the sweep before its first run.
            runpy.run_path(path)["get_config"](argument)
        joined = f"{path}:{argument}" if argument else path
        runs.append(SweepRun(workdir, [f"--config={joined}", f"--workdir={workdir}", *others, *overrides]))
    return runs


def _split_arguments(arguments: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Separates the values of the flags that differ from run to run from all other arguments."""
    given: dict[str, str] = {}
    others: list[str] = []
    rest = iter(arguments)
    for argument in rest:
        name, equals, value = argument.lstrip("-").partition("=")
        if name in _REPLACED:
            given[name] = value if equals else next(rest)
        else:
            others.append(argument)
    return given, others


def _is_key(config: ConfigDict, key: str) -> bool:
    value: Any = config
    for part in key.split("."):
        if part not in value:
            return False
        value = value[part]
        if not hasattr(value, "keys"):
            return part == key.split(".")[-1]
    return False


def _fold_splits(config: ConfigDict, value: str) -> dict[str, str]:
    """Returns the splits of fold i of k, over all splits that the config names.

    Raises:
      ValueError: if `value` is not i/k with i below k, and k at least 3.
    """
    match = re.fullmatch(r"(\d+)/(\d+)", value)
    fold, count = map(int, match.groups()) if match else (0, 0)
    if not 0 <= fold < count or count < 3:
        raise ValueError(f"--sweep has fold={value!r}; allowed: i/k with k at least 3 and i from 0 to k-1, such as 0/5")
    # Where another dataset is tested on, its split stays.
    keys = ("train_split", "val_split") if config.dataset.test_name else ("train_split", "val_split", "test_split")
    following = (fold + 1) % count
    taken = {"train_split": f"!{fold}+{following}", "val_split": f"{following}", "test_split": f"{fold}"}
    everything = [
        "+".join(dict.fromkeys("+".join(section[key].split("@")[0] for key in keys).split("+")))
        for section in sections(config.dataset)
    ]
    return {f"dataset.{key}": ",".join(f"{splits}@{taken[key]}/{count}" for splits in everything) for key in keys}


def run_sweep(runs: Sequence[SweepRun]) -> int:
    """Runs or resumes one command after another; returns the exit status of the first that fails, or 0.

    Each has its own process, so that nothing stays in memory for the next. Of one that a signal ended, the status is
    what a shell shows: 128 and the signal's number.
    """
    for number, run in enumerate(runs, start=1):
        logging.info("Run %d of %d: %s", number, len(runs), run.workdir)
        with (
            subprocess.Popen([sys.executable, "-m", "jaxvid.main", *run.arguments]) as process,
            _forwarding(process),
        ):
            status = process.wait()
        if status:
            logging.error("%s failed: %s; run the same command again to resume", run.workdir, exit_reason(status))
            return status if status > 0 else 128 - status
    return 0


@contextlib.contextmanager
def _forwarding(process: subprocess.Popen) -> Iterator[None]:
    """Forwards SIGTERM to `process`, which saves and ends. Ctrl-C reaches both without help, so it is ignored here."""
    previous = {
        signal.SIGTERM: signal.signal(signal.SIGTERM, lambda number, _: process.send_signal(number)),
        signal.SIGINT: signal.signal(signal.SIGINT, lambda *_: None),
    }
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
