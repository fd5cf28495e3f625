import os
import sys
from pathlib import Path

import fsspec
import pytest

from jaxvid.predict.bulk.inputs import Input, find_inputs


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "day" / "night").mkdir(parents=True)
    for name, size in (("day/a.mp4", 3), ("day/night/b.AVI", 5), ("day/notes.txt", 7)):
        (tmp_path / name).write_bytes(b"x" * size)
    return tmp_path


@pytest.fixture
def bucket():
    """Files at addresses in memory."""
    files = fsspec.filesystem("memory")
    files.pipe({"/bucket/cam/a.mp4": b"123", "/bucket/cam/deep/b.mkv": b"12345", "/bucket/cam/list.txt": b"1"})
    yield files
    files.rm("/bucket", recursive=True)


def test_paths_folders_and_patterns_give_each_video_once(folder, monkeypatch):
    first, second = Input(f"{folder}/day/a.mp4", 3), Input(f"{folder}/day/night/b.AVI", 5)
    monkeypatch.chdir(folder)
    assert find_inputs(["day"]) == [first, second]
    assert find_inputs([f"{folder}/**/*"]) == [first, second]
    assert find_inputs(["day/*", "day/a.mp4"]) == [first]
    # A file that is named need not look like a video.
    assert find_inputs(["day/notes.txt"]) == [Input(f"{folder}/day/notes.txt", 7)]


def test_addresses_are_searched(bucket):
    first, second = Input("memory:///bucket/cam/a.mp4", 3), Input("memory:///bucket/cam/deep/b.mkv", 5)
    assert find_inputs(["memory://bucket"]) == [first, second]
    assert find_inputs(["memory://bucket/cam/*"]) == [first]
    assert find_inputs(["memory://bucket/**/*.mkv", "memory://bucket/cam/a.mp4"]) == [first, second]


def test_what_names_no_video_is_refused_by_name(folder, bucket, monkeypatch):
    def refused(argument, message):
        with pytest.raises(ValueError, match=message) as error:
            find_inputs([str(folder / "day" / "a.mp4"), argument])
        assert "\n" not in str(error.value)

    refused(f"{folder}/*.mp4", r"\*.mp4 matches no video; extensions of videos: .3gp, ")
    refused(f"{folder}/day/*.txt", r"\*.txt matches no video")
    (folder / "empty").mkdir()
    refused(f"{folder}/empty", "empty holds no video")
    refused(f"{folder}/nowhere", "nowhere does not exist")
    refused("memory://bucket/*.avi", r"memory://bucket/\*.avi matches no video")
    refused("memory://nowhere", "memory://nowhere cannot be read: FileNotFoundError")
    refused("foo://bucket/a.mp4", "foo://bucket/a.mp4 cannot be read: .*'foo'")
    # The package of a file system is missing.
    monkeypatch.setitem(sys.modules, "s3fs", None)
    refused("s3://bucket/a.mp4", "s3://bucket/a.mp4 cannot be read: ImportError: Install s3fs")

    def forbidden(*_, **__):
        raise PermissionError("access denied")

    monkeypatch.setattr(type(bucket), "info", forbidden)
    refused("memory://bucket/cam/a.mp4", "memory://bucket/cam/a.mp4 cannot be read: PermissionError: access denied")
    with pytest.raises(ValueError, match="no videos given; allowed: paths, addresses and patterns"):
        find_inputs([])


def test_rows_have_paths_as_text():
    assert Input("memory://bucket/a.mp4", 0).row_path == "memory://bucket/a.mp4"
    assert Input(os.fsdecode(b"/x/\xff.mp4"), 0).row_path == "/x/\\udcff.mp4"
    assert Path(Input("/x/a.mp4", 0).row_path) == Path("/x/a.mp4")
