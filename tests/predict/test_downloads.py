"""Videos at addresses, from the command to its files; the addresses are those of a server of this machine."""

import json
import sys
import tempfile

import pyarrow.parquet as pq
import pytest

from tests.commands import run_command
from tests.predict.made_videos import write_red
from tests.predict.test_embeddings import red_embedder
from tests.serving import served


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs the command on paths and addresses: `run(*arguments)` -> its status; downloads go below `tmp_path/temp`."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr("jaxvid.commands.keep_compiled_programs", lambda: None)
    monkeypatch.setattr("jaxvid.predict.predictor.load", lambda *_, positive_class: red_embedder())
    (tmp_path / "temp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temp"))

    def command(*arguments):
        return run_command("jaxvid.predict", f"--workdir={tmp_path}", f"--output={tmp_path / 'out'}", *arguments)

    return command


@pytest.fixture
def site(tmp_path):
    directory = tmp_path / "site"
    directory.mkdir()
    write_red(directory / "red.mp4", [0.1] * 2 + [0.9] * 4)
    with served(directory) as (address, _):
        yield address


def test_a_video_at_an_address_is_predicted_like_a_file_and_removed(run, site, tmp_path, capsys):
    local = write_red(tmp_path / "a.avi", [0.1] * 2)
    rows = tmp_path / "rows.parquet"
    assert run(f"{site}/red.mp4", local, f"--embeddings={rows}", f"--database={tmp_path / 'tables'}") == 0
    out = tmp_path / "out"
    assert {path.name for path in out.iterdir()} == {"red [red].mp4", "a.avi", "index.html"}
    [event] = json.loads((out / "red [red].mp4" / "events.json").read_text())
    assert event["offset"] == pytest.approx(3.0, abs=0.01)
    # Neither the file nor its directory is left, and no page shows it.
    assert list((tmp_path / "temp").iterdir()) == []
    page = (out / "red [red].mp4" / "index.html").read_text()
    assert f"{site}/red.mp4" in page
    assert "The video was downloaded and is not kept" in page
    assert "<video" not in page
    assert "<video" in (out / "a.avi" / "index.html").read_text()
    printed = capsys.readouterr().out
    assert f"{site}/red.mp4" in printed
    assert "temp" not in printed
    assert set(pq.read_table(rows)["video"].to_pylist()) == {f"{site}/red.mp4", str(local)}
    stored = pq.read_table(tmp_path / "tables" / "videos").select(["path", "source", "width"]).to_pylist()
    assert {"path": f"{site}/red.mp4", "source": site.removeprefix("http://"), "width": 64} in stored


def test_downloads_are_kept_where_it_is_asked_for(run, site, tmp_path):
    assert run(f"{site}/red.mp4", f"--keep_downloads={tmp_path / 'kept'}", "--noplot") == 0
    assert [path.name for path in (tmp_path / "kept").iterdir()] == ["red [red].mp4"]
    page = (tmp_path / "out" / "red [red].mp4" / "index.html").read_text()
    assert '<video src="../../kept/red%20%5Bred%5D.mp4"' in page
    assert list((tmp_path / "temp").iterdir()) == []


def test_an_address_that_is_refused_does_not_stop_the_others(run, site, tmp_path, capsys):
    assert run(f"{site}/gone.mp4", f"{site}/red.mp4", "--noplot") == 1
    assert "NOT READ: " in capsys.readouterr().out
    assert (tmp_path / "out" / "red [red].mp4" / "timeline.csv").exists()
    index = (tmp_path / "out" / "index.html").read_text()
    assert "gone.mp4" in index
    assert "HTTP Error 404" in index
    assert "1 file could not be read." in index
    # With nothing else to predict, one line says so.
    with pytest.raises(ValueError, match=f"{site}/gone.mp4 was not downloaded: .*HTTP Error 404"):
        run(f"{site}/gone.mp4")


def test_what_can_be_checked_is_checked_before_a_download(run, site, tmp_path, monkeypatch):
    monkeypatch.setattr("jaxvid.predict.downloads.download_video", None)
    with pytest.raises(ValueError, match="none.mp4 does not exist"):
        run(f"{site}/red.mp4", tmp_path / "none.mp4")
    monkeypatch.setitem(sys.modules, "yt_dlp", None)
    with pytest.raises(ValueError, match=r'pip install -e ".\[youtube\]"'):
        run(f"{site}/red.mp4")
    assert not (tmp_path / "out").exists()
