"""The properties of video files, and their summary."""

import numpy as np
import pytest

from jaxvid.video.files import write_video
from jaxvid.video.properties import VideoProperties, read_properties, summarize_properties
from jaxvid.video.sound import write_video_with_sound
from jaxvid.video.workers import InvalidVideoError

FRAMES = np.full((20, 48, 64, 3), 90, np.uint8)


def test_properties_are_those_of_the_header(tmp_path):
    write_video(tmp_path / "a.avi", FRAMES, 10.0)
    write_video_with_sound(tmp_path / "b.mp4", FRAMES, 25.0, np.zeros(6400, np.int16), 8000)
    silent, sounding = read_properties(tmp_path / "a.avi"), read_properties(tmp_path / "b.mp4")
    assert silent == VideoProperties(
        container="avi",
        codec="mjpeg",
        height=48,
        width=64,
        fps=10.0,
        seconds=2.0,
        has_sound=False,
        num_bytes=(tmp_path / "a.avi").stat().st_size,
    )
    assert (sounding.container, sounding.fps, sounding.has_sound) == ("mov", 25.0, True)
    assert sounding.seconds == pytest.approx(0.8, abs=0.1)


def test_a_file_that_is_no_video_has_no_properties(tmp_path):
    (tmp_path / "a.mp4").write_text("no video")
    with pytest.raises(InvalidVideoError, match="cannot be opened"):
        read_properties(tmp_path / "a.mp4")


def test_properties_are_counted_and_ranges_given():
    short = VideoProperties("avi", "mpeg4", 240, 320, 25.0, 1.5, True, 1000)
    long = VideoProperties("mov", "h264", 240, 320, 30000 / 1001, 4.5, False, 3000)
    assert summarize_properties([long, short, short]) == {
        "videos": 3,
        "with_sound": 2,
        "container": {"avi": 2, "mov": 1},
        "codec": {"mpeg4": 2, "h264": 1},
        "size": {"240x320": 3},
        "fps": {"25": 2, "29.97": 1},
        "seconds": {"min": 1.5, "median": 1.5, "max": 4.5},
        "bytes": {"min": 1000, "median": 1000.0, "max": 3000},
    }
