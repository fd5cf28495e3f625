"""RandAugment over clips, on the device: operations drawn at random, each the same for all frames of a clip.

Sources: E. D. Cubuk et al., RandAugment, 2020; the operations and the ranges of their strengths are those of
torchvision's RandAugment, whose magnitudes are 0 to 30. They differ in this: what an operation takes from an image (its
mean, its extremes, its histogram) it takes here from the whole clip, so that no frame flickers. Geometric operations
interpolate linearly and fill with the mean color of the clip.
"""

from collections.abc import Callable
from types import MappingProxyType

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

MAX_MAGNITUDE = 30.0

# Images in [0, 1] of one clip.
Images = Float[Array, "time height width 3"]
# A share of an operation's largest strength, from -1 to 1; those that know no sign take the amount.
Strength = Float[Array, ""]


def rand_augment(images: Images, key: Key[Array, ""], num_layers: int, magnitude: float) -> Images:
    """Applies `num_layers` operations of OPERATIONS, one after another, each drawn anew with its sign.

    Args:
      images: frames of one clip.
      key: of the clip.
      num_layers: number of operations.
      magnitude: strength of all of them, 0 to MAX_MAGNITUDE.
    """

    def layer(images: Images, layer_key: Key[Array, ""]) -> tuple[Images, None]:
        choice_key, sign_key = jax.random.split(layer_key)
        number = jax.random.randint(choice_key, (), 0, len(OPERATIONS))
        strength = jax.random.rademacher(sign_key, (), jnp.float32) * (magnitude / MAX_MAGNITUDE)
        return jax.lax.switch(number, list(OPERATIONS.values()), images, strength), None

    # A loop on the device, which compiles the operations once.
    return jax.lax.scan(layer, images, jax.random.split(key, num_layers))[0]


def _identity(images: Images, strength: Strength) -> Images:
    return images


def _shear_x(images: Images, strength: Strength) -> Images:
    """Shifts rows by up to 0.3 of their distance to the top."""
    return moved(images, jnp.asarray([[1, 0.3 * strength, 0], [0, 1, 0]]))


def _shear_y(images: Images, strength: Strength) -> Images:
    """Shifts columns by up to 0.3 of their distance to the left."""
    return moved(images, jnp.asarray([[1, 0, 0], [0.3 * strength, 1, 0]]))


def _translate_x(images: Images, strength: Strength) -> Images:
    """Moves the images by up to 45 % of their width."""
    return moved(images, jnp.asarray([[1, 0, 150 / 331 * images.shape[2] * strength], [0, 1, 0]]))


def _translate_y(images: Images, strength: Strength) -> Images:
    """Moves the images by up to 45 % of their height."""
    return moved(images, jnp.asarray([[1, 0, 0], [0, 1, 150 / 331 * images.shape[1] * strength]]))


def _rotate(images: Images, strength: Strength) -> Images:
    """Turns the images by up to 30 degrees about their middle."""
    return moved(images, rotation(jnp.deg2rad(30 * strength), images.shape[1], images.shape[2]))


def _brightness(images: Images, strength: Strength) -> Images:
    """Multiplies the images by 0.1 to 1.9."""
    return _away_from(jnp.zeros(()), images, strength)


def _color(images: Images, strength: Strength) -> Images:
    """Multiplies the distances of colors to gray by 0.1 to 1.9."""
    return _away_from(_gray(images), images, strength)


def _contrast(images: Images, strength: Strength) -> Images:
    """Multiplies the distances of colors to the mean gray of the clip by 0.1 to 1.9."""
    return _away_from(_gray(images).mean(), images, strength)


def _sharpness(images: Images, strength: Strength) -> Images:
    """Multiplies the distances of pixels to a mean over their neighbors, of weight 1 and 5 itself, by 0.1 to 1.9."""
    height, width = images.shape[1:3]
    neighborhood = sum(
        images[:, top : height - 2 + top, left : width - 2 + left] for top in range(3) for left in range(3)
    )
    smooth = (neighborhood + 4 * images[:, 1:-1, 1:-1]) / 13
    # Pixels at the border stay.
    return _away_from(images.at[:, 1:-1, 1:-1].set(smooth), images, strength)


def _posterize(images: Images, strength: Strength) -> Images:
    """Keeps 8 to 4 of a color's 8 bits."""
    step = jnp.exp2(jnp.round(4 * jnp.abs(strength)))
    return jnp.floor(_levels(images) / step) * step / 255


