"""Prediction on real files, with a network whose answer can be calculated: the mean red of what it sees."""

import dataclasses
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from absl import flags
from absl.testing import flagsaver

import jaxvid
from jaxvid.config import base_config
from jaxvid.predict import __main__, camera
from jaxvid.predict.camera import DropOldest, follow_camera, read_camera
from jaxvid.predict.events import Thresholds
from jaxvid.predict.files import Options, named_videos, predict_videos, summary
from jaxvid.predict.predictor import Predictor, load
from jaxvid.train.loop import train
from jaxvid.video.files import write_video
from jaxvid.video.workers import InvalidVideoError
from tests.tiny import tiny_config

FPS = 10.0


def redness(_, inputs):
    """Of every window, 1 - red and red."""
    red = inputs["frames"][..., 0].astype(np.float32).mean(axis=(1, 2, 3)) / 255
    return np.stack([1 - red, red], axis=-1)


@pytest.fixture
def predictor():
    config = base_config()
    config.dataset.update(class_names=("calm", "fight"), frame_size=(16, 16), clip_seconds=1.0, fps=FPS)
    config.clip.update(num_frames=5)
    return Predictor(config, {}, 2, redness)


def write_red(path, levels, *, side=64, sound=False):
    """A file that shows each level of red for half a second, at ten frames a second."""
    pictures = np.zeros((5 * len(levels), side, side, 3), np.uint8)
    pictures[..., 0] = np.repeat(np.asarray(levels), 5)[:, None, None] * 255
    if not sound:
        write_video(path, pictures, FPS)
        return path
    with av.open(str(path), "w") as container:
        video, audio = container.add_stream("libx264", rate=10), container.add_stream("aac", rate=16000)
        video.width = video.height = side
        video.pix_fmt = "yuv420p"
        for picture in pictures:
            container.mux(video.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        for start in range(0, 1600 * len(pictures), 1024):
            tone = np.sin(np.arange(start, start + 1024) / 20).astype(np.float32)[None]
            frame = av.AudioFrame.from_ndarray(tone, "fltp", "mono")
            frame.sample_rate, frame.pts = 16000, start
            container.mux(audio.encode(frame))
        container.mux(video.encode(None))
        container.mux(audio.encode(None))
    return path


@pytest.fixture
def video(tmp_path):
    """Four seconds calm, two of a fight, two calm."""
    return write_red(tmp_path / "videos" / "a.avi", [0.1] * 8 + [0.9] * 4 + [0.1] * 4)


@pytest.fixture(autouse=True)
def folder(tmp_path):
    (tmp_path / "videos" / "deeper").mkdir(parents=True)
    return tmp_path / "videos"


def test_a_file_and_its_frames_in_memory_say_the_same(predictor, video):
    timeline = predictor.predict_video(video)
    # Windows of a second, a quarter of one apart, and one that ends with the video.
    np.testing.assert_allclose(timeline.starts, np.arange(29) / 4, atol=1e-3)
    assert timeline.ends[-1] == pytest.approx(8.0, abs=1e-3)
    assert timeline.probabilities[[0, 18, 28], 1] == pytest.approx([0.1, 0.9, 0.1], abs=0.02)
    pictures = np.zeros((80, 40, 40, 3), np.uint8)
    pictures[..., 0] = np.repeat([25, 230, 25], [40, 20, 20])[:, None, None]
    in_memory = predictor.predict_frames(pictures, FPS)
    np.testing.assert_allclose(in_memory.probabilities, timeline.probabilities, atol=0.02)
    np.testing.assert_allclose(in_memory.starts, timeline.starts, atol=1e-3)


def test_folders_are_searched_and_a_broken_file_does_not_stop_the_others(predictor, video, folder, tmp_path):
    write_red(folder / "deeper" / "a.avi", [0.2] * 3)
    (folder / "broken.mp4").write_bytes(b"no video")
    videos = named_videos([folder, video])
    outcomes = predict_videos(predictor, videos, tmp_path / "out", Options())
    assert [outcome.path.relative_to(folder) for outcome in outcomes] == [
        Path("a.avi"),
        Path("broken.mp4"),
        Path("deeper/a.avi"),
    ]
    assert [outcome.timeline is None for outcome in outcomes] == [False, True, False]
    (event,) = json.loads((tmp_path / "out" / "videos" / "a.avi" / "events.json").read_text())
    # Windows that see more than about half a second of the fight are above the threshold.
    assert (event["onset"], event["offset"]) == (pytest.approx(4, abs=0.4), pytest.approx(6, abs=0.4))
    assert 4 < event["peak"] < 6
    for written in ("timeline.csv", "events.json", "timeline.png"):
        assert (tmp_path / "out" / "videos" / "deeper" / "a.avi" / written).stat().st_size
    assert not (tmp_path / "out" / "videos" / "broken.mp4").exists()
    assert cv2.imread(str(tmp_path / "out" / "videos" / "a.avi" / "timeline.png")) is not None
    text = summary(outcomes)
    assert "NOT READ: it cannot be opened" in text
    assert re.search(r"a\.avi +8\.0 +calm (69|70|71) % +1 +(89|90|91) % at [45]\.\d s", text)


def test_names_that_collide_and_names_that_are_not_there(folder, tmp_path):
    first, second = write_red(folder / "a.avi", [0.1]), write_red(folder / "deeper" / "a.avi", [0.1])
    assert [str(path) for path in named_videos([first, second]).values()] == ["a.avi", "a.avi-2"]
    with pytest.raises(ValueError, match="nowhere.mp4 does not exist"):
        named_videos([folder / "nowhere.mp4"])
    with pytest.raises(ValueError, match="name the videos, or folders of them"):
        named_videos([])
    (tmp_path / "none").mkdir()
    with pytest.raises(ValueError, match="none holds no video"):
        named_videos([tmp_path / "none"])


def test_an_annotated_video_keeps_size_times_and_sound(predictor, folder, tmp_path):
    path = write_red(folder / "b.mp4", [0.1] * 2 + [0.9] * 2, side=96, sound=True)
    (outcome,) = predict_videos(predictor, named_videos([path]), tmp_path, Options(annotate=True))
    with av.open(str(outcome.output / "annotated.mp4")) as container:
        assert container.streams.audio[0].codec_context.name == "aac"
        frames = list(container.decode(video=0))
    assert [(frame.width, frame.height) for frame in frames] == [(96, 96)] * 20
    assert [frame.time for frame in frames] == pytest.approx([i / 10 for i in range(20)], abs=1e-3)
    # The bar, dark where it is empty, grows over the picture's upper third.
    first, last = (frames[i].to_ndarray(format="rgb24")[8:13, 30:36] for i in (0, 19))
    assert np.abs(first.astype(int).mean(axis=(0, 1)) - last.mean(axis=(0, 1))).max() > 50
    with av.open(str(outcome.output / "annotated.mp4")) as container:
        kept = sum(frame.samples for frame in container.decode(audio=0))
    assert kept == pytest.approx(32000, rel=0.1)
    assert {item.name for item in outcome.output.iterdir()} == {
        "timeline.csv",
        "events.json",
        "timeline.png",
        "annotated.mp4",
    }


def test_the_command_says_by_its_exit_status_that_a_file_was_not_read(predictor, video, folder, tmp_path, monkeypatch):
    monkeypatch.setattr("jaxvid.predict.predictor.load", lambda workdir, which: predictor)
    monkeypatch.setattr("jaxvid.commands.keep_compiled_programs", lambda: None)
    flags.FLAGS.mark_as_parsed()
    with flagsaver.flagsaver(workdir=str(tmp_path), output=str(tmp_path / "out")):
        assert __main__.main(["predict", str(video)]) == 0
        (folder / "broken.mp4").touch()
        assert __main__.main(["predict", str(folder)]) == 1


def test_a_workdir_is_loaded_and_asked(data_dir, tmp_path, capfd):
    config = tiny_config(data_dir)
    config.train.num_epochs = 1
    train(config, tmp_path / "run")
    predictor = jaxvid.load(tmp_path / "run")
    assert predictor.class_names == ["no_fight", "fight"]
    clips = np.random.default_rng(0).integers(0, 256, (5, 4, 64, 64, 3), np.uint8)
    outputs = predictor.classify(clips)
    np.testing.assert_allclose(outputs.sum(axis=1), 1, rtol=1e-5)
    # Batches are padded: a clip alone and among others gets the same answer.
    np.testing.assert_allclose(predictor.classify(clips[2:3]), outputs[2:3], rtol=1e-5)
    with pytest.raises(
        ValueError, match=r"clips have the shape \(5, 3, 64, 64, 3\); expected is \(batch, 4, 64, 64, 3\)"
    ):
        predictor.classify(clips[:, :3])
    with pytest.raises(ValueError, match="0 frames at 25 a second"):
        predictor.predict_frames(clips[0, :0], 25.0)
    with pytest.raises(ValueError, match="no workdir of a training run"):
        load(tmp_path)
    with pytest.raises(InvalidVideoError, match="cannot be opened"):
        predictor.predict_video(tmp_path / "none.mp4")


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


def test_a_file_played_at_its_own_pace_stands_in_for_a_camera(predictor, folder, capsys):
    path = write_red(folder / "live.avi", [0.1, 0.9, 0.9, 0.1])
    options = dataclasses.replace(Options(), window_seconds=0.5, stride_seconds=0.1, thresholds=Thresholds(0.6, 0.4))
    follow_camera(predictor, str(path), options)
    onset, offset = map(json.loads, capsys.readouterr().out.splitlines())
    assert (onset["event"], onset["class_name"], onset["offset"]) == ("onset", "fight", None)
    assert onset["onset"] == pytest.approx(0.5, abs=0.4)
    assert offset["event"] == "offset"
    assert offset["offset"] == pytest.approx(1.5, abs=0.4)
    assert offset["latency_seconds"] >= 0


def test_a_camera_that_is_not_there_is_named(predictor):
    with pytest.raises(ValueError, match="camera '77' cannot be opened; give the number of a camera that is there"):
        follow_camera(predictor, "77", Options())


class Dropping:
    """A camera that gives three frames, drops, cannot be opened for a while, and gives three more."""

    opened = 0

    def __init__(self, *_):
        Dropping.opened += 1
        self._left = {1: 3, 4: 3}.get(Dropping.opened, 0)

    def isOpened(self):  # noqa: N802
        return True

    def read(self):
        self._left -= 1
        return self._left >= 0, np.zeros((8, 8, 3), np.uint8)

    def release(self):
        pass


def test_a_source_that_drops_is_opened_again_after_growing_pauses(monkeypatch):
    pauses = []
    monkeypatch.setattr(camera.cv2, "VideoCapture", Dropping)
    monkeypatch.setattr(camera.time, "sleep", pauses.append)
    frames = read_camera("rtsp://somewhere", (4, 6), 0.0)
    shapes = [next(frames).image.shape for _ in range(6)]
    assert shapes == [(4, 6, 3)] * 6
    assert pauses == [1.0, 2.0, 4.0]


def test_frames_are_dropped_rather_than_kept_waiting():
    frames = DropOldest(range(10), 4)
    while frames.num_read < 10:
        pass
    assert list(frames) == [6, 7, 8, 9]
    assert (frames.num_read, frames.num_dropped) == (10, 6)


def test_an_error_of_the_source_comes_out():
    def broken():
        yield from ()
        raise ValueError("no such camera")

    with pytest.raises(ValueError, match="no such camera"):
        next(DropOldest(broken()))
