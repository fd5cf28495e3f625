"""The synthetic videos: frames show the motion of the class alone, sound the sound of the class alone."""

import librosa
import numpy as np
import pytest

from tfds_builders.synthetic_genre.drawing import draw_motion, play_sound
from tfds_builders.synthetic_genre.synthetic_genre import SyntheticGenre


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    """Twelve videos, three of each class, with the frames and sound decoded from their files."""
    from jaxvid.video.sequences import SequenceForm, read_sequences

    builder = SyntheticGenre(data_dir=tmp_path_factory.mktemp("data"))
    builder._drawn = tmp_path_factory.mktemp("drawn")
    clips = [
        builder._write_film(number, "train", label, builder.builder_config)
        for number, label in enumerate(3 * builder.CLASSES)
    ]
    return [(clip, next(read_sequences(clip.path, SequenceForm((48, 64), sample_rate=8000)))) for clip in clips]


def test_sound_is_as_long_as_the_frames_in_three_containers(films):
    assert {clip.path.suffix for clip, _ in films} == {".avi", ".mkv", ".mp4"}
    for clip, film in films:
        assert clip.label == clip.filename.split("/")[1]
        assert 3 <= len(film.frames) / film.fps <= 6
        assert len(film.audio) == pytest.approx(8000 * len(film.frames) / film.fps, abs=300)


def test_pitch_rises_or_falls_as_the_class_says(films):
    for clip, film in films:
        sound = film.audio / np.float32(32768)
        loud = librosa.feature.rms(y=sound, frame_length=512, hop_length=128)[0]
        pitch = librosa.feature.spectral_rolloff(y=sound, sr=8000, n_fft=512, hop_length=128, roll_percent=0.5)[0]
        steps = np.diff(np.log(pitch))[loud[1:] > np.median(loud)]
        # Most steps of the loud part of a chirp have one direction.
        assert (np.median(steps) > 0) == clip.label.endswith("rising"), clip.filename


@pytest.mark.parametrize("motion", ["sideways", "upright"])
def test_the_ball_moves_along_one_side(motion):
    frames = draw_motion(np.random.default_rng(5), motion, 24, 12.0).astype(float)
    changes = np.abs(frames - frames.mean(axis=0)).mean(axis=(0, 3))
    spread = []
    for across, size in ((1, 72), (0, 96)):
        weights = changes.sum(axis=across)
        spread.append(np.sqrt(np.average((np.arange(size) - size / 2) ** 2, weights=weights)))
    assert (spread[1] > spread[0]) == (motion == "sideways")


def test_drawing_depends_on_the_generator_alone():
    first, again, other = (draw_motion(np.random.default_rng(seed), "upright", 3, 12.0) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    sounds = [play_sound(np.random.default_rng(seed), "rising", 1.0, 8000) for seed in (1, 1, 2)]
    np.testing.assert_array_equal(sounds[0], sounds[1])
    assert len(sounds[0]) == 8000
    assert (sounds[0] != sounds[2]).any()
