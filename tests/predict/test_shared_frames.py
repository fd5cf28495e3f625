"""Windows that share the features of frames have the probabilities of whole clips, whatever the network."""

import dataclasses
import os
import subprocess
import sys
from types import MappingProxyType

import jax.numpy as jnp
import ml_collections
import numpy as np
import pytest

from jaxvid import parallel, trained
from jaxvid.config import base_config
from jaxvid.models import backbones
from jaxvid.models.create import module_from_config
from jaxvid.predict.follow import follow_live
from jaxvid.predict.predictor import Predictor
from jaxvid.predict.windows import windows
from jaxvid.video.sound import Sound
from jaxvid.video.streams import TimedFrame
from tests.tiny import TINY_BACKBONE, random_variables

MODELS = {
    "cnn_lstm": {"arch": "C4R1D2"},
    "lrcn": {},
    "backbone_lstm": {"backbone": "tiny", "motion": "both"},
    "motion_pool": {"backbone": "tiny", "stages": ("relu",)},
    "genre_crnn": {"backbone": "tiny", "lstm_features": 8, "streams": ("frames",)},
}


def config_of(name, *, side=32, **model):
    """The config of a model of that name, for frames of 36x40 and windows of four frames in a second."""
    config = base_config()
    config.dataset.update(class_names=("no_fight", "fight"), frame_size=(36, 40), clip_seconds=1.0, fps=8.0)
    config.clip.update(num_frames=4, height=side, width=side)
    config.model = ml_collections.ConfigDict({"name": name, "num_classes": 2, **MODELS.get(name, {}), **model})
    return config


def load(config):
    model = module_from_config(config.model)
    variables = random_variables(
        model, jnp.zeros((1, config.clip.num_frames, config.clip.height, config.clip.width, 3))
    )
    return Predictor(
        config,
        variables,
        parallel.local_multiple(2),
        trained.compile_probabilities(model, config),
        trained.compile_stream_programs(model, config),
        embeddings=trained.compile_embeddings(model, config),
    )


def frames_of(num_frames, fps=8.0):
    """Frames of 36x40, each a random color with noise."""
    rng = np.random.default_rng(0)
    colors = rng.integers(0, 200, (num_frames, 1, 1, 3)) + rng.integers(0, 56, (num_frames, 36, 40, 3))
    return [TimedFrame(i / fps, color) for i, color in enumerate(colors.astype(np.uint8))]


def assert_as_whole_clips(predictor, frames, plan, sound=lambda: None):
    shared = list(predictor.follow(windows(frames, plan, sound=sound())))
    found = list(windows(frames, plan, sound=sound()))
    assert [classified.window.start for classified in shared] == [window.start for window in found]
    whole = predictor.classify(
        np.stack([window.frames for window in found]),
        sounds=[window.audio for window in found],
        num_frames=[window.num_frames for window in found],
    )
    probabilities = np.stack([classified.probabilities for classified in shared])
    np.testing.assert_allclose(probabilities, whole, atol=1e-5)
    # Windows differ, so that to confuse them would be seen.
    assert len(found) == 1 or np.abs(np.diff(whole[:, 0])).max() > 1e-4


def test_overlapping_windows_have_the_probabilities_of_whole_clips_with_every_frame_computed_once():
    predictor = load(config_of("cnn_lstm"))
    features, counted = predictor.stream_programs.features, []

    def count(variables, frames):
        counted.append(len(frames))
        return features(variables, frames)

    programs = predictor.stream_programs._replace(features=count)
    predictor = dataclasses.replace(predictor, stream_programs=programs)
    # 24 frames in 3 s: nine windows of 4 frames in 1 s, a quarter apart, show every second frame.
    assert_as_whole_clips(predictor, frames_of(24), predictor.plan())
    assert counted == [8, 8]
    assert_as_whole_clips(predictor, frames_of(24), predictor.plan(stride_seconds=0.3))
    # Shorter than a window: its frames are repeated.
    assert_as_whole_clips(predictor, frames_of(3), predictor.plan())


@pytest.mark.slow
def test_crops_are_averaged_as_in_whole_clips():
    config = config_of("cnn_lstm", side=28)
    config.clip.crop, config.eval.crops = "center", 3
    predictor = load(config)
    assert_as_whole_clips(predictor, frames_of(12), predictor.plan())


def test_sequences_keep_their_lengths_and_their_sound(tiny_backbone):
    config = config_of("genre_crnn", streams=("frames", "sound"), num_bands=16)
    config.clip.sampling, config.dataset.fps = "sequence", 4.0
    config.audio.update(sample_rate=2000, seconds=1.0, num_mels=16, window=50, hop=20, fft_size=64)
    predictor = load(config)
    samples = np.random.default_rng(1).integers(-9000, 9000, 12000).astype(np.int16)
    sound = lambda: Sound(iter([(0.0, samples)]), 2000)  # noqa: E731
    assert_as_whole_clips(predictor, frames_of(14, fps=4.0), predictor.plan(), sound)
    # Two frames of a sequence of four are real.
    short = frames_of(2, fps=4.0)
    assert_as_whole_clips(predictor, short, predictor.plan(), sound)
    [classified] = predictor.follow(windows(short, predictor.plan(), sound=sound()))
    assert classified.window.num_frames == 2


def check(name):
    """Checks files and live streams of a model that shares the features of frames."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backbones, "BACKBONES", MappingProxyType(backbones.BACKBONES | {"tiny": TINY_BACKBONE}))
        predictor = load(config_of(name, side=64 if name == "lrcn" else 32))
        assert predictor.stream_programs is not None
        for stride in (None, 0.3):
            assert_as_whole_clips(predictor, frames_of(24), predictor.plan(stride_seconds=stride))
        live = follow_live(predictor, frames_of(24), predictor.plan(), lambda: False)
        of_file = predictor.follow(windows(frames_of(24), predictor.plan()))
        for one, other in zip(live, of_file, strict=True):
            assert one.window.start == other.window.start
            np.testing.assert_allclose(one.probabilities, other.probabilities, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_every_network_of_frames_and_their_sequence_shares_its_frames(name):
    check(name)


@pytest.mark.slow
def test_four_devices_share_the_batches_of_frames():
    # Features of two frames: each device has a row of frames of its own.
    program = """
import jax
from tests.predict.test_shared_frames import check
assert jax.device_count() == 4
check("motion_pool")
"""
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": "--xla_force_host_platform_device_count=4"}
    subprocess.run([sys.executable, "-c", program], check=True, env=environment)


@pytest.mark.parametrize(
    ("name", "model"),
    [("convlstm", {}), ("video_resnet", {"variant": "r2plus1d_10"}), ("genre_crnn", {"streams": ("sound",)})],
)
def test_other_networks_take_whole_clips(tiny_backbone, name, model):
    config = config_of(name, **model)
    assert trained.compile_stream_programs(module_from_config(config.model), config) is None
