"""Every network of the features of single frames, and of their sequence."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxvid.models.clip_model import AudioVisualClips
from jaxvid.models.create import MODELS, create_module
from jaxvid.models.framewise import FramewiseModel
from tests.tiny import random_variables

pytestmark = pytest.mark.usefixtures("tiny_backbone")

# Of every such network a small version, the size of its frames and the number of its features.
SMALL = {
    "cnn_lstm": ({"arch": "C4R1D3"}, 32, 32),
    "backbone_lstm": ({"backbone": "tiny", "lstm_features": 8, "dense": (6,)}, 32, 12),
    "lrcn": ({}, 64, 64),
    "genre_crnn": ({"backbone": "tiny", "lstm_features": 8, "streams": ("frames",)}, 32, 12),
}


def small(name, **fields):
    return create_module(name, num_classes=2, **SMALL[name][0], **fields)


def clips_of(name, time=3, batch=2):
    size = SMALL[name][1]
    return jax.random.uniform(jax.random.key(1), (batch, time, size, size, 3), maxval=255.0)


def frames_of(features):
    """The features of the frames, in whichever form the model takes them."""
    return features["frames"] if isinstance(features, dict) else features


def test_these_networks_say_so_and_no_others():
    assert set(SMALL) == {name for name, model in MODELS.items() if issubclass(model, FramewiseModel)}


@pytest.mark.parametrize("name", SMALL)
def test_a_call_is_classification_of_extracted_features_of_single_frames(name):
    model, clips = small(name, dropout_rate=0.0), clips_of(name)
    variables = random_variables(model, clips)

    @jax.jit
    def outputs(variables, clips):
        features = model.apply(variables, clips, method="extract")
        # Each frame as a clip of its own.
        single = model.apply(variables, clips.reshape(-1, 1, *clips.shape[2:]), method="extract")
        frames = model.apply(variables, clips.reshape(-1, *clips.shape[2:]), method="frame_features")
        logits = model.apply(variables, clips, train=False)
        return features, frames_of(single), frames, logits

    features, single, frames, logits = outputs(variables, clips)
    assert frames_of(features).shape == (2, 3, SMALL[name][2])
    assert frames_of(features).dtype == logits.dtype == jnp.float32
    for again in (single, frames):
        np.testing.assert_allclose(again.reshape(2, 3, -1), frames_of(features), rtol=1e-5, atol=1e-5)
    classified = jax.jit(lambda features: model.apply(variables, features, train=False, method="classify"))(features)
    np.testing.assert_allclose(classified, logits, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", SMALL)
def test_features_of_bfloat16_are_float32(name):
    model = small(name, dtype="bfloat16")
    shapes = jax.eval_shape(lambda key: model.init(key, clips_of(name), train=False), jax.random.key(0))
    features = jax.eval_shape(lambda variables: model.apply(variables, clips_of(name), method="extract"), shapes)
    assert frames_of(features).dtype == jnp.float32


def test_frames_of_sequences_are_extracted_from_sequences_too():
    model, frames = small("genre_crnn"), clips_of("genre_crnn")
    variables = random_variables(model, frames)
    sequences = AudioVisualClips(frames, jnp.asarray([2, 3]), jnp.zeros((2, 1, 1)), jnp.zeros(2, jnp.int32))
    features = model.apply(variables, sequences, method="extract")
    np.testing.assert_array_equal(features["frames"], model.apply(variables, frames, method="extract")["frames"])
    np.testing.assert_array_equal(features["num_frames"], [2, 3])
