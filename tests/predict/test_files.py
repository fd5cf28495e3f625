import json
import re
from pathlib import Path

import cv2
import pytest

from jaxvid.predict.files import PredictOptions, named_videos, predict_videos, summary
from tests.commands import run_command
from tests.predict.made_videos import red_predictor, write_red


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "videos" / "deeper").mkdir(parents=True)
    return tmp_path / "videos"


@pytest.fixture
def video(folder):
    """A video of four seconds calm, two of a fight, two calm."""
    return write_red(folder / "a.avi", [0.1] * 8 + [0.9] * 4 + [0.1] * 4)


def test_folders_are_searched_and_a_broken_file_does_not_stop_the_others(video, folder, tmp_path):
    write_red(folder / "deeper" / "a.avi", [0.2] * 3)
    (folder / "broken.mp4").write_bytes(b"no video")
    videos = named_videos([folder, video])
    results = predict_videos(red_predictor(), videos, tmp_path / "out", PredictOptions())
    assert [result.path.relative_to(folder) for result in results] == [
        Path("a.avi"),
        Path("broken.mp4"),
        Path("deeper/a.avi"),
    ]
    assert [result.timeline is None for result in results] == [False, True, False]
    (event,) = json.loads((tmp_path / "out" / "videos" / "a.avi" / "events.json").read_text())
    # Windows that see more than about half a second of the fight are above the threshold.
    assert (event["onset"], event["offset"]) == (pytest.approx(4, abs=0.4), pytest.approx(6, abs=0.4))
    assert 4 < event["peak"] < 6
    for written in ("timeline.csv", "events.json", "timeline.png"):
        assert (tmp_path / "out" / "videos" / "deeper" / "a.avi" / written).stat().st_size
    assert not (tmp_path / "out" / "videos" / "broken.mp4").exists()
    assert cv2.imread(str(tmp_path / "out" / "videos" / "a.avi" / "timeline.png")) is not None
    text = summary(results)
    assert "NOT READ: it cannot be opened" in text
    assert re.search(r"a\.avi +8\.0 +calm (69|70|71) % +1 +(89|90|91) % at [45]\.\d s", text)


def test_videos_of_one_name_are_numbered_and_missing_ones_are_named(folder, tmp_path):
    first, second = write_red(folder / "a.avi", [0.1]), write_red(folder / "deeper" / "a.avi", [0.1])
    assert [str(path) for path in named_videos([first, second]).values()] == ["a.avi", "a.avi-2"]
    with pytest.raises(ValueError, match="nowhere.mp4 does not exist"):
        named_videos([folder / "nowhere.mp4"])
    with pytest.raises(ValueError, match="no videos given; allowed: paths of videos and of folders"):
        named_videos([])
    (tmp_path / "none").mkdir()
    with pytest.raises(ValueError, match="none holds no video"):
        named_videos([tmp_path / "none"])


def test_a_file_named_twice_is_predicted_once(tmp_path):
    (tmp_path / "v.mp4").touch()
    for arguments in ([tmp_path, tmp_path / "v.mp4"], [tmp_path / "v.mp4", tmp_path]):
        assert list(named_videos(arguments)) == [tmp_path / "v.mp4"]


def test_the_exit_status_of_the_command_is_1_if_a_file_was_not_read(video, folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("jaxvid.predict.predictor.load", lambda *_, positive_class: red_predictor())
    monkeypatch.setattr("jaxvid.commands.keep_compiled_programs", lambda: None)
    arguments = [f"--workdir={tmp_path}", f"--output={tmp_path / 'out'}"]
    assert run_command("jaxvid.predict", *arguments, video) == 0
    assert "Positive class: fight (the other name negates it)" in capsys.readouterr().out
    (folder / "broken.mp4").touch()
    assert run_command("jaxvid.predict", *arguments, folder) == 1


def test_the_command_refuses_a_camera_beside_videos(tmp_path):
    with pytest.raises(ValueError, match="--camera and videos exclude each other"):
        run_command("jaxvid.predict", f"--workdir={tmp_path}", "--camera=0", "video.mp4")
