"""The training loop: from a config to checkpoints, read from top to bottom."""

import contextlib
from pathlib import Path

from absl import logging
from tqdm import tqdm

from jaxvid import checkpoint, parallel, processes
from jaxvid.calibration import forget_calibrations
from jaxvid.checkpoint import Checkpoints
from jaxvid.config import load_config, save_config
from jaxvid.files import only_process
from jaxvid.steps import TrainState
from jaxvid.train import feature_cache, two_stage
from jaxvid.train.adaptation import change_rows
from jaxvid.train.calibration import calibrate
from jaxvid.train.checks import check_config
from jaxvid.train.fine_tuning import check_pretrained
from jaxvid.train.logbook import Logbook
from jaxvid.train.optimizer import check_resumed_length
from jaxvid.train.position import Position, restore, with_changed_activations
from jaxvid.train.resident import with_resident_frames
from jaxvid.train.sessions import Session
from jaxvid.train.setup import Run, number_of_steps, set_up, with_first_functions
from jaxvid.train.signals import Interrupted, stop_requests
from jaxvid.train.step_metrics import StepMetrics
from jaxvid.types import ConfigDict

# Logged when a step is compiled and computed, or several in one call; the benchmark waits for it.
FIRST_STEP_DONE = "The first step is done"


def train(config: ConfigDict, workdir: Path, command: str = "") -> None:
    """Trains the model that `config` describes, or resumes the run in `workdir`.

    Where `config.retrain` asks for it, the CNN is trained on single frames first: a separate run in `frames/`, resumed
    the same way.

    Leaves in `workdir`: config.json, checkpoints/ (the best and the last), metrics.jsonl, sessions.jsonl (`command`,
    time and hardware), tensorboard/, activation_changes.jsonl if a policy changes the activations, and calibration.json
    if `config.eval` asks for a temperature or a threshold: both are chosen for the best checkpoint, at the end.

    Raises:
      ValueError: if the config, the dataset or the earlier run in `workdir` does not fit, or another process trains
        there.
      NonFiniteError: at the first step whose loss or gradient is not finite; the last good checkpoint stays.
      Interrupted: after SIGTERM or SIGINT, once the state is saved.

    Where there are other processes, one that fails in the loop does not raise: it ends (`processes.ending_together`).
    """
    processes.check_same_run(config)
    check_config(config)
    processes.check_shared(workdir)
    resumes = checkpoint.has_checkpoint(workdir)
    if resumes:
        config = with_first_functions(config, load_config(workdir).activations.first)
    else:
        check_pretrained(config.model)
    first_stage = workdir / two_stage.DIRECTORY if config.retrain.num_steps and not resumes else None
    if first_stage:
        train(two_stage.frames_config(config), first_stage, command)
    run = set_up(config, resumes=resumes, first_stage=first_stage)
    if resumes:
        planned = number_of_steps(load_config(workdir).train, run.steps_per_epoch)
        check_resumed_length(run.config, planned, run.num_steps)
    workdir.mkdir(parents=True, exist_ok=True)
    # Two runs would each remove the checkpoints that the other is writing.
    with contextlib.ExitStack() as alone:
        if parallel.on_first_process():
            alone.enter_context(only_process(workdir))
            if checkpoint.has_checkpoint(workdir) != resumes:
                raise ValueError(f"another process has trained in {workdir} meanwhile; run the same command again")
            save_config(run.config, workdir)
            if not resumes:
                forget_calibrations(workdir)
        session = Session(workdir, command, first_stage=first_stage, writes=parallel.on_first_process())
        opened = checkpoint.open_checkpoints(workdir, config.eval.monitor, keep_all=config.checkpoint.keep_all)
        # Closed checkpoints are whole, for which every process waits for the others: one that fails must not.
        with contextlib.closing(opened) as checkpoints, processes.ending_together(Interrupted):
            state, position = restore(run, checkpoints, workdir)
            if feature_cache.are_cached(run.config):
                run = feature_cache.on_cached_features(run, state.variables, workdir)
            else:
                run = with_resident_frames(run)
            if position.batches is not None:
                run.batches.set_state(position.batches)
            _loop(run, state, position, checkpoints, workdir, session)
        calibrate(workdir)


def _loop(
    run: Run, state: TrainState, position: Position, checkpoints: Checkpoints, workdir: Path, session: Session
) -> None:
    """Trains from `state` to the last step, or until the run stops early."""
    config, first_step = run.config, int(state.step)
    with (
        Logbook(workdir, first_step, writes=parallel.on_first_process()) as logbook,
        stop_requests() as stop_requested,
        tqdm(total=run.num_steps, initial=first_step, desc="Training", unit="step") as bar,
    ):
        recent = StepMetrics(bar, config.train.batch_size)
        for steps in run.calls(first_step):
            if reason := position.reason_to_stop(run):
                logging.info("Stopped early: %s", reason)
                break
            state, metrics = run.program(len(steps))(state, run.next_batches(len(steps)))
            step = steps[-1]
            epoch = step / run.steps_per_epoch
            recent.add(step, metrics)
            if steps[0] == first_step + 1:
                recent.require_finite()
                logging.info(FIRST_STEP_DONE)
            if step % config.train.log_every_steps == 0:
                logbook.write(step, {"epoch": epoch, "learning_rate": run.learning_rate(step), **recent.means()})

            validation = None
            if step % run.eval_every == 0 or step == run.num_steps:
                with recent.paused():
                    validation = run.validate(state)
                position.record_evaluation(run, step, validation)
                logbook.write(step, {"epoch": epoch, **validation})
            stop = stop_requested()
            if validation or stop or _is_multiple(step, config.checkpoint.every_steps):
                recent.require_finite()
                # A checkpoint after an evaluation holds the state that was evaluated: activations change afterwards.
                checkpoint.save(checkpoints, state, loop=position.to_json(run.batches), metrics=validation)
                session.save(step)
            if validation:
                state = with_changed_activations(state, position.progress, checkpoints)
                if config.activations.policy != "fixed":
                    logbook.write_changes(step, change_rows(position.evaluations, position.progress))
            if stop and step < run.num_steps:
                raise Interrupted(
                    f"saved step {step} of {run.num_steps} in {workdir}; run the same command again to resume"
                )


def _is_multiple(step: int, interval: int) -> bool:
    return interval > 0 and step % interval == 0
