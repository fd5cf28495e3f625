"""What a process holds, to be compared early and late in work that goes on for hours."""

import gc
from typing import NamedTuple

import psutil

# Python and FFmpeg keep some memory for later use; a leak of a frame a second would be ten times that.
GROWTH_BYTES = 24 * 2**20
# Pools start their threads as they are needed, late ones too; a leak of one at each checkpoint of the shortest training
# would be nine more.
_POOL_THREADS = 3


class Held(NamedTuple):
    """What this process and its children hold."""

    memory: int
    files: int
    threads: int
    processes: int


def held() -> Held:
    """Returns what this process and its children hold now."""
    gc.collect()
    process = psutil.Process()
    children = process.children(recursive=True)
    memory = sum(each.memory_info().rss for each in (process, *children))
    return Held(memory, process.num_fds(), process.num_threads(), len(children))


def growth(what: str, early: Held, late: Held, growth_bytes: int = GROWTH_BYTES) -> str:
    """Returns "" if nothing has grown by more than programs keep for later use, and what has if something did."""
    if late.memory - early.memory > growth_bytes:
        return f"{what}: {(late.memory - early.memory) / 2**20:.0f} MiB more memory"
    allowed = {"files": 0, "threads": _POOL_THREADS, "processes": 0}
    more = [name for name, over in allowed.items() if getattr(late, name) > getattr(early, name) + over]
    return f"{what}: more {', '.join(more)}: {early} became {late}" if more else ""
