import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxvid.models.create import create_module
from jaxvid.models.embedding import logits_and_embedding, pooled
from tests.tiny import random_variables


def test_features_of_frames_are_pooled_to_their_mean_and_their_mean_change():
    features = np.asarray([[[1.0, 0.0], [3.0, 0.0], [2.0, 6.0], [9.0, 9.0]]], np.float32)
    # Changes of 2, 1 and of 0, 6; the last one is padding.
    np.testing.assert_allclose(pooled(features, np.asarray([3]), 1), [[2.0, 2.0, 1.5, 3.0]])
    np.testing.assert_allclose(pooled(features, np.asarray([1]), 1), [[1.0, 0.0, 0.0, 0.0]])
    # Features of two frames are changes already.
    np.testing.assert_allclose(pooled(features, np.asarray([3]), 2), [[2.0, 2.0]])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "fields", "shape", "head", "length"),
    [
        ("video_resnet", {"variant": "r2plus1d_10"}, (2, 16, 16, 3), "head", 512),
        # Frames of 48x48 end in maps of 2x2 of 16 channels.
        ("convlstm", {}, (2, 48, 48, 3), "head", 2 * 64),
        ("frame_classifier", {"backbone": "tiny"}, (2, 32, 32, 3), "head", 12),
    ],
)
def test_the_last_layer_makes_the_logits_of_the_embedding(tiny_backbone, name, fields, shape, head, length):
    model = create_module(name, num_classes=3, **fields)
    clips = jax.random.normal(jax.random.key(0), (2, *shape))
    variables = random_variables(model, clips)
    logits, embedding = logits_and_embedding(model, variables, clips)
    assert embedding.shape == (2, length)
    last = variables["params"][head]
    np.testing.assert_allclose(embedding @ last["kernel"] + last["bias"], logits, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(jnp.asarray(model.apply(variables, clips, train=False)), logits, rtol=1e-5)
