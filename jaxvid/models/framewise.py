"""Networks of two parts: features of every single frame, and a recurrent network over their sequence."""

from functools import partial
from typing import Any, ClassVar

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from jaxvid.models.clip_model import ClipModel, check_choice
from jaxvid.models.layers import Layers, hidden_layers, per_frame
from jaxvid.models.temporal import HEAD_NORMS, MOTIONS, normalized, with_motion


class FramewiseModel(ClipModel, kw_only=True):
    """A network whose call is `classify(extract(clips))`, where `extract` computes every frame by itself.

    So features can be computed once and used often: those of a frozen backbone in training
    (`jaxvid.train.feature_cache`), those of a frame that several windows of a video share.

        features = model.apply(variables, clips, method="extract")
        logits = model.apply(variables, features, train=False, method="classify")

    A subclass defines `frame_features` and `classify`.

    Attributes:
      motion: what of the features goes into the head: "none" for the features themselves, "difference" for those of
        each frame less those of the frame before it (for the first frame, zeros), "both" for the two side by side.
      head_norm: what brings the head's input to one scale (`jaxvid.models.temporal.normalized`): "none", "layer" or
        "batch".
    """

    has_features: ClassVar = True

    motion: str = "none"
    head_norm: str = "none"

    @nn.nowrap
    def check_fields(self) -> None:
        """Checks `motion` and `head_norm`."""
        check_choice("motion", self.motion, MOTIONS)
        check_choice("head_norm", self.head_norm, HEAD_NORMS)

    @nn.nowrap
    def feature_span(self) -> int:
        """Features are of single frames; of differences they are not shared, as a window's first frame has none."""
        return int(self.input == "frames")

    def stream_features(self, frames: Float[Array, "frame height width channel"]) -> Float[Array, "frame feature"]:
        """Returns `frame_features`."""
        return self.frame_features(frames)

    def frame_features(
        self, frames: Float[Array, "frame height width channel"], *, train: bool = False
    ) -> Float[Array, "frame feature"]:
        """Returns the features of single frames, in the computation's type.

        Args:
          frames: scaled as the network's clips are; of `input` "differences", these.
          train: as in `extract`.
        """
        raise NotImplementedError

    def extract(self, clips: Any, *, train: bool = False) -> Any:
        """Returns the features of every frame, float32 (batch, time, feature).

        They depend on no other frame, or of `input` "differences", on the one before it.

        Args:
          clips: as the network takes them, (batch, time, height, width, channel).
          train: whether dropout acts, and batch norms take the statistics of the batch.
        """
        return self.join(per_frame(partial(self.frame_features, train=train), self.prepared(clips)), clips)

    def classify(self, features: Any, *, train: bool) -> Float[Array, "batch classes"]:
        """Returns logits in float32 for the features that `extract` returns."""
        raise NotImplementedError

    def __call__(self, clips: Any, *, train: bool) -> Float[Array, "batch classes"]:
        """Returns logits in float32 for the clips that `extract` takes."""
        return self.classify(self.extract(clips, train=train), train=train)


class LastOutputHead(nn.Module):
    """An LSTM over the features of a clip's frames, and dense layers on its last output.

    Attributes:
      num_classes: number of logits.
      lstm_features: width of the LSTM.
      dense: widths of the hidden dense layers.
      dropout_rate: after each hidden dense layer.
      motion: of the model.
      norm: its `head_norm`.
      layers: makes the layers.
    """

    num_classes: int
    lstm_features: int
    dense: tuple[int, ...]
    dropout_rate: float
    motion: str
    norm: str
    layers: Layers

    @nn.compact
    def __call__(self, features: Float[Array, "batch time feature"], *, train: bool) -> Float[Array, "batch classes"]:
        """Returns logits in float32."""
        layers = self.layers
        sequence = normalized(with_motion(features, self.motion), self.norm, layers, train=train)
        x = layers.lstm(self.lstm_features, name="lstm")(sequence.astype(layers.dtype))[:, -1]
        x = hidden_layers(x, self.dense, self.dropout_rate, layers, train=train)
        return layers.dense(self.num_classes, name="head")(x).astype(jnp.float32)
