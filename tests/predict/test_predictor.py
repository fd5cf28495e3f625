"""Prediction from a checkpoint that was saved, not trained; and of files with any sound."""

import json
from fractions import Fraction

import av
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxvid
from jaxvid import checkpoint
from jaxvid.config import save_config
from jaxvid.models.create import module_from_config
from jaxvid.predict import camera
from jaxvid.predict.camera import follow_camera, read_camera
from jaxvid.predict.events import Thresholds
from jaxvid.predict.files import Options, named_videos, predict_videos
from jaxvid.predict.predictor import Predictor
from jaxvid.steps import create_state, initial_variables
from tests.tiny import tiny_config


def prediction_config():
    config = tiny_config("")
    config.model.num_classes = 2
    config.dataset.update(class_names=("no_fight", "fight"), frame_size=(32, 32), clip_seconds=1.0, fps=10.0)
    return config


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    """A run that has saved the checkpoint it began with."""
    config, directory = prediction_config(), tmp_path_factory.mktemp("run")
    save_config(config, directory)
    state = create_state(initial_variables(module_from_config(config.model), config.clip, 0), optax.sgd(0.1))
    checkpoints = checkpoint.open_checkpoints(directory, config.eval.monitor)
    checkpoint.save(checkpoints, state, loop={}, metrics={config.eval.monitor: 1.0})
    checkpoints.close()
    return directory


@pytest.fixture
def brightness():
    """A network that takes brightness for the probability of a fight."""

    def probabilities(variables, inputs):
        fight = inputs["frames"].astype(np.float32).mean(axis=(1, 2, 3, 4)) / 255
        return np.stack([1 - fight, fight], axis=-1)

    return Predictor(prediction_config(), {}, 4, probabilities)


def write_greys(path, greys, fps=10, size=(36, 48), sound=None):
    """A video of frames of one gray each, as H.264, with `sound` of that codec and length."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps, options={"crf": "10"})
        stream.height, stream.width, stream.pix_fmt = *size, "yuv420p"
        audio = container.add_stream(sound, rate=16000, layout="mono") if sound else None
        for gray in greys:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.full((*size, 3), gray, np.uint8), "rgb24")))
        container.mux(stream.encode(None))
        if audio is not None:
            samples = np.zeros((1, 16000 * len(greys) // fps), np.int16)
            frame = av.AudioFrame.from_ndarray(samples, "s16", "mono")
            frame.rate, frame.pts, frame.time_base = 16000, 0, Fraction(1, 16000)
            container.mux(audio.encode(frame))
            container.mux(audio.encode(None))


# 2 s of dark, 2 s of light, 2 s of dark.
FIGHT = [30] * 20 + [220] * 20 + [30] * 20


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
    # The network itself, on the four frames in the middles of the quarters of the last second.
    model, config = module_from_config(predictor.config.model), predictor.config
    assert config.clip.normalization == "unit"
    logits = model.apply(
        predictor.variables, jnp.asarray(frames[None, [31, 33, 36, 38]] / np.float32(255)), train=False
    )
    expected = np.exp(logits) / np.exp(logits).sum()
    np.testing.assert_allclose(of_frames.probabilities[-1], expected[0], rtol=1e-4)


def test_sound_that_mp4_does_not_hold_becomes_aac(brightness, tmp_path):
    for codec in ("aac", "pcm_s16le"):
        path = tmp_path / f"{codec}.mkv"
        write_greys(path, FIGHT, size=(96, 160), sound=codec)
        [outcome] = predict_videos(
            brightness, {path: path.relative_to(tmp_path)}, tmp_path / "out", Options(annotate=True)
        )
        with av.open(str(outcome.output / "annotated.mp4")) as container:
            [picture, sound] = container.streams
            assert (picture.codec_context.height, picture.codec_context.width) == (96, 160)
            assert sound.codec_context.name == "aac"
            assert float(sound.duration * sound.time_base) == pytest.approx(6, abs=0.2)
            frames = list(container.decode(picture))
        assert [frame.time for frame in frames] == pytest.approx([i / 10 for i in range(60)], abs=2e-3)
        # The right edge shows the video, the bar at the top left is drawn over it.
        pictures = [frame.to_ndarray(format="rgb24").astype(int) for frame in (frames[5], frames[30])]
        assert [picture[:, -2:].mean() for picture in pictures] == pytest.approx([30, 220], abs=6)
        assert np.abs(pictures[1][5:15, 5:20] - 220).mean() > 40


def test_a_workdir_without_a_checkpoint_is_named(workdir, tmp_path):
    with pytest.raises(ValueError, match="is no workdir of a training run"):
        jaxvid.load(tmp_path)
    (tmp_path / "config.json").write_text((workdir / "config.json").read_text())
    with pytest.raises(ValueError, match="holds no checkpoint yet; train first"):
        jaxvid.load(tmp_path)


def test_a_file_named_twice_is_predicted_once(tmp_path):
    (tmp_path / "v.mp4").touch()
    for arguments in ([tmp_path, tmp_path / "v.mp4"], [tmp_path / "v.mp4", tmp_path]):
        assert list(named_videos(arguments)) == [tmp_path / "v.mp4"]


def test_frames_of_a_camera_are_rgb_as_in_training(monkeypatch):
    class Capture:
        def isOpened(self):  # noqa: N802 (OpenCV's name)
            return True

        def read(self):
            return True, np.full((6, 8, 3), (0, 0, 255), np.uint8)

    monkeypatch.setattr(camera, "_open", lambda address: Capture())
    assert next(read_camera("rtsp://somewhere", (4, 4), 0.0)).image[0, 0].tolist() == [255, 0, 0]


def test_an_event_that_goes_on_when_the_source_ends_lasts_to_its_end(brightness, tmp_path, capsys):
    write_greys(tmp_path / "fight.mkv", [30] * 5 + [220] * 15)
    follow_camera(brightness, str(tmp_path / "fight.mkv"), Options(Thresholds(0.5, 0.4)))
    _, offset = map(json.loads, capsys.readouterr().out.splitlines())
    # The middle of the last window is half a second before.
    assert offset["offset"] > 1.8
