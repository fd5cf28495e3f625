"""UCF101: 101 human activities, from YouTube, with its three official splits."""

import dataclasses
from pathlib import Path
from types import MappingProxyType

import tensorflow_datasets as tfds
from absl import logging

from tfds_builders.groups import group_of, grouped_videos
from tfds_builders.video_dataset import VideoDataset
from tfds_builders.video_files import VideoFile, folders_of, manual_root

# The groups that each official split tests on, and those that all three train on.
_GROUPS = MappingProxyType(
    {"test1": range(1, 8), "test2": range(8, 15), "test3": range(15, 22), "always_train": range(22, 26)}
)
_LISTS = ("ucfTrainTestlist", "UCF101TrainTestSplits-RecognitionTask")


class Ucf101ByGroup(VideoDataset):
    """Human activities: 101 classes of 25 groups of clips; the clips of a group are much alike.

    The official splits test on groups 1 to 7, 8 to 14 and 15 to 21 and train on all others. So that every clip is
    stored once, the splits here are `test1`, `test2`, `test3` and `always_train`: the first official split trains on
    `test2+test3+always_train` and tests on `test1`, and so on. Where the official lists (`testlist01.txt`, ...) lie
    beside the clips, they are compared with the groups. The classes are the folders that are there: a part works too.

    The name leaves `ucf101` to TFDS' own builder, which stores whole videos and one official split at a time.
    """

    MANUAL_DOWNLOAD_INSTRUCTIONS = """
    Unpack UCF101.rar (with unrar) in the manual directory:
      ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01.avi ...      YoYo/v_YoYo_g25_c05.avi
    Where the manual directory holds other datasets too, put the folders into a folder UCF-101/ in it. The lists of the
    official splits may lie beside the folders, in a folder ucfTrainTestlist/.
    """
    CITATION = """
    @techreport{soomro2012ucf101,
      title={UCF101: A Dataset of 101 Human Action Classes From Videos in The Wild},
      author={Soomro, Khurram and Zamir, Amir Roshan and Shah, Mubarak},
      number={CRCV-TR-12-01},
      year={2012}
    }"""

    def find_clips(self, dl_manager: tfds.download.DownloadManager) -> list[VideoFile]:
        """Returns the videos of every class; the group in the file's name is the source, and decides the split.

        Raises:
          ValueError: if there are no videos, or the official lists put one into another split.
        """
        root = manual_root(
            dl_manager,
            self.MANUAL_DOWNLOAD_INSTRUCTIONS,
            holds=lambda folder: bool(grouped_videos(folder)),
            names=("UCF-101", "UCF101"),
        )
        videos = [dataclasses.replace(video, split=_split_of(video.path)) for video in grouped_videos(root)]
        for directory in {root, root.parent}:
            _compare_with_lists(videos, directory)
        return videos


def _split_of(path: Path) -> str:
    group = group_of(path)
    for split, groups in _GROUPS.items():
        if group in groups:
            return split
    raise ValueError(f"{path}: the groups of UCF101 are 1 to 25, not {group}")


def _compare_with_lists(videos: list[VideoFile], directory: Path) -> None:
    """Checks that the videos of `test1` are those of testlist01.txt, and so on, where there are lists."""
    split_of = {Path(video.filename).name: video.split for video in videos}
    for folder in folders_of(directory):
        for number in (1, 2, 3) if folder.name in _LISTS else ():
            path = folder / f"testlist{number:02d}.txt"
            listed = {Path(line.split()[0]).name for line in path.read_text().splitlines() if line.strip()}
            here = {name for name, split in split_of.items() if split == f"test{number}"}
            if different := (here ^ listed) & set(split_of):
                raise ValueError(f"{path} and the groups disagree on {min(different)}")
            logging.info("%s agrees with the split test%d: %d videos", path, number, len(here))
