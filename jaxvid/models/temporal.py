"""What is made of a sequence in front of a recurrence or in its place: differences over time, statistics, norms.

A fight is motion: a logistic regression on the mean absolute difference of neighboring frames' features (MobileNet, 16
frames) separates fights in surveillance videos with an AUC of 81 %, one on their mean with 66 %.
"""

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from jaxvid.models.layers import Layers

MOTIONS = ("none", "difference", "both")
HEAD_NORMS = ("none", "layer", "batch")


def differences(sequence: Float[Array, "batch time *shape"]) -> Float[Array, "batch time *shape"]:
    """Returns each time step less the one before it. The first, which has none before it, is zero."""
    return sequence - jnp.concatenate([sequence[:, :1], sequence[:, :-1]], axis=1)


def with_motion(features: Float[Array, "batch time feature"], motion: str) -> Float[Array, "batch time moving"]:
    """Returns what a recurrence takes: the features ("none"), their `differences`, or both side by side."""
    if motion == "none":
        return features
    changes = differences(features)
    return changes if motion == "difference" else jnp.concatenate([features, changes], axis=-1)


def statistics(features: Float[Array, "batch time feature"], motion: str) -> Float[Array, "batch statistic"]:
    """Returns mean, standard deviation and maximum over time, one after another, each of all features.

    Args:
      features: of one frame or more.
      motion: "none" for the statistics of the features; "difference" for those of the absolute differences of
        neighboring frames, of which there is one fewer than frames (of a single frame they are zero); "both" for the
        former and then the latter.
    """
    magnitudes = jnp.abs(differences(features)[:, min(1, features.shape[1] - 1) :])
    values = {"none": [features], "difference": [magnitudes], "both": [features, magnitudes]}[motion]
    return jnp.concatenate([part for value in values for part in _mean_deviation_maximum(value)], axis=-1)


def _mean_deviation_maximum(values: Float[Array, "batch time feature"]) -> tuple[Float[Array, "batch feature"], ...]:
    variance = values.var(axis=1)
    # The root's gradient at 0 is infinite; where nothing changes, the deviation has none.
    varies = variance > 0
    deviation = jnp.where(varies, jnp.sqrt(jnp.where(varies, variance, 1.0)), 0.0)
    return values.mean(axis=1), deviation, values.max(axis=1)


def normalized(
    x: Float[Array, "batch *time feature"], norm: str, layers: Layers, *, train: bool
) -> Float[Array, "batch *time feature"]:
    """Returns the input of a head on one scale; to be called in a compact method, which gets the layer `norm`.

    Args:
      x: features of frames, or statistics of them.
      norm: "none"; "layer" for mean 0 and variance 1 over the features (Ba et al., 2016); "batch" for mean 0 and
        variance 1 of every feature over the clips, and their frames (Ioffe and Szegedy, 2015).
      layers: makes the layer.
      train: whether "batch" takes the statistics of the batch.
    """
    if norm == "layer":
        return nn.LayerNorm(dtype=layers.dtype, param_dtype=layers.param_dtype, name="norm")(x)
    if norm == "batch":
        # A pooled feature varies little about its mean, of which the fast variance would be a difference of squares.
        return layers.norm(use_fast_variance=False, name="norm")(x, use_running_average=not train)
    return x
