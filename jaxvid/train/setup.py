"""What a run is made of: checks of its config, data, model, optimizer and compiled functions."""

import dataclasses
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import grain
import jax.numpy as jnp
import ml_collections
import numpy as np
import optax
import tensorflow_datasets as tfds
from absl import logging
from jaxtyping import Array, Float

from jaxvid import parallel
from jaxvid.classes import find_positive_class
from jaxvid.data.augment import check_augmentation
from jaxvid.data.dataset import ClipSplit, class_names, frame_size, open_split, prepare, shared_sources
from jaxvid.data.pipeline import require_fitting_clips, training_batches
from jaxvid.data.preprocess import check_preprocessing
from jaxvid.data.sampling import create_sampling
from jaxvid.inference import Predicted, check_views, of_videos, predict_split
from jaxvid.metrics.classification import point_values
from jaxvid.metrics.table import MONITORED, monitor_metric
from jaxvid.models.activations import activation_sites, with_functions
from jaxvid.models.clip_model import ClipModel
from jaxvid.models.create import module_from_config
from jaxvid.models.freezing import check_trainable, parameter_labels
from jaxvid.pretrained.load import load_weights
from jaxvid.steps import TrainState, create_state, initial_variables, train_step
from jaxvid.train import feature_cache
from jaxvid.train.adaptation import changing_sites, check_adaptation, initial_functions
from jaxvid.train.optimizer import check_optimizer, create_optimizer, create_schedule
from jaxvid.train.two_stage import check_sequences, with_retrained_cnn
from jaxvid.trained import compile_probabilities
from jaxvid.types import ConfigDict


@dataclasses.dataclass(frozen=True)
class Run:
    """What stays the same from the first step of a run to the last.

    Attributes:
      config: with the number of classes filled in.
      steps_per_epoch: the number of batches whose samples (clips, windows) come closest to those of the training split.
      num_steps: of the whole run.
      eval_every: steps from one evaluation to the next.
      schedule: from the number of an update to its learning rate.
      batches: of this process, endless.
      initial_state: a fresh state.
      model: created for training.
      train_split: its clips.
      val_split: its clips.
      step: `(state, batch)` -> `(state, figures)` on all devices.
      validate: state -> figures of the validation split.
      sites: the model's activation sites, with the function that each is constructed with.
    """

    config: ConfigDict
    steps_per_epoch: int
    num_steps: int
    eval_every: int
    schedule: optax.Schedule
    batches: grain.DatasetIterator
    initial_state: TrainState
    model: ClipModel
    train_split: ClipSplit
    val_split: ClipSplit
    step: Callable[..., tuple[TrainState, dict[str, Any]]]
    validate: Callable[[TrainState], dict[str, float]]
    sites: dict[str, str]


def check_config(config: ConfigDict) -> None:
    """Checks all that can be checked before data is read.

    Raises:
      ValueError: naming the key, its value and what is allowed.
    """
    create_sampling(config.clip).check()
    check_preprocessing(config.clip)
    check_augmentation(config.augment)
    check_optimizer(config.optimizer)
    check_adaptation(config)
    check_trainable(config.model)
    check_sequences(config)
    monitor_metric(config.eval.monitor)
    if config.train.class_weights not in ("none", "balanced"):
        raise ValueError(f"config.train.class_weights is {config.train.class_weights!r}; allowed: none, balanced")
    if not 0 <= config.train.label_smoothing < 1:
        raise ValueError(f"config.train.label_smoothing is {config.train.label_smoothing}; allowed: 0 to below 1")
    for section, key in (("train", "num_steps"), ("eval", "every_steps")):
        if config[section][key] < 0:
            raise ValueError(f"config.{section}.{key} is {config[section][key]}; allowed: 0 (by epochs) or more")
    for key in ("num_epochs", "log_every_steps"):
        if config.train[key] < 1:
            raise ValueError(f"config.train.{key} is {config.train[key]}; allowed: 1 or more")
    check_views(config)
    if config.eval.every_epochs < 1:
        raise ValueError(f"config.eval.every_epochs is {config.eval.every_epochs}; allowed: 1 or more")
    parallel.require_shareable("train.batch_size", config.train.batch_size)


