import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxvid.ops.convolution import convolve


def normal(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape), jnp.float32)


def xla_convolution(inputs, kernel, strides, padding):
    space = "DHW"[-len(strides) :]
    return jax.lax.conv_general_dilated(
        inputs, kernel, strides, padding, dimension_numbers=(f"N{space}C", f"{space}IO", f"N{space}C")
    )


@pytest.mark.parametrize(
    ("inputs_shape", "kernel_shape", "strides", "padding"),
    [
        pytest.param((2, 7, 8, 20), (3, 3, 20, 40), (1, 1), ((1, 1), (1, 1)), id="many features"),
        pytest.param((2, 9, 8, 3), (7, 7, 3, 33), (2, 2), ((3, 3), (3, 3)), id="few channels, strided"),
        pytest.param((2, 9, 8, 3), (3, 3, 3, 33), (2, 2), ((0, 1), (1, 1)), id="colors, strided"),
        pytest.param((2, 6, 8, 3), (3, 3, 3, 4), (1, 1), ((1, 1), (1, 1)), id="pairs of columns"),
        pytest.param((2, 6, 8, 4), (3, 3, 4, 4), (1, 1), ((1, 1), (1, 1)), id="pairs of columns, not of colors"),
        pytest.param((2, 6, 8, 3), (3, 3, 3, 4), (2, 1), ((0, 1), (0, 0)), id="pairs of columns, no padding"),
        pytest.param((2, 6, 9, 3), (3, 2, 3, 4), (1, 1), ((0, 0), (0, 0)), id="pairs of columns, even kernel"),
        pytest.param((2, 6, 7, 3), (3, 3, 3, 4), (1, 1), ((1, 1), (1, 1)), id="an odd column left"),
        pytest.param((2, 9, 8, 3), (4, 2, 3, 5), (4, 2), ((1, 2), (0, 0)), id="windows side by side"),
        pytest.param((2, 9, 7, 3), (4, 2, 3, 5), (4, 2), ((0, 0), (0, 0)), id="windows side by side, some left"),
        pytest.param((2, 4, 15, 24), (3, 1, 24, 40), (2, 1), ((1, 1), (0, 0)), id="over time, strided"),
        pytest.param((2, 5, 15, 24), (3, 1, 24, 20), (2, 1), ((1, 0), (0, 0)), id="over time, strided, a frame left"),
        pytest.param((8, 9, 8, 3), (3, 3, 3, 5), (2, 2), ((1, 1), (0, 0)), id="many images, strided"),
        pytest.param((2, 4, 15, 24), (3, 1, 24, 40), (1, 1), ((1, 1), (0, 0)), id="over time"),
        pytest.param((2, 4, 15, 40), (3, 1, 40, 24), (1, 1), ((2, 1), (0, 0)), id="over time, fewer features"),
        pytest.param((2, 4, 15, 20), (3, 1, 20, 44), (1, 1), ((1, 1), (0, 0)), id="over time, many more features"),
        pytest.param((2, 6, 15, 20), (4, 1, 20, 24), (1, 1), ((0, 0), (0, 0)), id="over time, not padded"),
        pytest.param(
            (2, 6, 15, 20), (3, 1, 20, 24), (1, 1), ((3, 4), (0, 0)), id="over time, padded by more than it spans"
        ),
        pytest.param((2, 6, 15, 20), (3, 1, 20, 24), (1, 1), ((1, 1), (1, 1)), id="over time, padded over space"),
        pytest.param((2, 1, 15, 24), (3, 1, 24, 40), (1, 1), ((1, 1), (0, 0)), id="over time, of one frame"),
        pytest.param((8, 7, 9, 20), (3, 3, 20, 36), (1, 1), ((1, 1), (0, 1)), id="many images"),
        pytest.param((9, 7, 9, 36), (3, 2, 36, 32), (1, 1), ((2, 0), (0, 1)), id="many images, fewer features"),
        pytest.param((2, 2, 3, 20), (3, 5, 20, 33), (1, 1), ((1, 1), (2, 2)), id="smaller than the window"),
        pytest.param((2, 2, 2, 5), (3, 3, 5, 4), (2, 2), ((1, 1), (1, 1)), id="smaller than the window, strided"),
        pytest.param((2, 4, 5, 6, 18), (3, 3, 3, 18, 5), (2, 2, 2), ((1, 1),) * 3, id="3D"),
    ],
)
def test_convolution_and_its_gradients_are_those_of_xla(inputs_shape, kernel_shape, strides, padding):
    inputs, kernel = normal(0, *inputs_shape), normal(1, *kernel_shape)

    def outputs_and_gradients(function, inputs, kernel):
        alone = function(inputs, kernel, strides, padding)
        outputs, pull_back = jax.vjp(lambda x, k: function(x, k, strides, padding), inputs, kernel)
        return alone, outputs, pull_back(jnp.cos(jnp.arange(outputs.size)).reshape(outputs.shape))

    found = jax.jit(outputs_and_gradients, static_argnums=0)(convolve, inputs, kernel)
    expected = jax.jit(outputs_and_gradients, static_argnums=0)(xla_convolution, inputs, kernel)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4), found, expected)
