"""On the device: random transforms of training clips.

Every clip has its own random key (`jaxvid.ops.random`) and one transform for all its frames.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, PyTree, Shaped, UInt8

from jaxvid.data.preprocess import normalize
from jaxvid.types import ConfigDict


def check_augmentation(augment: ConfigDict) -> None:
    """Checks the section `augment` of a config before anything is read.

    Raises:
      ValueError: naming the key, its value and what is allowed.
    """
    for key in ("brightness", "contrast", "erasing"):
        if not 0 <= augment[key] <= 1:
            raise ValueError(f"config.augment.{key} is {augment[key]}; allowed: 0 to 1")
    if not 0 < augment.min_scale <= 1:
        raise ValueError(f"config.augment.min_scale is {augment.min_scale}; allowed: above 0, at most 1")
    if augment.mixup < 0:
        raise ValueError(f"config.augment.mixup is {augment.mixup}; allowed: 0 (off) or the Beta distribution's alpha")


def augmented(
    frames: UInt8[Array, "batch time height width 3"],
    keys: Key[Array, "batch"],
    clip: ConfigDict,
    augment: ConfigDict,
) -> Float[Array, "batch time out_height out_width 3"]:
    """Returns frames as the network takes them in training: cropped, flipped, changed in light, erased, normalized."""

    def one_clip(frames, key):
        crop_key, flip_key, light_key, erase_key = jax.random.split(key, 4)
        images = _random_crop(frames.astype(jnp.float32) / 255, crop_key, clip, augment)
        if augment.flip:
            images = jnp.where(jax.random.bernoulli(flip_key), images[:, :, ::-1], images)
        if augment.brightness or augment.contrast:
            images = _random_light(images, light_key, augment)
        if augment.erasing:
            images = _random_erasing(images, erase_key, augment.erasing)
        return normalize(images, clip.normalization)

    return jax.vmap(one_clip)(frames, keys)


def _random_crop(
    images: Float[Array, "time height width 3"],
    key: Key[Array, ""],
    clip: ConfigDict,
    augment: ConfigDict,
) -> Float[Array, "time out_height out_width 3"]:
    """Cuts a window at a random position and resizes it to the network's size.

    Its sides are `min_scale` to 1 times those of the largest window: the whole image (crop "resize"), or one of the
    network's size (crop "center").
    """
    size = jnp.asarray(images.shape[1:3])
    largest = size if clip.crop == "resize" else jnp.asarray((clip.height, clip.width))
    out_shape = (clip.height, clip.width)
    scale_key, position_key = jax.random.split(key)
    if augment.min_scale == 1 and clip.crop == "center":
        top, left = jax.random.randint(position_key, (2,), 0, size - largest + 1)
        return jax.lax.dynamic_slice(images, (0, top, left, 0), (images.shape[0], *out_shape, 3))
    if augment.min_scale == 1 and out_shape == images.shape[1:3]:
        return images
    window = largest * jax.random.uniform(scale_key, minval=augment.min_scale, maxval=1.0)
    corner = jax.random.uniform(position_key, (2,)) * (size - window)
    scale = jnp.asarray(out_shape) / window
    return jax.image.scale_and_translate(
        images, (images.shape[0], *out_shape, 3), (1, 2), scale, -corner * scale, "linear"
    )


def _random_light(
    images: Float[Array, "time height width 3"], key: Key[Array, ""], augment: ConfigDict
) -> Float[Array, "time height width 3"]:
    """Changes contrast about the clip's mean, then brightness, each by at most its share."""
    contrast, brightness = jax.random.uniform(key, (2,), minval=-1.0)
    mean = images.mean()
    changed = mean + (images - mean) * (1 + augment.contrast * contrast) + augment.brightness * brightness
    return changed.clip(0, 1)


def _random_erasing(
    images: Float[Array, "time height width 3"], key: Key[Array, ""], probability: float
) -> Float[Array, "time height width 3"]:
    """With `probability`, sets a rectangle of 0.2 to 0.5 of each side to the clip's mean (Zhong et al., 2020)."""
    happens_key, size_key, position_key = jax.random.split(key, 3)
    sides = jnp.asarray(images.shape[1:3])
    rectangle = sides * jax.random.uniform(size_key, (2,), minval=0.2, maxval=0.5)
    corner = (sides - rectangle) * jax.random.uniform(position_key, (2,))
    inside = [
        (position >= corner[axis]) & (position < corner[axis] + rectangle[axis])
        for axis, position in enumerate(map(jnp.arange, images.shape[1:3]))
    ]
    erased = jax.random.bernoulli(happens_key, probability) & inside[0][:, None] & inside[1][None, :]
    return jnp.where(erased[None, :, :, None], images.mean(axis=(0, 1, 2)), images)


def mixup(
    clips: PyTree[Shaped[Array, "batch ..."]],
    targets: Float[Array, "batch classes"],
    keys: Key[Array, "batch"],
    alpha: float,
) -> tuple[PyTree[Shaped[Array, "batch ..."]], Float[Array, "batch classes"]]:
    """Blends the clips of each pair of neighbors, and their targets (Zhang et al., 2018).

    Neighbors, rather than a shuffle of the batch, lie on one device whatever the number of devices.

    Args:
      clips: a batch of an even number of clips, or their features, one array or several.
      targets: their class probabilities.
      keys: one a clip; the first of each pair draws the weight for both.
      alpha: both parameters of the weight's Beta distribution.

    Raises:
      ValueError: if the number of clips is odd.
    """
    batch_size = len(targets)
    if batch_size % 2:
        raise ValueError(f"mixup pairs the clips of each device's batch, which must be even, not {batch_size}")
    weights = jax.vmap(lambda key: jax.random.beta(key, alpha, alpha))(keys[::2])

    def blend(values):
        pairs = values.reshape(-1, 2, *values.shape[1:])
        weight = weights.reshape(-1, *[1] * (pairs.ndim - 1)).astype(values.dtype)
        return (weight * pairs + (1 - weight) * pairs[:, ::-1]).reshape(values.shape)

    return jax.tree.map(blend, clips), blend(targets)
