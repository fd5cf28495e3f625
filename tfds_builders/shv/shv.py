"""SHV: short clips of sexual harassment, and of other scenes; not public."""

from typing import ClassVar

import tensorflow_datasets as tfds

from tfds_builders.clips import Clip, folder_clips, has_folders, manual_root
from tfds_builders.splits import split_by_source
from tfds_builders.video_dataset import VideoDataset


class Shv(VideoDataset):
    """Sexual Harassment Videos: 150 clips of harassment and 150 of other scenes, of 1 to 3 seconds."""

    MANUAL_DOWNLOAD_INSTRUCTIONS = """
    SHV is not public. Put its clips into the manual directory, or into a folder shv/ in it, one folder a class:
      harassment/*      non_harassment/*
    """
    CLASSES = ("non_harassment", "harassment")
    PUBLISHED_COUNTS: ClassVar = {
        "train": {"non_harassment": 105, "harassment": 105},
        "test": {"non_harassment": 45, "harassment": 45},
    }

    def find_clips(self, dl_manager: tfds.download.DownloadManager) -> list[Clip]:
        """The clips of both folders; 70 % of each class for training, as published, chosen by file name."""
        root = manual_root(
            dl_manager,
            self.MANUAL_DOWNLOAD_INSTRUCTIONS,
            holds=has_folders("harassment", "non_harassment"),
            names=("shv",),
        )
        clips = [clip for label in ("non_harassment", "harassment") for clip in folder_clips(root, label, label)]
        return split_by_source(clips, {"train": 0.7, "test": 0.3})
