"""Convolutions for the CPU, with channels last, over images and over clips.

On the CPU, XLA's 3D convolutions are slow, and so are some 2D ones and their gradients, above all inside a scan: a
training step of ConvLSTM took 4 s, and 0.4 s with the gradients here. Times are measured on two cores, with the
compiler options of `jaxvid.parallel`.
"""

import functools
import itertools
import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

Padding = tuple[tuple[int, int], ...]
ConvFn = Callable[[tuple[int, ...], Padding, Array, Array], Any]
_FEW_FEATURES = 32
_COLORS = 3
_SMALL_WINDOW = 9
_FEW_CHANNELS = 16
_MANY_IMAGES = 8


def native(
    strides: tuple[int, ...], padding: Padding, inputs: Array, kernel: Array, dilation: tuple[int, ...] | None = None
) -> Array:
    """XLA's own convolution and gradients."""
    space = "DHW"[-len(strides) :]
    dimensions = (f"N{space}C", f"{space}IO", f"N{space}C")
    return jax.lax.conv_general_dilated(
        inputs, kernel, strides, padding, rhs_dilation=dilation, dimension_numbers=dimensions
    )


def without_gradients(strides: tuple[int, ...], padding: Padding, inputs: Array, kernel: Array) -> Array:
    """The fastest convolution on the CPU without gradients; see `on_cpu` for the one with gradients."""
    *window, channels, _ = kernel.shape
    few_terms = len(window) == 2 and channels <= _COLORS and math.prod(window) <= _SMALL_WINDOW
    return (_sum_of_terms if few_terms else on_cpu)(strides, padding, inputs, kernel)


