"""How much the feature maps of an ImageNet CNN change from frame to frame, where they change most.

The pooled features of a frame say where it was filmed; a fight is motion, in a small part of the picture. The features
here are the differences of neighboring frames' maps, as in temporal difference networks (L. Wang et al., TDN, CVPR
2021), of which each channel keeps its largest over the picture. A linear layer on their mean over time is all that is
trained; configs/results/README.md has the study that chose it.
"""

from typing import ClassVar

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from jaxvid.models.backbones import Backbone, find_architecture
from jaxvid.models.clip_model import ClipModel
from jaxvid.models.layers import Layers

# Of the maps of 28x28 and 14x14 places that MobileNet makes of frames of 224x224.
MOBILENET_STAGES = ("conv_pw_5_relu", "conv_pw_7_relu", "conv_pw_9_relu")


class MotionHead(nn.Module):
    """A linear layer on the mean over time of features, each of which is standardized.

    Attributes:
      num_classes: number of logits.
      dropout_rate: of the standardized features.
      layers: makes the layers.
    """

    num_classes: int
    dropout_rate: float
    layers: Layers

    @nn.compact
    def __call__(self, features: Float[Array, "batch pair feature"], *, train: bool) -> Float[Array, "batch classes"]:
        """Returns logits in float32."""
        x = features.mean(axis=1)
        # The linear layer has a scale and a bias of its own.
        x = self.layers.norm(use_scale=False, use_bias=False, name="standardize")(x, use_running_average=not train)
        x = self.layers.dropout(self.dropout_rate)(x, train=train)
        return self.layers.dense(self.num_classes, name="classifier")(x).astype(jnp.float32)


class MotionPool(ClipModel, kw_only=True):
    """Differences of an ImageNet CNN's feature maps from frame to frame, a linear layer on their mean over time.

    The variables of the backbone are under `cnn`, all others under `head`. Layers of the backbone after the last of
    `stages` have parameters, so that weight files fit, but are not computed.

    Attributes:
      backbone: a key of BACKBONES.
      stages: names of the backbone's layers whose maps are compared, outside of its branches.
      dropout_rate: of the standardized features.
      backbone_activation: name of the activation at the sites of the backbone; None for the architecture's own.
    """

    has_features: ClassVar = True
    published_weights: ClassVar = "imagenet"

    backbone: str = "mobilenet"
    stages: tuple[str, ...] = MOBILENET_STAGES
    dropout_rate: float = 0.0
    backbone_activation: str | None = None

    @nn.nowrap
    def check_fields(self) -> None:
        """Checks `backbone` and `stages`."""
        allowed = find_architecture(self.backbone).stage_names
        if not self.stages or not set(self.stages) <= set(allowed):
            raise ValueError(
                f"stages is {self.stages!r} for {self.backbone}; allowed: one or more of {', '.join(allowed)}"
            )

    @nn.nowrap
    def default_clip(self) -> tuple[int, int, int, int]:
        """16 frames of the size that the backbone's published weights were trained on."""
        size = find_architecture(self.backbone).default_size
        return 16, size, size, 3

    def setup(self) -> None:
        """Creates the backbone and the head."""
        self.cnn = self.backbones()["cnn"]
        self.head = MotionHead(num_classes=self.num_classes, dropout_rate=self.dropout_rate, layers=self.layers())

    @nn.nowrap
    def backbones(self) -> dict[str, Backbone]:
        """The CNN."""
        backbone = self.create_backbone(
            self.backbone, activation=self.backbone_activation, differences=self.input == "differences"
        )
        return {"cnn": backbone.clone(stages=tuple(self.stages))}

    @nn.nowrap
    def last_stage(self) -> tuple[str, ...]:
        """Prefixes of the layers between the last two of `stages`; those after them are not computed."""
        architecture = find_architecture(self.backbone)
        return tuple(f"cnn/{name}" for name in architecture.names_between(self.stages))

    @nn.nowrap
    def feature_span(self) -> int:
        """Features are of two neighboring frames; of differences they are not shared."""
        return 2 if self.input == "frames" else 0

    def stream_features(self, frames: Float[Array, "frame height width channel"]) -> Float[Array, "frame feature"]:
        """Returns the changes from the frame before to every frame; the first row means nothing."""
        changes = self.extract(frames[None])[0]
        return jnp.concatenate([changes[:1], changes])[: frames.shape[0]]

    def extract(
        self, clips: Float[Array, "batch time height width channel"], *, train: bool = False
    ) -> Float[Array, "batch pair feature"]:
        """Returns of every two neighboring frames how much each channel of each stage changes, in float32.

        This is the largest absolute difference over all places of the map. A clip of a single frame has one pair,
        without a change.

        Args:
          clips: red, green, blue in 0..255, not scaled otherwise.
          train: whether the backbone's batch norms take the statistics of the batch.
        """
        frames = self.prepared(clips).reshape(-1, *clips.shape[2:])
        maps = self.cnn(frames, train=train)
        return jnp.concatenate(
            [_largest_changes(stage.reshape(*clips.shape[:2], *stage.shape[1:])) for stage in maps], -1
        )

    def classify(self, features: Float[Array, "batch pair feature"], *, train: bool) -> Float[Array, "batch classes"]:
        """Returns logits in float32 for the features that `extract` returns."""
        return self.head(features, train=train)

    def __call__(
        self, clips: Float[Array, "batch time height width channel"], *, train: bool
    ) -> Float[Array, "batch classes"]:
        """Returns logits in float32 for clips of red, green, blue in 0..255."""
        return self.classify(self.extract(clips, train=train), train=train)


def _largest_changes(maps: Float[Array, "batch time height width channel"]) -> Float[Array, "batch pair channel"]:
    if maps.shape[1] == 1:
        return jnp.zeros((maps.shape[0], 1, maps.shape[-1]))
    return jnp.abs(maps[:, 1:] - maps[:, :-1]).max(axis=(2, 3)).astype(jnp.float32)