def set_up(config: ConfigDict, *, resumes: bool = False) -> Run:
    """Data, model, optimizer and the functions of a run; nothing is compiled yet but the initialization.

    A run that `resumes` has its weights from a checkpoint: those that `config.model.pretrained` names are not read.
    """
    builder = prepare(config.dataset)
    train_split = open_split(builder, config.dataset.train_split)
    val_split = open_split(builder, config.dataset.val_split)
    _describe_data(train_split, val_split, hears=bool(config.audio.sample_rate))
    config = with_dataset_facts(config, builder, train_split)

    for split in (train_split, val_split):
        require_fitting_clips(split, config.clip)
    num_samples = int(create_sampling(config.clip).count(train_split.metadata.num_frames).sum())
    steps_per_epoch = max(1, round(num_samples / config.train.batch_size))
    num_steps = number_of_steps(config.train, steps_per_epoch)
    schedule = create_schedule(config.optimizer, num_steps)
    model = module_from_config(config.model, axis_name=parallel.AXIS_NAME)
    sites = activation_sites(model, (config.clip.num_frames, config.clip.height, config.clip.width, 3))
    changing_sites(config.activations, sites)
    variables = initial_variables(model, config.clip, config.seed)
    if config.model.pretrained and not resumes:
        variables = load_weights(model, config.model.pretrained, variables)
    if "activations" in variables:
        functions = initial_functions(config, sites)
        variables["activations"] = with_functions(variables["activations"], functions)
    labels = parameter_labels(variables["params"], config.model)
    optimizer = create_optimizer(config.optimizer, schedule, labels)
    step = partial(
        train_step,
        model=model,
        optimizer=optimizer,
        labels=labels,
        class_weights=class_weights(config.train.class_weights, train_split),
        config=ml_collections.FrozenConfigDict(config),
        axis_name=parallel.AXIS_NAME,
    )
    return Run(
        config=config,
        steps_per_epoch=steps_per_epoch,
        num_steps=num_steps,
        eval_every=config.eval.every_steps or config.eval.every_epochs * steps_per_epoch,
        schedule=schedule,
        batches=training_batches(
            train_split,
            config.clip,
            batch_size=config.train.batch_size,
            seed=config.seed,
            num_threads=config.pipeline.num_threads,
            num_workers=config.pipeline.num_workers,
            audio=config.audio,
            shard=parallel.process_shard(),
        ),
        initial_state=parallel.replicate(create_state(variables, optimizer)),
        model=model,
        train_split=train_split,
        val_split=val_split,
        step=parallel.over_devices(step),
        validate=partial(_validate, compile_probabilities(model, config), val_split, config),
        sites=sites,
    )


def number_of_steps(train: ConfigDict, steps_per_epoch: int) -> int:
    """The number of training steps of a whole run; `train` is that section of its config."""
    return train.num_steps or train.num_epochs * steps_per_epoch


def with_dataset_facts(config: ConfigDict, builder: tfds.core.DatasetBuilder, train_split: ClipSplit) -> ConfigDict:
    """A copy of the config that holds what prediction needs to know of the data: classes, and what clips are like.

    Raises:
      ValueError: if `config.model.num_classes` is neither 0, which stands for the dataset's, nor that number.
    """
    names = class_names(builder)
    if config.model.num_classes not in (0, len(names)):
        raise ValueError(
            f"config.model.num_classes is {config.model.num_classes}, but {config.dataset.name} has {len(names)} "
            f"classes ({', '.join(names)}); allowed: {len(names)}, or 0 for the dataset's"
        )
    config = config.copy_and_resolve_references()
    config.model.num_classes = len(names)
    config.dataset.class_names = tuple(names)
    config.dataset.frame_size = frame_size(builder)
    metadata = train_split.metadata
    config.dataset.clip_seconds = float(np.median(metadata.num_frames / metadata.fps))
    config.dataset.fps = float(np.median(metadata.fps))
    stored = getattr(builder.builder_config, "audio", 0)
    if config.audio.sample_rate not in (0, stored):
        raise ValueError(
            f"config.audio.sample_rate is {config.audio.sample_rate}, but {config.dataset.name} "
            + (f"stores {stored} Hz" if stored else f"stores no sound: name it ..._{config.audio.sample_rate}hz")
        )
    return config


