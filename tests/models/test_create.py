import jax
import jax.numpy as jnp
import ml_collections
import pytest

from jaxvid.models.create import MODELS, create_module, initial_variables, list_models, module_from_config


def test_the_names_are_those_of_the_models():
    assert list_models() == list(MODELS)


def test_a_config_and_a_call_give_the_same_module():
    fields = {"num_classes": 3, "arch": "C4R1D2", "dropout_rate": 0.1, "dtype": "bfloat16"}
    config = ml_collections.ConfigDict({"name": "cnn_lstm", "pretrained": "", "trainable": "all", **fields})
    assert module_from_config(config, axis_name="data") == create_module("cnn_lstm", axis_name="data", **fields)
    assert create_module("cnn_lstm", **fields).dtype == jnp.bfloat16


@pytest.mark.parametrize(
    ("name", "fields", "message"),
    [
        ("cnn", {}, "name is 'cnn'; allowed: cnn_lstm, backbone_lstm, motion_pool, video_resnet"),
        ("lrcn", {"depth": 3}, "depth is no field of 'lrcn'; allowed: activation, adaptive, dropout_rate, dtype"),
        ("lrcn", {"dtype": "float8"}, "dtype is 'float8'; allowed: float32, bfloat16"),
        ("cnn_lstm", {"arch": "C12R1D3"}, "arch is 'C12R1D3'; allowed: C4R1D2, "),
        ("video_resnet", {"variant": "r2plus1d_50"}, "variant is 'r2plus1d_50'; allowed: r2plus1d_10, "),
        ("frame_classifier", {"backbone": "alexnet"}, "backbone is 'alexnet'; allowed: vgg16, "),
        ("backbone_lstm", {"features": "flatten"}, "features is 'flatten'; allowed: pool, softmax"),
        ("genre_crnn", {"audio_backbone": "alexnet"}, "audio_backbone is 'alexnet'; allowed: vgg16, "),
    ],
)
def test_a_bad_value_is_named_with_what_is_allowed(name, fields, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        create_module(name, num_classes=2, **fields)
    with pytest.raises(ValueError, match=f"^config.model.{message}"):
        module_from_config(ml_collections.ConfigDict({"name": name, "num_classes": 2, **fields}))


def test_variables_depend_on_the_seed_alone():
    module = create_module("lrcn", num_classes=2)
    first, again, other = (initial_variables(module, (2, 64, 64, 3), seed) for seed in (0, 0, 1))
    jax.tree.map(lambda a, b: a.tolist() == b.tolist() or pytest.fail("differs"), first, again)
    assert (first["params"]["conv1"]["kernel"] != other["params"]["conv1"]["kernel"]).any()


def test_every_model_states_the_clips_that_it_was_published_for():
    for name in list_models():
        time, height, width, channels = create_module(name, num_classes=2).default_clip()
        assert time >= 1
        assert height == width >= 64
        assert channels == 3
