"""Videos to predict and to build from."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxvid.data.dataset import ClipSplit
from jaxvid.data.records import decode_frames
from jaxvid.video.files import find_videos, write_video

# Files that are made, and the longest of those that are made of many.
_NUM_FILES = 64
_LONGEST_SECONDS = 60.0


class Videos(NamedTuple):
    """Videos to measure with.

    Attributes:
      long: one whose windows overlap.
      folder: with short ones, one folder for each class.
    """

    long: Path
    folder: Path


def choose_videos(long: Path | None, folder: Path | None, split: ClipSplit, directory: Path) -> Videos:
    """Returns the videos that are given; those that are not are made of the clips of a split in `directory`.

    Raises:
      ValueError: if a video or folder that is given does not exist, or the folder has no videos.
    """
    for name, path, exists in (("video", long, Path.is_file), ("videos", folder, Path.is_dir)):
        if path is not None and not exists(path):
            raise ValueError(f"--{name}={path} does not exist")
    if folder is not None and not find_videos(folder):
        raise ValueError(f"--videos={folder} has no videos")
    return Videos(long or _make_long(split, directory / "long.mp4"), folder or _make_short(split, directory / "short"))


def _make_short(split: ClipSplit, folder: Path) -> Path:
    for position in range(min(len(split), _NUM_FILES)):
        of_class = folder / split.class_names[split.metadata.labels[position]]
        of_class.mkdir(parents=True, exist_ok=True)
        write_video(of_class / f"{position}.mp4", _frames(split, position), float(split.metadata.fps[position]))
    return folder


def _make_long(split: ClipSplit, path: Path) -> Path:
    fps = float(np.median(split.metadata.fps))
    write_video(path, np.concatenate(list(_clips_in_a_row(split, fps))), fps)
    return path


def _clips_in_a_row(split: ClipSplit, fps: float) -> Iterator[np.ndarray]:
    left = int(_LONGEST_SECONDS * fps)
    for position in range(len(split)):
        yield _frames(split, position)[:left]
        left -= int(split.metadata.num_frames[position])
        if left <= 0:
            return


def _frames(split: ClipSplit, position: int) -> np.ndarray:
    frames = split[position].frames
    images = decode_frames(frames, np.arange(len(frames)))
    # MPEG-4 has even sides.
    return images[:, : images.shape[1] // 2 * 2, : images.shape[2] // 2 * 2]
