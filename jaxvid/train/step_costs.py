"""What a clip and a training step of a network cost, counted from the program of the real one; nothing is computed."""

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import optax

from jaxvid import parallel
from jaxvid.models.create import initial_variables, module_from_config
from jaxvid.models.flops import flops, jaxpr_flops
from jaxvid.models.freezing import FROZEN, parameter_labels
from jaxvid.steps import create_state, eval_step, train_step
from jaxvid.train.optimizer import create_optimizer
from jaxvid.types import ConfigDict


@dataclasses.dataclass(frozen=True)
class Network:
    """What one clip costs.

    Attributes:
      name: of the network.
      size: of the stored frames, height x width.
      num_frames: of a clip.
      train_flops: operations of a training step for one clip.
      inference_flops: operations of its class probabilities.
      gradient_bytes: trained parameters, as float32, which all devices sum.
      num_collectives: sums over all devices, one after another, in a step: batch normalization has two in each layer.
    """

    name: str
    size: str
    num_frames: int
    train_flops: float
    inference_flops: float
    gradient_bytes: float
    num_collectives: int


def network_of(name: str, config: ConfigDict, size: tuple[int, int], num_classes: int) -> Network:
    """Counts what a clip costs; nothing is computed.

    Args:
      name: for the tables.
      config: whole config of a run.
      size: height and width of the stored frames.
      num_classes: of the dataset.
    """
    config = config.copy_and_resolve_references()
    config.model.num_classes = num_classes
    config.model.pretrained = ""
    step, state, batch = _training_step(config, size, num_classes)
    traced = parallel.over_devices(step, 1).trace(state, batch)
    labels = parameter_labels(state.params, config.model)
    trained = jax.tree.map(lambda leaf, label: 0 if label == FROZEN else leaf.size, state.params, labels)
    evaluation = partial(
        eval_step, model=module_from_config(config.model), config=ml_collections.FrozenConfigDict(config)
    )
    inputs = {key: value for key, value in batch.items() if key != "label"}
    return Network(
        name,
        f"{size[0]}x{size[1]}",
        config.clip.num_frames,
        float(jaxpr_flops(traced.jaxpr)),
        float(flops(evaluation, state.variables, inputs)),
        4.0 * sum(jax.tree.leaves(trained)),
        longest_chain(traced.jaxpr.jaxpr),
    )


def _training_step(config: ConfigDict, size: tuple[int, int], num_classes: int) -> tuple[Callable[..., Any], Any, Any]:
    """Returns a step as `jaxvid.train.setup` makes it, and the shapes of its state and of a batch of one clip."""
    clip = config.clip
    model = module_from_config(config.model, axis_name=parallel.AXIS_NAME)
    shape = (clip.num_frames, clip.height, clip.width, 3)
    variables = jax.eval_shape(lambda: initial_variables(model, shape, 0))
    labels = parameter_labels(variables["params"], config.model)
    optimizer = create_optimizer(config.optimizer, optax.constant_schedule(1e-3), labels)
    step = partial(
        train_step,
        model=model,
        optimizer=optimizer,
        labels=labels,
        class_weights=jnp.ones(num_classes),
        config=ml_collections.FrozenConfigDict(config),
        axis_name=parallel.AXIS_NAME,
    )
    batch = {
        "frames": jax.ShapeDtypeStruct((1, clip.num_frames, *size, 3), jnp.uint8),
        "num_frames": jax.ShapeDtypeStruct((1,), jnp.int32),
        "label": jax.ShapeDtypeStruct((1,), jnp.int32),
    }
    return step, jax.eval_shape(lambda variables: create_state(variables, optimizer), variables), batch


def longest_chain(jaxpr: Any, before: int = 0) -> int:
    """Returns how many sums over devices a program does one after another; XLA joins those that do not wait for others.

    Args:
      jaxpr: of the program.
      before: sums that its inputs have waited for.
    """
    depths: dict[Any, int] = {}
    for equation in jaxpr.eqns:
        inputs = [depths.get(atom, before) for atom in equation.invars if not hasattr(atom, "val")]
        depth = max(inputs, default=before) + equation.primitive.name.startswith("psum")
        inside = [getattr(value, "jaxpr", value) for value in equation.params.values()]
        depth = max([depth, *(longest_chain(each, depth) for each in inside if hasattr(each, "eqns"))])
        depths |= dict.fromkeys(equation.outvars, depth)
    return max(depths.values(), default=before)
