"""On the device: waveforms to log-mel spectrograms and mel-frequency cepstral coefficients, equal to librosa's."""

import jax.numpy as jnp
import numpy as np
import scipy.fft
from jaxtyping import Array, Float, Int, Shaped

from jaxvid.types import ConfigDict

KINDS = ("log_mel", "mfcc")
_LEAST_POWER = 1e-10
_FULL_SCALE = 32768.0


def check_audio(audio: ConfigDict) -> None:
    """Checks the section `audio` of a config before anything is read.

    Raises:
      ValueError: naming the key, its value and what is allowed.
    """
    if audio.kind not in KINDS:
        raise ValueError(f"config.audio.kind is {audio.kind!r}; allowed: {', '.join(KINDS)}")
    if audio.sample_rate < 0:
        raise ValueError(f"config.audio.sample_rate is {audio.sample_rate}; allowed: 0 (no sound) or hertz")
    for key in ("seconds", "hop", "window", "num_mels", "top_db"):
        if audio[key] <= 0:
            raise ValueError(f"config.audio.{key} is {audio[key]}; allowed: above 0")
    if audio.fft_size < audio.window:
        raise ValueError(f"config.audio.fft_size is {audio.fft_size}; allowed: {audio.window} (audio.window) or more")
    if not 1 <= audio.num_mfcc <= audio.num_mels:
        raise ValueError(f"config.audio.num_mfcc is {audio.num_mfcc}; allowed: 1 to {audio.num_mels} (audio.num_mels)")
    highest = audio.sample_rate / 2
    if audio.sample_rate and not 0 <= audio.min_hz < (audio.max_hz or highest) <= highest:
        raise ValueError(
            f"config.audio has min_hz {audio.min_hz:g} and max_hz {audio.max_hz:g}; allowed: 0 <= min_hz < max_hz <= "
            f"{highest:g}, and 0 as max_hz for that"
        )


def num_bands(audio: ConfigDict) -> int:
    """Returns the number of values of a spectrum: mel bands or coefficients."""
    return audio.num_mels if audio.kind == "log_mel" else audio.num_mfcc


def num_spectra(num_samples: Shaped[Array, "batch"], audio: ConfigDict) -> Int[Array, "batch"]:
    """Returns the number of spectra of sounds with so many samples; 0 for 0."""
    return jnp.where(num_samples > 0, 1 + num_samples // audio.hop, 0)


def spectrograms(waveforms: Shaped[Array, "batch sample"], audio: ConfigDict) -> Float[Array, "batch time band"]:
    """Returns what `audio.kind` names, of sound as 16-bit integers or as floats in -1..1."""
    scale = _FULL_SCALE if jnp.issubdtype(waveforms.dtype, jnp.integer) else 1.0
    decibels = log_mel(waveforms.astype(jnp.float32) / scale, audio)
    return decibels if audio.kind == "log_mel" else mfcc(decibels, audio.num_mfcc)


def log_mel(waveforms: Float[Array, "batch sample"], audio: ConfigDict) -> Float[Array, "batch time mel"]:
    """Returns log-mel spectrograms in decibels, of 1 + samples // hop spectra, centered on every hop-th sample.

    Equal to `librosa.power_to_db(librosa.feature.melspectrogram(...), top_db=...)`: Hann windows, zeros beyond the
    ends, Slaney's mel scale and normalization; nothing is lower than `top_db` below the loudest of a sound.
    """
    padding = audio.fft_size // 2
    padded = jnp.pad(waveforms, ((0, 0), (padding, padding)))
    starts = np.arange(1 + waveforms.shape[1] // audio.hop) * audio.hop
    frames = padded[:, starts[:, None] + np.arange(audio.fft_size)] * _window(audio.window, audio.fft_size)
    power = jnp.square(jnp.abs(jnp.fft.rfft(frames)))
    filters = mel_filters(audio.sample_rate, audio.fft_size, audio.num_mels, audio.min_hz, audio.max_hz)
    # TPUs and GPUs multiply in lower precision by default; the logarithm turns that into errors of whole decibels.
    mels = jnp.einsum("btf,mf->btm", power, filters, precision="highest")
    decibels = 10 * jnp.log10(jnp.maximum(mels, _LEAST_POWER))
    return jnp.maximum(decibels, decibels.max(axis=(1, 2), keepdims=True) - audio.top_db)


def mfcc(decibels: Float[Array, "batch time mel"], num_mfcc: int) -> Float[Array, "batch time coefficient"]:
    """Returns mel-frequency cepstral coefficients: the first of each spectrum's orthonormal DCT-II."""
    basis = np.asarray(scipy.fft.dct(np.eye(decibels.shape[-1]), axis=0, norm="ortho"), np.float32)[:num_mfcc]
    return jnp.einsum("btm,cm->btc", decibels, basis, precision="highest")


def mel_filters(
    sample_rate: int, fft_size: int, num_mels: int, min_hz: float, max_hz: float
) -> Float[np.ndarray, "mel frequency"]:
    """Returns triangular filters of equal area, evenly spaced on Slaney's mel scale (Auditory Toolbox, 1998).

    Args:
      sample_rate: in hertz.
      fft_size: of the spectra, which have fft_size // 2 + 1 frequencies.
      num_mels: filters.
      min_hz: where the first filter begins.
      max_hz: where the last one ends; 0 for half the sample rate.
    """
    frequencies = np.linspace(0, sample_rate / 2, fft_size // 2 + 1)
    lowest, highest = _hz_to_mel(np.asarray([min_hz, max_hz or sample_rate / 2]))
    corners = _mel_to_hz(np.linspace(lowest, highest, num_mels + 2))
    widths = np.diff(corners)
    rising = (frequencies - corners[:-2, None]) / widths[:-1, None]
    falling = (corners[2:, None] - frequencies) / widths[1:, None]
    areas = 2 / (corners[2:] - corners[:-2])
    return (np.maximum(0, np.minimum(rising, falling)) * areas[:, None]).astype(np.float32)


# Slaney's scale is linear up to 1000 Hz, 15 mels of 200/3 Hz each, and logarithmic above, 27 mels to a factor of 6.4.
_HZ_PER_MEL = 200 / 3
_CORNER_HZ = 1000.0
_LOG_STEP = np.log(6.4) / 27


def _hz_to_mel(hz: Float[np.ndarray, "n"]) -> Float[np.ndarray, "n"]:
    above = _CORNER_HZ / _HZ_PER_MEL + np.log(np.maximum(hz, _CORNER_HZ) / _CORNER_HZ) / _LOG_STEP
    return np.where(hz < _CORNER_HZ, hz / _HZ_PER_MEL, above)


def _mel_to_hz(mels: Float[np.ndarray, "n"]) -> Float[np.ndarray, "n"]:
    corner = _CORNER_HZ / _HZ_PER_MEL
    return np.where(
        mels < corner, mels * _HZ_PER_MEL, _CORNER_HZ * np.exp(_LOG_STEP * (np.maximum(mels, corner) - corner))
    )


def _window(length: int, fft_size: int) -> Float[np.ndarray, "sample"]:
    """Returns a periodic Hann window, centered in zeros."""
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)
    before = (fft_size - length) // 2
    return np.pad(hann, (before, fft_size - length - before)).astype(np.float32)
