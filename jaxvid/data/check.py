"""Checks a folder of videos and prints what is wrong with it, changing nothing.

    python -m jaxvid.data.check DIR

Every video is decoded in full. Reported are files that cannot be decoded or are cut short, and folders without any
video, such as a class without clips. The exit code is 0 if nothing is wrong, 1 if something is, 2 if DIR is no folder.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from jaxvid.video.clips import decode_clips
from jaxvid.video.files import find_videos
from jaxvid.video.workers import InvalidVideo

# The frames are decoded and dropped: the smaller, the less there is to resize.
_FRAME_SIZE = (64, 64)


def find_problems(
    directory: Path | str, *, num_workers: int | None = None, timeout_seconds: float = 60.0
) -> list[InvalidVideo]:
    """Everything that is wrong under `directory`: folders without videos, then files that do not decode, each sorted.

    Raises:
      ValueError: if `directory` is not a directory, or an option is out of range.
    """
    directory = Path(directory)
    videos = find_videos(directory)
    problems = [InvalidVideo(folder, "holds no videos") for folder in _folders_without_videos(directory, videos)]
    results = decode_clips(videos, _FRAME_SIZE, num_workers=num_workers, timeout_seconds=timeout_seconds)
    checked = tqdm(results, desc="Checking", total=len(videos), unit="video")
    return problems + [result for result in checked if isinstance(result, InvalidVideo)]


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m jaxvid.data.check", description="Check a folder of videos.")
    parser.add_argument("directory", metavar="DIR", type=Path)
    parser.add_argument("--num_workers", type=int, help="processes to decode in (default: one a core)")
    parser.add_argument("--timeout_seconds", type=float, default=60.0, help="for one file (default: %(default)s)")
    options = parser.parse_args(arguments)
    try:
        problems = find_problems(
            options.directory, num_workers=options.num_workers, timeout_seconds=options.timeout_seconds
        )
    except ValueError as error:
        parser.error(str(error))
    _print_table(problems, options.directory)
    return 1 if problems else 0


def _folders_without_videos(directory: Path, videos: list[Path]) -> list[Path]:
    """The topmost folders that hold no videos at any depth, `directory` itself included; hidden ones are left out."""
    holding = {folder for video in videos for folder in video.parents}
    if directory not in holding:
        return [directory]
    folders = (path for path in directory.rglob("*") if path.is_dir())
    visible = (path for path in folders if not any(part.startswith(".") for part in path.relative_to(directory).parts))
    return sorted(path for path in visible if path not in holding and path.parent in holding)


def _print_table(problems: list[InvalidVideo], directory: Path) -> None:
    names = [str(problem.path.relative_to(directory)) for problem in problems]
    width = max(map(len, names), default=0)
    for name, problem in zip(names, problems, strict=True):
        print(f"{name:<{width}}  {problem.reason}")
    print(f"{len(find_videos(directory))} videos, {len(problems)} problems")


if __name__ == "__main__":
    sys.exit(main())
