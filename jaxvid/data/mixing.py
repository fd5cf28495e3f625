"""On the device: training clips of a batch are mixed in pairs, mixup and CutMix.

The two of a pair are neighbors, rather than drawn from the batch: they lie on one device whatever the number of
devices. The first of them draws at random for both.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key, PyTree, Shaped

from jaxvid.types import ConfigDict

Targets = Float[Array, "batch classes"]


def mixes(augment: ConfigDict) -> bool:
    """Returns whether the section `augment` of a config mixes clips."""
    return bool(augment.mixup or augment.cutmix)


def mixed(
    clips: PyTree[Shaped[Array, "batch ..."]], targets: Targets, keys: Key[Array, "batch"], augment: ConfigDict
) -> tuple[PyTree[Shaped[Array, "batch ..."]], Targets]:
    """Applies what the config asks for: mixup, CutMix, or with both one of them for each pair, at evens.

    The choice between the two is that of timm's Mixup with `mode="pair"` and `switch_prob=0.5`.

    Args:
      clips: as of `mixup` and `cutmix`.
      targets: their class probabilities.
      keys: one a clip.
      augment: that section of the config.
    """
    if not augment.cutmix:
        return mixup(clips, targets, keys, augment.mixup)
    if not augment.mixup:
        return cutmix(clips, targets, keys, augment.cutmix)
    choice_keys, mix_keys = (jax.vmap(jax.random.fold_in, (0, None))(keys, number) for number in range(2))
    takes_first = jax.vmap(jax.random.bernoulli)(choice_keys[::2]).repeat(2)
    both = mixup(clips, targets, mix_keys, augment.mixup), cutmix(clips, targets, mix_keys, augment.cutmix)

    def chosen(one: Array, other: Array) -> Array:
        return jnp.where(takes_first.reshape(-1, *[1] * (one.ndim - 1)), one, other)

    return jax.tree.map(chosen, *both)


def mixup(
    clips: PyTree[Shaped[Array, "batch ..."]], targets: Targets, keys: Key[Array, "batch"], alpha: float
) -> tuple[PyTree[Shaped[Array, "batch ..."]], Targets]:
    """Blends the clips of each pair, and their targets (Zhang et al., 2018).

    Args:
      clips: a batch of an even number of clips, or their features, one array or several.
      targets: their class probabilities.
      keys: one a clip.
      alpha: both parameters of the weight's Beta distribution.

    Raises:
      ValueError: if the number of clips is odd.
    """
    _require_pairs(len(targets), "mixup")
    weights = jax.vmap(lambda key: jax.random.beta(key, alpha, alpha))(keys[::2])
    return jax.tree.map(lambda values: _blended(values, weights), clips), _blended(targets, weights)


def cutmix(
    clips: Float[Array, "batch time height width channel"], targets: Targets, keys: Key[Array, "batch"], alpha: float
) -> tuple[Float[Array, "batch time height width channel"], Targets]:
    """Exchanges a box of the clips of each pair, the same in all frames (Yun et al., CutMix, 2019).

    A target's weight is the share of the area that is kept: that of the box may be smaller than drawn, as it is cut off
    at the border.

    Args:
      clips: a batch of an even number of clips.
      targets: their class probabilities.
      keys: one a clip.
      alpha: both parameters of the Beta distribution of the share that is kept.

    Raises:
      ValueError: if the number of clips is odd.
    """
    _require_pairs(len(targets), "CutMix")
    height, width = clips.shape[2:4]
    boxes = jax.vmap(lambda key: _random_box(key, alpha, height, width))(keys[::2])
    pairs = clips.reshape(-1, 2, *clips.shape[1:])
    result = jnp.where(boxes[:, None, None, :, :, None], pairs[:, ::-1], pairs).reshape(clips.shape)
    return result, _blended(targets, 1 - boxes.mean(axis=(1, 2)))


def _require_pairs(batch_size: int, name: str) -> None:
    if batch_size % 2:
        raise ValueError(f"{name} pairs the clips of each device's batch, which must be even, not {batch_size}")


def _blended(values: Shaped[Array, "batch ..."], weights: Float[Array, "pair"]) -> Shaped[Array, "batch ..."]:
    """Returns `weights` of the rows and the rest of their partners'."""
    pairs = values.reshape(-1, 2, *values.shape[1:])
    weight = weights.reshape(-1, *[1] * (pairs.ndim - 1)).astype(values.dtype)
    return (weight * pairs + (1 - weight) * pairs[:, ::-1]).reshape(values.shape)


def _random_box(key: Key[Array, ""], alpha: float, height: int, width: int) -> Bool[Array, "height width"]:
    """Returns True inside of a box with the middle anywhere, and the share of the area that is not kept."""
    share_key, place_key = jax.random.split(key)
    ratio = jnp.sqrt(1 - jax.random.beta(share_key, alpha, alpha))
    sides = jnp.asarray([height, width])
    box = jnp.floor(ratio * sides)
    first = jnp.floor(jax.random.uniform(place_key, (2,)) * sides) - jnp.floor(box / 2)
    rows, columns = (
        (position >= first[axis]) & (position < first[axis] + box[axis])
        for axis, position in enumerate(map(jnp.arange, (height, width)))
    )
    return rows[:, None] & columns
