"""SIGTERM and Ctrl-C as requests to save and stop."""

import contextlib
import itertools
import signal
from collections.abc import Callable, Iterator
from types import FrameType

import jax
from absl import logging
from jax.experimental import multihost_utils

Handler = Callable[[int, FrameType | None], object] | int | None


class Interrupted(Exception):  # noqa: N818 (nothing went wrong)
    """A signal stopped the run after it saved a checkpoint; started again, it resumes."""


@contextlib.contextmanager
def stop_requests() -> Iterator[Callable[[], bool]]:
    """Yields a function that tells, after a step or several, whether SIGTERM or SIGINT asks to stop.

    A second signal has its usual effect. With several processes, which must ask after the same steps, all stop after
    the same one when any of them gets SIGTERM.
    """
    received: list[int] = []
    # Not of steps: processes agree on the number after the last one that any of them has asked with.
    questions = itertools.count(1)
    previous: dict[int, Handler] = {}

    def record(number: int, _frame: object) -> None:
        received.append(number)
        signal.signal(number, previous[number])
        logging.warning("Received signal %d: saving and stopping", number)

    def requested() -> bool:
        if jax.process_count() > 1:
            return multihost_utils.reached_preemption_sync_point(next(questions))
        return bool(received)

    # With several processes, JAX itself handles SIGTERM and tells the others.
    handled = [signal.SIGINT, signal.SIGTERM] if jax.process_count() == 1 else []
    previous.update({number: signal.signal(number, record) for number in handled})
    try:
        yield requested
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
