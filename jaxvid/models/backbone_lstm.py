"""ImageNet CNNs with LSTMs on top, for whole clips.

Sources: paper 1.1 (SHDN) compares seven ImageNet CNNs, each with an LSTM and three dense layers (Table VI); paper 1.3
(genre classification) feeds the pooled features of Inception v3, or its class probabilities, to an LSTM of 2056.
"""

from typing import ClassVar

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from jaxvid.models.backbones import Backbone, find_architecture
from jaxvid.models.clip_model import check_choice
from jaxvid.models.framewise import FramewiseModel
from jaxvid.models.layers import Layers, hidden_layers
from jaxvid.models.temporal import normalized, statistics, with_motion

FEATURES = ("pool", "softmax")
TEMPORAL = ("lstm", "pool")


class SequenceHead(nn.Module):
    """LSTMs over the features of a clip's frames or statistics of them over time, and dense layers.

    Its attributes are those of `BackboneLSTM` of the same names; `norm` is `head_norm`.
    """

    num_classes: int
    temporal: str
    lstm_features: int
    lstm_layers: int
    bidirectional: bool
    dense: tuple[int, ...]
    dropout_rate: float
    motion: str
    norm: str
    layers: Layers

    @nn.compact
    def __call__(self, features: Float[Array, "batch time feature"], *, train: bool) -> Float[Array, "batch classes"]:
        """Returns logits in float32."""
        pools = self.temporal == "pool"
        x = statistics(features, self.motion) if pools else with_motion(features, self.motion)
        x = normalized(x, self.norm, self.layers, train=train).astype(self.layers.dtype)
        x = x if pools else self._last_outputs(x)
        x = hidden_layers(x, self.dense, self.dropout_rate, self.layers, train=train)
        return self.layers.dense(self.num_classes, name="classifier")(x).astype(jnp.float32)

    def _last_outputs(self, sequence: Float[Array, "batch time feature"]) -> Float[Array, "batch output"]:
        """Returns the last output of the last LSTM, and that of its twin."""
        for i in range(1, self.lstm_layers + 1):
            outputs = [self.layers.lstm(self.lstm_features, name=f"lstm{i}")(sequence)]
            if self.bidirectional:
                outputs.append(self.layers.lstm(self.lstm_features, reverse=True, name=f"lstm{i}_reverse")(sequence))
            sequence = jnp.concatenate(outputs, axis=-1)
        # A reversed LSTM ends on the first frame.
        forward, backward = jnp.split(sequence, [self.lstm_features], axis=-1)
        return jnp.concatenate([forward[:, -1], backward[:, 0]], axis=-1)


class BackboneLSTM(FramewiseModel, kw_only=True):
    """Features of every frame from an ImageNet CNN, LSTMs or statistics over time, dense layers.

    A frozen backbone gives a clip the same features at every step: they can be computed once, and the head trained on
    them alone. The variables of the backbone are under `cnn`, all others under `head`.

    Attributes:
      backbone: a key of BACKBONES.
      features: "pool" for the pooled features of a frame, "softmax" for its probabilities of ImageNet's 1000 classes.
      temporal: "lstm" for dense layers on the last output of LSTMs; "pool" for dense layers on each feature's mean,
        standard deviation and maximum over time, where `motion` says so those of the absolute differences of
        neighboring frames (`jaxvid.models.temporal.statistics`).
      lstm_features: width of every LSTM.
      lstm_layers: number of LSTMs, each over the outputs of the one before.
      bidirectional: whether every LSTM has a twin that runs from the last frame to the first.
      dense: widths of the hidden dense layers; () for a linear classifier of what is pooled.
      dropout_rate: after each hidden dense layer.
      activation: name of the activation at the sites of the dense layers.
      backbone_activation: name of the activation at the sites of the backbone; None for the architecture's own.
    """

    published_weights: ClassVar = "imagenet"
    takes_maxout: ClassVar = True

    backbone: str = "inception_v3"
    features: str = "pool"
    temporal: str = "lstm"
    lstm_features: int = 256
    lstm_layers: int = 1
    bidirectional: bool = False
    dense: tuple[int, ...] = (512, 16)
    dropout_rate: float = 0.2
    activation: str = "leaky_relu"
    backbone_activation: str | None = None

    @nn.nowrap
    def check_fields(self) -> None:
        """Checks `backbone`, `features`, `temporal`, `lstm_layers` and the fields of all frame-wise networks."""
        super().check_fields()
        find_architecture(self.backbone)
        check_choice("features", self.features, FEATURES)
        check_choice("temporal", self.temporal, TEMPORAL)
        if self.lstm_layers < 1:
            raise ValueError(f"lstm_layers is {self.lstm_layers}; allowed: 1 or more")

    @nn.nowrap
    def default_clip(self) -> tuple[int, int, int, int]:
        """16 frames of the size that the backbone's published weights were trained on."""
        size = find_architecture(self.backbone).default_size
        return 16, size, size, 3

    def setup(self) -> None:
        """Creates the backbone and the head."""
        self.cnn = self.backbones()["cnn"]
        self.head = SequenceHead(
            num_classes=self.num_classes,
            temporal=self.temporal,
            lstm_features=self.lstm_features,
            lstm_layers=self.lstm_layers,
            bidirectional=self.bidirectional,
            dense=self.dense,
            dropout_rate=self.dropout_rate,
            motion=self.motion,
            norm=self.head_norm,
            layers=self.layers(),
        )

    @nn.nowrap
    def backbones(self) -> dict[str, Backbone]:
        """The CNN."""
        cnn = self.create_backbone(
            self.backbone,
            activation=self.backbone_activation,
            include_top=self.features == "softmax",
            differences=self.input == "differences",
        )
        return {"cnn": cnn}

    def frame_features(
        self, frames: Float[Array, "frame height width channel"], *, train: bool = False
    ) -> Float[Array, "frame feature"]:
        """Returns the features of single frames, in float32.

        Args:
          frames: red, green, blue in 0..255, not scaled otherwise, or their differences, as `input` says.
          train: whether the backbone's batch norms take the statistics of the batch.
        """
        return self.cnn(frames, train=train)

    def classify(self, features: Float[Array, "batch time feature"], *, train: bool) -> Float[Array, "batch classes"]:
        """Returns logits in float32 for the features that `extract` returns."""
        return self.head(features, train=train)
