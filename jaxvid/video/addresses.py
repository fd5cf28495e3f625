"""Videos at addresses such as gs://bucket/folder, through universal_pathlib, whose paths have the methods of pathlib's.

Decoders read local files: `jaxvid.video.files.local_copy` brings one at a time.
"""

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    AnyPath = Path
else:
    # A path of pathlib or of universal_pathlib, which has the same methods but is not of the same class.
    AnyPath = Any


def is_address(path: str | os.PathLike[str] | AnyPath) -> bool:
    """Returns whether a path has a scheme, such as gs://, s3:// or memory://."""
    return "://" in str(path)


def without_password(address: str) -> str:
    """Returns the address of a stream without the name and the password in it, for messages and databases."""
    return re.sub(r"//[^/]*@", "//", address)


def as_path(path: str | os.PathLike[str] | AnyPath) -> AnyPath:
    """Returns a local path, or an address as an object with the methods of one.

    Raises:
      ValueError: if it is an address, and a package that reads it is not installed.
    """
    if not is_address(path):
        return Path(path)
    try:
        # Not at the top: only addresses need it.
        from upath import UPath
    except ImportError as error:
        raise ValueError(f'{path}: addresses need universal_pathlib: pip install "jaxvid[beam]"') from error
    try:
        address = UPath(str(path).rstrip("/"))
        # Opening the file system imports its package.
        address.fs  # noqa: B018
    except Exception as error:
        raise _unreadable(path, error) from error
    return address  # pyright: ignore[reportReturnType]


@contextlib.contextmanager
def readable(path: str | os.PathLike[str] | AnyPath) -> Iterator[None]:
    """Turns the errors of the block into one that names the address; those of local paths stay what they are.

    Raises:
      ValueError: naming the address and the reason, such as a lack of rights.
    """
    try:
        yield
    # Every file system has its own errors; ours are ValueErrors that name the file.
    except Exception as error:
        if not is_address(path) or type(error) is ValueError:
            raise
        raise _unreadable(path, error) from error


def check_directory(directory: AnyPath) -> None:
    """Checks that a directory is one.

    Raises:
      ValueError: if it is not, or an address that cannot be read.
    """
    with readable(directory):
        if directory.is_dir():
            return
        if is_address(directory):
            # Many file systems say so of what may not be read; listing it tells why.
            directory.fs.ls(directory.path)  # pyright: ignore[reportAttributeAccessIssue]
        raise ValueError(f"{directory} is not a directory")


def _unreadable(path: str | os.PathLike[str] | AnyPath, error: Exception) -> ValueError:
    return ValueError(f"{path} cannot be read: {error_line(error)}")


def error_line(error: Exception) -> str:
    """Returns the kind of an error and its first line."""
    lines = str(error).strip().splitlines() or ["no reason is given"]
    return f"{type(error).__name__}: {lines[0]}"
