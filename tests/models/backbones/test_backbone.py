import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxvid.models.backbones import BACKBONES, create_backbone
from jaxvid.models.backbones.backbone import caffe_scaling, symmetric_scaling
from tests.tiny import random_variables

# Total and trainable parameters without the classifier, and features, as keras.applications has them; the classifier
# adds features * 1000 + 1000, that of the VGGs 25088*4096 + 4096 + 4096*4096 + 4096 + 4096*1000 + 1000 at 224x224.
COUNTS = {
    "vgg16": (14_714_688, 14_714_688, 512),
    "vgg19": (20_024_384, 20_024_384, 512),
    "inception_v3": (21_802_784, 21_768_352, 2048),
    "resnet50": (23_587_712, 23_534_592, 2048),
    "xception": (20_861_480, 20_806_952, 2048),
    "mobilenet": (3_228_864, 3_206_976, 1024),
    "inception_resnet_v2": (54_336_736, 54_276_192, 1536),
}
VGG_CLASSIFIER = 25088 * 4096 + 4096 + 4096 * 4096 + 4096 + 4096 * 1000 + 1000


def frames(size, count=2):
    return jax.random.uniform(jax.random.key(1), (count, size, size, 3), maxval=255.0)


def variable_shapes(backbone, size):
    return jax.eval_shape(lambda: backbone.init(jax.random.key(0), jnp.zeros((1, size, size, 3)), train=False))


def count(tree):
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


@pytest.mark.parametrize("name", BACKBONES)
def test_parameter_counts_are_those_of_keras(name):
    total, trainable, features = COUNTS[name]
    shapes = variable_shapes(create_backbone(name, include_top=True), BACKBONES[name].default_size)
    classifier = VGG_CLASSIFIER if name.startswith("vgg") else features * 1000 + 1000
    assert count(shapes["params"]) == trainable + classifier
    assert count(shapes.get("batch_stats", {})) == total - trainable
    assert BACKBONES[name].num_features == features


@pytest.mark.parametrize(
    ("name", "sites"),
    # Convolutions and hidden dense layers with an activation, counted in the tables and diagrams of the papers.
    [("vgg16", 13), ("resnet50", 49), ("mobilenet", 27), ("inception_v3", 94), ("xception", 35)],
)
def test_every_nonlinearity_is_a_site(name, sites):
    shapes = variable_shapes(create_backbone(name, adaptive=True), BACKBONES[name].minimum_size)
    assert len(shapes["activations"]) == sites


def test_another_activation_reaches_the_sites_and_own_ones_are_the_default():
    def cap_at_start(activation):
        backbone = create_backbone("mobilenet", activation=activation, adaptive=True)
        # Compiled, only what is returned is computed.
        sites = jax.jit(lambda: backbone.init(jax.random.key(0), frames(32), train=False)["activations"])()
        return sites["conv1_relu"]["coefficients"][3]

    assert [cap_at_start(name) for name in (None, "relu6", "celu")] == [6, 6, np.inf]


def test_frames_are_scaled_as_keras_scales_them():
    frame = jnp.asarray([[[[0.0, 127.5, 255.0]]]])
    np.testing.assert_allclose(symmetric_scaling(frame), [[[[-1, 0, 1]]]])
    # Blue, green and red, less 103.939, 116.779 and 123.68.
    np.testing.assert_allclose(caffe_scaling(frame), [[[[151.061, 10.721, -123.68]]]], rtol=1e-5)


def test_batch_statistics_move_in_training_only():
    backbone = create_backbone("mobilenet")
    variables = random_variables(backbone, frames(32))

    @jax.jit
    def both(variables, x):
        frozen = backbone.apply(variables, x, train=False)
        return frozen, backbone.apply(variables, x, train=True, mutable=["batch_stats"])

    frozen, (trained, changes) = both(variables, frames(32))
    assert not np.allclose(frozen, trained)
    # Of the first convolution, which is linear: 0.99 of the mean it starts with, and 0.01 of the batch's.
    kernel = variables["params"]["conv1"]["kernel"]
    before = variables["batch_stats"]["conv1_bn"]["mean"]
    layout = ("NHWC", "HWIO", "NHWC")
    maps = jax.lax.conv_general_dilated(frames(32) / 127.5 - 1, kernel, (2, 2), "SAME", dimension_numbers=layout)
    np.testing.assert_allclose(
        changes["batch_stats"]["conv1_bn"]["mean"], 0.99 * before + 0.01 * maps.mean((0, 1, 2)), rtol=1e-3, atol=1e-5
    )


@pytest.mark.slow
def test_bfloat16_features_are_close_and_float32():
    x = frames(32)
    variables = random_variables(create_backbone("mobilenet"), x)

    @jax.jit
    def both(variables, x):
        return [create_backbone("mobilenet", dtype=d).apply(variables, x, train=False) for d in ("float32", "bfloat16")]

    exact, rough = both(variables, x)
    assert rough.dtype == jnp.float32
    # Each of 27 layers rounds to 8 bits; the errors add up to a few percent of the features.
    assert np.abs(rough - exact).max() < 0.1 * np.abs(exact).max()


def test_unknown_name_and_unfit_frames_are_named_with_what_is_allowed():
    with pytest.raises(ValueError, match=r"backbone is 'vgg17'; allowed: vgg16, vgg19, inception_v3"):
        create_backbone("vgg17")
    with pytest.raises(ValueError, match=r"frames of 74x80 with 3 channels given to inception_v3; allowed: 75x75 or"):
        create_backbone("inception_v3").init(jax.random.key(0), jnp.zeros((1, 74, 80, 3)), train=False)
    with pytest.raises(ValueError, match="with 1 channels given to vgg16; allowed: 32x32 or larger, with 3 channels"):
        create_backbone("vgg16").init(jax.random.key(0), jnp.zeros((1, 32, 32, 1)), train=False)
