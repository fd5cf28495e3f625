"""The training loop, from a config to checkpoints; it reads from top to bottom."""

import contextlib
import dataclasses
import signal
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import grain
import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import optax
import orbax.checkpoint as ocp
import tensorflow_datasets as tfds
from absl import logging
from flax import linen as nn
from flax.training.early_stopping import EarlyStopping
from jax.experimental import multihost_utils
from jaxtyping import Array, Float
from tqdm import tqdm

from jaxvid import checkpoint, features, parallel
from jaxvid.adaptation import (
    Evaluation,
    Progress,
    change_rows,
    changing_sites,
    check_adaptation,
    describe,
    initial_functions,
    replay,
)
from jaxvid.config import save_config
from jaxvid.data.augment import check_preprocessing
from jaxvid.data.clips import ClipSplit, class_names, frame_size, open_split, shared_sources
from jaxvid.data.pipeline import require_fitting_clips, training_batches
from jaxvid.data.prepare import prepare
from jaxvid.data.sampling import check_sampling, windows_per_clip
from jaxvid.finetune import check_trainable, parameter_labels
from jaxvid.inference import Predicted, check_views, of_videos, predict_split
from jaxvid.logbook import Logbook
from jaxvid.metrics import point_values
from jaxvid.models import create_model
from jaxvid.models.activations import activation_sites, with_functions
from jaxvid.optimizers import check_optimizer, create_optimizer, create_schedule
from jaxvid.pretrained.load import check_pretrained, load_pretrained
from jaxvid.probabilities import compile_probabilities
from jaxvid.retraining import DIRECTORY, check_sequences, frames_config, with_retrained_cnn
from jaxvid.step_figures import StepFigures
from jaxvid.steps import TrainState, create_state, initial_variables, train_step
from jaxvid.types import ConfigDict

_MONITORED = ("loss", "accuracy", "balanced_accuracy", "macro_f1", "roc_auc")
MONITORS = tuple(f"val_{name}" for name in _MONITORED)


class Interrupted(Exception):  # noqa: N818 (nothing went wrong)
    """The run was asked to stop, has saved a checkpoint, and goes on when it is started again."""


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
    model: nn.Module
    train_split: ClipSplit
    val_split: ClipSplit
    step: Callable[..., tuple[TrainState, dict[str, Any]]]
    validate: Callable[[TrainState], dict[str, float]]
    sites: dict[str, str]


def train(config: ConfigDict, workdir: Path) -> None:
    """Trains what `config` describes, or goes on where an earlier run in `workdir` stopped.

    Where `config.retrain` asks for it, the CNN is trained on single frames first, a run of its own in `frames/`, which
    is gone on with likewise.

    Leaves in `workdir`: config.json, checkpoints/ (the best and the last), metrics.jsonl, tensorboard/, and where the
    activations are to change activation_changes.jsonl.

    Raises:
      ValueError: if the config, the data set or the earlier run in `workdir` does not fit.
      NonFiniteError: at the first step whose loss or gradient is not finite; the last good checkpoint stays.
      Interrupted: after SIGTERM or SIGINT, once the state is saved.
    """
    check_config(config)
    resumes = checkpoint.has_checkpoint(workdir)
    if not resumes:
        check_pretrained(config.model)
    retrains = config.retrain.num_steps and not resumes
    if retrains:
        train(frames_config(config), workdir / DIRECTORY)
    run = set_up(config, resumes=resumes)
    if retrains:
        run = _with_retrained_cnn(run, workdir)
    workdir.mkdir(parents=True, exist_ok=True)
    if parallel.on_first_process():
        save_config(run.config, workdir)
    opened = checkpoint.open_checkpoints(workdir, config.eval.monitor, keep_all=config.checkpoint.keep_all)
    with contextlib.closing(opened) as checkpoints:
        if features.are_constant(run.config):
            last = checkpoint.restore_last(checkpoints, run.initial_state)
            run = on_cached_features(run, last[0] if last else run.initial_state, workdir)
        _loop(run, checkpoints, workdir)


