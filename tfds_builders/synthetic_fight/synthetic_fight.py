"""Synthetic Fight: drawn clips of two classes that differ in motion alone; needs no data and no network."""

import dataclasses
from typing import ClassVar

import numpy as np
import tensorflow_datasets as tfds

from tfds_builders.synthetic import SyntheticDataset
from tfds_builders.video_config import VideoConfig, sized_configs
from tfds_builders.video_files import VideoFile

_SEED = 20_000


@dataclasses.dataclass(eq=False)
class SyntheticConfig(VideoConfig):
    """The size of the frames, and the number of scenes and frames.

    Attributes:
      num_scenes: scenes of each split, in the order train, val, test; each scene gives a clip of each class.
      num_frames: the least and the largest number of frames of a clip.
    """

    num_scenes: tuple[int, int, int] = (160, 40, 40)
    num_frames: tuple[int, int] = (32, 32)


class SyntheticFight(SyntheticDataset):
    """Two drawn figures that meet calmly or fight: the classes differ in motion alone.

    Each scene gives two clips, one of each class, that show the same frames in different orders (see `drawing.py`); the
    scene is their source. The clips are written as real video files, AVI and MP4, and decoded like any other video.
    """

    BUILDER_CONFIGS: ClassVar = [
        *sized_configs(SyntheticConfig),
        SyntheticConfig(
            name="tiny",
            description="A few short clips of 64x64 pixels, for tests.",
            height=64,
            width=64,
            num_scenes=(8, 4, 4),
            num_frames=(8, 12),
        ),
    ]
    CLASSES = ("no_fight", "fight")

    def find_clips(self, dl_manager: tfds.download.DownloadManager) -> list[VideoFile]:
        """Draws the clips of all scenes, writes them as video files and returns these."""
        config = self.builder_config
        assert isinstance(config, SyntheticConfig)
        splits = [
            split
            for split, num_scenes in zip(("train", "val", "test"), config.num_scenes, strict=True)
            for _ in range(num_scenes)
        ]
        return [
            video for scene, split in enumerate(splits) for video in self._write_scene(scene, split, config.num_frames)
        ]

    def _write_scene(self, scene: int, split: str, num_frames: tuple[int, int]) -> list[VideoFile]:
        # Not at the top: reading a prepared dataset needs neither decord nor OpenCV.
        from jaxvid.video.files import write_video
        from tfds_builders.synthetic_fight.drawing import draw_scene, playing_order

        # Each scene has its own generator, so that none depends on the others.
        rng = np.random.default_rng((_SEED, scene))
        frames = draw_scene(rng, int(rng.integers(num_frames[0], num_frames[1] + 1)))
        fps = float(rng.choice([25, 30]))
        # The container is the same for both clips of a scene, so that it does not reveal the class.
        extension = ".avi" if scene % 2 else ".mp4"
        videos = []
        for label in ("no_fight", "fight"):
            filename = f"{split}/{label}/scene{scene:03d}{extension}"
            path = self._drawn / filename
            path.parent.mkdir(parents=True, exist_ok=True)
            write_video(path, frames[playing_order(len(frames), fight=label == "fight")], fps)
            videos.append(VideoFile(path, filename, label, source=f"scene{scene:03d}", split=split))
        return videos
