"""Exports a checkpoint for programs without the model's code, in one of the formats of `jaxvid.export.formats`.

python -m jaxvid.export --workdir=DIR --output=PATH [--format=NAME] [--checkpoint=best|last|STEP]
"""

import json
from collections.abc import Sequence
from pathlib import Path

from absl import flags

from jaxvid import commands
from jaxvid.export.formats import FORMATS

_WORKDIR = flags.DEFINE_string("workdir", None, "run directory", required=True)
_OUTPUT = flags.DEFINE_string("output", None, "file or directory to write", required=True)
_FORMAT = flags.DEFINE_enum(
    "format", "stablehlo", list(FORMATS), "; ".join(f"{name}: {form.description}" for name, form in FORMATS.items())
)
_CHECKPOINT = flags.DEFINE_string("checkpoint", "best", "best, last, or the number of a step")


def main(argv: Sequence[str]) -> None:
    """Runs the command."""
    commands.refuse_arguments(argv)
    # Not at the top: JAX takes seconds to import, which --help need not wait for.
    from jaxvid.export.export import export

    output = Path(_OUTPUT.value)
    metadata = export(Path(_WORKDIR.value), output, which=_CHECKPOINT.value, kind=_FORMAT.value)
    print(json.dumps(metadata, indent=2))
    print(f"Written: {output}")


if __name__ == "__main__":
    commands.run(main)
