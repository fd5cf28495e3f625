"""Audio-visual genre classification: a CNN and an LSTM over a sequence's frames, and over its spectrogram.

Source: paper 1.3 (genre classification): sequences of 40 frames, 4 a second; an LSTM of 2056 over the pooled features
of an Inception v3 that was retrained on single frames, or over its class probabilities. The paper treats the sound, as
a mel spectrogram, "as an image" beside the frames and does not say how the two are combined; here each stream ends in
a vector, and one dense layer takes both.
"""

from collections.abc import Mapping
from functools import partial
from types import MappingProxyType
from typing import ClassVar

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Bool, Float, Int

from jaxvid.models.backbones import Backbone, find_architecture
from jaxvid.models.clip_model import AudioVisualClips, check_choice
from jaxvid.models.framewise import FramewiseModel
from jaxvid.models.layers import Layers, per_frame
from jaxvid.models.temporal import normalized, with_motion

FEATURES = ("pool", "softmax")
STREAMS = ("frames", "sound")

# The small CNN for spectrograms: filters, window and stride, over time and over bands.
_CONVOLUTIONS = ((16, (4, 2), (4, 2)), (32, (5, 3), (4, 2)), (64, (3, 3), (2, 2)))
# Smallest side of the images that a spectrogram is cut into for a backbone.
_PATCH_SIZE = 96

# `frames`, (batch, time, feature), and `num_frames`; `sound`, (batch, time, ...), and `num_sounds`.
Features = dict[str, Array]


class LastState(nn.Module):
    """The output of LSTMs, one over another, at the last real time step of each sequence.

    Attributes:
      features: width of every LSTM.
      layers: makes the LSTMs.
      num_layers: number of LSTMs.
    """

    features: int
    layers: Layers
    num_layers: int = 1

    @nn.compact
    def __call__(
        self, sequence: Float[Array, "batch time feature"], length: Int[Array, "batch"]
    ) -> Float[Array, "batch state"]:
        """Returns the outputs, zeros where the length is 0."""
        outputs = sequence.astype(self.layers.dtype)
        for i in range(1, self.num_layers + 1):
            outputs = self.layers.lstm(self.features, name="lstm" if i == 1 else f"lstm{i}")(outputs)
        last = jnp.take_along_axis(outputs, jnp.maximum(length - 1, 0)[:, None, None], axis=1)[:, 0]
        return jnp.where(length[:, None] > 0, last, 0.0)


class SpectrogramCNN(nn.Module):
    """Three strided convolutions over a spectrogram, each with an activation, two with normalization over channels.

    One step of the output covers 32 spectra. No layer mixes the clips of a batch, as some may have no sound.
    Strides instead of pools: gradients for 16 spectrograms of 1001x64 took 0.08 s on two cores, and 0.64 s with 3x3
    convolutions and pools.

    Attributes:
      layers: makes the layers.
    """

    STRIDE: ClassVar[int] = 32

    layers: Layers

    @nn.compact
    def __call__(
        self, spectrograms: Float[Array, "batch spectrum band"], length: Int[Array, "batch"]
    ) -> Float[Array, "batch time feature"]:
        """Returns the features of every 32 spectra; spectra after `length` are padding."""
        real = jnp.arange(spectrograms.shape[1]) < length[:, None]
        layers = self.layers
        x = standardized(spectrograms, real)[..., None].astype(layers.dtype)
        for i, (filters, window, strides) in enumerate(_CONVOLUTIONS, start=1):
            x = layers.conv(filters, window, strides=strides, name=f"conv{i}")(x)
            # The first one's input is normalized already, and another normalization would take a third of the time.
            if i > 1:
                x = nn.LayerNorm(dtype=layers.dtype, param_dtype=layers.param_dtype, name=f"norm{i}")(x)
            x = layers.activation(name=f"activation{i}")(x)
        return x.reshape(*x.shape[:2], -1)


