"""The base class of all architectures: the fields that they share, and the traits that the rest of jaxvid reads."""

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple

import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

from jaxvid.models.activations import ACTIVATIONS, Activation, base_name
from jaxvid.models.backbones import Backbone, create_backbone
from jaxvid.models.layers import Layers
from jaxvid.models.temporal import differences

INPUTS = ("frames", "differences")


class AudioVisualClips(NamedTuple):
    """A batch of sequences with their sound: the input of models with `takes_sequences`.

    Attributes:
      frames: red, green, blue in 0..255, not scaled otherwise.
      num_frames: number of real frames of each sequence; the rest is padding.
      spectrograms: of the sound.
      num_spectra: number of real spectra of each sequence; 0 for one without sound.
    """

    frames: Float[Array, "batch time height width channel"]
    num_frames: Int[Array, "batch"]
    spectrograms: Float[Array, "batch spectrum band"]
    num_spectra: Int[Array, "batch"]


class PretrainedPart(NamedTuple):
    """A part of a model for which weights are published.

    Attributes:
      path: name of the part in the model's variables; "" for the whole model.
      weights: name of its file in `jaxvid.pretrained.download.WEIGHTS`.
      backbone: the part, if its weights are those of keras.applications; None if they are torchvision's.
    """

    path: str
    weights: str
    backbone: Backbone | None


def check_choice(key: str, value: str, allowed: Collection[str]) -> None:
    """Checks that a field has one of a few values.

    Raises:
      ValueError: if it has another one.
    """
    if value not in allowed:
        raise ValueError(f"{key} is {value!r}; allowed: {', '.join(allowed)}")


