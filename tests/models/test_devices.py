"""One device and four compute the same numbers, whatever the architecture."""

import functools
import json
import os
import subprocess
import sys
from types import MappingProxyType

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxvid import parallel
from jaxvid.config import base_config
from jaxvid.data.audio import num_samples
from jaxvid.models import backbones
from jaxvid.models.create import MODELS, create_module
from jaxvid.models.freezing import HEAD
from jaxvid.steps import create_state, initial_variables, train_step
from tests.tiny import TINY_BACKBONE

# Of every model a small version with dropout, and the number and size of its frames.
SMALL = {
    "cnn_lstm": ({"arch": "C4R1D3", "motion": "both", "head_norm": "layer", "dropout_rate": 0.5}, 2, 32),
    "backbone_lstm": ({"backbone": "tiny", "lstm_features": 8, "dense": (6,), "dropout_rate": 0.5}, 2, 32),
    "motion_pool": ({"backbone": "tiny", "stages": ("relu",), "dropout_rate": 0.5}, 3, 32),
    "video_resnet": ({"variant": "mc3_18"}, 2, 16),
    "c3d": ({"filters": (3, 4, 5, 6, 7), "dense": (9, 8), "dropout_rate": 0.5}, 4, 16),
    "convlstm": (
        {"input": "differences", "activation": "relu", "dropout_rate": 0.5, "recurrent_dropout_rate": 0.5},
        2,
        32,
    ),
    "lrcn": ({"dropout_rate": 0.5}, 2, 64),
    "frame_classifier": ({"backbone": "tiny"}, 1, 32),
    "genre_crnn": ({"backbone": "tiny", "lstm_features": 8, "audio_lstm_features": 8, "num_bands": 16}, 3, 32),
}
LEARNING_RATE = 1e-3


def small_config(name):
    fields, num_frames, size = SMALL[name]
    config = base_config()
    config.clip.update(num_frames=num_frames, height=size, width=size)
    if "num_bands" in fields:
        config.audio.update(sample_rate=1000, seconds=1.0, window=50, hop=20, fft_size=64, num_mels=16)
    return config


def batches(config, num_steps=2, rows=8):
    rng = np.random.default_rng(0)
    clip, samples = config.clip, num_samples(config.audio)
    for _ in range(num_steps):
        yield {
            "frames": rng.integers(0, 256, (rows, clip.num_frames, clip.height, clip.width, 3), np.uint8),
            "num_frames": rng.integers(1, clip.num_frames + 1, rows).astype(np.int32),
            "audio": rng.integers(-9999, 9999, (rows, samples)).astype(np.int16),
            "num_samples": rng.integers(0, samples + 1, rows).astype(np.int32),
            "label": rng.integers(0, 2, rows).astype(np.int32),
        }


def two_steps(name):
    """Returns the metrics of two steps of Adam over all devices, and sums of the variables after them."""
    config = small_config(name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backbones, "BACKBONES", MappingProxyType(backbones.BACKBONES | {"tiny": TINY_BACKBONE}))
        model = create_module(name, num_classes=2, adaptive=True, axis_name=parallel.AXIS_NAME, **SMALL[name][0])
        # A large epsilon, for Adam makes a step of full length of the smallest gradient.
        optimizer = optax.adam(LEARNING_RATE, eps=1e-3)
        variables = initial_variables(model, config.clip, 0)
        state = parallel.replicate(create_state(variables, optimizer))
        step = parallel.over_devices(
            functools.partial(
                train_step,
                model=model,
                optimizer=optimizer,
                labels=jax.tree.map(lambda _: HEAD, variables["params"]),
                class_weights=jnp.asarray([1.0, 2.0]),
                config=config,
                axis_name=parallel.AXIS_NAME,
            )
        )
        rows = []
        for batch in batches(config):
            state, metrics = step(state, parallel.shard_rows(batch))
            rows.append({key: float(value) for key, value in metrics.items()})
    # Not the activations, which a step leaves as they are.
    leaves = jax.tree.leaves((state.params, state.model_state.get("batch_stats")))
    return {
        "devices": jax.device_count(),
        "rows": rows,
        "sums": [float(np.abs(leaf).sum()) for leaf in leaves],
        "sizes": [leaf.size for leaf in leaves],
        "collections": sorted(state.variables),
    }


def pooled_logits():
    """Returns logits in training, with a batch norm of the head, of clips shared out over all devices."""
    features = jnp.asarray(np.random.default_rng(0).standard_normal((8, 3, 12)), jnp.float32)
    fields = {"temporal": "pool", "motion": "both", "head_norm": "batch", "dense": (6,), "dropout_rate": 0.0}
    model = create_module("backbone_lstm", num_classes=2, axis_name=parallel.AXIS_NAME, **fields)
    variables = model.clone(axis_name=None).init(jax.random.key(0), features, train=False, method="classify")

    def logits(features):
        return model.apply(variables, features, train=True, method="classify", mutable=["batch_stats"])[0]

    mesh, rows = jax.sharding.Mesh(np.asarray(jax.devices()), parallel.AXIS_NAME), jax.P(parallel.AXIS_NAME)
    return jax.jit(jax.shard_map(logits, mesh=mesh, in_specs=rows, out_specs=rows))(features).tolist()


@pytest.fixture(scope="module")
def four_devices():
    """What `two_steps` returns for every model in a process with four devices."""
    command = (
        "import json; from tests.models.test_devices import SMALL, pooled_logits, two_steps; "
        "print(json.dumps({'pooled': pooled_logits()} | {name: two_steps(name) for name in SMALL}))"
    )
    flags = "--xla_force_host_platform_device_count=4 --xla_backend_optimization_level=0"
    environment = os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    done = subprocess.run([sys.executable, "-c", command], env=environment, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def test_every_model_has_a_small_version():
    assert set(SMALL) == set(MODELS)


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_one_device_and_four_compute_the_same_numbers(name, four_devices):
    one, four = two_steps(name), four_devices[name]
    assert (one["devices"], four["devices"]) == (1, 4)
    assert "activations" in one["collections"] or name == "frame_classifier"
    for row_of_one, row_of_four in zip(one["rows"], four["rows"], strict=True):
        assert row_of_one == pytest.approx(row_of_four, rel=2e-4)
    # Sums of magnitudes, of which those of zeros move by the learning rate.
    tolerance = 0.01 * LEARNING_RATE * np.asarray(one["sizes"])
    np.testing.assert_array_less(np.abs(np.subtract(one["sums"], four["sums"])), tolerance + 1e-4 * np.abs(one["sums"]))


@pytest.mark.slow
def test_one_device_and_four_scale_pooled_features_alike(four_devices):
    np.testing.assert_allclose(pooled_logits(), four_devices["pooled"], rtol=1e-5, atol=1e-6)
