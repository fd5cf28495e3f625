import duckdb
import fsspec
import pytest

from jaxvid.predict import rows
from jaxvid.predict.bulk import parts
from jaxvid.predict.bulk.inputs import Input
from jaxvid.predict.bulk.parts import divided, output_at, part_name
from jaxvid.predict.rows import joined
from tests.predict.test_database import MODEL, rows_of


def sizes(*megabytes):
    return [Input(f"/{number}.mp4", size << 20) for number, size in enumerate(megabytes)]


def test_parts_have_up_to_64_videos_and_256_mib(monkeypatch):
    assert [len(part) for part in divided(sizes(*[1] * 1000))] == [64] * 15 + [40]
    assert [len(part) for part in divided(sizes(*[100] * 1000))] == [2] * 500
    # Larger ones alone; of few videos, at least eight parts.
    monkeypatch.setattr(parts, "_LEAST_PARTS", 1)
    assert [len(part) for part in divided(sizes(1, 2, 500, 300, 1, 1))] == [2, 1, 1, 2]
    monkeypatch.setattr(parts, "_LEAST_PARTS", 8)
    assert [len(part) for part in divided(sizes(*[1] * 17))] == [2] * 8 + [1]
    assert [len(part) for part in divided(sizes(1, 1))] == [1, 1]
    assert divided([]) == []


def test_the_name_of_a_part_tells_its_videos_and_its_model():
    first, second = sizes(1, 1)
    assert part_name([first, second], "m") == part_name([first._replace(size=7), second], "m")
    assert len({part_name([first, second], "m"), part_name([first, second], "n"), part_name([first], "m")}) == 3


@pytest.mark.parametrize("form", ["parquet", "jsonl"])
def test_a_part_is_three_files_that_duckdb_reads(tmp_path, form):
    output = output_at(str(tmp_path / "out"), form)
    output.create()
    assert not output.has("p")
    output.write("p", joined([rows_of(), rows_of("b.mp4")]))
    assert output.has("p")
    [(name, rows)] = output.videos()
    assert name == "p"
    assert [(row["path"], row["model"], row["seconds"]) for row in rows] == [
        ("/footage/a.mp4", MODEL.id, 2.0), ("/footage/b.mp4", MODEL.id, 2.0)
    ]  # fmt: skip
    files = {table: f"'{tmp_path}/out/{table}/*.{form}'" for table in ("windows", "events", "videos")}
    found = duckdb.sql(f"SELECT path, start_seconds, probabilities['fight'] FROM {files['windows']} ORDER BY ALL")
    assert found.fetchall() == [
        (f"/footage/{video}.mp4", start, pytest.approx(value, abs=1e-7))
        for video in "ab" for start, value in ((0.0, 0.2), (1.0, 0.95))
    ]  # fmt: skip
    found = duckdb.sql(
        f"SELECT class_name, onset_seconds, probability, model_name FROM {files['events']} "
        f"JOIN {files['videos']} USING (path, model)"
    )
    assert found.fetchall() == [("fight", 1.0, 0.95, "runs/mine")] * 2


def test_parts_are_written_to_addresses_and_incomplete_ones_are_removed():
    output, files = output_at("memory://bulk/out", "jsonl"), fsspec.filesystem("memory")
    output.create()
    output.write("whole", rows_of())
    left = (
        "windows/half.jsonl",
        "events/half.jsonl",
        "videos/.half.jsonl.tmp",
        "videos/.x.7.tmp.jsonl",
        "parts-1.json",
    )
    files.pipe({f"/bulk/out/{name}": b"{" for name in left})
    assert [name for name, _ in output.videos()] == ["whole"]
    output.remove_incomplete()
    assert sorted(files.find("/bulk")) == [
        f"/bulk/out/{table}/whole.jsonl" for table in ("events", "videos", "windows")
    ]
    files.rm("/bulk", recursive=True)


def test_the_table_of_videos_is_written_last(tmp_path, monkeypatch):
    output, written = output_at(str(tmp_path), "parquet"), []
    monkeypatch.setattr(rows, "_write_file", lambda file, content: written.append(file.parent.name))
    output.write("p", rows_of())
    assert written[-1] == "videos"
    assert sorted(written) == ["events", "videos", "windows"]


def test_a_file_that_is_not_complete_is_in_no_table(tmp_path, monkeypatch):
    output = output_at(str(tmp_path), "parquet")
    output.create()
    output.write("whole", rows_of())

    def die(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("pathlib.Path.rename", die)
    with pytest.raises(KeyboardInterrupt):
        output.write("half", rows_of("b.mp4"))
    assert duckdb.sql(f"SELECT path FROM '{tmp_path}/events/*.parquet'").fetchall() == [("/footage/a.mp4",)]
    output.remove_incomplete()
    assert len(list(tmp_path.glob("*/*"))) == 3
