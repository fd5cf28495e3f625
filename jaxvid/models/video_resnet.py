"""Video ResNets: R(2+1)D, R3D and MC3 over clips.

Sources: D. Tran et al., A Closer Look at Spatiotemporal Convolutions for Action Recognition, CVPR 2018, and for the
networks of 18 layers torchvision.models.video, whose parameters they take (jaxvid.pretrained.torchvision).

The two sources differ in the number M of middle channels of a (2+1)D convolution. The paper (section 3.5) computes
M = t d^2 N_in N_out / (d^2 N_in + t N_out) for each convolution from its own channels; r2plus1d_10 and r2plus1d_34 do
the same, with the epsilon of 1e-3 of the authors' code. torchvision computes M once per block, for both convolutions.
"""

from types import MappingProxyType
from typing import ClassVar, Literal, NamedTuple

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from jaxvid.models.clip_model import ClipModel, PretrainedPart, check_choice
from jaxvid.models.layers import Layers

Factorization = Literal["2+1d", "3d", "2d"]


class Variant(NamedTuple):
    """The differences between the Video ResNets.

    Attributes:
      blocks: residual blocks in each of the four layers.
      convolutions: in each of the four layers, (2+1)D, 3x3x3, or 1x3x3, which leaves time alone.
      factored_stem: whether the stem is (2+1)D rather than one 3x7x7 convolution.
      middle_per_block: whether both (2+1)D convolutions of a block have the middle channels of the first one.
      norm_epsilon: added to the variance in batch normalization.
    """

    blocks: tuple[int, ...]
    convolutions: tuple[Factorization, ...]
    factored_stem: bool
    middle_per_block: bool
    norm_epsilon: float


VARIANTS: MappingProxyType[str, Variant] = MappingProxyType(
    {
        "r2plus1d_10": Variant((1, 1, 1, 1), ("2+1d",) * 4, True, False, 1e-3),
        "r2plus1d_18": Variant((2, 2, 2, 2), ("2+1d",) * 4, True, True, 1e-5),
        "r2plus1d_34": Variant((3, 4, 6, 3), ("2+1d",) * 4, True, False, 1e-3),
        "r3d_18": Variant((2, 2, 2, 2), ("3d",) * 4, False, True, 1e-5),
        "mc3_18": Variant((2, 2, 2, 2), ("3d", "2d", "2d", "2d"), False, True, 1e-5),
    }
)
_CHANNELS = (64, 128, 256, 512)
_STEM_MIDDLE_CHANNELS = 45


def middle_channels(in_channels: int, out_channels: int) -> int:
    """Channels between the halves of a (2+1)D convolution that give it about the parameters of a 3x3x3 convolution."""
    return (in_channels * out_channels * 27) // (in_channels * 9 + out_channels * 3)


class Conv2Plus1D(nn.Module):
    """A 1x3x3 convolution, batch normalization and an activation, and a 3x1x1 convolution (the paper's section 3.5).

    Attributes:
      middle: channels between the two convolutions.
      features: output channels.
      stride: over space in the first convolution, over time in the second.
      layers: makes the layers.
    """

    middle: int
    features: int
    stride: int
    layers: Layers

    @nn.compact
    def __call__(
        self, clips: Float[Array, "batch time height width channel"], train: bool
    ) -> Float[Array, "batch out_time out_height out_width features"]:
        """Returns the output of the temporal convolution."""
        x = self.layers.clip_conv(self.middle, (1, 3, 3), (1, self.stride, self.stride), name="spatial")(clips)
        x = self.layers.norm(name="norm")(x, use_running_average=not train)
        x = self.layers.activation(name="activation")(x)
        return self.layers.clip_conv(self.features, (3, 1, 1), (self.stride, 1, 1), name="temporal")(x)


