from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from jaxvid.models.layers import LSTM, BatchNorm


@pytest.mark.parametrize("reverse", [False, True])
def test_lstm_equals_keras(reverse):
    import keras

    inputs = np.random.default_rng(0).standard_normal((2, 7, 5)).astype(np.float32)
    reference = keras.layers.LSTM(6, return_sequences=True, go_backwards=reverse)
    expected = np.asarray(reference(inputs))
    kernel, recurrent_kernel, bias = reference.get_weights()
    bias = bias + np.random.default_rng(1).standard_normal(bias.shape).astype(np.float32)
    reference.set_weights([kernel, recurrent_kernel, bias])
    expected = np.asarray(reference(inputs))
    params = {"input": {"kernel": kernel, "bias": bias}, "recurrent_kernel": recurrent_kernel}
    outputs = np.asarray(LSTM(6, reverse=reverse).apply({"params": params}, jnp.asarray(inputs)))
    # Keras returns a reversed sequence in the order in which it was run.
    np.testing.assert_allclose(outputs[:, ::-1] if reverse else outputs, expected, atol=1e-6)


def test_the_forget_gate_starts_open():
    params = LSTM(3).init(jax.random.key(0), jnp.zeros((1, 2, 4)))["params"]
    np.testing.assert_array_equal(params["input"]["bias"], [0, 0, 0, 1, 1, 1, 0, 0, 0, 0, 0, 0])


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_batch_norm_is_that_of_flax(dtype):
    x = jnp.asarray(np.random.default_rng(0).normal(3, 2, (4, 5, 6)), dtype)

    def results(norm):
        variables = jax.tree.map(lambda v: v + 0.3, norm.init(jax.random.key(0), x, use_running_average=False))

        def apply(params, x):
            return norm.apply(variables | {"params": params}, x, use_running_average=False, mutable=["batch_stats"])

        gradients = jax.grad(lambda *a: (apply(*a)[0].astype(jnp.float32) ** 3).sum(), (0, 1))(variables["params"], x)
        return apply(variables["params"], x), gradients, norm.apply(variables, x, use_running_average=True)

    ours, flax = (results(kind(momentum=0.8, epsilon=1e-3, dtype=dtype)) for kind in (BatchNorm, nn.BatchNorm))
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(a.dtype, b.dtype), ours, flax)
    tolerance = 2e-2 if dtype == jnp.bfloat16 else 1e-5
    jax.tree.map(partial(np.testing.assert_allclose, rtol=tolerance, atol=1e-5), ours, flax)
