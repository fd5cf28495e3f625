"""RWF-2000: fights and other scenes from surveillance cameras, collected from YouTube."""

from typing import ClassVar

import tensorflow_datasets as tfds

from tfds_builders.video_dataset import VideoDataset
from tfds_builders.video_files import (
    FIGHT_FOLDERS,
    VideoFile,
    by_folder,
    cut_source,
    manual_root,
    videos_below,
    videos_in_class_folders,
    with_folder_splits,
)


class Rwf2000(VideoDataset):
    """Surveillance cameras: 1000 fights and 1000 other scenes of 5 seconds, split by the authors."""

    MANUAL_DOWNLOAD_INSTRUCTIONS = """
    RWF-2000 is no longer distributed by its authors. Put its folders into the manual directory:
      train/Fight/*.avi  train/NonFight/*.avi  val/Fight/*.avi  val/NonFight/*.avi
    Where the manual directory holds other datasets too, put them into a folder RWF-2000/ in it.
    """
    CLASSES = ("no_fight", "fight")
    PUBLISHED_COUNTS: ClassVar = {"train": {"no_fight": 800, "fight": 800}, "val": {"no_fight": 200, "fight": 200}}
    CITATION = """
    @inproceedings{cheng2021rwf,
      title={RWF-2000: An Open Large Scale Video Database for Violence Detection},
      author={Cheng, Ming and Cai, Kunjing and Li, Ming},
      booktitle={International Conference on Pattern Recognition},
      year={2021}
    }"""

    def find_clips(self, dl_manager: tfds.download.DownloadManager) -> list[VideoFile]:
        """Returns the videos of the four folders; the source of `<YouTube id>_<k>.avi` is the id."""
        root = manual_root(
            dl_manager,
            self.MANUAL_DOWNLOAD_INSTRUCTIONS,
            holds=lambda folder: bool(with_folder_splits(videos_below(folder, by_folder(FIGHT_FOLDERS)))),
            names=("RWF-2000", "rwf2000"),
        )
        return with_folder_splits(videos_in_class_folders(root, FIGHT_FOLDERS, cut_source))