class ResidualBlock(nn.Module):
    """Two convolutions beside an identity, or beside a strided 1x1x1 convolution where the shape changes.

    Attributes:
      features: output channels.
      stride: of the first convolution, over space, and over time too unless the convolutions are "2d".
      convolutions: how the two convolutions are factored.
      middle_per_block: see Variant.
      layers: makes the layers.
    """

    features: int
    stride: int
    convolutions: Factorization
    middle_per_block: bool
    layers: Layers

    @nn.compact
    def __call__(
        self, clips: Float[Array, "batch time height width channel"], train: bool
    ) -> Float[Array, "batch out_time out_height out_width features"]:
        """Returns the sum of the two branches, after an activation."""
        layers, in_channels = self.layers, clips.shape[-1]
        x = self._convolve(clips, in_channels, self.stride, "conv1", train)
        x = layers.norm(name="norm1")(x, use_running_average=not train)
        x = layers.activation(name="activation1")(x)
        x = self._convolve(x, in_channels if self.middle_per_block else self.features, 1, "conv2", train)
        x = layers.norm(name="norm2")(x, use_running_average=not train)
        if self.stride != 1 or in_channels != self.features:
            strides = self._strides(self.stride)
            clips = layers.clip_conv(self.features, (1, 1, 1), strides, name="downsample_conv")(clips)
            clips = layers.norm(name="downsample_norm")(clips, use_running_average=not train)
        return layers.activation(name="activation2")(x + clips)

    def _strides(self, stride: int) -> tuple[int, int, int]:
        return (1 if self.convolutions == "2d" else stride, stride, stride)

    def _convolve(self, clips: Array, in_channels: int, stride: int, name: str, train: bool) -> Array:
        """One of the block's two convolutions; the middle channels are computed from `in_channels`."""
        if self.convolutions == "2+1d":
            middle = middle_channels(in_channels, self.features)
            return Conv2Plus1D(middle, self.features, stride, self.layers, name=name)(clips, train)
        depth = 1 if self.convolutions == "2d" else 3
        return self.layers.clip_conv(self.features, (depth, 3, 3), self._strides(stride), name=name)(clips)


class Stem(nn.Module):
    """The first convolution, 3x7x7 with stride 2 over space, or factored with 45 channels between its halves."""

    factored: bool
    layers: Layers

    @nn.compact
    def __call__(
        self, clips: Float[Array, "batch time height width channel"], train: bool
    ) -> Float[Array, "batch time out_height out_width features"]:
        """Returns 64 channels at half the height and width."""
        layers = self.layers
        if not self.factored:
            x = layers.clip_conv(_CHANNELS[0], (3, 7, 7), (1, 2, 2), name="conv")(clips)
            x = layers.norm(name="norm")(x, use_running_average=not train)
            return layers.activation(name="activation")(x)
        x = layers.clip_conv(_STEM_MIDDLE_CHANNELS, (1, 7, 7), (1, 2, 2), name="spatial")(clips)
        x = layers.norm(name="norm1")(x, use_running_average=not train)
        x = layers.activation(name="activation1")(x)
        x = layers.clip_conv(_CHANNELS[0], (3, 1, 1), (1, 1, 1), name="temporal")(x)
        x = layers.norm(name="norm2")(x, use_running_average=not train)
        return layers.activation(name="activation2")(x)


class VideoResNet(ClipModel, kw_only=True):
    """A residual network over clips: stem, four layers of residual blocks, global average, one dense layer.

    Attributes:
      variant: a name in VARIANTS.
      remat: whether a block's activations are computed again in the backward pass instead of being kept.
    """

    published_weights: ClassVar = "kinetics400"

    variant: str = "r2plus1d_18"
    remat: bool = False

    @nn.nowrap
    def check_fields(self) -> None:
        """Checks `variant`."""
        check_choice("variant", self.variant, VARIANTS)

    @nn.nowrap
    def default_clip(self) -> tuple[int, int, int, int]:
        """16 frames of 112x112."""
        return 16, 112, 112, 3

    @nn.nowrap
    def last_stage(self) -> tuple[str, ...]:
        """The last of the four layers."""
        return ("layer4_",)

    @nn.nowrap
    def pretrained_parts(self) -> tuple[PretrainedPart, ...]:
        """The whole network."""
        return (PretrainedPart("", self.variant, None),)

    @nn.compact
    def __call__(
        self, clips: Float[Array, "batch time height width channel"], *, train: bool
    ) -> Float[Array, "batch classes"]:
        """Returns logits in float32."""
        variant = VARIANTS[self.variant]
        layers = self.layers(norm_epsilon=variant.norm_epsilon)
        # Argument 2, after `self` and the clips, is `train`.
        block = nn.remat(ResidualBlock, static_argnums=(2,)) if self.remat else ResidualBlock
        x = Stem(variant.factored_stem, layers, name="stem")(self.prepared(clips), train)
        for i, (blocks, features, convolutions) in enumerate(
            zip(variant.blocks, _CHANNELS, variant.convolutions, strict=True)
        ):
            for j in range(blocks):
                stride = 2 if i > 0 and j == 0 else 1
                name = f"layer{i + 1}_{j}"
                x = block(features, stride, convolutions, variant.middle_per_block, layers, name=name)(x, train)
        head = layers.dense(self.num_classes, kernel_init=nn.initializers.normal(0.01), name="head")
        return head(x.mean(axis=(1, 2, 3))).astype(jnp.float32)
