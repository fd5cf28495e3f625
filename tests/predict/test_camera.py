import contextlib
import json
import threading
import time

import numpy as np
import pytest

from jaxvid.predict import camera
from jaxvid.predict.camera import DropOldest, follow_camera, read_camera
from jaxvid.predict.events import Thresholds
from jaxvid.predict.files import PredictOptions
from tests.predict.made_videos import red_predictor, write_greys, write_red


def test_events_of_a_file_played_at_its_own_pace_are_printed_as_they_happen(tmp_path, capsys):
    path = write_red(tmp_path / "live.avi", [0.1, 0.9, 0.9, 0.1])
    options = PredictOptions(Thresholds(0.6, 0.4), window_seconds=0.5, stride_seconds=0.1)
    follow_camera(red_predictor(), str(path), options)
    onset, offset = map(json.loads, capsys.readouterr().out.splitlines())
    assert (onset["event"], onset["class_name"], onset["offset"]) == ("onset", "fight", None)
    assert onset["onset"] == pytest.approx(0.5, abs=0.4)
    assert offset["event"] == "offset"
    assert offset["offset"] == pytest.approx(1.5, abs=0.4)
    assert offset["latency_seconds"] >= 0


def test_an_event_open_at_the_end_of_the_source_ends_with_it(tmp_path, capsys):
    write_greys(tmp_path / "fight.mkv", [30] * 5 + [220] * 15)
    follow_camera(red_predictor(), str(tmp_path / "fight.mkv"), PredictOptions(Thresholds(0.5, 0.4)))
    _, offset = map(json.loads, capsys.readouterr().out.splitlines())
    # The middle of the last window is half a second before.
    assert offset["offset"] > 1.8


def test_the_latency_of_a_source_that_ends_within_a_window_counts_from_its_last_frame(tmp_path):
    path = write_red(tmp_path / "short.avi", [0.5])
    predictor, began = red_predictor(), time.monotonic()
    with contextlib.closing(DropOldest(read_camera(str(path), predictor.frame_size, began))) as frames:
        [(classified, latency)] = camera.windows_with_latency(predictor, frames, predictor.plan(), began)
    assert classified.window.end < predictor.plan().seconds
    assert 0 <= latency < 30


def test_a_camera_that_cannot_be_opened_is_named():
    with pytest.raises(ValueError, match="camera '77' cannot be opened; allowed: the number of a connected camera"):
        follow_camera(red_predictor(), "77", PredictOptions())


class Dropping:
    """A camera that sends three frames, fails twice, and sends three more."""

    opened = 0

    def __init__(self, *_):
        Dropping.opened += 1
        self._left = {1: 3, 4: 3}.get(Dropping.opened, 0)

    def isOpened(self):  # noqa: N802
        return True

    def read(self):
        self._left -= 1
        return self._left >= 0, np.zeros((8, 8, 3), np.uint8)

    def get(self, _):
        return 0.0

    def release(self):
        pass


class NotingPauses(threading.Event):
    def __init__(self):
        super().__init__()
        self.pauses = []

    def wait(self, timeout=None):
        self.pauses.append(timeout)
        return False


def test_a_source_that_stops_is_opened_again_after_growing_pauses(monkeypatch):
    monkeypatch.setattr(camera, "StreamCapture", Dropping)
    noting = NotingPauses()
    frames = read_camera("rtsp://somewhere", (4, 6), 0.0, ended=noting)
    shapes = [next(frames).image.shape for _ in range(6)]
    assert shapes == [(4, 6, 3)] * 6
    assert noting.pauses == [1.0, 2.0, 4.0]


class Gone(Dropping):
    """A camera that has no more frames."""

    num_opened = num_released = 0

    def __init__(self, *_):
        Gone.num_opened += 1

    def read(self):
        return False, None

    def release(self):
        Gone.num_released += 1


def test_a_camera_that_is_gone_is_left_alone_once_nobody_follows_it(monkeypatch):
    monkeypatch.setattr(camera, "StreamCapture", Gone)
    ended, threads = threading.Event(), set(threading.enumerate())
    frames = DropOldest(read_camera("rtsp://somewhere", (4, 4), 0.0, ended=ended), ended=ended)
    [reading] = set(threading.enumerate()) - threads
    frames.close()
    reading.join(10)
    assert not reading.is_alive()
    assert Gone.num_opened == 1
    assert Gone.num_released >= 1


def test_the_password_of_a_camera_is_in_no_message(monkeypatch):
    warnings = []
    monkeypatch.setattr(camera.logging, "warning", lambda message, *values: warnings.append(message % values))
    monkeypatch.setattr(camera, "StreamCapture", Gone)
    frames = read_camera("rtsp://me:secret@192.0.2.1:554/stream", (4, 4), 0.0, ended=NotingPauses())
    monkeypatch.setattr(Gone, "read", lambda self: (len(warnings) > 0, np.zeros((4, 4, 3), np.uint8)))
    next(frames)
    assert warnings == ["rtsp://192.0.2.1:554/stream sends no more frames; opening it again in 1 s"]
    monkeypatch.setattr(Gone, "isOpened", lambda self: False)
    with pytest.raises(ValueError, match="camera 'rtsp://192.0.2.1:554/stream' cannot be opened"):
        next(read_camera("rtsp://me:secret@192.0.2.1:554/stream", (4, 4), 0.0))


def test_latencies_are_kept_of_the_last_windows_alone(tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr(camera.logging, "info", lambda message, *values: said.append(values))
    monkeypatch.setattr(camera, "_MAX_LATENCIES", 1)
    write_greys(tmp_path / "calm.mkv", [30] * 20)
    follow_camera(red_predictor(), str(tmp_path / "calm.mkv"), PredictOptions(stride_seconds=0.25))
    [(num_windows, median, _, longest, *_)] = said
    # Of the windows of a second that begin every quarter of one in two seconds, those in time.
    assert num_windows > 1
    assert median == longest


def test_the_oldest_frames_are_dropped_when_too_many_wait():
    frames = DropOldest(range(10), 4)
    while frames.num_read < 10:
        pass
    assert list(frames) == [6, 7, 8, 9]
    assert (frames.num_read, frames.num_dropped) == (10, 6)


def test_an_error_of_the_source_is_raised():
    def broken():
        yield from ()
        raise ValueError("no such camera")

    with pytest.raises(ValueError, match="no such camera"):
        next(DropOldest(broken()))


def test_frames_of_a_camera_are_rgb_as_in_training(monkeypatch):
    class Red(Dropping):
        def read(self):
            return True, np.full((6, 8, 3), (0, 0, 255), np.uint8)

    monkeypatch.setattr(camera, "_open", lambda address: Red())
    assert next(read_camera("rtsp://somewhere", (4, 4), 0.0)).image[0, 0].tolist() == [255, 0, 0]
