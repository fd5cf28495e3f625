"""Convolutions with channels last, over images and over clips, as the networks here compute them.

On the CPU, XLA's gradient of a convolution with respect to its kernel is slow: of a 3x3 convolution of 64 to 144 planes
over 16 frames of 56x56 it took 770 ms on two cores, where its forward pass took 168 ms and the sum of matrix products
below 117 ms. Its 3D convolutions are slower yet. On other platforms everything is XLA's own.
"""

import functools
import itertools
import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

Padding = tuple[tuple[int, int], ...]
Way = Callable[[tuple[int, ...], Padding, Array, Array], Any]
_FEW_CHANNELS = 16
_FEW_FEATURES = 32
_COLOURS = 3
_SMALL_WINDOW = 9
_SMALL_SIDE = 4


def convolve_clips(
    clips: Float[Array, "batch time height width channel"],
    kernel: Float[Array, "depth rows columns channel features"],
    strides: tuple[int, int, int] = (1, 1, 1),
) -> Float[Array, "batch out_time out_height out_width features"]:
    """A convolution over clips, padded with half the kernel on both sides of time, height and width.

    A kernel that spans only space is a 2D convolution over single frames, one that spans only time a 2D convolution
    over (time, height * width). Both are free reshapes, and faster on the CPU: the forward pass of an R(2+1)D block
    took 121 ms, and 247 ms as two 3D convolutions.
    """
    depth, rows, columns, _, features = kernel.shape
    if depth == 1:
        frames = clips[:, :: strides[0]]
        images = frames.reshape(-1, *clips.shape[2:])
        outputs = convolve(images, kernel[0], strides[1:], _half(kernel.shape[1:3]))
        return outputs.reshape(*frames.shape[:2], *outputs.shape[1:])
    if rows == columns == 1:
        places = clips[:, :, :: strides[1], :: strides[2]]
        sequences = places.reshape(*clips.shape[:2], -1, clips.shape[-1])
        outputs = convolve(sequences, kernel[:, 0], (strides[0], 1), _half((depth, 1)))
        return outputs.reshape(clips.shape[0], -1, *places.shape[2:4], features)
    return convolve(clips, kernel, strides, _half(kernel.shape[:3]))


