"""Decoding in worker processes, each file against a deadline: decoders hang on broken files, or abort the process.

The workers are fresh interpreters that import the decoder's module and nothing else of the program: unlike
`multiprocessing`'s spawn, they never import the program's main module again, which may be a script without a
`__main__` guard or a command that takes seconds to import. Nor are they forked, after which decord deadlocks.
"""

import collections
import contextlib
import dataclasses
import math
import multiprocessing.connection
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from jaxvid.video.addresses import AnyPath

# A fresh interpreter imports a decoder in about half a second; a machine under heavy load takes far longer.
_WORKER_START_SECONDS = 120.0
# Results of one file that may wait for the consumer; a worker that is further ahead pauses.
_MAX_WAITING = 16
# Memory that one worker may allocate, in bytes.
_MAX_MEMORY = 4 << 30

# A function of a module, or a `functools.partial` of one, from a file to its results.
Decoder = Callable[[Path], Iterable[Any]]


class InvalidVideoError(ValueError):
    """A video that cannot be decoded, or not as a whole."""

    def __init__(self, path: AnyPath, reason: str):
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


@dataclasses.dataclass(frozen=True)
class InvalidVideo:
    """A video that could not be decoded, and why."""

    path: Path
    reason: str


def decode_in_workers(
    decoder: Decoder,
    paths: Sequence[Path],
    *,
    num_workers: int | None = None,
    timeout_seconds: float = 60.0,
    in_order: bool = True,
) -> Generator[tuple[int, Any], None, None]:
    """Yields the results of `decoder` for every path, each with the position of the path, in the order of the paths.

    If the decoder raises an InvalidVideoError, crashes or hangs, the last result of the path is an InvalidVideo. A file
    whose worker is killed from outside, as by the kernel where memory runs out, is decoded once more before that.
    Only a few results are held at any time, however many the paths and however long the files. The workers end when
    the iterator is exhausted or closed, and when this process dies.

    Args:
      decoder: function that runs in the workers.
      paths: the files.
      num_workers: number of processes; by default one per core that this process may use.
      timeout_seconds: how long one result may take; a worker that takes longer is killed and replaced.
      in_order: whether the results of a path wait for those of the paths before it. Otherwise they come as they are
        ready, the results of several paths in turn, and no path waits for one that takes long.

    Raises:
      ValueError: if an argument is out of range.
      ChildProcessError: when iterating, if workers cannot be started at all.
    """
    if num_workers is not None and num_workers <= 0:
        raise ValueError(f"num_workers must be positive or None, got {num_workers}")
    if timeout_seconds <= 0:
        raise ValueError(f"timeout_seconds must be positive, got {timeout_seconds}")
    num_workers = min(num_workers or _num_cores(), len(paths))
    decode = _decode_in_order if in_order else _decode_as_ready
    return decode(decoder, [Path(path) for path in paths], num_workers, timeout_seconds)


class GuardedDecoding:
    """A decoding process that is kept from file to file, for callers that get their files one after another.

    It is replaced when it dies, and ends with `close` or with this process.

    Args:
      timeout_seconds: how long one result may take; a process that takes longer is killed and replaced.
    """

    def __init__(self, timeout_seconds: float = 60.0):
        if timeout_seconds <= 0:
            raise ValueError(f"timeout_seconds must be positive, got {timeout_seconds}")
        self._timeout_seconds = timeout_seconds
        self._workers: list[_Worker] = []

    def decode(self, decoder: Decoder, path: Path) -> Generator[Any, None, None]:
        """Yields the results of `decoder` for a file; the last is an InvalidVideo if it fails, crashes or hangs.

        Raises:
          ChildProcessError: when iterating, if the process cannot be started.
        """
        if not self._workers:
            self._workers.append(_spawn_worker(decoder))
            _await_start(self._workers[0])
        results = collections.defaultdict(_Results)
        _assign(self._workers, decoder, [path], collections.deque([0]), 1, self._timeout_seconds)
        try:
            while results[0].waiting or not results[0].complete:
                if results[0].waiting:
                    yield results[0].waiting.popleft()
                else:
                    _collect(self._workers, [path], results, wait=True)
        finally:
            # The caller wants no more of this file.
            if self._workers[0].is_busy:
                self.close()

    def close(self) -> None:
        """Ends the process."""
        for worker in self._workers:
            _stop(worker)
        self._workers = []


