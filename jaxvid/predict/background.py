"""Work that is done while the network goes on."""

import collections
import concurrent.futures
from collections.abc import Callable

# Calls that may be waiting or running.
_MAX_BEHIND = 4


class Background:
    """Runs functions one after another in a thread, a few behind at most; the context ends when all have returned.

    An error is raised by a later call, or at the end.
    """

    def __init__(self):
        self._pool = concurrent.futures.ThreadPoolExecutor(1)
        self._running: collections.deque[concurrent.futures.Future[None]] = collections.deque()

    def run(self, function: Callable[[], None]) -> None:
        """Runs a function soon."""
        while len(self._running) > _MAX_BEHIND:
            self._running.popleft().result()
        self._running.append(self._pool.submit(function))

    def __enter__(self) -> "Background":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._pool.shutdown()
        for future in self._running:
            # The first error is the one to raise.
            if kind is None:
                future.result()
