"""One step of training and of evaluation: pure functions of a state and one device's part of a batch."""

from collections.abc import Mapping, Sequence
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PyTree, UInt8

from jaxvid.calibration import SMALLEST
from jaxvid.data.augment import augmented
from jaxvid.data.mixing import mixed, mixes
from jaxvid.data.preprocess import preprocess
from jaxvid.data.spectrograms import num_spectra, spectrograms
from jaxvid.models import create
from jaxvid.models.clip_model import AudioVisualClips, ClipModel
from jaxvid.models.embedding import logits_and_embedding
from jaxvid.models.freezing import frozen_norms_kept, without_gradient
from jaxvid.ops.random import row_keys
from jaxvid.types import ConfigDict

Batch = dict[str, Any]


class TrainState(flax.struct.PyTreeNode):
    """Everything that training changes.

    Attributes:
      step: training steps done, an int32 scalar.
      params: what the optimizer updates.
      model_state: the model's other collections (batch_stats, activations).
      opt_state: the optimizer's.
      average: moving average of `params` and of the batch statistics, under "params" and "batch_stats"; None if the run
        has none (`config.optimizer.ema_decay`).
    """

    # Typed loosely, as trees of this class hold shapes and shardings too.
    step: PyTree
    params: PyTree
    model_state: PyTree
    opt_state: PyTree
    average: PyTree = None

    @property
    def variables(self) -> dict[str, PyTree]:
        """The variables that `model.apply` takes."""
        return {"params": self.params, **self.model_state}

    @property
    def evaluated_variables(self) -> dict[str, PyTree]:
        """Those that are evaluated and used: with the moving average in place of what it is of, if there is one."""
        return self.variables | (self.average or {})


def network_input(inputs: Mapping[str, Array], clips: Array, model: ClipModel, audio: ConfigDict) -> Any:
    """Returns the input of a model: the clips, with their lengths and spectrograms if it takes sequences.

    Args:
      inputs: as the pipeline gives them (`jaxvid.data.pipeline.clip_inputs`).
      clips: its `frames`, preprocessed.
      model: that is to take them.
      audio: that section of the config.
    """
    if not model.takes_sequences:
        return clips
    if not audio.sample_rate:
        nothing = jnp.zeros((clips.shape[0], 1, 1)), jnp.zeros(clips.shape[0], jnp.int32)
        return AudioVisualClips(clips, inputs["num_frames"], *nothing)
    spectra = spectrograms(inputs["audio"], audio), num_spectra(inputs["num_samples"], audio)
    return AudioVisualClips(clips, inputs["num_frames"], *spectra)


def initial_variables(model: ClipModel, clip: ConfigDict, seed: int) -> dict[str, PyTree]:
    """Returns fresh variables; `clip` is the section of the config that has the size of the model's input."""
    return create.initial_variables(model, (clip.num_frames, clip.height, clip.width, 3), seed)


def create_state(
    variables: dict[str, PyTree], optimizer: optax.GradientTransformation, *, averages: bool = False
) -> TrainState:
    """Returns the state before the first step, with a moving average of the weights if the run `averages` them."""
    collections = dict(variables)
    params = collections.pop("params")
    state = TrainState(jnp.zeros((), jnp.int32), params, collections, jax.jit(optimizer.init)(params))
    # Copied: a step donates every array of the state once.
    return state.replace(average=jax.tree.map(jnp.copy, _what_is_averaged(state))) if averages else state


def _what_is_averaged(state: TrainState) -> dict[str, PyTree]:
    """Returns what changes a little at every step; activations change as a whole."""
    return {name: values for name, values in state.variables.items() if name in ("params", "batch_stats")}