def check_config(config: ConfigDict) -> None:
    """Checks all that can be checked before data is read.

    Raises:
      ValueError: naming the key, its value and what is allowed.
    """
    check_sampling(config.clip)
    check_preprocessing(config.clip, config.augment)
    check_optimizer(config.optimizer)
    check_adaptation(config)
    check_trainable(config.model)
    check_sequences(config)
    if config.eval.monitor not in MONITORS:
        raise ValueError(f"config.eval.monitor is {config.eval.monitor!r}; allowed: {', '.join(MONITORS)}")
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
    """Data, model, optimizer and the functions of a run; nothing is compiled yet but the initialisation.

    A run that `resumes` has its weights from a checkpoint: those that `config.model.pretrained` names are not read.
    """
    builder = prepare(config.dataset)
    train_split = open_split(builder, config.dataset.train_split)
    val_split = open_split(builder, config.dataset.val_split)
    _describe_data(train_split, val_split, hears=bool(config.audio.sample_rate))
    config = with_dataset_facts(config, builder, train_split)

    for split in (train_split, val_split):
        require_fitting_clips(split, config.clip)
    num_samples = int(windows_per_clip(train_split.catalogue.num_frames, config.clip).sum())
    steps_per_epoch = max(1, round(num_samples / config.train.batch_size))
    num_steps = config.train.num_steps or config.train.num_epochs * steps_per_epoch
    schedule = create_schedule(config.optimizer, num_steps)
    model = create_model(config.model, axis_name=parallel.AXIS_NAME)
    sites = activation_sites(model, (config.clip.num_frames, config.clip.height, config.clip.width, 3))
    changing_sites(config.activations, sites)
    variables = initial_variables(model, config.clip, config.seed)
    if config.model.pretrained and not resumes:
        variables = jax.tree.map(jnp.asarray, load_pretrained(config.model, variables))
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


def with_dataset_facts(config: ConfigDict, builder: tfds.core.DatasetBuilder, train_split: ClipSplit) -> ConfigDict:
    """A copy of the config that holds what prediction needs to know of the data: classes, and what clips are like.

    Raises:
      ValueError: if `config.model.num_classes` is neither 0, which stands for the data set's, nor that number.
    """
    names = class_names(builder)
    if config.model.num_classes not in (0, len(names)):
        raise ValueError(
            f"config.model.num_classes is {config.model.num_classes}, but {config.dataset.name} has {len(names)} "
            f"classes ({', '.join(names)}); allowed: {len(names)}, or 0 for the data set's"
        )
    config = config.copy_and_resolve_references()
    config.model.num_classes = len(names)
    config.dataset.class_names = tuple(names)
    config.dataset.frame_size = frame_size(builder)
    catalogue = train_split.catalogue
    config.dataset.clip_seconds = float(np.median(catalogue.num_frames / catalogue.fps))
    config.dataset.fps = float(np.median(catalogue.fps))
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
    counts = np.bincount(split.catalogue.labels, minlength=num_classes)
    return jnp.asarray(len(split) / (num_classes * np.maximum(counts, 1)), jnp.float32)


@dataclasses.dataclass
class _Position:
    """What the loop needs to go on, beside the state.

    Attributes:
      stopping: early stopping.
      evaluations: of the validation split, all so far.
      progress: what they have led to: which activations, and whether to go on.
    """

    stopping: EarlyStopping
    evaluations: list[Evaluation]
    progress: Progress

    def saved(self, batches: grain.DatasetIterator) -> dict[str, Any]:
        """Ready for JSON, with the position of the batches."""
        stopping = {key: getattr(self.stopping, key) for key in ("best_metric", "patience_count", "should_stop")}
        return {
            "batches": batches.get_state(),
            "stopping": stopping,
            "evaluations": [dataclasses.asdict(evaluation) for evaluation in self.evaluations],
        }


