"""Measures what a config costs: the input pipeline alone, the training step alone, both together, and inference.

    python -m jaxvid.benchmark --config=configs/NAME.py[:key=value,...] [--steps=20]

Prints one JSON object per line. A dataset that is not prepared yet is prepared first.
"""

import json
from collections.abc import Sequence

from absl import flags
from ml_collections import config_flags

from jaxvid import commands

_CONFIG = config_flags.DEFINE_config_file("config", None, "config file, with its string argument after a colon")
_STEPS = flags.DEFINE_integer("steps", 20, "training steps to measure", lower_bound=1)


def main(argv: Sequence[str]) -> None:
    """Runs the command."""
    commands.refuse_arguments(argv)
    commands.keep_compiled_programs()
    # Not at the top: JAX takes seconds to import, which --help need not wait for.
    from jaxvid.benchmark.benchmark import benchmark

    for row in benchmark(_CONFIG.value, _STEPS.value):
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    flags.mark_flag_as_required("config")
    commands.run(main)
