"""Many processes that are busy now and then: `python -m tests.faults.crowd 200`, until its standard input ends."""

import gc
import os
import signal
import sys
import time

# A hundredth of a core for each, and only what others leave of it.
_BUSY_SECONDS, _IDLE_SECONDS = 0.001, 0.099
_NICE = 19


def main(count: int) -> None:
    """Starts the processes, prints a line, and ends them when nobody writes to its standard input any more."""
    os.nice(_NICE)
    # The children then share this process's memory.
    gc.freeze()
    parent, children = os.getpid(), []
    try:
        for _ in range(count):
            child = os.fork()
            if not child:
                _work(parent)
            children.append(child)
        print("ready", flush=True)
        sys.stdin.read()
    finally:
        for child in children:
            os.kill(child, signal.SIGKILL)


def _work(parent: int) -> None:
    while os.getppid() == parent:
        until = time.monotonic() + _BUSY_SECONDS
        while time.monotonic() < until:
            pass
        time.sleep(_IDLE_SECONDS)
    os._exit(0)


if __name__ == "__main__":
    main(int(sys.argv[1]))