def _loop(run: Run, checkpoints: ocp.CheckpointManager, workdir: Path) -> None:
    config, batches = run.config, run.batches
    state, position = _restore(run, checkpoints)
    first_step = int(state.step)
    with (
        Logbook(workdir, first_step, writes=parallel.on_first_process()) as logbook,
        stop_requests() as stop_requested,
        tqdm(total=run.num_steps, initial=first_step, desc="Training", unit="step") as bar,
    ):
        recent = StepFigures(bar, config.train.batch_size)
        for step in range(first_step + 1, run.num_steps + 1):
            if _has_finished(run, position):
                break
            state, figures = run.step(state, parallel.shard_rows(next(batches)))
            recent.add(step, figures)
            if step % config.train.log_every_steps == 0:
                rate = np.asarray(run.schedule((step - 1) // config.optimizer.accumulate_steps))
                logbook.write(
                    step, {"epoch": step / run.steps_per_epoch, "learning_rate": rate.item(), **recent.means()}
                )

            metrics = None
            if step % run.eval_every == 0 or step == run.num_steps:
                with recent.paused():
                    metrics = run.validate(state)
                _take_note(run, position, step, metrics)
                logbook.write(step, {"epoch": step / run.steps_per_epoch, **metrics})
            stop = stop_requested(step)
            if metrics or stop or _is_multiple(step, config.checkpoint.every_steps):
                recent.require_finite()
                # What is saved after an evaluation is what was evaluated: activations change afterwards.
                checkpoint.save(checkpoints, state, loop=position.saved(batches), metrics=metrics)
            if metrics:
                state = _adapted(state, position.progress, checkpoints)
                if config.activations.policy != "fixed":
                    logbook.write_changes(step, change_rows(position.evaluations, position.progress))
            if stop and step < run.num_steps:
                raise Interrupted(f"saved step {step} of {run.num_steps} in {workdir}; the same command goes on")


def _restore(run: Run, checkpoints: ocp.CheckpointManager) -> tuple[TrainState, _Position]:
    """The state to begin with, fresh or from the last checkpoint; sets the position of the batches."""
    stopping = EarlyStopping(patience=run.config.train.early_stopping_patience)
    position = _Position(stopping, [], replay([], run.config, run.sites))
    restored = checkpoint.restore_last(checkpoints, run.initial_state)
    if restored is None:
        return run.initial_state, position
    state, saved = restored
    run.batches.set_state(saved["batches"])
    evaluations = [Evaluation(**evaluation) for evaluation in saved["evaluations"]]
    progress = replay(evaluations, run.config, run.sites)
    logging.info("Going on after step %d", state.step)
    position = _Position(stopping.replace(**saved["stopping"]), evaluations, progress)
    return _adapted(state, progress, checkpoints), position


def _has_finished(run: Run, position: _Position) -> bool:
    """Whether the run ends before its last epoch."""
    if position.stopping.should_stop:
        logging.info("Stopped early: %s no longer improves", run.config.eval.monitor)
        return True
    if position.progress.converged:
        logging.info("Stopped early: no change of activations is left that would lower the validation loss")
        return True
    return False


def _take_note(run: Run, position: _Position, step: int, metrics: dict[str, float]) -> None:
    """After an evaluation of the state of `step`."""
    position.stopping = _update(position.stopping, metrics[run.config.eval.monitor], run.config)
    epoch = step / run.steps_per_epoch
    position.evaluations.append(Evaluation(step, epoch, metrics["val_loss"], metrics["val_accuracy"]))
    position.progress = replay(position.evaluations, run.config, run.sites)


def _adapted(state: TrainState, progress: Progress, checkpoints: ocp.CheckpointManager) -> TrainState:
    """The state to go on with after the last evaluation: another one if it is of this step and changes activations.

    Where weights come back, the optimizer's state and the number of the step stay, and with them the learning rate.
    """
    change = progress.changes[-1] if progress.changes else None
    if change is None or change.evaluation.step != int(state.step):
        return state
    logging.info("Epoch %g, %s: activations %s", change.evaluation.epoch, change.reason, describe(change.after))
    variables = state.variables
    if change.returns_to_best:
        checkpoints.wait_until_finished()
        variables = checkpoint.restore_variables(checkpoints, checkpoint.resolve_step(checkpoints, "best"))
    collections = {**variables, "activations": with_functions(variables["activations"], change.after)}
    params = collections.pop("params")
    return parallel.replicate(state.replace(params=params, model_state=collections))


def on_cached_features(run: Run, state: TrainState, workdir: Path) -> Run:
    """The same run with the features of its frozen backbone, as in `state`, computed now if they are not there."""
    config, variables = run.config, state.variables
    train_features, val_features = (
        features.cached_features(workdir, run.model, variables, split, config)
        for split in (run.train_split, run.val_split)
    )
    classifier = features.compile_classifier(run.model)

    def validate(state: TrainState) -> dict[str, float]:
        outputs = features.classify(classifier, state.variables, val_features, config.eval.batch_size)
        return _figures(of_videos(run.val_split, np.arange(len(outputs)), outputs))

    batches = features.feature_batches(
        train_features, run.train_split.catalogue.labels, batch_size=config.train.batch_size, seed=config.seed
    )
    return dataclasses.replace(run, batches=batches, validate=validate)


def _validate(
    probabilities: Callable[..., Any], split: ClipSplit, config: ConfigDict, state: TrainState
) -> dict[str, float]:
    return _figures(predict_split(probabilities, state.variables, split, config))


def _figures(predicted: Predicted) -> dict[str, float]:
    """Of clips, and where they have several windows, of single ones too."""
    values = point_values(predicted.clips)
    figures = {f"val_{name}": float(values[name]) for name in _MONITORED}
    if predicted.views is not None:
        of_windows = point_values(predicted.views)
        figures |= {f"val_window_{name}": float(of_windows[name]) for name in ("loss", "accuracy")}
    return figures


def _update(stopping: EarlyStopping, value: float, config: ConfigDict) -> EarlyStopping:
    """After one more evaluation; EarlyStopping itself wants lower values."""
    updated = stopping.update(value if checkpoint.lower_is_better(config.eval.monitor) else -value)
    return updated if config.train.early_stopping_patience else updated.replace(should_stop=False)


def _is_multiple(step: int, interval: int) -> bool:
    return interval > 0 and step % interval == 0


@contextlib.contextmanager
def stop_requests() -> Iterator[Callable[[int], bool]]:
    """Turns SIGTERM and SIGINT into an answer: whether to stop after the step of that number.

    A second signal acts as it would have without this. With several processes, all give the same answer at the same
    step, after a SIGTERM to any of them.
    """
    received: list[int] = []
    previous: dict[int, Any] = {}

    def note(number: int, _frame: object) -> None:
        received.append(number)
        signal.signal(number, previous[number])
        logging.warning("Received signal %d: saving and stopping", number)

    def requested(step: int) -> bool:
        if jax.process_count() > 1:
            return multihost_utils.reached_preemption_sync_point(step)
        return bool(received)

    # With several processes, JAX itself listens for SIGTERM and tells the others.
    listened = [signal.SIGINT, signal.SIGTERM] if jax.process_count() == 1 else []
    previous.update({number: signal.signal(number, note) for number in listened})
    try:
        yield requested
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _describe_data(train_split: ClipSplit, val_split: ClipSplit, *, hears: bool) -> None:
    for split in (train_split, val_split):
        counts = np.bincount(split.catalogue.labels, minlength=len(split.class_names))
        classes = ", ".join(f"{count} {name}" for count, name in zip(counts, split.class_names, strict=True))
        logging.info(
            "%s: %d clips (%s) of %d source videos", split.name, len(split), classes, len(set(split.catalogue.sources))
        )
        if silent := int((split.catalogue.num_samples == 0).sum()) if hears else 0:
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
