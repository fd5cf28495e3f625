"""Times of calls, and what is said of several of them."""

import resource
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

# What is printed: a JSON object.
Row = dict[str, Any]


class Times(NamedTuple):
    """How long something takes.

    Attributes:
      seconds: from its beginning to its end.
      cpu_seconds: of all threads and workers together, which other programs on the same cores do not prolong much.
    """

    seconds: float
    cpu_seconds: float


class Watch:
    """A stopwatch, started when it is made."""

    def __init__(self):
        self._began, self._cpu_began = time.perf_counter(), _cpu_seconds()

    def read(self) -> Times:
        """Returns the times since then; those of worker processes count once they have ended."""
        return Times(time.perf_counter() - self._began, _cpu_seconds() - self._cpu_began)


def _cpu_seconds() -> float:
    workers = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + workers.ru_utime + workers.ru_stime


def time_calls(call: Callable[[], object], num_calls: int) -> Times:
    """Returns the mean over several calls, one after another."""
    watch = Watch()
    for _ in range(num_calls):
        call()
    seconds, cpu_seconds = watch.read()
    return Times(seconds / num_calls, cpu_seconds / num_calls)


def spread(name: str, values: Sequence[float]) -> Row:
    """Returns the median of values of several rounds under `name`, the lowest and the highest beside it."""
    return {name: float(np.median(values)), f"{name}_min": min(values), f"{name}_max": max(values)}


def ratios(first: Sequence[float], second: Sequence[float], name: str = "ratio") -> Row:
    """Returns what is said of the ratios of two measurements, round by round."""
    return spread(name, [one / other for one, other in zip(first, second, strict=True)])
