"""The sound of clips as inputs of a network. Prediction uses it too, so it must not import Grain."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int16

from jaxvid.types import ConfigDict, Inputs


def num_samples(audio: ConfigDict) -> int:
    """Returns the number of samples of a clip's sound, by the section `audio` of a config."""
    return round(audio.seconds * audio.sample_rate)


def sound_inputs(sounds: Sequence[Int16[np.ndarray, "_"]], audio: ConfigDict) -> Inputs:
    """Returns the network's inputs `audio` and `num_samples` (see `jaxvid.data.pipeline.clip_inputs`) of sounds.

    Sounds of any length are cut or padded with zeros.
    """
    padded = np.zeros((len(sounds), num_samples(audio)), np.int16)
    counts = [min(len(sound), padded.shape[1]) for sound in sounds]
    for row, sound, count in zip(padded, sounds, counts, strict=True):
        row[:count] = sound[:count]
    return {"audio": padded, "num_samples": np.asarray(counts, np.int32)}
