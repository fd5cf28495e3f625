"""Checks of the sections of a config that say what a network gets of a clip."""

from jaxvid.data.augment import check_augmentation
from jaxvid.data.preprocess import check_preprocessing
from jaxvid.data.sampling import create_sampling
from jaxvid.data.spectrograms import check_audio
from jaxvid.types import ConfigDict


def check_inputs(config: ConfigDict) -> None:
    """Checks the sections of a config that say what a network gets.

    Raises:
      ValueError: naming the key, its value and what is allowed.
    """
    create_sampling(config.clip).check()
    check_preprocessing(config.clip)
    check_augmentation(config.augment)
    check_audio(config.audio)
