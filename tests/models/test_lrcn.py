from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxvid.models.lrcn import LRCN
from tests.tiny import random_variables


@partial(jax.jit, static_argnums=0, static_argnames="train")
def logits_of(model, variables, clips, *, train=False, seed=0):
    return model.apply(variables, clips, train=train, rngs={"dropout": jax.random.key(seed)})


def test_parameters_are_those_of_the_paper():
    variables = jax.eval_shape(
        lambda key: LRCN(num_classes=4).init(key, jnp.zeros((1, 20, 64, 64, 3)), train=False), jax.random.key(0)
    )
    assert sum(leaf.size for leaf in jax.tree.leaves(variables["params"])) == 73_060
    assert set(variables) == {"params"}


def keras_lrcn(frames, size, classes):
    """The network of the peer benchmark, written with Keras' layers."""
    from keras import Input, Sequential, layers

    model = Sequential([Input((frames, size, size, 3))])
    for filters, pool in ((16, 4), (32, 4), (64, 2), (64, 2)):
        model.add(layers.TimeDistributed(layers.Conv2D(filters, 3, padding="same", activation="relu")))
        model.add(layers.TimeDistributed(layers.MaxPooling2D(pool)))
    model.add(layers.TimeDistributed(layers.Flatten()))
    model.add(layers.LSTM(32))
    model.add(layers.Dense(classes))
    return model


def test_weights_of_keras_give_its_outputs():
    clips = jnp.asarray(np.random.default_rng(0).random((2, 5, 64, 64, 3), np.float32))
    reference = keras_lrcn(5, 64, 3)
    rng = np.random.default_rng(1)
    weights = [0.3 * rng.standard_normal(w.shape).astype(np.float32) for w in reference.get_weights()]
    reference.set_weights(weights)

    pairs = iter(weights)
    params = {f"conv{i + 1}": {"kernel": next(pairs), "bias": next(pairs)} for i in range(4)}
    kernel, recurrent_kernel, bias, head_kernel, head_bias = pairs
    params["lstm"] = {"input": {"kernel": kernel, "bias": bias}, "recurrent_kernel": recurrent_kernel}
    params["head"] = {"kernel": head_kernel, "bias": head_bias}
    logits = logits_of(LRCN(num_classes=3), {"params": params}, clips)

    expected = reference(np.asarray(clips), training=False)
    np.testing.assert_allclose(logits, expected, rtol=1e-5, atol=1e-5)


def test_dropout_acts_in_training_only():
    model, clips = LRCN(num_classes=2), jnp.ones((1, 1, 64, 64, 3))
    variables = random_variables(model, clips)
    logits = [logits_of(model, variables, clips, train=True, seed=seed) for seed in (1, 1, 2)]
    np.testing.assert_array_equal(logits[0], logits[1])
    assert not np.array_equal(logits[0], logits[2])


def test_every_convolution_is_followed_by_a_site():
    variables = jax.eval_shape(
        lambda key: LRCN(num_classes=2, activation="celu", adaptive=True).init(
            key, jnp.zeros((1, 2, 64, 64, 3)), train=False
        ),
        jax.random.key(0),
    )
    assert set(variables["activations"]) == {"activation1", "activation2", "activation3", "activation4"}


def test_frames_too_small_for_the_pools_are_refused():
    with pytest.raises(ValueError, match="at least 64x64, not 32x64"):
        LRCN(num_classes=2).init(jax.random.key(0), jnp.zeros((1, 2, 32, 64, 3)), train=False)


@pytest.mark.slow
def test_bfloat16_computes_and_returns_float32():
    model, clips = LRCN(num_classes=2, dtype=jnp.bfloat16), jnp.ones((1, 1, 64, 64, 3))
    variables = random_variables(model, clips)
    logits = logits_of(model, variables, clips)
    assert logits.dtype == jnp.float32
    np.testing.assert_allclose(logits, logits_of(LRCN(num_classes=2), variables, clips), atol=0.05)