def _sum_of_terms(strides: tuple[int, ...], padding: Padding, inputs: Array, kernel: Array) -> Array:
    """A 2D convolution as a sum of one product for each element of the window and each channel.

    XLA fuses it into one loop: 3x3 from 3 to 16 channels over 80 images of 64x64 took 6 ms, and 11 ms as pairs of
    columns. In training, XLA would compute it again in every loop that reads the outputs: a step of LRCN took
    106 ms, not 74 ms.
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


def on_cpu(strides: tuple[int, ...], padding: Padding, inputs: Array, kernel: Array) -> Array:
    """The fastest convolution on the CPU whose gradients are fast too."""
    return _fastest_on_cpu(strides, padding, inputs.shape[1:-1], kernel.shape)(strides, padding, inputs, kernel)


def _fastest_on_cpu(
    strides: tuple[int, ...], padding: Padding, sides: tuple[int, ...], kernel_shape: tuple[int, ...]
) -> ConvFn:
    *window, _, features = kernel_shape
    if len(window) == 3:
        return _joined_frames
    if len(window) == 2 and strides == tuple(window) and math.prod(window) > 1:
        return _blocks
    if any(side < size for side, size in zip(sides, window, strict=True)):
        return _product
    if len(window) == 2 and strides[1] == 1 and features < _FEW_FEATURES:
        out_width = sides[1] + sum(padding[1]) - window[1] + 1
        if out_width % 2 == 0:
            return _pairs_of_columns
    return _whole


def _blocks(strides: tuple[int, ...], padding: Padding, inputs: Array, kernel: Array) -> Array:
    """A 2D convolution whose windows lie side by side, as one matrix product over blocks.

    4x2 blocks of 16 spectrograms of 1001x64, 1 to 16 channels, took 3 ms, and 8 ms with its gradients.
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

    3 to 16 channels over 80 images of 64x64 took 11 ms instead of 17 ms.
    """
    rows, columns, channels, features = kernel.shape
    pairs = columns // 2 + 1
    left, right = padding[1]
    widened = jnp.pad(inputs, ((0, 0), (0, 0), (left, right + (inputs.shape[2] + left + right) % 2), (0, 0)))
    paired = widened.reshape(*widened.shape[:2], -1, 2 * channels)
    # The second column of a pair has the same kernel, one column further to the right.
    shifted = [jnp.pad(kernel, ((0, 0), (q, 2 * pairs - columns - q), (0, 0), (0, 0))) for q in (0, 1)]
    paired_kernel = jnp.stack([k.reshape(rows, pairs, 2 * channels, features) for k in shifted], axis=3)
    outputs: Array = _whole(
        strides, (padding[0], (0, 0)), paired, paired_kernel.reshape(rows, pairs, 2 * channels, 2 * features)
    )
    return outputs.reshape(*outputs.shape[:2], -1, features)


def _product(strides: tuple[int, ...], padding: Padding, inputs: Array, kernel: Array) -> Array:
    """A convolution of inputs smaller than the window, as one matrix product.

    XLA has no fast convolution for these on the CPU: 3x3, 512 to 512 channels over 64 images of 2x2 took 13 ms, not
    410 ms. Elements of the window that only meet padding are left out: of clips of one frame, two of three over time.
    """
    window, sides = kernel.shape[:-2], inputs.shape[1:-1]
    padded = jnp.pad(inputs, ((0, 0), *padding, (0, 0)))
    extents = _extents(padded, window, strides)
    meeting = [
        [i for i in range(size) if i + extent > low and i < low + side]
        for size, extent, (low, _), side in zip(window, extents, padding, sides, strict=True)
    ]
    met = jnp.concatenate(
        [_met_by(element, padded, extents, strides) for element in itertools.product(*meeting)], axis=-1
    )
    met_kernel = kernel[tuple(slice(elements[0], elements[-1] + 1) for elements in meeting)]
    return met @ met_kernel.reshape(-1, kernel.shape[-1])


def _extents(padded: Array, window: Sequence[int], strides: Sequence[int]) -> list[int]:
    """Returns the extent of the inputs that one element of the window meets, for each dimension of space."""
    sides = zip(padded.shape[1:-1], window, strides, strict=True)
    return [(side - size) // stride * stride + 1 for side, size, stride in sides]


def _met_by(element: tuple[int, ...], padded: Array, extents: Sequence[int], strides: tuple[int, ...]) -> Array:
    """Returns the padded inputs that an element of the window meets, one for each position of the output."""
    where = zip(element, extents, strides, strict=True)
    return padded[:, *(slice(start, start + extent, stride) for start, extent, stride in where)]


def _joined_frames(strides: tuple[int, ...], padding: Padding, clips: Array, kernel: Array) -> Array:
    """A 3D convolution as a 2D one over frames, each joined with the channels of the frames before and after it.

    The 3x7x7 stem of a Video ResNet over 32 frames of 112x112 took 42 ms, and 620 ms as a 3D convolution.
    """
    depth, rows, columns, channels, features = kernel.shape
    padded = jnp.pad(clips, ((0, 0), padding[0], (0, 0), (0, 0), (0, 0)))
    out_time = (padded.shape[1] - depth) // strides[0] + 1
    extent = (out_time - 1) * strides[0] + 1
    joined = jnp.concatenate([padded[:, i : i + extent : strides[0]] for i in range(depth)], axis=-1)
    outputs = on_cpu(
        strides[1:],
        padding[1:],
        joined.reshape(-1, *joined.shape[2:]),
        jnp.moveaxis(kernel, 0, 2).reshape(rows, columns, depth * channels, features),
    )
    return outputs.reshape(clips.shape[0], out_time, *outputs.shape[1:])


@partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _whole(strides: tuple[int, ...], padding: Padding, inputs: Array, kernel: Array) -> Array:
    """XLA's convolution, or one of products that are shifted, with faster gradients."""
    window, (channels, features) = kernel.shape[:-2], kernel.shape[-2:]
    is_over_rows = _spans_one_column(window, strides, padding) and window[0] > 1 and strides[0] == 1
    if is_over_rows and features < 2 * channels:
        return _shifted_products(padding[0], inputs, kernel)
    return native(strides, padding, inputs, kernel)


def _shifted_products(padding: tuple[int, int], inputs: Array, kernel: Array) -> Array:
    """A 2D convolution of one column: the products with all elements of the window, each moved to its row and added.

    XLA's would gather the inputs once for each element. 3x1 from 144 to 64 channels over 2 clips of 8 times 3136
    positions took 11.9 ms, this 7.3 ms. With many more features than channels there is more to move than to gather.
    """
    rows, _, channels, features = kernel.shape
    joined = jnp.moveaxis(kernel, 0, 2).reshape(1, 1, channels, rows * features)
    # As a convolution, which is faster here than XLA's product.
    products = jnp.split(native((1, 1), ((0, 0), (0, 0)), inputs, joined), rows, axis=-1)
    before, after = padding
    zero, kept = jnp.zeros((), products[0].dtype), (0, 0, 0)
    # Negative padding cuts off what meets no output.
    moves = [(before - element, after - (rows - 1 - element), 0) for element in range(rows)]
    moved = (
        jax.lax.pad(product, zero, (kept, move, kept, kept)) for product, move in zip(products, moves, strict=True)
    )
    return functools.reduce(jnp.add, moved)


