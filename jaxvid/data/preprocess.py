"""On the device: uint8 frames to the floats a network takes."""

from types import MappingProxyType
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, UInt8

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
    """Pictures as the network takes them, without any randomness: resized or cut to size, normalized.

    Args:
      frames: the pictures.
      clip: that section of the config.
      place: of a crop "center", along the side of the pictures that has more to spare: 0 at its beginning, 1 at its
        end. Along the other side it is in the middle.

    Raises:
      ValueError: if a center crop is larger than the pictures.
    """
    pictures = frames.astype(jnp.float32) / 255
    height, width = frames.shape[2:4]
    if clip.crop == "center":
        if clip.height > height or clip.width > width:
            raise ValueError(
                f"config.clip asks for a center crop of {clip.height}x{clip.width} of pictures of {height}x{width}; "
                "choose a dataset of a larger size, or config.clip.crop='resize'"
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
