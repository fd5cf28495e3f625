"""UCF50: fifty human activities, from YouTube."""

import dataclasses
from pathlib import Path
from typing import ClassVar

import tensorflow_datasets as tfds

from tfds_builders.clips import Clip, folder_clips, manual_root
from tfds_builders.groups import class_folders, group_of, group_source
from tfds_builders.video_dataset import VideoConfig, VideoDataset

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
    config `64x64_tutorial` takes four of them (TUTORIAL_CLASSES) and leaves the others alone.
    """

    BUILDER_CONFIGS: ClassVar = [
        *(
            Ucf50Config(name=size.name, description=size.description, height=size.height, width=size.width)
            for size in VideoDataset.BUILDER_CONFIGS
        ),
        Ucf50Config(
            name="64x64_tutorial",
            description="64x64 pixels, four classes.",
            height=64,
            width=64,
            classes=TUTORIAL_CLASSES,
        ),
    ]
    MANUAL_DOWNLOAD_INSTRUCTIONS = """
    Unpack UCF50.rar (with unrar) in the manual directory, so that the folders of the classes lie in the manual
    directory or in a folder UCF50/ in it:
      BaseballPitch/v_BaseballPitch_g01_c01.avi ...      YoYo/v_YoYo_g25_c06.avi
    """
    CITATION = """
    @article{reddy2013recognizing,
      title={Recognizing 50 human action categories of web videos},
      author={Reddy, Kishore K and Shah, Mubarak},
      journal={Machine Vision and Applications},
      year={2013}
    }"""

    def find_clips(self, dl_manager: tfds.download.DownloadManager) -> list[Clip]:
        """The clips of every class; the group in the file's name is the source, and decides the split.

        Raises:
          ValueError: if there are no clips, or none of a class that the config names.
        """
        root = manual_root(
            dl_manager,
            self.MANUAL_DOWNLOAD_INSTRUCTIONS,
            holds=lambda folder: bool(class_folders(folder)),
            names=("UCF50",),
        )
        clips = [
            clip
            for folder in self._wanted_folders(root)
            for clip in folder_clips(root, folder, folder, source=group_source)
        ]
        return [dataclasses.replace(clip, split=_split_of(clip)) for clip in clips]

    def _wanted_folders(self, root: Path) -> list[str]:
        config = self.builder_config
        assert isinstance(config, Ucf50Config)
        folders = class_folders(root)
        missing = sorted(set(config.classes or ()) - set(folders))
        if missing:
            raise ValueError(
                f"{root} holds no clips of {', '.join(missing)}, which ucf50/{config.name} is made of; it holds: "
                f"{', '.join(folders)}"
            )
        return [folder for folder in folders if config.classes is None or folder in config.classes]


def _split_of(clip: Clip) -> str:
    return "test" if group_of(clip.path) in _TEST_GROUPS else "train"