@dataclasses.dataclass
class _Worker:
    """A decoding process.

    Attributes:
      process: the process.
      connection: the pipe to it.
      index: position of the file that it decodes, -1 if none.
      request: that file and its decoder.
      num_results: of the file, received so far.
      num_earlier: results of the file that an earlier process sent before it was killed; -1 if there was none.
      timeout_seconds: for each result.
      deadline: for the next one.
    """

    process: subprocess.Popen[bytes]
    connection: multiprocessing.connection.Connection
    index: int = -1
    request: tuple[Decoder, Path] | None = None
    num_results: int = 0
    num_earlier: int = -1
    timeout_seconds: float = math.inf
    deadline: float = math.inf

    @property
    def is_busy(self) -> bool:
        return self.index >= 0


@dataclasses.dataclass
class _Results:
    """Results of one file that were received and not yet yielded, and whether they are all."""

    waiting: collections.deque[Any] = dataclasses.field(default_factory=collections.deque)
    complete: bool = False


def _decode_in_order(
    decoder: Decoder, paths: list[Path], num_workers: int, timeout_seconds: float
) -> Generator[tuple[int, Any], None, None]:
    # Files that the workers may be ahead of the consumer: this bounds the results in memory.
    window = 2 * num_workers
    queue = collections.deque(range(len(paths)))
    results = collections.defaultdict(_Results)
    with _started_workers(decoder, num_workers) as workers:
        for wanted in range(len(paths)):
            while results[wanted].waiting or not results[wanted].complete:
                # Results that arrived while the consumer was busy free workers; these get new files first.
                _collect(workers, paths, results, wait=False)
                _assign(workers, decoder, paths, queue, wanted + window, timeout_seconds)
                if results[wanted].waiting:
                    yield wanted, results[wanted].waiting.popleft()
                elif not results[wanted].complete:
                    _collect(workers, paths, results, wait=True)
            del results[wanted]


def _decode_as_ready(
    decoder: Decoder, paths: list[Path], num_workers: int, timeout_seconds: float
) -> Generator[tuple[int, Any], None, None]:
    queue = collections.deque(range(len(paths)))
    results = collections.defaultdict(_Results)
    with _started_workers(decoder, num_workers) as workers:
        while queue or any(worker.is_busy for worker in workers) or results:
            _assign(workers, decoder, paths, queue, len(paths), timeout_seconds)
            _collect(workers, paths, results, wait=not any(result.waiting for result in results.values()))
            for index, result in list(results.items()):
                while result.waiting:
                    yield index, result.waiting.popleft()
                if result.complete:
                    del results[index]


@contextlib.contextmanager
def _started_workers(decoder: Decoder, num_workers: int) -> Iterator[list[_Worker]]:
    workers = [_spawn_worker(decoder) for _ in range(num_workers)]
    try:
        for worker in workers:
            _await_start(worker)
        yield workers
    finally:
        for worker in workers:
            _stop(worker)


def _spawn_worker(decoder: Decoder) -> _Worker:
    """Starts a decoding process. It sees the same modules as this one, but does not import this one's main module."""
    connection, worker_connection = multiprocessing.Pipe()
    descriptor = worker_connection.fileno()
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path),
        # FFmpeg's messages about a broken file come back as the reason.
        "OPENCV_FFMPEG_LOGLEVEL": "-8",
        "OPENCV_LOG_LEVEL": "SILENT",
    }
    module = (decoder.func if isinstance(decoder, partial) else decoder).__module__
    command = [sys.executable, "-P", "-c", f"import {module}; from {__name__} import _work; _work({descriptor})"]
    with worker_connection:
        # The end of its standard input tells the worker that this process has died.
        process = subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=[descriptor], env=environment)
    return _Worker(process, connection)


def _await_start(worker: _Worker) -> None:
    try:
        if worker.connection.poll(_WORKER_START_SECONDS):
            worker.connection.recv()
            return
        reason = f"it did not answer within {_WORKER_START_SECONDS:.0f} s"
    except (EOFError, OSError):
        reason = exit_reason(worker.process.wait())
    raise ChildProcessError(f"a video decoding process did not start: {reason}; its messages are on standard error")


def _assign(
    workers: list[_Worker],
    decoder: Decoder,
    paths: list[Path],
    queue: collections.deque[int],
    end: int,
    timeout_seconds: float,
) -> None:
    """Gives every idle worker the next path of the queue, up to the path `end`; replaces workers that died."""
    for position, worker in enumerate(workers):
        if worker.is_busy or not queue or queue[0] >= end:
            continue
        if worker.process.poll() is not None:
            _stop(worker)
            workers[position] = worker = _spawn_worker(decoder)
            _await_start(worker)
        worker.index = queue.popleft()
        worker.num_results, worker.num_earlier = 0, -1
        worker.timeout_seconds = timeout_seconds
        worker.deadline = time.monotonic() + timeout_seconds
        worker.request = decoder, paths[worker.index]
        worker.connection.send(worker.request)


