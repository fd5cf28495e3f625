"""An ImageNet CNN that is retrained on single frames: the first stage of paper 1.3 (genre classification)."""

from typing import Any

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from jaxvid.models.backbones import create_backbone


class FrameClassifier(nn.Module):
    """The pooled features of an ImageNet CNN and one dense layer over them.

    A clip's logits are the mean of its frames'. The variables of the CNN are under `cnn`, those of the layer under
    `head`.

    Attributes:
      num_classes: number of logits.
      backbone: a key of BACKBONES.
      activation: name of the activation at its sites; None for the architecture's own.
      adaptive: whether the sites read their coefficients from the state.
      axis_name: mapped axis over which batch normalization shares its statistics in training.
      dtype: of the computation.
      param_dtype: of the parameters.
    """

    num_classes: int
    backbone: str = "inception_v3"
    activation: str | None = None
    adaptive: bool = False
    axis_name: str | None = None
    dtype: Any = jnp.float32
    param_dtype: Any = jnp.float32

    def setup(self) -> None:
        """Creates the CNN and the layer."""
        types = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        self.cnn = create_backbone(
            self.backbone,
            activation=self.activation,
            adaptive=self.adaptive,
            axis_name=self.axis_name,
            **types,
        )
        self.head = nn.Dense(self.num_classes, kernel_init=nn.initializers.glorot_uniform(), **types)

    def __call__(
        self, clips: Float[Array, "batch time height width channel"], *, train: bool
    ) -> Float[Array, "batch classes"]:
        """Logits in float32, from clips of red, green, blue in 0..255."""
        logits = self.head(self.cnn(clips.reshape(-1, *clips.shape[2:]), train=train))
        return logits.astype(jnp.float32).reshape(*clips.shape[:2], -1).mean(axis=1)
