import dataclasses
import datetime
import os
import signal
import subprocess
import sys
from pathlib import Path

import duckdb
import numpy as np
import pytest

import jaxvid
from jaxvid.predict import camera_rows, database
from jaxvid.predict.camera import follow_camera
from jaxvid.predict.camera_rows import CameraRows
from jaxvid.predict.database import DuckDatabase, ParquetDirectory, ResultRows, open_database
from jaxvid.predict.events import Event, Thresholds, Timeline
from jaxvid.predict.files import PredictOptions, VideoResult, named_videos, predict_videos
from jaxvid.predict.predictor import Origin
from jaxvid.predict.rows import Model, Video, described_model, stored_path, video_rows
from jaxvid.video.headers import Header, read_header
from tests.predict.made_videos import cut, red_predictor, write_recording, write_red

MODEL = Model("0123456789abcdef", "runs/mine", 7)


def named_predictor(name="runs/mine", weight=1.0):
    predictor = red_predictor()
    return dataclasses.replace(predictor, variables={"w": np.float32(weight)}, origin=Origin(name, 7))


def asked(path, query):
    with duckdb.connect(str(path), read_only=True) as connection:
        return connection.execute(query).fetchall()


def predict(paths, tmp_path, predictor=None, **options):
    options = PredictOptions(database=tmp_path / "out.duckdb", plot=False, **options)
    predict_videos(predictor or named_predictor(), named_videos(paths), tmp_path / "out", options)
    return options.database


@pytest.fixture
def videos(tmp_path):
    """One of 1.5 s with an event, one that is broken."""
    (tmp_path / "gate").mkdir()
    (tmp_path / "gate" / "broken.mp4").write_bytes(b"no video")
    return [write_red(tmp_path / "gate" / "a.avi", [0.8] * 3), tmp_path / "gate" / "broken.mp4"]


