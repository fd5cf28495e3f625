"""Writes a checkpoint for use without the code of the model: StableHLO in one file, or TensorFlow's SavedModel.

python -m jaxvid.export --workdir=DIR --output=PATH [--format=stablehlo|savedmodel] [--checkpoint=best|last|STEP]
"""

import json
from collections.abc import Sequence
from pathlib import Path

from absl import flags

from jaxvid import commands

_WORKDIR = flags.DEFINE_string("workdir", None, "directory of the training run", required=True)
_OUTPUT = flags.DEFINE_string("output", None, "file, or directory of a SavedModel, to write", required=True)
_FORMAT = flags.DEFINE_string("format", "stablehlo", "stablehlo (one file) or savedmodel (a directory)")
_CHECKPOINT = flags.DEFINE_string("checkpoint", "best", "best, last, or the number of a step")


def main(argv: Sequence[str]) -> None:
    """The command."""
    if len(argv) > 1:
        raise ValueError(f"unexpected argument {argv[1]!r}; options begin with --")
    from jaxvid.export.export import export

    output = Path(_OUTPUT.value)
    facts = export(Path(_WORKDIR.value), output, which=_CHECKPOINT.value, kind=_FORMAT.value)
    print(json.dumps(facts, indent=2))
    print(f"Written: {output}")


if __name__ == "__main__":
    commands.run(main)
