"""Hockey Fight: 500 fights and 500 other scenes of ice hockey games."""

import re
from pathlib import Path
from typing import ClassVar

import tensorflow_datasets as tfds

from tfds_builders.clips import Clip, manual_root
from tfds_builders.splits import split_by_source
from tfds_builders.video_dataset import VideoDataset

# In this dataset, and in no other here, the file's name gives the label: all clips lie in one folder.
_FILENAME = re.compile(r"(fi|no)\d+_xvid\.avi", re.IGNORECASE)
_LABELS = {"fi": "fight", "no": "no_fight"}


class HockeyFight(VideoDataset):
    """Ice hockey: 500 fights and 500 other scenes of about 1.7 seconds."""

    MANUAL_DOWNLOAD_INSTRUCTIONS = """
    Put HockeyFights.zip into the manual directory; or unzip it there, so that the clips lie in the manual directory or
    in a folder HockeyFights/ or data/ in it:
      fi1_xvid.avi ... fi500_xvid.avi      no1_xvid.avi ... no500_xvid.avi
    """
    CLASSES = ("no_fight", "fight")
    PUBLISHED_COUNTS: ClassVar = {"train": {"no_fight": 400, "fight": 400}, "test": {"no_fight": 100, "fight": 100}}
    CITATION = """
    @inproceedings{bermejo2011violence,
      title={Violence detection in video using computer vision techniques},
      author={Bermejo Nievas, Enrique and Deniz Suarez, Oscar and Bueno Garc{\\'i}a, Gloria and Sukthankar, Rahul},
      booktitle={Computer Analysis of Images and Patterns},
      year={2011}
    }"""

    def find_clips(self, dl_manager: tfds.download.DownloadManager) -> list[Clip]:
        """The `fi*` and `no*` clips; 80 % of each class for training, as published, chosen by file name."""
        root = manual_root(
            dl_manager,
            self.MANUAL_DOWNLOAD_INSTRUCTIONS,
            holds=lambda folder: bool(_named_clips(folder)),
            names=("HockeyFights", "data"),
            archives=("HockeyFights.zip",),
        )
        return split_by_source(_named_clips(root), {"train": 0.8, "test": 0.2})


def _named_clips(root: Path) -> list[Clip]:
    matches = ((path, _FILENAME.fullmatch(path.name)) for path in sorted(root.iterdir()))
    return [Clip(path, path.name, _LABELS[match[1].lower()], path.stem) for path, match in matches if match]
