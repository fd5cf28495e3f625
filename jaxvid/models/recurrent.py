"""Recurrent layers whose input projection is one product over all time steps, outside the scan."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float


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
        ).astype(self.dtype)

        def step(carry, gates_from_input):
            cell, hidden = carry
            i, f, g, o = jnp.split(gates_from_input + hidden @ recurrent_kernel, 4, axis=-1)
            cell = nn.sigmoid(f) * cell + nn.sigmoid(i) * jnp.tanh(g)
            hidden = nn.sigmoid(o) * jnp.tanh(cell)
            return (cell, hidden), hidden

        zeros = jnp.zeros((inputs.shape[0], self.features), self.dtype)
        _, outputs = jax.lax.scan(step, (zeros, zeros), gates.swapaxes(0, 1), reverse=self.reverse)
        return outputs.swapaxes(0, 1)