def _half(kernel_size: Sequence[int]) -> Padding:
    """The padding that keeps an odd kernel centred; 'SAME' would not with stride 2."""
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
    precision: Any,
) -> Float[Array, "batch *out_space features"]:
    """`convolve`, to be given to flax.linen.Conv as `conv_general_dilated`.

    What it does not do (dilation, groups) goes to jax.lax.
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
    """A convolution over one to three dimensions, with zeros before and after each as `padding` says."""
    return _convolve(strides, padding, inputs, kernel)


@partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _convolve(strides: tuple[int, ...], padding: Padding, inputs: Array, kernel: Array) -> Array:
    return jax.lax.platform_dependent(
        inputs, kernel, cpu=partial(_without_gradients, strides, padding), default=partial(_native, strides, padding)
    )


def _convolve_forward(
    strides: tuple[int, ...], padding: Padding, inputs: Array, kernel: Array
) -> tuple[Array, tuple[Array, Array]]:
    outputs = jax.lax.platform_dependent(
        inputs, kernel, cpu=partial(_on_cpu, strides, padding), default=partial(_native, strides, padding)
    )
    return outputs, (inputs, kernel)


def _convolve_backward(
    strides: tuple[int, ...], padding: Padding, residuals: tuple[Array, Array], gradient: Array
) -> tuple[Array, Array]:
    # Each platform's gradients apart: those of the choice itself would keep what either needs.
    def gradients(way: Way, inputs: Array, kernel: Array, gradient: Array) -> tuple[Array, Array]:
        return jax.vjp(partial(way, strides, padding), inputs, kernel)[1](gradient)

    return jax.lax.platform_dependent(
        *residuals, gradient, cpu=partial(gradients, _on_cpu), default=partial(gradients, _native)
    )


_convolve.defvjp(_convolve_forward, _convolve_backward)


def _native(strides: tuple[int, ...], padding: Padding, inputs: Array, kernel: Array) -> Array:
    space = "DHW"[-len(strides) :]
    return jax.lax.conv_general_dilated(
        inputs, kernel, strides, padding, dimension_numbers=(f"N{space}C", f"{space}IO", f"N{space}C")
    )


def _without_gradients(strides: tuple[int, ...], padding: Padding, inputs: Array, kernel: Array) -> Array:
    """What is fastest on the CPU where nothing asks for gradients; `_on_cpu` is for where something does."""
    *window, channels, _ = kernel.shape
    few_terms = len(window) == 2 and channels <= _COLOURS and math.prod(window) <= _SMALL_WINDOW
    return (_sum_of_terms if few_terms else _on_cpu)(strides, padding, inputs, kernel)


def _sum_of_terms(strides: tuple[int, ...], padding: Padding, inputs: Array, kernel: Array) -> Array:
    """A 2D convolution as a sum of one product for each element of the window and each channel.

    XLA makes one loop of it: 3x3 from 3 to 16 planes over 80 images of 64x64 took 10 ms, and 21 as pairs of columns;
    from 3 to 32 planes over 4 images of 224x224 with stride 2, 3.3 ms and 9. In training it would do so again in every
    loop that reads the outputs: a step of LRCN took 106 ms, not 74.
    """
    window, channels = kernel.shape[:-2], kernel.shape[-2]
    padded = jnp.pad(inputs, ((0, 0), *padding, (0, 0))).astype(jnp.float32)
    extents = _extents(padded, window, strides)
    terms = (
        _met_by(element, padded, extents, strides)[..., channel, None] * kernel[element][channel].astype(jnp.float32)
        for element in itertools.product(*map(range, window))
        for channel in range(channels)
    )
    return functools.reduce(jnp.add, terms).astype(inputs.dtype)


def _on_cpu(strides: tuple[int, ...], padding: Padding, inputs: Array, kernel: Array) -> Array:
    return _fastest_on_cpu(strides, padding, inputs.shape[1:-1], kernel.shape)(strides, padding, inputs, kernel)


def _fastest_on_cpu(
    strides: tuple[int, ...], padding: Padding, sides: tuple[int, ...], kernel_shape: tuple[int, ...]
) -> Way:
    *window, _, features = kernel_shape
    if len(window) == 3:
        return _joined_frames
    if len(window) == 2 and strides == tuple(window) and math.prod(window) > 1:
        return _blocks
    if max(sides) <= _SMALL_SIDE or any(side < size for side, size in zip(sides, window, strict=True)):
        return _products
    if len(window) == 2 and strides[1] == 1 and features < _FEW_FEATURES:
        out_width = sides[1] + sum(padding[1]) - window[1] + 1
        if out_width % 2 == 0:
            return _pairs_of_columns
    return _whole


def _blocks(strides: tuple[int, ...], padding: Padding, inputs: Array, kernel: Array) -> Array:
    """A 2D convolution whose windows lie side by side, as one matrix product over blocks.

    4x2 blocks of 16 spectrograms of 1001x64, 1 to 16 planes, took 3 ms, and 8 ms with its gradients.
    """
    del strides  # Those of the window.
    rows, columns, channels, features = kernel.shape
    padded = jnp.pad(inputs, ((0, 0), *padding, (0, 0)))
    height, width = padded.shape[1] // rows, padded.shape[2] // columns
    whole = padded[:, : height * rows, : width * columns]
    blocks = whole.reshape(-1, height, rows, width, columns, channels).swapaxes(2, 3)
    flat = blocks.reshape(-1, height, width, rows * columns * channels)
    return flat @ kernel.reshape(rows * columns * channels, features)


def _pairs_of_columns(strides: tuple[int, ...], padding: Padding, inputs: Array, kernel: Array) -> Array:
    """A 2D convolution of few features that computes two columns of its output at a time, as twice the features.

    XLA's fast convolution on the CPU wants 32 features: 3 to 16 planes over 80 images of 64x64 took 46 ms, so 12 ms.
    """
    rows, columns, channels, features = kernel.shape
    pairs = columns // 2 + 1
    left, right = padding[1]
    widened = jnp.pad(inputs, ((0, 0), (0, 0), (left, right + (inputs.shape[2] + left + right) % 2), (0, 0)))
    paired = widened.reshape(*widened.shape[:2], -1, 2 * channels)
    # The second column of a pair meets the same kernel one column further to the right.
    shifted = [jnp.pad(kernel, ((0, 0), (q, 2 * pairs - columns - q), (0, 0), (0, 0))) for q in (0, 1)]
    paired_kernel = jnp.stack([k.reshape(rows, pairs, 2 * channels, features) for k in shifted], axis=3)
    outputs: Array = _whole(
        strides, (padding[0], (0, 0)), paired, paired_kernel.reshape(rows, pairs, 2 * channels, 2 * features)
    )
    return outputs.reshape(*outputs.shape[:2], -1, features)


def _products(strides: tuple[int, ...], padding: Padding, inputs: Array, kernel: Array) -> Array:
    """A convolution of small inputs, as one matrix product for each element of the window.

    XLA has no fast convolution for these on the CPU: 3x3, 512 to 512 planes over 64 images of 2x2 took 1014 ms, and
    20 ms so. For 4x4 it depends on what XLA makes of the layers around: inference of LRCN took 18 ms, not 21, and
    training of r2plus1d_18 at 64x64 1620 ms, not 1730, but its inference 420 ms, not 400.
    """
    window = kernel.shape[:-2]
    padded = jnp.pad(inputs, ((0, 0), *padding, (0, 0)))
    extents = _extents(padded, window, strides)

    elements = itertools.product(*map(range, window))
    return functools.reduce(
        jnp.add, (_met_by(element, padded, extents, strides) @ kernel[element] for element in elements)
    )


def _extents(padded: Array, window: Sequence[int], strides: Sequence[int]) -> list[int]:
    """How far the places that one element of the window meets reach, for each dimension of space."""
    sides = zip(padded.shape[1:-1], window, strides, strict=True)
    return [(side - size) // stride * stride + 1 for side, size, stride in sides]


def _met_by(element: tuple[int, ...], padded: Array, extents: Sequence[int], strides: tuple[int, ...]) -> Array:
    """The padded inputs that an element of the window meets, one for each place of the output."""
    where = zip(element, extents, strides, strict=True)
    return padded[:, *(slice(start, start + extent, stride) for start, extent, stride in where)]


def _joined_frames(strides: tuple[int, ...], padding: Padding, clips: Array, kernel: Array) -> Array:
    """A 3D convolution as a 2D one over frames to which the planes of those before and after are joined.

    The 3x7x7 stem of a Video ResNet over 16 frames of 112x112 took 465 ms as a 3D convolution and its gradients a
    minute, and 29 ms and 0.3 s so.
    """
    depth, rows, columns, channels, features = kernel.shape
    padded = jnp.pad(clips, ((0, 0), padding[0], (0, 0), (0, 0), (0, 0)))
    out_time = (padded.shape[1] - depth) // strides[0] + 1
    extent = (out_time - 1) * strides[0] + 1
    joined = jnp.concatenate([padded[:, i : i + extent : strides[0]] for i in range(depth)], axis=-1)
    outputs = _on_cpu(
        strides[1:],
        padding[1:],
        joined.reshape(-1, *joined.shape[2:]),
        jnp.moveaxis(kernel, 0, 2).reshape(rows, columns, depth * channels, features),
    )
    return outputs.reshape(clips.shape[0], out_time, *outputs.shape[1:])


@partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _whole(strides: tuple[int, ...], padding: Padding, inputs: Array, kernel: Array) -> Array:
    """XLA's convolution with gradients of our own."""
    return _native(strides, padding, inputs, kernel)


