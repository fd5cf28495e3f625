"""Which parameters of a network are trained, and how fast: the head, the last stage of the backbone, or all."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
from flax import linen as nn
from flax import traverse_util
from jaxtyping import PyTree

from jaxvid.models import create_model
from jaxvid.types import ConfigDict

TRAINABLE = ("all", "head", "head_and_last_stage")
HEAD, BACKBONE, FROZEN = "head", "backbone", "frozen"


def check_trainable(config: ConfigDict) -> None:
    """Checks `trainable` of the section `model` of a config.

    Raises:
      ValueError: if it is unknown, or the network has no backbone of which a part could be frozen.
    """
    if config.trainable not in TRAINABLE:
        raise ValueError(f"config.model.trainable is {config.trainable!r}; allowed: {', '.join(TRAINABLE)}")
    if config.trainable != "all" and not create_model(config).last_stage():
        raise ValueError(
            f"config.model.trainable is {config.trainable!r}; {config.name!r} has no backbone: allowed: all"
        )


def parameter_labels(params: PyTree, config: ConfigDict) -> PyTree:
    """HEAD, BACKBONE or FROZEN for every parameter, all HEAD without a backbone; `config` is the section `model`."""
    last_stage = create_model(config).last_stage()

    def label(path: Sequence[Any]) -> str:
        if not last_stage or path[0] == "head":
            return HEAD
        is_last = "/".join(path).startswith(last_stage)
        trained = config.trainable == "all" or (config.trainable == "head_and_last_stage" and is_last)
        return BACKBONE if trained else FROZEN

    return traverse_util.path_aware_map(lambda path, _: label(path), params)


def without_gradient(params: PyTree, labels: PyTree) -> PyTree:
    """The parameters, of which frozen ones get no gradient: what lies below them all is not even computed."""
    return jax.tree.map(lambda leaf, label: jax.lax.stop_gradient(leaf) if label == FROZEN else leaf, params, labels)


@contextlib.contextmanager
def frozen_norms_kept(labels: Mapping[str, Any]) -> Iterator[None]:
    """Batch norms whose parameters are frozen normalize as in evaluation, and keep their statistics.

    A model's `train` speaks of all of its layers; this takes the frozen ones out, whatever the model.
    """

    def intercept(next_function: Any, args: Any, kwargs: Any, context: Any) -> Any:
        module = context.module
        if isinstance(module, nn.BatchNorm) and context.method_name == "__call__" and _is_frozen(labels, module.path):
            # Modules are read-only; this one lives for this call alone.
            object.__setattr__(module, "use_running_average", True)
        return next_function(*args, **kwargs)

    with nn.intercept_methods(intercept):
        yield


def _is_frozen(labels: Mapping[str, Any], path: tuple[str, ...]) -> bool:
    part: Any = labels
    for name in path:
        part = part[name]
    return all(label == FROZEN for label in jax.tree.leaves(part))
