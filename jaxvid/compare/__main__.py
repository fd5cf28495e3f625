"""Compares evaluated runs: tables in Markdown and HTML, a bar chart, McNemar's test between runs on the same clips.

python -m jaxvid.compare WORKDIR... [--output=DIR] [--class_map=theirs:ours,...]
"""

from collections.abc import Sequence
from pathlib import Path

from absl import flags

from jaxvid import commands

_OUTPUT = flags.DEFINE_string("output", "comparison", "directory to write comparison.md, .html and .png to")
_CLASS_MAP = flags.DEFINE_string(
    "class_map", "", "theirs:ours,...: classes of some runs that other runs have under another name"
)


def main(argv: Sequence[str]) -> None:
    """The command."""
    if len(argv) < 2:
        raise ValueError("name the workdirs to compare: python -m jaxvid.compare WORKDIR...")
    # Not at the top: --help need not wait for it.
    from jaxvid.classes import parse_class_map
    from jaxvid.compare.compare import compare

    output = Path(_OUTPUT.value)
    print(compare([Path(workdir) for workdir in argv[1:]], output, parse_class_map(_CLASS_MAP.value)))
    print(f"Page: {output / 'comparison.html'}")


if __name__ == "__main__":
    commands.run(main)
