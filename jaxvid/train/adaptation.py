"""Policies by which the activations of a network change during training.

Source: A. Faridi et al., Dynamic Adaptation of Activation Function to Fine Tune Video ResNet for Fight or Non-Fight
Classification, 2023, section 4.1: after some epochs, if the validation loss rises, the activation functions change and
the weights carry over. The paper does not define a rise, the draw or convergence; here, the section `activations` of a
config does.

`replay` decides everything as a pure function of the evaluations. A resumed run has them from its checkpoint, and so
decides as an uninterrupted one.
"""

import dataclasses
import fnmatch
import functools
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from jaxvid.models.activations import (
    FAMILY,
    can_adapt,
    distinct_functions,
    family_coefficients,
    get_activation,
    same_function,
)
from jaxvid.models.create import module_from_config
from jaxvid.types import ConfigDict

POLICIES = ("fixed", "sequence", "random")
SCOPES = ("global", "per_site")
TRIGGERS = ("rise", "epochs")


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """Metrics of the validation split after a step.

    Attributes:
      step: training steps done.
      epoch: epochs done.
      loss: cross-entropy.
      accuracy: share of correct clips.
      monitored: value of `config.eval.monitor`, which decides early stopping; None where it is not known.
    """

    step: int
    epoch: float
    loss: float
    accuracy: float
    monitored: float | None = None


@dataclasses.dataclass(frozen=True)
class Change:
    """A change of activations after an evaluation.

    Attributes:
      evaluation: before the change.
      reason: "rise" of the validation loss, "epochs", or "rejected": the previous change brought no improvement.
      before: function of every site before the change.
      after: function of every site after it.
      returns_to_best: whether the weights of the best evaluation so far are restored.
    """

    evaluation: Evaluation
    reason: str
    before: Mapping[str, str]
    after: Mapping[str, str]
    returns_to_best: bool


@dataclasses.dataclass(frozen=True)
class Progress:
    """The state of a policy after some evaluations.

    Attributes:
      functions: current function of every site.
      changes: all so far.
      num_proposals: number of changes made by the policy, including those that were rejected later.
      stage: evaluations since the last change.
      best: evaluation of the lowest loss.
      best_functions: function of every site at that evaluation.
      converged: whether the run should end.
    """

    functions: Mapping[str, str]
    changes: tuple[Change, ...] = ()
    num_proposals: int = 0
    stage: tuple[Evaluation, ...] = ()
    best: Evaluation | None = None
    best_functions: Mapping[str, str] = dataclasses.field(default_factory=dict)
    converged: bool = False


def check_adaptation(config: ConfigDict) -> None:
    """Checks the section `activations` of a config, and `model.activation`.

    Raises:
      ValueError: naming the key, its value and what is allowed.
    """
    # The module, as a config may leave out fields that have defaults.
    policy, model = config.activations, module_from_config(config.model)
    (family_coefficients if model.adaptive else get_activation)(model.activation or "relu")
    for key, allowed in (("policy", POLICIES), ("scope", SCOPES), ("trigger", TRIGGERS)):
        if policy[key] not in allowed:
            raise ValueError(f"config.activations.{key} is {policy[key]!r}; allowed: {', '.join(allowed)}")
    if policy.policy == "fixed":
        return
    if not model.adaptive:
        raise ValueError(f"config.activations.policy is {policy.policy!r}, which needs config.model.adaptive=True")
    _check_pool(policy.pool)
    for key, least in (("patience", 1), ("cool_down", 0), ("reject_after", 0), ("converge_after", 0)):
        if policy[key] < least:
            raise ValueError(f"config.activations.{key} is {policy[key]}; allowed: {least} or more")
    if (policy.return_to_best or policy.reject_after) and config.eval.monitor != "val_loss":
        raise ValueError(
            f"config.eval.monitor is {config.eval.monitor!r}; allowed with activations.return_to_best or "
            "reject_after, which restore the checkpoint of the lowest validation loss: val_loss"
        )
    if policy.trigger == "epochs":
        _check_epochs(config)


def _check_pool(pool: Sequence[str]) -> None:
    for name in pool:
        if not can_adapt(name):
            raise ValueError(f"config.activations.pool has {name!r}, which cannot adapt; allowed: {', '.join(FAMILY)}")
    # A pool may name one function twice, as ELU and CELU are: the policy then takes the first name alone.
    if len(set(pool)) != len(pool) or len(distinct_functions(pool)) < 2:
        raise ValueError(f"config.activations.pool is {tuple(pool)}; allowed: two or more different activations")


