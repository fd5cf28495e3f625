"""Atomic writes of files and directories."""

import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from jaxvid.files import naming, only_process, replacing, replacing_directory


def _names(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


def _breaks_off(writing: Callable[[Path], AbstractContextManager[Path]], path: Path) -> None:
    with writing(path) as unfinished:
        if unfinished.is_dir():
            (unfinished / "new.png").touch()
        else:
            unfinished.write_text("ne")
        raise RuntimeError("power")


def test_a_file_takes_the_place_of_the_one_before(tmp_path: Path):
    path = tmp_path / "figures.json"
    path.write_text("old")
    with replacing(path) as unfinished:
        unfinished.write_text("new")
        assert path.read_text() == "old"
        assert unfinished.suffix == ".json"
    assert path.read_text() == "new"
    assert _names(tmp_path) == {"figures.json"}


def test_a_file_that_breaks_off_leaves_the_one_before(tmp_path: Path):
    path = tmp_path / "figures.json"
    path.write_text("old")
    with pytest.raises(RuntimeError, match="power"):
        _breaks_off(replacing, path)
    assert path.read_text() == "old"
    assert _names(tmp_path) == {"figures.json"}


def test_a_full_disk_names_the_file_that_was_to_be_written(tmp_path: Path):
    """An error of a file that is open names none."""
    path = tmp_path / "figures.json"
    for writing in (replacing, replacing_directory):
        with pytest.raises(OSError, match=re.escape(f"No space left on device: '{path}'")), writing(path):
            Path("/dev/full").write_text("new")
    assert _names(tmp_path) == set()


def test_errors_that_name_a_file_or_are_not_of_the_disk_stay_as_they_are(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match="'/nowhere'"), naming(tmp_path):
        Path("/nowhere").read_text()
    with pytest.raises(TimeoutError, match="^the host is slow$"), naming(tmp_path):
        raise TimeoutError("the host is slow")


def test_a_directory_takes_the_place_of_the_one_before(tmp_path: Path):
    path = tmp_path / "report"
    path.mkdir()
    (path / "old.png").touch()
    with replacing_directory(path) as unfinished:
        (unfinished / "new.png").touch()
        assert _names(path) == {"old.png"}
    assert _names(path) == {"new.png"}
    assert _names(tmp_path) == {"report"}


def test_a_directory_that_breaks_off_leaves_the_one_before_or_none(tmp_path: Path):
    with pytest.raises(RuntimeError, match="power"):
        _breaks_off(replacing_directory, tmp_path / "runs" / "report")
    assert _names(tmp_path / "runs") == set()

    path = tmp_path / "report"
    path.mkdir()
    (path / "old.png").touch()
    with pytest.raises(RuntimeError, match="power"):
        _breaks_off(replacing_directory, path)
    assert _names(path) == {"old.png"}
    assert _names(tmp_path) == {"runs", "report"}


def test_one_process_at_a_time_is_in_a_directory(tmp_path):
    with only_process(tmp_path):
        # Another open file is as good as another process.
        with pytest.raises(ValueError, match=f"another process is at work in {tmp_path}"), only_process(tmp_path):
            pass
        with pytest.raises(ValueError, match="another process"), only_process(tmp_path):
            pass
    with only_process(tmp_path):
        pass
