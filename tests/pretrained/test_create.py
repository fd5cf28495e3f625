import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import traverse_util

import jaxvid
from jaxvid.pretrained import load
from tests.models.backbones import keras_reference


def test_create_model_makes_a_network_from_its_name():
    model, variables = jaxvid.create_model("lrcn", num_classes=5, activation="elu", seed=3)
    assert model.activation == "elu"
    logits = model.apply(variables, jnp.zeros((2, 20, 64, 64, 3)), train=False)
    assert logits.shape == (2, 5)
    _, again = jaxvid.create_model("lrcn", num_classes=5, seed=3)
    jax.tree.map(np.testing.assert_array_equal, variables, again)


def test_the_dense_layer_of_convlstm_follows_the_clip_shape():
    _, variables = jaxvid.create_model("convlstm", num_classes=2, clip_shape=(3, 32, 32, 3))
    # From 32 each layer takes two pixels and half: 15, 7, 3, 1; of three frames of 16 channels.
    assert variables["params"]["head"]["kernel"].shape == (3 * 1 * 1 * 16, 2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "resnet"}, "name is 'resnet'; allowed: cnn_lstm, backbone_lstm"),
        ({"name": "video_resnet", "varient": "r3d_18"}, "varient is no field of 'video_resnet'; allowed: activation"),
        ({"name": "lrcn", "num_classes": 0}, "num_classes is 0; allowed: 1 or more"),
        ({"name": "lrcn", "pretrained": "imagenet"}, "pretrained is 'imagenet'; allowed: '', as this model takes no"),
        (
            {"name": "video_resnet", "pretrained": "imagenet"},
            "pretrained is 'imagenet'; allowed: '', 'kinetics400', or the path of a file",
        ),
    ],
)
def test_bad_arguments_are_named_with_what_is_allowed(arguments, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        jaxvid.create_model(**{"num_classes": 2, **arguments})


@pytest.mark.parametrize("published", [True, False])
def test_weights_are_those_of_the_file_and_the_head_is_fresh(published, tmp_path, monkeypatch):
    reference = keras_reference.build("mobilenet", (32, 32), include_top=False)
    keras_reference.randomize(reference)
    path = tmp_path / "mobilenet.weights.h5"
    keras_reference.save_keras3(reference, path)
    asked = []
    monkeypatch.setattr(load, "fetch_weights", lambda name: asked.append(name) or path)
    arguments = {"num_classes": 2, "backbone": "mobilenet", "clip_shape": (1, 32, 32, 3)}
    pretrained = "imagenet" if published else path
    _, variables = jaxvid.create_model("frame_classifier", pretrained=pretrained, **arguments)
    assert asked == ["mobilenet_notop"] * published
    np.testing.assert_array_equal(
        variables["params"]["cnn"]["conv1"]["kernel"], reference.get_layer("conv1").get_weights()[0]
    )
    np.testing.assert_array_equal(
        variables["batch_stats"]["cnn"]["conv1_bn"]["mean"], reference.get_layer("conv1_bn").get_weights()[2]
    )
    _, fresh = jaxvid.create_model("frame_classifier", **arguments)
    jax.tree.map(np.testing.assert_array_equal, variables["params"]["head"], fresh["params"]["head"])
    assert traverse_util.flatten_dict(variables).keys() == traverse_util.flatten_dict(fresh).keys()
    assert all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(variables))


def test_importing_jaxvid_imports_no_jax_and_models_are_created_without_data():
    program = (
        "import sys, jaxvid; assert 'jax' not in sys.modules; jaxvid.list_models(); jaxvid.create_model; "
        "print([name for name in ('tensorflow', 'grain', 'h5py', 'orbax', 'decord') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_an_unknown_attribute_is_refused_by_name():
    with pytest.raises(AttributeError, match="module 'jaxvid' has no attribute 'create_modell'"):
        _ = jaxvid.create_modell
