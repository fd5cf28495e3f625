import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxvid.ops.pooling import max_pool


def one_image(rows):
    return jnp.asarray(rows, jnp.float32)[None, :, :, None]


IMAGE = one_image([[1, 2, 9], [3, 4, -1], [-5, -6, -7]])


def test_same_padding_keeps_smaller_blocks_at_the_end():
    assert max_pool(IMAGE, 2, "SAME")[0, :, :, 0].tolist() == [[4, 9], [-5, -7]]


def test_valid_padding_drops_smaller_blocks_at_the_end():
    assert max_pool(IMAGE, 2, "VALID")[0, :, :, 0].tolist() == [[4]]


@pytest.mark.parametrize(
    ("padding", "expected"),
    [("SAME", [[0, 0, 2], [0, 1, 0], [3, 0, 4]]), ("VALID", [[0, 0, 0], [0, 1, 0], [0, 0, 0]])],
)
def test_the_gradient_goes_to_the_maximum(padding, expected):
    pooled, gradient = jax.vjp(lambda x: max_pool(x, 2, padding), IMAGE)
    np.testing.assert_array_equal(pooled, max_pool(IMAGE, 2, padding))
    weights = jnp.arange(1, pooled.size + 1, dtype=jnp.float32).reshape(pooled.shape)
    assert gradient(weights)[0][0, :, :, 0].tolist() == expected


def test_equal_maxima_share_the_gradient():
    gradient = jax.grad(lambda x: max_pool(x, 2, "VALID").sum())(one_image([[5, 5], [5, 1]]))
    np.testing.assert_allclose(gradient[0, :, :, 0], [[1 / 3, 1 / 3], [1 / 3, 0]], rtol=1e-6)


def test_images_may_have_any_batch_dimensions():
    images = np.random.default_rng(0).standard_normal((2, 3, 4, 6, 5)).astype(np.float32)
    expected = images.reshape(2, 3, 2, 2, 3, 2, 5).max(axis=(3, 5))
    np.testing.assert_array_equal(max_pool(jnp.asarray(images), 2, "SAME"), expected)


def test_an_unknown_padding_is_refused_by_name():
    with pytest.raises(ValueError, match=r"'same'; allowed: VALID, SAME"):
        max_pool(IMAGE, 2, "same")
