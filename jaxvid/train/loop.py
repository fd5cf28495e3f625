"""The training loop, from a config to checkpoints; it reads from top to bottom."""

import contextlib
import dataclasses
from pathlib import Path
from typing import Any

import grain
import numpy as np
import orbax.checkpoint as ocp
from absl import logging
from tqdm import tqdm

from jaxvid import checkpoint, parallel
from jaxvid.config import load_config, save_config
from jaxvid.models.activations import with_functions
from jaxvid.pretrained.load import check_pretrained
from jaxvid.steps import TrainState
from jaxvid.train import feature_cache
from jaxvid.train.adaptation import (
    Evaluation,
    Progress,
    change_rows,
    describe,
    replay,
)
from jaxvid.train.early_stopping import stops_early
from jaxvid.train.logbook import Logbook, read_rows
from jaxvid.train.optimizer import check_resumed_length
from jaxvid.train.setup import Run, _with_retrained_cnn, check_config, number_of_steps, on_cached_features, set_up
from jaxvid.train.signals import Interrupted, stop_requests
from jaxvid.train.step_metrics import StepMetrics
from jaxvid.train.two_stage import DIRECTORY, frames_config
from jaxvid.types import ConfigDict


def train(config: ConfigDict, workdir: Path) -> None:
    """Trains what `config` describes, or goes on where an earlier run in `workdir` stopped.

    Where `config.retrain` asks for it, the CNN is trained on single frames first, a run of its own in `frames/`, which
    is gone on with likewise.

    Leaves in `workdir`: config.json, checkpoints/ (the best and the last), metrics.jsonl, tensorboard/, and where the
    activations are to change activation_changes.jsonl.

    Raises:
      ValueError: if the config, the dataset or the earlier run in `workdir` does not fit.
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
    if resumes:
        planned = number_of_steps(load_config(workdir).train, run.steps_per_epoch)
        check_resumed_length(run.config, planned, run.num_steps)
    workdir.mkdir(parents=True, exist_ok=True)
    if parallel.on_first_process():
        save_config(run.config, workdir)
    opened = checkpoint.open_checkpoints(workdir, config.eval.monitor, keep_all=config.checkpoint.keep_all)
    with contextlib.closing(opened) as checkpoints:
        if feature_cache.are_constant(run.config):
            last = checkpoint.restore_last(checkpoints, run.initial_state)
            run = on_cached_features(run, last[0] if last else run.initial_state, workdir)
        _loop(run, checkpoints, workdir)


@dataclasses.dataclass
class _Position:
    """What the loop needs to go on, beside the state.

    Attributes:
      evaluations: of the validation split, all so far.
      progress: what they have led to: which activations, and whether to go on.
    """

    evaluations: list[Evaluation]
    progress: Progress

    def saved(self, batches: grain.DatasetIterator) -> dict[str, Any]:
        """Ready for JSON, with the position of the batches."""
        return {
            "batches": batches.get_state(),
            "evaluations": [dataclasses.asdict(evaluation) for evaluation in self.evaluations],
        }


def _loop(run: Run, checkpoints: ocp.CheckpointManager, workdir: Path) -> None:
    config, batches = run.config, run.batches
    state, position = _restore(run, checkpoints, workdir)
    first_step = int(state.step)
    with (
        Logbook(workdir, first_step, writes=parallel.on_first_process()) as logbook,
        stop_requests() as stop_requested,
        tqdm(total=run.num_steps, initial=first_step, desc="Training", unit="step") as bar,
    ):
        recent = StepMetrics(bar, config.train.batch_size)
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
                _record_evaluation(run, position, step, metrics)
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


def _restore(run: Run, checkpoints: ocp.CheckpointManager, workdir: Path) -> tuple[TrainState, _Position]:
    """The state to begin with, fresh or from the last checkpoint; sets the position of the batches."""
    restored = checkpoint.restore_last(checkpoints, run.initial_state)
    if restored is None:
        return run.initial_state, _Position([], replay([], run.config, run.sites))
    state, saved = restored
    run.batches.set_state(saved["batches"])
    evaluations = _with_monitored([Evaluation(**evaluation) for evaluation in saved["evaluations"]], run, workdir)
    position = _Position(evaluations, replay(evaluations, run.config, run.sites))
    logging.info("Resuming after step %d", state.step)
    return _adapted(state, position.progress, checkpoints), position


def _with_monitored(evaluations: list[Evaluation], run: Run, workdir: Path) -> list[Evaluation]:
    """Adds the monitored metric, which earlier versions kept in the logbook alone."""
    logged = {row["step"]: row.get(run.config.eval.monitor) for row in read_rows(workdir) if "val_loss" in row}
    return [
        evaluation
        if evaluation.monitored is not None
        else dataclasses.replace(evaluation, monitored=logged.get(evaluation.step))
        for evaluation in evaluations
    ]


def _has_finished(run: Run, position: _Position) -> bool:
    """Whether the run ends before its last epoch."""
    monitor, patience = run.config.eval.monitor, run.config.train.early_stopping_patience
    values = [np.nan if e.monitored is None else e.monitored for e in position.evaluations]
    if stops_early(values, patience, lower_is_better=checkpoint.lower_is_better(monitor)):
        logging.info("Stopped early: %d evaluations without a better %s", patience, monitor)
        return True
    if position.progress.converged:
        logging.info("Stopped early: no change of activations is left that would lower the validation loss")
        return True
    return False


def _record_evaluation(run: Run, position: _Position, step: int, metrics: dict[str, float]) -> None:
    """After an evaluation of the state of `step`."""
    epoch, monitored = step / run.steps_per_epoch, metrics[run.config.eval.monitor]
    position.evaluations.append(Evaluation(step, epoch, metrics["val_loss"], metrics["val_accuracy"], monitored))
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


def _is_multiple(step: int, interval: int) -> bool:
    return interval > 0 and step % interval == 0
