from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxvid.models.activations import family_coefficients
from jaxvid.models.convlstm import ConvLSTM, ConvLSTMLayer
from jaxvid.models.layers import Layers
from tests.tiny import random_variables


@partial(jax.jit, static_argnums=0, static_argnames="train")
def outputs_of(module, variables, inputs, *, train=False):
    return module.apply(variables, inputs, train=train, rngs={"dropout": jax.random.key(0)})


def layer_variables(channels, filters):
    rng = np.random.default_rng(1)
    kernel, recurrent_kernel, bias = (
        rng.standard_normal((*shape, 4 * filters)).astype(np.float32)
        for shape in [(3, 3, channels), (3, 3, filters), ()]
    )
    return {"params": {"input": {"kernel": kernel, "bias": bias}, "recurrent_kernel": recurrent_kernel}}


def test_parameters_are_those_of_the_paper():
    variables = jax.eval_shape(
        lambda key: ConvLSTM(num_classes=4).init(key, jnp.zeros((1, 20, 64, 64, 3)), train=False), jax.random.key(0)
    )
    assert sum(leaf.size for leaf in jax.tree.leaves(variables["params"])) == 44_524
    assert set(variables) == {"params"}


def keras_convlstm(frames, height, width, classes):
    """The network of the peer benchmark, written with Keras' layers."""
    from keras import Input, Sequential, layers

    model = Sequential([Input((frames, height, width, 3))])
    for filters in (4, 8, 14, 16):
        model.add(layers.ConvLSTM2D(filters, 3, activation="tanh", recurrent_dropout=0.2, return_sequences=True))
        model.add(layers.MaxPooling3D((1, 2, 2), padding="same"))
    model.add(layers.Flatten())
    model.add(layers.Dense(classes))
    return model


def test_weights_of_keras_give_its_outputs():
    clips = jnp.asarray(np.random.default_rng(0).random((2, 4, 32, 35, 3), np.float32))
    reference = keras_convlstm(4, 32, 35, 3)
    rng = np.random.default_rng(1)
    weights = [0.3 * rng.standard_normal(w.shape).astype(np.float32) for w in reference.get_weights()]
    reference.set_weights(weights)

    params = {}
    for i in range(4):
        kernel, recurrent_kernel, bias = weights[3 * i : 3 * i + 3]
        params[f"convlstm{i + 1}"] = {"input": {"kernel": kernel, "bias": bias}, "recurrent_kernel": recurrent_kernel}
    params["head"] = {"kernel": weights[-2], "bias": weights[-1]}
    logits = outputs_of(ConvLSTM(num_classes=3), {"params": params}, clips)

    expected = reference(np.asarray(clips), training=False)
    np.testing.assert_allclose(logits, expected, rtol=1e-5, atol=1e-5)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


@pytest.mark.parametrize("filters", [2, 14])
def test_recurrent_dropout_masks_the_state_for_each_gate_and_all_steps(filters, monkeypatch):
    steps, batch = 3, 2
    rng = np.random.default_rng(0)
    # Of 3x3 images a single output pixel is left, so a convolution of the state is a product with the kernel's center.
    images = rng.standard_normal((steps, batch, 3, 3, 1)).astype(np.float32)
    variables = layer_variables(channels=1, filters=filters)
    kernel, bias = variables["params"]["input"]["kernel"], variables["params"]["input"]["bias"]
    recurrent_kernel = variables["params"]["recurrent_kernel"]
    masks = (rng.random((batch, 1, 1, 4, filters)) < 0.5).astype(np.float32) * 2
    monkeypatch.setattr(ConvLSTMLayer, "_recurrent_dropout_masks", lambda self, state: jnp.asarray(masks))

    layer = ConvLSTMLayer(filters, recurrent_dropout_rate=0.5)
    outputs = outputs_of(layer, variables, jnp.asarray(images), train=True)

    cell = hidden = np.zeros((batch, filters))
    for step in range(steps):
        gates = images[step].reshape(batch, 9) @ kernel.reshape(9, 4 * filters) + bias
        for gate in range(4):
            columns = slice(gate * filters, (gate + 1) * filters)
            gates[:, columns] += (hidden * masks[:, 0, 0, gate]) @ recurrent_kernel[1, 1][:, columns]
        i, f, g, o = np.split(gates, 4, axis=-1)
        cell = sigmoid(f) * cell + sigmoid(i) * np.tanh(g)
        hidden = sigmoid(o) * np.tanh(cell)
        np.testing.assert_allclose(outputs[step, :, 0, 0], hidden, rtol=1e-4, atol=1e-5)


