"""C3D: 3D convolutions and max-pools over clips, for recognizing activities in video.

Source: D. Tran et al., Learning Spatiotemporal Features with 3D Convolutional Networks, ICCV 2015, Figure 3. Pools keep
what is left over at the end as smaller blocks, as Caffe's do, in which the authors published the network.
"""

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from jaxvid.models.clip_model import ClipModel
from jaxvid.models.layers import hidden_layers
from jaxvid.ops.pooling import max_pool

# Convolutions of each group; a pool follows each group.
_CONVOLUTIONS = (1, 1, 2, 2, 2)


class C3D(ClipModel, kw_only=True):
    """Eight 3x3x3 convolutions in five groups, each followed by a max-pool, two dense layers and the classifier.

    The first pool leaves time alone, the others halve it. The dense layers take the maps of all that is left, so their
    size depends on the number of frames and their size.

    Attributes:
      filters: of the convolutions of each group.
      dense: widths of the hidden dense layers.
      dropout_rate: after each hidden dense layer.
    """

    filters: tuple[int, ...] = (64, 128, 256, 512, 512)
    dense: tuple[int, ...] = (4096, 4096)
    dropout_rate: float = 0.5

    @nn.nowrap
    def check_fields(self) -> None:
        """Checks `filters`."""
        if len(self.filters) != len(_CONVOLUTIONS) or min(self.filters) < 1:
            raise ValueError(f"filters is {self.filters}; allowed: {len(_CONVOLUTIONS)} numbers above 0")

    @nn.nowrap
    def default_clip(self) -> tuple[int, int, int, int]:
        """16 frames of 112x112."""
        return 16, 112, 112, 3

    @nn.compact
    def __call__(
        self, clips: Float[Array, "batch time height width channel"], *, train: bool
    ) -> Float[Array, "batch classes"]:
        """Returns logits in float32."""
        layers = self.layers()
        x = self.prepared(clips).astype(self.dtype)
        for group, (count, filters) in enumerate(zip(_CONVOLUTIONS, self.filters, strict=True), start=1):
            for i in range(count):
                suffix = f"{group}{'ab'[i] if count > 1 else ''}"
                x = layers.conv(filters, (3, 3, 3), name=f"conv{suffix}")(x)
                x = layers.activation(name=f"activation{suffix}")(x)
            x = max_pool(x, 2, "SAME")
            x = x if group == 1 else _pairs_over_time(x)
        x = hidden_layers(x.reshape(x.shape[0], -1), self.dense, self.dropout_rate, layers, train=train)
        return layers.dense(self.num_classes, name="head")(x).astype(jnp.float32)


def _pairs_over_time(
    clips: Float[Array, "batch time height width channel"],
) -> Float[Array, "batch out_time height width channel"]:
    """Returns the maximum of every two frames; the last one stays by itself if it has no other."""
    missing = -clips.shape[1] % 2
    padded = jnp.pad(clips, [(0, 0), (0, missing), (0, 0), (0, 0), (0, 0)], constant_values=-jnp.inf)
    return jnp.maximum(padded[:, ::2], padded[:, 1::2])
