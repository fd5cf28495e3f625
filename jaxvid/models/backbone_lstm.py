"""ImageNet CNNs with LSTMs on top, for whole clips.

Sources: paper 1.1 (SHDN) compares seven ImageNet CNNs, each with an LSTM and three dense layers (Table VI); paper 1.3
(genre classification) feeds the pooled features of Inception v3, or its class probabilities, to an LSTM of 2056.
"""

from functools import partial
from typing import Any, ClassVar

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from jaxvid.models.activations import Activation
from jaxvid.models.backbones import Backbone, create_backbone
from jaxvid.models.clip_model import ClipModel
from jaxvid.models.layers import LSTM, Dropout

FEATURES = ("pool", "softmax")


class RecurrentHead(nn.Module):
    """LSTMs over the features of a clip's frames, and dense layers on what the last LSTM ends with.

    Its attributes are those of `BackboneLSTM` of the same names.
    """

    num_classes: int
    lstm_features: int
    lstm_layers: int
    bidirectional: bool
    dense: tuple[int, ...]
    dropout_rate: float
    activation: str
    adaptive: bool
    axis_name: str | None
    dtype: Any
    param_dtype: Any

    @nn.compact
    def __call__(self, features: Float[Array, "batch time feature"], *, train: bool) -> Float[Array, "batch classes"]:
        """Logits in float32."""
        lstm = partial(LSTM, self.lstm_features, dtype=self.dtype, param_dtype=self.param_dtype)
        dense = partial(
            nn.Dense, kernel_init=nn.initializers.glorot_uniform(), dtype=self.dtype, param_dtype=self.param_dtype
        )
        sequence = features.astype(self.dtype)
        for i in range(1, self.lstm_layers + 1):
            outputs = [lstm(name=f"lstm{i}")(sequence)]
            if self.bidirectional:
                outputs.append(lstm(reverse=True, name=f"lstm{i}_reverse")(sequence))
            sequence = jnp.concatenate(outputs, axis=-1)
        # A reversed LSTM ends on the first frame.
        forward, backward = jnp.split(sequence, [self.lstm_features], axis=-1)
        x = jnp.concatenate([forward[:, -1], backward[:, 0]], axis=-1)
        for i, width in enumerate(self.dense, start=1):
            x = dense(width, name=f"dense{i}")(x)
            x = Activation(self.activation, self.adaptive, name=f"dense_activation{i}")(x)
            x = Dropout(self.dropout_rate, self.axis_name)(x, train=train)
        return dense(self.num_classes, name="classifier")(x).astype(jnp.float32)


class BackboneLSTM(ClipModel, kw_only=True):
    """Features of every frame from an ImageNet CNN, LSTMs over them, dense layers on the last output.

    Calling it is `classify(extract(clips))`. A frozen backbone gives a clip the same features at every step: they can
    be computed once, `model.apply(variables, clips, method="extract")`, and the head trained on them alone,
    `model.apply(variables, features, train=True, method="classify")`. The variables of the backbone are under `cnn`,
    all others under `head`.

    Attributes:
      backbone: a key of BACKBONES.
      features: "pool" for the pooled features of a frame, "softmax" for its probabilities of ImageNet's 1000 classes.
      lstm_features: width of every LSTM.
      lstm_layers: number of LSTMs, each over the outputs of the one before.
      bidirectional: whether every LSTM has a twin that runs from the last frame to the first.
      dense: widths of the hidden dense layers.
      dropout_rate: after each hidden dense layer.
      activation: name of the activation at the sites of the dense layers.
      backbone_activation: name of the activation at the sites of the backbone; None for the architecture's own.
    """

    has_features: ClassVar = True
    published_weights: ClassVar = "imagenet"

    backbone: str = "inception_v3"
    features: str = "pool"
    lstm_features: int = 256
    lstm_layers: int = 1
    bidirectional: bool = False
    dense: tuple[int, ...] = (512, 16)
    dropout_rate: float = 0.2
    activation: str = "leaky_relu"
    backbone_activation: str | None = None

    def setup(self) -> None:
        """Creates the backbone and the head.

        Raises:
          ValueError: if `backbone` or `features` is unknown, or `lstm_layers` is not positive.
        """
        if self.features not in FEATURES:
            raise ValueError(f"config.model.features is {self.features!r}; allowed: {', '.join(FEATURES)}")
        if self.lstm_layers < 1:
            raise ValueError(f"config.model.lstm_layers is {self.lstm_layers}; allowed: 1 or more")
        self.cnn = self.backbones()["cnn"]
        self.head = RecurrentHead(
            self.num_classes,
            self.lstm_features,
            self.lstm_layers,
            self.bidirectional,
            self.dense,
            self.dropout_rate,
            self.activation,
            self.adaptive,
            self.axis_name,
            self.dtype,
            self.param_dtype,
        )

    @nn.nowrap
    def backbones(self) -> dict[str, Backbone]:
        """The CNN."""
        cnn = create_backbone(
            self.backbone,
            include_top=self.features == "softmax",
            activation=self.backbone_activation,
            adaptive=self.adaptive,
            axis_name=self.axis_name,
            dtype=self.dtype,
            param_dtype=self.param_dtype,
        )
        return {"cnn": cnn}

    def extract(
        self, clips: Float[Array, "batch time height width channel"], *, train: bool = False
    ) -> Float[Array, "batch time feature"]:
        """The features of every frame, in float32.

        Args:
          clips: red, green, blue in 0..255, not scaled otherwise.
          train: whether the backbone's batch norms take the statistics of the batch.
        """
        frames = clips.reshape(-1, *clips.shape[2:])
        return self.cnn(frames, train=train).reshape(*clips.shape[:2], -1)

    def classify(self, features: Float[Array, "batch time feature"], *, train: bool) -> Float[Array, "batch classes"]:
        """Logits in float32, from what `extract` returns."""
        return self.head(features, train=train)

    def __call__(
        self, clips: Float[Array, "batch time height width channel"], *, train: bool
    ) -> Float[Array, "batch classes"]:
        """Logits in float32, from clips of red, green, blue in 0..255."""
        return self.classify(self.extract(clips, train=train), train=train)
