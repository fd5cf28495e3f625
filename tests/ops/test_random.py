import jax
import jax.numpy as jnp
import numpy as np

from jaxvid.models.layers import Dropout
from jaxvid.ops.random import row_keys


def test_keys_of_two_halves_of_a_batch_are_those_of_the_whole():
    key = jax.random.key(3)
    whole = jax.random.key_data(row_keys(key, 6, None))
    halves = jax.vmap(lambda _: jax.random.key_data(row_keys(key, 3, "half")), axis_name="half")(jnp.arange(2))
    np.testing.assert_array_equal(np.concatenate(halves), whole)
    assert len(np.unique(whole, axis=0)) == 6


def test_dropout_masks_of_two_halves_are_those_of_the_whole():
    x = jnp.ones((4, 50))
    rngs = {"dropout": jax.random.key(0)}
    whole = Dropout(0.3).apply({}, x, train=True, rngs=rngs)
    halves = jax.vmap(
        lambda part: Dropout(0.3, axis_name="half").apply({}, part, train=True, rngs=rngs), axis_name="half"
    )(x.reshape(2, 2, 50))
    np.testing.assert_array_equal(np.concatenate(halves), whole)


def test_dropout_zeroes_its_share_and_keeps_the_mean():
    x = jnp.ones((200, 200))
    dropped = np.asarray(Dropout(0.25).apply({}, x, train=True, rngs={"dropout": jax.random.key(0)}))
    assert set(np.unique(dropped)) == {0, np.float32(4 / 3)}
    np.testing.assert_allclose((dropped == 0).mean(), 0.25, atol=0.01)
    np.testing.assert_array_equal(Dropout(0.25).apply({}, x, train=False), x)
