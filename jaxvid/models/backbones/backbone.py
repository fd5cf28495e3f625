"""The module that runs any of the ImageNet architectures over single frames."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from jaxvid.models.backbones.graph import GlobalPool, Series, Site, apply_series
from jaxvid.models.layers import Layers
from jaxvid.ops.depthwise import Maps

Frames = Float[Array, "frame height width channel"]

# Mean of ImageNet in blue, green, red, with which Caffe's models were trained.
_CAFFE_MEAN = (103.939, 116.779, 123.68)


def caffe_scaling(frames: Frames) -> Frames:
    """Converts red, green, blue in 0..255 to blue, green, red less the mean of ImageNet."""
    return frames[..., ::-1] - jnp.asarray(_CAFFE_MEAN, frames.dtype)


def symmetric_scaling(frames: Frames) -> Frames:
    """Scales frames from 0..255 to -1..1."""
    return frames / 127.5 - 1


# Architectures are compared by identity: each is a constant of this package, so its layers need not be hashed.
@dataclass(frozen=True, eq=False)
class Architecture:
    """An ImageNet CNN: its layers, input scaling and sizes.

    Attributes:
      name: its key in BACKBONES.
      layers: from the scaled frame to the last feature maps.
      top: the layers of the classifier, from the feature maps to the logits, for a number of classes.
      scaling: of frames in 0..255.
      default_size: height and width of the frames that the published weights were trained on.
      minimum_size: smallest height and width of a frame.
      num_features: channels of the last feature maps.
      last_stage: prefixes of the names of the layers after the last reduction of height and width.
      activation: name of its own activation.
    """

    name: str
    layers: Series
    top: Callable[[int], Series]
    scaling: Callable[[jax.Array], jax.Array]
    default_size: int
    minimum_size: int
    num_features: int
    last_stage: tuple[str, ...]
    activation: str = "relu"

    def __repr__(self) -> str:
        return self.name

    @property
    def stage_names(self) -> tuple[str, ...]:
        """Names of the activation sites outside of branches, in the order of the layers."""
        return tuple(layer.name for layer in self.layers if isinstance(layer, Site))

    def names_between(self, stages: Sequence[str]) -> tuple[str, ...]:
        """Names of the layers after the last but one of `stages`, up to the last one; branches are left out."""
        names = [getattr(layer, "name", "") for layer in self.layers]
        ends = [0, *sorted(names.index(stage) + 1 for stage in stages)]
        return tuple(filter(None, names[ends[-2] : ends[-1]]))


class Backbone(nn.Module):
    """An ImageNet CNN over single frames.

    Attributes:
      architecture: a value of BACKBONES.
      include_top: whether the output is class probabilities instead of pooled features.
      stages: names of layers (`Architecture.stage_names`) whose feature maps are the output, instead of what the last
        layer makes of them.
      num_classes: of the classifier; ImageNet's 1000 for the published weights.
      differences: whether the input is differences of frames, which are scaled as frames are, but without the offset:
        where nothing changes, the network sees zeros.
      activation: name of the activation at every site; None for the architecture's own.
      adaptive: whether the sites read their coefficients from the state.
      axis_name: mapped axis over which batch normalization shares its statistics in training.
      dtype: of the computation.
      param_dtype: of the parameters.
    """

    architecture: Architecture
    include_top: bool = False
    stages: tuple[str, ...] = ()
    num_classes: int = 1000
    differences: bool = False
    activation: str | None = None
    adaptive: bool = False
    axis_name: str | None = None
    dtype: DTypeLike = jnp.float32
    param_dtype: DTypeLike = jnp.float32

    @property
    @nn.nowrap
    def weights(self) -> str:
        """Name of the published ImageNet weights in `jaxvid.pretrained.download.WEIGHTS`."""
        return self.architecture.name if self.include_top else f"{self.architecture.name}_notop"

    @nn.nowrap
    def series(self) -> Series:
        """Returns all layers from the scaled frame to the output, without the softmax."""
        top = self.architecture.top(self.num_classes) if self.include_top else (GlobalPool(),)
        return self.architecture.layers + top

    @nn.compact
    def __call__(self, frames: Frames, *, train: bool) -> Any:
        """Returns pooled features, or with `include_top` class probabilities, float32 (frame, feature).

        With `stages` it returns a list of their feature maps, (frame, height, width, channel), in the order of the
        layers. Layers after the last of them only get their parameters.

        Args:
          frames: red, green, blue in 0..255, not scaled otherwise: the scaling is the architecture's. Or their
            differences, in -255..255.
          train: whether batch normalization uses the statistics of the batch, and updates the running ones.

        Raises:
          ValueError: if the frames do not have three channels, or are smaller than the architecture allows.
        """
        architecture = self.architecture
        height, width, channels = frames.shape[1:]
        if channels != 3 or min(height, width) < architecture.minimum_size:
            raise ValueError(
                f"frames of {height}x{width} with {channels} channels given to {architecture.name}; allowed: "
                f"{architecture.minimum_size}x{architecture.minimum_size} or larger, with 3 channels"
            )
        layers = Layers(
            self.activation or architecture.activation,
            self.adaptive,
            self.axis_name,
            self.dtype,
            self.param_dtype,
            norm_momentum=0.99,  # as in Keras
        )
        x = architecture.scaling(frames.astype(jnp.float32))
        if self.differences:
            x = x - architecture.scaling(jnp.zeros((1, 1, 1, channels)))
        x = x.astype(self.dtype)
        if self.stages:
            return self._stage_maps(x, layers, train)
        x = apply_series(self.series(), x, layers, train).astype(jnp.float32)
        return nn.softmax(x) if self.include_top else x

    def _stage_maps(self, x: Maps, layers: Layers, train: bool) -> list[jax.Array]:
        maps: list[jax.Array] = []
        for layer in self.series():
            if len(maps) == len(self.stages) and not self.is_initializing():
                return maps
            x = layer(x, layers, train)
            if isinstance(layer, Site) and layer.name in self.stages:
                maps.append(x)
        return maps