def test_videos_windows_and_events_are_rows(videos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = predict([Path("gate")], tmp_path)
    read, broken = asked(
        path, "SELECT path, model_name, step, version, source, round(seconds, 2), fps, width, height, not_read, "
        "recorded_at, problems FROM videos ORDER BY path"
    )  # fmt: skip
    assert read == (
        str(videos[0]), "runs/mine", 7, jaxvid.__version__, "gate", 1.5, 10.0, 64, 64, None, None, []
    )  # fmt: skip
    assert broken[:9] == (str(videos[1]), "runs/mine", 7, jaxvid.__version__, "gate", 0.0, None, None, None)
    assert "it cannot be opened" in broken[9]
    [[age]] = asked(path, "SELECT max(date_diff('second', predicted_at, now())) FROM videos")
    assert 0 <= age < 60
    # Windows of one second, a quarter apart; the mean red of each is 0.8.
    windows = asked(path, "SELECT path, start_seconds, end_seconds, probabilities FROM windows ORDER BY start_seconds")
    assert [(row[0], row[1]) for row in windows] == [(str(videos[0]), pytest.approx(i / 4, abs=1e-3)) for i in range(3)]
    assert windows[0][3] == {"calm": pytest.approx(0.2, abs=0.02), "fight": pytest.approx(0.8, abs=0.02)}
    [event] = asked(path, "SELECT events.* FROM events JOIN videos USING (path, model)")
    assert event[0] == str(videos[0])
    assert event[2:5] == ("fight", 0.0, pytest.approx(1.5, abs=1e-3))
    assert event[6:] == (pytest.approx(0.8, abs=0.02), None)


def count(path):
    return [asked(path, f"SELECT count(*) FROM {name}")[0][0] for name in ("videos", "windows", "events")]


def test_the_same_model_replaces_its_rows_and_another_one_adds_to_them(videos, tmp_path):
    path = predict(videos, tmp_path)
    assert count(path) == [2, 3, 1]
    # Now calm, and longer, so that there is nothing of the first prediction left.
    write_red(videos[0], [0.1] * 4)
    assert predict(videos, tmp_path) == path
    assert count(path) == [2, 5, 0]
    predict(videos, tmp_path, named_predictor("runs/other", weight=2.0), source="hall")
    assert count(path) == [4, 10, 0]
    assert asked(path, "SELECT model_name, source FROM videos WHERE path LIKE '%a.avi' ORDER BY step, model_name") == [
        ("runs/mine", "gate"), ("runs/other", "hall")
    ]  # fmt: skip


def test_a_model_is_known_by_its_weights_wherever_it_lies():
    first = described_model(named_predictor("runs/mine"))
    assert first[1:] == ("runs/mine", 7)
    assert len(first.id) == 16
    assert described_model(named_predictor("elsewhere")).id == first.id
    assert described_model(named_predictor(weight=1.5)).id != first.id


def test_parts_that_were_not_read_are_in_the_row_of_their_video(tmp_path):
    path = predict([cut(write_recording(tmp_path / "cut.mp4", [0.1] * 12))], tmp_path)
    rows = asked(path, "SELECT unnest(problems, recursive := true) FROM videos")
    assert any("it is cut short" in reason and 1 < begin <= end < 5 for begin, end, reason in rows)


def rows_of(name="a.mp4", probabilities=(0.2, 0.95), began=None):
    values = np.asarray(probabilities)
    count = len(values)
    timeline = Timeline(
        np.arange(count) * 1.0, np.arange(count) + 1.0, np.stack([1 - values, values], 1), ["calm", "fight"]
    )
    video = Video(f"/footage/{name}", "gate", float(count), Header(25.0, 320, 240, began))
    events = [Event("fight", 1.0, 2.0, 1.5, 0.95)]
    return video_rows(video, MODEL, timeline, events)


_KILLED = """
import os, signal, sys
from pathlib import Path
from jaxvid.predict.database import DuckDatabase
from tests.predict.test_database import rows_of

class Dying:
    def __init__(self, connection):
        self._connection = connection
    def __getattr__(self, name):
        return getattr(self._connection, name)
    def commit(self):
        os.kill(os.getpid(), signal.SIGKILL)

class Module:
    def __init__(self, module):
        self.Error, self.connect = module.Error, lambda path: Dying(module.connect(path))

database = DuckDatabase(Path(sys.argv[1]))
database._duckdb = Module(database._duckdb)
database.write([rows_of(probabilities=[0.5] * 1000), rows_of("b.mp4")])
"""


@pytest.mark.slow
def test_a_run_that_is_killed_while_it_writes_leaves_what_was_there(tmp_path):
    path = tmp_path / "out.duckdb"
    DuckDatabase(path).write([rows_of()])
    died = subprocess.run([sys.executable, "-c", _KILLED, str(path)], check=False, env=dict(os.environ))
    assert died.returncode == -signal.SIGKILL
    assert count(path) == [1, 2, 1]
    DuckDatabase(path).write([rows_of(), rows_of("b.mp4")])
    assert count(path) == [2, 4, 2]


def test_a_database_that_another_program_has_open_is_waited_for(tmp_path, monkeypatch):
    path, pauses = tmp_path / "out.duckdb", []
    opened = DuckDatabase(path, patience_seconds=60.0)
    connect = duckdb.connect

    def locked(name):
        if len(pauses) < 3:
            raise duckdb.IOException(f'IO Error: Could not set lock on file "{name}"')
        return connect(name)

    monkeypatch.setattr(duckdb, "connect", locked)
    monkeypatch.setattr(database.time, "sleep", pauses.append)
    opened.write([rows_of()])
    assert len(pauses) == 3
    pauses.clear()
    with pytest.raises(ValueError, match="out.duckdb cannot be opened: IO Error: Could not set lock"):
        DuckDatabase(path, patience_seconds=-1.0)


def test_what_cannot_be_used_is_named_before_a_video_is_read(tmp_path, monkeypatch):
    def refused(name, message):
        with pytest.raises(ValueError, match=message):
            predict_videos(
                named_predictor(),
                {Path("no video"): Path("v")},
                tmp_path / "out",
                PredictOptions(database=tmp_path / name),
            )

    refused("events.csv", "events.csv; allowed: a file name that ends in .duckdb or .db, or a directory")
    (tmp_path / "text.duckdb").write_text("text" * 5000)
    refused("text.duckdb", "text.duckdb cannot be opened: .* not a valid DuckDB database")
    with duckdb.connect(str(tmp_path / "other.duckdb")) as connection:
        connection.execute("CREATE TABLE events (path VARCHAR)")
    refused("other.duckdb", "has a table events with the columns path; this version of jaxvid writes path, model")
    monkeypatch.setitem(sys.modules, "duckdb", None)
    refused("new.duckdb", r'new.duckdb needs DuckDB: pip install "jaxvid\[database\]"')


def test_rows_of_many_videos_are_written_together_and_at_the_end_however_it_comes(tmp_path, monkeypatch):
    monkeypatch.setattr(database, "_MANY_VIDEOS", 3)
    path = tmp_path / "out.duckdb"

    def add(number):
        rows.add(VideoResult(tmp_path / f"{number}.mp4", tmp_path, None, [], "it is empty"))
        return count(path)[0]

    with pytest.raises(KeyboardInterrupt), ResultRows(path, named_predictor()) as rows:  # noqa: PT012
        assert [add(number) for number in range(4)] == [0, 0, 3, 3]
        raise KeyboardInterrupt
    assert count(path) == [4, 0, 0]


def test_parquet_files_have_the_same_tables(tmp_path):
    directory = tmp_path / "parquet"
    for rows in (rows_of(), rows_of("b.mp4"), rows_of(probabilities=[0.5])):
        open_database(directory).write([rows])
    assert isinstance(open_database(directory), ParquetDirectory)
    assert len(list((directory / "windows").iterdir())) == 2
    DuckDatabase(tmp_path / "out.duckdb").write([rows_of(probabilities=[0.5]), rows_of("b.mp4")])
    for name, columns in (("videos", "* EXCLUDE predicted_at"), ("windows", "*"), ("events", "*")):
        query = "SELECT {} FROM {} ORDER BY ALL"
        assert duckdb.sql(query.format(columns, f"'{directory}/{name}/*.parquet'")).fetchall() == asked(
            tmp_path / "out.duckdb", query.format(columns, name)
        )


def test_paths_are_absolute_and_text(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert stored_path(Path("a.mp4")) == str(tmp_path / "a.mp4")
    assert stored_path(Path(os.fsdecode(b"/x/\xff.mp4"))) == "/x/\\udcff.mp4"


def test_the_time_of_a_recording_is_read(tmp_path):
    import av

    def header(time):
        with av.open(str(tmp_path / "v.mp4"), "w") as container:
            container.metadata["creation_time"] = time
            stream = container.add_stream("libx264", rate=25)
            stream.width, stream.height, stream.pix_fmt = 48, 32, "yuv420p"
            for _ in range(3):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((32, 48, 3), np.uint8), "rgb24")))
            container.mux(stream.encode(None))
        return read_header(tmp_path / "v.mp4")

    recorded = datetime.datetime(2026, 11, 26, 22, 30, tzinfo=datetime.UTC)
    assert header("2026-11-26T22:30:00Z") == (25.0, 48, 32, recorded)
    assert header("1970-01-01T00:00:00Z").recorded_at is None
    # An event after one second.
    DuckDatabase(tmp_path / "out.duckdb").write([rows_of(began=recorded)])
    [[onset]] = asked(tmp_path / "out.duckdb", "SELECT onset_at FROM events")
    assert onset == recorded + datetime.timedelta(seconds=1)


