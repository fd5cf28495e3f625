"""Hockey Fight: 500 fights and 500 other scenes of ice hockey games."""

import dataclasses
import re
from pathlib import Path
from typing import ClassVar

import tensorflow_datasets as tfds

from tfds_builders.splits import split_by_source
from tfds_builders.video_config import VideoConfig, sized_configs
from tfds_builders.video_dataset import VideoDataset
from tfds_builders.video_files import VideoFile, block_of, join_identical, manual_root, videos_below

# In this dataset, and in no other here, the file's name gives the label. Three names of the original files differ from
# the others: no65___xvid, no142__xvid and no238mpg_xvid.
_STEM = re.compile(r"(?P<label>fi|no)(?P<number>\d+)\D*xvid", re.IGNORECASE)
_LABELS = {"fi": "fight", "no": "no_fight"}

# Consecutive numbers often show one scene. Of the neighbors that look alike in the original files (16x16 thumbnails of
# the middle frames correlate above 0.9), blocks of 20 keep 95 % together, blocks of 10 keep 85 % of the fights and 91 %
# of the others. Blocks of 50 keep 99 %, but leave ten sources per class.
BLOCK_SIZE = 20


@dataclasses.dataclass(eq=False)
class HockeyFightConfig(VideoConfig):
    """The size of the frames, and how the videos are split.

    Attributes:
      grouped: whether blocks of consecutive numbers, and identical files, stay in one split.
    """

    grouped: bool = True


class HockeyFight(VideoDataset):
    """Ice hockey: 500 fights and 500 other scenes of about 1.6 seconds; 80 % are for training, 20 % for testing.

    Consecutive numbers often show one scene, and three pairs of files are identical: each block of 20 numbers of a
    class, with the identical files, is a source and stays in one split. The configs `..._random` have the published
    split, random by file: each video is its own source, and test clips resemble training clips.
    """

    VERSION: ClassVar = tfds.core.Version("2.0.0")
    RELEASE_NOTES: ClassVar = {
        "2.0.0": "Blocks of neighboring files stay in one split; `_random` is the split of 1.0.0. All 1000 files.",
    }
    BUILDER_CONFIGS: ClassVar = [
        *sized_configs(HockeyFightConfig),
        *sized_configs(HockeyFightConfig, "random", "split at random, as published", grouped=False),
    ]
    MANUAL_DOWNLOAD_INSTRUCTIONS = """
    Put HockeyFights.zip into the manual directory, or its files, in folders of any names:
      fi1_xvid.avi ... fi500_xvid.avi      no1_xvid.avi ... no500_xvid.avi
    Where the manual directory holds other datasets too, put them into a folder HockeyFights/ or data/ in it.
    """
    CLASSES = ("no_fight", "fight")
    PUBLISHED_COUNTS: ClassVar = {"": {"no_fight": 500, "fight": 500}}
    CITATION = """
    @inproceedings{bermejo2011violence,
      title={Violence detection in video using computer vision techniques},
      author={Bermejo Nievas, Enrique and Deniz Suarez, Oscar and Bueno Garc{\\'i}a, Gloria and Sukthankar, Rahul},
      booktitle={Computer Analysis of Images and Patterns},
      year={2011}
    }"""

    def find_clips(self, dl_manager: tfds.download.DownloadManager) -> list[VideoFile]:
        """Returns the `fi*` and `no*` videos, split 80/20."""
        config = self.builder_config
        assert isinstance(config, HockeyFightConfig)
        root = manual_root(
            dl_manager,
            self.MANUAL_DOWNLOAD_INSTRUCTIONS,
            holds=lambda folder: bool(videos_below(folder, _label)),
            names=("HockeyFights", "hockey_fight", "data"),
            archives=("HockeyFights.zip",),
        )
        # Neither kind of source depends on the folders of the copy, so that all copies are split alike.
        source_of = _block if config.grouped else lambda path: path.stem
        videos = videos_below(root, _label, source_of)
        if config.grouped:
            videos = join_identical(videos)
        return split_by_source(videos, {"train": 0.8, "test": 0.2})


def _label(path: Path) -> str | None:
    match = _STEM.fullmatch(path.stem)
    return _LABELS[match["label"].lower()] if match else None


def _block(path: Path) -> str:
    """Returns the block of a file: `fi1-20` for fi1 to fi20."""
    match = _STEM.fullmatch(path.stem)
    assert match is not None
    return block_of(match["label"].lower(), int(match["number"]), BLOCK_SIZE)
