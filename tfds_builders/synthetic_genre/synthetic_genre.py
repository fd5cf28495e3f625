"""Synthetic Genre: drawn videos with sound, of four classes: two motions times two sounds; needs no data or network."""

import dataclasses
from typing import ClassVar

import numpy as np
import tensorflow_datasets as tfds

from tfds_builders.synthetic import SyntheticDataset
from tfds_builders.video_config import VideoConfig, sized_configs
from tfds_builders.video_files import VideoFile

_SEED = 30_000
_FPS = 12.0
_SAMPLE_RATE = 8000
CLASSES = ("sideways_falling", "sideways_rising", "upright_falling", "upright_rising")


@dataclasses.dataclass(eq=False)
class SyntheticGenreConfig(VideoConfig):
    """How videos are stored, and how many are drawn.

    Attributes:
      num_films: number of videos of every class in each split, in the order train, val, test.
      seconds: the least and the greatest length of a video.
    """

    num_films: tuple[int, int, int] = (100, 15, 25)
    seconds: tuple[float, float] = (3.0, 6.0)


class SyntheticGenre(SyntheticDataset):
    """A ball swings sideways or up and down, while chirps rise or fall (see `drawing.py`).

    Frames alone, or sound alone, allow an accuracy of one half. The videos are written as real files with sound, AVI,
    Matroska and MP4, and decoded like any other video: store them with their sound, as in `64x64_4fps_40frames_8000hz`.
    """

    BUILDER_CONFIGS: ClassVar = [
        *sized_configs(SyntheticGenreConfig),
        SyntheticGenreConfig(
            name="tiny",
            description="A few short videos of 64x64 pixels, for tests.",
            height=64,
            width=64,
            num_films=(2, 1, 1),
            seconds=(1.0, 2.5),
        ),
    ]
    CLASSES = CLASSES

    def find_clips(self, dl_manager: tfds.download.DownloadManager) -> list[VideoFile]:
        """Draws all videos, writes them as files and returns these."""
        config = self.builder_config
        assert isinstance(config, SyntheticGenreConfig)
        splits = zip(("train", "val", "test"), config.num_films, strict=True)
        films = [(split, label) for split, count in splits for _ in range(count) for label in CLASSES]
        return [self._write_film(number, split, label, config) for number, (split, label) in enumerate(films)]

    def _write_film(self, number: int, split: str, label: str, config: SyntheticGenreConfig) -> VideoFile:
        # Not at the top: reading a prepared dataset needs neither PyAV nor OpenCV.
        from jaxvid.video.sound import write_video_with_sound
        from tfds_builders.synthetic_genre.drawing import draw_motion, play_sound

        # Each video has its own generator, so that none depends on the others.
        rng = np.random.default_rng((_SEED, number))
        motion, sound = label.split("_")
        num_frames = round(rng.uniform(*config.seconds) * _FPS)
        # Four videos, one of each class, share a container, so that it does not reveal the class.
        extension = (".avi", ".mkv", ".mp4")[number // len(CLASSES) % 3]
        filename = f"{split}/{label}/film{number:03d}{extension}"
        path = self._drawn / filename
        path.parent.mkdir(parents=True, exist_ok=True)
        frames = draw_motion(rng, motion, num_frames, _FPS)
        sound_samples = play_sound(rng, sound, num_frames / _FPS, _SAMPLE_RATE)
        write_video_with_sound(path, frames, _FPS, sound_samples, _SAMPLE_RATE)
        return VideoFile(path, filename, label, source=f"film{number:03d}", split=split)