def train_step(
    state: TrainState,
    batch: Batch,
    *,
    model: ClipModel,
    optimizer: optax.GradientTransformation,
    labels: PyTree,
    class_weights: Float[Array, "classes"],
    config: ConfigDict,
    axis_name: str,
) -> tuple[TrainState, dict[str, Float[Array, ""]]]:
    """Updates the state by one batch.

    Args:
      state: the same on all devices.
      batch: this device's part: what the pipeline gives, `frames` and the rest, or `features` of a frozen backbone,
        float32 (batch, time, feature) or several such arrays, and `label`, int32 (batch,).
      model: created with the same `axis_name`.
      optimizer: whose state is in `state`.
      labels: which parameters are trained (`jaxvid.models.freezing`).
      class_weights: of the loss.
      config: the whole config; read are `seed`, `clip`, `audio`, `augment`, `train` and of `optimizer` what is about
        the moving average.
      axis_name: the mapped axis over all devices.

    Returns:
      The new state and the metrics of the batch, both the same on all devices: `loss` (cross-entropy), `accuracy`
      (against the heavier label where clips are mixed) and `grad_norm`.
    """
    key = jax.random.fold_in(jax.random.key(config.seed), state.step)
    *input_keys, dropout_key = jax.random.split(key, 3)
    inputs, targets = _inputs_and_targets(batch, input_keys, len(class_weights), model, config, axis_name)
    weights = targets @ class_weights
    total_weight = jax.lax.psum(weights.sum(), axis_name)

    def loss_of(params):
        params = without_gradient(params, labels)
        variables = {"params": params, **state.model_state}
        method = "classify" if "features" in batch else "__call__"
        with frozen_norms_kept(labels):
            logits, updates = model.apply(
                variables, inputs, train=True, method=method, rngs={"dropout": dropout_key}, mutable=["batch_stats"]
            )
        loss = (weights * optax.safe_softmax_cross_entropy(logits, targets)).sum() / total_weight
        # Devices add up, so each bears its share of the penalty.
        penalty = config.train.l2 * _sum_of_squared_kernels(params) / jax.lax.axis_size(axis_name)
        return loss + penalty, (loss, logits, updates)

    grads, (loss, logits, updates) = jax.grad(loss_of, has_aux=True)(state.params)
    grads = jax.lax.psum(grads, axis_name)
    new_state = _with_average(_updated(state, grads, updates, optimizer), config.optimizer)
    metrics = {
        "loss": jax.lax.psum(loss, axis_name),
        "accuracy": jax.lax.pmean((logits.argmax(-1) == targets.argmax(-1)).mean(), axis_name),
        "grad_norm": optax.tree.norm(grads),
    }
    return new_state, metrics


def _inputs_and_targets(
    batch: Batch, keys: Sequence[Array], num_classes: int, model: ClipModel, config: ConfigDict, axis_name: str
) -> tuple[Any, Float[Array, "batch classes"]]:
    """Returns the augmented input of the model, or the features as they are, and smoothed and mixed labels."""
    augment_keys, mix_keys = (row_keys(key, len(batch["label"]), axis_name) for key in keys)
    if "features" in batch:
        inputs = batch["features"]
    else:
        frames = augmented(batch["frames"], augment_keys, config.clip, config.augment)
        inputs = network_input(batch, frames, model, config.audio)
    targets = optax.smooth_labels(jax.nn.one_hot(batch["label"], num_classes), config.train.label_smoothing)
    return mixed(inputs, targets, mix_keys, config.augment) if mixes(config.augment) else (inputs, targets)


def _updated(
    state: TrainState, grads: PyTree, updates: dict[str, PyTree], optimizer: optax.GradientTransformation
) -> TrainState:
    """Returns the state after one more step; `updates` are new values of the model's other collections."""
    changes, opt_state = optimizer.update(grads, state.opt_state, state.params)
    return state.replace(
        step=state.step + 1,
        params=optax.apply_updates(state.params, changes),
        model_state={**state.model_state, **updates},
        opt_state=opt_state,
    )


def _with_average(state: TrainState, config: ConfigDict) -> TrainState:
    """Moves the average, if there is one, towards the weights that an update has just made.

    Its decay after the n-th update is the smaller of `ema_decay` and n / (n + 9), as in TensorFlow's
    ExponentialMovingAverage, so that the first weights are soon forgotten.

    Args:
      state: after the step, but for the average.
      config: section `optimizer`.
    """
    if state.average is None:
        return state
    num_updates = state.step // config.accumulate_steps
    decay = jnp.minimum(config.ema_decay, num_updates / (num_updates + 9))
    share = jnp.where(state.step % config.accumulate_steps == 0, 1 - decay, 0)

    def moved(average: Array, new: Array) -> Array:
        # Frozen weights stay exactly what they are.
        return average + (share * (new - average)).astype(average.dtype)

    return state.replace(average=jax.tree.map(moved, state.average, _what_is_averaged(state)))