def _check_epochs(config: ConfigDict) -> None:
    at_epochs, every = tuple(config.activations.at_epochs), config.eval.every_epochs
    evaluated = all(0 < epoch < config.train.num_epochs and epoch % every == 0 for epoch in at_epochs)
    if not at_epochs or not evaluated or list(at_epochs) != sorted(set(at_epochs)):
        raise ValueError(
            f"config.activations.at_epochs is {at_epochs}; allowed: rising epochs after which there is an evaluation "
            f"(multiples of eval.every_epochs, {every}), below train.num_epochs, {config.train.num_epochs}"
        )


def changing_sites(policy: ConfigDict, sites: Collection[str]) -> list[str]:
    """Returns the sites that a policy changes: those that match a pattern of `policy.sites`, or all without patterns.

    Raises:
      ValueError: if a pattern, such as "layer4_*", matches no site.
    """
    for pattern in policy.sites:
        if not fnmatch.filter(sites, pattern):
            raise ValueError(
                f"config.activations.sites has {pattern!r}, which is no site; there are: {', '.join(sites)}"
            )
    chosen = [site for site in sites if any(fnmatch.fnmatchcase(site, pattern) for pattern in policy.sites)]
    return chosen or list(sites)


def initial_functions(config: ConfigDict, sites: Mapping[str, str]) -> dict[str, str]:
    """Returns the first function of every site.

    It is the first of a sequence, or by other policies the one that an earlier run left it, or else the one in `sites`.
    """
    functions = dict(sites) | dict(line.split("=") for line in config.activations.first)
    if config.activations.policy != "sequence":
        return functions
    first: str = config.activations.pool[0]
    return functions | dict.fromkeys(changing_sites(config.activations, sites), first)


def replay(evaluations: Sequence[Evaluation], config: ConfigDict, sites: Mapping[str, str]) -> Progress:
    """Returns the state of the policy after all evaluations of a run; `sites` are those of `activation_sites`."""
    step = functools.partial(_advance, config=config, sites=changing_sites(config.activations, sites))
    return functools.reduce(step, evaluations, Progress(initial_functions(config, sites)))


def _advance(progress: Progress, evaluation: Evaluation, config: ConfigDict, sites: Sequence[str]) -> Progress:
    """Returns the state of the policy after one more evaluation."""
    if progress.best is None or evaluation.loss < progress.best.loss:
        progress = dataclasses.replace(progress, best=evaluation, best_functions=progress.functions)
    progress = dataclasses.replace(progress, stage=(*progress.stage, evaluation))
    policy = config.activations
    if policy.policy == "fixed" or progress.converged:
        return progress
    if _should_reject(progress, policy):
        return _changed(progress, "rejected", progress.best_functions, returns_to_best=True)
    if not _is_due(progress, policy):
        return progress
    functions = _proposed(progress, config, sites)
    if functions is None or _has_converged(progress, policy):
        return dataclasses.replace(progress, converged=True)
    progress = dataclasses.replace(progress, num_proposals=progress.num_proposals + 1)
    return _changed(progress, policy.trigger, functions, returns_to_best=policy.return_to_best)


def _should_reject(progress: Progress, policy: ConfigDict) -> bool:
    """Whether there was no new lowest loss in `reject_after` evaluations since the last change by the policy."""
    if not policy.reject_after or not progress.changes or progress.changes[-1].reason == "rejected":
        return False
    assert progress.best is not None
    return len(progress.stage) == policy.reject_after and progress.best.step < progress.stage[0].step


def _is_due(progress: Progress, policy: ConfigDict) -> bool:
    stage = progress.stage
    if policy.trigger == "epochs":
        return sum(epoch <= stage[-1].epoch for epoch in policy.at_epochs) > progress.num_proposals
    if progress.changes and len(stage) <= policy.cool_down:
        return False
    lowest = int(np.argmin([evaluation.loss for evaluation in stage]))
    return len(stage) - 1 - lowest >= policy.patience


def _has_converged(progress: Progress, policy: ConfigDict) -> bool:
    """Whether there was no new lowest loss since the last `converge_after` changes by the policy."""
    assert progress.best is not None
    proposals = [change for change in progress.changes if change.reason != "rejected"]
    idle = [change for change in proposals if change.evaluation.step >= progress.best.step]
    return 0 < policy.converge_after <= len(idle)


