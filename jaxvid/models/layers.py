"""Recurrent layers of which only the recurrent product is inside the scan.

The input's projection and the kernels' gradients are one product each over all time steps.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from jaxvid.ops.random import row_keys
from jaxvid.ops.recurrence import recurrence


def unit_forget_bias(key: jax.Array, shape: tuple[int, ...], dtype: Any = jnp.float32) -> jax.Array:
    """Zeros, and ones for the forget gate: the second quarter of (input, forget, cell, output)."""
    del key
    quarter = shape[-1] // 4
    return jnp.zeros(shape, dtype).at[..., quarter : 2 * quarter].set(1)


class LSTM(nn.Module):
    """A long short-term memory layer over a sequence (Hochreiter and Schmidhuber, 1997).

    The gates stand in the order input, forget, cell, output, with one bias each, as in Keras, so that Keras' three
    arrays (kernel, recurrent kernel, bias) are this layer's three. Only the recurrent product is inside the scan.

    Attributes:
      features: width of the state and of the output.
      reverse: whether to run from the last time step to the first; the output keeps the order of the input.
      dtype: of the computation.
      param_dtype: of the parameters.
    """

    features: int
    reverse: bool = False
    dtype: Any = jnp.float32
    param_dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, inputs: Float[Array, "batch time channel"]) -> Float[Array, "batch time features"]:
        """The output of every time step."""
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

        in_order = gates.swapaxes(0, 1)
        outputs = recurrence(in_order[::-1] if self.reverse else in_order, jnp.asarray(recurrent_kernel, self.dtype))
        return (outputs[::-1] if self.reverse else outputs).swapaxes(0, 1)


class Dropout(nn.Module):
    """Zeroes a share of the entries in training and scales up the others (Srivastava et al., 2014).

    Flax's own layer draws one mask for all that a device holds; this one draws a mask for each row, by the row's place
    in the whole batch, so that one device and many compute the same numbers.

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