def _whole_forward(
    strides: tuple[int, ...], padding: Padding, inputs: Array, kernel: Array
) -> tuple[Array, tuple[Array, Array]]:
    return _whole(strides, padding, inputs, kernel), (inputs, kernel)


def _whole_backward(
    strides: tuple[int, ...], padding: Padding, residuals: tuple[Array, Array], gradient: Array
) -> tuple[Array, Array]:
    inputs, kernel = residuals
    kernel_gradient = _kernel_gradient(kernel.shape[:-2], strides, padding, inputs, gradient)
    if math.prod(strides) > 1:
        (inputs_gradient,) = jax.vjp(lambda inputs: native(strides, padding, inputs, kernel), inputs)[1](gradient)
        return inputs_gradient, kernel_gradient
    # XLA would reverse the kernel by dimension numbers, for which it has only slow code inside a scan.
    turned = jnp.flip(kernel, range(kernel.ndim - 2)).swapaxes(-1, -2)
    return native(strides, _complement(kernel.shape[:-2], padding), gradient, turned), kernel_gradient


_whole.defvjp(_whole_forward, _whole_backward)


def _complement(window: tuple[int, ...], padding: Padding) -> Padding:
    """Returns the padding with which a convolution of stride 1 maps positions of the outputs to those of the inputs."""
    return tuple((size - 1 - low, size - 1 - high) for size, (low, high) in zip(window, padding, strict=True))


def _kernel_gradient(
    window: tuple[int, ...], strides: tuple[int, ...], padding: Padding, inputs: Array, gradient: Array
) -> Array:
    if math.prod(window) == 1 or (len(inputs) < _MANY_IMAGES and not _spans_one_column(window, strides, padding)):
        return _kernel_gradient_by_products(window, strides, padding, inputs, gradient)
    if inputs.shape[-1] > gradient.shape[-1] and math.prod(strides) == 1:
        # With the roles exchanged, as the first argument is transposed.
        swapped = _kernel_gradient(window, strides, _complement(window, padding), gradient, inputs)
        return jnp.flip(swapped, range(len(window))).swapaxes(-1, -2)
    return _kernel_gradient_by_convolution(window, strides, padding, inputs, gradient)


def _spans_one_column(window: tuple[int, ...], strides: tuple[int, ...], padding: Padding) -> bool:
    return len(window) == 2 and window[1] == strides[1] == 1 and padding[1] == (0, 0)


def _kernel_gradient_by_convolution(
    window: tuple[int, ...], strides: tuple[int, ...], padding: Padding, inputs: Array, gradient: Array
) -> Array:
    """The gradient with respect to the kernel, as a convolution of the inputs by the gradient, channel by channel.

    The sum over images and positions becomes the sum over its window and channels: the images are its channels, or its
    columns if the kernel spans one column. XLA always takes images as channels, with only slow code inside a scan: for
    3x1 from 144 to 64 channels over 2 clips of 8 times 3136 positions it took 80 ms, this 26 ms.
    """
    if _spans_one_column(window, strides, padding):
        turned = native((1, 1), ((0, 0), padding[0]), inputs.transpose(3, 0, 1, 2), gradient, (1, strides[0]))
        return turned[:, :, : window[0]].transpose(2, 1, 0, 3)
    images_last = jnp.moveaxis(gradient, 0, -2)
    turned = native((1,) * len(window), padding, inputs.swapaxes(0, -1), images_last, strides)
    return jnp.moveaxis(turned[:, *(slice(size) for size in window)], 0, -2)


def _kernel_gradient_by_products(
    window: tuple[int, ...], strides: tuple[int, ...], padding: Padding, inputs: Array, gradient: Array
) -> Array:
    """The gradient with respect to the kernel as matrix products.

    An element of the kernel gets the products of the output's gradient and the inputs that it meets, summed over all
    positions. If the input has few channels, a whole row of the kernel is one product, as one element is too few.
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