def _collect(workers: list[_Worker], paths: list[Path], results: dict[int, _Results], *, wait: bool) -> None:
    """Receives one result from every worker that has one; with `wait`, from at least one unless none is busy."""
    # The other workers pause, and so do their deadlines.
    awaited = [worker for worker in workers if worker.is_busy and len(results[worker.index].waiting) < _MAX_WAITING]
    seconds = max(0.0, min((worker.deadline for worker in awaited), default=0.0) - time.monotonic()) if wait else 0.0
    answered = multiprocessing.connection.wait([worker.connection for worker in awaited], seconds)
    # The deadline counts only for workers that have not answered: the consumer may have been away for longer.
    now = time.monotonic()
    for worker in awaited:
        if worker.connection in answered or now >= worker.deadline:
            result, is_last = _receive(worker, paths[worker.index], worker.connection in answered)
            if result is not None:
                results[worker.index].waiting.append(result)
            # Not from `now` on: another process may have been started in between.
            worker.deadline = time.monotonic() + worker.timeout_seconds
            if is_last:
                results[worker.index].complete = True
                worker.index = -1


def _receive(worker: _Worker, path: Path, answered: bool) -> tuple[Any, bool]:
    """Returns what came next of the file, None if it is nothing new or the end, and whether it is the last."""
    if not answered:
        worker.process.kill()
        worker.process.wait()
        return InvalidVideo(path, f"not decoded within {worker.timeout_seconds:g} s"), True
    try:
        result = worker.connection.recv()
    except (EOFError, OSError):
        code = worker.process.wait()
        if code == -signal.SIGKILL and worker.num_earlier < 0:
            _begin_again(worker)
            return None, False
        result = InvalidVideo(path, f"the decoder crashed: {exit_reason(code)}")
    if result is None or isinstance(result, InvalidVideo):
        return result, True
    worker.num_results += 1
    return (None if worker.num_results <= worker.num_earlier else result), False


def _begin_again(worker: _Worker) -> None:
    """Lets another process decode the file of one that was killed."""
    assert worker.request is not None
    _stop(worker)
    new = _spawn_worker(worker.request[0])
    _await_start(new)
    worker.process, worker.connection = new.process, new.connection
    worker.num_results, worker.num_earlier = 0, worker.num_results
    worker.connection.send(worker.request)


def exit_reason(code: int) -> str:
    """Returns in words how a process ended, from its `subprocess.Popen.returncode`: a signal is a negative one."""
    if code >= 0:
        return f"exit code {code}"
    # Nothing here sends it to a process whose end is reported; the kernel does, to the one that holds most.
    hint = ", as by the kernel where memory runs out" if -code == signal.SIGKILL else ""
    return f"killed by {signal.Signals(-code).name}{hint}"


def _stop(worker: _Worker) -> None:
    worker.process.kill()
    worker.process.wait()
    worker.connection.close()
    assert worker.process.stdin is not None
    worker.process.stdin.close()


def _work(descriptor: int) -> None:
    """Runs a decoding process: answers requests until it is killed or its parent has died."""
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    connection = multiprocessing.connection.Connection(descriptor)
    limit = _limit_memory()
    connection.send("ready")
    # From here on only decoders write to standard error, about files that are reported anyway.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
    while True:
        decoder, path = connection.recv()
        try:
            for result in decoder(path):
                connection.send(result)
            connection.send(None)
        except InvalidVideoError as error:
            connection.send(InvalidVideo(error.path, error.reason))
        except MemoryError:
            connection.send(InvalidVideo(path, f"decoding takes more than {limit / 2**30:.2g} GiB of memory"))
        except OSError:
            # The parent is gone, or no file can be read any more.
            raise
        except Exception as error:
            lines = str(error).splitlines() or [""]
            connection.send(InvalidVideo(path, f"the decoder failed: {type(error).__name__}: {lines[0]}"))


def _limit_memory() -> int:
    """Lets a file that asks for more memory fail, rather than this machine; no video of 8K needs as much.

    Returns:
      The limit in bytes: that of this program where it has a lower one.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    limit = _MAX_MEMORY if soft == resource.RLIM_INFINITY else min(_MAX_MEMORY, soft)
    # Only Linux counts all memory that is allocated; elsewhere the limit may not be allowed.
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))
    return limit


def _exit_with_parent() -> None:
    # Standard input ends when the parent does, however it died. The decoders release the GIL even where they hang.
    os.read(0, 1)
    os._exit(0)


def _num_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
