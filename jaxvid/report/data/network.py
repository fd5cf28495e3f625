"""The part of the page about data that shows what a network gets: frames, and sound."""

import html
from collections.abc import Sequence

import numpy as np

from jaxvid.data.mixing import mixes
from jaxvid.data.show.network import Hearing, NetworkClip, View
from jaxvid.data.spectrograms import mel_filters
from jaxvid.report.data.charts import places, spectrum, waveform
from jaxvid.report.html import bdi, counted, data_uri, paragraph
from jaxvid.report.strips import jpeg, side_by_side
from jaxvid.types import ConfigDict

_MAX_HEIGHT = 112
_NAMES = {"log_mel": "Log-mel spectrogram", "mfcc": "Mel-frequency cepstral coefficients"}
_NUM_FREQUENCIES = 5


def seen(clips: Sequence[NetworkClip], config: ConfigDict, class_names: Sequence[str]) -> str:
    """Makes the section on what the network sees."""
    clip = config.clip
    words = (
        f"The network takes {counted(clip.num_frames, 'frame')} of {clip.height}x{clip.width} of a clip "
        f"(clip.sampling {html.escape(repr(clip.sampling))}). The bar under the frames shows where in the clip they "
        f"are. Colors are as before the normalization, {html.escape(repr(clip.normalization))}. {_augmentation(config)}"
    )
    if (shown := len(clips[0].evaluation.images)) < clip.num_frames:
        words += f" {shown} of the {clip.num_frames} frames are shown, evenly spaced."
    if any(clip.num_frames < len(clip.evaluation.positions) for clip in clips):
        words += " A clip that is too short repeats its last frame."
    if config.get("model") and config.model.get("input", "frames") != "frames":
        words += " The first layer takes the differences of neighboring frames of these."
    return paragraph(words) + "\n" + "\n".join(_clip(clip, config, class_names) for clip in clips)


def _augmentation(config: ConfigDict) -> str:
    """What training changes, as the config's keys say it."""
    off = {"flip": False, "min_scale": 1.0, "rand_augment_magnitude": config.augment.rand_augment_magnitude}
    on = {key: value for key, value in config.augment.items() if value != off.get(key, 0)}
    if on.get("rand_augment_layers"):
        on["rand_augment_magnitude"] = config.augment.rand_augment_magnitude
    listed = ", ".join(f"{key} {value:g}" if value is not True else key for key, value in on.items())
    changes = f"Training changes frames: {html.escape(listed)}." if listed else "Training does not change the frames."
    return changes + " Each draw is one of those that training could make."


def _clip(clip: NetworkClip, config: ConfigDict, class_names: Sequence[str]) -> str:
    views = f"view 1 of {clip.num_views}" if clip.num_views > 1 else ""
    rows = [_view(clip, clip.evaluation, "Evaluation", views)]
    for number, view in enumerate(clip.training, 1):
        rows.append(_view(clip, view, f"Training {number}", _shares(view, config, class_names)))
    heading = f'<h3>{bdi(class_names[clip.label])} <span class="muted">{bdi(clip.name)}</span></h3>'
    return f'{heading}\n<div class="views">\n' + "\n".join(rows) + "\n</div>"


def _shares(view: View, config: ConfigDict, class_names: Sequence[str]) -> str:
    """The label of a mixed clip."""
    if not mixes(config.augment):
        return ""
    shares = [(share, name) for share, name in zip(view.shares.tolist(), class_names, strict=True) if share > 0.005]
    return "label " + " + ".join(f"{100 * share:.0f}&nbsp;% {bdi(name)}" for share, name in sorted(shares)[::-1])


def _view(clip: NetworkClip, view: View, name: str, note: str) -> str:
    height = min(view.images.shape[1], _MAX_HEIGHT)
    strip = side_by_side(view.images, height)
    note = f'<span class="muted">{note}</span>' if note else ""
    alt = f"{name}: {counted(len(view.images), 'frame')} of {html.escape(clip.name)}"
    # Small frames are enlarged, but not to blocks.
    width = min(2.0, _MAX_HEIGHT / height) * strip.shape[1]
    return (
        f'<div class="name">{name}{note}</div>\n<div class="scroll" role="region" aria-label="{alt}" tabindex="0">'
        f'<div style="width:{width:.0f}px;max-width:100%;min-width:{min(width, 560):.0f}px">'
        f'<img src="{data_uri("jpeg", jpeg(strip))}" width="100%" alt="{alt}">'
        f"{places(view.positions, clip.num_frames)}</div></div>"
    )


def heard(clips: Sequence[NetworkClip], config: ConfigDict, class_names: Sequence[str]) -> str:
    """Makes the section on what the network hears."""
    audio = config.audio
    words = (
        f"The network takes {audio.seconds:g} s of sound at {audio.sample_rate} Hz, from the beginning of a clip; "
        "shorter sound is filled up with silence, which is not drawn. Beside what it takes stand the waveform and the "
        "other kind of spectra. In a spectrogram the frequencies run from the bottom up, and brighter is louder."
    )
    items = [_heard_clip(clip, clip.hearing, config, class_names) for clip in clips if clip.hearing is not None]
    return paragraph(words) + "\n" + "\n".join(items)


def _heard_clip(clip: NetworkClip, hearing: Hearing, config: ConfigDict, class_names: Sequence[str]) -> str:
    audio = config.audio
    heading = f'<h3>{bdi(class_names[clip.label])} <span class="muted">{bdi(clip.name)}</span></h3>'
    if not len(hearing.samples):
        return heading + paragraph("It has no sound.")
    seconds = len(hearing.samples) / audio.sample_rate
    scales = {"log_mel": _frequencies(audio), "mfcc": ["1", str(audio.num_mfcc)]}
    blocks = []
    for kind, values in sorted(hearing.spectra.items(), key=lambda item: item[0] != audio.kind):
        taken = ' <span class="taken">the network takes this</span>' if kind == audio.kind else ""
        drawing = spectrum(
            _drawable(values, kind), f"{_NAMES[kind]} of {html.escape(clip.name)}", seconds, scales[kind]
        )
        sound = f"<h4>Waveform</h4>{waveform(hearing.samples, seconds)}" if kind == audio.kind else ""
        blocks.append(f"<div><h4>{_NAMES[kind]}{taken}</h4>{drawing}{sound}</div>")
    return f'{heading}\n<div class="sounds">\n' + "\n".join(blocks) + "\n</div>"


def _drawable(values: np.ndarray, kind: str) -> np.ndarray:
    """Returns spectra whose values differ little enough to be told apart in one picture."""
    if kind != "mfcc":
        return values
    # The first coefficient is the loudness, and many times the others.
    return (values - values.mean(axis=0)) / np.maximum(values.std(axis=0), 1e-6)


def _frequencies(audio: ConfigDict) -> list[str]:
    """Returns the frequencies in the middle of evenly spaced bands, from the lowest on."""
    filters = mel_filters(audio.sample_rate, audio.fft_size, audio.num_mels, audio.min_hz, audio.max_hz)
    bands = np.linspace(0, audio.num_mels - 1, _NUM_FREQUENCIES).round().astype(int)
    hertz = filters[bands].argmax(axis=1) * audio.sample_rate / audio.fft_size
    return [f"{value:.0f} Hz" for value in hertz.tolist()]
