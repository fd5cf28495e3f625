"""Violent Flows: crowds, violent and peaceful, from YouTube."""

import dataclasses
import re
from collections.abc import Iterable
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar

import tensorflow_datasets as tfds

from tfds_builders.splits import split_by_source
from tfds_builders.video_config import VideoConfig, sized_configs
from tfds_builders.video_dataset import VideoDataset
from tfds_builders.video_files import (
    VideoFile,
    by_folder,
    holds_folders,
    join_identical,
    manual_root,
    videos_in_class_folders,
)

_FOLDERS = MappingProxyType(
    {
        **dict.fromkeys(("nonviolence", "noviolence", "nonviolent", "normal"), "no_violence"),
        **dict.fromkeys(("violence", "violent"), "violence"),
    }
)
_FOLDS = MappingProxyType({str(number): f"fold{number}" for number in range(1, 6)})


@dataclasses.dataclass(eq=False)
class ViolentFlowsConfig(VideoConfig):
    """The size of the frames, and how the videos are split.

    Attributes:
      published: whether the folds are the authors', given by folders 1 to 5, instead of folds over source videos.
    """

    published: bool = False


class ViolentFlows(VideoDataset):
    """Crowds: 123 violent and 123 other videos of 1 to 22 seconds; the protocol is five-fold cross-validation.

    The splits `fold1` to `fold5` are the folds: test on one, train on the others. All clips of a YouTube video, and
    identical files, are in one fold. The configs `..._published` have the authors' folds instead, for copies that have
    their folders 1/ to 5/.
    """

    BUILDER_CONFIGS: ClassVar = [
        *sized_configs(ViolentFlowsConfig),
        *sized_configs(ViolentFlowsConfig, "published", "the authors' folds", published=True),
    ]
    MANUAL_DOWNLOAD_INSTRUCTIONS = """
    Put the videos into the manual directory, in folders of these names, at any depth (in the authors' archive, within
    folders 1 to 5, the folds):
      Violence/*.avi      NonViolence/*.avi
    Where the manual directory holds other datasets too, put them into a folder violent_flows/ in it.
    """
    CLASSES = ("no_violence", "violence")
    PUBLISHED_COUNTS: ClassVar = {"": {"no_violence": 123, "violence": 123}}
    HOMEPAGE = "https://www.openu.ac.il/home/hassner/data/violentflows/"
    CITATION = """
    @inproceedings{hassner2012violent,
      title={Violent flows: Real-time detection of violent crowd behavior},
      author={Hassner, Tal and Itcher, Yossi and Kliper-Gross, Orit},
      booktitle={Computer Vision and Pattern Recognition Workshops},
      year={2012}
    }"""

    def find_clips(self, dl_manager: tfds.download.DownloadManager) -> list[VideoFile]:
        """Returns the videos of both folders, in five folds.

        Raises:
          ValueError: if the config asks for the authors' folds and a video is in none of the folders 1 to 5.
        """
        config = self.builder_config
        assert isinstance(config, ViolentFlowsConfig)
        root = manual_root(
            dl_manager,
            self.MANUAL_DOWNLOAD_INSTRUCTIONS,
            holds=holds_folders(_FOLDERS),
            names=("violent_flows", "violentflows", "movies"),
        )
        videos = videos_in_class_folders(root, _FOLDERS)
        sources = youtube_sources(video.path.stem for video in videos)
        videos = [dataclasses.replace(video, source=sources[video.path.stem]) for video in videos]
        if config.published:
            return [dataclasses.replace(video, split=_published_fold(video)) for video in videos]
        return split_by_source(join_identical(videos), dict.fromkeys(_FOLDS.values(), 0.2))


def youtube_sources(stems: Iterable[str]) -> dict[str, str]:
    """Returns the source of each video by its name, `<query>__<title>__<uploader>__<YouTube id>`: the id.

    One video was found by several queries. Long names are cut off, some within the id, some within the title: a name
    that, without its query, is the beginning of another's is of the same video. Where no name has the whole id, the
    longest of them is the source.
    """
    found = {stem: stem.partition("__")[2] or stem for stem in stems}
    whole: list[str] = []
    for name in sorted(set(found.values()), key=len, reverse=True):
        if not any(longer.startswith(name) for longer in whole):
            whole.append(name)
    return {
        stem: _youtube_id(next(longer for longer in whole if longer.startswith(name))) for stem, name in found.items()
    }


def _youtube_id(name: str) -> str:
    match = re.fullmatch(r".*__([\w-]{11})", name)
    return match[1] if match else name


def _published_fold(video: VideoFile) -> str:
    fold = by_folder(_FOLDS)(Path(video.filename))
    if fold is None:
        raise ValueError(
            f"{video.path} is in none of the folders 1 to 5, the folds of violent_flows/..._published; the configs "
            "without _published make folds themselves"
        )
    return fold
