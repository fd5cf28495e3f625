"""Operations that are computed in one way on the CPU and in another elsewhere."""

import contextlib
import contextvars
from collections.abc import Callable, Iterator
from typing import Any

import jax
from jaxtyping import Array

_ONE_FOR_ALL = contextvars.ContextVar("one_for_all", default=False)


def by_platform(*operands: Array, cpu: Callable[..., Any], default: Callable[..., Any]) -> Any:
    """Returns what `cpu` makes of the operands if the program runs on a CPU, and what `default` does elsewhere."""
    if _ONE_FOR_ALL.get():
        return default(*operands)
    return jax.lax.platform_dependent(*operands, cpu=cpu, default=default)


@contextlib.contextmanager
def one_for_all_platforms() -> Iterator[None]:
    """Within it, a function that has not been traced before has the default of every operation alone."""
    token = _ONE_FOR_ALL.set(True)
    try:
        yield
    finally:
        _ONE_FOR_ALL.reset(token)
