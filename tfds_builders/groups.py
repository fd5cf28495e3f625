"""The files of UCF50 and UCF101: `<Class>/v_<Class>_g<group>_c<clip>.avi`; the clips of a group are much alike."""

import re
from pathlib import Path

from tfds_builders.clips import folders_of

_FILENAME = re.compile(r"v_\w+_g(\d+)_c\d+\.avi", re.IGNORECASE)


def class_folders(root: Path) -> list[str]:
    """The folders in `root` that hold such files."""
    return [folder.name for folder in folders_of(root) if any(map(_FILENAME.fullmatch, _names(folder)))]


def group_of(path: Path) -> int:
    """The number of the group.

    Raises:
      ValueError: if the file is named otherwise.
    """
    match = _FILENAME.fullmatch(path.name)
    if match is None:
        raise ValueError(f"{path}: the clips of UCF50 and UCF101 are named v_<Class>_g<group>_c<clip>.avi")
    return int(match[1])


def group_source(path: Path) -> str:
    """`Biking_g01` for `Biking/v_Biking_g01_c02.avi`; groups of one number have nothing in common across classes."""
    return f"{path.parent.name}_g{group_of(path):02d}"


def _names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]