def _proposed(progress: Progress, config: ConfigDict, sites: Sequence[str]) -> dict[str, str] | None:
    """Returns the next functions of the policy; None at the end of a sequence."""
    policy, number = config.activations, progress.num_proposals
    functions, pool = dict(progress.functions), distinct_functions(policy.pool)
    if policy.policy == "random":
        return functions | _drawn(functions, policy.scope, pool, sites, np.random.default_rng((config.seed, number)))
    # A step of the sequence changes all sites at once ("global"), or each in its own change.
    step, site = (number, None) if policy.scope == "global" else divmod(number, len(sites))
    if step + 1 >= len(pool):
        return None
    return functions | dict.fromkeys(sites if site is None else [sites[site]], pool[step + 1])


def _drawn(
    functions: Mapping[str, str], scope: str, pool: Sequence[str], sites: Sequence[str], rng: np.random.Generator
) -> dict[str, str]:
    """Draws functions from the pool, one for all sites or one for each, until at least one site changes.

    A site that draws the function that it has, if by another name, keeps its name.
    """
    while True:
        names = rng.choice(pool, size=1 if scope == "global" else len(sites))
        drawn = zip(sites, np.broadcast_to(names, len(sites)).tolist(), strict=True)
        changed = {site: name for site, name in drawn if not same_function(functions[site], name)}
        if changed:
            return changed


def _changed(progress: Progress, reason: str, functions: Mapping[str, str], *, returns_to_best: bool) -> Progress:
    change = Change(progress.stage[-1], reason, progress.functions, functions, returns_to_best)
    return dataclasses.replace(progress, functions=functions, changes=(*progress.changes, change), stage=())


def describe(functions: Mapping[str, str]) -> str:
    """Returns the function of all sites as text, or the number of sites with each function."""
    names = sorted(set(functions.values()))
    if len(names) == 1:
        return names[0]
    counts = {name: sum(function == name for function in functions.values()) for name in names}
    return ", ".join(f"{count} {name}" for name, count in counts.items())


def change_rows(evaluations: Sequence[Evaluation], progress: Progress) -> list[dict[str, Any]]:
    """Returns one JSON-ready row for each change: the paper's Table 1, and the change of every site.

    The paper does not say how long after a change its metrics were measured; the rows have those of the next evaluation
    and those of the lowest loss before the following change.
    """
    rows = []
    ends = [*(change.evaluation.step for change in progress.changes), float("inf")][1:]
    for change, end in zip(progress.changes, ends, strict=True):
        later = [evaluation for evaluation in evaluations if change.evaluation.step < evaluation.step <= end]
        best = min(later, key=lambda evaluation: evaluation.loss, default=None)
        rows.append(
            {
                "step": change.evaluation.step,
                "epoch": change.evaluation.epoch,
                "reason": change.reason,
                "from": describe(change.before),
                "to": describe(change.after),
                "before": _metrics(change.evaluation),
                "next": _metrics(later[0] if later else None),
                "best": _metrics(best),
                "returned_to_best": change.returns_to_best,
                "sites": {
                    site: [change.before[site], name]
                    for site, name in change.after.items()
                    if change.before[site] != name
                },
            }
        )
    return rows


def best_rows(evaluations: Sequence[Evaluation], progress: Progress) -> list[dict[str, Any]]:
    """Returns the paper's Table 2: the best metrics with each activation or mixture, in order of their first use."""
    used: dict[str, list[Evaluation]] = {}
    ends = [*(change.evaluation.step for change in progress.changes), float("inf")]
    functions = [change.before for change in progress.changes] + [progress.functions]
    begin = -1.0
    for end, names in zip(ends, functions, strict=True):
        used.setdefault(describe(names), []).extend(e for e in evaluations if begin < e.step <= end)
        begin = end
    return [
        {
            "activation": name,
            "evaluations": len(reached),
            "loss": min(evaluation.loss for evaluation in reached),
            "accuracy": max(evaluation.accuracy for evaluation in reached),
        }
        for name, reached in used.items()
        if reached
    ]


def _metrics(evaluation: Evaluation | None) -> dict[str, float] | None:
    return None if evaluation is None else {"loss": evaluation.loss, "accuracy": evaluation.accuracy}
