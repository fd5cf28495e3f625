"""The files of UCF50 and UCF101: `<Class>/v_<Class>_g<group>_c<clip>.avi`; the clips of a group are much alike."""

import re
from pathlib import Path

from tfds_builders.video_files import VideoFile, videos_below

_FILENAME = re.compile(r"v_\w+_g(\d+)_c\d+\.avi", re.IGNORECASE)


def grouped_videos(root: Path) -> list[VideoFile]:
    """Returns the files so named at any depth below `root`; their folder is the class, the group the source."""
    return videos_below(
        root, lambda path: path.parent.name if _FILENAME.fullmatch(path.name) else None, source_of=_group_source
    )


def group_of(path: Path) -> int:
    """Returns the number of the group.

    Raises:
      ValueError: if the file has another name.
    """
    match = _FILENAME.fullmatch(path.name)
    if match is None:
        raise ValueError(f"{path}: the clips of UCF50 and UCF101 are named v_<Class>_g<group>_c<clip>.avi")
    return int(match[1])


def _group_source(path: Path) -> str:
    """Returns `Biking_g01` for `Biking/v_Biking_g01_c02.avi`; a group's number means nothing across classes."""
    return f"{path.parent.name}_g{group_of(path):02d}"
