"""Prints what needs no network to be predicted of a config's dataset: what a network must be above to be of use.

    python -m jaxvid.baselines --config=configs/NAME.py[:key=value,...] [--split=NAME]

The baselines are fitted on the config's training split. A dataset that is not prepared yet is prepared first.
"""

from collections.abc import Sequence

from absl import flags
from ml_collections import config_flags

from jaxvid import commands

_CONFIG = config_flags.DEFINE_config_file("config", None, "config file, with its string argument after a colon")
_SPLIT = flags.DEFINE_string("split", None, "split to evaluate (default: the config's test split)")


def main(argv: Sequence[str]) -> None:
    """Runs the command."""
    commands.refuse_arguments(argv)
    # Not at the top: --help need not wait for it.
    from jaxvid.baselines.of_config import baselines_of_config
    from jaxvid.baselines.text import format_baselines

    print(format_baselines(baselines_of_config(_CONFIG.value, _SPLIT.value)))


if __name__ == "__main__":
    flags.mark_flag_as_required("config")
    commands.run(main)
