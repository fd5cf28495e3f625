"""Times of calls, and what is said of several of them."""

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

# What is printed: a JSON object.
Row = dict[str, Any]


class Times(NamedTuple):
    """How long calls take on average.

    Attributes:
      seconds: from the beginning of one to that of the next.
      cpu_seconds: of all threads of this process, which other programs on the same cores do not prolong much.
    """

    seconds: float
    cpu_seconds: float


def time_calls(call: Callable[[], object], num_calls: int) -> Times:
    """Calls a function several times, one after another."""
    began, cpu_began = time.perf_counter(), time.process_time()
    for _ in range(num_calls):
        call()
    return Times((time.perf_counter() - began) / num_calls, (time.process_time() - cpu_began) / num_calls)


def spread(name: str, values: Sequence[float]) -> Row:
    """Returns the median of values of several rounds under `name`, the lowest and the highest beside it."""
    return {name: float(np.median(values)), f"{name}_min": min(values), f"{name}_max": max(values)}


def ratios(first: Sequence[float], second: Sequence[float]) -> Row:
    """Returns what is said of the ratios of two measurements, round by round."""
    return spread("ratio", [one / other for one, other in zip(first, second, strict=True)])
