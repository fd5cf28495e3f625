"""LRCN: convolutions over single frames and an LSTM over their features, for recognizing activities in video.

Sources: J. Donahue et al., Long-term Recurrent Convolutional Networks for Visual Recognition and Description, CVPR
2015; the network here, the activity recognition paper, whose figures are those of UCF50 at 20 frames of 64x64.
"""

import math

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from jaxvid.models.activations import Activation
from jaxvid.models.clip_model import ClipModel
from jaxvid.models.layers import LSTM, Dropout
from jaxvid.ops.convolution import conv_general_dilated
from jaxvid.ops.pooling import max_pool

_FILTERS_AND_POOLS = ((16, 4), (32, 4), (64, 2), (64, 2))
_STATE = 32


class LRCN(ClipModel, kw_only=True):
    """3x3 convolutions of 16, 32, 64 and 64 filters with max-pools, an LSTM of 32, one dense layer on its last output.

    Attributes:
      dropout_rate: after the first three pools.
    """

    dropout_rate: float = 0.25

    @nn.compact
    def __call__(
        self, clips: Float[Array, "batch time height width channel"], *, train: bool
    ) -> Float[Array, "batch classes"]:
        """Logits in float32.

        Raises:
          ValueError: if frames are too small for the four pools.
        """
        smallest = math.prod(pool for _, pool in _FILTERS_AND_POOLS)
        if min(clips.shape[2:4]) < smallest:
            raise ValueError(
                f"LRCN takes frames of at least {smallest}x{smallest}, not {clips.shape[2]}x{clips.shape[3]}"
            )
        parameters = {
            "kernel_init": nn.initializers.glorot_uniform(),
            "dtype": self.dtype,
            "param_dtype": self.param_dtype,
        }
        x = clips.astype(self.dtype).reshape(-1, *clips.shape[2:])
        for i, (filters, pool) in enumerate(_FILTERS_AND_POOLS):
            x = nn.Conv(filters, (3, 3), conv_general_dilated=conv_general_dilated, name=f"conv{i + 1}", **parameters)(
                x
            )
            x = Activation(self.activation, self.adaptive, name=f"activation{i + 1}")(x)
            x = max_pool(x, pool, "VALID")
            if i < len(_FILTERS_AND_POOLS) - 1:
                x = Dropout(self.dropout_rate, self.axis_name, name=f"dropout{i + 1}")(x, train=train)
        features = x.reshape(*clips.shape[:2], -1)
        x = LSTM(_STATE, dtype=self.dtype, param_dtype=self.param_dtype, name="lstm")(features)[:, -1]
        return nn.Dense(self.num_classes, name="head", **parameters)(x).astype(jnp.float32)
