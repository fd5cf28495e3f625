"""Jobs on a machine under load: with little memory, one core, a wall clock that jumps, among many other processes."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tests.faults import jobs
from tests.faults.campaign import Try
from tests.faults.confined import ROOT
from tests.faults.preloaded import compiled

PROMISE = (
    "a machine under load is slower, or refuses clearly for want of memory and goes on with more: the same results, no "
    "deadlock, nothing half-written"
)

# The first ones are those of the slow test.
_JOBS = ("train", "predict", "features", "evaluate", "export", "sweep")
_GIGABYTE = 10**9
_OTHER_PROCESSES = 200
# Probabilities after the few steps of a training differed by 2e-6 on one core and on two; on one core they never did.
_ROUNDING = 1e-4
_NUMBER = re.compile(rb"-?\d+(?:\.\d+)?(?:e[+-]?\d+)?")
_CONTROL_GROUPS = Path("/sys/fs/cgroup")


class Load(NamedTuple):
    """What a job is started with.

    Attributes:
      prefix: of its command.
      environment: in addition to its own.
      rounds: whether numbers may differ by rounding, as XLA adds them in an order that depends on the number of cores.
    """

    prefix: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    rounds: bool = False


def attempt(one: Try) -> Sequence[str]:
    """Runs a job under a load; if that refuses it, again without. Nothing is tried where there can be no such load."""
    names = list(_LOADS)
    name = names[one.number % len(names)]
    # So every job comes under every load.
    job = _JOBS[(one.number + one.number // len(names)) % len(_JOBS)]
    undisturbed = jobs.whole(job)
    with _LOADS[name](one) as load:
        if load is None:
            return []
        process = jobs.start(job, one.directory, prefix=load.prefix, **dict(load.environment))
        status, errors = jobs.finish(process)
    verdict = _verdict(status, errors, one.directory, undisturbed, load.rounds)
    if not verdict and status != 0:
        status, errors = jobs.finish(jobs.start(job, one.directory))
        verdict = _verdict(status, errors, one.directory, undisturbed, load.rounds)
        verdict = verdict or (f"status {status} without it: {errors[-500:]}" if status != 0 else "")
    return [f"{job}, {name}: {verdict}" if verdict else ""]


def _verdict(status: int | None, errors: str, home: Path, undisturbed: jobs.Whole, rounds: bool) -> str:
    """Returns "" if a job has the results that it should have, or was refused for want of memory."""
    if status is None:
        return f"it did not end within {jobs.DEADLINE_SECONDS:.0f} s"
    if broken := jobs.half_written(home):
        return "; ".join(broken)
    if status == 0:
        found, expected = jobs.results(home), undisturbed.results
        names = expected.keys() | found.keys()
        differing = [name for name in names if not _is_same(found.get(name), expected.get(name), rounds)]
        return f"other results: {', '.join(sorted(differing))}" if differing else ""
    # The kernel leaves the program that it kills no time for a line.
    if status == -signal.SIGKILL:
        return ""
    lines = errors.strip().splitlines()[-20:]
    if "Traceback (most recent call last)" in errors or not any("memory" in line for line in lines):
        return f"status {status}, and no line that tells of memory: {errors[-1000:]}"
    return ""


def _is_same(found: bytes | None, expected: bytes | None, rounds: bool) -> bool:
    """Returns whether two files have the same bits or, if they may, numbers that are the same but for rounding."""
    if found == expected or not rounds or found is None or expected is None:
        return found == expected
    if _NUMBER.sub(b"", found) != _NUMBER.sub(b"", expected):
        return False
    numbers = [[float(number) for number in _NUMBER.findall(content)] for content in (found, expected)]
    return bool(np.allclose(*numbers, rtol=0, atol=_ROUNDING))


@contextlib.contextmanager
def _little_memory(one: Try) -> Iterator[Load | None]:
    """1 GB for each job in a first round; less, at random, in those behind it."""
    first_round = one.number < len(_LOADS) * len(_JOBS)
    limit = _GIGABYTE if first_round else int(one.rng.uniform(0.3, 1.0) * _GIGABYTE)
    # What is printed counts as a refusal too: the table of a prediction has the videos that were not read.
    with _control_group(one.directory.name, limit) as group:
        join = 'echo $$ > "$0" && exec "$@" >&2'
        yield None if group is None else Load(("sh", "-c", join, str(group / "cgroup.procs")))


@contextlib.contextmanager
def _control_group(name: str, limit: int) -> Iterator[Path | None]:
    """Yields a group whose processes have so much memory together, or None where this program may make none."""
    first_version = _CONTROL_GROUPS / "memory"
    parent, limits = _CONTROL_GROUPS, {"memory.max": limit, "memory.swap.max": 0}
    if first_version.is_dir():
        parent, limits = first_version, {"memory.limit_in_bytes": limit, "memory.memsw.limit_in_bytes": limit}
    group = parent / name
    try:
        group.mkdir()
    except OSError:
        yield None
        return
    try:
        files = {group / file: value for file, value in limits.items() if (group / file).exists()}
        for file, value in files.items():
            file.write_text(str(value))
        # Without swap, a kernel has no limit for it.
        yield group if files else None
    finally:
        _remove_group(group)


def _remove_group(group: Path, seconds: float = 10.0) -> None:
    """Removes a group once its last process is gone: workers end a moment after their parent."""
    until = time.monotonic() + seconds
    while True:
        try:
            group.rmdir()
            return
        except OSError:
            if time.monotonic() > until:
                raise
        time.sleep(0.1)


@contextlib.contextmanager
def _one_core(one: Try) -> Iterator[Load]:
    core = one.rng.choice(sorted(os.sched_getaffinity(0)))
    yield Load(("taskset", "--cpu-list", str(core)), rounds=True)


@contextlib.contextmanager
def _jumping_clock(one: Try) -> Iterator[Load]:
    preloaded = ("LD_PRELOAD", str(compiled("clock", one.directory)))
    # Told by Python's own clocks, lest the library do nothing here.
    told = "import time; first = time.time(); time.sleep(1.5); print(abs(time.time() - first - 1.5))"
    environment = {**os.environ, preloaded[0]: preloaded[1]}
    jump = subprocess.run([sys.executable, "-c", told], env=environment, capture_output=True, text=True, check=True)
    if float(jump.stdout) < 60:
        raise RuntimeError(f"the clock has not jumped, but by {jump.stdout.strip()} s")
    yield Load(environment=(preloaded,))


@contextlib.contextmanager
def _crowd(_: Try) -> Iterator[Load]:
    command = [sys.executable, "-m", "tests.faults.crowd", str(_OTHER_PROCESSES)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as crowd:
        assert crowd.stdout is not None
        if not crowd.stdout.readline():
            raise RuntimeError(f"{_OTHER_PROCESSES} processes cannot be started here")
        # Leaving closes its standard input, which ends it.
        yield Load()


_LOADS: dict[str, Callable[[Try], AbstractContextManager[Load | None]]] = {
    "little memory": _little_memory,
    "one core": _one_core,
    "a clock that jumps": _jumping_clock,
    f"{_OTHER_PROCESSES} other processes": _crowd,
}
