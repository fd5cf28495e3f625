"""Fixtures that the tests share: a tiny prepared dataset, a config that trains on it in seconds, a tiny backbone."""

import os
from types import MappingProxyType

import jax
import pytest
import tensorflow_datasets as tfds

from jaxvid.models import backbones
from tests.tiny import TINY_BACKBONE, tiny_config

# Tests compile much and compute little. Read when JAX first looks for its devices, which no import does.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")


@pytest.fixture(scope="session", autouse=True)
def compiled_once(tmp_path_factory):
    """Tests that compile the same program share it; nothing outlives the test run."""
    directory = tmp_path_factory.getbasetemp().parent / "compiled"
    jax.config.update("jax_compilation_cache_dir", str(directory))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)


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


@pytest.fixture(scope="session")
def brawl(data_dir):
    """Keys of the section `dataset` that join `synthetic_fight/tiny` with scenes whose classes are brawl and calm."""
    from tests.synthetic_brawl import SyntheticBrawl

    SyntheticBrawl(config="tiny", data_dir=data_dir).download_and_prepare()
    return {
        "name": "synthetic_fight/tiny+synthetic_brawl/tiny",
        "data_dir": str(data_dir),
        "class_map": "brawl:fight,calm:no_fight",
    }


@pytest.fixture
def config(data_dir):
    """The config of `tiny_config`, to change at will."""
    return tiny_config(data_dir)
