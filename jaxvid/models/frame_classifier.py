"""An ImageNet CNN that is retrained on single frames: the first stage of paper 1.3 (genre classification)."""

from typing import ClassVar

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from jaxvid.models.backbones import Backbone, create_backbone
from jaxvid.models.clip_model import ClipModel


class FrameClassifier(ClipModel, kw_only=True):
    """The pooled features of an ImageNet CNN and one dense layer over them.

    A clip's logits are the mean of its frames'. The variables of the CNN are under `cnn`, those of the layer under
    `head`.

    Attributes:
      backbone: a key of BACKBONES.
      activation: name of the activation at its sites; None for the architecture's own.
    """

    published_weights: ClassVar = "imagenet"

    backbone: str = "inception_v3"
    activation: str | None = None  # pyright: ignore[reportIncompatibleVariableOverride]

    def setup(self) -> None:
        """Creates the CNN and the layer."""
        self.cnn = self.backbones()["cnn"]
        self.head = nn.Dense(
            self.num_classes,
            kernel_init=nn.initializers.glorot_uniform(),
            dtype=self.dtype,
            param_dtype=self.param_dtype,
        )

    @nn.nowrap
    def backbones(self) -> dict[str, Backbone]:
        """The CNN."""
        cnn = create_backbone(
            self.backbone,
            activation=self.activation,
            adaptive=self.adaptive,
            axis_name=self.axis_name,
            dtype=self.dtype,
            param_dtype=self.param_dtype,
        )
        return {"cnn": cnn}

    def __call__(
        self, clips: Float[Array, "batch time height width channel"], *, train: bool
    ) -> Float[Array, "batch classes"]:
        """Logits in float32, from clips of red, green, blue in 0..255."""
        logits = self.head(self.cnn(clips.reshape(-1, *clips.shape[2:]), train=train))
        return logits.astype(jnp.float32).reshape(*clips.shape[:2], -1).mean(axis=1)
