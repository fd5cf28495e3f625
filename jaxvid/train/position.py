"""The position of a run between two steps, apart from its state: saved in every checkpoint, restored on resume."""

import dataclasses
from pathlib import Path
from typing import Any

import grain
import numpy as np
from absl import logging

from jaxvid import checkpoint, parallel
from jaxvid.checkpoint import Checkpoints
from jaxvid.models.activations import with_functions
from jaxvid.steps import TrainState
from jaxvid.train.adaptation import Evaluation, Progress, describe, replay
from jaxvid.train.early_stopping import stops_early
from jaxvid.train.logbook import read_rows
from jaxvid.train.setup import Run


@dataclasses.dataclass
class Position:
    """The history of a run and what follows from it.

    Attributes:
      evaluations: of the validation split, all so far.
      progress: the activations that they have led to.
      batches: saved position of the batches at which the run resumes; None at its beginning.
    """

    evaluations: list[Evaluation]
    progress: Progress
    batches: dict[str, Any] | None = None

    def record_evaluation(self, run: Run, step: int, metrics: dict[str, float]) -> None:
        """Adds an evaluation of the state after `step`."""
        epoch, monitored = step / run.steps_per_epoch, metrics[run.config.eval.monitor]
        self.evaluations.append(Evaluation(step, epoch, metrics["val_loss"], metrics["val_accuracy"], monitored))
        self.progress = replay(self.evaluations, run.config, run.sites)

    def reason_to_stop(self, run: Run) -> str | None:
        """Returns why the run ends before its last step; None if it continues."""
        monitor, patience = run.config.eval.monitor, run.config.train.early_stopping_patience
        values = [np.nan if e.monitored is None else e.monitored for e in self.evaluations]
        if stops_early(values, patience, lower_is_better=checkpoint.lower_is_better(monitor)):
            return f"no better {monitor} in the last {patience} evaluations"
        if self.progress.converged:
            return "the policy has no further change of activations"
        return None

    def to_json(self, batches: grain.DatasetIterator) -> dict[str, Any]:
        """Returns the part of a checkpoint from which `restore` makes this position."""
        return {
            "batches": batches.get_state(),
            "evaluations": [dataclasses.asdict(evaluation) for evaluation in self.evaluations],
        }


def restore(run: Run, checkpoints: Checkpoints, workdir: Path) -> tuple[TrainState, Position]:
    """Returns the state and the position of the last checkpoint, or those of a new run if there is none."""
    restored = checkpoint.restore_last(checkpoints, run.initial_state)
    if restored is None:
        return run.initial_state, Position([], replay([], run.config, run.sites))
    state, saved = restored
    evaluations = _with_monitored([Evaluation(**evaluation) for evaluation in saved["evaluations"]], run, workdir)
    position = Position(evaluations, replay(evaluations, run.config, run.sites), saved["batches"])
    logging.info("Resuming after step %d", state.step)
    return with_changed_activations(state, position.progress, checkpoints), position


def _with_monitored(evaluations: list[Evaluation], run: Run, workdir: Path) -> list[Evaluation]:
    """Adds the monitored metric where a checkpoint lacks it: earlier versions wrote it to the logbook alone."""
    logged = {row["step"]: row.get(run.config.eval.monitor) for row in read_rows(workdir) if "val_loss" in row}
    return [
        evaluation
        if evaluation.monitored is not None
        else dataclasses.replace(evaluation, monitored=logged.get(evaluation.step))
        for evaluation in evaluations
    ]


def with_changed_activations(state: TrainState, progress: Progress, checkpoints: Checkpoints) -> TrainState:
    """Returns the state to continue with: other activations if the evaluation of this step has changed them.

    Where the best weights are restored too, the optimizer's state and the step stay, and with them the learning rate.
    """
    change = progress.changes[-1] if progress.changes else None
    if change is None or change.evaluation.step != int(state.step):
        return state
    logging.info("Epoch %g, %s: activations %s", change.evaluation.epoch, change.reason, describe(change.after))
    num_devices = len(state.step.devices())
    if change.returns_to_best:
        checkpoints.wait_until_finished()
        best = checkpoint.resolve_step(checkpoints, "best")
        state = state.replace(**checkpoint.restore_weights(checkpoints, best))
    activations = with_functions(state.model_state["activations"], change.after)
    return parallel.replicate(state.replace(model_state={**state.model_state, "activations": activations}), num_devices)
