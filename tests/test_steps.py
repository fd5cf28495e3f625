import functools
import json
import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import optax
import pytest
from flax import linen as nn

from jaxvid import parallel
from jaxvid.config import base_config
from jaxvid.models.clip_model import ClipModel
from jaxvid.models.create import module_from_config
from jaxvid.models.freezing import HEAD
from jaxvid.steps import create_state, eval_step, initial_variables, train_step


class Linear(ClipModel):
    """Logits from a clip's mean red and green: small enough to calculate by hand."""

    @nn.compact
    def __call__(self, clips, *, train):
        return nn.Dense(2, use_bias=False)(clips.mean(axis=(1, 2, 3))[:, :2])


KERNEL = np.asarray([[1.0, -1.0], [0.5, 2.0]], np.float32)
# Mean red and green of two clips, of classes 0 and 1.
COLORS = np.asarray([[51, 102], [204, 255]], np.uint8)
FEATURES = COLORS / 255


def clips_of(colors):
    frames = np.zeros((len(colors), 1, 2, 2, 3), np.uint8)
    frames[..., :2] = colors[:, None, None, None]
    return frames


def small_config():
    config = base_config()
    config.clip.update(num_frames=1, height=2, width=2)
    return config


def one_step(config, class_weights=(1.0, 1.0)):
    """The figures of one SGD step of rate 1 from KERNEL, and the kernel after it."""
    model, optimizer = Linear(num_classes=2), optax.sgd(1.0)
    params = {"Dense_0": {"kernel": jnp.asarray(KERNEL)}}
    state = create_state({"params": params}, optimizer)

    def step(state, batch):
        return train_step(
            state,
            batch,
            model=model,
            optimizer=optimizer,
            labels={"Dense_0": {"kernel": HEAD}},
            class_weights=jnp.asarray(class_weights),
            config=config,
            axis_name=parallel.AXIS_NAME,
        )

    batch = {"frames": clips_of(COLORS), "label": np.asarray([0, 1], np.int32)}
    state, figures = parallel.over_devices(step)(state, parallel.shard_rows(batch))
    return jax.device_get(figures), np.asarray(state.params["Dense_0"]["kernel"]), int(state.step)


def softmax(logits):
    exponentials = np.exp(logits)
    return exponentials / exponentials.sum(-1, keepdims=True)


def by_hand(targets, weights):
    """Loss and kernel after a step of rate 1, from the gradient of cross-entropy: features^T (p - t)."""
    probabilities = softmax(FEATURES @ KERNEL)
    losses = -(targets * np.log(probabilities)).sum(-1)
    weights = np.asarray(weights) / np.sum(weights)
    gradient = FEATURES.T @ (weights[:, None] * (probabilities - targets))
    return (weights * losses).sum(), KERNEL - gradient, gradient


class CornerModel(ClipModel):
    """Logits 0 and the red of the top left pixel, in steps of 1 for 255."""

    def __call__(self, clips, *, train):
        return jnp.stack([jnp.zeros(len(clips)), clips[:, 0, 0, 0, 0]], axis=-1)


@pytest.mark.parametrize("upright", [False, True])
def test_crops_lie_along_the_longer_side_and_their_probabilities_are_averaged(upright):
    # Columns of red 0, 51, ..., 255; crops of 2x2 begin at columns 0, 2 and 4.
    frames = np.zeros((1, 1, 2, 6, 3), np.uint8)
    frames[..., 0] = np.arange(6) * 51
    frames = frames.swapaxes(2, 3) if upright else frames
    config = small_config()
    config.clip.crop = "center"
    step = functools.partial(
        eval_step, {}, {"frames": jnp.asarray(frames)}, model=CornerModel(num_classes=2), config=config
    )
    sigmoid = lambda x: 1 / (1 + np.exp(-x))  # noqa: E731
    np.testing.assert_allclose(step()[0, 1], sigmoid(0.4), rtol=1e-6)
    config.eval.crops = 3
    np.testing.assert_allclose(step()[0, 1], np.mean(sigmoid(np.asarray([0, 0.4, 0.8]))), rtol=1e-6)


