"""On the device: uint8 pictures to the floats a network takes, and augmentation.

Every clip has a random key of its own (jaxvid.keys) and one transform for all its frames.
"""

from types import MappingProxyType
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, Shaped, UInt8

from jaxvid.types import ConfigDict


class Scaling(NamedTuple):
    """Pictures in [0, 1] become (picture - mean) / std, per RGB channel."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]


NORMALIZATIONS: MappingProxyType[str, Scaling] = MappingProxyType(
    {
        "unit": Scaling((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
        "raw": Scaling((0.0, 0.0, 0.0), (1 / 255, 1 / 255, 1 / 255)),
        "symmetric": Scaling((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
        "imagenet": Scaling((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        "kinetics": Scaling((0.43216, 0.394666, 0.37645), (0.22803, 0.22145, 0.216989)),
    }
)
CROPS = ("resize", "center")


def check_preprocessing(clip: ConfigDict, augment: ConfigDict) -> None:
    """Checks those sections of a config before anything is read.

    Raises:
      ValueError: naming the key, its value and what is allowed.
    """
    if clip.normalization not in NORMALIZATIONS:
        raise ValueError(f"config.clip.normalization is {clip.normalization!r}; allowed: {', '.join(NORMALIZATIONS)}")
    if clip.crop not in CROPS:
        raise ValueError(f"config.clip.crop is {clip.crop!r}; allowed: {', '.join(CROPS)}")
    for key in ("height", "width"):
        if clip[key] < 1:
            raise ValueError(f"config.clip.{key} is {clip[key]}; allowed: 1 or more")
    for key in ("brightness", "contrast", "erasing"):
        if not 0 <= augment[key] <= 1:
            raise ValueError(f"config.augment.{key} is {augment[key]}; allowed: 0 to 1")
    if not 0 < augment.min_scale <= 1:
        raise ValueError(f"config.augment.min_scale is {augment.min_scale}; allowed: above 0, at most 1")
    if augment.mixup < 0:
        raise ValueError(f"config.augment.mixup is {augment.mixup}; allowed: 0 (off) or the Beta distribution's alpha")


def preprocess(
    frames: UInt8[Array, "batch time height width 3"], clip: ConfigDict, place: float = 0.5
) -> Float[Array, "batch time out_height out_width 3"]:
    """Pictures as the network takes them, without any randomness: resized or cut to size, normalised.

    Args:
      frames: the pictures.
      clip: that section of the config.
      place: of a crop "center", along the side of the pictures that has more to spare: 0 at its beginning, 1 at its
        end. Along the other side it is in the middle.

    Raises:
      ValueError: if a centre crop is larger than the pictures.
    """
    pictures = frames.astype(jnp.float32) / 255
    height, width = frames.shape[2:4]
    if clip.crop == "center":
        if clip.height > height or clip.width > width:
            raise ValueError(
                f"config.clip asks for a centre crop of {clip.height}x{clip.width} of pictures of {height}x{width}; "
                "choose a data set of a larger size, or config.clip.crop='resize'"
            )
        spare = height - clip.height, width - clip.width
        top, left = (round(place * room) if room == max(spare) else room // 2 for room in spare)
        pictures = pictures[:, :, top : top + clip.height, left : left + clip.width]
    elif (height, width) != (clip.height, clip.width):
        pictures = jax.image.resize(pictures, (*frames.shape[:2], clip.height, clip.width, 3), "linear")
    return normalize(pictures, clip.normalization)


def normalize(pictures: Float[Array, "*shape 3"], normalization: str) -> Float[Array, "*shape 3"]:
    """Pictures in [0, 1] by the scaling of that name."""
    mean, std = map(jnp.asarray, NORMALIZATIONS[normalization])
    return (pictures - mean) / std


def augmented(
    frames: UInt8[Array, "batch time height width 3"],
    keys: Key[Array, "batch"],
    clip: ConfigDict,
    augment: ConfigDict,
) -> Float[Array, "batch time out_height out_width 3"]:
    """Pictures as the network takes them in training: cropped, flipped, changed in light, partly erased, normalised."""

    def one_clip(frames, key):
        crop_key, flip_key, light_key, erase_key = jax.random.split(key, 4)
        pictures = _random_crop(frames.astype(jnp.float32) / 255, crop_key, clip, augment)
        if augment.flip:
            pictures = jnp.where(jax.random.bernoulli(flip_key), pictures[:, :, ::-1], pictures)
        if augment.brightness or augment.contrast:
            pictures = _random_light(pictures, light_key, augment)
        if augment.erasing:
            pictures = _random_erasing(pictures, erase_key, augment.erasing)
        return normalize(pictures, clip.normalization)

    return jax.vmap(one_clip)(frames, keys)


def _random_crop(
    pictures: Float[Array, "time height width 3"],
    key: Key[Array, ""],
    clip: ConfigDict,
    augment: ConfigDict,
) -> Float[Array, "time out_height out_width 3"]:
    """A window at a random place, of `min_scale` to 1 times the sides of the largest, resized to the network's size.

    The largest window is the whole picture (crop "resize") or has the network's size (crop "center").
    """
    size = jnp.asarray(pictures.shape[1:3])
    largest = size if clip.crop == "resize" else jnp.asarray((clip.height, clip.width))
    out_shape = (clip.height, clip.width)
    scale_key, place_key = jax.random.split(key)
    if augment.min_scale == 1 and clip.crop == "center":
        top, left = jax.random.randint(place_key, (2,), 0, size - largest + 1)
        return jax.lax.dynamic_slice(pictures, (0, top, left, 0), (pictures.shape[0], *out_shape, 3))
    if augment.min_scale == 1 and out_shape == pictures.shape[1:3]:
        return pictures
    window = largest * jax.random.uniform(scale_key, minval=augment.min_scale, maxval=1.0)
    corner = jax.random.uniform(place_key, (2,)) * (size - window)
    scale = jnp.asarray(out_shape) / window
    return jax.image.scale_and_translate(
        pictures, (pictures.shape[0], *out_shape, 3), (1, 2), scale, -corner * scale, "linear"
    )


def _random_light(
    pictures: Float[Array, "time height width 3"], key: Key[Array, ""], augment: ConfigDict
) -> Float[Array, "time height width 3"]:
    """Contrast about the clip's mean, then brightness, each changed by at most its share."""
    contrast, brightness = jax.random.uniform(key, (2,), minval=-1.0)
    mean = pictures.mean()
    changed = mean + (pictures - mean) * (1 + augment.contrast * contrast) + augment.brightness * brightness
    return changed.clip(0, 1)


