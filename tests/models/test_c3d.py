from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxvid.models.c3d import C3D
from tests.tiny import random_variables

SMALL = {"filters": (3, 4, 5, 6, 7), "dense": (9, 8)}


@partial(jax.jit, static_argnums=0, static_argnames="train")
def logits_of(model, variables, clips, *, train=False, seed=0):
    return model.apply(variables, clips, train=train, rngs={"dropout": jax.random.key(seed)})


def keras_c3d(time, size, classes):
    """The network in Keras' layers, with the filters of SMALL; what is left over at the end of a pool is a block."""
    from keras import Input, Sequential, layers

    model = Sequential([Input((time, size, size, 3))])
    for group, (filters, count) in enumerate(zip(SMALL["filters"], (1, 1, 2, 2, 2), strict=True)):
        for _ in range(count):
            model.add(layers.Conv3D(filters, 3, padding="same", activation="relu"))
        model.add(layers.MaxPooling3D((1 if group == 0 else 2, 2, 2), padding="same"))
    model.add(layers.Flatten())
    for width in SMALL["dense"]:
        model.add(layers.Dense(width, activation="relu"))
    model.add(layers.Dense(classes))
    return model


# 28 pixels are 14, 7, 4, 2 and 1 after the pools, where 112 are 56, 28, 14, 7 and 4; 6 frames are 6, 3, 2, 1 and 1.
def test_weights_of_keras_give_its_outputs():
    time, size = 6, 28
    clips = jnp.asarray(np.random.default_rng(0).random((2, time, size, size, 3), np.float32))
    reference = keras_c3d(time, size, 3)
    rng = np.random.default_rng(1)
    weights = [0.3 * rng.standard_normal(w.shape).astype(np.float32) for w in reference.get_weights()]
    reference.set_weights(weights)
    pairs = iter(weights)
    names = ["conv1", "conv2", "conv3a", "conv3b", "conv4a", "conv4b", "conv5a", "conv5b", "dense1", "dense2", "head"]
    params = {name: {"kernel": next(pairs), "bias": next(pairs)} for name in names}
    logits = logits_of(C3D(num_classes=3, **SMALL), {"params": params}, clips)
    expected = np.asarray(reference(np.asarray(clips), training=False))
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())


def test_the_maps_of_clips_as_published_are_4_by_4():
    variables = jax.eval_shape(
        lambda: C3D(num_classes=101).init(jax.random.key(0), jnp.zeros((1, 16, 112, 112, 3)), train=False)
    )
    assert variables["params"]["dense1"]["kernel"].shape == (8192, 4096)


def test_dropout_acts_in_training_only():
    model, clips = C3D(num_classes=2, **SMALL), jnp.ones((1, 2, 16, 16, 3))
    variables = random_variables(model, clips)
    logits = [logits_of(model, variables, clips, train=True, seed=seed) for seed in (1, 1, 2)]
    np.testing.assert_array_equal(logits[0], logits[1])
    assert not np.array_equal(logits[0], logits[2])
    np.testing.assert_array_equal(logits_of(model, variables, clips), logits_of(model, variables, clips, seed=1))


def test_every_layer_but_the_last_has_a_site():
    model = C3D(num_classes=2, activation="celu", adaptive=True, **SMALL)
    shapes = jax.eval_shape(lambda: model.init(jax.random.key(0), jnp.zeros((1, 2, 16, 16, 3)), train=False))
    sites = {"activation1", "activation2", *(f"activation{group}{half}" for group in (3, 4, 5) for half in "ab")}
    assert set(shapes["activations"]) == sites | {"dense_activation1", "dense_activation2"}


@pytest.mark.parametrize("filters", [(1, 2, 3), (1, 2, 3, 4, 0)])
def test_other_numbers_of_filters_are_refused(filters):
    with pytest.raises(ValueError, match=r"filters is .*; allowed: 5 numbers above 0"):
        C3D(num_classes=2, filters=filters)
