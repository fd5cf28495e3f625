"""The videos that paths, patterns and addresses name."""

import glob
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jaxvid.predict.rows import stored_path
from jaxvid.video.addresses import as_path, is_address, readable
from jaxvid.video.files import VIDEO_EXTENSIONS, find_videos


class Input(NamedTuple):
    """A video to predict.

    Attributes:
      path: absolute path, or address.
      size: of the file, in bytes; 0 if it is not known.
    """

    path: str
    size: int

    @property
    def row_path(self) -> str:
        """The path as it is in the rows."""
        return self.path if is_address(self.path) else stored_path(Path(self.path))


def find_inputs(arguments: Sequence[str]) -> list[Input]:
    """Returns the videos that the arguments name, each once, sorted by path.

    Args:
      arguments: each the path or the address of a video or of a folder with videos at any depth, or a pattern with
        `*`, `?`, `[...]` or `**`.

    Raises:
      ValueError: naming an argument that does not exist, cannot be read, matches nothing or holds no video, or if there
        is none.
    """
    if not arguments:
        raise ValueError("no videos given; allowed: paths, addresses and patterns of videos and of folders with videos")
    found: dict[str, Input] = {}
    for argument in arguments:
        videos = list(_at_address(argument) if is_address(argument) else _local(argument))
        if not videos:
            what = "matches no video" if glob.has_magic(argument) else "holds no video"
            raise ValueError(f"{argument} {what}; extensions of videos: {', '.join(VIDEO_EXTENSIONS)}")
        found |= {video.path: video for video in videos}
    return [found[path] for path in sorted(found)]


def _local(argument: str) -> Iterator[Input]:
    path = Path(argument)
    if path.is_dir():
        paths = find_videos(path)
    elif path.exists():
        paths = [path]
    elif glob.has_magic(argument):
        paths = [Path(match) for match in glob.glob(argument, recursive=True) if _is_video(match)]
    else:
        raise ValueError(f"{argument} does not exist")
    for one in paths:
        # Broken links are kept: that they do not open is reported of each.
        yield Input(os.path.abspath(one), one.stat().st_size if one.exists() else 0)


def _at_address(argument: str) -> Iterator[Input]:
    try:
        # Of universal_pathlib, a path with the file system of fsspec that it belongs to.
        address: Any = as_path(argument)
        with readable(argument):
            files = _files_at(address, argument)
    except ValueError as error:
        if argument in str(error):
            raise
        raise ValueError(f"{argument} cannot be read: {error}") from error
    for name, details in files.items():
        if details["type"] == "file" and (name == address.path or _is_video(name)):
            yield Input(address.fs.unstrip_protocol(name), details.get("size") or 0)


def _files_at(address: Any, argument: str) -> dict[str, dict[str, Any]]:
    files, path = address.fs, address.path
    if glob.has_magic(argument) and not files.exists(path):
        return files.glob(path, detail=True)
    details = files.info(path)
    return {path: details} if details["type"] == "file" else files.find(path, detail=True)


def _is_video(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in VIDEO_EXTENSIONS