def test_recurrent_dropout_keeps_the_mean_and_only_in_training():
    layer = ConvLSTMLayer(8, recurrent_dropout_rate=0.2)
    masks = jax.jit(
        lambda key: layer.apply({}, jnp.zeros((4, 20, 20, 8)), rngs={"dropout": key}, method="_recurrent_dropout_masks")
    )(jax.random.key(0))
    np.testing.assert_allclose(np.unique(masks), [0, 1.25])
    np.testing.assert_allclose(masks.mean(), 1, atol=0.01)

    images = jnp.ones((3, 1, 5, 5, 2))
    variables = layer_variables(channels=2, filters=8)
    dry = outputs_of(layer, variables, images)
    np.testing.assert_array_equal(dry, outputs_of(ConvLSTMLayer(8), variables, images, train=True))
    assert not np.array_equal(dry, outputs_of(layer, variables, images, train=True))


@pytest.mark.parametrize(("rate", "filters"), [(0.0, 2), (0.5, 2), (0.5, 14)])
def test_gradients_are_those_of_a_loop_over_the_steps(rate, filters, monkeypatch):
    images = jnp.asarray(np.random.default_rng(0).standard_normal((3, 2, 6, 7, 1)), jnp.float32)
    masks = jnp.asarray(np.random.default_rng(1).random((2, 4, 5, 4, filters)) < 0.5, jnp.float32) * 2
    monkeypatch.setattr(ConvLSTMLayer, "_recurrent_dropout_masks", lambda self, state: masks)
    weights = jnp.cos(jnp.arange(3 * 2 * 4 * 5 * filters)).reshape(3, 2, 4, 5, filters)

    def convolution(x, kernel, padding):
        return jax.lax.conv_general_dilated(x, kernel, (1, 1), padding, dimension_numbers=("NHWC", "HWIO", "NHWC"))

    def loss_of_loop(params, images):
        cell = hidden = jnp.zeros((2, 4, 5, filters))
        loss = 0
        for image, weight in zip(images, weights, strict=True):
            gates = convolution(image, params["input"]["kernel"], "VALID") + params["input"]["bias"]
            kernels = jnp.split(params["recurrent_kernel"], 4, axis=-1)
            states = [hidden * (masks[..., gate, :] if rate else 1) for gate in range(4)]
            gates += jnp.concatenate([convolution(h, k, "SAME") for h, k in zip(states, kernels, strict=True)], axis=-1)
            i, f, g, o = jnp.split(gates, 4, axis=-1)
            cell = jax.nn.sigmoid(f) * cell + jax.nn.sigmoid(i) * jnp.tanh(g)
            hidden = jax.nn.sigmoid(o) * jnp.tanh(cell)
            loss += (hidden * weight).sum()
        return loss

    def loss_of_layer(params, images):
        layer = ConvLSTMLayer(filters, recurrent_dropout_rate=rate)
        return (layer.apply({"params": params}, images, train=True) * weights).sum()

    params = layer_variables(channels=1, filters=filters)["params"]
    found, expected = (
        jax.jit(jax.value_and_grad(loss, argnums=(0, 1)))(params, images) for loss in (loss_of_layer, loss_of_loop)
    )
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4), found, expected)


def test_the_forget_gate_starts_open():
    images = jnp.zeros((1, 1, 3, 3, 1))
    variables = jax.jit(lambda key: ConvLSTMLayer(2).init(key, images, train=False))(jax.random.key(0))
    assert variables["params"]["input"]["bias"].tolist() == [0, 0, 1, 1, 0, 0, 0, 0]


@pytest.mark.parametrize("name", ["relu", "celu"])
def test_sites_inside_the_scan_adapt(name):
    images = jnp.asarray(np.random.default_rng(0).standard_normal((3, 1, 6, 6, 2)), jnp.float32)
    adaptive = ConvLSTMLayer(4, Layers(name, adaptive=True))
    variables = random_variables(adaptive, images)
    coefficients = jnp.asarray(family_coefficients(name))
    variables["activations"] = jax.tree.map(lambda _: coefficients, variables["activations"])
    assert set(variables["activations"]) == {"candidate_activation", "output_activation"}
    expected = outputs_of(ConvLSTMLayer(4, Layers(name)), {"params": variables["params"]}, images)
    np.testing.assert_allclose(outputs_of(adaptive, variables, images), expected, rtol=1e-5, atol=1e-6)


def test_bfloat16_outputs_are_close_to_those_of_float32():
    images, variables = jnp.ones((2, 1, 5, 5, 2)), layer_variables(channels=2, filters=4)
    outputs = outputs_of(ConvLSTMLayer(4, Layers("tanh", dtype=jnp.bfloat16)), variables, images)
    assert outputs.dtype == jnp.bfloat16
    np.testing.assert_allclose(outputs.astype(jnp.float32), outputs_of(ConvLSTMLayer(4), variables, images), atol=0.05)


def test_logits_of_a_bfloat16_model_are_float32():
    model, clips = ConvLSTM(num_classes=2, dtype=jnp.bfloat16), jnp.zeros((1, 2, 32, 32, 3))
    logits, _ = jax.eval_shape(lambda key: model.init_with_output(key, clips, train=False), jax.random.key(0))
    assert logits.dtype == jnp.float32