def _solarize(images: Images, strength: Strength) -> Images:
    """Inverts colors from 1 down to 0 on."""
    return jnp.where(images >= 1 - jnp.abs(strength), 1 - images, images)


def _autocontrast(images: Images, strength: Strength) -> Images:
    """Stretches each channel to [0, 1]."""
    low, high = images.min(axis=(0, 1, 2)), images.max(axis=(0, 1, 2))
    spread = high - low
    return jnp.where(spread > 0, (images - low) / jnp.where(spread > 0, spread, 1), images)


def _equalize(images: Images, strength: Strength) -> Images:
    """Gives each channel an even histogram, as Pillow's ImageOps.equalize does."""
    levels = _levels(images).astype(jnp.int32)
    return jnp.stack([_equalized(levels[..., channel]) for channel in range(3)], axis=-1) / 255


OPERATIONS: MappingProxyType[str, Callable[[Images, Strength], Images]] = MappingProxyType(
    {
        "identity": _identity,
        "shear_x": _shear_x,
        "shear_y": _shear_y,
        "translate_x": _translate_x,
        "translate_y": _translate_y,
        "rotate": _rotate,
        "brightness": _brightness,
        "color": _color,
        "contrast": _contrast,
        "sharpness": _sharpness,
        "posterize": _posterize,
        "solarize": _solarize,
        "autocontrast": _autocontrast,
        "equalize": _equalize,
    }
)


def _away_from(origin: Array, images: Images, strength: Strength) -> Images:
    return (origin + (1 + 0.9 * strength) * (images - origin)).clip(0, 1)


def _gray(images: Images) -> Float[Array, "time height width 1"]:
    """Returns the luma of ITU-R 601."""
    return (images @ jnp.asarray([0.299, 0.587, 0.114]))[..., None]


def _levels(images: Images) -> Images:
    """Returns colors in steps of 8 bits, 0 to 255."""
    return jnp.round(images * 255)


def _equalized(levels: Int[Array, "time height width"]) -> Int[Array, "time height width"]:
    counts = jnp.bincount(levels.reshape(-1), length=256)
    last = counts[levels.max()]
    step = (counts.sum() - last) // 255
    # Of each level: the pixels of lower ones, in units of a 255th of all but those of the highest.
    lower = jnp.cumsum(counts) - counts
    table = jnp.clip((lower + step // 2) // jnp.maximum(step, 1), 0, 255)
    return jnp.where(step > 0, table[levels], levels)


def rotation(angle: Float[Array, ""], height: int, width: int) -> Float[Array, "2 3"]:
    """Returns the matrix for `moved` that turns images about their middle; an `angle` in radians, clockwise."""
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    x, y = width / 2, height / 2
    return jnp.asarray([[cos, sin, x - cos * x - sin * y], [-sin, cos, y + sin * x - cos * y]])


def moved(images: Images, matrix: Float[Array, "2 3"]) -> Images:
    """Moves pixels: the one at (x, y) becomes what was at `matrix @ (x, y, 1)`, interpolated linearly.

    Coordinates are those of the middles of pixels, (0.5, 0.5) of the first one. Outside of the images is the mean color
    of the clip.
    """
    num_frames, height, width, channels = images.shape
    y, x = jnp.meshgrid(jnp.arange(height) + 0.5, jnp.arange(width) + 0.5, indexing="ij")
    source_x, source_y = (row[0] * x + row[1] * y + row[2] - 0.5 for row in matrix)
    left, top = jnp.floor(source_x), jnp.floor(source_y)
    # A row of all frames for each place, so that one look-up moves them all.
    places = jnp.moveaxis(images, 0, 2).reshape(height * width, num_frames, channels)
    outside = images.mean(axis=(0, 1, 2))

    def corner(row: Array, column: Array) -> Array:
        weight = (1 - jnp.abs(source_y - row)) * (1 - jnp.abs(source_x - column))
        is_inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
        index = (row.clip(0, height - 1) * width + column.clip(0, width - 1)).astype(jnp.int32)
        colors = jnp.where(is_inside[..., None, None], places[index], outside)
        return weight[..., None, None] * colors

    result = corner(top, left) + corner(top, left + 1) + corner(top + 1, left) + corner(top + 1, left + 1)
    return jnp.moveaxis(result, 2, 0)
