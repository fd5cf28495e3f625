"""A trained model, read from a checkpoint, as a function from clips to class probabilities."""

import dataclasses
from collections.abc import Callable
from functools import partial
from pathlib import Path

import jax
import ml_collections
from jaxtyping import PyTree

from jaxvid import parallel
from jaxvid.checkpoint import load_variables
from jaxvid.config import load_config
from jaxvid.models.clip_model import ClipModel
from jaxvid.models.create import module_from_config
from jaxvid.steps import eval_step
from jaxvid.types import ConfigDict, Inputs

Probabilities = Callable[[PyTree, Inputs], jax.Array]


@dataclasses.dataclass(frozen=True, eq=False)
class Trained:
    """A checkpoint of a run.

    Attributes:
      config: config of the run.
      step: number of training steps done.
      variables: variables of the model.
      model: the module, created for inference.
      probabilities: `(variables, inputs)` -> class probabilities, compiled at the first call.
    """

    config: ConfigDict
    step: int
    variables: dict[str, PyTree]
    model: ClipModel
    probabilities: Probabilities


def load(workdir: Path, which: str = "best", *, config: ConfigDict | None = None) -> Trained:
    """Reads a checkpoint of the run in `workdir`.

    Args:
      workdir: directory of the run.
      which: "best", "last", or the number of a step.
      config: the run's config with other views of a clip (`eval.clips`, `eval.crops`); by default as saved.

    Raises:
      ValueError: if `workdir` holds no run, a run of another version, or no such checkpoint.
    """
    used = load_config(workdir) if config is None else config
    step, variables = load_variables(workdir, used.eval.monitor, which)
    model = module_from_config(used.model)
    return Trained(used, step, variables, model, compile_probabilities(model, used))


def compile_probabilities(model: ClipModel, config: ConfigDict) -> Probabilities:
    """Returns `(variables, inputs)` -> probabilities on the devices of this process (`jaxvid.steps.eval_step`).

    It compiles at the first call.
    """
    config = ml_collections.FrozenConfigDict(config)
    return parallel.over_local_devices(partial(eval_step, model=model, config=config))
