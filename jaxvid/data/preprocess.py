"""On the device: uint8 frames to the floats that a network takes, without any randomness."""

from types import MappingProxyType
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, UInt8

from jaxvid.types import ConfigDict


class Scaling(NamedTuple):
    """Images in [0, 1] become (image - mean) / std, per RGB channel."""

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


def check_preprocessing(clip: ConfigDict) -> None:
    """Checks the section `clip` of a config, as far as it is about images, before anything is read.

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


def preprocess(
    frames: UInt8[Array, "batch time height width 3"], clip: ConfigDict, position: float = 0.5
) -> Float[Array, "batch time out_height out_width 3"]:
    """Resizes or crops frames to the size that the network takes, and normalizes them.

    Args:
      frames: RGB.
      clip: that section of the config.
      position: of a crop "center", along the side of the frames that has more to spare (along the width if both have
        as much): 0 at its beginning, 1 at its end. Along the other side the crop is in the middle.

    Raises:
      ValueError: if a center crop is larger than the frames.
    """
    images = frames.astype(jnp.float32) / 255
    height, width = frames.shape[2:4]
    if clip.crop == "center":
        if clip.height > height or clip.width > width:
            raise ValueError(
                f"config.clip asks for a center crop of {clip.height}x{clip.width} of frames of {height}x{width}; "
                "choose a dataset of a larger size, or config.clip.crop='resize'"
            )
        top, left = _corner(height - clip.height, width - clip.width, position)
        images = images[:, :, top : top + clip.height, left : left + clip.width]
    elif (height, width) != (clip.height, clip.width):
        images = jax.image.resize(images, (*frames.shape[:2], clip.height, clip.width, 3), "linear")
    return normalize(images, clip.normalization)


def _corner(spare_height: int, spare_width: int, position: float) -> tuple[int, int]:
    """Returns top and left of a crop of frames with so many rows and columns to spare."""
    if spare_width >= spare_height:
        return spare_height // 2, round(position * spare_width)
    return round(position * spare_height), spare_width // 2


def normalize(images: Float[Array, "*shape 3"], normalization: str) -> Float[Array, "*shape 3"]:
    """Scales images in [0, 1] as the normalization of that name does."""
    mean, std = map(jnp.asarray, NORMALIZATIONS[normalization])
    return (images - mean) / std
