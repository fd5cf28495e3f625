import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from jaxvid.ops.convolution import conv_general_dilated, convolve, convolve_clips


def normal(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape), jnp.float32)


@pytest.mark.parametrize(
    ("window", "strides"),
    [
        *itertools.product([(1, 3, 3), (3, 1, 1), (1, 1, 1)], [(1, 1, 1), (2, 2, 2), (1, 2, 2)]),
        ((3, 3, 3), (2, 2, 2)),
        ((3, 7, 7), (1, 2, 2)),
    ],
)
def test_clips_are_convolved_with_symmetric_padding(window, strides):
    clips, kernel = normal(0, 2, 5, 8, 10, 4), normal(1, *window, 4, 6)

    outputs = convolve_clips(clips, kernel, strides)

    padded = np.pad(clips, [(0, 0), *((size // 2, size // 2) for size in window), (0, 0)])
    windows = np.lib.stride_tricks.sliding_window_view(padded, window, axis=(1, 2, 3))
    windows = windows[:, :: strides[0], :: strides[1], :: strides[2]]
    np.testing.assert_allclose(outputs, np.tensordot(windows, np.moveaxis(kernel, 3, 0), 4), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "options",
    [
        {"padding": "SAME"},
        {"padding": "VALID", "strides": (2, 1)},
        {"padding": "SAME", "strides": (2, 2)},
        {"kernel_dilation": 2},
        {"feature_group_count": 2},
    ],
    ids=str,
)
def test_flax_conv_gives_the_same_outputs_with_it(options):
    images = normal(0, 2, 9, 10, 6)
    conv = nn.Conv(4, (3, 3), conv_general_dilated=conv_general_dilated, **options)
    variables = conv.init(jax.random.key(0), images)
    expected = nn.Conv(4, (3, 3), **options).apply(variables, images)
    np.testing.assert_allclose(conv.apply(variables, images), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("features", [4, 40])
def test_other_platforms_use_the_convolution_and_gradients_of_xla(features):
    inputs, kernel = normal(0, 2, 4, 8, 3), normal(1, 3, 3, 3, features)

    def outputs_and_gradients(inputs, kernel):
        outputs, pull_back = jax.vjp(lambda x, k: convolve(x, k, (1, 1), ((1, 1), (1, 1))), inputs, kernel)
        return convolve(inputs, kernel, (1, 1), ((1, 1), (1, 1))), outputs, pull_back(outputs)

    program = jax.jit(outputs_and_gradients).trace(inputs, kernel).lower(lowering_platforms=("cuda",)).as_text()
    # One for the outputs alone, one for those with gradients, and one for each gradient.
    assert program.count("stablehlo.convolution") == 4
    assert "dot_general" not in program
    assert "stablehlo.pad" not in program


def test_outputs_and_gradients_of_bfloat16_are_bfloat16():
    inputs, kernel = (normal(i, *s).astype(jnp.bfloat16) for i, s in enumerate([(1, 4, 4, 3), (3, 3, 3, 2)]))
    outputs, gradients = jax.vjp(lambda x, k: convolve(x, k, (1, 1), ((1, 1), (1, 1))), inputs, kernel)
    alone = convolve(inputs, kernel, (1, 1), ((1, 1), (1, 1)))
    assert {alone.dtype, outputs.dtype, *(g.dtype for g in gradients(outputs))} == {jnp.dtype(jnp.bfloat16)}
