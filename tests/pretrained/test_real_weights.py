"""Published ImageNet weights give the outputs that Keras computes with them.

The weights are no part of the repository, so this file is collected only where JAXVID_WEIGHTS names a folder with them:

    JAXVID_WEIGHTS=FOLDER pytest -m slow tests/pretrained/test_real_weights.py

The folder holds `NAME.weights.h5`, as Keras 3 saves them, for `mobilenet_notop`, `mobilenet_top` and `xception_notop`,
and `reference.npz`: `pictures`, uint8 (image, 224, 224, 3), and Keras' outputs for them under the same names.
"""

import os
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxvid
from jaxvid.models.backbones import create_backbone
from jaxvid.pretrained.keras import load_keras_weights

FOLDER = Path(os.environ["JAXVID_WEIGHTS"])

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def reference():
    with np.load(FOLDER / "reference.npz") as arrays:
        return dict(arrays)


@pytest.mark.parametrize("name", ["mobilenet_notop", "mobilenet_top", "xception_notop"])
def test_outputs_are_those_of_keras(name, reference):
    architecture, top = name.split("_")
    backbone = create_backbone(architecture, include_top=top == "top")
    frames = jnp.asarray(reference["pictures"], jnp.float32)
    variables = jax.jit(lambda key: backbone.init(key, frames, train=False))(jax.random.key(0))
    variables = load_keras_weights(FOLDER / f"{name}.weights.h5", backbone, variables)
    outputs = jax.jit(lambda variables: backbone.apply(variables, frames, train=False))(variables)
    difference = np.abs(np.asarray(outputs) - reference[name]).max()
    print(f"{name}: largest difference {difference:.2e} of outputs up to {np.abs(reference[name]).max():.2f}")
    assert difference < 1e-4


def test_one_call_makes_a_network_with_them(reference):
    model, variables = jaxvid.create_model(
        "backbone_lstm", backbone="xception", num_classes=2, pretrained=FOLDER / "xception_notop.weights.h5"
    )
    clip = jnp.asarray(reference["pictures"], jnp.float32)[None]
    features = jax.jit(lambda variables: model.apply(variables, clip, method="extract"))(variables)
    np.testing.assert_allclose(features[0], reference["xception_notop"], atol=1e-4)
