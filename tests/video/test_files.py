"""Finding video files and copies of them."""

import os

from jaxvid.video.files import find_videos, identical_files


def names_under(directory):
    return [path.relative_to(directory).as_posix() for path in find_videos(directory)]


def touch(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def test_links_to_folders_and_files_are_followed(tmp_path):
    touch(tmp_path / "elsewhere" / "deep" / "1.mp4")
    touch(tmp_path / "elsewhere" / ".hidden" / "2.mp4")
    (tmp_path / "videos" / "calm").mkdir(parents=True)
    os.symlink(tmp_path / "elsewhere", tmp_path / "videos" / "fight")
    os.symlink(tmp_path / "elsewhere" / "deep" / "1.mp4", tmp_path / "videos" / "calm" / "3.avi")
    os.symlink(tmp_path / "nowhere", tmp_path / "videos" / "calm" / "broken.mp4")
    assert names_under(tmp_path / "videos") == ["calm/3.avi", "calm/broken.mp4", "fight/deep/1.mp4"]


def test_links_that_lead_back_end(tmp_path):
    touch(tmp_path / "a" / "1.mp4")
    touch(tmp_path / "b" / "2.mp4")
    os.symlink(tmp_path, tmp_path / "a" / "up")
    os.symlink(tmp_path / "a", tmp_path / "b" / "a")
    os.symlink("itself", tmp_path / "itself")
    # `a/up` and `b/a/up` are the folder they are in.
    assert names_under(tmp_path) == ["a/1.mp4", "b/2.mp4", "b/a/1.mp4"]


def test_a_link_may_be_the_folder_itself(tmp_path):
    touch(tmp_path / "real" / "1.mp4")
    os.symlink(tmp_path / "real", tmp_path / "link")
    assert names_under(tmp_path / "link") == ["1.mp4"]


def test_files_with_the_same_content_are_grouped(tmp_path):
    contents = {"1": b"same", "2": b"also", "3": b"same", "4": b"same, but longer", "5": b"also", "6": b"", "7": b""}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    os.symlink(tmp_path / "nowhere", tmp_path / "8")
    groups = identical_files(sorted(tmp_path.iterdir()))
    assert [[path.name for path in group] for group in groups] == [["1", "3"], ["2", "5"]]
