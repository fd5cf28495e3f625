"""Motion, statistics over time, norms of a head's input and differences of frames, with values by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxvid.models.backbones.backbone import Architecture, Backbone, caffe_scaling, symmetric_scaling
from jaxvid.models.clip_model import ClipModel
from jaxvid.models.create import MODELS, create_module
from jaxvid.models.temporal import differences, statistics, with_motion
from tests.models.test_devices import SMALL as SMALL_MODELS
from tests.models.test_framewise import SMALL, clips_of, small
from tests.tiny import random_variables

pytestmark = pytest.mark.usefixtures("tiny_backbone")

# One clip of three frames of two features, and each frame less the one before.
FEATURES = jnp.asarray([[[1.0, 5.0], [4.0, 5.0], [2.0, 8.0]]])
CHANGES = np.asarray([[[0.0, 0.0], [3.0, 0.0], [-2.0, 3.0]]])
ROOT_2 = np.sqrt(2.0)

RNG = np.random.default_rng(0)


def framewise_input(name, features):
    """The input of a network's head."""
    whole = {"frames": features, "num_frames": jnp.full(len(features), features.shape[1])}
    return whole if name == "genre_crnn" else features


def logits_of(model, variables, features, name="backbone_lstm"):
    apply = jax.jit(lambda features: model.apply(variables, features, train=False, method="classify"))
    return apply(framewise_input(name, jnp.asarray(features, jnp.float32)))


def variables_for(model, features, name="backbone_lstm"):
    features = framewise_input(name, features)
    shapes = jax.eval_shape(lambda: model.init(jax.random.key(0), features, train=False, method="classify"))
    rng = np.random.default_rng(1)
    values = {"scale": 1.0, "var": 1.0, "mean": 0.0}

    def draw(path, leaf):
        constant = values.get(path[-1].key)
        return jnp.asarray(0.3 * rng.standard_normal(leaf.shape) if constant is None else np.full(leaf.shape, constant))

    return jax.tree.map(lambda leaf: leaf.astype(jnp.float32), jax.tree_util.tree_map_with_path(draw, shapes))


def test_the_difference_is_to_the_frame_before_and_zero_for_the_first():
    np.testing.assert_array_equal(differences(FEATURES), CHANGES)
    np.testing.assert_array_equal(with_motion(FEATURES, "none"), FEATURES)
    np.testing.assert_array_equal(with_motion(FEATURES, "difference"), CHANGES)
    np.testing.assert_array_equal(with_motion(FEATURES, "both")[0, 2], [2, 8, -2, 3])


@pytest.mark.parametrize(
    ("motion", "expected"),
    [
        # Means, deviations and maxima of 1, 4, 2 and of 5, 5, 8.
        ("none", [7 / 3, 6, np.sqrt(14) / 3, ROOT_2, 4, 8]),
        # Of the absolute differences 3, 2 and 0, 3: the first frame has none.
        ("difference", [2.5, 1.5, 0.5, 1.5, 3, 3]),
        ("both", [7 / 3, 6, np.sqrt(14) / 3, ROOT_2, 4, 8, 2.5, 1.5, 0.5, 1.5, 3, 3]),
    ],
)
def test_statistics_over_time(motion, expected):
    np.testing.assert_allclose(statistics(FEATURES, motion)[0], expected, rtol=1e-6)


def test_statistics_of_a_single_frame():
    np.testing.assert_array_equal(statistics(FEATURES[:, :1], "both")[0], [1, 5, 0, 0, 1, 5, 0, 0, 0, 0, 0, 0])


