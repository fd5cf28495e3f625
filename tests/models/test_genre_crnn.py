"""Compares the network of frames and audio with Keras, and changes inputs that must not change its outputs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxvid.models.clip_model import AudioVisualClips
from jaxvid.models.genre_crnn import GenreCRNN, as_images, standardized

pytestmark = pytest.mark.usefixtures("tiny_backbone")

RNG = np.random.default_rng(0)
FRAMES = jnp.asarray(RNG.integers(0, 255, (2, 4, 32, 32, 3)), jnp.float32)
FRAME_FEATURES = jnp.asarray(RNG.standard_normal((2, 4, 6)), jnp.float32)
SPECTROGRAMS = jnp.asarray(RNG.standard_normal((2, 70, 16)), jnp.float32)


def small(**fields):
    return GenreCRNN(
        num_classes=3, backbone="tiny", lstm_features=5, audio_lstm_features=4, num_bands=16, dropout_rate=0.0, **fields
    )


def clips(num_frames=(4, 4), num_spectra=(70, 70)):
    return AudioVisualClips(FRAMES, jnp.asarray(num_frames), SPECTROGRAMS, jnp.asarray(num_spectra))


def features(num_frames=(4, 4), num_spectra=(70, 70), frames=FRAME_FEATURES, spectrograms=SPECTROGRAMS):
    """Returns features as `extract` does, with six numbers for each frame."""
    return {
        "frames": frames,
        "num_frames": jnp.asarray(num_frames),
        "sound": spectrograms,
        "num_sounds": jnp.asarray(num_spectra),
    }


@pytest.fixture(scope="module")
def variables():
    """The variables of the head alone."""
    return jax.jit(lambda: small().init(jax.random.key(0), features(), train=False, method="classify"))()


@pytest.fixture(scope="module")
def logits(variables):
    """A compiled function from features to logits."""
    return jax.jit(lambda features: small().apply(variables, features, train=False, method="classify"))


def test_padding_frames_do_not_change_the_logits(logits):
    others = FRAME_FEATURES.at[:, 2:].set(7.0)
    np.testing.assert_array_equal(logits(features((2, 2), frames=others)), logits(features((2, 2))))
    assert np.abs(logits(features((2, 2))) - logits(features())).max() > 1e-2
    shorter = features((2, 2), frames=FRAME_FEATURES[:, :2])
    np.testing.assert_allclose(logits(features((2, 2))), logits(shorter), rtol=1e-5)


def test_a_clip_without_sound_ignores_its_spectrogram_and_differs_from_silence(logits):
    without_sound = logits(features(num_spectra=(0, 70)))
    others = SPECTROGRAMS.at[0].set(9.0)
    np.testing.assert_array_equal(without_sound, logits(features(num_spectra=(0, 70), spectrograms=others)))
    silence = logits(features(spectrograms=SPECTROGRAMS.at[0].set(-80.0)))
    assert np.abs(without_sound[0] - silence[0]).max() > 1e-4
    assert np.abs(without_sound[0] - logits(features())[0]).max() > 1e-2


def test_padding_of_the_sound_gets_no_gradient(logits):
    gradient = jax.grad(lambda sound: (logits(features(num_spectra=(0, 40), spectrograms=sound)) ** 2).sum())(
        SPECTROGRAMS
    )
    assert not gradient[0].any()
    assert gradient[1, :40].any()
    assert not gradient[1, 40:].any()


def test_padding_of_the_sound_and_other_clips_do_not_change_the_logits(logits):
    ended = features(num_spectra=(40, 70), spectrograms=SPECTROGRAMS.at[0, 40:].set(9.0))
    np.testing.assert_array_equal(logits(ended)[0], logits(features(num_spectra=(40, 70)))[0])
    others = features(spectrograms=SPECTROGRAMS.at[1].set(5.0), frames=FRAME_FEATURES.at[1].set(3.0))
    np.testing.assert_allclose(logits(others)[0], logits(features())[0], rtol=1e-5)


def test_clips_without_sound_do_not_change_the_logits_of_others_in_training(variables):
    logits_in_training = jax.jit(lambda features: small().apply(variables, features, train=True, method="classify"))
    np.testing.assert_allclose(
        logits_in_training(features(num_spectra=(70, 0)))[0], logits_in_training(features())[0], rtol=1e-5
    )


@pytest.mark.slow
def test_a_call_extracts_and_classifies_and_frames_alone_are_clips_without_sound():
    model = small()
    variables = jax.jit(lambda: model.init(jax.random.key(0), clips(), train=False))()
    extracted = jax.jit(lambda clips: model.apply(variables, clips, method="extract"))(clips((3, 4), (0, 70)))
    assert {name: values.shape for name, values in extracted.items()} == {
        "frames": (2, 4, 12),
        "num_frames": (2,),
        "sound": (2, 70, 16),
        "num_sounds": (2,),
    }
    called = jax.jit(lambda clips: model.apply(variables, clips, train=False))
    classified = model.apply(variables, extracted, train=False, method="classify")
    np.testing.assert_allclose(classified, called(clips((3, 4), (0, 70))), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(called(FRAMES), called(clips(num_spectra=(0, 0))), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("fields", "parts"),
    [
        ({"streams": ("frames",)}, {"cnn", "head"}),
        ({"streams": ("frames",), "features": "softmax"}, {"cnn", "cnn_top", "head"}),
        ({"streams": ("sound",)}, {"head"}),
        ({"streams": ("sound",), "audio_backbone": "mobilenet"}, {"audio_cnn", "head"}),
        ({"features": "softmax", "audio_backbone": "vgg16"}, {"cnn", "cnn_top", "audio_cnn", "head"}),
    ],
)
def test_streams_and_features_decide_the_parts_of_the_network(fields, parts):
    shapes = jax.eval_shape(lambda: small(**fields).init(jax.random.key(0), clips(), train=False))
    assert set(shapes["params"]) == parts
    output = jax.eval_shape(lambda variables: small(**fields).apply(variables, clips(), train=False), shapes)
    assert output.shape == (2, 3)
    if "cnn_top" in parts:
        extracted = jax.eval_shape(
            lambda variables: small(**fields).apply(variables, clips(), method="extract"), shapes
        )
        # The probabilities of the three classes.
        assert extracted["frames"].shape == (2, 4, 3)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_the_head_with_weights_of_keras_gives_its_outputs(variables, logits):
    import keras

    head = variables["params"]["head"]
    frames, spectrogram = keras.Input((4, 6)), keras.Input((64, 16, 1))
    frame_state = keras.layers.LSTM(5, name="frames")(frames)
    x = spectrogram
    layers = ((16, (4, 2), (4, 2)), (32, (5, 3), (4, 2)), (64, (3, 3), (2, 2)))
    for i, (filters, window, strides) in enumerate(layers, start=1):
        x = keras.layers.Conv2D(filters, window, strides, padding="same", name=f"conv{i}")(x)
        x = x if i == 1 else keras.layers.LayerNormalization(epsilon=1e-6, name=f"norm{i}")(x)
        x = keras.layers.ReLU()(x)
    sound_state = keras.layers.LSTM(4, name="sound")(keras.layers.Reshape((2, 2 * 64))(x))
    output = keras.layers.Dense(3, name="classifier")(keras.layers.Concatenate()([frame_state, sound_state]))
    reference = keras.Model([frames, spectrogram], output)
    for name in ("conv1", "conv2", "conv3", "classifier"):
        of_layer = head["spectrogram_cnn"][name] if name != "classifier" else head[name]
        reference.get_layer(name).set_weights([of_layer["kernel"], of_layer["bias"]])
        if name in ("conv2", "conv3"):
            norm = head["spectrogram_cnn"][name.replace("conv", "norm")]
            reference.get_layer(name.replace("conv", "norm")).set_weights([norm["scale"], norm["bias"]])
    for name in ("frames", "sound"):
        lstm = head[name]["lstm"]
        weights = [lstm["input"]["kernel"], lstm["recurrent_kernel"], lstm["input"]["bias"]]
        reference.get_layer(name).set_weights(weights)
    # Standardized as a whole, as the network standardizes its own.
    whole = SPECTROGRAMS[:, :64]
    sound = np.asarray((whole - whole.mean((1, 2), keepdims=True)) / whole.std((1, 2), keepdims=True))
    ours = logits(features(num_spectra=(64, 64), spectrograms=whole))
    np.testing.assert_allclose(ours, reference([np.asarray(FRAME_FEATURES), sound[..., None]]), atol=1e-5)


def test_deeper_heads_have_lstms_one_over_another():
    import keras

    model = small(streams=("frames",), lstm_layers=2)
    shapes = jax.eval_shape(
        lambda: model.init(jax.random.key(0), features(frames=FRAME_FEATURES), train=False, method="classify")
    )
    rng = np.random.default_rng(3)
    head = jax.tree.map(lambda leaf: rng.standard_normal(leaf.shape).astype(np.float32), shapes)["params"]["head"]
    reference = keras.Sequential([keras.Input((4, 6)), keras.layers.LSTM(5, return_sequences=True)])
    reference.add(keras.layers.LSTM(5))
    reference.add(keras.layers.Dense(3))
    lstms = [head["frames"]["lstm"], head["frames"]["lstm2"]]
    weights = [array for lstm in lstms for array in (lstm["input"]["kernel"], lstm["recurrent_kernel"],
                                                     lstm["input"]["bias"])]  # fmt: skip
    reference.set_weights([*weights, head["classifier"]["kernel"], head["classifier"]["bias"]])
    ours = model.apply({"params": {"head": head}}, features(), train=False, method="classify")
    np.testing.assert_allclose(ours, reference(np.asarray(FRAME_FEATURES)), atol=1e-5)
    with pytest.raises(ValueError, match="lstm_layers is 0; allowed: 1 or more"):
        small(lstm_layers=0)


def test_spectrograms_are_standardized_over_their_own_spectra():
    spectrograms = jnp.asarray([[[1.0, 3.0], [5.0, 7.0], [100.0, 100.0]], [[1.0, 1.0], [1.0, 1.0], [1.0, 1.0]]])
    own = jnp.asarray([[True, True, False], [False, False, False]])
    # Mean 4, variance (9 + 1 + 1 + 9) / 4 = 5.
    expected = np.asarray([[[-3, -1], [1, 3], [0, 0]], np.zeros((3, 2))]) / np.sqrt(5)
    np.testing.assert_allclose(standardized(spectrograms, own), expected, rtol=1e-5)


def test_a_spectrogram_is_cut_into_square_gray_images():
    # 5 spectra of 2 bands make three images, the last half empty. From -10 to 30 decibels, each 8 are 51 gray levels.
    spectrograms = jnp.asarray([[[-10.0, -2.0], [6.0, 14.0], [22.0, 30.0], [30.0, 30.0], [-2.0, 6.0]]])
    images = as_images(spectrograms, jnp.asarray([[True, True, True, True, True]]), 2)
    assert images.shape == (1, 3, 2, 2, 3)
    np.testing.assert_allclose(
        images[0, ..., 1], [[[0, 51], [102, 153]], [[204, 255], [255, 255]], [[51, 102], [0, 0]]], atol=1e-3
    )
    without_sound = as_images(spectrograms, jnp.zeros((1, 5), bool), 2)
    assert not without_sound.any()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"streams": ()}, "streams is \\(\\); allowed: one or both of frames, sound"),
        ({"streams": ("text",)}, "streams is \\('text',\\)"),
        ({"features": "logits"}, "features is 'logits'; allowed: pool, softmax"),
    ],
)
def test_bad_fields_are_refused_by_name(fields, message):
    with pytest.raises(ValueError, match=message):
        jax.eval_shape(lambda: small(**fields).init(jax.random.key(0), clips(), train=False))


def test_spectrograms_of_another_number_of_bands_are_refused():
    fewer = clips()._replace(spectrograms=SPECTROGRAMS[..., :8])
    with pytest.raises(ValueError, match="config.model.num_bands is 16; the spectrograms have 8"):
        jax.eval_shape(lambda: small().init(jax.random.key(0), fewer, train=False))
