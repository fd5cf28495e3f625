"""The layers that the architectures share, and `Layers`, which makes all layers of one network alike."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from jaxvid.models.activations import Activation
from jaxvid.ops.convolution import conv_general_dilated, convolve_clips
from jaxvid.ops.random import row_keys
from jaxvid.ops.recurrence import recurrence


def unit_forget_bias(key: jax.Array, shape: tuple[int, ...], dtype: DTypeLike = jnp.float32) -> jax.Array:
    """Zeros, and ones for the forget gate: the second quarter of (input, forget, cell, output)."""
    del key
    quarter = shape[-1] // 4
    return jnp.zeros(shape, dtype).at[..., quarter : 2 * quarter].set(1)


class LSTM(nn.Module):
    """A long short-term memory layer over a sequence (Hochreiter and Schmidhuber, 1997).

    The gates stand in the order input, forget, cell, output, with one bias each, as in Keras, so that Keras' three
    arrays (kernel, recurrent kernel, bias) are this layer's three.

    Attributes:
      features: width of the state and of the output.
      reverse: whether to run from the last time step to the first; the output keeps the order of the input.
      dtype: of the computation.
      param_dtype: of the parameters.
    """

    features: int
    reverse: bool = False
    dtype: DTypeLike = jnp.float32
    param_dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, inputs: Float[Array, "batch time channel"]) -> Float[Array, "batch time features"]:
        """Returns the output of every time step."""
        gates = nn.Dense(
            4 * self.features,
            kernel_init=nn.initializers.glorot_uniform(),
            bias_init=unit_forget_bias,
            dtype=self.dtype,
            param_dtype=self.param_dtype,
            name="input",
        )(inputs)
        recurrent_kernel = self.param(
            "recurrent_kernel", nn.initializers.orthogonal(), (self.features, 4 * self.features), self.param_dtype
        )

        time_first = gates.swapaxes(0, 1)
        outputs = recurrence(
            time_first[::-1] if self.reverse else time_first, jnp.asarray(recurrent_kernel, self.dtype)
        )
        return (outputs[::-1] if self.reverse else outputs).swapaxes(0, 1)


class BatchNorm(nn.BatchNorm):
    """Batch normalization (Ioffe and Szegedy, 2015), with the variables of Flax's own, as one scale and one shift.

    Flax subtracts the mean and keeps that difference for the backward pass: on the CPU, a training step of r2plus1d_18
    without it took 7 % less. Like the variance of both, the shift loses digits where the mean is far larger than the
    standard deviation. Of `nn.BatchNorm`'s fields, masks and groups of devices are not supported.
    """

    @nn.compact
    def __call__(
        self, x: Float[Array, "*batch channel"], use_running_average: bool | None = None
    ) -> Float[Array, "*batch channel"]:
        """Normalizes with the running statistics, or with those of the batch, which then change the running ones."""
        use_running_average = nn.merge_param("use_running_average", self.use_running_average, use_running_average)
        channels = (x.shape[-1],)
        running_mean = self.variable("batch_stats", "mean", jnp.zeros, channels, jnp.float32)
        running_var = self.variable("batch_stats", "var", jnp.ones, channels, jnp.float32)
        mean, var = running_mean.value, running_var.value
        if not use_running_average:
            mean, var = self._statistics(x.astype(jnp.float32))
            if not self.is_initializing():
                running_mean.value = self.momentum * running_mean.value + (1 - self.momentum) * mean
                running_var.value = self.momentum * running_var.value + (1 - self.momentum) * var
        scale = jax.lax.rsqrt(var + self.epsilon)
        if self.use_scale:
            scale *= self.param("scale", self.scale_init, channels, self.param_dtype)
        shift = -mean * scale
        if self.use_bias:
            shift += self.param("bias", self.bias_init, channels, self.param_dtype)
        return (x * scale + shift).astype(self.dtype)

    def _statistics(
        self, x: Float[Array, "*batch channel"]
    ) -> tuple[Float[Array, " channel"], Float[Array, " channel"]]:
        """Returns mean and variance of every channel, over all devices of `axis_name`."""
        moments = jnp.stack([values.mean(range(x.ndim - 1)) for values in (x, jnp.square(x))])
        if self.axis_name is not None and not self.is_initializing():
            moments = jax.lax.pmean(moments, self.axis_name)
        # Rounding may leave a little less than 0.
        return moments[0], jnp.maximum(0, moments[1] - jnp.square(moments[0]))


class Dropout(nn.Module):
    """Zeroes a share of the entries in training and scales up the others (Srivastava et al., 2014).

    Flax's own layer draws one mask for the whole batch of a device. This one draws a mask for each row, from the row's
    position in the global batch, so that one device and many compute the same numbers.

    Attributes:
      rate: share of the entries that become zero.
      axis_name: the mapped axis that the batch is split over, if any.
    """

    rate: float
    axis_name: str | None = None

    @nn.compact
    def __call__(self, x: Float[Array, "row *shape"], *, train: bool) -> Float[Array, "row *shape"]:
        """Applies dropout when `train`; needs the random stream `dropout` then."""
        if not train or self.rate == 0:
            return x
        keys = row_keys(self.make_rng("dropout"), x.shape[0], self.axis_name)
        kept = jax.vmap(lambda key: jax.random.bernoulli(key, 1 - self.rate, x.shape[1:]))(keys)
        return jnp.where(kept, x / (1 - self.rate), 0).astype(x.dtype)


class ClipConv(nn.Module):
    """A convolution over clips without bias, its kernel in the order time, height, width, input, output.

    Attributes:
      features: output channels.
      kernel_size: over time, height and width; odd.
      strides: over time, height and width.
      dtype: of the computation.
      param_dtype: of the parameters.
    """

    features: int
    kernel_size: tuple[int, int, int]
    strides: tuple[int, int, int]
    dtype: DTypeLike
    param_dtype: DTypeLike

    @nn.compact
    def __call__(
        self, clips: Float[Array, "batch time height width channel"]
    ) -> Float[Array, "batch out_time out_height out_width features"]:
        """Returns the convolution of the clips, padded with half the kernel on both sides."""
        kernel = self.param(
            "kernel",
            nn.initializers.variance_scaling(2.0, "fan_out", "normal"),
            (*self.kernel_size, clips.shape[-1], self.features),
            self.param_dtype,
        )
        return convolve_clips(clips.astype(self.dtype), kernel.astype(self.dtype), self.strides)


@dataclasses.dataclass(frozen=True)
class Layers:
    """Makes the layers of one network: they share its activation, dtypes, initializer and mapped axis.

    Attributes:
      activation_name: of every site.
      adaptive: whether the sites read their coefficients from the state.
      axis_name: the mapped axis that the batch is split over, if any.
      dtype: of the computation.
      param_dtype: of the parameters.
      norm_momentum: share of its running statistics that batch normalization keeps in a training step.
      norm_epsilon: added to the variance in batch normalization.
    """

    activation_name: str = "relu"
    adaptive: bool = False
    axis_name: str | None = None
    dtype: DTypeLike = jnp.float32
    param_dtype: DTypeLike = jnp.float32
    norm_momentum: float = 0.9
    norm_epsilon: float = 1e-5

    def conv(self, features: int, kernel_size: tuple[int, ...], **fields: Any) -> nn.Conv:
        """A convolution over images, fast on the CPU; `fields` are further ones of `nn.Conv`."""
        defaults: dict[str, Any] = {
            "kernel_init": nn.initializers.glorot_uniform(),
            "conv_general_dilated": conv_general_dilated,
        }
        return nn.Conv(features, kernel_size, dtype=self.dtype, param_dtype=self.param_dtype, **(defaults | fields))

    def clip_conv(
        self, features: int, kernel_size: tuple[int, int, int], strides: tuple[int, int, int], *, name: str
    ) -> ClipConv:
        """A convolution over clips."""
        return ClipConv(features, kernel_size, strides, self.dtype, self.param_dtype, name=name)

    def dense(self, features: int, **fields: Any) -> nn.Dense:
        """A dense layer; `fields` are further ones of `nn.Dense`."""
        defaults: dict[str, Any] = {"kernel_init": nn.initializers.glorot_uniform()}
        return nn.Dense(features, dtype=self.dtype, param_dtype=self.param_dtype, **(defaults | fields))

    def norm(self, **fields: Any) -> BatchNorm:
        """Batch normalization, to be called with `use_running_average=not train`.

        Given to the call and not to the constructor, `use_running_average` can be changed for frozen layers
        (`jaxvid.models.freezing.frozen_norms_kept`). `fields` are further ones of `BatchNorm`.
        """
        defaults: dict[str, Any] = {"momentum": self.norm_momentum, "epsilon": self.norm_epsilon}
        return BatchNorm(
            axis_name=self.axis_name, dtype=self.dtype, param_dtype=self.param_dtype, **(defaults | fields)
        )

    def activation(self, *, name: str) -> Activation:
        """An activation site."""
        return Activation(self.activation_name, self.adaptive, name=name)

    def dropout(self, rate: float, *, name: str | None = None) -> Dropout:
        """Dropout."""
        return Dropout(rate, self.axis_name, name=name)

    def lstm(self, features: int, *, reverse: bool = False, name: str) -> LSTM:
        """An LSTM."""
        return LSTM(features, reverse, self.dtype, self.param_dtype, name=name)


def per_frame(
    network: Callable[[Array], Array], clips: Float[Array, "batch time *image"]
) -> Float[Array, "batch time *output"]:
    """Applies a network over images to every frame of every clip."""
    outputs = network(clips.reshape(-1, *clips.shape[2:]))
    return outputs.reshape(*clips.shape[:2], *outputs.shape[1:])


def hidden_layers(
    x: Float[Array, "batch feature"], widths: tuple[int, ...], dropout_rate: float, layers: Layers, *, train: bool
) -> Float[Array, "batch width"]:
    """Dense layers, each with an activation and dropout; to be called in a compact method, which gets them."""
    for i, width in enumerate(widths, start=1):
        x = layers.dense(width, name=f"dense{i}")(x)
        x = layers.activation(name=f"dense_activation{i}")(x)
        x = layers.dropout(dropout_rate)(x, train=train)
    return x
