"""Networks as data: layers in series and in parallel, run by one module and matched with weight files.

A network is a tuple of layers, applied one after the other; `Parallel` holds tuples that all take the same input.
Calling a layer creates its Flax module inside the compact method that calls it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from jaxvid.models.layers import Layers
from jaxvid.ops.depthwise import Maps, NewMaps, depthwise_conv

Padding: TypeAlias = str | tuple[tuple[int, int], tuple[int, int]]


@dataclass(frozen=True)
class Conv:
    """A 2D convolution; 'SAME' pads as TensorFlow does, more at the end where the padding is odd."""

    name: str
    features: int
    kernel: tuple[int, int]
    stride: int = 1
    padding: Padding = "SAME"
    use_bias: bool = False

    def __call__(self, x: Maps, layers: Layers, train: bool) -> NewMaps:
        """The convolution of `x`."""
        return layers.conv(
            self.features,
            self.kernel,
            strides=self.stride,
            padding=self.padding,
            use_bias=self.use_bias,
            conv_general_dilated=None,  # XLA's own
            name=self.name,
        )(x)


class Depthwise3x3(nn.Module):
    """The parameters of a depthwise convolution, and the convolution."""

    stride: int
    padding: tuple[int, int]
    dtype: DTypeLike
    param_dtype: DTypeLike

    @nn.compact
    def __call__(self, x: Maps) -> NewMaps:
        """The convolution of `x`."""
        shape = (3, 3, 1, x.shape[-1])
        kernel = self.param("kernel", nn.initializers.glorot_uniform(), shape, self.param_dtype)
        x, kernel = x.astype(self.dtype), kernel.astype(self.dtype)
        return depthwise_conv(x, kernel, stride=self.stride, padding=self.padding)


@dataclass(frozen=True)
class DepthwiseConv:
    """A 3x3 convolution of every channel by itself, padded with zeros before and after height and width."""

    name: str
    stride: int = 1
    padding: tuple[int, int] = (1, 1)

    def __call__(self, x: Maps, layers: Layers, train: bool) -> NewMaps:
        """The convolution of `x`."""
        return Depthwise3x3(self.stride, self.padding, layers.dtype, layers.param_dtype, name=self.name)(x)


@dataclass(frozen=True)
class SeparableConv:
    """A depthwise 3x3 convolution followed by a pointwise one, with nothing between."""

    name: str
    features: int

    @property
    def parts(self) -> tuple[DepthwiseConv, Conv]:
        """The two convolutions."""
        return DepthwiseConv(f"{self.name}_depthwise"), Conv(f"{self.name}_pointwise", self.features, (1, 1))

    def __call__(self, x: Maps, layers: Layers, train: bool) -> NewMaps:
        """The two convolutions of `x`."""
        return apply_series(self.parts, x, layers, train)


@dataclass(frozen=True)
class Norm:
    """Batch normalization; running statistics move by 0.01 a step, as in Keras."""

    name: str
    epsilon: float = 1e-3
    use_scale: bool = True

    def __call__(self, x: Maps, layers: Layers, train: bool) -> Maps:
        """`x` normalized over all but its channels."""
        norm = layers.norm(epsilon=self.epsilon, use_scale=self.use_scale, name=self.name)
        return norm(x, use_running_average=not train)


@dataclass(frozen=True)
class Dense:
    """A fully connected layer."""

    name: str
    features: int

    def __call__(self, x: Float[Array, "frame channel"], layers: Layers, train: bool) -> Float[Array, "frame features"]:
        """The product with the kernel, and the bias."""
        return layers.dense(self.features, name=self.name)(x)


@dataclass(frozen=True)
class Site:
    """An activation site."""

    name: str

    def __call__(self, x: Float[Array, "..."], layers: Layers, train: bool) -> Float[Array, "..."]:
        """The activation of `x`."""
        return layers.activation(name=self.name)(x)


@dataclass(frozen=True)
class MaxPool:
    """A maximum over windows."""

    window: int
    stride: int = 2
    padding: Padding = "VALID"

    def __call__(self, x: Maps, layers: Layers, train: bool) -> NewMaps:
        """The maxima."""
        del layers, train
        # Flax takes pairs as well as a name, whatever its annotation says.
        padding: Any = self.padding
        window, strides = (self.window, self.window), (self.stride, self.stride)
        return nn.max_pool(x, window_shape=window, strides=strides, padding=padding)


@dataclass(frozen=True)
class AveragePool:
    """A 3x3 mean at stride 1, over the part of the window that lies inside the input."""

    def __call__(self, x: Maps, layers: Layers, train: bool) -> Maps:
        """The means."""
        del layers, train
        return nn.avg_pool(x, window_shape=(3, 3), strides=(1, 1), padding="SAME", count_include_pad=False)


@dataclass(frozen=True)
class GlobalPool:
    """The mean over height and width, accumulated in float32."""

    keepdims: bool = False

    def __call__(self, x: Maps, layers: Layers, train: bool) -> Float[Array, "..."]:
        """The means."""
        return x.mean(axis=(1, 2), keepdims=self.keepdims, dtype=jnp.float32).astype(layers.dtype)


@dataclass(frozen=True)
class Flatten:
    """All values of a frame in one vector."""

    def __call__(self, x: Maps, layers: Layers, train: bool) -> Float[Array, "frame features"]:
        """The vectors."""
        del layers, train
        return x.reshape(x.shape[0], -1)


@dataclass(frozen=True)
class Dropout:
    """Dropout in training; it draws from the random stream `dropout`."""

    rate: float

    def __call__(self, x: Float[Array, "..."], layers: Layers, train: bool) -> Float[Array, "..."]:
        """`x` with values dropped."""
        return layers.dropout(self.rate)(x, train=train)


@dataclass(frozen=True)
class Concatenate:
    """Joins branches along the channels."""

    def __call__(self, branches: list[jax.Array]) -> jax.Array:
        """All channels, in the order of the branches."""
        return jnp.concatenate(branches, axis=-1)


@dataclass(frozen=True)
class Add:
    """Joins two branches by the sum of the first and `scale` times the second."""

    scale: float = 1.0

    def __call__(self, branches: list[jax.Array]) -> jax.Array:
        """The sum."""
        first, second = branches
        # Multiplying by 1 would be one more operation to compile.
        return first + second if self.scale == 1 else first + self.scale * second


@dataclass(frozen=True)
class Parallel:
    """Series that all take the same input, and how their outputs are joined; an empty series is the identity."""

    branches: "tuple[Series, ...]"
    join: Concatenate | Add = Concatenate()

    def __call__(self, x: Maps, layers: Layers, train: bool) -> NewMaps:
        """The joined outputs."""
        return self.join([apply_series(branch, x, layers, train) for branch in self.branches])


Layer: TypeAlias = (
    Conv
    | DepthwiseConv
    | SeparableConv
    | Norm
    | Dense
    | Site
    | MaxPool
    | AveragePool
    | GlobalPool
    | Flatten
    | Dropout
    | Parallel
)


Series: TypeAlias = tuple[Layer, ...]


def apply_series(
    series: Series, x: Float[Array, "frame ..."], layers: Layers, train: bool
) -> Float[Array, "frame ..."]:
    """Applies `series` to `x`; to be called inside a compact method, which gets the submodules."""
    for layer in series:
        x = layer(x, layers, train)
    return x


def by_distance_from_output(series: Series) -> list[Layer]:
    """Returns all layers, the farthest from the output first; at the same distance, in the order of the branches.

    The distance is the largest number of layers on a path to the output. Keras lists the layers of a functional model
    in this order (`keras.src.ops.function.map_graph`), and so do its weight files.
    """
    ranked = sorted(_with_distance(series, 0), key=lambda pair: -pair[0])
    return [layer for _, layer in ranked]


def _with_distance(series: Series, after: int) -> Iterator[tuple[int, Layer]]:
    distance = after
    for layer in reversed(series):
        if isinstance(layer, Parallel):
            for branch in layer.branches:
                yield from _with_distance(branch, distance + 1)
        else:
            yield distance, layer
        distance += _length(layer)


def _length(layer: Layer) -> int:
    if not isinstance(layer, Parallel):
        return 1
    return 1 + max(sum(map(_length, branch)) for branch in layer.branches)
