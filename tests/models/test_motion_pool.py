import jax
import jax.numpy as jnp
import keras
import ml_collections
import numpy as np
import pytest

from jaxvid.models.create import create_module
from jaxvid.models.flops import flops
from jaxvid.models.freezing import frozen_norms_kept, parameter_labels
from jaxvid.models.motion_pool import MOBILENET_STAGES
from jaxvid.pretrained.create import create_model
from tests.models.backbones.keras_reference import build, randomize, save_keras3
from tests.tiny import random_variables


def tiny(**fields):
    return create_module("motion_pool", num_classes=2, backbone="tiny", stages=("relu",), **fields)


def clips(time=3, batch=2):
    return jax.random.uniform(jax.random.key(1), (batch, time, 32, 32, 3), maxval=255.0)


def test_features_are_the_largest_changes_of_the_maps_that_keras_computes(tmp_path):
    reference = build("mobilenet", (64, 96), include_top=False)
    randomize(reference)
    save_keras3(reference, tmp_path / "mobilenet.weights.h5")
    model, variables = create_model(
        "motion_pool", num_classes=2, pretrained=tmp_path / "mobilenet.weights.h5", clip_shape=(3, 64, 96, 3)
    )
    frames = jax.random.uniform(jax.random.key(0), (2, 3, 64, 96, 3), maxval=255.0)

    maps = keras.Model(reference.inputs, [reference.get_layer(name).output for name in MOBILENET_STAGES])
    of_frames = [np.asarray(stage) for stage in maps([np.asarray(frames).reshape(6, 64, 96, 3) / 127.5 - 1])]
    expected = [np.abs(np.diff(stage.reshape(2, 3, *stage.shape[1:]), axis=1)).max(axis=(2, 3)) for stage in of_frames]

    features = jax.jit(lambda variables: model.apply(variables, frames, method="extract"))(variables)
    assert features.shape == (2, 2, 256 + 512 + 512)
    np.testing.assert_allclose(features, np.concatenate(expected, axis=-1), rtol=1e-4, atol=1e-4)


@pytest.mark.usefixtures("tiny_backbone")
def test_logits_are_linear_in_the_standardized_mean_over_time():
    model, frames = tiny(), clips()
    variables = random_variables(model, frames)
    features = jax.random.uniform(jax.random.key(2), (4, 2, 8), maxval=3.0)
    statistics = variables["batch_stats"]["head"]["standardize"]
    classifier = variables["params"]["head"]["classifier"]
    standardized = (features.mean(axis=1) - statistics["mean"]) / np.sqrt(statistics["var"] + 1e-5)
    logits = model.apply(variables, features, train=False, method="classify")
    np.testing.assert_allclose(logits, standardized @ classifier["kernel"] + classifier["bias"], rtol=1e-5, atol=1e-5)


@pytest.mark.usefixtures("tiny_backbone")
def test_a_still_clip_and_a_single_frame_have_no_motion():
    model = tiny()
    variables = random_variables(model, clips())
    still = jnp.repeat(clips(time=1), 3, axis=1)
    for frames, pairs in ((still, 2), (clips(time=1), 1)):
        features = model.apply(variables, frames, method="extract")
        np.testing.assert_array_equal(features, np.zeros((2, pairs, 8)))


@pytest.mark.usefixtures("tiny_backbone")
def test_layers_after_the_last_stage_have_parameters_but_are_not_computed():
    model, frames = tiny(), clips()
    variables = random_variables(model, frames)
    assert variables["params"]["cnn"]["conv2"]["kernel"].shape == (3, 3, 8, 12)
    # 2 x 3 frames of 8x8 places, 8 channels of 3x3x3; then 2 classes of 8 features.
    computed = flops(lambda variables, clips: model.apply(variables, clips, train=False), variables, frames)
    assert computed == 2 * (6 * 64 * 8 * 27 + 2 * 2 * 8)


@pytest.mark.usefixtures("tiny_backbone")
def test_the_last_stage_is_what_lies_between_the_last_two():
    assert tiny().last_stage() == ("cnn/conv", "cnn/bn", "cnn/relu")
    blocks = create_module("motion_pool", num_classes=2, stages=("conv_pw_3_relu", "conv_pw_4_relu")).last_stage()
    assert [name for name in blocks if not name.endswith(("bn", "relu"))] == ["cnn/conv_dw_4", "cnn/conv_pw_4"]


@pytest.mark.parametrize("stages", [(), ("conv_pw_5",), ("conv_pw_5_relu", "block1")])
def test_an_unknown_stage_is_named_with_those_that_there_are(stages):
    with pytest.raises(
        ValueError, match=r"stages is .* for mobilenet; allowed: one or more of conv1_relu, conv_dw_1_relu"
    ):
        create_module("motion_pool", num_classes=2, stages=stages)


@pytest.mark.usefixtures("tiny_backbone")
def test_the_standardization_learns_its_statistics_while_the_backbone_keeps_its_own():
    model, frames = tiny(), clips()
    variables = random_variables(model, frames)
    fields = {"name": "motion_pool", "num_classes": 2, "backbone": "tiny", "stages": ("relu",), "trainable": "head"}
    labels = parameter_labels(variables["params"], ml_collections.ConfigDict(fields))
    with frozen_norms_kept(labels):
        _, changes = jax.jit(lambda variables: model.apply(variables, frames, train=True, mutable=["batch_stats"]))(
            variables
        )
    before, after = variables["batch_stats"], changes["batch_stats"]
    np.testing.assert_array_equal(after["cnn"]["bn"]["mean"], before["cnn"]["bn"]["mean"])
    means = model.apply(variables, frames, method="extract").mean(axis=(0, 1))
    # Running statistics keep nine tenths of what they were.
    expected = 0.9 * before["head"]["standardize"]["mean"] + 0.1 * means
    np.testing.assert_allclose(after["head"]["standardize"]["mean"], expected, rtol=1e-4, atol=1e-6)
