"""Start of the commands, and messages of user errors."""

import errno
import os
import sys
from collections.abc import Callable, Sequence
from logging import WARNING, LogRecord
from pathlib import Path

from absl import app, logging

_ROOT = Path(__file__).parent

# Errors whose message says all that the user needs.
USER_ERRORS = (ValueError, OSError, FloatingPointError)

# Of a disk that is full, read-only or broken. ArrayRecord, TensorStore and HDF5 have errors of their own for it.
_DISK_ERRORS = tuple(os.strerror(number) for number in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO))


def run(main: Callable[[Sequence[str]], int | None]) -> None:
    """Runs `main` under absl's flags; user errors are printed as one line, with `-v 1` as a traceback too."""

    def guarded(argv: Sequence[str]) -> int | None:
        logging.get_absl_handler().addFilter(_is_worth_showing)
        try:
            return main(argv)
        except Exception as error:
            if logging.vlog_is_on(1) or not _is_of_user(error):
                raise
            print(f"error: {error if isinstance(error, USER_ERRORS) else _line(error)}", file=sys.stderr)
            return 1

    app.run(guarded)


def _is_of_user(error: Exception) -> bool:
    return isinstance(error, USER_ERRORS) or any(words in str(error) for words in _DISK_ERRORS)


def _line(error: Exception) -> str:
    """Returns the message of a library, which may have many lines and say where in its code it arose, as one line."""
    return " ".join(str(error).split())[:400]


def _is_worth_showing(record: LogRecord) -> bool:
    """Returns whether a log record is ours or a warning; libraries report every thread they start."""
    return record.levelno >= WARNING or _ROOT in Path(record.pathname).parents


def refuse_arguments(argv: Sequence[str]) -> None:
    """Checks that a command has options only.

    Raises:
      ValueError: if it has other arguments.
    """
    if len(argv) > 1:
        raise ValueError(f"unexpected argument {argv[1]!r}; options begin with --")


def keep_compiled_programs() -> None:
    """Makes JAX keep compiled programs on disk, so that the same program starts quickly the next time.

    The directory is JAX_COMPILATION_CACHE_DIR, or else ~/.cache/jaxvid/compiled.
    """
    # Not at the top: it takes half a second, which --help need not wait for.
    import jax

    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        jax.config.update("jax_compilation_cache_dir", str(Path.home() / ".cache" / "jaxvid" / "compiled"))