def test_a_step_by_hand():
    figures, kernel, step = one_step(small_config())
    loss, expected, gradient = by_hand(np.eye(2), [1, 1])
    np.testing.assert_allclose(figures["loss"], loss, rtol=1e-5)
    np.testing.assert_allclose(kernel, expected, rtol=1e-5)
    np.testing.assert_allclose(figures["grad_norm"], np.linalg.norm(gradient), rtol=1e-5)
    # Logits are (0.4, 0.6) and (1.3, 1.2): both wrong.
    assert figures["accuracy"] == 0
    assert step == 1


def test_label_smoothing_by_hand():
    config = small_config()
    config.train.label_smoothing = 0.2
    figures, kernel, _ = one_step(config)
    loss, expected, _ = by_hand(np.asarray([[0.9, 0.1], [0.1, 0.9]]), [1, 1])
    np.testing.assert_allclose(figures["loss"], loss, rtol=1e-5)
    np.testing.assert_allclose(kernel, expected, rtol=1e-5)


def test_class_weights_by_hand():
    figures, kernel, _ = one_step(small_config(), class_weights=(3.0, 1.0))
    loss, expected, _ = by_hand(np.eye(2), [3, 1])
    np.testing.assert_allclose(figures["loss"], loss, rtol=1e-5)
    np.testing.assert_allclose(kernel, expected, rtol=1e-5)


def test_l2_pulls_kernels_down_and_is_not_in_the_reported_loss():
    config = small_config()
    config.train.l2 = 0.1
    figures, kernel, _ = one_step(config)
    loss, expected, _ = by_hand(np.eye(2), [1, 1])
    np.testing.assert_allclose(figures["loss"], loss, rtol=1e-5)
    np.testing.assert_allclose(kernel, expected - 2 * 0.1 * KERNEL, rtol=1e-5)


def test_evaluation_gives_probabilities_by_hand():
    variables = {"params": {"Dense_0": {"kernel": jnp.asarray(KERNEL)}}}
    probabilities = eval_step(
        variables, {"frames": jnp.asarray(clips_of(COLORS))}, model=Linear(num_classes=2), config=small_config()
    )
    np.testing.assert_allclose(probabilities, softmax(FEATURES @ KERNEL), rtol=1e-5)


@pytest.mark.parametrize("accumulate_steps", [1, 2])
def test_the_average_of_the_weights_by_hand(accumulate_steps):
    model, config = Linear(num_classes=2), small_config()
    config.optimizer.update(ema_decay=0.2, accumulate_steps=accumulate_steps)
    optimizer = optax.MultiSteps(optax.sgd(1.0), accumulate_steps).gradient_transformation()
    state = create_state({"params": {"Dense_0": {"kernel": jnp.asarray(KERNEL)}}}, optimizer, averages=True)
    step = parallel.over_devices(
        functools.partial(
            train_step,
            model=model,
            optimizer=optimizer,
            labels={"Dense_0": {"kernel": HEAD}},
            class_weights=jnp.ones(2),
            config=config,
            axis_name=parallel.AXIS_NAME,
        )
    )
    batch = parallel.shard_rows({"frames": clips_of(COLORS), "label": np.asarray([0, 1], np.int32)})
    expected = KERNEL
    # The decay of the n-th update is n / (n + 9), at most 0.2: 1/10, 2/11, then 0.2 instead of 3/12.
    for decay in (1 / 10, 2 / 11, 0.2):
        for _ in range(accumulate_steps):
            state, _ = step(state, batch)
        expected = decay * expected + (1 - decay) * np.asarray(state.params["Dense_0"]["kernel"])
        np.testing.assert_allclose(state.average["params"]["Dense_0"]["kernel"], expected, rtol=1e-5)
    np.testing.assert_array_equal(
        state.evaluated_variables["params"]["Dense_0"]["kernel"], state.average["params"]["Dense_0"]["kernel"]
    )
    assert not np.allclose(state.variables["params"]["Dense_0"]["kernel"], expected)


