"""SHV: short clips of sexual harassment, and of other scenes; not public."""

from types import MappingProxyType
from typing import ClassVar

import tensorflow_datasets as tfds

from tfds_builders.splits import split_by_source
from tfds_builders.video_dataset import VideoDataset
from tfds_builders.video_files import (
    VideoFile,
    holds_folders,
    join_identical,
    manual_root,
    videos_in_class_folders,
)

_FOLDERS = MappingProxyType({"harassment": "harassment", "nonharassment": "non_harassment"})


class Shv(VideoDataset):
    """Sexual Harassment Videos: 150 clips of harassment and 150 of other scenes, of 1 to 3 seconds."""

    MANUAL_DOWNLOAD_INSTRUCTIONS = """
    SHV is not public. Put its videos into the manual directory, or into a folder shv/ in it, one folder per class:
      harassment/*      non_harassment/*
    """
    CLASSES = ("non_harassment", "harassment")
    PUBLISHED_COUNTS: ClassVar = {
        "train": {"non_harassment": 105, "harassment": 105},
        "test": {"non_harassment": 45, "harassment": 45},
    }

    def find_clips(self, dl_manager: tfds.download.DownloadManager) -> list[VideoFile]:
        """Returns the videos of both folders; 70 % of each class for training, as published, chosen by file name."""
        root = manual_root(dl_manager, self.MANUAL_DOWNLOAD_INSTRUCTIONS, holds=holds_folders(_FOLDERS), names=("shv",))
        return split_by_source(join_identical(videos_in_class_folders(root, _FOLDERS)), {"train": 0.7, "test": 0.3})
