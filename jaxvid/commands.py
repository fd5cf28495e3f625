"""What the commands share: how they start and how they say that something is wrong."""

import os
import sys
from collections.abc import Callable, Sequence
from logging import WARNING, LogRecord
from pathlib import Path

import jax
from absl import app, logging

_ROOT = Path(__file__).parent


def run(main: Callable[[Sequence[str]], int | None]) -> None:
    """Runs `main` under absl's flags; an error of the user's comes out as one line, with `-v 1` as a traceback too."""

    def guarded(argv: Sequence[str]) -> int | None:
        logging.get_absl_handler().addFilter(_is_worth_showing)
        try:
            return main(argv)
        except (ValueError, OSError, FloatingPointError) as error:
            if logging.vlog_is_on(1):
                raise
            print(f"error: {error}", file=sys.stderr)
            return 1

    app.run(guarded)


def _is_worth_showing(record: LogRecord) -> bool:
    """Libraries tell of every thread they start; only their warnings are for the reader."""
    return record.levelno >= WARNING or _ROOT in Path(record.pathname).parents


def keep_compiled_programs() -> None:
    """Lets JAX keep what it compiles, so that the same program starts quickly the next time.

    Under JAX_COMPILATION_CACHE_DIR, where set, or ~/.cache/jaxvid/compiled.
    """
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        jax.config.update("jax_compilation_cache_dir", str(Path.home() / ".cache" / "jaxvid" / "compiled"))
