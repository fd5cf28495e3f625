"""What a process holds, to be compared early and late in work that goes on for hours."""

import gc
from typing import NamedTuple

import psutil

# Python and FFmpeg keep some memory for later use; a leak of a frame a second would be ten times that.
_GROWTH_BYTES = 24 * 2**20


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


def growth(what: str, early: Held, late: Held) -> str:
    """Returns "" if nothing has grown by more than programs keep for later use, and what has if something did."""
    if late.memory - early.memory > _GROWTH_BYTES:
        return f"{what}: {(late.memory - early.memory) / 2**20:.0f} MiB more memory"
    more = [name for name in ("files", "threads", "processes") if getattr(late, name) > getattr(early, name)]
    return f"{what}: more {', '.join(more)}: {early} became {late}" if more else ""
