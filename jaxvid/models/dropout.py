"""Dropout whose masks do not depend on how many devices share a batch."""

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from jaxvid.keys import row_keys


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
