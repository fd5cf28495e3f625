"""A network as a function from clips to class probabilities, on all devices of a process."""

from collections.abc import Callable
from functools import partial
from typing import Any

import ml_collections
from flax import linen as nn
from jaxtyping import PyTree

from jaxvid import parallel
from jaxvid.steps import eval_step
from jaxvid.types import ConfigDict

Probabilities = Callable[[PyTree, Any], Any]


def compile_probabilities(model: nn.Module, config: ConfigDict) -> Probabilities:
    """`(variables, inputs)` -> probabilities on the devices of this process (`jaxvid.steps.eval_step`).

    It compiles at the first call.
    """
    config = ml_collections.FrozenConfigDict(config)
    return parallel.over_local_devices(partial(eval_step, model=model, config=config))
