"""UCF50: fifty human activities, from YouTube."""

import dataclasses
import re
from pathlib import Path

import tensorflow_datasets as tfds

from tfds_builders.clips import Clip, folder_clips, folders_of, manual_root
from tfds_builders.video_dataset import VideoDataset

_FILENAME = re.compile(r"v_\w+_g(\d+)_c\d+\.avi", re.IGNORECASE)

# The groups that the first split of UCF101, which continues UCF50, holds out.
_TEST_GROUPS = range(1, 8)


class Ucf50(VideoDataset):
    """Human activities: 50 classes of 25 groups of clips; the clips of a group are much alike.

    The authors publish no split but leave-one-group-out. Here groups 1 to 7 are for testing and 8 to 25 for training,
    as in the first split of UCF101. The classes are the folders that are there: a part of the fifty works too.
    """

    MANUAL_DOWNLOAD_INSTRUCTIONS = """
    Unpack UCF50.rar (with unrar) in the manual directory, so that the folders of the classes lie in the manual
    directory or in a folder UCF50/ in it:
      BaseballPitch/v_BaseballPitch_g01_c01.avi ...      YoYo/v_YoYo_g25_c06.avi
    """
    CITATION = """
    @article{reddy2013recognizing,
      title={Recognizing 50 human action categories of web videos},
      author={Reddy, Kishore K and Shah, Mubarak},
      journal={Machine Vision and Applications},
      year={2013}
    }"""

    def find_clips(self, dl_manager: tfds.download.DownloadManager) -> list[Clip]:
        """The clips of every folder; the group in the file's name is the source, and decides the split."""
        root = manual_root(
            dl_manager,
            self.MANUAL_DOWNLOAD_INSTRUCTIONS,
            holds=lambda folder: bool(_class_folders(folder)),
            names=("UCF50",),
        )
        clips = [
            clip for folder in _class_folders(root) for clip in folder_clips(root, folder, folder, source=_group_source)
        ]
        return [dataclasses.replace(clip, split=_split_of(clip)) for clip in clips]


def _class_folders(root: Path) -> list[str]:
    return [folder.name for folder in folders_of(root) if any(map(_FILENAME.fullmatch, _names(folder)))]


def _names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def _group_source(path: Path) -> str:
    """`Biking_g01` for `Biking/v_Biking_g01_c02.avi`; groups of one number have nothing in common across classes."""
    return f"{path.parent.name}_g{_group(path):02d}"


def _group(path: Path) -> int:
    match = _FILENAME.fullmatch(path.name)
    if match is None:
        raise ValueError(f"{path}: the clips of UCF50 are named v_<Class>_g<group>_c<clip>.avi")
    return int(match[1])


def _split_of(clip: Clip) -> str:
    return "test" if _group(clip.path) in _TEST_GROUPS else "train"
