"""A network as a function from frames to class probabilities, on all devices of a process."""

from collections.abc import Callable
from typing import Any

from flax import linen as nn
from jaxtyping import PyTree

from jaxvid import parallel
from jaxvid.steps import eval_step
from jaxvid.types import ConfigDict

Probabilities = Callable[[PyTree, Any], Any]


def compile_probabilities(model: nn.Module, clip: ConfigDict, num_crops: int = 1) -> Probabilities:
    """`(variables, frames)` -> probabilities on the devices of this process; compiles at the first call.

    They are means over `num_crops` crops of each view (`jaxvid.steps.eval_step`).
    """

    # A function, as pmap compiles anew for every new partial.
    def step(variables, frames):
        return eval_step(variables, frames, model=model, clip=clip, num_crops=num_crops)

    return parallel.over_local_devices(step)