def pmapped(step):
    """`parallel.over_devices` written with jax.pmap; batches get an axis of devices."""
    mapped = jax.pmap(step, axis_name="data", in_axes=(None, 0), out_axes=None)

    def split(rows):
        return np.asarray(rows).reshape(jax.device_count(), -1, *rows.shape[1:])

    return lambda state, batch: mapped(state, jax.tree.map(split, batch))


def three_steps(over_devices=parallel.over_devices):
    """The figures of three steps, and the batch statistics and their average, from random clips over all devices."""
    config = base_config()
    config.clip.update(num_frames=3, height=32, width=32)
    config.augment.update(flip=True, min_scale=0.7, brightness=0.2, contrast=0.2, erasing=0.5, mixup=0.4, cutmix=1.0)
    config.train.l2 = 1e-4
    config.optimizer.ema_decay = 0.9
    config.model = ml_collections.ConfigDict({"name": "cnn_lstm", "num_classes": 2, "arch": "C4R1D3"})
    model = module_from_config(config.model, axis_name=parallel.AXIS_NAME)
    optimizer = optax.sgd(0.05)
    variables = initial_variables(model, config.clip, 0)
    state = parallel.replicate(create_state(variables, optimizer, averages=True))
    step = over_devices(
        functools.partial(
            train_step,
            model=model,
            optimizer=optimizer,
            labels=jax.tree.map(lambda _: HEAD, variables["params"]),
            class_weights=jnp.asarray([1.0, 2.0]),
            config=config,
            axis_name=parallel.AXIS_NAME,
        )
    )
    rng = np.random.default_rng(0)
    rows = []
    for _ in range(3):
        frames = rng.integers(0, 256, (8, 3, 32, 32, 3), np.uint8)
        batch = {"frames": frames, "label": rng.integers(0, 2, 8).astype(np.int32)}
        state, figures = step(state, parallel.shard_rows(batch))
        rows.append({name: float(value) for name, value in figures.items()})
    statistics = np.concatenate(
        [np.ravel(leaf) for leaf in jax.tree.leaves((state.model_state, state.average["batch_stats"]))]
    )
    return {"devices": jax.device_count(), "rows": rows, "statistics": statistics.tolist()}


@pytest.mark.slow
def test_one_device_four_devices_and_pmap_compute_the_same_numbers():
    """Batch norm, dropout, augmentation, mixing, class weights, the penalty and the moving average included."""
    command = (
        "import json; from tests.test_steps import pmapped, three_steps; "
        "print(json.dumps([three_steps(), three_steps(pmapped)]))"
    )
    flags = "--xla_force_host_platform_device_count=4 --xla_backend_optimization_level=0"
    environment = os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    done = subprocess.run([sys.executable, "-c", command], env=environment, capture_output=True, text=True, check=True)
    one, (four, pmap) = three_steps(), json.loads(done.stdout)
    assert (one["devices"], four["devices"]) == (1, 4)
    for row_of_one, row_of_four in zip(one["rows"], four["rows"], strict=True):
        assert row_of_one == pytest.approx(row_of_four, rel=2e-4)
    np.testing.assert_allclose(one["statistics"], four["statistics"], rtol=1e-3, atol=1e-5)
    # The same program: the numbers of pmap differ by rounding alone.
    for row_of_four, row_of_pmap in zip(four["rows"], pmap["rows"], strict=True):
        assert row_of_four == pytest.approx(row_of_pmap, rel=1e-5)
    np.testing.assert_allclose(four["statistics"], pmap["statistics"], rtol=1e-4, atol=1e-6)