def _random_erasing(
    pictures: Float[Array, "time height width 3"], key: Key[Array, ""], probability: float
) -> Float[Array, "time height width 3"]:
    """With `probability`, a rectangle of 0.2 to 0.5 of each side becomes the clip's mean (Zhong et al., 2020)."""
    happens_key, size_key, place_key = jax.random.split(key, 3)
    sides = jnp.asarray(pictures.shape[1:3])
    rectangle = sides * jax.random.uniform(size_key, (2,), minval=0.2, maxval=0.5)
    corner = (sides - rectangle) * jax.random.uniform(place_key, (2,))
    inside = [
        (position >= corner[axis]) & (position < corner[axis] + rectangle[axis])
        for axis, position in enumerate(map(jnp.arange, pictures.shape[1:3]))
    ]
    erased = jax.random.bernoulli(happens_key, probability) & inside[0][:, None] & inside[1][None, :]
    return jnp.where(erased[None, :, :, None], pictures.mean(axis=(0, 1, 2)), pictures)


def mixup(
    clips: Shaped[Array, "batch *shape"],
    targets: Float[Array, "batch classes"],
    keys: Key[Array, "batch"],
    alpha: float,
) -> tuple[Shaped[Array, "batch *shape"], Float[Array, "batch classes"]]:
    """Blends the clips of each pair of neighbours, and their targets (Zhang et al., 2018).

    Neighbours, rather than a shuffle of the batch, lie on one device whatever the number of devices.

    Args:
      clips: a batch of an even number of clips.
      targets: their class probabilities.
      keys: one a clip; the first of each pair draws the weight for both.
      alpha: both parameters of the weight's Beta distribution.

    Raises:
      ValueError: if the number of clips is odd.
    """
    batch_size = clips.shape[0]
    if batch_size % 2:
        raise ValueError(f"mixup pairs the clips of each device's batch, which must be even, not {batch_size}")
    weights = jax.vmap(lambda key: jax.random.beta(key, alpha, alpha))(keys[::2])

    def blend(values):
        pairs = values.reshape(-1, 2, *values.shape[1:])
        weight = weights.reshape(-1, *[1] * (pairs.ndim - 1)).astype(values.dtype)
        return (weight * pairs + (1 - weight) * pairs[:, ::-1]).reshape(values.shape)

    return blend(clips), blend(targets)
