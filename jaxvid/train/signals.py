"""SIGTERM and Ctrl-C as a request to save and stop."""

import contextlib
import signal
from collections.abc import Callable, Iterator
from typing import Any

import jax
from absl import logging
from jax.experimental import multihost_utils


class Interrupted(Exception):  # noqa: N818 (nothing went wrong)
    """The run was asked to stop, has saved a checkpoint, and goes on when it is started again."""


@contextlib.contextmanager
def stop_requests() -> Iterator[Callable[[int], bool]]:
    """Turns SIGTERM and SIGINT into an answer: whether to stop after the step of that number.

    A second signal acts as it would have without this. With several processes, all give the same answer at the same
    step, after a SIGTERM to any of them.
    """
    received: list[int] = []
    previous: dict[int, Any] = {}

    def note(number: int, _frame: object) -> None:
        received.append(number)
        signal.signal(number, previous[number])
        logging.warning("Received signal %d: saving and stopping", number)

    def requested(step: int) -> bool:
        if jax.process_count() > 1:
            return multihost_utils.reached_preemption_sync_point(step)
        return bool(received)

    # With several processes, JAX itself listens for SIGTERM and tells the others.
    listened = [signal.SIGINT, signal.SIGTERM] if jax.process_count() == 1 else []
    previous.update({number: signal.signal(number, note) for number in listened})
    try:
        yield requested
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
