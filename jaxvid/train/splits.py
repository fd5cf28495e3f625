"""The splits of a run, what its config keeps of their dataset, and the weights of their classes."""

import hashlib
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from absl import logging
from jaxtyping import Array, Float

from jaxvid import processes
from jaxvid.classes import describe_positive_class
from jaxvid.data.dataset import ClipSplit, shared_sources
from jaxvid.data.differences import dataset_differences, describe_differences
from jaxvid.data.joined import PreparedData, prepare_data
from jaxvid.data.pipeline import require_fitting_clips
from jaxvid.types import ConfigDict

CLASS_WEIGHTS = ("none", "balanced")


class Splits(NamedTuple):
    """The splits that a run reads.

    Attributes:
      data: their dataset, or several.
      train: clips to train on.
      val: clips to validate on.
    """

    data: PreparedData
    train: ClipSplit
    val: ClipSplit


def open_splits(config: ConfigDict) -> Splits:
    """Opens the splits that `config` names, and logs what they hold.

    Raises:
      ValueError: if the dataset or a split does not exist, or a clip is too short for the config.
    """
    with processes.first_process_first("dataset"):
        data = prepare_data(config.dataset, config.pipeline.decoder)
    train = data.open_split(config.dataset.train_split)
    val = data.open_split(config.dataset.val_split)
    for split in (train, val):
        _log_clips(split, takes_audio=bool(config.audio.sample_rate))
        require_fitting_clips(split, config.clip)
    processes.check_alike({f"clips of {split.name}": _digest(split) for split in (train, val)})
    if shared := shared_sources(train, val):
        logging.warning(
            "%d source videos, such as %s, have clips in both %s and %s: validation metrics are too good",
            len(shared),
            shared[0],
            train.name,
            val.name,
        )
    for path in data.data_paths:
        if differences := describe_differences(dataset_differences(path)):
            logging.warning("%s", differences)
    if len(train.class_names) == 2:
        logging.info("Positive class: %s", describe_positive_class(train.class_names, config.dataset.positive_class))
    return Splits(data, train, val)


def _digest(split: ClipSplit) -> str:
    """Returns what differs where hosts have other clips, or in another order."""
    metadata = split.metadata
    clips = zip(metadata.filenames, metadata.labels.tolist(), metadata.num_frames.tolist(), strict=True)
    return hashlib.sha256(repr(list(clips)).encode()).hexdigest()[:12]


def _log_clips(split: ClipSplit, *, takes_audio: bool) -> None:
    counts = np.bincount(split.metadata.labels, minlength=len(split.class_names))
    classes = ", ".join(f"{count} {name}" for count, name in zip(counts, split.class_names, strict=True))
    num_sources = len(set(split.metadata.sources))
    logging.info("%s: %d clips (%s) of %d source videos", split.name, len(split), classes, num_sources)
    num_silent = int((split.metadata.num_samples == 0).sum())
    if takes_audio and num_silent:
        logging.info("%s: %d clips without audio", split.name, num_silent)


def with_dataset_facts(config: ConfigDict, splits: Splits) -> ConfigDict:
    """Returns a copy of the config that holds what prediction needs to know of the data: classes, size, duration, rate.

    Raises:
      ValueError: if there is only one class, `config.model.num_classes` is neither 0, which stands for the dataset's,
        nor that number, or the dataset has no audio at `config.audio.sample_rate`.
    """
    names, metadata = splits.data.class_names, splits.train.metadata
    if len(names) < 2:
        raise ValueError(f"{config.dataset.name} has the class {', '.join(names)} alone; allowed: two classes or more")
    if config.model.num_classes not in (0, len(names)):
        raise ValueError(
            f"config.model.num_classes is {config.model.num_classes}, but {config.dataset.name} has {len(names)} "
            f"classes ({', '.join(names)}); allowed: {len(names)}, or 0 for the dataset's"
        )
    stored = splits.data.sample_rate
    if config.audio.sample_rate not in (0, stored):
        raise ValueError(
            f"config.audio.sample_rate is {config.audio.sample_rate}, but {config.dataset.name} "
            + (f"stores {stored} Hz" if stored else f"stores no audio: name it ..._{config.audio.sample_rate}hz")
        )
    config = config.copy_and_resolve_references()
    config.model.num_classes = len(names)
    config.dataset.update(
        class_names=tuple(names),
        frame_size=splits.data.frame_size,
        version=splits.data.version,
        clip_seconds=float(np.median(metadata.num_frames / metadata.fps)),
        fps=float(np.median(metadata.fps)),
    )
    return config


def class_weights(kind: str, split: ClipSplit) -> Float[Array, "classes"]:
    """Returns weights of the loss: ones ("none"), or ("balanced") inverse to the classes' numbers of clips.

    Over the clips of the split, their mean is 1.
    """
    num_classes = len(split.class_names)
    if kind == "none":
        return jnp.ones(num_classes)
    counts = np.bincount(split.metadata.labels, minlength=num_classes)
    return jnp.asarray(len(split) / (num_classes * np.maximum(counts, 1)), jnp.float32)