def _whole_forward(
    strides: tuple[int, ...], padding: Padding, inputs: Array, kernel: Array
) -> tuple[Array, tuple[Array, Array]]:
    return _whole(strides, padding, inputs, kernel), (inputs, kernel)


def _whole_backward(
    strides: tuple[int, ...], padding: Padding, residuals: tuple[Array, Array], gradient: Array
) -> tuple[Array, Array]:
    inputs, kernel = residuals
    kernel_gradient = _kernel_gradient_by_products(kernel.shape[:-2], strides, padding, inputs, gradient)
    if math.prod(strides) > 1:
        (inputs_gradient,) = jax.vjp(lambda inputs: _native(strides, padding, inputs, kernel), inputs)[1](gradient)
        return inputs_gradient, kernel_gradient
    # XLA would turn the kernel round in the dimension numbers, for which, inside a scan, it has only slow code.
    turned = jnp.flip(kernel, range(kernel.ndim - 2)).swapaxes(-1, -2)
    complement = tuple(
        (size - 1 - low, size - 1 - high) for size, (low, high) in zip(kernel.shape, padding, strict=False)
    )
    return _native(strides, complement, gradient, turned), kernel_gradient


_whole.defvjp(_whole_forward, _whole_backward)


def _kernel_gradient_by_products(
    window: tuple[int, ...], strides: tuple[int, ...], padding: Padding, inputs: Array, gradient: Array
) -> Array:
    """The gradient with respect to the kernel as matrix products.

    An element of the kernel gets the products of the output's gradient and the inputs that it meets, summed over all
    places. Where the input has few channels, a row of the kernel is one product, for an element alone makes a poor one.
    """
    channels, features = inputs.shape[-1], gradient.shape[-1]
    padded = jnp.pad(inputs, ((0, 0), *padding, (0, 0)))
    extents = _extents(padded, window, strides)

    flat_gradient = gradient.reshape(-1, features)
    elements = list(itertools.product(*map(range, window)))
    joined = window[-1] if channels < _FEW_CHANNELS else 1
    products = []
    for first in range(0, len(elements), joined):
        met = jnp.concatenate(
            [_met_by(element, padded, extents, strides) for element in elements[first : first + joined]], axis=-1
        )
        products.append(met.reshape(-1, joined * channels).T @ flat_gradient)
    return jnp.concatenate(products).reshape(*window, channels, features)
