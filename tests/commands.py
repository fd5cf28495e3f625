"""Runs the commands in the process of the tests."""

import importlib
import sys

from absl import flags
from absl.testing import flagsaver


def run_command(package, *arguments):
    """Runs the `main` of a command with its arguments as typed; returns what it returns, and raises what it raises.

    Commands define flags of the same names, which absl refuses within one process: those of this one go afterward.
    """
    with flagsaver.flagsaver():
        module = importlib.import_module(f"{package}.__main__")
        try:
            return module.main(flags.FLAGS([package, *map(str, arguments)]))
        finally:
            del sys.modules[module.__name__]
