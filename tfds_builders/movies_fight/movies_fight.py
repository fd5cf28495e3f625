"""Movies Fight, also known as Peliculas: fights from action movies, and scenes without."""

from typing import ClassVar

import tensorflow_datasets as tfds

from tfds_builders.clips import Clip, folder_clips, has_folders, manual_root
from tfds_builders.splits import split_by_source
from tfds_builders.video_dataset import VideoDataset


class MoviesFight(VideoDataset):
    """Action movies: 100 fights, and 100 scenes without, of mixed sizes and containers."""

    MANUAL_DOWNLOAD_INSTRUCTIONS = """
    Put Peliculas.zip into the manual directory; or unpack it (Peliculas.rar with unrar) there, so that the folders lie
    in the manual directory or in a folder Peliculas/ in it:
      fights/newfi1.avi ...      noFights/1.mpg ...
    """
    CLASSES = ("no_fight", "fight")
    PUBLISHED_COUNTS: ClassVar = {"train": {"no_fight": 85, "fight": 85}, "test": {"no_fight": 15, "fight": 15}}
    CITATION = """
    @inproceedings{bermejo2011violence,
      title={Violence detection in video using computer vision techniques},
      author={Bermejo Nievas, Enrique and Deniz Suarez, Oscar and Bueno Garc{\\'i}a, Gloria and Sukthankar, Rahul},
      booktitle={Computer Analysis of Images and Patterns},
      year={2011}
    }"""

    def find_clips(self, dl_manager: tfds.download.DownloadManager) -> list[Clip]:
        """The clips of both folders, whatever their names; 170 for training and 30 for testing, chosen by file name."""
        root = manual_root(
            dl_manager,
            self.MANUAL_DOWNLOAD_INSTRUCTIONS,
            holds=has_folders("fights", "noFights"),
            names=("Peliculas",),
            archives=("Peliculas.zip",),
        )
        clips = folder_clips(root, "noFights", "no_fight") + folder_clips(root, "fights", "fight")
        return split_by_source(clips, {"train": 0.85, "test": 0.15})