def standardized(
    spectrograms: Float[Array, "batch spectrum band"], real: Bool[Array, "batch spectrum"]
) -> Float[Array, "batch spectrum band"]:
    """Scales spectrograms to mean 0 and variance 1 over their real spectra; padding becomes zero."""
    weights = real[..., None] / jnp.maximum(real.sum(axis=1), 1)[:, None, None] / spectrograms.shape[2]
    centered = spectrograms - (weights * spectrograms).sum(axis=(1, 2), keepdims=True)
    variance = (weights * jnp.square(centered)).sum(axis=(1, 2), keepdims=True)
    return jnp.where(real[..., None], centered * jax.lax.rsqrt(variance + 1e-6), 0)


def as_images(
    spectrograms: Float[Array, "batch spectrum band"], real: Bool[Array, "batch spectrum"], size: int
) -> Float[Array, "batch time size size 3"]:
    """Cuts spectrograms into square gray images, each spectrogram scaled from its range to 0..255."""
    num_clips, num_spectra, num_bands = spectrograms.shape
    real = real[..., None]
    lowest = jnp.where(real, spectrograms, jnp.inf).min(axis=(1, 2), keepdims=True)
    highest = jnp.where(real, spectrograms, -jnp.inf).max(axis=(1, 2), keepdims=True)
    scaled = (spectrograms - lowest) / jnp.maximum(highest - lowest, 1e-6)
    # A clip without sound has neither a lowest nor a highest value.
    gray = jnp.where(real, 255 * jnp.where(real, scaled, 0), 0)
    num_images = -(-num_spectra // num_bands)
    gray = jnp.pad(gray, ((0, 0), (0, num_images * num_bands - num_spectra), (0, 0)))
    squares = gray.reshape(num_clips, num_images, num_bands, num_bands, 1)
    images = jax.image.resize(squares, (num_clips, num_images, size, size, 1), "bilinear")
    return jnp.broadcast_to(images, (*images.shape[:-1], 3))


class GenreHead(nn.Module):
    """An LSTM over each stream, and a dense layer over their last states.

    Attributes:
      num_classes: number of logits.
      lstm_features: widths of the LSTMs by stream.
      lstm_layers: number of LSTMs over the frames.
      has_spectrogram_cnn: whether the sound's features are spectrograms, which the small CNN takes.
      dropout_rate: before the dense layer.
      motion: of the model, for the frames.
      norm: its `head_norm`, for the frames.
      layers: makes the layers.
    """

    num_classes: int
    lstm_features: Mapping[str, int]
    lstm_layers: int
    has_spectrogram_cnn: bool
    dropout_rate: float
    motion: str
    norm: str
    layers: Layers

    @nn.compact
    def __call__(self, features: Features, *, train: bool) -> Float[Array, "batch classes"]:
        """Returns logits in float32."""
        states = []
        if "frames" in self.lstm_features:
            # Padding follows the real frames, whose differences and norms it does not change.
            frames = normalized(with_motion(features["frames"], self.motion), self.norm, self.layers, train=train)
            lstm = LastState(self.lstm_features["frames"], self.layers, self.lstm_layers, name="frames")
            states.append(lstm(frames, features["num_frames"]))
        if "sound" in self.lstm_features:
            sounds, length = features["sound"], features["num_sounds"]
            if self.has_spectrogram_cnn:
                sounds = SpectrogramCNN(self.layers, name="spectrogram_cnn")(sounds, length)
                length = -(-length // SpectrogramCNN.STRIDE)
            states.append(LastState(self.lstm_features["sound"], self.layers, name="sound")(sounds, length))
        # A clip without sound has zeros here, so that its class depends on the frames alone.
        x = self.layers.dropout(self.dropout_rate)(jnp.concatenate(states, axis=-1), train=train)
        return self.layers.dense(self.num_classes, name="classifier")(x).astype(jnp.float32)


class GenreCRNN(FramewiseModel, kw_only=True):
    """Two streams, each a CNN and an LSTM: the frames of a sequence and the spectrogram of its sound; or one of them.

    As with `BackboneLSTM`, the features need be computed only once if the CNNs are frozen. The variables of the frames'
    CNN are under `cnn`, those of the layer from its features to class probabilities under `cnn_top`, those of the
    spectrogram's backbone under `audio_cnn`, all others under `head`.

    Attributes:
      streams: one or both of STREAMS.
      backbone: of the frames, a key of BACKBONES.
      features: "pool" for the pooled features of a frame; "softmax" for its probabilities of the classes, by the layer
        that was trained on single frames (`FrameClassifier`).
      lstm_features: width of every LSTM over the frames.
      lstm_layers: number of LSTMs over the frames, each over the outputs of the one before.
      audio_backbone: of the spectrogram, a key of BACKBONES, which takes it in squares; "" for a small CNN.
      audio_lstm_features: width of the LSTM over the sound.
      num_bands: of the spectrograms.
      dropout_rate: before the last layer.
      activation: name of the activation at the sites of the small CNN.
      backbone_activation: name of the activation at the sites of the backbones; None for the architecture's own.
    """

    takes_sequences: ClassVar = True
    published_weights: ClassVar = "imagenet"
    takes_maxout: ClassVar = True
    retrained_parts: ClassVar = MappingProxyType({"cnn": "cnn", "cnn_top": "head"})
    sound_modules: ClassVar = ("audio_cnn", "spectrogram_cnn")

    streams: tuple[str, ...] = STREAMS
    backbone: str = "inception_v3"
    features: str = "pool"
    lstm_features: int = 2056
    lstm_layers: int = 1
    audio_backbone: str = ""
    audio_lstm_features: int = 128
    num_bands: int = 64
    dropout_rate: float = 0.5
    backbone_activation: str | None = None

    @nn.nowrap
    def check_fields(self) -> None:
        """Checks `streams`, `features`, the backbones and the fields of all frame-wise networks."""
        super().check_fields()
        if not self.streams or set(self.streams) - set(STREAMS):
            raise ValueError(f"streams is {self.streams}; allowed: one or both of {', '.join(STREAMS)}")
        if "frames" not in self.streams:
            for key, only in (("motion", "none"), ("head_norm", "none"), ("input", "frames")):
                check_choice(key, getattr(self, key), (only,))
        if self.lstm_layers < 1:
            raise ValueError(f"lstm_layers is {self.lstm_layers}; allowed: 1 or more")
        # The batch's mean would be one over padding too.
        check_choice("head_norm", self.head_norm, ("none", "layer"))
        check_choice("features", self.features, FEATURES)
        find_architecture(self.backbone)
        if self.audio_backbone:
            find_architecture(self.audio_backbone, key="audio_backbone")

    @nn.nowrap
    def default_clip(self) -> tuple[int, int, int, int]:
        """40 frames of 225x225, as in the paper."""
        return 40, 225, 225, 3

    def setup(self) -> None:
        """Creates the CNNs and the head."""
        for name, backbone in self.backbones().items():
            setattr(self, name, backbone)
        if "frames" in self.streams and self.features == "softmax":
            # Its variables are those that the first stage trained, so that its initializer does not matter.
            self.cnn_top = nn.Dense(self.num_classes, dtype=self.dtype, param_dtype=self.param_dtype)
        widths = {"frames": self.lstm_features, "sound": self.audio_lstm_features}
        self.head = GenreHead(
            num_classes=self.num_classes,
            lstm_features={stream: width for stream, width in widths.items() if stream in self.streams},
            lstm_layers=self.lstm_layers,
            has_spectrogram_cnn=not self.audio_backbone,
            dropout_rate=self.dropout_rate,
            motion=self.motion,
            norm=self.head_norm,
            layers=self.layers(),
        )

    @nn.nowrap
    def input_streams(self) -> tuple[str, ...]:
        """Returns `streams`."""
        return self.streams

    @nn.nowrap
    def feature_span(self) -> int:
        """Features are of single frames, if there is a stream of frames."""
        return super().feature_span() if "frames" in self.streams else 0

    @nn.nowrap
    def last_stage(self) -> tuple[str, ...]:
        """Those of the backbones, and the layer that makes class probabilities of a frame's features."""
        return (*super().last_stage(), "cnn_top/")

    @nn.nowrap
    def backbones(self) -> dict[str, Backbone]:
        """The CNN of the frames, and that of the spectrograms unless it is the small one."""
        create = partial(self.create_backbone, activation=self.backbone_activation)
        backbones = {}
        if "frames" in self.streams:
            backbones["cnn"] = create(self.backbone, differences=self.input == "differences")
        if "sound" in self.streams and self.audio_backbone:
            backbones["audio_cnn"] = create(self.audio_backbone)
        return backbones

    @nn.nowrap
    def needs_first_stage(self) -> bool:
        """Class probabilities of a frame come from a layer that only the first stage trains."""
        return self.features == "softmax"

    def frame_features(
        self, frames: Float[Array, "frame height width channel"], *, train: bool = False
    ) -> Float[Array, "frame feature"]:
        """Returns the features of single frames in float32, where `streams` has the frames.

        Args:
          frames: red, green, blue in 0..255, not scaled otherwise.
          train: whether the CNN's batch norms take the statistics of the batch.
        """
        pooled = self.cnn(frames, train=train)
        return nn.softmax(self.cnn_top(pooled).astype(jnp.float32)) if self.features == "softmax" else pooled

    def extract(
        self, clips: AudioVisualClips | Float[Array, "batch time height width channel"], *, train: bool = False
    ) -> Features:
        """Returns the head's input: features of frames and spectrograms in float32, or the spectrograms themselves.

        Args:
          clips: sequences; plain frames are sequences of full length without sound.
          train: whether the backbones' batch norms take the statistics of the batch.
        """
        clips = clips if isinstance(clips, AudioVisualClips) else self._without_sound(clips)
        if "frames" not in self.streams:
            return self._sounds(clips.spectrograms, clips.num_spectra, train=train)
        frames = self.prepared(clips.frames)
        return self.join(per_frame(partial(self.frame_features, train=train), frames), clips, train=train)

    def join(
        self, features: Float[Array, "batch time feature"], clips: AudioVisualClips, *, train: bool = False
    ) -> Features:
        """Returns what `extract` does, given the features of the frames; these are not read from `clips`."""
        joined = {"frames": features, "num_frames": clips.num_frames}
        if "sound" in self.streams:
            joined |= self._sounds(clips.spectrograms, clips.num_spectra, train=train)
        return joined

    def classify(self, features: Features, *, train: bool) -> Float[Array, "batch classes"]:
        """Returns logits in float32 for the features that `extract` returns."""
        return self.head(features, train=train)

    def _sounds(
        self, spectrograms: Float[Array, "batch spectrum band"], length: Int[Array, "batch"], *, train: bool
    ) -> Features:
        if spectrograms.shape[2] != self.num_bands:
            raise ValueError(
                f"config.model.num_bands is {self.num_bands}; the spectrograms have {spectrograms.shape[2]}"
            )
        if not self.audio_backbone:
            return {"sound": spectrograms, "num_sounds": length}
        real = jnp.arange(spectrograms.shape[1]) < length[:, None]
        size = max(_PATCH_SIZE, find_architecture(self.audio_backbone).minimum_size)
        images = as_images(spectrograms, real, size)
        features = per_frame(partial(self.audio_cnn, train=train), images)
        return {"sound": features, "num_sounds": -(-length // self.num_bands)}

    def _without_sound(self, frames: Float[Array, "batch time height width channel"]) -> AudioVisualClips:
        num_clips, num_frames = frames.shape[:2]
        nothing = jnp.zeros((num_clips, self.num_bands, self.num_bands))
        return AudioVisualClips(frames, jnp.full(num_clips, num_frames), nothing, jnp.zeros(num_clips, jnp.int32))
