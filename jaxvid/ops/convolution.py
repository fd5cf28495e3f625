"""Convolutions with channels last, over images and over clips: on the CPU fast ones, elsewhere XLA's own."""

import math
from collections.abc import Sequence
from functools import partial

import jax
from jaxtyping import Array, Float

from jaxvid.ops.convolution_cpu import ConvFn, Padding, native, on_cpu, without_gradients
from jaxvid.ops.platforms import by_platform


def convolve_clips(
    clips: Float[Array, "batch time height width channel"],
    kernel: Float[Array, "depth rows columns channel features"],
    strides: tuple[int, int, int] = (1, 1, 1),
) -> Float[Array, "batch out_time out_height out_width features"]:
    """A convolution over clips, padded with half the kernel on both sides of time, height and width.

    A kernel that spans only space is a 2D convolution over single frames, one that spans only time a 2D convolution
    over (time, height * width). The reshapes are free, and 2D is faster on the CPU: the forward pass of an R(2+1)D
    block took 121 ms, and 247 ms as two 3D convolutions.
    """
    depth, rows, columns, _, features = kernel.shape
    if depth == 1:
        frames = clips[:, :: strides[0]]
        images = frames.reshape(-1, *clips.shape[2:])
        outputs = convolve(images, kernel[0], strides[1:], _half(kernel.shape[1:3]))
        return outputs.reshape(*frames.shape[:2], *outputs.shape[1:])
    if rows == columns == 1:
        positions = clips[:, :, :: strides[1], :: strides[2]]
        sequences = positions.reshape(*clips.shape[:2], -1, clips.shape[-1])
        outputs = convolve(sequences, kernel[:, 0], (strides[0], 1), _half((depth, 1)))
        return outputs.reshape(clips.shape[0], -1, *positions.shape[2:4], features)
    return convolve(clips, kernel, strides, _half(kernel.shape[:3]))


def _half(kernel_size: Sequence[int]) -> Padding:
    """Returns the padding that keeps an odd kernel centered; 'SAME' does not with stride 2."""
    return tuple((size // 2, size // 2) for size in kernel_size)


def conv_general_dilated(
    inputs: Float[Array, "batch *space channel"],
    kernel: Float[Array, "*window in_channel features"],
    strides: Sequence[int],
    padding: str | Sequence[tuple[int, int]],
    *,
    lhs_dilation: Sequence[int],
    rhs_dilation: Sequence[int],
    dimension_numbers: jax.lax.ConvDimensionNumbers,
    feature_group_count: int,
    precision: jax.lax.PrecisionLike,
) -> Float[Array, "batch *out_space features"]:
    """`convolve` with the signature that flax.linen.Conv takes as `conv_general_dilated`.

    Dilated and grouped convolutions are computed by jax.lax.
    """
    if feature_group_count > 1 or math.prod(lhs_dilation) > 1 or math.prod(rhs_dilation) > 1:
        return jax.lax.conv_general_dilated(
            inputs, kernel, strides, padding, lhs_dilation, rhs_dilation, dimension_numbers, feature_group_count,
            precision=precision,
        )  # fmt: skip
    if isinstance(padding, str):
        padding = jax.lax.padtype_to_pads(inputs.shape[1:-1], kernel.shape[:-2], strides, padding)
    return convolve(inputs, kernel, tuple(strides), tuple((low, high) for low, high in padding))


def convolve(
    inputs: Float[Array, "batch *space channel"],
    kernel: Float[Array, "*window channel features"],
    strides: tuple[int, ...],
    padding: Padding,
) -> Float[Array, "batch *out_space features"]:
    """A convolution over one to three dimensions, each padded with zeros before and after it."""
    return _convolve(strides, padding, inputs, kernel)


@partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _convolve(strides: tuple[int, ...], padding: Padding, inputs: Array, kernel: Array) -> Array:
    return by_platform(
        inputs, kernel, cpu=partial(without_gradients, strides, padding), default=partial(native, strides, padding)
    )


def _convolve_forward(
    strides: tuple[int, ...], padding: Padding, inputs: Array, kernel: Array
) -> tuple[Array, tuple[Array, Array]]:
    outputs = by_platform(
        inputs, kernel, cpu=partial(on_cpu, strides, padding), default=partial(native, strides, padding)
    )
    return outputs, (inputs, kernel)


def _convolve_backward(
    strides: tuple[int, ...], padding: Padding, residuals: tuple[Array, Array], gradient: Array
) -> tuple[Array, Array]:
    # The gradients of each platform separately: those of `by_platform` would keep the residuals of both.
    def gradients(convolution: ConvFn, inputs: Array, kernel: Array, gradient: Array) -> tuple[Array, Array]:
        return jax.vjp(partial(convolution, strides, padding), inputs, kernel)[1](gradient)

    return by_platform(*residuals, gradient, cpu=partial(gradients, on_cpu), default=partial(gradients, native))


_convolve.defvjp(_convolve_forward, _convolve_backward)
