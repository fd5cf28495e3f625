"""The examples of jaxvid/predict/README.md do what it says."""

import datetime
import re
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jaxvid.predict.database import DuckDatabase, ParquetDirectory
from jaxvid.predict.events import Event
from jaxvid.predict.rows import Model, Video, video_rows
from jaxvid.video.headers import Header

README = (Path(__file__).parents[2] / "jaxvid" / "predict" / "README.md").read_text()
OLD, NEW = Model("0" * 16, "runs/old", 1), Model("1" * 16, "runs/new", 2)


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


NIGHT, HOURS, CHANGES, VIEWS = blocks("sql")


def seen(path, source, seconds, model, *events, began=None, reason=""):
    """Rows of a video with events of onset, offset and probability."""
    found = [Event("fight", onset, offset, onset, probability) for onset, offset, probability in events]
    video = Video(path, source, seconds, Header(25.0, 320, 240, began))
    return video_rows(video, model, None, found, reason=reason)


@pytest.fixture
def write(tmp_path):
    """Returns a function that writes rows and asks a question about them."""

    def written(tables, question):
        path = tmp_path / "events.duckdb"
        DuckDatabase(path).write(tables)
        with duckdb.connect(str(path), read_only=True) as connection:
            return connection.execute(question).fetchall()

    return written


def test_events_of_last_night_over_90_percent(write):
    midnight = datetime.datetime.combine(datetime.date.today(), datetime.time()).astimezone()
    evening = midnight - datetime.timedelta(hours=2)
    tables = [
        # At 22:00 and an hour later, and one that is not sure.
        seen("/gate/1.mp4", "gate", 7200.0, NEW, (0.0, 9.0, 0.95), (3600.0, 3610.0, 0.91), began=evening),
        seen("/gate/1b.mp4", "gate", 60.0, NEW, (50.0, 60.0, 0.9), began=evening),
        # At noon of yesterday, at 6:01 of today, and at a time that is not known.
        seen("/gate/2.mp4", "gate", 60.0, NEW, (0.0, 5.0, 0.99), began=midnight - datetime.timedelta(hours=12)),
        seen("/hall/3.mp4", "hall", 60.0, NEW, (60.0, 65.0, 0.99), began=midnight + datetime.timedelta(hours=6)),
        seen("/hall/4.mp4", "hall", 60.0, NEW, (0.0, 5.0, 0.99)),
        # At 5:59.
        seen("/hall/5.mp4", "hall", 60.0, NEW, (0.0, 5.0, 0.97), began=midnight + datetime.timedelta(hours=5.98)),
    ]  # fmt: skip
    found = write(tables, NIGHT)
    assert [(row[0], row[1], row[4]) for row in found] == [
        ("gate", "/gate/1.mp4", 0.95),
        ("gate", "/gate/1.mp4", 0.91),
        ("hall", "/hall/5.mp4", 0.97),
    ]
    assert found[1][3] == evening + datetime.timedelta(hours=1)


def test_hours_per_camera(write):
    tables = [
        seen("/gate/1.mp4", "gate", 3600.0, OLD),
        seen("/gate/1.mp4", "gate", 3600.0, NEW),
        seen("/gate/2.mp4", "gate", 1800.0, OLD),
        seen("/hall/3.mp4", "hall", 7200.0, NEW),
        seen("/hall/4.mp4", "hall", 0.0, NEW, reason="it is empty"),
    ]
    assert write(tables, HOURS) == [("hall", 2.0), ("gate", 1.5)]


def test_changes_from_one_model_to_the_next(write):
    tables = [
        # The first event of the old model overlaps the first of the new one; the second has nothing beside it.
        seen("/a.mp4", "gate", 60.0, OLD, (1.0, 5.0, 0.7), (20.0, 25.0, 0.8)),
        seen("/a.mp4", "gate", 60.0, NEW, (4.0, 9.0, 0.9), (25.0, 30.0, 0.6)),
        seen("/b.mp4", "gate", 60.0, OLD),
        seen("/b.mp4", "gate", 60.0, NEW, (2.0, 3.0, 0.65)),
        # Seen by one of them alone.
        seen("/c.mp4", "gate", 60.0, NEW, (2.0, 3.0, 0.65)),
        seen("/a.mp4", "gate", 60.0, Model("2" * 16, "runs/third", 3), (40.0, 50.0, 0.9)),
    ]
    assert write(tables, CHANGES) == [
        ("runs/old", "/a.mp4", "fight", 20.0, 0.8),
        ("runs/new", "/a.mp4", "fight", 25.0, 0.6),
        ("runs/new", "/b.mp4", "fight", 2.0, 0.65),
    ]


def test_the_questions_can_be_asked_of_parquet_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ParquetDirectory(Path("DIRECTORY")).write([seen("/a.mp4", "gate", 1800.0, OLD), seen("/b.mp4", "hall", 900.0, OLD)])
    with duckdb.connect() as connection:
        connection.execute(VIEWS)
        assert connection.execute(HOURS).fetchall() == [("gate", 0.5), ("hall", 0.25)]
        assert connection.execute("FROM windows").fetchall() == []


def test_embeddings_are_probed_and_searched(tmp_path, monkeypatch, capsys):
    """Windows of ten videos: those of a class lie around its own direction, those of a video around its own point."""
    rng, rows = np.random.default_rng(0), []
    for number in range(10):
        label = ("fight", "no_fight")[number % 2]
        center = np.eye(8)[number % 2] * 5 + 0.3 * rng.standard_normal(8)
        for start in range(4):
            embedding = (center + 0.01 * rng.standard_normal(8)).astype(np.float32)
            rows.append({"video": f"clips/{label}/{number}.mp4", "start": float(start), "embedding": embedding})
    schema = pa.schema({"video": pa.string(), "start": pa.float64(), "embedding": pa.list_(pa.float32(), 8)})
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), tmp_path / "windows.parquet")
    monkeypatch.chdir(tmp_path)
    probe, search = blocks("python")[:2]
    exec(probe + search, {})
    accuracy, *nearest = capsys.readouterr().out.splitlines()
    assert accuracy.endswith("100.0 %")
    # Itself, and the other windows of its video; the next is of its class.
    assert nearest[0] == "1.000  clips/fight/0.mp4  0.0 s"
    assert [line.split()[1] for line in nearest[:4]] == ["clips/fight/0.mp4"] * 4
    assert "clips/fight/" in nearest[4]
