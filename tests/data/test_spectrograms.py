"""Spectrograms against librosa's."""

import jax.numpy as jnp
import librosa
import ml_collections
import numpy as np
import pytest

from jaxvid.config import base_config
from jaxvid.data.spectrograms import check_audio, mel_filters, num_spectra, spectrograms


def audio_config(**changes):
    audio = base_config().audio
    audio.update(sample_rate=16000, **changes)
    return audio


def librosa_log_mel(sound, audio):
    power = librosa.feature.melspectrogram(
        y=sound,
        sr=audio.sample_rate,
        n_fft=audio.fft_size,
        hop_length=audio.hop,
        win_length=audio.window,
        n_mels=audio.num_mels,
        fmin=audio.min_hz,
        fmax=audio.max_hz or audio.sample_rate / 2,
    )
    return librosa.power_to_db(power, top_db=audio.top_db)


def noise(num_samples=16000):
    return (0.1 * np.random.default_rng(0).standard_normal(num_samples)).astype(np.float32)


def chirp(num_samples=16000):
    seconds = np.arange(num_samples) / 16000
    return (0.5 * np.sin(2 * np.pi * (200 + 1500 * seconds) * seconds)).astype(np.float32) + 0.02 * noise(num_samples)


CONFIGS = [
    {},
    {"hop": 200, "window": 500, "fft_size": 500, "num_mels": 40, "min_hz": 125.0, "max_hz": 7000.0},
    {"hop": 512, "window": 2048, "fft_size": 2048, "num_mels": 128, "sample_rate": 22050},
    {"hop": 333, "window": 401, "fft_size": 512, "num_mels": 32, "top_db": 20.0},
]


@pytest.mark.parametrize(
    ("sound", "changes"), list(zip([noise(), chirp(), noise(7001), chirp()], CONFIGS, strict=True))
)
def test_log_mel_spectrograms_are_librosas(sound, changes):
    audio = audio_config()
    audio.update(changes)
    ours = spectrograms(jnp.asarray(sound)[None], audio)
    np.testing.assert_allclose(np.asarray(ours)[0].T, librosa_log_mel(sound, audio), rtol=2e-5, atol=1e-4)


def test_mfccs_are_librosas():
    audio = audio_config(kind="mfcc", num_mfcc=13)
    ours = np.asarray(spectrograms(jnp.asarray(noise())[None], audio))[0].T
    theirs = librosa.feature.mfcc(S=librosa_log_mel(noise(), audio), n_mfcc=13)
    assert ours.shape == (13, 101)
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize(("low", "high"), [(0.0, 0.0), (300.0, 3400.0)])
def test_mel_filters_are_librosas(low, high):
    theirs = librosa.filters.mel(sr=16000, n_fft=512, n_mels=40, fmin=low, fmax=high or 8000.0)
    np.testing.assert_allclose(mel_filters(16000, 512, 40, low, high), theirs, atol=1e-7)


def test_integers_are_taken_as_shares_of_full_scale():
    audio = audio_config()
    sound = (32768 * noise()).astype(np.int16)
    ours = spectrograms(jnp.asarray(sound)[None], audio)
    np.testing.assert_allclose(np.asarray(ours)[0].T, librosa_log_mel(sound / np.float32(32768), audio), atol=1e-4)


def test_every_sound_of_a_batch_has_its_own_loudest():
    audio = audio_config(top_db=30.0)
    loud, quiet = chirp(), 0.001 * chirp()
    together = np.asarray(spectrograms(jnp.asarray(np.stack([loud, quiet])), audio))
    np.testing.assert_allclose(together[1].T, librosa_log_mel(quiet, audio), rtol=2e-5, atol=1e-4)


def test_silence_is_no_sound_and_no_samples_have_no_spectra():
    audio = audio_config()
    silence = np.asarray(spectrograms(jnp.zeros((1, 16000), jnp.int16), audio))
    assert np.isfinite(silence).all()
    # As many as librosa gives of 0 (none), 1, 159, 160 and 16000 samples.
    np.testing.assert_array_equal(num_spectra(jnp.asarray([0, 1, 159, 160, 16000]), audio), [0, 1, 1, 2, 101])
    assert silence.shape[1] == 101


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "mel"}, "config.audio.kind is 'mel'; allowed: log_mel, mfcc"),
        ({"hop": 0}, "config.audio.hop is 0; allowed: above 0"),
        ({"fft_size": 128}, "config.audio.fft_size is 128; allowed: 400"),
        ({"num_mfcc": 65}, "config.audio.num_mfcc is 65; allowed: 1 to 64"),
        ({"max_hz": 9000.0}, "max_hz 9000; allowed: 0 <= min_hz < max_hz <= 8000"),
        ({"sample_rate": -1}, "config.audio.sample_rate is -1; allowed: 0"),
    ],
)
def test_a_bad_section_is_named(changes, message):
    audio = audio_config()
    audio.update(changes)
    with pytest.raises(ValueError, match=message):
        check_audio(audio)


def test_the_section_of_every_config_is_valid():
    check_audio(ml_collections.ConfigDict(base_config().audio))