def test_gradients_are_finite_where_nothing_changes():
    gradient = jax.jit(jax.grad(lambda features: statistics(features, "both").sum()))(jnp.ones((1, 3, 2)))
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("name", ["lrcn", "backbone_lstm", "genre_crnn"])
def test_a_recurrence_takes_features_and_changes_side_by_side(name):
    features = jnp.asarray(RNG.standard_normal((2, 4, 5)), jnp.float32)
    taken = np.concatenate([features, np.diff(features, axis=1, prepend=features[:, :1])], axis=-1)
    model = small(name, motion="both")
    variables = variables_for(model, features, name)
    expected = logits_of(small(name), variables, taken, name)
    np.testing.assert_allclose(logits_of(model, variables, features, name), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", SMALL)
def test_every_network_has_motion_and_a_norm(name):
    num_features = SMALL[name][2]
    features = framewise_input(name, jnp.zeros((1, 3, num_features)))

    def head(**fields):
        model = small(name, head_norm="layer", **fields)
        shapes = jax.eval_shape(lambda: model.init(jax.random.key(0), features, train=False, method="classify"))
        return shapes["params"]["head"] if name in ("backbone_lstm", "genre_crnn") else shapes["params"]

    for motion, times in (("none", 1), ("difference", 1), ("both", 2)):
        assert head(motion=motion)["norm"]["scale"].shape == (times * num_features,)


def pool(**fields):
    return create_module("backbone_lstm", num_classes=2, backbone="tiny", temporal="pool", dense=(), **fields)


def linear(head, inputs):
    return np.asarray(inputs) @ head["classifier"]["kernel"] + head["classifier"]["bias"]


def test_a_pool_and_no_dense_layer_is_a_linear_classifier_of_the_statistics():
    model = pool(motion="both")
    variables = variables_for(model, FEATURES)
    assert set(variables["params"]["head"]) == {"classifier"}
    # As in `test_statistics_over_time`.
    pooled = [7 / 3, 6, np.sqrt(14) / 3, ROOT_2, 4, 8, 2.5, 1.5, 0.5, 1.5, 3, 3]
    expected = linear(variables["params"]["head"], pooled)
    np.testing.assert_allclose(logits_of(model, variables, FEATURES)[0], expected, rtol=1e-4)


def test_a_layer_norm_scales_the_statistics_of_a_clip():
    model, features = pool(head_norm="layer"), jnp.asarray([[[1.0, 5.0]]])
    variables = variables_for(model, features)
    # Of mean 2 and variance 28 / 6.
    scaled = (np.asarray([1, 5, 0, 0, 1, 5]) - 2) / np.sqrt(28 / 6)
    head = variables["params"]["head"]
    expected = linear(head, scaled + head["norm"]["bias"])
    np.testing.assert_allclose(logits_of(model, variables, features)[0], expected, rtol=1e-4, atol=1e-5)


def test_a_batch_norm_scales_every_statistic_over_the_clips():
    model, features = pool(head_norm="batch"), jnp.asarray([[[1.0, 2.0]], [[3.0, 2.0]], [[1.0, 8.0]], [[3.0, 8.0]]])
    variables = variables_for(model, features)
    logits, updates = jax.jit(
        lambda variables: model.apply(variables, features, train=True, method="classify", mutable=["batch_stats"])
    )(variables)
    # Of single frames: means and maxima are the features, without deviation.
    signs = np.asarray([[-1.0, -1.0], [1.0, -1.0], [-1.0, 1.0], [1.0, 1.0]])
    head = variables["params"]["head"]
    scaled = np.concatenate([signs, np.zeros((4, 2)), signs], axis=1) + head["norm"]["bias"]
    np.testing.assert_allclose(logits, linear(head, scaled), rtol=1e-3, atol=1e-4)
    # A tenth of the way from 0 to the batch's means.
    np.testing.assert_allclose(updates["batch_stats"]["head"]["norm"]["mean"], [0.2, 0.5, 0, 0, 0.2, 0.5], rtol=1e-5)


def test_padding_changes_neither_the_motion_nor_the_norm_of_a_sequence():
    model = small("genre_crnn", motion="both", head_norm="layer")
    features = jnp.asarray(RNG.standard_normal((1, 4, 5)), jnp.float32)
    variables = variables_for(model, features, "genre_crnn")

    @jax.jit
    def logits(features):
        padded = {"frames": features, "num_frames": jnp.asarray([2])}
        return model.apply(variables, padded, train=False, method="classify")

    np.testing.assert_array_equal(logits(features.at[:, 2:].set(7.0)), logits(features))


@pytest.mark.parametrize(
    ("scaling", "expected"),
    [(symmetric_scaling, [10 / 127.5, -20 / 127.5, 0]), (caffe_scaling, [0, -20, 10])],
)
def test_a_backbone_scales_differences_without_its_offset(scaling, expected):
    # No layers: what comes out is the mean of what went in.
    architecture = Architecture("none", (), lambda num_classes: (), scaling, 1, 1, 3, ())
    frames = jnp.broadcast_to(jnp.asarray([10.0, -20.0, 0.0]), (1, 2, 2, 3))
    features = Backbone(architecture, differences=True).apply({}, frames, train=False)
    np.testing.assert_allclose(features[0], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["backbone_lstm"])
def test_a_network_of_differences_sees_no_constant_light(name):
    model, clips = small(name, input="differences", dropout_rate=0.0), clips_of(name)
    variables = random_variables(model, clips)
    features = jax.jit(lambda clips: model.apply(variables, clips, method="extract"))
    of_clips = features(clips)
    np.testing.assert_allclose(features(clips + 30), of_clips, rtol=1e-3, atol=1e-3)
    assert np.abs(features(clips[:, ::-1]) - of_clips).max() > 1e-2
    # The first frame has none before it, which is as if nothing changed.
    still = features(jnp.broadcast_to(clips[:, :1], clips.shape))
    np.testing.assert_allclose(of_clips[:, 0], still[:, 1], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", [name for name in MODELS if name != "frame_classifier"])
def test_every_network_of_clips_computes_from_what_input_says(name, monkeypatch):
    fields, time, size = SMALL_MODELS[name]
    prepared = []

    def record(self, clips):
        prepared.append(clips.shape)
        return clips

    monkeypatch.setattr(ClipModel, "prepared", record)
    model, clips = create_module(name, num_classes=2, **fields), jnp.zeros((1, time, size, size, 3))
    jax.eval_shape(lambda: model.init(jax.random.key(0), clips, train=False))
    assert prepared == [clips.shape]


def test_differences_of_frames_are_not_shared_by_windows():
    assert small("lrcn").feature_span() == 1
    # The first frame of a window has none before it.
    fields = {"backbone": "tiny", "stages": ("relu",)}
    pooled = create_module("motion_pool", num_classes=2, input="differences", **fields)
    for model in (small("lrcn", input="differences"), small("genre_crnn", input="differences"), pooled):
        assert model.feature_span() == 0


def test_clips_in_0_to_1_have_differences_in_the_same_unit():
    clips = jnp.asarray([0.25, 1.0, 0.5]).reshape(1, 3, 1, 1, 1)
    model = create_module("convlstm", num_classes=2, input="differences")
    np.testing.assert_array_equal(model.prepared(clips).ravel(), [0, 0.75, -0.5])
    np.testing.assert_array_equal(create_module("convlstm", num_classes=2).prepared(clips), clips)


@pytest.mark.parametrize(
    ("name", "fields", "message"),
    [
        ("lrcn", {"motion": "flow"}, "motion is 'flow'; allowed: none, difference, both"),
        ("cnn_lstm", {"head_norm": "group"}, "head_norm is 'group'; allowed: none, layer, batch"),
        ("backbone_lstm", {"temporal": "gru"}, "temporal is 'gru'; allowed: lstm, pool"),
        ("convlstm", {"input": "flow"}, "input is 'flow'; allowed: frames, differences"),
        ("convlstm", {"motion": "both"}, "motion is no field of 'convlstm'"),
        ("frame_classifier", {"input": "differences"}, "input is 'differences'; allowed: frames"),
        ("genre_crnn", {"head_norm": "batch"}, "head_norm is 'batch'; allowed: none, layer"),
        ("genre_crnn", {"streams": ("sound",), "motion": "both"}, "motion is 'both'; allowed: none"),
    ],
)
def test_bad_fields_are_refused_by_name(name, fields, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        create_module(name, num_classes=2, **fields)
