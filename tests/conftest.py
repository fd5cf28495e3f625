"""What the tests share: a tiny prepared data set, and a config that trains on it in seconds."""

import os
import signal
from types import MappingProxyType

import jax
import ml_collections
import pytest
import tensorflow_datasets as tfds

from jaxvid.config import base_config
from jaxvid.models import backbones
from jaxvid.models.backbones.backbone import Architecture, symmetric_scaling
from jaxvid.models.backbones.graph import Conv, Dense, GlobalPool, Norm, Site
from jaxvid.step_figures import StepFigures

# Tests compile much and compute little. Read when JAX first looks for its devices, which no import does.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")


@pytest.fixture(scope="session", autouse=True)
def compiled_once(tmp_path_factory):
    """Tests that compile the same program share it; nothing outlives the test run."""
    directory = tmp_path_factory.getbasetemp().parent / "compiled"
    jax.config.update("jax_compilation_cache_dir", str(directory))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)


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


@pytest.fixture(scope="session")
def tiny_backbone():
    """A backbone `tiny` beside those of ImageNet, for tests to which it does not matter which one it is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backbones, "BACKBONES", MappingProxyType(backbones.BACKBONES | {"tiny": TINY_BACKBONE}))
        yield


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory):
    """Where `synthetic_fight/tiny` is prepared; the parallel workers of a test run share it."""
    import tfds_builders  # noqa: F401

    directory = tmp_path_factory.getbasetemp().parent / "tfds"
    tfds.builder("synthetic_fight/tiny", data_dir=directory).download_and_prepare()
    return directory


@pytest.fixture
def config(data_dir):
    """The config of `tiny_config`, to change at will."""
    return tiny_config(data_dir)


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
    add = StepFigures.add

    def add_and_signal(self, step, figures):
        add(self, step, figures)
        if step == step_of_signal:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(StepFigures, "add", add_and_signal)
