"""Atomic writes: a file or directory appears complete or not at all. And a lock, for one process at a time."""

import contextlib
import errno
import fcntl
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from absl import logging

# Numbers of errors of a disk that is full, read-only or broken.
DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO)


@contextlib.contextmanager
def naming(path: os.PathLike[str] | str) -> Iterator[None]:
    """Makes errors of the disk name what was to be written: those of files that are open name nothing."""
    try:
        yield
    except OSError as error:
        if error.errno in DISK_ERRORS and error.filename is None:
            error.filename = os.fspath(path)
        raise


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields a temporary path, which replaces `path` after the block and is deleted if the block raises.

    It keeps the extension, from which some writers take the format, and begins with a dot.
    """
    unfinished = path.with_name(f".{path.stem}.{os.getpid()}.tmp{path.suffix}")
    try:
        with naming(path):
            yield unfinished
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


@contextlib.contextmanager
def only_process(directory: Path) -> Iterator[None]:
    """Keeps other processes out of a directory, for as long as the context lasts; a killed one leaves no lock.

    Raises:
      ValueError: if another process is in it.
    """
    with (directory / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(f"another process is at work in {directory}: wait for it, or name another one") from None
        except OSError as error:
            # Some file systems have no locks.
            logging.warning("%s cannot be locked (%s): no other process may write there", directory, error)
        yield


@contextlib.contextmanager
def replacing_directory(path: Path) -> Iterator[Path]:
    """Yields an empty directory, which replaces `path` after the block and is deleted if the block raises."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{path.name}-", dir=path.parent) as scratch:
        unfinished = Path(scratch) / "new"
        unfinished.mkdir()
        with naming(path):
            yield unfinished
        if path.exists():
            path.rename(Path(scratch) / "old")
        unfinished.rename(path)
