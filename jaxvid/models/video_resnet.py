"""Video ResNets: R(2+1)D, R3D and MC3 over clips.

Sources: D. Tran et al., A Closer Look at Spatiotemporal Convolutions for Action Recognition, CVPR 2018, and for the
networks of 18 layers torchvision.models.video, whose parameters they take (jaxvid.pretrained.torchvision).

The two part where the middle planes of a (2+1)D convolution are counted. The paper (section 3.5) gives each convolution
M = t d^2 N_in N_out / (d^2 N_in + t N_out) of its own planes, which r2plus1d_10 and r2plus1d_34 do, with the epsilon
of 1e-3 of the authors' code; torchvision computes M once a block and uses it for both of its convolutions.
"""

from collections.abc import Callable
from functools import partial
from types import MappingProxyType
from typing import ClassVar, Literal, NamedTuple

import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from jaxvid.models.activations import Activation
from jaxvid.models.clip_model import ClipModel, PretrainedPart
from jaxvid.ops.convolution import convolve_clips

Factorization = Literal["2+1d", "3d", "2d"]


class Variant(NamedTuple):
    """What tells one Video ResNet from another.

    Attributes:
      blocks: residual blocks in each of the four layers.
      convolutions: in each of the four layers, (2+1)D, 3x3x3, or 1x3x3, which leaves time alone.
      factored_stem: whether the stem is (2+1)D rather than one 3x7x7 convolution.
      planes_per_block: whether the middle planes of a (2+1)D block are those of its first convolution.
      norm_epsilon: added to the variance in batch normalization.
    """

    blocks: tuple[int, ...]
    convolutions: tuple[Factorization, ...]
    factored_stem: bool
    planes_per_block: bool
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
_PLANES = (64, 128, 256, 512)
_STEM_MIDDLE_PLANES = 45


def middle_planes(in_planes: int, out_planes: int) -> int:
    """Planes between the halves of a (2+1)D convolution, so that it has about as many parameters as a 3x3x3 one."""
    return (in_planes * out_planes * 27) // (in_planes * 9 + out_planes * 3)


class ClipConv(nn.Module):
    """A convolution over clips without bias, its kernel in the order time, height, width, input, output.

    Attributes:
      features: output planes.
      kernel_size: over time, height and width; odd.
      strides: over time, height and width.
      dtype: of the computation.
      param_dtype: of the parameters.
    """

    features: int
    kernel_size: tuple[int, int, int]
    strides: tuple[int, int, int]
    dtype: DTypeLike
    param_dtype: DTypeLike

    @nn.compact
    def __call__(
        self, clips: Float[Array, "batch time height width channel"]
    ) -> Float[Array, "batch out_time out_height out_width features"]:
        """The planes of the convolution."""
        kernel = self.param(
            "kernel",
            nn.initializers.variance_scaling(2.0, "fan_out", "normal"),
            (*self.kernel_size, clips.shape[-1], self.features),
            self.param_dtype,
        )
        return convolve_clips(clips.astype(self.dtype), kernel.astype(self.dtype), self.strides)


class Layers(NamedTuple):
    """Makers of the layers of one network, which share its dtypes, normalization and activation."""

    conv: Callable[..., nn.Module]
    norm: Callable[..., nn.Module]
    activation: Callable[..., nn.Module]


class Conv2Plus1D(nn.Module):
    """A 1x3x3 convolution, batch normalization and an activation, and a 3x1x1 convolution (the paper's section 3.5)."""

    middle: int
    features: int
    stride: int
    layers: Layers

    @nn.compact
    def __call__(
        self, clips: Float[Array, "batch time height width channel"]
    ) -> Float[Array, "batch out_time out_height out_width features"]:
        """The planes of the temporal convolution."""
        x = self.layers.conv(self.middle, (1, 3, 3), (1, self.stride, self.stride), name="spatial")(clips)
        x = self.layers.norm(name="norm")(x)
        x = self.layers.activation(name="activation")(x)
        return self.layers.conv(self.features, (3, 1, 1), (self.stride, 1, 1), name="temporal")(x)


