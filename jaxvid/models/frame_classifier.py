"""An ImageNet CNN retrained on single frames: the first stage of paper 1.3 (genre classification)."""

from typing import ClassVar

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from jaxvid.models.backbones import Backbone, find_architecture
from jaxvid.models.clip_model import ClipModel, check_choice
from jaxvid.models.layers import per_frame


class FrameClassifier(ClipModel, kw_only=True):
    """The pooled features of an ImageNet CNN and one dense layer over them.

    A clip's logits are the mean of its frames'. The variables of the CNN are under `cnn`, those of the layer under
    `head`.

    Attributes:
      backbone: a key of BACKBONES.
      activation: name of the activation at its sites; "" for the architecture's own.
    """

    published_weights: ClassVar = "imagenet"

    backbone: str = "inception_v3"
    activation: str = ""

    @nn.nowrap
    def check_fields(self) -> None:
        """Checks `backbone` and `input`."""
        find_architecture(self.backbone)
        check_choice("input", self.input, ("frames",))

    @nn.nowrap
    def default_clip(self) -> tuple[int, int, int, int]:
        """One frame of 225x225."""
        return 1, 225, 225, 3

    def setup(self) -> None:
        """Creates the CNN and the layer."""
        self.cnn = self.backbones()["cnn"]
        self.head = self.layers().dense(self.num_classes)

    @nn.nowrap
    def backbones(self) -> dict[str, Backbone]:
        """The CNN."""
        return {"cnn": self.create_backbone(self.backbone, activation=self.activation)}

    def __call__(
        self, clips: Float[Array, "batch time height width channel"], *, train: bool
    ) -> Float[Array, "batch classes"]:
        """Returns logits in float32 for clips of red, green, blue in 0..255."""
        logits = per_frame(lambda frames: self.head(self.cnn(frames, train=train)), clips)
        return logits.astype(jnp.float32).mean(axis=1)
