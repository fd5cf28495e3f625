"""Sound of clips as a network takes it."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int16

from jaxvid.types import ConfigDict, Inputs


def num_samples(audio: ConfigDict) -> int:
    """The samples of a clip's sound, by the section `audio` of a config."""
    return round(audio.seconds * audio.sample_rate)


def sound_inputs(sounds: Sequence[Int16[np.ndarray, "_"]], audio: ConfigDict) -> Inputs:
    """`audio` and `num_samples` for a network (`jaxvid.data.pipeline.clip_inputs`), of sounds of any length."""
    padded = np.zeros((len(sounds), num_samples(audio)), np.int16)
    counts = [min(len(sound), padded.shape[1]) for sound in sounds]
    for row, sound, count in zip(padded, sounds, counts, strict=True):
        row[:count] = sound[:count]
    return {"audio": padded, "num_samples": np.asarray(counts, np.int32)}