class ResidualBlock(nn.Module):
    """Two convolutions beside an identity, or beside a strided 1x1x1 convolution where the shape changes.

    Attributes:
      features: output planes.
      stride: of the first convolution, over space, and over time too unless the convolutions are "2d".
      convolutions: how the two convolutions are factored.
      planes_per_block: see Variant.
      layers: makers of the layers.
    """

    features: int
    stride: int
    convolutions: Factorization
    planes_per_block: bool
    layers: Layers

    @nn.compact
    def __call__(
        self, clips: Float[Array, "batch time height width channel"]
    ) -> Float[Array, "batch out_time out_height out_width features"]:
        """The planes of the block."""
        in_planes = clips.shape[-1]
        x = self._convolution(in_planes, self.stride, "conv1")(clips)
        x = self.layers.norm(name="norm1")(x)
        x = self.layers.activation(name="activation1")(x)
        x = self._convolution(in_planes if self.planes_per_block else self.features, 1, "conv2")(x)
        x = self.layers.norm(name="norm2")(x)
        if self.stride != 1 or in_planes != self.features:
            clips = self.layers.conv(self.features, (1, 1, 1), self._strides(self.stride), name="downsample_conv")(
                clips
            )
            clips = self.layers.norm(name="downsample_norm")(clips)
        return self.layers.activation(name="activation2")(x + clips)

    def _strides(self, stride: int) -> tuple[int, int, int]:
        return (1 if self.convolutions == "2d" else stride, stride, stride)

    def _convolution(self, planes: int, stride: int, name: str) -> nn.Module:
        """One of the block's two convolutions; `planes` are those the middle planes are counted from."""
        if self.convolutions == "2+1d":
            return Conv2Plus1D(middle_planes(planes, self.features), self.features, stride, self.layers, name=name)
        depth = 1 if self.convolutions == "2d" else 3
        return self.layers.conv(self.features, (depth, 3, 3), self._strides(stride), name=name)


class Stem(nn.Module):
    """The first convolution, 3x7x7 with stride 2 over space, or factored with 45 planes between its halves."""

    factored: bool
    layers: Layers

    @nn.compact
    def __call__(
        self, clips: Float[Array, "batch time height width channel"]
    ) -> Float[Array, "batch time out_height out_width features"]:
        """64 planes at half the height and width."""
        conv, norm, activation = self.layers
        if not self.factored:
            x = conv(_PLANES[0], (3, 7, 7), (1, 2, 2), name="conv")(clips)
            return activation(name="activation")(norm(name="norm")(x))
        x = conv(_STEM_MIDDLE_PLANES, (1, 7, 7), (1, 2, 2), name="spatial")(clips)
        x = activation(name="activation1")(norm(name="norm1")(x))
        x = conv(_PLANES[0], (3, 1, 1), (1, 1, 1), name="temporal")(x)
        return activation(name="activation2")(norm(name="norm2")(x))


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
        """Logits in float32."""
        if self.variant not in VARIANTS:
            raise ValueError(f"config.model.variant is {self.variant!r}; allowed: {', '.join(VARIANTS)}")
        variant = VARIANTS[self.variant]
        layers = self._layers(variant, train)
        block = nn.remat(ResidualBlock) if self.remat else ResidualBlock
        x = Stem(variant.factored_stem, layers, name="stem")(clips)
        for i, (blocks, features, convolutions) in enumerate(
            zip(variant.blocks, _PLANES, variant.convolutions, strict=True)
        ):
            for j in range(blocks):
                stride = 2 if i > 0 and j == 0 else 1
                name = f"layer{i + 1}_{j}"
                x = block(features, stride, convolutions, variant.planes_per_block, layers, name=name)(x)
        return nn.Dense(
            self.num_classes,
            kernel_init=nn.initializers.normal(0.01),
            dtype=self.dtype,
            param_dtype=self.param_dtype,
            name="head",
        )(x.mean(axis=(1, 2, 3))).astype(jnp.float32)

    def _layers(self, variant: Variant, train: bool) -> Layers:
        return Layers(
            conv=partial(ClipConv, dtype=self.dtype, param_dtype=self.param_dtype),
            norm=partial(
                nn.BatchNorm,
                use_running_average=not train,
                momentum=0.9,
                epsilon=variant.norm_epsilon,
                axis_name=self.axis_name if train else None,
                dtype=self.dtype,
                param_dtype=self.param_dtype,
            ),
            activation=partial(Activation, self.activation, self.adaptive),
        )
