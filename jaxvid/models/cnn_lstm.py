"""SHDN: a time-distributed CNN, an LSTM and dense layers, for recognizing sexual harassment in video.

Source: the paper's Figure 1, section III and Table II. `C{c}R{r}D{d}` counts convolutions plus max-pools (always two),
LSTM layers and dense layers, the output layer included. The paper names its best network C10R1D3: convolutions of 32,
32, 64, 64, 128, 128, 512 and 512 filters; the paper does not describe the smaller ones, which here
have its first convolutions. Nor does it say how a frame is reduced to the 512 features that its parameter count
implies; here the first convolution of each pair has stride 2, and the CNN ends with a global average.

The paper's network is made of Keras' layers: a LeakyReLU of slope 0.3 ("leaky_relu:0.3"), and batch normalization with
a momentum of 0.99 and an epsilon of 1e-3, as in `configs/shdn.py`. The defaults here are others, with which runs were
trained whose configs have no such keys.
"""

import re
from typing import ClassVar

from flax import linen as nn
from jaxtyping import Array, Float

from jaxvid.models.clip_model import check_choice
from jaxvid.models.framewise import FramewiseModel, LastOutputHead
from jaxvid.models.layers import Layers
from jaxvid.ops.pooling import max_pool

ARCHITECTURES = tuple(f"C{c}R1D{d}" for c in (4, 6, 8, 10) for d in (2, 3))
_FILTERS = (32, 32, 64, 64, 128, 128, 512, 512)
_DENSE = (512, 16)
_LSTM = 256
_NUM_POOLS = 2


def parse_arch(arch: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Returns the filters of the convolutions and the widths of the hidden dense layers of `arch`, such as "C10R1D3".

    Raises:
      ValueError: if `arch` is not one of ARCHITECTURES.
    """
    check_choice("arch", arch, ARCHITECTURES)
    layers, _, dense = map(int, re.findall(r"\d+", arch))
    return _FILTERS[: layers - _NUM_POOLS], _DENSE[: dense - 1]


class FrameCNN(nn.Module):
    """The convolutions of SHDN, each with batch normalization and an activation, over single frames.

    Attributes:
      filters: of the convolutions, in order; the first is 7x7, the others 3x3.
      layers: makes the layers.
    """

    filters: tuple[int, ...]
    layers: Layers

    @nn.compact
    def __call__(
        self, frames: Float[Array, "frame height width channel"], *, train: bool
    ) -> Float[Array, "frame features"]:
        """Returns one vector of features for each frame."""
        # Pools follow the second and the fourth convolution; if there are only two convolutions, each of them.
        pooled = {0, 1} if len(self.filters) == _NUM_POOLS else {1, 3}
        x = frames
        for i, filters in enumerate(self.filters):
            kernel_size, strides = (7, 7) if i == 0 else (3, 3), 2 if i % 2 == 0 else 1
            x = self.layers.conv(filters, kernel_size, strides=strides, name=f"conv{i + 1}")(x)
            x = self.layers.norm(name=f"norm{i + 1}")(x, use_running_average=not train)
            x = self.layers.activation(name=f"activation{i + 1}")(x)
            if i in pooled:
                x = max_pool(x, 2, "SAME")
        return x.mean(axis=(1, 2))


class CNNLSTM(FramewiseModel, kw_only=True):
    """SHDN: features of every frame, an LSTM of 256 over them, dense layers on its last output.

    Attributes:
      arch: one of ARCHITECTURES.
      dropout_rate: after each hidden dense layer.
      norm_momentum: share of its running statistics that batch normalization keeps in a training step.
      norm_epsilon: added to the variance in batch normalization.
    """

    takes_maxout: ClassVar = True

    arch: str = "C10R1D3"
    activation: str = "leaky_relu"
    dropout_rate: float = 0.2
    norm_momentum: float = 0.9
    norm_epsilon: float = 1e-5

    @nn.nowrap
    def check_fields(self) -> None:
        """Checks `arch`, what batch normalization takes, and the fields of all frame-wise networks."""
        super().check_fields()
        parse_arch(self.arch)
        if not 0 <= self.norm_momentum < 1:
            raise ValueError(f"norm_momentum is {self.norm_momentum}; allowed: 0 or more, less than 1")
        if not self.norm_epsilon > 0:
            raise ValueError(f"norm_epsilon is {self.norm_epsilon}; allowed: more than 0")

    @nn.nowrap
    def default_clip(self) -> tuple[int, int, int, int]:
        """16 frames of 128x128."""
        return 16, 128, 128, 3

    def setup(self) -> None:
        """Creates the CNN and the head, whose layers are beside the CNN, not below a name of the head's own."""
        filters, dense = parse_arch(self.arch)
        layers = self.layers(norm_momentum=self.norm_momentum, norm_epsilon=self.norm_epsilon)
        self.cnn = FrameCNN(filters, layers)
        self.sequence = LastOutputHead(
            num_classes=self.num_classes,
            lstm_features=_LSTM,
            dense=dense,
            dropout_rate=self.dropout_rate,
            motion=self.motion,
            norm=self.head_norm,
            layers=layers,
        )
        nn.share_scope(self, self.sequence)

    def frame_features(
        self, frames: Float[Array, "frame height width channel"], *, train: bool = False
    ) -> Float[Array, "frame feature"]:
        """Returns what the CNN makes of single frames, in the computation's type."""
        return self.cnn(frames.astype(self.dtype), train=train)

    def classify(self, features: Float[Array, "batch time feature"], *, train: bool) -> Float[Array, "batch classes"]:
        """Returns logits in float32 for the features that `extract` returns."""
        return self.sequence(features, train=train)
