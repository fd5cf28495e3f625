import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxvid.models.layers import LSTM


@pytest.mark.parametrize("reverse", [False, True])
def test_gradients_of_an_lstm_equal_those_of_keras(reverse):
    import keras
    import tensorflow as tf

    rng = np.random.default_rng(0)
    inputs, weights = (rng.standard_normal(shape).astype(np.float32) for shape in ((2, 7, 5), (2, 7, 6)))
    reference = keras.layers.LSTM(6, return_sequences=True, go_backwards=reverse)
    with tf.GradientTape() as tape:
        outputs = reference(inputs)
        loss = tf.reduce_sum((outputs[:, ::-1] if reverse else outputs) * weights)
    expected = tape.gradient(loss, [variable.value for variable in reference.trainable_weights])
    kernel, recurrent_kernel, bias = reference.get_weights()
    params = {"input": {"kernel": kernel, "bias": bias}, "recurrent_kernel": recurrent_kernel}

    @jax.jit
    def gradients(params):
        def loss(params):
            return (LSTM(6, reverse=reverse).apply({"params": params}, jnp.asarray(inputs)) * weights).sum()

        return jax.grad(loss)(params)

    found = gradients(params)
    of_ours = found["input"]["kernel"], found["recurrent_kernel"], found["input"]["bias"]
    for ours, theirs in zip(of_ours, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)
