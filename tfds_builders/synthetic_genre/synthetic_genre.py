"""Synthetic Genre: drawn films with sound, of four classes, two motions times two sounds; needs no data, no network."""

import dataclasses
import tempfile
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds

from tfds_builders.clips import Clip
from tfds_builders.video_dataset import VideoConfig, VideoDataset

_SEED = 30_000
_FPS = 12.0
_SAMPLE_RATE = 8000
CLASSES = ("sideways_falling", "sideways_rising", "upright_falling", "upright_rising")


@dataclasses.dataclass(eq=False)
class SyntheticGenreConfig(VideoConfig):
    """How films are stored, and how many are drawn.

    Attributes:
      num_films: of every class in each split, in the order train, val, test.
      seconds: the least and the greatest length of a film.
    """

    num_films: tuple[int, int, int] = (100, 15, 25)
    seconds: tuple[float, float] = (3.0, 6.0)


class SyntheticGenre(VideoDataset):
    """Films of a ball that swings sideways or up and down, while chirps rise or fall (see `drawing.py`).

    Whoever only sees, or only hears, is right half of the time. The films are written as real video files with sound,
    AVI, Matroska and MP4, and read back like any other video: store them with their sound, as in
    `64x64_4fps_40frames_8000hz`.
    """

    BUILDER_CONFIGS: ClassVar = [
        *(
            SyntheticGenreConfig(name=size.name, description=size.description, height=size.height, width=size.width)
            for size in VideoDataset.BUILDER_CONFIGS
        ),
        SyntheticGenreConfig(
            name="tiny",
            description="A few short films of 64x64 pixels, for tests.",
            height=64,
            width=64,
            num_films=(2, 1, 1),
            seconds=(1.0, 2.5),
        ),
    ]
    CLASSES = CLASSES

    def find_clips(self, dl_manager: tfds.download.DownloadManager) -> list[Clip]:
        """Draws all films and writes them as video files."""
        config = self.builder_config
        assert isinstance(config, SyntheticGenreConfig)
        splits = zip(("train", "val", "test"), config.num_films, strict=True)
        films = [(split, label) for split, count in splits for _ in range(count) for label in CLASSES]
        return [self._write_film(number, split, label, config) for number, (split, label) in enumerate(films)]

    def _write_film(self, number: int, split: str, label: str, config: SyntheticGenreConfig) -> Clip:
        # Not at the top: reading a prepared dataset needs neither PyAV nor OpenCV.
        from jaxvid.video.sound import write_video_with_sound
        from tfds_builders.synthetic_genre.drawing import draw_motion, play_sound

        # A generator of its own for each film: none depends on the others.
        rng = np.random.default_rng((_SEED, number))
        motion, sound = label.split("_")
        num_frames = round(rng.uniform(*config.seconds) * _FPS)
        # Four films, one of each class, share a container, so that it tells nothing about the class.
        extension = (".avi", ".mkv", ".mp4")[number // len(CLASSES) % 3]
        filename = f"{split}/{label}/film{number:03d}{extension}"
        path = self._drawn / filename
        path.parent.mkdir(parents=True, exist_ok=True)
        frames = draw_motion(rng, motion, num_frames, _FPS)
        played = play_sound(rng, sound, num_frames / _FPS, _SAMPLE_RATE)
        write_video_with_sound(path, frames, _FPS, played, _SAMPLE_RATE)
        return Clip(path, filename, label, source=f"film{number:03d}", split=split)

    def _download_and_prepare(self, dl_manager: Any, download_config: Any) -> None:
        # Inside the unfinished dataset, so that an interrupted build leaves nothing elsewhere.
        with tempfile.TemporaryDirectory(dir=self.data_dir) as drawn:
            self._drawn = Path(drawn)
            super()._download_and_prepare(dl_manager, download_config)
