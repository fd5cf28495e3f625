"""LRCN: convolutions over single frames and an LSTM over their features, for recognizing activities in video.

Sources: J. Donahue et al., Long-term Recurrent Convolutional Networks for Visual Recognition and Description, CVPR
2015; the network here, the activity recognition paper, whose results are of UCF50 at 20 frames of 64x64.
"""

import math
from typing import ClassVar

from flax import linen as nn
from jaxtyping import Array, Float

from jaxvid.models.framewise import FramewiseModel, LastOutputHead
from jaxvid.models.layers import Layers
from jaxvid.ops.pooling import max_pool

_FILTERS_AND_POOLS = ((16, 4), (32, 4), (64, 2), (64, 2))
_STATE = 32


class FrameConvolutions(nn.Module):
    """The convolutions of LRCN over single frames.

    Attributes:
      dropout_rate: after all pools but the last.
      layers: makes the layers.
    """

    dropout_rate: float
    layers: Layers

    @nn.compact
    def __call__(
        self, frames: Float[Array, "frame height width channel"], *, train: bool
    ) -> Float[Array, "frame features"]:
        """Returns one vector of features for each frame.

        Raises:
          ValueError: if frames are too small for the four pools.
        """
        smallest = math.prod(pool for _, pool in _FILTERS_AND_POOLS)
        height, width = frames.shape[1:3]
        if min(height, width) < smallest:
            raise ValueError(f"LRCN takes frames of at least {smallest}x{smallest}, not {height}x{width}")
        x = frames
        for i, (filters, pool) in enumerate(_FILTERS_AND_POOLS, start=1):
            x = self.layers.conv(filters, (3, 3), name=f"conv{i}")(x)
            x = self.layers.activation(name=f"activation{i}")(x)
            x = max_pool(x, pool, "VALID")
            if i < len(_FILTERS_AND_POOLS):
                x = self.layers.dropout(self.dropout_rate, name=f"dropout{i}")(x, train=train)
        return x.reshape(x.shape[0], -1)


class LRCN(FramewiseModel, kw_only=True):
    """3x3 convolutions of 16, 32, 64 and 64 filters with max-pools, an LSTM of 32, one dense layer on its last output.

    Attributes:
      dropout_rate: after the first three pools.
    """

    takes_maxout: ClassVar = True

    dropout_rate: float = 0.25

    @nn.nowrap
    def default_clip(self) -> tuple[int, int, int, int]:
        """20 frames of 64x64."""
        return 20, 64, 64, 3

    def setup(self) -> None:
        """Creates the convolutions and the head; the layers of both are side by side, below no name of their own."""
        self.frame = FrameConvolutions(self.dropout_rate, self.layers())
        self.sequence = LastOutputHead(
            num_classes=self.num_classes,
            lstm_features=_STATE,
            dense=(),
            dropout_rate=0.0,
            motion=self.motion,
            norm=self.head_norm,
            layers=self.layers(),
        )
        nn.share_scope(self, self.frame)
        nn.share_scope(self, self.sequence)

    def frame_features(
        self, frames: Float[Array, "frame height width channel"], *, train: bool = False
    ) -> Float[Array, "frame feature"]:
        """Returns what the convolutions make of single frames, in the computation's type.

        Raises:
          ValueError: if frames are too small for the four pools.
        """
        return self.frame(frames.astype(self.dtype), train=train)

    def classify(self, features: Float[Array, "batch time feature"], *, train: bool) -> Float[Array, "batch classes"]:
        """Returns logits in float32 for the features that `extract` returns."""
        return self.sequence(features, train=train)
