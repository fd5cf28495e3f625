"""Optax optimizers and learning-rate schedules from the section `optimizer` of a config."""

import jax
import optax
from jaxtyping import PyTree

from jaxvid.config import at_least, one_of
from jaxvid.models.freezing import BACKBONE, FROZEN, HEAD
from jaxvid.types import ConfigDict

OPTIMIZERS = ("adam", "adamw", "sgd")
SCHEDULES = ("constant", "cosine", "steps")


def check_optimizer(config: ConfigDict) -> None:
    """Checks the section `optimizer` of a config.

    Raises:
      ValueError: naming the key, its value and what is allowed.
    """
    one_of(config, "optimizer.name", OPTIMIZERS)
    one_of(config, "optimizer.schedule", SCHEDULES)
    if config.learning_rate <= 0:
        raise ValueError(f"config.optimizer.learning_rate is {config.learning_rate}; allowed: above 0")
    at_least(config, 1, "optimizer.accumulate_steps")
    for key in ("warmup_fraction", "momentum", "weight_decay", "clip_norm", "backbone_rate_factor"):
        at_least(config, 0, f"optimizer.{key}")
    if not 0 <= config.ema_decay < 1:
        raise ValueError(f"config.optimizer.ema_decay is {config.ema_decay}; allowed: 0 (no moving average) to below 1")
    if config.weight_decay and config.name == "adam":
        raise ValueError("config.optimizer.weight_decay needs name 'adamw' or 'sgd'; for adam, use config.train.l2")
    if not all(0 < point < 1 for point in config.decay_at):
        raise ValueError(
            f"config.optimizer.decay_at is {tuple(config.decay_at)}; allowed: fractions of the run, above 0 and below 1"
        )


def check_resumed_length(config: ConfigDict, planned: int, num_steps: int) -> None:
    """Checks that a run that resumes with another number of steps keeps its learning rate.

    A warm-up and every schedule except "constant" are stretched over the whole run: with another length, the learning
    rate would jump at the step at which the run resumes.

    Args:
      config: of the run.
      planned: number of steps when the run was started.
      num_steps: number of steps now.

    Raises:
      ValueError: if they differ, and the learning rate depends on them.
    """
    optimizer = config.optimizer
    if num_steps == planned or (optimizer.schedule == "constant" and not optimizer.warmup_fraction):
        return
    raise ValueError(
        f"config.train.num_epochs is {config.train.num_epochs} and config.train.num_steps is {config.train.num_steps}, "
        f"which makes {num_steps} steps of a run that was started with {planned}: its learning rate would jump, as "
        f"config.optimizer.schedule is {optimizer.schedule!r} and warmup_fraction {optimizer.warmup_fraction:g}; "
        "allowed for other lengths on resume: 'constant' and 0. Undo the change, or train anew in another --workdir"
    )


def create_schedule(config: ConfigDict, num_steps: int) -> optax.Schedule:
    """Returns the learning rate as a function of the number of updates, in a run of `num_steps` training steps.

    After a linear warm-up over `warmup_fraction` of the run, the rate is constant, falls to zero by a half cosine, or
    is multiplied by `decay_factor` at each of `decay_at` (fractions of the run).
    """
    num_updates = max(1, num_steps // config.accumulate_steps)
    warmup = round(config.warmup_fraction * num_updates)
    peak = config.learning_rate
    if config.schedule == "cosine":
        after = optax.cosine_decay_schedule(peak, max(1, num_updates - warmup))
    elif config.schedule == "steps":
        boundaries = {round(point * num_updates) - warmup: config.decay_factor for point in config.decay_at}
        after = optax.piecewise_constant_schedule(peak, boundaries)
    else:
        after = optax.constant_schedule(peak)
    if not warmup:
        return after
    return optax.join_schedules([optax.linear_schedule(0.0, peak, warmup), after], [warmup])


def create_optimizer(config: ConfigDict, schedule: optax.Schedule, labels: PyTree) -> optax.GradientTransformation:
    """Creates the optimizer that `config` names, with clipping by the global norm and accumulation of gradients.

    Args:
      config: section `optimizer`.
      schedule: the learning rate of the head.
      labels: HEAD, BACKBONE or FROZEN for every parameter (`jaxvid.models.freezing`).
    """
    rules = {
        HEAD: _rule(config, schedule),
        BACKBONE: _rule(config, lambda count: config.backbone_rate_factor * schedule(count)),
        FROZEN: optax.set_to_zero(),
    }
    present = set(jax.tree.leaves(labels))
    optimizer = optax.partition({label: rules[label] for label in present}, labels)
    if config.clip_norm:
        optimizer = optax.chain(optax.clip_by_global_norm(config.clip_norm), optimizer)
    if config.accumulate_steps > 1:
        return optax.MultiSteps(optimizer, config.accumulate_steps).gradient_transformation()
    return optimizer


def _rule(config: ConfigDict, schedule: optax.Schedule) -> optax.GradientTransformation:
    if config.name == "adam":
        return optax.adam(schedule)
    if config.name == "adamw":
        return optax.adamw(schedule, weight_decay=config.weight_decay)
    return optax.chain(
        optax.add_decayed_weights(config.weight_decay),
        optax.sgd(schedule, momentum=config.momentum or None, nesterov=config.nesterov),
    )
