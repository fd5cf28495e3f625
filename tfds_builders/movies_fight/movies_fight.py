"""Movies Fight, also known as Peliculas: fights from action movies, and scenes without."""

import dataclasses
import re
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar

import tensorflow_datasets as tfds

from tfds_builders.splits import split_by_source
from tfds_builders.video_config import VideoConfig, sized_configs
from tfds_builders.video_dataset import VideoDataset
from tfds_builders.video_files import (
    FIGHT_FOLDERS,
    VideoFile,
    block_of,
    by_folder,
    holds_folders,
    join_identical,
    manual_root,
    videos_in_class_folders,
)

# Consecutive numbers may be cut from one movie. The size is a guess: unlike Hockey Fight, this dataset could not be
# measured. It leaves twenty blocks a class.
BLOCK_SIZE = 5

_PUBLISHED_FOLDERS = MappingProxyType({"fight": "fights", "no_fight": "noFights"})


@dataclasses.dataclass(eq=False)
class MoviesFightConfig(VideoConfig):
    """The size of the frames, and how the videos are split.

    Attributes:
      grouped: whether blocks of consecutive numbers, and identical files, stay in one split.
      train_share: the share of the videos that is for training; the others are for testing.
    """

    grouped: bool = True
    train_share: float = 0.8


class MoviesFight(VideoDataset):
    """Action movies: 100 fights, and 100 scenes without, of mixed sizes and containers.

    80 % are for training, 20 % for testing. Each block of 5 consecutive numbers of a class is a source and stays in one
    split, and so do identical files. The configs `..._random` are split at random by file, 80/20 as the text of SHDN's
    paper says, those of `..._random85` 85/15, as its tables suggest, which count 30 test clips.
    """

    VERSION: ClassVar = tfds.core.Version("2.0.0")
    RELEASE_NOTES: ClassVar = {
        "2.0.0": "80/20; blocks of neighboring files stay in one split. `_random85` is the split of 1.0.0.",
    }
    BUILDER_CONFIGS: ClassVar = [
        *sized_configs(MoviesFightConfig),
        *sized_configs(MoviesFightConfig, "random", "split 80/20 at random", grouped=False),
        *sized_configs(MoviesFightConfig, "random85", "split 85/15 at random", grouped=False, train_share=0.85),
    ]
    MANUAL_DOWNLOAD_INSTRUCTIONS = """
    Put Peliculas.zip into the manual directory, or unpack it (Peliculas.rar with unrar) there:
      fights/newfi1.avi ...      noFights/1.mpg ...
    Other names of these folders, such as Fight/ and NonFight/, and folders around them are accepted. Where the manual
    directory holds other datasets too, put them into a folder Peliculas/ in it.
    """
    CLASSES = ("no_fight", "fight")
    PUBLISHED_COUNTS: ClassVar = {"": {"no_fight": 100, "fight": 100}}
    CITATION = """
    @inproceedings{bermejo2011violence,
      title={Violence detection in video using computer vision techniques},
      author={Bermejo Nievas, Enrique and Deniz Suarez, Oscar and Bueno Garc{\\'i}a, Gloria and Sukthankar, Rahul},
      booktitle={Computer Analysis of Images and Patterns},
      year={2011}
    }"""

    def find_clips(self, dl_manager: tfds.download.DownloadManager) -> list[VideoFile]:
        """Returns the videos of both folders, whatever their names, split by ratio."""
        config = self.builder_config
        assert isinstance(config, MoviesFightConfig)
        root = manual_root(
            dl_manager,
            self.MANUAL_DOWNLOAD_INSTRUCTIONS,
            holds=holds_folders(FIGHT_FOLDERS),
            names=("Peliculas", "movies_fight", "movies"),
            archives=("Peliculas.zip",),
        )
        videos = videos_in_class_folders(root, FIGHT_FOLDERS, _block if config.grouped else _published_name)
        if config.grouped:
            videos = join_identical(videos)
        return split_by_source(videos, {"train": config.train_share, "test": round(1 - config.train_share, 6)})


def _published_name(path: Path) -> str:
    """Returns the name of a file in the published layout, without its extension: all copies are split alike."""
    label = by_folder(FIGHT_FOLDERS)(path)
    assert label is not None
    return f"{_PUBLISHED_FOLDERS[label]}/{path.stem}"


def _block(path: Path) -> str:
    """Returns the block of a file, `fights/newfi1-5` for fights/newfi3.avi; its own name if it has no number."""
    name = _published_name(path)
    match = re.fullmatch(r"(.*/\D*)(\d+)\D*", name)
    return block_of(match[1], int(match[2]), BLOCK_SIZE) if match else name
