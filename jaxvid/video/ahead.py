"""Items made by a thread, ahead of their consumer."""

import contextlib
import queue
import threading
from collections.abc import Callable, Generator, Iterable
from typing import TypeVar

T = TypeVar("T")


def ahead(items: Iterable[T], capacity: int) -> Generator[T, None, None]:
    """Yields the items, which a thread produces while the consumer is busy, at most `capacity` ahead of it.

    Errors are raised where the item would have come. Closing the generator ends the thread.
    """
    produced: queue.Queue[tuple[T | None, BaseException | None]] = queue.Queue(capacity)
    closed = threading.Event()

    def put(entry: tuple[T | None, BaseException | None]) -> bool:
        while not closed.is_set():
            with contextlib.suppress(queue.Full):
                produced.put(entry, timeout=0.1)
                return True
        return False

    thread = threading.Thread(target=_produce, args=(items, put), daemon=True)
    thread.start()
    try:
        while True:
            item, error = produced.get()
            if isinstance(error, StopIteration):
                return
            if error is not None:
                raise error
            yield item  # pyright: ignore[reportReturnType]
    finally:
        closed.set()
        thread.join()


def _produce(items: Iterable[T], put: Callable[[tuple[T | None, BaseException | None]], bool]) -> None:
    """Puts the items, and last the error that ends them, until nobody takes them any more."""
    try:
        for item in items:
            if not put((item, None)):
                return
        put((None, StopIteration()))
    except BaseException as error:
        put((None, error))
    finally:
        if isinstance(items, Generator):
            items.close()
