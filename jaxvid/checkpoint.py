"""Checkpoints: every Orbax call.

A checkpoint holds the training state, the position of the data iterator and the progress of the loop. The best one by
the monitored metric and the last are kept, or all.
"""

import contextlib
import dataclasses
import os
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp
from jaxtyping import PyTree
from orbax.checkpoint import checkpoint_managers

from jaxvid.metrics.table import monitor_metric
from jaxvid.parallel import local_sharding
from jaxvid.steps import TrainState

# The checkpoints of a run, opened; only this module imports Orbax.
Checkpoints = ocp.CheckpointManager

DIRECTORY = "checkpoints"

# How long a checkpoint may take to be written, as Orbax counts it: by the wall clock, which may be put forward by hours
# meanwhile, as on a machine that wakes. Of several processes, which wait for one another, it is Orbax's 20 minutes.
_LONGEST_SAVE_SECONDS = 30 * 24 * 3600


def lower_is_better(monitor: str) -> bool:
    """Returns whether training should lower the metric called `monitor`."""
    return monitor_metric(monitor).lower_is_better


def open_checkpoints(workdir: Path, monitor: str, *, keep_all: bool = False, reads_only: bool = False) -> Checkpoints:
    """Opens the checkpoints of a run; they are saved in the background until `close`.

    Unless it `reads_only`, it removes what a killed run has left unfinished: no other process may be training there.
    """
    best = checkpoint_managers.BestN(
        get_metric_fn=lambda metrics: metrics[monitor],
        reverse=lower_is_better(monitor),
        n=1,
        keep_checkpoints_without_metrics=False,
    )
    policy = checkpoint_managers.AnyPreservationPolicy([checkpoint_managers.LatestN(n=None if keep_all else 1), best])
    return ocp.CheckpointManager(
        os.path.abspath(workdir / DIRECTORY),
        options=ocp.CheckpointManagerOptions(
            preservation_policy=policy,
            cleanup_tmp_directories=not reads_only,
            async_options=None if jax.process_count() > 1 else ocp.AsyncOptions(timeout_secs=_LONGEST_SAVE_SECONDS),
            best_fn=lambda metrics: metrics[monitor],
            best_mode="min" if lower_is_better(monitor) else "max",
        ),
        item_handlers={"state": ocp.PyTreeCheckpointHandler(), "loop": ocp.JsonCheckpointHandler()},
    )


def has_checkpoint(workdir: Path) -> bool:
    """Returns whether a run in `workdir` has saved a checkpoint; creates nothing."""
    directory = workdir / DIRECTORY
    # Those that are not complete have other names.
    return directory.is_dir() and any(path.name.isdigit() for path in directory.iterdir())


def save(
    checkpoints: Checkpoints,
    state: TrainState,
    *,
    loop: dict[str, Any],
    metrics: dict[str, float] | None = None,
) -> None:
    """Saves a checkpoint under the state's step, unless there is one.

    Args:
      checkpoints: of the run.
      state: as it comes out of a step.
      loop: JSON-ready, what the loop needs to go on, the data iterator's position included.
      metrics: of the evaluation of this state; one saved without them is never the best.
    """
    step = int(state.step)
    if step in checkpoints.all_steps():
        return
    items = ocp.args.Composite(state=ocp.args.PyTreeSave(_fields(state)), loop=ocp.args.JsonSave(loop))
    checkpoints.save(step, args=items, metrics=metrics, force=True)


def restore_last(checkpoints: Checkpoints, like: TrainState) -> tuple[TrainState, dict[str, Any]] | None:
    """Returns the last state and what the loop needs to resume, or None if there is no checkpoint."""
    step = checkpoints.latest_step()
    if step is None:
        return None
    items = ocp.args.Composite(state=_restore_as(_fields(like)), loop=ocp.args.JsonRestore())
    restored = checkpoints.restore(step, args=items)
    return like.replace(**restored["state"]), restored["loop"]


def _fields(state: TrainState) -> dict[str, PyTree]:
    """Returns the fields of a state, without an average that it does not have: earlier versions saved none."""
    fields = {field.name: getattr(state, field.name) for field in dataclasses.fields(state)}
    return {name: value for name, value in fields.items() if value is not None}


def resolve_step(checkpoints: Checkpoints, which: str) -> int:
    """Finds the step of the checkpoint called `which`: "best", "last" or a number.

    Raises:
      ValueError: if there is no such checkpoint, naming those that are there.
    """
    steps = sorted(checkpoints.all_steps())
    if not steps:
        raise ValueError(f"{checkpoints.directory} holds no checkpoint yet; train first")
    if which == "last":
        return steps[-1]
    if which == "best":
        best = checkpoints.best_step()
        return steps[-1] if best is None else best
    if not which.isdigit() or int(which) not in steps:
        raise ValueError(f"there is no checkpoint {which!r}; allowed: best, last, {', '.join(map(str, steps))}")
    return int(which)


def restore_variables(checkpoints: Checkpoints, step: int) -> dict[str, PyTree]:
    """Returns the variables of the checkpoint at `step`, for `model.apply`, on the devices of this process.

    They are those that were evaluated: of a run with a moving average of its weights, that one.
    """
    weights = restore_weights(checkpoints, step)
    return {"params": weights["params"], **weights["model_state"], **(weights["average"] or {})}


def restore_weights(checkpoints: Checkpoints, step: int) -> dict[str, PyTree]:
    """Returns `params`, `model_state` and `average` of the state at `step`, on the devices of this process."""
    sharding = local_sharding()
    saved = checkpoints.item_metadata(step)["state"]
    wanted = {name: saved[name] for name in ("params", "model_state", "average") if name in saved}
    wanted = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding), wanted)
    items = ocp.args.Composite(state=_restore_as(wanted, partial_restore=True))
    return {"average": None, **checkpoints.restore(step, args=items)["state"]}


def find_step(workdir: Path, monitor: str, which: str) -> int:
    """Returns the step of the checkpoint called `which` of the run in `workdir`.

    Raises:
      ValueError: if there is no such checkpoint, naming those that are there.
    """
    with contextlib.closing(open_checkpoints(workdir, monitor, reads_only=True)) as checkpoints:
        return resolve_step(checkpoints, which)


def load_variables(workdir: Path, monitor: str, which: str) -> tuple[int, dict[str, PyTree]]:
    """Returns the step of the checkpoint called `which` of the run in `workdir`, and its variables, for `model.apply`.

    Raises:
      ValueError: if there is no such checkpoint, naming those that are there, or it cannot be read.
    """
    try:
        with contextlib.closing(open_checkpoints(workdir, monitor, reads_only=True)) as checkpoints:
            step = resolve_step(checkpoints, which)
            return step, restore_variables(checkpoints, step)
    except (OSError, ValueError):
        raise
    # Orbax raises nearly anything for a file that is missing or damaged.
    except Exception as error:
        lines = str(error).splitlines() or [""]
        reason = f"{type(error).__name__}: {lines[0][:300]}"
        raise ValueError(f"{workdir / DIRECTORY}, checkpoint {which} cannot be read: {reason}") from error


def _restore_as(like: PyTree, **options: Any) -> ocp.args.PyTreeRestore:
    """Restores arrays with the shapes, types and shardings of `like`."""
    restore_args = ocp.checkpoint_utils.construct_restore_args(like)
    return ocp.args.PyTreeRestore(like, restore_args=restore_args, **options)
