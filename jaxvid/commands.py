"""Start of the commands, and messages of user errors."""

import errno
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from logging import WARNING, LogRecord
from pathlib import Path
from typing import Any

from absl import app, flags, logging

from jaxvid.files import DISK_ERRORS

_ROOT = Path(__file__).parent

# Errors whose message says all that the user needs.
_USER_ERRORS = (ValueError, OSError, FloatingPointError)

# Of a disk that is full, read-only or broken. ArrayRecord, TensorStore and HDF5 have errors of their own for it.
_DISK_ERRORS = tuple(os.strerror(number) for number in DISK_ERRORS)

# Of memory that runs out: words of the kernel, of XLA and of C++, and Python's where a thread's stack has no room.
_MEMORY_ERRORS = (os.strerror(errno.ENOMEM), "RESOURCE_EXHAUSTED", "bad_alloc", "can't start new thread")

# absl's flags that show help.
_HELP = ("help", "helpshort", "helpfull", "helpxml", "?")

# Said of a config file before the last line, which is the reason.
_CONFIG_NOT_LOADED = "Configuration is not available"

# Characters of a library's message.
_LONGEST_LINE = 400


def run(main: Callable[[Sequence[str]], int | None]) -> None:
    """Runs `main` under absl's flags; user errors are printed as one line, with `-v 1` as a traceback too."""

    def guarded(argv: Sequence[str]) -> int | None:
        logging.get_absl_handler().addFilter(_is_worth_showing)
        sys.unraisablehook = _show_unraisable
        try:
            return main(argv)
        except Exception as error:
            message = user_message(error)
            if logging.vlog_is_on(1) or message is None:
                raise
            print(f"error: {message}", file=sys.stderr)
            return 1

    app.run(guarded, flags_parser=_parsed)


def _parsed(arguments: Sequence[str]) -> list[str]:
    """Parses the flags; what is wrong with them, or in a config, is printed as one line, like other user errors."""
    try:
        return flags.FLAGS(arguments)
    except SystemExit as end:
        # absl ends --help with the status of an error. A config file may end the program too.
        asks_for_help = any(argument.lstrip("-") in _HELP for argument in arguments[1:])
        sys.exit(0 if asks_for_help else end.code)
    except Exception as error:
        message = _flags_message(error, arguments)
        if message is None:
            raise
        print(f"error: {message}", file=sys.stderr)
        sys.exit(1)


def _flags_message(error: Exception, arguments: Sequence[str]) -> str | None:
    """Returns what to say of an error of absl's flags or of config flags; None if a traceback is to tell of it."""
    if isinstance(error, flags.Error):
        return _refusal_of_config(error) or f"{error} (--help lists the flags)"
    if isinstance(error, KeyError | AttributeError):
        frames = traceback.extract_tb(error.__traceback__)
        # Where flags are looked up in the config; the same errors in a config file are mistakes in that file.
        is_of_flag = any(Path(frame.filename).name == "config_path.py" for frame in frames)
        return _unknown_key(error, arguments) if is_of_flag else None
    return user_message(error)


def _refusal_of_config(error: flags.Error) -> str | None:
    """Returns what a config file says of its argument; None of other errors.

    The flag's error has the file's traceback as text in it. That is of use for mistakes in the file alone, not for an
    error that is raised on purpose.
    """
    if "Traceback" not in str(error):
        return None
    origin = error
    while origin.__context__ is not None:
        origin = origin.__context__
    last = traceback.extract_tb(origin.__traceback__)[-1]
    return str(origin) if isinstance(origin, ValueError) and (last.line or "").startswith("raise ") else None


def _unknown_key(error: KeyError | AttributeError, arguments: Sequence[str]) -> str:
    """Returns what to say of a flag whose key the config does not have."""
    # The key, and on a second line one like it; an AttributeError holds the KeyError.
    [words] = error.args[0].args if isinstance(error.args[0], KeyError) else error.args
    key, _, suggestion = str(words).partition("\n")
    names = (argument.partition("=")[0].lstrip("-") for argument in arguments)
    flag = next((name for name in names if key.strip("'") in name.split(".")), None)
    if flag is None:
        return " ".join(str(words).split())
    return f"there is no config key {flag}. {suggestion or 'jaxvid/config.py lists all keys.'}"


def user_message(error: Exception) -> str | None:
    """Returns what to say of an error that the user can mend; None if a traceback is to tell of it."""
    # The message of a library may have many lines, and say where in its code it arose.
    whole_line = " ".join(str(error).split())
    line = whole_line[:_LONGEST_LINE]
    # Before memory: TensorStore says RESOURCE_EXHAUSTED of a full disk too.
    if not isinstance(error, OSError) and (disk := _first_of(_DISK_ERRORS, whole_line)):
        return line if disk in line else f"{disk}: {line}"
    if isinstance(error, MemoryError) or _first_of(_MEMORY_ERRORS, whole_line):
        return f"out of memory: {line}" if line else "out of memory"
    if _CONFIG_NOT_LOADED in whole_line:
        return str(error).splitlines()[-1].strip()
    return str(error) if isinstance(error, _USER_ERRORS) else None


def _first_of(words: Sequence[str], line: str) -> str | None:
    return next((each for each in words if each in line), None)


def _is_worth_showing(record: LogRecord) -> bool:
    """Returns whether a log record is ours or a warning; libraries report every thread they start.

    What Orbax's threads log with a traceback, it raises afterwards: the command tells of it in one line.
    """
    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, Exception) and "orbax" in Path(record.pathname).parts and user_message(error) is not None:
        return logging.vlog_is_on(1)
    return record.levelno >= WARNING or _ROOT in Path(record.pathname).parents


def _show_unraisable(unraisable: Any) -> None:
    """Shows errors that Python cannot raise, but for one that says nothing.

    Where one array of a checkpoint cannot be written, Orbax raises that and closes its event loop, while TensorStore
    still writes others: each of those ends with this error, and a traceback, as nobody waits for it any more.
    """
    error = unraisable.exc_value
    if isinstance(error, RuntimeError) and str(error) == "Event loop is closed" and not logging.vlog_is_on(1):
        return
    sys.__unraisablehook__(unraisable)


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
