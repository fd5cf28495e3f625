"""Which parameters of a network are trained: the head, the last stage of the backbone too, or all."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
from flax import linen as nn
from flax import traverse_util
from jaxtyping import PyTree

from jaxvid.models.create import module_from_config
from jaxvid.types import ConfigDict

TRAINABLE = ("all", "head", "head_and_last_stage")
HEAD, BACKBONE, FROZEN = "head", "backbone", "frozen"


def check_trainable(config: ConfigDict) -> None:
    """Checks `trainable` of the section `model` of a config.

    Raises:
      ValueError: if it is unknown, or the network has no backbone to freeze.
    """
    if config.trainable not in TRAINABLE:
        raise ValueError(f"config.model.trainable is {config.trainable!r}; allowed: {', '.join(TRAINABLE)}")
    if config.trainable != "all" and not module_from_config(config).last_stage():
        raise ValueError(
            f"config.model.trainable is {config.trainable!r}; {config.name!r} has no backbone: allowed: all"
        )


def parameter_labels(params: PyTree, config: ConfigDict) -> PyTree:
    """Labels every parameter HEAD, BACKBONE or FROZEN, without a backbone all HEAD; `config` is the section `model`."""
    last_stage = module_from_config(config).last_stage()

    def label(path: Sequence[Any]) -> str:
        if not last_stage or path[0] == "head":
            return HEAD
        is_last = "/".join(path).startswith(last_stage)
        trained = config.trainable == "all" or (config.trainable == "head_and_last_stage" and is_last)
        return BACKBONE if trained else FROZEN

    return traverse_util.path_aware_map(lambda path, _: label(path), params)


def without_gradient(params: PyTree, labels: PyTree) -> PyTree:
    """Stops gradients at frozen parameters, so that the backward pass below them is skipped."""
    return jax.tree.map(lambda leaf, label: jax.lax.stop_gradient(leaf) if label == FROZEN else leaf, params, labels)


@contextlib.contextmanager
def frozen_norms_kept(labels: PyTree) -> Iterator[None]:
    """Keeps batch norms with frozen parameters in inference mode: they use and keep their running statistics.

    `train=True` reaches every layer of a model. Its batch norms get `use_running_average` at the call (see
    `jaxvid.models.layers.Layers.norm`), which is where this changes it.
    """

    def intercept(
        call: Callable[..., Any], args: tuple, kwargs: dict[str, Any], context: nn.module.InterceptorContext
    ) -> Any:
        module = context.module
        if isinstance(module, nn.BatchNorm) and context.method_name == "__call__" and _is_frozen(labels, module.path):
            kwargs = {**kwargs, "use_running_average": True}
        return call(*args, **kwargs)

    with nn.intercept_methods(intercept):
        yield


def _is_frozen(labels: PyTree, path: tuple[str, ...]) -> bool:
    part = labels
    for name in path:
        # A norm without parameters is frozen where all that its module has is.
        if name not in part:
            break
        part = part[name]
    return all(label == FROZEN for label in jax.tree.leaves(part))
