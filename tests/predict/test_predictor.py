import dataclasses
import os
import subprocess
import sys
from fractions import Fraction

import av
import jax.numpy as jnp
import numpy as np
import pytest

import jaxvid
from jaxvid.models.create import module_from_config
from jaxvid.predict.predictor import Predictor
from jaxvid.video.damage import Damage
from jaxvid.video.files import write_video
from jaxvid.video.workers import InvalidVideoError
from tests.predict.made_videos import (
    FIGHT,
    FPS,
    cut,
    red_predictor,
    redness,
    turn,
    write_greys,
    write_recording,
    write_red,
)


def test_a_file_and_its_frames_in_memory_have_the_same_timeline(tmp_path):
    video = write_red(tmp_path / "a.avi", [0.1] * 8 + [0.9] * 4 + [0.1] * 4)
    predictor = red_predictor()
    timeline = predictor.predict_video(video)
    # Windows of a second, a quarter of one apart, and one that ends with the video.
    np.testing.assert_allclose(timeline.starts, np.arange(29) / 4, atol=1e-3)
    assert timeline.ends[-1] == pytest.approx(8.0, abs=1e-3)
    assert timeline.probabilities[[0, 18, 28], 1] == pytest.approx([0.1, 0.9, 0.1], abs=0.02)
    frames = np.zeros((80, 40, 40, 3), np.uint8)
    frames[..., 0] = np.repeat([25, 230, 25], [40, 20, 20])[:, None, None]
    in_memory = predictor.predict_frames(frames, FPS)
    np.testing.assert_allclose(in_memory.probabilities, timeline.probabilities, atol=0.02)
    np.testing.assert_allclose(in_memory.starts, timeline.starts, atol=1e-3)


def test_a_checkpoint_gives_a_timeline_of_frames_and_of_files_alike(workdir, tmp_path):
    predictor = jaxvid.load(workdir)
    assert (predictor.class_names, predictor.frame_size) == (["no_fight", "fight"], (32, 32))
    write_greys(tmp_path / "a.mkv", FIGHT[:40], size=(32, 32))
    frames = np.stack([np.full((32, 32, 3), gray, np.uint8) for gray in FIGHT[:40]])
    of_file = predictor.predict_video(tmp_path / "a.mkv")
    of_frames = predictor.predict_frames(frames, 10.0)
    assert len(of_file.starts) == 13
    np.testing.assert_allclose(of_file.ends, 1 + np.arange(13) / 4, atol=1e-3)
    np.testing.assert_allclose(of_file.starts, of_frames.starts, atol=1e-3)
    np.testing.assert_allclose(of_file.probabilities, of_frames.probabilities, atol=0.01)
    np.testing.assert_allclose(of_frames.probabilities.sum(axis=1), 1, rtol=1e-5)
    # The model itself, on the four frames in the middles of the quarters of the last second.
    model, config = module_from_config(predictor.config.model), predictor.config
    assert config.clip.normalization == "unit"
    logits = model.apply(
        predictor.variables, jnp.asarray(frames[None, [31, 33, 36, 38]] / np.float32(255)), train=False
    )
    expected = np.exp(logits) / np.exp(logits).sum()
    np.testing.assert_allclose(of_frames.probabilities[-1], expected[0], rtol=1e-4)


@pytest.mark.parametrize("extension", ["mp4", "avi"])
def test_a_file_that_is_cut_short_is_an_error_unless_its_damage_is_asked_for(tmp_path, extension):
    path = cut(write_recording(tmp_path / f"cut.{extension}", [0.1] * 4 + [0.9] * 8))
    with pytest.raises(InvalidVideoError, match="it is cut short"):
        red_predictor().predict_video(path)
    damage = Damage()
    timeline = red_predictor().predict_video(path, damage=damage)
    assert 2.2 < timeline.ends[-1] < 3.8
    assert "it is cut short" in str(damage)


@pytest.mark.parametrize("degrees", [90, 270])
def test_a_recording_that_states_a_rotation_is_predicted_upright(tmp_path, degrees):
    # Stored with red in the left half; turned clockwise by 90 degrees, it is the upper half, by 270 the lower one.
    seen = []

    def note(_, inputs):
        seen.append(inputs["frames"][0, 0, ..., 0] > 128)
        return redness(_, inputs)

    predictor = dataclasses.replace(red_predictor(), probabilities=note)
    frames = np.zeros((10, 64, 96, 3), np.uint8)
    frames[:, :, :48, 0] = 255
    write_video(tmp_path / "phone.mp4", frames, FPS)
    predictor.predict_video(turn(tmp_path / "phone.mp4", degrees))
    upper, lower = seen[0][:7].mean(), seen[0][9:].mean()
    assert (upper, lower) == ((1, 0) if degrees == 90 else (0, 1))


