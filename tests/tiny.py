"""Made-up configs, backbones, variables and predictions that tests share."""

import os
import signal

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from jaxvid.config import base_config
from jaxvid.metrics.predictions import Predictions
from jaxvid.models.backbones.backbone import Architecture, symmetric_scaling
from jaxvid.models.backbones.graph import Conv, Dense, GlobalPool, Norm, Site
from jaxvid.train.step_metrics import StepMetrics

TINY_BACKBONE = Architecture(
    name="tiny",
    layers=(Conv("conv", 8, (3, 3), stride=4), Norm("bn"), Site("relu"), Conv("conv2", 12, (3, 3), stride=2)),
    top=lambda num_classes: (GlobalPool(), Dense("predictions", num_classes)),
    scaling=symmetric_scaling,
    default_size=32,
    minimum_size=32,
    num_features=12,
    last_stage=("conv2",),
)


def tiny_config(data_dir):
    """A run of two epochs of two steps: 16 clips in batches of 8."""
    config = base_config()
    config.dataset.update(name="synthetic_fight/tiny", data_dir=str(data_dir))
    config.clip.update(num_frames=4, height=32, width=32)
    config.model = ml_collections.ConfigDict(
        {
            "name": "cnn_lstm",
            "num_classes": 0,
            "arch": "C4R1D2",
            "activation": "leaky_relu",
            "adaptive": False,
            "dropout_rate": 0.2,
            "dtype": "float32",
            "pretrained": "",
            "trainable": "all",
        }
    )
    config.optimizer.learning_rate = 1e-3
    config.train.update(batch_size=8, num_epochs=2, log_every_steps=1)
    config.eval.num_resamples = 50
    return config


def interrupt_after(monkeypatch, step_of_signal):
    """Sends this process a SIGTERM while the step of that number is under way."""
    add = StepMetrics.add

    def add_and_signal(self, step, metrics):
        add(self, step, metrics)
        if step == step_of_signal:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(StepMetrics, "add", add_and_signal)


def random_variables(model, example, seed=0):
    """Variables with which values keep their size from layer to layer, for an input like `example`."""
    rng = np.random.RandomState(seed)

    def draw(path, leaf):
        name = path[-1].key
        noise = rng.standard_normal(leaf.shape)
        if "kernel" in name:
            return jnp.asarray(noise * np.sqrt(2 / np.prod(leaf.shape[:-1])), leaf.dtype)
        return jnp.asarray(0.1 * noise + (1 if name in ("scale", "var") else 0), leaf.dtype)

    shapes = jax.eval_shape(lambda: model.init(jax.random.key(0), example, train=False))
    return jax.tree_util.tree_map_with_path(draw, shapes)


def find_a_face_in_every_frame(monkeypatch):
    """Every frame is one face, for all that blurs faces."""

    def detector(frame, threshold):
        height, width = frame.shape[:2]
        return np.array([[0, 0, width, height, 0.9]]), None

    monkeypatch.setattr("jaxvid.video.faces._detector", lambda: detector)


def make_predictions(labels, probabilities, *, sources=None, class_names=None):
    """Predictions of clips that are each a source of their own, unless `sources` are given."""
    labels, probabilities = np.asarray(labels), np.asarray(probabilities, dtype=np.float64)
    clips = [f"clip{index}.avi" for index in range(len(labels))]
    names = class_names or [f"class{index}" for index in range(probabilities.shape[1])]
    return Predictions(clips, clips if sources is None else sources, labels, probabilities, names)


def predictions_from_confusion(confusion, *, confidence=0.8, clips_per_source=1, class_names=None):
    """Predictions with the given confusion matrix, all of the same confidence."""
    confusion = np.asarray(confusion)
    labels, predicted = np.repeat(np.indices(confusion.shape).reshape(2, -1), confusion.ravel(), axis=1)
    rest = (1 - confidence) / (len(confusion) - 1)
    probabilities = np.where(np.eye(len(confusion))[predicted] == 1, confidence, rest)
    sources = [f"source{index // clips_per_source}" for index in range(len(labels))]
    return make_predictions(labels, probabilities, sources=sources, class_names=class_names)


def random_predictions(num_clips, num_classes, *, num_sources, seed=0):
    """Predictions that are more often right than wrong, with ties among their probabilities."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(num_classes, size=num_clips)
    logits = rng.normal(size=(num_clips, num_classes)) + 1.5 * np.eye(num_classes)[labels]
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    # Two digits, so that scores tie; then rows that sum to one again.
    probabilities = np.round(probabilities, 2) + 0.001
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    sources = [f"source{index}" for index in rng.integers(num_sources, size=num_clips)]
    return make_predictions(labels, probabilities, sources=sources)
