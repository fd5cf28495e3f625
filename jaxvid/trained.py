"""A trained model, read from a checkpoint, as a function from clips to class probabilities."""

import dataclasses
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import jax
import ml_collections
import numpy as np
from jaxtyping import Float, PyTree, UInt8

from jaxvid import parallel
from jaxvid.calibration import NOT_CALIBRATED, Calibration, read_calibration
from jaxvid.checkpoint import load_variables
from jaxvid.config import load_config
from jaxvid.data.sampling import create_sampling
from jaxvid.models.clip_model import ClipModel
from jaxvid.models.create import module_from_config
from jaxvid.steps import embedding_step, eval_step, sequence_step, stream_step
from jaxvid.types import ConfigDict, Inputs

Probabilities = Callable[[PyTree, Inputs], jax.Array]
Embeddings = Callable[[PyTree, Inputs], tuple[jax.Array, jax.Array]]


class StreamPrograms(NamedTuple):
    """What `Trained.probabilities` computes in two parts, for clips that share frames; each compiles at its first call.

    Attributes:
      features: `(variables, frames)` -> features of frames in a row (`jaxvid.steps.stream_step`).
      probabilities: `(variables, inputs)` -> class probabilities, where the inputs have the `features` of the clips'
        frames in place of the frames (`jaxvid.steps.sequence_step`).
      span: number of frames of a feature (`ClipModel.feature_span`).
    """

    features: Callable[[PyTree, UInt8[np.ndarray, "frame height width 3"]], Float[jax.Array, "frame crop feature"]]
    probabilities: Probabilities
    span: int


@dataclasses.dataclass(frozen=True, eq=False)
class Trained:
    """A checkpoint of a run.

    Attributes:
      config: config of the run.
      step: number of training steps done.
      variables: variables of the model.
      model: the module, created for inference.
      probabilities: `(variables, inputs)` -> class probabilities, calibrated, compiled at the first call.
      uncalibrated: the same without the temperature.
      calibration: what was chosen on the validation clips; the temperature is part of `probabilities`.
    """

    config: ConfigDict
    step: int
    variables: dict[str, PyTree]
    model: ClipModel
    probabilities: Probabilities
    uncalibrated: Probabilities
    calibration: Calibration


def load(workdir: Path, which: str = "best", *, config: ConfigDict | None = None, calibrated: bool = True) -> Trained:
    """Reads a checkpoint of the run in `workdir`.

    Args:
      workdir: directory of the run.
      which: "best", "last", or the number of a step.
      config: the run's config with other views of a clip (`eval.clips`, `eval.crops`); by default as saved.
      calibrated: whether to apply the calibration that the config asks for.

    Raises:
      ValueError: if `workdir` holds no run, a run of another version, no such checkpoint, or no calibration of it
        though the config asks for one.
    """
    used = load_config(workdir) if config is None else config
    step, variables = load_variables(workdir, used.eval.monitor, which)
    calibration = read_calibration(workdir, step, used) if calibrated else NOT_CALIBRATED
    try:
        model = module_from_config(used.model)
        create_sampling(used.clip).check()
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"the config of {workdir} describes no model that this jaxvid has: {error}") from error
    uncalibrated = compile_probabilities(model, used)
    probabilities = uncalibrated
    if calibration.temperature is not None:
        probabilities = compile_probabilities(model, used, calibration.temperature)
    return Trained(used, step, variables, model, probabilities, uncalibrated, calibration)


def compile_probabilities(model: ClipModel, config: ConfigDict, temperature: float | None = None) -> Probabilities:
    """Returns `(variables, inputs)` -> probabilities on the devices of this process (`jaxvid.steps.eval_step`).

    It compiles at the first call.
    """
    config = ml_collections.FrozenConfigDict(config)
    return parallel.over_local_devices(partial(eval_step, model=model, config=config, temperature=temperature))


def compile_stream_programs(
    model: ClipModel, config: ConfigDict, temperature: float | None = None
) -> StreamPrograms | None:
    """Returns the parts of `compile_probabilities`; None if clips cannot share features of their frames."""
    span = model.feature_span()
    if not 0 < span <= config.clip.num_frames:
        return None
    fields = {"model": model, "config": ml_collections.FrozenConfigDict(config)}
    features = parallel.over_local_devices(partial(stream_step, **fields))
    probabilities = parallel.over_local_devices(partial(sequence_step, **fields, temperature=temperature))
    return StreamPrograms(features, probabilities, span)


def compile_embeddings(model: ClipModel, config: ConfigDict, temperature: float | None = None) -> Embeddings:
    """Returns `(variables, inputs)` -> probabilities and embeddings, of a model without stream programs.

    It compiles at the first call (`jaxvid.steps.embedding_step`).
    """
    config = ml_collections.FrozenConfigDict(config)
    return parallel.over_local_devices(partial(embedding_step, model=model, config=config, temperature=temperature))