def test_variable_frame_rates_keep_their_times_in_the_timeline(tmp_path):
    path = tmp_path / "uneven.mkv"
    # Dark at 25 frames a second for 2 s, light at 5 a second for 4 s: the light begins at 2 s, not at the 50th of 70.
    times = [*range(0, 2000, 40), *range(2000, 6000, 200)]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.height, stream.width, stream.pix_fmt = 32, 32, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for milliseconds in times:
            level = 25 if milliseconds < 2000 else 230
            frame = av.VideoFrame.from_ndarray(np.full((32, 32, 3), level, np.uint8), "rgb24")
            frame.pts, frame.time_base = milliseconds, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    damage = Damage()
    timeline = red_predictor().predict_video(path, damage=damage)
    assert timeline.ends[-1] == pytest.approx(6.0, abs=0.01)
    # Windows of 1 s that begin at 0, 0.25, ...: those that end by 2 s are dark, those that begin at 2 s or later light.
    fight = timeline.of_class("fight")
    assert fight[timeline.ends <= 2.0] == pytest.approx(0.1, abs=0.02)
    assert fight[timeline.starts >= 2.0] == pytest.approx(0.9, abs=0.02)
    assert not damage


def test_clips_are_classified_alone_as_among_others(workdir):
    predictor = jaxvid.load(workdir)
    clips = np.random.default_rng(0).integers(0, 256, (5, 4, 32, 32, 3), np.uint8)
    outputs = predictor.classify(clips)
    np.testing.assert_allclose(outputs.sum(axis=1), 1, rtol=1e-5)
    # Batches are padded: a clip alone and among others gets the same answer.
    np.testing.assert_allclose(predictor.classify(clips[2:3]), outputs[2:3], rtol=1e-5)
    with pytest.raises(ValueError, match=r"clips have shape \(5, 3, 32, 32, 3\); expected \(batch, 4, 32, 32, 3\)"):
        predictor.classify(clips[:, :3])
    with pytest.raises(ValueError, match="0 frames at 25 a second"):
        predictor.predict_frames(clips[0, :0], 25.0)


def test_frames_that_are_no_pictures_of_bytes_are_refused():
    """As floats from 0 to 1 they would be predicted as if all were black."""
    predictor = red_predictor()
    # As without the checks of jaxtyping, which are for tests.
    classify, predict_frames = Predictor.classify.__wrapped__, Predictor.predict_frames.__wrapped__
    with pytest.raises(ValueError, match="clips are of float32; expected uint8, from 0 to 255"):
        classify(predictor, np.ones((1, predictor.config.clip.num_frames, *predictor.frame_size, 3), np.float32))
    with pytest.raises(ValueError, match=r"frames are of float32 \(8, 8, 3\); expected uint8 \(height, width, 3\)"):
        predict_frames(predictor, np.ones((2, 8, 8, 3), np.float32), 25.0)
    with pytest.raises(ValueError, match=r"frames are of uint8 \(8, 8\); expected uint8 \(height, width, 3\)"):
        predict_frames(predictor, np.ones((2, 8, 8), np.uint8), 25.0)


def test_a_positive_class_given_wins_over_the_config_and_the_names(workdir):
    assert jaxvid.load(workdir).positive_class == "fight"
    assert jaxvid.load(workdir, positive_class="No Fight").positive_class == "no_fight"
    assert red_predictor(positive_class="calm").positive_class == "calm"
    assert red_predictor(class_names=("cats", "dogs")).positive_class is None
    with pytest.raises(ValueError, match="the positive class is 'brawl'; allowed: no_fight, fight"):
        jaxvid.load(workdir, positive_class="brawl")


def test_a_file_that_does_not_exist_is_no_video(tmp_path):
    with pytest.raises(InvalidVideoError, match="cannot be opened"):
        red_predictor().predict_video(tmp_path / "none.mp4")


def test_a_workdir_without_a_checkpoint_is_named(workdir, tmp_path):
    with pytest.raises(ValueError, match="is no workdir of a training run"):
        jaxvid.load(tmp_path)
    (tmp_path / "config.json").write_text((workdir / "config.json").read_text())
    with pytest.raises(ValueError, match="holds no checkpoint yet; train first"):
        jaxvid.load(tmp_path)


def test_importing_jaxvid_imports_neither_jax_nor_tensorflow():
    program = "import sys, jaxvid; print([name for name in ('jax', 'tensorflow', 'av') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_predicting_needs_no_tensorflow_no_datasets_and_no_input_pipeline():
    program = """
import sys, jaxvid.predict.files
print([name for name in ("grain", "tensorflow", "tensorflow_datasets") if name in sys.modules])
"""
    environment = {**os.environ, "JAX_PLATFORMS": "cpu"}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.strip() == "[]"
