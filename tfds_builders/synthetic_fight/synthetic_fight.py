"""Synthetic Fight: drawn clips of two classes that differ in motion alone; needs no data and no network."""

import dataclasses
import tempfile
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds

from tfds_builders.clips import Clip
from tfds_builders.video_dataset import VideoConfig, VideoDataset

_SEED = 20_000


@dataclasses.dataclass(eq=False)
class SyntheticConfig(VideoConfig):
    """The size of the frames, and how much is drawn.

    Attributes:
      num_scenes: scenes of each split, in the order train, val, test; each scene gives a clip of each class.
      num_frames: the least and the largest number of frames of a clip.
    """

    num_scenes: tuple[int, int, int] = (160, 40, 40)
    num_frames: tuple[int, int] = (32, 32)


class SyntheticFight(VideoDataset):
    """Two drawn figures that meet calmly or fight, told apart by their motion alone.

    Each scene gives two clips, one of each class, that show the same frames in different orders (see `drawing.py`); the
    scene is their source. The clips are written as real video files, AVI and MP4, and read back like any other video.
    """

    BUILDER_CONFIGS: ClassVar = [
        *(
            SyntheticConfig(name=size.name, description=size.description, height=size.height, width=size.width)
            for size in VideoDataset.BUILDER_CONFIGS
        ),
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

    def find_clips(self, dl_manager: tfds.download.DownloadManager) -> list[Clip]:
        """Draws the clips of all scenes and writes them as video files."""
        config = self.builder_config
        assert isinstance(config, SyntheticConfig)
        splits = [
            split
            for split, num_scenes in zip(("train", "val", "test"), config.num_scenes, strict=True)
            for _ in range(num_scenes)
        ]
        return [
            clip for scene, split in enumerate(splits) for clip in self._write_scene(scene, split, config.num_frames)
        ]

    def _write_scene(self, scene: int, split: str, num_frames: tuple[int, int]) -> list[Clip]:
        # Not at the top: reading a prepared dataset needs neither decord nor OpenCV.
        from jaxvid.video.files import write_video
        from tfds_builders.synthetic_fight.drawing import draw_scene, playing_order

        # A generator of its own for each scene: no scene depends on the others.
        rng = np.random.default_rng((_SEED, scene))
        frames = draw_scene(rng, int(rng.integers(num_frames[0], num_frames[1] + 1)))
        fps = float(rng.choice([25, 30]))
        # The container is the same for both clips of a scene, so that it tells nothing about the class.
        extension = ".avi" if scene % 2 else ".mp4"
        clips = []
        for label in ("no_fight", "fight"):
            filename = f"{split}/{label}/scene{scene:03d}{extension}"
            path = self._drawn / filename
            path.parent.mkdir(parents=True, exist_ok=True)
            write_video(path, frames[playing_order(len(frames), fight=label == "fight")], fps)
            clips.append(Clip(path, filename, label, source=f"scene{scene:03d}", split=split))
        return clips

    def _download_and_prepare(self, dl_manager: Any, download_config: Any) -> None:
        # Inside the unfinished dataset, so that an interrupted build leaves nothing elsewhere.
        with tempfile.TemporaryDirectory(dir=self.data_dir) as drawn:
            self._drawn = Path(drawn)
            super()._download_and_prepare(dl_manager, download_config)
