"""The network that sees and hears: against Keras, and what must not matter to it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxvid.models.clip_model import AudioVisualClips
from jaxvid.models.genre_crnn import GenreCRNN, as_images, standardized

pytestmark = pytest.mark.usefixtures("tiny_backbone")

RNG = np.random.default_rng(0)
FRAMES = jnp.asarray(RNG.integers(0, 255, (2, 4, 32, 32, 3)), jnp.float32)
PICTURES = jnp.asarray(RNG.standard_normal((2, 4, 6)), jnp.float32)
SPECTROGRAMS = jnp.asarray(RNG.standard_normal((2, 70, 16)), jnp.float32)


def small(**fields):
    return GenreCRNN(
        num_classes=3, backbone="tiny", lstm_features=5, audio_lstm_features=4, num_bands=16, dropout_rate=0.0, **fields
    )


def clips(num_frames=(4, 4), num_spectra=(70, 70)):
    return AudioVisualClips(FRAMES, jnp.asarray(num_frames), SPECTROGRAMS, jnp.asarray(num_spectra))


def features(num_frames=(4, 4), num_spectra=(70, 70), frames=PICTURES, spectrograms=SPECTROGRAMS):
    """As `extract` gives them; six numbers stand for a frame."""
    return {
        "frames": frames,
        "num_frames": jnp.asarray(num_frames),
        "sound": spectrograms,
        "num_sounds": jnp.asarray(num_spectra),
    }


@pytest.fixture(scope="module")
def variables():
    """Of the head alone."""
    return jax.jit(lambda: small().init(jax.random.key(0), features(), train=False, method="classify"))()


@pytest.fixture(scope="module")
def logits(variables):
    """From features to logits, compiled."""
    return jax.jit(lambda features: small().apply(variables, features, train=False, method="classify"))


def test_frames_that_are_not_the_clips_own_do_not_matter(logits):
    others = PICTURES.at[:, 2:].set(7.0)
    np.testing.assert_array_equal(logits(features((2, 2), frames=others)), logits(features((2, 2))))
    assert np.abs(logits(features((2, 2))) - logits(features())).max() > 1e-2
    shorter = features((2, 2), frames=PICTURES[:, :2])
    np.testing.assert_allclose(logits(features((2, 2))), logits(shorter), rtol=1e-5)


def test_without_sound_a_clip_is_not_heard_which_is_another_thing_than_silence(logits):
    unheard = logits(features(num_spectra=(0, 70)))
    others = SPECTROGRAMS.at[0].set(9.0)
    np.testing.assert_array_equal(unheard, logits(features(num_spectra=(0, 70), spectrograms=others)))
    silence = logits(features(spectrograms=SPECTROGRAMS.at[0].set(-80.0)))
    assert np.abs(unheard[0] - silence[0]).max() > 1e-4
    assert np.abs(unheard[0] - logits(features())[0]).max() > 1e-2


def test_no_gradient_comes_from_sound_that_is_not_there(logits):
    gradient = jax.grad(lambda sound: (logits(features(num_spectra=(0, 40), spectrograms=sound)) ** 2).sum())(
        SPECTROGRAMS
    )
    assert not gradient[0].any()
    assert gradient[1, :40].any()
    assert not gradient[1, 40:].any()


def test_sound_after_its_end_does_not_matter_nor_do_the_other_clips(logits):
    ended = features(num_spectra=(40, 70), spectrograms=SPECTROGRAMS.at[0, 40:].set(9.0))
    np.testing.assert_array_equal(logits(ended)[0], logits(features(num_spectra=(40, 70)))[0])
    others = features(spectrograms=SPECTROGRAMS.at[1].set(5.0), frames=PICTURES.at[1].set(3.0))
    np.testing.assert_allclose(logits(others)[0], logits(features())[0], rtol=1e-5)


def test_clips_without_sound_do_not_change_how_others_are_heard_in_training(variables):
    heard = jax.jit(lambda features: small().apply(variables, features, train=True, method="classify"))
    np.testing.assert_allclose(heard(features(num_spectra=(70, 0)))[0], heard(features())[0], rtol=1e-5)


@pytest.mark.slow
def test_calling_is_classifying_what_is_extracted_and_plain_frames_have_no_sound():
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
def test_each_stream_alone_and_every_kind_of_features(fields, parts):
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
def test_the_head_is_keras_of_the_same_weights(variables, logits):
    import keras

    head = variables["params"]["head"]
    frames, spectrogram = keras.Input((4, 6)), keras.Input((64, 16, 1))
    seen = keras.layers.LSTM(5, name="frames")(frames)
    x = spectrogram
    layers = ((16, (4, 2), (4, 2)), (32, (5, 3), (4, 2)), (64, (3, 3), (2, 2)))
    for i, (filters, window, strides) in enumerate(layers, start=1):
        x = keras.layers.Conv2D(filters, window, strides, padding="same", name=f"conv{i}")(x)
        x = x if i == 1 else keras.layers.LayerNormalization(epsilon=1e-6, name=f"norm{i}")(x)
        x = keras.layers.ReLU()(x)
    heard = keras.layers.LSTM(4, name="sound")(keras.layers.Reshape((2, 2 * 64))(x))
    output = keras.layers.Dense(3, name="classifier")(keras.layers.Concatenate()([seen, heard]))
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
    # Of mean 0 and variance 1 as a whole, as the network makes its own.
    whole = SPECTROGRAMS[:, :64]
    sound = np.asarray((whole - whole.mean((1, 2), keepdims=True)) / whole.std((1, 2), keepdims=True))
    ours = logits(features(num_spectra=(64, 64), spectrograms=whole))
    np.testing.assert_allclose(ours, reference([np.asarray(PICTURES), sound[..., None]]), atol=1e-5)


def test_standardised_over_what_is_there_by_hand():
    spectrograms = jnp.asarray([[[1.0, 3.0], [5.0, 7.0], [100.0, 100.0]], [[1.0, 1.0], [1.0, 1.0], [1.0, 1.0]]])
    own = jnp.asarray([[True, True, False], [False, False, False]])
    # Mean 4, variance (9 + 1 + 1 + 9) / 4 = 5.
    expected = np.asarray([[[-3, -1], [1, 3], [0, 0]], np.zeros((3, 2))]) / np.sqrt(5)
    np.testing.assert_allclose(standardized(spectrograms, own), expected, rtol=1e-5)


def test_a_spectrogram_is_cut_into_grey_squares():
    # 5 spectra of 2 bands: three squares, of which the last is half empty. From -10 to 30 decibels, 51 greys to 8.
    spectrograms = jnp.asarray([[[-10.0, -2.0], [6.0, 14.0], [22.0, 30.0], [30.0, 30.0], [-2.0, 6.0]]])
    pictures = as_images(spectrograms, jnp.asarray([[True, True, True, True, True]]), 2)
    assert pictures.shape == (1, 3, 2, 2, 3)
    np.testing.assert_allclose(
        pictures[0, ..., 1], [[[0, 51], [102, 153]], [[204, 255], [255, 255]], [[51, 102], [0, 0]]], atol=1e-3
    )
    unheard = as_images(spectrograms, jnp.zeros((1, 5), bool), 2)
    assert not unheard.any()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"streams": ()}, "streams is \\(\\); allowed: one or both of frames, sound"),
        ({"streams": ("text",)}, "streams is \\('text',\\)"),
        ({"features": "logits"}, "features is 'logits'; allowed: pool, softmax"),
    ],
)
def test_bad_fields_are_named(fields, message):
    with pytest.raises(ValueError, match=message):
        jax.eval_shape(lambda: small(**fields).init(jax.random.key(0), clips(), train=False))


def test_spectrograms_of_another_number_of_bands_are_refused():
    fewer = clips()._replace(spectrograms=SPECTROGRAMS[..., :8])
    with pytest.raises(ValueError, match="config.model.num_bands is 16; the spectrograms have 8"):
        jax.eval_shape(lambda: small().init(jax.random.key(0), fewer, train=False))