class ClipModel(nn.Module, kw_only=True):
    """A network from clips to logits.

    The class variables and the methods without computation are its traits: code outside this package asks for them
    and never for a model's name. The defaults are those of a network that is trained from scratch on frames.

    Attributes:
      num_classes: number of logits.
      input: what of a clip the network computes from: "frames", or "differences", each frame less the one before it,
        as many as frames, the first of them zero (after the frame differences of Z. Islam et al., Efficient Two-Stream
        Network for Violence Detection Using Separable Convolutional LSTM, IJCNN 2021). The network takes clips either
        way. Their scale stays: clips in [0, 1] have differences in [-1, 1], and those of a backbone's input in 0..255
        are divided by what the backbone divides pixels by, without its offset.
      activation: name of the activation at the network's own sites.
      adaptive: whether the sites read their coefficients from the state.
      axis_name: the mapped axis that the batch is split over, if any: batch normalization shares its statistics over
        it in training, and a clip's dropout does not depend on its device.
      dtype: of the computation.
      param_dtype: of the parameters.
      takes_sequences: whether the input is `AudioVisualClips` instead of frames.
      has_features: whether calling the model is `classify(extract(clips))`, so that the features of a frozen backbone
        can be computed once. In `jaxvid.models.framewise` they are those of single frames.
      published_weights: word of `config.model.pretrained` for the published weights; "" if there are none.
      retrained_parts: for each top-level module that a first stage on single frames trains, the name of its
        counterpart in `FrameClassifier`.
      map_layers: types of the layers whose outputs Grad-CAM shows.
      takes_maxout: whether `activation` may be "maxout", which leaves fewer channels: not where the outputs of a site
        are added to or multiplied with others, or have published weights after them.
      sound_modules: names of the top-level modules or head modules that process spectrograms instead of frames.
    """

    takes_sequences: ClassVar[bool] = False
    has_features: ClassVar[bool] = False
    published_weights: ClassVar[str] = ""
    retrained_parts: ClassVar[Mapping[str, str]] = MappingProxyType({})
    map_layers: ClassVar[tuple[type[nn.Module], ...]] = (Activation,)
    takes_maxout: ClassVar[bool] = False
    sound_modules: ClassVar[tuple[str, ...]] = ()

    num_classes: int
    input: str = "frames"
    activation: str = "relu"
    adaptive: bool = False
    axis_name: str | None = None
    dtype: DTypeLike = jnp.float32
    param_dtype: DTypeLike = jnp.float32

    def __post_init__(self) -> None:
        """Checks the fields.

        Raises:
          ValueError: as `check_fields`.
        """
        check_choice("input", self.input, INPUTS)
        self._check_maxout()
        self.check_fields()
        super().__post_init__()

    @nn.nowrap
    def _check_maxout(self) -> None:
        for key in ("activation", "backbone_activation"):
            if base_name(getattr(self, key, None) or "") != "maxout" or (key == "activation" and self.takes_maxout):
                continue
            others = ", ".join(name for name in ACTIVATIONS if name != "maxout")
            raise ValueError(
                f"{key} is {getattr(self, key)!r}, which leaves fewer channels than the layers of "
                f"{type(self).__name__} need; allowed: {others}"
            )

    @nn.nowrap
    def check_fields(self) -> None:
        """Checks the fields when the module is created.

        Raises:
          ValueError: if a value is not allowed; the message begins with the name of the field.
        """

    @nn.nowrap
    def default_clip(self) -> tuple[int, int, int, int]:
        """Time, height, width and channels of the clips that the network was published for."""
        raise NotImplementedError

    @nn.nowrap
    def layers(self, *, norm_momentum: float = 0.9, norm_epsilon: float = 1e-5) -> Layers:
        """What makes the layers of the network; the arguments are those of `Layers`."""
        return Layers(
            self.activation,
            self.adaptive,
            self.axis_name,
            self.dtype,
            self.param_dtype,
            norm_momentum=norm_momentum,
            norm_epsilon=norm_epsilon,
        )

    @nn.nowrap
    def create_backbone(
        self, name: str, *, activation: str | None, include_top: bool = False, differences: bool = False
    ) -> Backbone:
        """The ImageNet backbone called `name`, with its own activation where `activation` is None.

        `include_top` and `differences` are those of `Backbone`.

        Raises:
          ValueError: if there is no such backbone.
        """
        return create_backbone(
            name,
            include_top=include_top,
            activation=activation,
            differences=differences,
            adaptive=self.adaptive,
            axis_name=self.axis_name,
            dtype=self.dtype,
            param_dtype=self.param_dtype,
        )

    @nn.nowrap
    def prepared(
        self, clips: Float[Array, "batch time height width channel"]
    ) -> Float[Array, "batch time height width channel"]:
        """What the first layer takes: the frames, or their differences (`input`), as many."""
        return clips if self.input == "frames" else differences(clips)

    @nn.nowrap
    def input_streams(self) -> tuple[str, ...]:
        """What of a clip the network takes: "frames", "sound" or both."""
        return ("frames",)

    @nn.nowrap
    def backbones(self) -> dict[str, Backbone]:
        """The ImageNet backbones of the network by the names of their modules; empty if there are none."""
        return {}

    @nn.nowrap
    def last_stage(self) -> tuple[str, ...]:
        """Prefixes of the parameter paths of the backbones' last stages; empty without a backbone.

        In a network with a backbone all parameters except those under `head` belong to it.
        """
        return tuple(
            f"{name}/{prefix}"
            for name, backbone in self.backbones().items()
            for prefix in backbone.architecture.last_stage
        )

    @nn.nowrap
    def pretrained_parts(self) -> tuple[PretrainedPart, ...]:
        """The parts that take published weights; by default the backbones."""
        return tuple(PretrainedPart(name, backbone.weights, backbone) for name, backbone in self.backbones().items())

    @nn.nowrap
    def needs_first_stage(self) -> bool:
        """Whether the model depends on a part that only the first stage on single frames trains."""
        return False

    @nn.nowrap
    def feature_span(self) -> int:
        """The number of neighboring frames that a feature of `extract` is computed from.

        With 1 or more, windows of a video can share the features of its frames: calling the network is
        `classify(join(features, clips))`, with features that `stream_features` computes. 0: they cannot.
        """
        return 0

    def stream_features(self, frames: Float[Array, "frame height width channel"]) -> Float[Array, "frame feature"]:
        """Returns features of frames in a row: one that ends on each; the first `feature_span() - 1` mean nothing.

        Args:
          frames: scaled as the network's clips are.
        """
        raise NotImplementedError

    def join(self, features: Float[Array, "batch time feature"], clips: Any) -> Any:
        """Returns what `classify` takes: features of `stream_features`, with what else than frames the clips have."""
        del clips
        return features.astype(jnp.float32)
