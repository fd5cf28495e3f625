"""Variables of a network, drawn with NumPy: compiling and running an initialisation takes far longer."""

import jax
import jax.numpy as jnp
import numpy as np


def random_variables(model, example, seed=0):
    """Variables with which values keep their size from layer to layer, for an input like `example`."""
    rng = np.random.RandomState(seed)

    def draw(path, leaf):
        name = path[-1].key
        noise = rng.standard_normal(leaf.shape)
        if "kernel" in name:
            return jnp.asarray(noise * np.sqrt(2 / np.prod(leaf.shape[:-1])), leaf.dtype)
        return jnp.asarray(0.1 * noise + (1 if name in ("scale", "var") else 0), leaf.dtype)

    shapes = jax.eval_shape(lambda: model.init(jax.random.key(0), example, train=False))
    return jax.tree_util.tree_map_with_path(draw, shapes)
