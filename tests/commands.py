"""Runs the commands in the process of the tests."""

import contextlib
import importlib
import sys

from absl import flags
from absl.testing import flagsaver


@contextlib.contextmanager
def command_module(name):
    """Imports the module of a command, such as "jaxvid.main".

    Commands define flags of the same names, which absl refuses within one process: those of this one go afterward.
    """
    with flagsaver.flagsaver():
        module = importlib.import_module(name)
        try:
            yield module
        finally:
            del sys.modules[name]


def run_command(package, *arguments):
    """Runs the `main` of a command with its arguments as typed; returns what it returns, and raises what it raises."""
    with command_module(f"{package}.__main__") as module:
        return module.main(flags.FLAGS([package, *map(str, arguments)]))
