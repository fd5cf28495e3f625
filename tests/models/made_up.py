"""Variables for tests that need some network, not a trained one: drawn by NumPy, which compiles nothing."""

import jax
import jax.numpy as jnp
import numpy as np


def made_up_variables(model, clips):
    """Kernels as He et al. (2015) draw them; the rest as Flax starts it."""
    shapes = jax.eval_shape(lambda key: model.init(key, clips, train=False), jax.random.key(0))
    rng = np.random.default_rng(0)

    def draw(path, leaf):
        name = path[-1].key
        if name in ("kernel", "recurrent_kernel"):
            spread = np.float32(np.sqrt(2 / np.prod(leaf.shape[:-1])))
            return jnp.asarray(spread * rng.standard_normal(leaf.shape, np.float32))
        return jnp.ones(leaf.shape) if name in ("scale", "var") else jnp.zeros(leaf.shape)

    return jax.tree_util.tree_map_with_path(draw, shapes)
