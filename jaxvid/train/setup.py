"""Set-up of a run: its data, model, optimizer and compiled functions."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import grain
import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import optax
from absl import logging
from jaxtyping import PyTree

from jaxvid import parallel
from jaxvid.data.pipeline import training_batches
from jaxvid.data.sampling import create_sampling
from jaxvid.models.activations import activation_sites, with_functions
from jaxvid.models.clip_model import ClipModel
from jaxvid.models.create import initial_variables, module_from_config
from jaxvid.models.freezing import parameter_labels
from jaxvid.pretrained.load import load_weights
from jaxvid.steps import Batch, TrainState, create_state, train_step
from jaxvid.train.adaptation import changing_sites, initial_functions
from jaxvid.train.calibration import check_threshold
from jaxvid.train.fine_tuning import names_run, weights_of_run
from jaxvid.train.optimizer import create_optimizer, create_schedule
from jaxvid.train.splits import Splits, class_weights, open_splits, with_dataset_facts
from jaxvid.train.two_stage import with_retrained_cnn
from jaxvid.train.validation import validate
from jaxvid.trained import compile_probabilities
from jaxvid.types import ConfigDict


@dataclasses.dataclass(frozen=True)
class Run:
    """Everything that stays the same from the first step of a run to the last.

    Attributes:
      config: with the facts of the dataset filled in.
      splits: the clips.
      steps_per_epoch: number of batches that comes closest to one pass over the training samples (clips, windows).
      model: created for training.
      sites: the model's activation sites, each with the function it is constructed with.
      initial_state: before the first step, on all devices.
      schedule: from the number of an update to its learning rate.
      batches: of this process, endless.
      step_of_device: `jaxvid.steps.train_step` of a state and a batch.
      step: `(state, batch)` -> `(state, metrics)`, compiled for all devices.
      validate: state -> metrics of the validation split.
      many_steps: `(state, batches)` -> `(state, stacked metrics)`, several steps in one call, compiled for all devices;
        None where a call takes one step (`jaxvid.train.resident`).
    """

    config: ConfigDict
    splits: Splits
    steps_per_epoch: int
    model: ClipModel
    sites: dict[str, str]
    initial_state: TrainState
    schedule: optax.Schedule
    batches: grain.DatasetIterator
    step_of_device: Callable[..., Any]
    # The compiled function, as `parallel.over_devices` returns it: the benchmark also lowers it.
    step: Any
    validate: Callable[[TrainState], dict[str, float]]
    many_steps: Any = None

    @property
    def num_steps(self) -> int:
        """Number of training steps of the whole run."""
        return number_of_steps(self.config.train, self.steps_per_epoch)

    @property
    def eval_every(self) -> int:
        """Number of steps from one evaluation to the next."""
        return self.config.eval.every_steps or self.config.eval.every_epochs * self.steps_per_epoch

    @property
    def steps_per_call(self) -> int:
        """Largest number of steps that a call takes."""
        return self.config.pipeline.steps_per_call if self.many_steps else 1

    def calls(self, first_step: int) -> Iterator[range]:
        """Yields the steps of every call after `first_step`: `steps_per_call` of them, or one.

        Where something may be logged, evaluated or saved, or the run ends, a call has ended too.
        """
        intervals = (self.config.train.log_every_steps, self.eval_every, self.config.checkpoint.every_steps)
        done = first_step
        while done < self.num_steps:
            left = min(self.num_steps - done, *(every - done % every for every in intervals if every))
            count = self.steps_per_call if left >= self.steps_per_call else 1
            yield range(done + 1, done + count + 1)
            done += count

    def program(self, count: int) -> Any:
        """Returns what takes so many steps in one call: `step` or `many_steps`."""
        return self.step if count == 1 else self.many_steps

    def next_batches(self, count: int) -> Batch:
        """Takes the batches of so many steps, and returns them on the devices as `program(count)` needs them."""
        if count == 1:
            return parallel.shard_rows(next(self.batches))
        return parallel.shard_steps([next(self.batches) for _ in range(count)])

    def learning_rate(self, step: int) -> float:
        """Returns the learning rate of a step, the first of which is 1."""
        return np.asarray(self.schedule((step - 1) // self.config.optimizer.accumulate_steps)).item()


def number_of_steps(train: ConfigDict, steps_per_epoch: int) -> int:
    """Returns the number of training steps of a whole run; `train` is that section of its config."""
    return train.num_steps or train.num_epochs * steps_per_epoch


def set_up(config: ConfigDict, *, resumes: bool = False, first_stage: Path | None = None) -> Run:
    """Creates a run; of its functions, only the initialization is compiled yet.

    Args:
      config: checked by `jaxvid.train.checks`.
      resumes: whether the weights are to come from a checkpoint, so that published ones are not read.
      first_stage: workdir of the finished first stage, whose CNN the model starts with.

    Raises:
      ValueError: if the config does not fit the dataset or the model.
    """
    splits = open_splits(config)
    config = with_dataset_facts(config, splits)
    check_threshold(config, splits.val.class_names, splits.val.metadata.labels)
    num_samples = int(create_sampling(config.clip).count(splits.train.metadata.num_frames).sum())
    steps_per_epoch = max(1, round(num_samples / config.train.batch_size))
    schedule = create_schedule(config.optimizer, number_of_steps(config.train, steps_per_epoch))
    model = module_from_config(config.model, axis_name=parallel.AXIS_NAME)
    sites = activation_sites(model, _clip_shape(config))
    changing_sites(config.activations, sites)
    variables, config = _first_variables(model, config, sites, resumes=resumes, first_stage=first_stage)
    labels = parameter_labels(variables["params"], config.model)
    optimizer = create_optimizer(config.optimizer, schedule, labels)
    state = create_state(variables, optimizer, averages=config.optimizer.ema_decay > 0)
    step = partial(
        train_step,
        model=model,
        optimizer=optimizer,
        labels=labels,
        class_weights=class_weights(config.train.class_weights, splits.train),
        config=ml_collections.FrozenConfigDict(config),
        axis_name=parallel.AXIS_NAME,
    )
    num_devices = _count_devices(config)
    return Run(
        config=config,
        splits=splits,
        steps_per_epoch=steps_per_epoch,
        model=model,
        sites=sites,
        initial_state=parallel.replicate(state, num_devices),
        schedule=schedule,
        batches=_frame_batches(config, splits),
        step_of_device=step,
        step=parallel.over_devices(step, num_devices),
        validate=partial(validate, compile_probabilities(model, config), splits.val, config),
    )


def _count_devices(config: ConfigDict) -> int:
    """Returns the number of devices that the run uses; logs that it does not use all."""
    batch_size, num_devices = config.train.batch_size, jax.device_count()
    used = parallel.count_sharing(batch_size)
    if used < num_devices:
        message = "Training on %d of %d devices: config.train.batch_size is %d; multiples of %d use all devices"
        logging.warning(message, used, num_devices, batch_size, num_devices)
    return used


def with_first_functions(config: ConfigDict, first: Sequence[str]) -> ConfigDict:
    """Returns the config with the functions that an earlier run leaves to the activation sites ("site=function")."""
    config = config.copy_and_resolve_references()
    config.activations.first = tuple(first)
    return config


def _first_variables(
    model: ClipModel, config: ConfigDict, sites: dict[str, str], *, resumes: bool, first_stage: Path | None
) -> tuple[dict[str, PyTree], ConfigDict]:
    """Returns random variables, with pretrained weights, a retrained CNN and the first activations where asked for.

    The config is the run's, with the functions of the sites of the earlier run that the weights are from.
    """
    variables, pretrained = initial_variables(model, _clip_shape(config), config.seed), config.model.pretrained
    if not resumes and names_run(pretrained):
        variables, functions = weights_of_run(config, variables, sites)
        config = with_first_functions(config, [f"{site}={name}" for site, name in functions.items()])
    elif not resumes and pretrained:
        variables = load_weights(model, pretrained, variables)
    if first_stage is not None:
        variables = jax.tree.map(jnp.asarray, with_retrained_cnn(variables, first_stage, config))
    if "activations" in variables:
        variables["activations"] = with_functions(variables["activations"], initial_functions(config, sites))
    return variables, config


def _clip_shape(config: ConfigDict) -> tuple[int, int, int, int]:
    return config.clip.num_frames, config.clip.height, config.clip.width, 3


def _frame_batches(config: ConfigDict, splits: Splits) -> grain.DatasetIterator:
    return training_batches(
        splits.train,
        config.clip,
        batch_size=config.train.batch_size,
        seed=config.seed,
        num_threads=config.pipeline.num_threads,
        num_workers=config.pipeline.num_workers,
        audio=config.audio,
        shard=parallel.process_shard(),
    )
