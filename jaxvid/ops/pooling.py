"""Max-pooling whose gradient is fast on the CPU."""

import functools
import itertools

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float


def max_pool(
    images: Float[Array, "*batch height width channel"], size: int, padding: str
) -> Float[Array, "*batch out_height out_width channel"]:
    """Returns the maximum of every `size` x `size` block; blocks do not overlap.

    The gradient of a block goes to its maximum, in equal parts where several elements are the maximum. XLA's own
    gradient of pooling (select-and-scatter) took 218 ms for 80 images of 64x64x16 in blocks of four on two cores; this,
    27 ms.

    Args:
      images: any number of batch dimensions.
      size: of the blocks.
      padding: "VALID" drops the rest at the end, "SAME" keeps it as smaller blocks.

    Raises:
      ValueError: if `padding` is neither.
    """
    if padding not in ("VALID", "SAME"):
        raise ValueError(f"padding is {padding!r}; allowed: VALID, SAME")
    height, width = images.shape[-3:-1]
    if padding == "VALID":
        images = images[..., : height - height % size, : width - width % size, :]
    else:
        missing = [(0, 0)] * (images.ndim - 3) + [(0, -height % size), (0, -width % size), (0, 0)]
        images = jnp.pad(images, missing, constant_values=-jnp.inf)
    flat = images.reshape(-1, *images.shape[-3:])
    with jax.named_scope(f"max_pool_{size}x{size}"):
        pooled = _max_pool(size, flat)
    return pooled.reshape(*images.shape[:-3], *pooled.shape[1:])


def _without_gradient(size: int, images: Array) -> Array:
    # Elementwise, unlike XLA's windows: a loop that computes the images would run again for each window.
    corners = itertools.product(range(size), repeat=2)
    return functools.reduce(jnp.maximum, (images[:, row::size, column::size] for row, column in corners))


def _forward(size: int, images: Array) -> tuple[Array, tuple[Array, Array]]:
    pooled = nn.max_pool(images, (size, size), (size, size))
    return pooled, (images, pooled)


def _backward(size: int, residuals: tuple[Array, Array], gradient: Array) -> tuple[Array]:
    images, pooled = residuals
    batch, height, width, channels = pooled.shape
    blocks = images.reshape(batch, height, size, width, size, channels)
    is_maximum = blocks == pooled[:, :, None, :, None]
    share = gradient / is_maximum.sum(axis=(2, 4)).astype(gradient.dtype)
    return (jnp.where(is_maximum, share[:, :, None, :, None], 0).reshape(images.shape),)


_max_pool = jax.custom_vjp(_without_gradient, nondiff_argnums=(0,))
_max_pool.defvjp(_forward, _backward)
