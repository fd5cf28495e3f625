import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxvid.models.layers import LSTM


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
