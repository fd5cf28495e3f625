import jax.numpy as jnp
import numpy as np
import pytest

from jaxvid.ops.depthwise import depthwise_conv


@pytest.mark.parametrize(("stride", "padding"), [(1, (1, 1)), (2, (0, 1))])
@pytest.mark.parametrize("size", [(6, 9), (7, 8)])
def test_depthwise_convolution_is_a_sum_over_each_window(stride, padding, size):
    rng = np.random.RandomState(0)
    x, kernel = rng.standard_normal((2, *size, 4)), rng.standard_normal((3, 3, 1, 4))
    padded = np.pad(x, ((0, 0), padding, padding, (0, 0)))
    rows, columns = ((n - 3) // stride + 1 for n in padded.shape[1:3])
    expected = np.zeros((2, rows, columns, 4))
    for row in range(rows):
        for column in range(columns):
            window = padded[:, row * stride :, column * stride :][:, :3, :3]
            expected[:, row, column] = np.einsum("nijc,ijc->nc", window, kernel[:, :, 0])
    x, kernel = jnp.asarray(x, jnp.float32), jnp.asarray(kernel, jnp.float32)
    np.testing.assert_allclose(depthwise_conv(x, kernel, stride=stride, padding=padding), expected, atol=1e-5)
