"""Checks a folder of videos and prints what is wrong with it, changing nothing.

    python -m jaxvid.data.check DIR

Every video is decoded in full. Problems are files that cannot be decoded or are cut short, and folders without any
video, such as a class without clips. Warnings are about what makes metrics mislead, though every file decodes:

- identical files, and whether they lie in different classes or splits;
- clips that look alike: thumbnails at three positions of the clips correlate above 0.97 on average. They often show one
  scene; put them into one folder `<class>/<source>/`, so that they stay in one split;
- differences between the classes in length, data rate, size, frame rate, codec, file format and sound: a network can
  learn these instead of the content.

The exit status is 0 without problems (warnings do not count), 1 with problems, 2 if DIR is no folder.
"""

import argparse  # Not absl, which the other commands use: `jaxvid.commands` is about programs that run JAX.
import sys
from collections.abc import Sequence
from pathlib import Path

from jaxvid.video.workers import InvalidVideo


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    parser = argparse.ArgumentParser(prog="python -m jaxvid.data.check", description="Check a folder of videos.")
    parser.add_argument("directory", metavar="DIR", type=Path)
    parser.add_argument("--num_workers", type=int, help="processes to decode in (default: one per core)")
    parser.add_argument("--timeout_seconds", type=float, default=60.0, help="for one file (default: %(default)s)")
    options = parser.parse_args(arguments)
    # Not at the top: --help need not wait for decoders.
    from jaxvid.data.check.folder import check_folder

    try:
        findings = check_folder(
            options.directory, num_workers=options.num_workers, timeout_seconds=options.timeout_seconds
        )
    except ValueError as error:
        parser.error(str(error))
    _print_table(findings.problems, options.directory)
    for warning in findings.warnings:
        print(f"warning: {warning}")
    print(f"{findings.num_videos} videos, {len(findings.problems)} problems, {len(findings.warnings)} warnings")
    return 1 if findings.problems else 0


def _print_table(problems: list[InvalidVideo], directory: Path) -> None:
    names = [str(problem.path.relative_to(directory)) for problem in problems]
    width = max(map(len, names), default=0)
    for name, problem in zip(names, problems, strict=True):
        print(f"{name:<{width}}  {problem.reason}")


if __name__ == "__main__":
    sys.exit(main())