def test_a_camera_writes_its_windows_and_events_with_the_time_of_day(tmp_path):
    video = write_red(tmp_path / "live.avi", [0.1, 0.9, 0.9, 0.1])
    options = PredictOptions(
        Thresholds(0.6, 0.4), window_seconds=0.5, stride_seconds=0.1, database=tmp_path / "out.duckdb", source="gate"
    )
    before = datetime.datetime.now(datetime.UTC)
    follow_camera(named_predictor(), str(video), options)
    [(path, source, seconds, began)] = asked(options.database, "SELECT path, source, seconds, recorded_at FROM videos")
    assert path.startswith(f"{video}#20")
    assert source == "gate"
    assert before < began < datetime.datetime.now(datetime.UTC)
    windows = asked(options.database, "SELECT count(*), max(end_seconds) FROM windows")
    assert windows[0][0] > 3
    assert windows[0][1] == seconds
    [(onset, offset, at)] = asked(options.database, "SELECT onset_seconds, offset_seconds, onset_at FROM events")
    assert (onset, offset) == (pytest.approx(0.5, abs=0.4), pytest.approx(1.5, abs=0.4))
    assert at == pytest.approx(began + datetime.timedelta(seconds=onset), abs=datetime.timedelta(milliseconds=1))
    # The same camera at another time is another video.
    follow_camera(named_predictor(), str(video), options)
    assert count(options.database)[0] == 2


def test_an_event_that_lasts_is_there_and_its_end_replaces_it(tmp_path):
    path = tmp_path / "out.duckdb"
    with CameraRows(path, named_predictor(), "rtsp://me:secret@cam/1") as rows:
        rows.change(Event("fight", 1.0, None, 1.5, 0.7))
        rows.change(Event("fight", 1.0, 3.0, 2.5, 0.8))
        rows.change(Event("fight", 5.0, None, 5.5, 0.9))
    found = asked(path, "SELECT onset_seconds, offset_seconds, probability FROM events ORDER BY ALL")
    assert found == [(1.0, 3.0, 0.8), (5.0, None, 0.9)]
    [(path, source)] = asked(path, "SELECT path, source FROM videos")
    assert source == "rtsp://cam/1"
    assert "secret" not in path


def test_rows_of_a_camera_wait_while_the_database_is_locked(tmp_path, monkeypatch):
    path, refusals = tmp_path / "out.duckdb", [True]
    write = DuckDatabase.write

    def locked_at_first(self, tables, **options):
        if refusals and refusals.pop():
            raise ValueError("locked")
        write(self, tables, **options)

    monkeypatch.setattr(DuckDatabase, "write", locked_at_first)
    monkeypatch.setattr(camera_rows, "_PATIENCE", 0.0)
    with CameraRows(path, named_predictor(), "0") as rows:
        rows.change(Event("fight", 1.0, None, 1.5, 0.7))
        rows.change(Event("fight", 4.0, None, 5.5, 0.9))
    assert count(path) == [1, 0, 2]


def test_a_camera_refuses_a_directory(tmp_path):
    with pytest.raises(ValueError, match="parquet; allowed with --camera: a file name that ends in .duckdb or .db"):
        follow_camera(named_predictor(), "0", PredictOptions(database=tmp_path / "parquet"))
