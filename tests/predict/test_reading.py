import subprocess
import sys

import numpy as np
import psutil

from jaxvid.predict.reading import Reading, _without_repetition, read_videos, read_windows
from jaxvid.predict.windows import Window, WindowPlan
from jaxvid.video.damage import Damage
from jaxvid.video.workers import InvalidVideo
from tests.predict.made_videos import cut, write_recording, write_red

PLAN = WindowPlan(1.0, 0.25, (np.arange(5) + 0.5) / 5, True)


def reading(sample_rate=0):
    return Reading(PLAN, (16, 16), sample_rate)


def assert_same(window, other):
    assert window._replace(images=(), audio=None) == other._replace(images=(), audio=None)
    np.testing.assert_array_equal(window.frames, other.frames)
    np.testing.assert_array_equal(window.audio, other.audio)


def test_several_files_have_the_windows_of_each_alone(tmp_path):
    whole = write_recording(tmp_path / "whole.mp4", [0.1, 0.5, 0.9, 0.2, 0.7])
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    paths = [whole, broken, whole]
    found = list(read_videos(paths, reading(8000), num_workers=2))
    expected = list(read_windows(whole, reading(8000), Damage()))
    assert len(expected) == 7
    for video in [0, *range(2, len(paths))]:
        *windows, damage = [item for index, item in found if index == video]
        assert damage == Damage()
        for window, other in zip(windows, expected, strict=True):
            assert_same(window, other)
    [invalid] = [item for index, item in found if index == 1]
    assert isinstance(invalid, InvalidVideo)
    assert "cannot be opened" in invalid.reason


def test_what_is_wrong_with_a_file_follows_its_windows(tmp_path):
    path = cut(write_recording(tmp_path / "cut.mp4", [0.1] * 4 + [0.9] * 8))
    *windows, (_, damage) = read_videos([path], reading())
    assert all(isinstance(window, Window) for _, window in windows)
    assert "it is cut short" in str(damage)


def test_an_image_is_sent_once_for_all_windows_that_show_it(tmp_path):
    video = write_red(tmp_path / "a.avi", [0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
    windows = list(read_windows(video, reading(), Damage()))
    packed = list(_without_repetition(windows))
    assert all(item.window.images == () for item in packed)
    sent = [number for item in packed for number in item.new]
    assert sorted(sent) == sorted({number for window in windows for number in window.numbers})
    assert len(sent) < sum(len(window.numbers) for window in windows)


def test_worker_processes_import_no_jax():
    program = "import sys, jaxvid.predict.reading; print('jax' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_a_single_video_that_hangs_the_decoder_is_given_up(tmp_path, monkeypatch):
    # A reader that hangs, in the workers as here.
    (tmp_path / "sitecustomize.py").write_text(
        "import os, time, pathlib\nis_file = pathlib.Path.is_file\n"
        "pathlib.Path.is_file = lambda path: time.sleep(1000) if path.name == 'hangs.avi' else is_file(path)\n"
    )
    video = write_red(tmp_path / "hangs.avi", [0.1] * 4)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr("jaxvid.predict.reading._PATIENCE_SECONDS", 0.5)
    assert list(read_videos([video], reading())) == [(0, InvalidVideo(video, "not decoded within 1.75 s"))]


def test_closing_early_ends_the_workers(tmp_path):
    video = write_red(tmp_path / "a.avi", [0.1] * 40)
    read = read_videos([video] * 5, reading(), num_workers=1)
    assert isinstance(next(read)[1], Window)
    read.close()
    assert psutil.Process().children() == []
