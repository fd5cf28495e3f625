"""The check of a folder of videos: what it reports, and that it changes nothing."""

import numpy as np
import pytest

from jaxvid.data.check import main
from jaxvid.video.files import write_video


@pytest.fixture
def folder(tmp_path):
    for name in ("fight/a.mp4", "fight/-b.avi", "calm/ž.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        write_video(tmp_path / name, np.zeros((3, 64, 64, 3), np.uint8), 25.0)
    return tmp_path


def test_a_sound_folder_passes(folder, capsys):
    assert main([str(folder)]) == 0
    assert capsys.readouterr().out == "3 videos, 0 problems\n"


def test_broken_files_and_empty_folders_are_listed_and_nothing_is_changed(folder, capsys):
    (folder / "calm" / "empty.mp4").touch()
    (folder / "fight" / "text.AVI").write_text("not a video")
    (folder / "no_clips" / "nor_here").mkdir(parents=True)
    (folder / ".cache").mkdir()
    before = sorted((path, path.stat().st_mtime_ns) for path in folder.rglob("*"))

    assert main([str(folder)]) == 1

    assert capsys.readouterr().out.splitlines() == [
        "no_clips        holds no videos",
        "calm/empty.mp4  the file is empty",
        "fight/text.AVI  the decoder cannot open it: no video, or cut short",
        "5 videos, 3 problems",
    ]
    assert sorted((path, path.stat().st_mtime_ns) for path in folder.rglob("*")) == before


def test_an_empty_folder_is_a_problem(tmp_path, capsys):
    assert main([str(tmp_path)]) == 1
    assert capsys.readouterr().out == ".  holds no videos\n0 videos, 1 problems\n"


def test_a_missing_folder_is_a_usage_error(tmp_path, capsys):
    with pytest.raises(SystemExit) as caught:
        main([str(tmp_path / "nowhere")])
    assert caught.value.code == 2
    assert "nowhere is not a directory" in capsys.readouterr().err