def eval_step(
    variables: dict[str, PyTree],
    inputs: Mapping[str, Array],
    *,
    model: ClipModel,
    config: ConfigDict,
    temperature: float | None = None,
) -> Float[Array, "batch classes"]:
    """Returns the class probabilities of every view: means over crops evenly spaced along the side with more to spare.

    Args:
      variables: of the model.
      inputs: as the pipeline gives them (`jaxvid.data.pipeline.clip_inputs`).
      model: the network.
      config: of the run.
      temperature: by which their logarithms are divided after that (`jaxvid.calibration.tempered`); None for none.
    """

    def logits(place: float) -> Array:
        clips = preprocess(inputs["frames"], config.clip, place)
        return jnp.asarray(model.apply(variables, network_input(inputs, clips, model, config.audio), train=False))

    return _mean_probabilities([logits(place) for place in _crop_places(config)], temperature)


def embedding_step(
    variables: dict[str, PyTree],
    inputs: Mapping[str, Array],
    *,
    model: ClipModel,
    config: ConfigDict,
    temperature: float | None = None,
) -> tuple[Float[Array, "batch classes"], Float[Array, "batch embedding"]]:
    """Returns what `eval_step` does, and means over crops of the embeddings (`logits_and_embedding`)."""

    def outputs(place: float) -> tuple[Array, Array]:
        clips = preprocess(inputs["frames"], config.clip, place)
        return logits_and_embedding(model, variables, network_input(inputs, clips, model, config.audio))

    logits, embeddings = zip(*map(outputs, _crop_places(config)), strict=True)
    return _mean_probabilities(logits, temperature), jnp.stack(embeddings).mean(axis=0)


def stream_step(
    variables: dict[str, PyTree],
    frames: UInt8[Array, "frame height width 3"],
    *,
    model: ClipModel,
    config: ConfigDict,
) -> Float[Array, "frame crop feature"]:
    """Returns features of frames in a row (`ClipModel.stream_features`), of every crop that `eval_step` takes."""

    def features(place: float) -> Array:
        images = preprocess(frames[:, None], config.clip, place)[:, 0]
        return jnp.asarray(model.apply(variables, images, method="stream_features"), jnp.float32)

    return jnp.stack([features(place) for place in _crop_places(config)], axis=1)


def sequence_step(
    variables: dict[str, PyTree],
    inputs: Mapping[str, Array],
    *,
    model: ClipModel,
    config: ConfigDict,
    temperature: float | None = None,
) -> Float[Array, "batch classes"]:
    """Returns what `eval_step` does, given the features of the frames, which clips may share.

    The arguments are as there, but `inputs` has `features` instead of `frames`: of each clip the rows of `stream_step`
    that end on its frames, float32 (batch, time, crop, feature); none for the first `model.feature_span() - 1` frames.
    """

    def classify(module: Any, features: Array) -> Array:
        clips = network_input(inputs, features, model, config.audio)
        return module.classify(module.join(features, clips), train=False)

    crops = jnp.moveaxis(inputs["features"], 2, 0)
    logits = [jnp.asarray(model.apply(variables, crop, method=classify)) for crop in crops]
    return _mean_probabilities(logits, temperature)


def _crop_places(config: ConfigDict) -> list[float]:
    """Returns the places of the crops of a view, as `preprocess` takes them."""
    num_crops = config.eval.crops
    return [0.5] if num_crops == 1 else [i / (num_crops - 1) for i in range(num_crops)]


def _mean_probabilities(
    logits: Sequence[Float[Array, "batch classes"]], temperature: float | None
) -> Float[Array, "batch classes"]:
    """Returns the mean over crops, after the temperature if there is one."""
    probabilities = jax.nn.softmax(jnp.stack(logits)).mean(axis=0)
    if temperature is None:
        return probabilities
    return jax.nn.softmax(jnp.log(jnp.maximum(probabilities, SMALLEST)) / temperature)


def _sum_of_squared_kernels(params: PyTree) -> Float[Array, ""]:
    """Sums over convolution, dense and recurrent kernels, not over biases and normalization."""
    leaves = jax.tree_util.tree_leaves_with_path(params)
    kernels = [leaf for path, leaf in leaves if "kernel" in jax.tree_util.keystr(path[-1:])]
    return sum((jnp.square(kernel).sum() for kernel in kernels), jnp.zeros(()))
