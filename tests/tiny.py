"""Made-up configs, backbones and variables that tests share."""

import os
import signal

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from jaxvid.config import base_config
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

    def add_and_signal(self, step, figures):
        add(self, step, figures)
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
