"""Video files: finding and writing them."""

from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8

VIDEO_EXTENSIONS = (".3gp", ".avi", ".flv", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ts", ".webm", ".wmv")


# What cv2 writes into each container without help from the system's codecs.
_WRITER_CODECS = {".avi": "MJPG", ".mp4": "mp4v"}


def find_videos(directory: Path | str) -> list[Path]:
    """Every video under `directory`, at any depth, sorted; hidden files and folders are left out.

    A video is known by its extension, in any case (`VIDEO_EXTENSIONS`). Broken links and other oddities with such a
    name are kept: decoding reports them, where leaving them out would hide them.

    Raises:
      ValueError: if `directory` is not a directory.
    """
    directory = Path(directory)
    if not directory.is_dir():
        raise ValueError(f"{directory} is not a directory")
    videos = (path for path in directory.rglob("*") if path.suffix.lower() in VIDEO_EXTENSIONS and not path.is_dir())
    return sorted(path for path in videos if not _is_hidden(path.relative_to(directory)))


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


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)
