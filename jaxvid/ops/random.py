"""Random keys that do not depend on how many devices share a batch."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Key


def row_keys(key: Key[Array, ""], num_rows: int, axis_name: str | None) -> Key[Array, "row"]:
    """Returns one key for each row of this device's part of a batch, by the row's position in the whole batch.

    Args:
      key: the same on all devices.
      num_rows: on this device.
      axis_name: the mapped axis that the batch is split over, if any.
    """
    first = 0 if axis_name is None else jax.lax.axis_index(axis_name) * num_rows
    return jax.vmap(lambda position: jax.random.fold_in(key, position))(first + jnp.arange(num_rows))
