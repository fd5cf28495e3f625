"""What a network gets of clips: their frames after sampling and augmentation, and their sound as spectra."""

import dataclasses
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from jaxtyping import Array, Float, Int, Int16, UInt8

from jaxvid.data.audio import sound_inputs
from jaxvid.data.augment import augmented
from jaxvid.data.mixing import mixed, mixes
from jaxvid.data.preprocess import NORMALIZATIONS, preprocess
from jaxvid.data.records import Clip, decode_frames
from jaxvid.data.sampling import Sampling, create_sampling
from jaxvid.data.spectrograms import KINDS, num_spectra, spectrograms
from jaxvid.types import ConfigDict

_NUM_DRAWS = 3
# Images that are kept of a view.
_MAX_IMAGES = 8

Images = UInt8[np.ndarray, "time height width 3"]


@dataclasses.dataclass(frozen=True, eq=False)
class View:
    """Frames of a clip as a network gets them.

    Attributes:
      positions: of the frames in the clip.
      images: of the frames, as if they were not normalized; of many frames some, evenly spaced.
      shares: of the classes in the label; those of a mixed clip are several.
    """

    positions: Int[np.ndarray, "time"]
    images: UInt8[np.ndarray, "shown height width 3"]
    shares: Float[np.ndarray, "class"]


@dataclasses.dataclass(frozen=True, eq=False)
class Hearing:
    """Sound of a clip as a network gets it, at most `audio.seconds`; shorter sound is filled up with zeros.

    Attributes:
      samples: real samples; empty without sound.
      spectra: by their kind (`jaxvid.data.spectrograms.KINDS`), of the real samples.
    """

    samples: Int16[np.ndarray, "sample"]
    spectra: dict[str, Float[np.ndarray, "time band"]]


@dataclasses.dataclass(frozen=True, eq=False)
class NetworkClip:
    """What a network gets of a clip.

    Attributes:
      name: of the clip.
      label: position of its class.
      num_frames: of the clip.
      evaluation: the first view in evaluation.
      num_views: number of views in evaluation.
      training: several draws of training.
      hearing: its sound; None if the network takes none.
    """

    name: str
    label: int
    num_frames: int
    evaluation: View
    num_views: int
    training: list[View]
    hearing: Hearing | None


def network_clips(
    clips: Sequence[Clip],
    config: ConfigDict,
    num_classes: int,
    changed: Callable[[Images], Images] = lambda images: images,
) -> list[NetworkClip]:
    """Returns what the network of a config gets of clips: in evaluation, and in draws of training.

    Draws are made as in training, from `config.seed`, but are not those of any step. Clips are mixed in pairs of
    neighbors; a clip too many is paired with the first one.

    Args:
      clips: stored clips, with frames of one size.
      config: a whole config.
      num_classes: number of classes.
      changed: is applied to the stored frames before all else.

    Raises:
      ValueError: if a clip does not suit the sampling scheme, or the frames are too small for a crop.
    """
    scheme = create_sampling(config.clip)
    for clip in clips:
        if misfit := scheme.misfit(len(clip.frames)):
            raise ValueError(
                f"config.clip.num_frames is {config.clip.num_frames}; {clip.filename} has {len(clip.frames)}: {misfit}"
            )
    if not clips:
        return []
    views = [scheme.evaluate(len(clip.frames), clip.fps, config.eval.clips) for clip in clips]
    read = partial(_read, changed=changed)
    prepared = jax.jit(lambda frames: preprocess(frames, config.clip))(read(clips, [of_clip[0] for of_clip in views]))
    plain = _displayed(prepared, config.clip.normalization)
    labels = np.eye(num_classes)[[clip.label for clip in clips]]
    training = _draws(clips, labels, scheme, config, read)
    return [
        NetworkClip(
            name=clip.filename,
            label=clip.label,
            num_frames=len(clip.frames),
            evaluation=View(views[number][0], plain[number], labels[number]),
            num_views=len(views[number]),
            training=[draw[number] for draw in training],
            hearing=_hearing(clip, config.audio) if config.audio.sample_rate else None,
        )
        for number, clip in enumerate(clips)
    ]


def _read(
    clips: Sequence[Clip], positions: Sequence[Int[np.ndarray, "time"]], changed: Callable[[Images], Images]
) -> UInt8[np.ndarray, "clip time height width 3"]:
    rows = [changed(decode_frames(clip.frames, of_clip)) for clip, of_clip in zip(clips, positions, strict=True)]
    return np.stack(rows)


def _draws(
    clips: Sequence[Clip], labels: Float[np.ndarray, "clip class"], scheme: Sampling, config: ConfigDict, read: Any
) -> list[list[View]]:
    """Returns for each draw a view of every clip."""
    paired = [*clips, clips[0]] if len(clips) % 2 else clips
    targets = jnp.asarray(np.concatenate([labels, labels[:1]]) if len(clips) % 2 else labels)
    clip, augment = (ml_collections.FrozenConfigDict(section) for section in (config.clip, config.augment))

    @jax.jit
    def draw(frames: Array, key: Array) -> tuple[Array, Array]:
        augment_key, mix_key = jax.random.split(key)
        images = augmented(frames, jax.random.split(augment_key, len(paired)), clip, augment)
        if not mixes(config.augment):
            return images, targets
        return mixed(images, targets, jax.random.split(mix_key, len(paired)), augment)

    rng = np.random.default_rng(config.seed)
    draws = []
    for key in jax.random.split(jax.random.key(config.seed), _NUM_DRAWS):
        positions = [_training_frames(clip, scheme, rng) for clip in paired]
        images, shares = draw(read(paired, positions), key)
        rows = zip(positions, _displayed(images, config.clip.normalization), np.asarray(shares), strict=True)
        draws.append([View(*row) for row in rows])
    return draws


def _training_frames(clip: Clip, scheme: Sampling, rng: np.random.Generator) -> Int[np.ndarray, "time"]:
    num_samples = int(scheme.count(np.asarray([len(clip.frames)]))[0])
    return scheme.train(len(clip.frames), clip.fps, rng, int(rng.integers(num_samples)))


def _displayed(
    images: Float[Array, "clip time height width 3"], normalization: str
) -> UInt8[np.ndarray, "clip shown height width 3"]:
    """Returns normalized images as 8-bit ones; of many frames some, evenly spaced."""
    shown = np.linspace(0, images.shape[1] - 1, min(images.shape[1], _MAX_IMAGES)).round().astype(int)
    mean, std = map(np.asarray, NORMALIZATIONS[normalization])
    return np.rint(255 * (np.asarray(images)[:, shown] * std + mean).clip(0, 1)).astype(np.uint8)


def _hearing(clip: Clip, audio: ConfigDict) -> Hearing:
    """Returns the sound of a clip with the spectra of all kinds."""
    inputs = sound_inputs([clip.audio], audio)
    count = int(inputs["num_samples"][0])
    num_real = int(num_spectra(jnp.asarray(inputs["num_samples"]), audio)[0])
    if not count:
        return Hearing(clip.audio[:0], {})
    spectra = {}
    for kind in KINDS:
        of_kind = ml_collections.ConfigDict({**audio.to_dict(), "kind": kind})
        values = jax.jit(lambda sound, of_kind=of_kind: spectrograms(sound, of_kind))(inputs["audio"])
        spectra[kind] = np.asarray(values)[0, :num_real]
    return Hearing(inputs["audio"][0, :count], spectra)
