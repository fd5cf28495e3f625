"""On the device: random transforms of training clips.

Every clip has its own random key (`jaxvid.ops.random`) and one transform for all its frames.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, UInt8

from jaxvid.data.preprocess import normalize
from jaxvid.data.rand_augment import MAX_MAGNITUDE, rand_augment
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
    for key in ("mixup", "cutmix"):
        if not augment[key] >= 0:
            value = augment[key]
            raise ValueError(f"config.augment.{key} is {value}; allowed: 0 (off) or the Beta distribution's alpha")
    if augment.rand_augment_layers < 0:
        raise ValueError(
            f"config.augment.rand_augment_layers is {augment.rand_augment_layers}; allowed: 0 (off) or more operations"
        )
    if not 0 <= augment.rand_augment_magnitude <= MAX_MAGNITUDE:
        raise ValueError(
            f"config.augment.rand_augment_magnitude is {augment.rand_augment_magnitude}; "
            f"allowed: 0 to {MAX_MAGNITUDE:g}"
        )


def changes_clips(augment: ConfigDict) -> bool:
    """Returns whether the section `augment` of a config changes single clips, before any are mixed."""
    light = augment.brightness or augment.contrast
    return bool(augment.flip or augment.min_scale < 1 or light or augment.erasing or augment.rand_augment_layers)


def augmented(
    frames: UInt8[Array, "batch time height width 3"],
    keys: Key[Array, "batch"],
    clip: ConfigDict,
    augment: ConfigDict,
) -> Float[Array, "batch time out_height out_width 3"]:
    """Returns frames as the network takes them in training.

    They are cropped, flipped, changed by RandAugment and in light, erased, and normalized.
    """

    def framed(frames, key):
        crop_key, flip_key, _, _ = jax.random.split(key, 4)
        images = _random_crop(frames.astype(jnp.float32) / 255, crop_key, clip, augment)
        if augment.flip:
            images = jnp.where(jax.random.bernoulli(flip_key), images[:, :, ::-1], images)
        return images

    def changed(clip_and_key):
        images, key = clip_and_key
        key = jax.random.fold_in(key, 4)
        return rand_augment(images, key, augment.rand_augment_layers, augment.rand_augment_magnitude)

    def finished(images, key):
        _, _, light_key, erase_key = jax.random.split(key, 4)
        if augment.brightness or augment.contrast:
            images = _random_light(images, light_key, augment)
        if augment.erasing:
            images = _random_erasing(images, erase_key, augment.erasing)
        return normalize(images, clip.normalization)

    images = jax.vmap(framed)(frames, keys)
    if augment.rand_augment_layers:
        # One clip after another: vmap would compute all operations for every clip.
        images = jax.lax.map(changed, (images, keys))
    return jax.vmap(finished)(images, keys)


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
