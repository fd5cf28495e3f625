"""LRCN: convolutions over single frames and an LSTM over their features, for recognizing activities in video.

Sources: J. Donahue et al., Long-term Recurrent Convolutional Networks for Visual Recognition and Description, CVPR
2015; the network here, the activity recognition paper, whose results are of UCF50 at 20 frames of 64x64.
"""

import math
from functools import partial

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from jaxvid.models.clip_model import ClipModel
from jaxvid.models.layers import Layers, per_frame
from jaxvid.ops.pooling import max_pool

_FILTERS_AND_POOLS = ((16, 4), (32, 4), (64, 2), (64, 2))
_STATE = 32


class LRCN(ClipModel, kw_only=True):
    """3x3 convolutions of 16, 32, 64 and 64 filters with max-pools, an LSTM of 32, one dense layer on its last output.

    Attributes:
      dropout_rate: after the first three pools.
    """

    dropout_rate: float = 0.25

    @nn.nowrap
    def default_clip(self) -> tuple[int, int, int, int]:
        """20 frames of 64x64."""
        return 20, 64, 64, 3

    @nn.compact
    def __call__(
        self, clips: Float[Array, "batch time height width channel"], *, train: bool
    ) -> Float[Array, "batch classes"]:
        """Returns logits in float32.

        Raises:
          ValueError: if frames are too small for the four pools.
        """
        smallest = math.prod(pool for _, pool in _FILTERS_AND_POOLS)
        if min(clips.shape[2:4]) < smallest:
            raise ValueError(
                f"LRCN takes frames of at least {smallest}x{smallest}, not {clips.shape[2]}x{clips.shape[3]}"
            )
        layers = self.layers()
        features = per_frame(partial(self._features, layers=layers, train=train), clips.astype(self.dtype))
        x = layers.lstm(_STATE, name="lstm")(features)[:, -1]
        return layers.dense(self.num_classes, name="head")(x).astype(jnp.float32)

    def _features(
        self, frames: Float[Array, "frame height width channel"], *, layers: Layers, train: bool
    ) -> Float[Array, "frame features"]:
        x = frames
        for i, (filters, pool) in enumerate(_FILTERS_AND_POOLS, start=1):
            x = layers.conv(filters, (3, 3), name=f"conv{i}")(x)
            x = layers.activation(name=f"activation{i}")(x)
            x = max_pool(x, pool, "VALID")
            if i < len(_FILTERS_AND_POOLS):
                x = layers.dropout(self.dropout_rate, name=f"dropout{i}")(x, train=train)
        return x.reshape(x.shape[0], -1)
