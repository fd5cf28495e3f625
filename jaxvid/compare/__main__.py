"""Compares evaluated runs: tables in Markdown and HTML, charts, and tests between systems on the same clips.

python -m jaxvid.compare WORKDIR... [--output=DIR] [--names=NAME,...] [--class_map=theirs:ours,...]
[--results=FILE.csv [--set=COLUMN=VALUE ...]]
"""

from collections.abc import Sequence
from pathlib import Path

from absl import flags

from jaxvid import commands

_OUTPUT = flags.DEFINE_string("output", "comparison", "directory to write comparison.md, .html, .png and roc.png to")
_CLASS_MAP = flags.DEFINE_string(
    "class_map", "", "theirs:ours,...: classes of some runs that other runs have under another name"
)
_NAMES = flags.DEFINE_list("names", [], "names of the systems, in the order of the table (default: what differs)")
_RESULTS = flags.DEFINE_string("results", None, "CSV file to write a row for each system to (jaxvid.compare.results)")
_SET = flags.DEFINE_multi_string(
    "set", [], "COLUMN=VALUE of these rows, such as system=LRCN, or seconds=180; may be given several times"
)


def main(argv: Sequence[str]) -> None:
    """The command."""
    if len(argv) < 2:
        raise ValueError("name the workdirs to compare: python -m jaxvid.compare WORKDIR...")
    if _SET.value and not _RESULTS.value:
        raise ValueError("--set needs --results: it fills in columns of that file")
    # Not at the top: --help need not wait for it.
    from jaxvid.classes import parse_class_map
    from jaxvid.compare.compare import read_systems, write_comparison
    from jaxvid.compare.results import parse_values, write_results

    output, values = Path(_OUTPUT.value), parse_values(_SET.value)
    workdirs, class_map = [Path(workdir) for workdir in argv[1:]], parse_class_map(_CLASS_MAP.value)
    systems = read_systems(workdirs, class_map, [name.strip() for name in _NAMES.value])
    print(write_comparison(systems, output))
    print(f"Page: {output / 'comparison.html'}")
    if _RESULTS.value:
        print("\n".join(write_results(Path(_RESULTS.value), systems, values)))


if __name__ == "__main__":
    commands.run(main)
