"""UCF50: fifty human activities, from YouTube."""

import dataclasses
from typing import ClassVar

import tensorflow_datasets as tfds

from tfds_builders.groups import group_of, grouped_videos
from tfds_builders.video_config import VideoConfig, sized_configs
from tfds_builders.video_dataset import VideoDataset
from tfds_builders.video_files import VideoFile, manual_root

# The groups that the first split of UCF101, which continues UCF50, holds out.
_TEST_GROUPS = range(1, 8)

# The classes of the tutorial from which the activity recognition paper (ConvLSTM and LRCN) has its networks.
TUTORIAL_CLASSES = ("HorseRace", "Swing", "TaiChi", "WalkingWithDog")


@dataclasses.dataclass(eq=False)
class Ucf50Config(VideoConfig):
    """The size of the frames, and which classes: None for all whose folders are there."""

    classes: tuple[str, ...] | None = None


class Ucf50(VideoDataset):
    """Human activities: 50 classes of 25 groups of clips; the clips of a group are much alike.

    The authors publish no split but leave-one-group-out. Here groups 1 to 7 are for testing and 8 to 25 for training,
    as in the first split of UCF101. The classes are the folders that are there: a part of the fifty works too. The
    configs `..._tutorial` take four of them: HorseRace, Swing, TaiChi and WalkingWithDog.
    """

    BUILDER_CONFIGS: ClassVar = [
        *sized_configs(Ucf50Config),
        *sized_configs(Ucf50Config, "tutorial", "four classes", classes=TUTORIAL_CLASSES),
    ]
    MANUAL_DOWNLOAD_INSTRUCTIONS = """
    Unpack UCF50.rar (with unrar) in the manual directory:
      BaseballPitch/v_BaseballPitch_g01_c01.avi ...      YoYo/v_YoYo_g25_c06.avi
    Where the manual directory holds other datasets too, put the folders into a folder UCF50/ in it.
    """
    CITATION = """
    @article{reddy2013recognizing,
      title={Recognizing 50 human action categories of web videos},
      author={Reddy, Kishore K and Shah, Mubarak},
      journal={Machine Vision and Applications},
      year={2013}
    }"""

    def find_clips(self, dl_manager: tfds.download.DownloadManager) -> list[VideoFile]:
        """Returns the videos of every class; the group in the file's name is the source, and decides the split.

        Raises:
          ValueError: if there are no videos, or none of a class that the config names.
        """
        config = self.builder_config
        assert isinstance(config, Ucf50Config)
        root = manual_root(
            dl_manager,
            self.MANUAL_DOWNLOAD_INSTRUCTIONS,
            holds=lambda folder: bool(grouped_videos(folder)),
            names=("UCF50",),
        )
        videos = grouped_videos(root)
        if missing := sorted(set(config.classes or ()) - {video.label for video in videos}):
            raise ValueError(
                f"{root} holds no videos of {', '.join(missing)}, which ucf50/{config.name} is made of; it holds: "
                f"{', '.join(sorted({video.label for video in videos}))}"
            )
        return [
            dataclasses.replace(video, split="test" if group_of(video.path) in _TEST_GROUPS else "train")
            for video in videos
            if config.classes is None or video.label in config.classes
        ]
