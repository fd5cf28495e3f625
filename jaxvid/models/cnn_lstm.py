"""SHDN: a time-distributed CNN, an LSTM and dense layers, for recognizing sexual harassment in video.

Source: the paper's Figure 1, section III and Table II. `C{c}R{r}D{d}` counts convolutions plus max-pools (always two),
LSTM layers and dense layers, the output layer included. The paper names its best network C10R1D3: convolutions of 32,
32, 64, 64, 128, 128, 512 and 512 filters; the smaller ones are not described further, and are read here as its first
convolutions. Nor does the paper say how a frame comes down to the 512 features that its parameter count implies; here
the first convolution of each pair has stride 2 and a global average ends the CNN.
"""

import re
from functools import partial
from typing import Any

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from jaxvid.models.activations import Activation
from jaxvid.models.clip_model import ClipModel
from jaxvid.models.layers import LSTM, Dropout
from jaxvid.ops.convolution import conv_general_dilated
from jaxvid.ops.pooling import max_pool

ARCHITECTURES = tuple(f"C{c}R1D{d}" for c in (4, 6, 8, 10) for d in (2, 3))
_FILTERS = (32, 32, 64, 64, 128, 128, 512, 512)
_DENSE = (512, 16)
_NUM_POOLS = 2


def parse_arch(arch: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The filters of the convolutions and the widths of the hidden dense layers of `arch`, such as "C10R1D3".

    Raises:
      ValueError: if `arch` is not one of ARCHITECTURES.
    """
    if arch not in ARCHITECTURES:
        raise ValueError(f"config.model.arch is {arch!r}; allowed: {', '.join(ARCHITECTURES)}")
    layers, _, dense = map(int, re.findall(r"\d+", arch))
    return _FILTERS[: layers - _NUM_POOLS], _DENSE[: dense - 1]


class FrameCNN(nn.Module):
    """The convolutions of SHDN, each with batch normalization and an activation, over single frames.

    Attributes:
      filters: of the convolutions, in order; the first is 7x7, the others 3x3.
      activation: name of the activation at every site.
      adaptive: whether the sites read their coefficients from the state.
      axis_name: mapped axis over which batch normalization shares its statistics in training.
      dtype: of the computation.
      param_dtype: of the parameters.
    """

    filters: tuple[int, ...]
    activation: str
    adaptive: bool
    axis_name: str | None
    dtype: Any
    param_dtype: Any

    @nn.compact
    def __call__(
        self, frames: Float[Array, "frame height width channel"], *, train: bool
    ) -> Float[Array, "frame features"]:
        """One vector of features for each frame."""
        # Pools follow the second and the fourth convolution; of only two convolutions, each.
        pooled = {0, 1} if len(self.filters) == _NUM_POOLS else {1, 3}
        x = frames
        for i, filters in enumerate(self.filters):
            x = nn.Conv(
                filters,
                (7, 7) if i == 0 else (3, 3),
                strides=2 if i % 2 == 0 else 1,
                kernel_init=nn.initializers.glorot_uniform(),
                dtype=self.dtype,
                param_dtype=self.param_dtype,
                conv_general_dilated=conv_general_dilated,
                name=f"conv{i + 1}",
            )(x)
            x = nn.BatchNorm(
                use_running_average=not train,
                momentum=0.9,
                axis_name=self.axis_name if train else None,
                dtype=self.dtype,
                param_dtype=self.param_dtype,
                name=f"norm{i + 1}",
            )(x)
            x = Activation(self.activation, self.adaptive, name=f"activation{i + 1}")(x)
            if i in pooled:
                x = max_pool(x, 2, "SAME")
        return x.mean(axis=(1, 2))


class CNNLSTM(ClipModel, kw_only=True):
    """SHDN: features of every frame, an LSTM of 256 over them, dense layers on its last output.

    Attributes:
      arch: one of ARCHITECTURES.
      dropout_rate: after each hidden dense layer.
    """

    arch: str = "C10R1D3"
    activation: str = "leaky_relu"
    dropout_rate: float = 0.2

    @nn.compact
    def __call__(
        self, clips: Float[Array, "batch time height width channel"], *, train: bool
    ) -> Float[Array, "batch classes"]:
        """Logits in float32."""
        filters, dense_widths = parse_arch(self.arch)
        dense = partial(
            nn.Dense, kernel_init=nn.initializers.glorot_uniform(), dtype=self.dtype, param_dtype=self.param_dtype
        )
        frames = clips.astype(self.dtype).reshape(-1, *clips.shape[2:])
        features = FrameCNN(
            filters, self.activation, self.adaptive, self.axis_name, self.dtype, self.param_dtype, name="cnn"
        )(frames, train=train)
        features = features.reshape(*clips.shape[:2], -1)
        x = LSTM(256, dtype=self.dtype, param_dtype=self.param_dtype, name="lstm")(features)[:, -1]
        for i, width in enumerate(dense_widths):
            x = dense(width, name=f"dense{i + 1}")(x)
            x = Activation(self.activation, self.adaptive, name=f"dense_activation{i + 1}")(x)
            x = Dropout(self.dropout_rate, self.axis_name)(x, train=train)
        return dense(self.num_classes, name="head")(x).astype(jnp.float32)