def _with_retrained_cnn(run: Run, workdir: Path) -> Run:
    state = run.initial_state
    collections = with_retrained_cnn(state.variables, workdir, run.config)
    params = collections.pop("params")
    state = parallel.replicate(state.replace(params=params, model_state=collections))
    return dataclasses.replace(run, initial_state=state)


def class_weights(kind: str, split: ClipSplit) -> Float[Array, "classes"]:
    """Weights of the loss: ones, or ("balanced") inverse to the classes' numbers of clips, of mean 1 over them."""
    num_classes = len(split.class_names)
    if kind == "none":
        return jnp.ones(num_classes)
    counts = np.bincount(split.metadata.labels, minlength=num_classes)
    return jnp.asarray(len(split) / (num_classes * np.maximum(counts, 1)), jnp.float32)


def on_cached_features(run: Run, state: TrainState, workdir: Path) -> Run:
    """The same run with the features of its frozen backbone, as in `state`, computed now if they are not there."""
    config, variables = run.config, state.variables
    train_features, val_features = (
        feature_cache.cached_features(workdir, run.model, variables, split, config)
        for split in (run.train_split, run.val_split)
    )
    classifier = feature_cache.compile_classifier(run.model)

    def validate(state: TrainState) -> dict[str, float]:
        outputs = feature_cache.classify(classifier, state.variables, val_features, config.eval.batch_size)
        return _figures(of_videos(run.val_split, np.arange(len(outputs)), outputs), config)

    batches = feature_cache.feature_batches(
        train_features, run.train_split.metadata.labels, batch_size=config.train.batch_size, seed=config.seed
    )
    return dataclasses.replace(run, batches=batches, validate=validate)


def _validate(
    probabilities: Callable[..., Any], split: ClipSplit, config: ConfigDict, state: TrainState
) -> dict[str, float]:
    return _figures(predict_split(probabilities, state.variables, split, config), config)


def _figures(predicted: Predicted, config: ConfigDict) -> dict[str, float]:
    """Of clips, and where they have several windows, of single ones too."""
    positive_class = find_positive_class(predicted.clips.class_names, config.dataset.positive_class)
    values = point_values(predicted.clips, positive_class)
    figures = {f"val_{metric.name}": values[metric.name] for metric in MONITORED}
    if predicted.views is not None:
        of_windows = point_values(predicted.views, positive_class)
        figures |= {f"val_window_{name}": of_windows[name] for name in ("loss", "accuracy")}
    return figures


def _describe_data(train_split: ClipSplit, val_split: ClipSplit, *, hears: bool) -> None:
    for split in (train_split, val_split):
        counts = np.bincount(split.metadata.labels, minlength=len(split.class_names))
        classes = ", ".join(f"{count} {name}" for count, name in zip(counts, split.class_names, strict=True))
        logging.info(
            "%s: %d clips (%s) of %d source videos", split.name, len(split), classes, len(set(split.metadata.sources))
        )
        if silent := int((split.metadata.num_samples == 0).sum()) if hears else 0:
            logging.info("%s: %d clips without sound", split.name, silent)
    shared = shared_sources(train_split, val_split)
    if shared:
        logging.warning(
            "%d source videos, such as %s, have clips in both %s and %s: validation figures flatter",
            len(shared),
            shared[0],
            train_split.name,
            val_split.name,
        )
