"""The check of a folder of videos: what it reports, and that it changes nothing."""

import re
import shutil

import numpy as np
import pytest

from jaxvid.data.check.__main__ import main
from jaxvid.video.files import write_video


@pytest.fixture
def folder(tmp_path):
    for name in ("fight/a.mp4", "fight/-b.avi", "calm/ž.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        write_video(tmp_path / name, noise(len(name)), 25.0)
    return tmp_path


def noise(seed, num_frames=3, size=64):
    """Frames of blocks of random color, which look like those of no other seed."""
    blocks = np.random.default_rng(seed).integers(0, 256, (num_frames, 8, 8, 3), np.uint8)
    return blocks.repeat(size // 8, axis=1).repeat(size // 8, axis=2)


def test_a_folder_of_whole_videos_passes(folder, capsys):
    assert main([str(folder)]) == 0
    assert capsys.readouterr().out == "3 videos, 0 problems, 0 warnings\n"


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
        "fight/text.AVI  it cannot be opened: Invalid data found when processing input",
        "5 videos, 3 problems, 0 warnings",
    ]
    assert sorted((path, path.stat().st_mtime_ns) for path in folder.rglob("*")) == before


def test_an_empty_folder_is_a_problem(tmp_path, capsys):
    assert main([str(tmp_path)]) == 1
    assert capsys.readouterr().out == ".  holds no videos\n0 videos, 1 problems, 0 warnings\n"


def test_a_missing_folder_is_a_usage_error(tmp_path, capsys):
    with pytest.raises(SystemExit) as caught:
        main([str(tmp_path / "nowhere")])
    assert caught.value.code == 2
    assert "nowhere is not a directory" in capsys.readouterr().err


def test_identical_files_are_named_with_the_classes_and_splits_that_they_lie_in(tmp_path, capsys):
    for seed, name in enumerate(("train/fight/a.mp4", "train/fight/b.mp4", "test/calm/c.mp4")):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        write_video(tmp_path / name, noise(seed), 25.0)
    shutil.copy(tmp_path / "train/fight/a.mp4", tmp_path / "train/fight/z.mp4")
    shutil.copy(tmp_path / "train/fight/b.mp4", tmp_path / "test/calm/z.mp4")
    # Warnings are no problems.
    assert main([str(tmp_path)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "warning: identical files in different classes and splits: test/calm/z.mp4 = train/fight/b.mp4",
        "warning: identical files: train/fight/a.mp4 = train/fight/z.mp4",
        "5 videos, 0 problems, 2 warnings",
    ]


def test_clips_that_look_alike_are_named_although_their_files_differ(folder, capsys):
    # The same scene, a little brighter, in another container.
    brighter = np.minimum(noise(len("fight/a.mp4")).astype(int) + 8, 255).astype(np.uint8)
    write_video(folder / "calm" / "copy.avi", brighter, 25.0)
    assert main([str(folder)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "warning: 1 groups of clips look alike (2 clips, 1 groups across classes or splits), such as "
        "calm/copy.avi ~ fight/a.mp4",
        "4 videos, 0 problems, 1 warnings",
    ]


def test_differences_between_classes_are_warned_of(tmp_path, capsys):
    for label, num_frames in (("fight", 4), ("calm", 8)):
        (tmp_path / label).mkdir()
        for k in range(10):
            write_video(tmp_path / label / f"{k}.avi", noise(100 * num_frames + k, num_frames), 8.0)
    assert main([str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "warning: the classes differ: median length: 1 s of calm, 0.5 s of fight" in lines


def test_a_cut_file_is_reported_with_the_part_that_can_be_read(tmp_path, capsys):
    (tmp_path / "fight").mkdir()
    whole = tmp_path / "fight" / "whole.avi"
    write_video(whole, noise(1, 40), 10.0)
    content = whole.read_bytes()
    (tmp_path / "fight" / "cut.avi").write_bytes(content[: len(content) // 2])
    assert main([str(tmp_path)]) == 1
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("fight/cut.avi")]
    frames, seconds = re.search(r"\(readable: (\d+) frames, (\d\.\d) s\)", line).groups()
    # Half of the file, which is mostly frames of equal size.
    assert 15 <= int(frames) <= 20
    assert float(seconds) == pytest.approx((int(frames) - 1) / 10, abs=0.05)
