"""Video files: finding them, bringing them to this machine, and writing them."""

import contextlib
import hashlib
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8

from jaxvid.video.addresses import AnyPath, as_path, check_directory, error_line, is_address, readable
from jaxvid.video.workers import InvalidVideoError

VIDEO_EXTENSIONS = (".3gp", ".avi", ".flv", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ts", ".webm", ".wmv")


# Of which files at addresses are copied at a time.
_PIECE_BYTES = 1 << 20

# What cv2 writes into each container without help from the system's codecs.
_WRITER_CODECS = {".avi": "MJPG", ".mp4": "mp4v"}


def find_videos(directory: AnyPath | str) -> list[AnyPath]:
    """Returns every video under `directory`, at any depth, sorted; hidden files and folders are left out.

    A video is known by its extension, in any case (`VIDEO_EXTENSIONS`). Links to folders are followed, save those that
    lead back to a folder they are in. Broken links and other oddities with the name of a video are kept: decoding
    reports them, where leaving them out would hide them. The directory may be an address (`jaxvid.video.addresses`).

    Raises:
      ValueError: if `directory` is not a directory, or an address that cannot be read.
    """
    directory = as_path(directory)
    check_directory(directory)
    with readable(directory):
        return sorted(path for path in _files_below(directory) if path.suffix.lower() in VIDEO_EXTENSIONS)


def identical_files(paths: Iterable[AnyPath]) -> list[list[AnyPath]]:
    """Returns the groups of two or more files with the same content, in the order of `paths`.

    Empty files, which do not decode, are no copies of one another; broken links and other oddities are left out.
    """
    by_size: dict[int, list[AnyPath]] = defaultdict(list)
    for path in paths:
        if path.is_file():
            by_size[path.stat().st_size].append(path)
    by_content: dict[bytes, list[AnyPath]] = defaultdict(list)
    for size, of_size in by_size.items():
        # Files of different sizes need not be read.
        for path in of_size if size and len(of_size) > 1 else ():
            with path.open("rb") as file:
                by_content[hashlib.file_digest(file, "sha256").digest()].append(path)
    return [copies for copies in by_content.values() if len(copies) > 1]


@contextlib.contextmanager
def local_copy(path: AnyPath) -> Iterator[Path]:
    """Yields a local file, or a copy of one at an address, which is deleted after the block.

    Raises:
      InvalidVideoError: if it cannot be read there.
      OSError: if the copy cannot be written.
    """
    if not is_address(path):
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="jaxvid-") as directory:
        copy = Path(directory) / path.name
        with copy.open("wb") as file:
            for piece in _pieces(path):
                file.write(piece)
        yield copy


def _pieces(path: AnyPath) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            while piece := file.read(_PIECE_BYTES):
                yield piece
    # Every file system has its own errors.
    except Exception as error:
        raise InvalidVideoError(path, f"it cannot be read: {error_line(error)}") from error


def write_video(path: Path | str, frames: UInt8[np.ndarray, "time height width 3"], fps: float) -> None:
    """Writes RGB frames as a video file: Motion JPEG in an `.avi`, MPEG-4 in an `.mp4`.

    Raises:
      ValueError: if the extension is another, if a side of an MP4's frames is odd, or if the file cannot be written.
    """
    path = Path(path)
    codec = _WRITER_CODECS.get(path.suffix.lower())
    if codec is None:
        raise ValueError(f"{path}: cannot write {path.suffix!r} files; write one of {', '.join(_WRITER_CODECS)}")
    height, width = frames.shape[1:3]
    if codec == "mp4v" and (height % 2 or width % 2):
        raise ValueError(f"{path}: MPEG-4 needs an even height and width, got {height}x{width}")
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*codec), fps, (width, height))
    if not writer.isOpened():
        raise ValueError(f"{path}: cannot be written")
    for frame in frames:
        writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
    writer.release()


def _files_below(directory: AnyPath, above: frozenset[AnyPath] = frozenset()) -> Iterator[AnyPath]:
    """Yields the files under `directory`, which lies in the folders `above`."""
    target = directory.resolve()
    if target in above:
        return
    for path in directory.iterdir():
        if path.name.startswith("."):
            continue
        if path.is_dir():
            yield from _files_below(path, above | {target})
        else:
            yield path
