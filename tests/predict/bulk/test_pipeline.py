import dataclasses
import json
import shutil
import sys

import duckdb
import fsspec
import jax
import numpy as np
import pytest

from jaxvid.export.export import export
from jaxvid.predict.bulk import handler, parts
from jaxvid.predict.bulk.handler import BulkPredictor, VideoModelHandler, this_program
from jaxvid.predict.bulk.inputs import Input, find_inputs
from jaxvid.predict.bulk.parts import output_at
from jaxvid.predict.bulk.pipeline import pipeline_options, predict_bulk
from jaxvid.predict.files import PredictOptions
from jaxvid.predict.rows import Model, described_model
from jaxvid.predict.source import ModelFiles
from tests.commands import run_command
from tests.predict.made_videos import red_predictor, redness, write_red

# Beam leaves files and sockets to the garbage collector.
pytestmark = pytest.mark.filterwarnings("default")


@pytest.fixture(autouse=True)
def compiled_programs_of_the_tests(monkeypatch):
    """Tests leave the user's cache of compiled programs alone."""
    monkeypatch.setattr("jaxvid.commands.keep_compiled_programs", lambda: None)


@pytest.fixture
def red(monkeypatch):
    """The model files of a predictor that computes redness, in this process."""
    monkeypatch.setattr(ModelFiles, "load", lambda self: red_predictor())
    # One part, so that one process decodes.
    monkeypatch.setattr(parts, "_LEAST_PARTS", 1)
    return ModelFiles("red")


@pytest.fixture
def address(tmp_path):
    """A video at an address."""
    files = fsspec.filesystem("memory")
    write_red(tmp_path / "remote.avi", [0.7] * 3)
    files.pipe("/cam/remote.avi", (tmp_path / "remote.avi").read_bytes())
    yield "memory:///cam/remote.avi"
    files.rm("/cam", recursive=True)


def bulk(files, videos, directory, **options):
    output = output_at(str(directory), "parquet")
    return predict_bulk(files.load(), files, videos, output, PredictOptions(**options), pipeline_options(""))


def windows_in(directory):
    """Windows by path, each with start and probabilities, in order."""
    query = f"SELECT path, start_seconds, probabilities FROM '{directory}/windows/*.parquet' ORDER BY ALL"
    found = {}
    for path, start, probabilities in duckdb.sql(query).fetchall():
        found.setdefault(path, []).append((start, *probabilities.values()))
    return {path: np.asarray(rows) for path, rows in found.items()}


def test_every_video_is_predicted_as_alone_and_a_broken_one_is_listed(red, address, tmp_path, monkeypatch):
    (tmp_path / "gate").mkdir()
    levels = {"a.avi": [0.2] * 3, "b.avi": [0.9] * 2}
    videos = [write_red(tmp_path / "gate" / name, of_video) for name, of_video in levels.items()]
    (tmp_path / "gate" / "broken.mp4").write_bytes(b"no video")
    inputs = [*find_inputs([str(tmp_path / "gate"), address]), Input("memory:///cam/gone.mp4", 1)]
    result = bulk(red, inputs, tmp_path / "out")
    assert result.num_before == 0
    rows = {row["path"]: row for row in result.rows}
    assert len(rows) == len(result.rows) == 5
    assert "it cannot be opened" in rows[str(tmp_path / "gate" / "broken.mp4")]["not_read"]
    assert "FileNotFoundError" in rows["memory:///cam/gone.mp4"]["not_read"]
    assert {row["source"] for row in result.rows} == {"gate", "cam"}
    assert rows[address]["fps"] == 10.0
    found = windows_in(tmp_path / "out")
    assert set(found) == {*map(str, videos), address}
    for prediction in red_predictor().predict_videos(videos):
        timeline = prediction.timeline
        of_video = found[str(videos[prediction.video])]
        np.testing.assert_allclose(of_video[:, 0], timeline.starts, atol=1e-9)
        np.testing.assert_allclose(of_video[:, 1:], timeline.probabilities, atol=1e-5)
    assert found[address][:, 2] == pytest.approx(0.7, abs=0.02)
    events = duckdb.sql(f"SELECT path, class_name FROM '{tmp_path}/out/events/*.parquet' ORDER BY ALL").fetchall()
    assert events == [(str(videos[1]), "fight"), (address, "fight")]
    # What is written is not done again; what is new is.
    done, predict = [], BulkPredictor.predict
    monkeypatch.setattr(
        BulkPredictor, "predict", lambda self, part: done.append([v.path for v in part]) or predict(self, part)
    )
    assert bulk(red, inputs, tmp_path / "out") == (5, [])
    new = write_red(tmp_path / "gate" / "new.avi", [0.5] * 2)
    again = bulk(red, find_inputs([str(tmp_path / "gate")]), tmp_path / "out")
    assert (again.num_before, [row["path"] for row in again.rows]) == (3, [str(new)])
    assert done == [[str(new)]]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["events", "videos", "windows"]


def test_what_a_killed_run_left_of_a_part_is_done_again_and_once(red, tmp_path):
    video = write_red(tmp_path / "a.avi", [0.2] * 3)
    bulk(red, find_inputs([str(video)]), tmp_path / "out")
    [written] = (tmp_path / "out" / "videos").iterdir()
    written.unlink()
    # Of another part, which the next run would not write again.
    [windows] = (tmp_path / "out" / "windows").iterdir()
    shutil.copy(windows, windows.with_name("other.parquet"))
    result = bulk(red, find_inputs([str(video)]), tmp_path / "out")
    assert (result.num_before, len(result.rows)) == (0, 1)
    assert len(windows_in(tmp_path / "out")[str(video)]) == 3


def test_a_worker_that_differs_from_the_program_is_named(red, tmp_path, monkeypatch):
    program = this_program(described_model(red_predictor()))
    other = program._replace(version="0.0.1")
    with pytest.raises(ValueError, match=r"worker \S+ has jaxvid \S+, and the program that started it 0.0.1: install"):
        VideoModelHandler(red, PredictOptions(), other).load_model()
    video = find_inputs([str(write_red(tmp_path / "a.avi", [0.2]))])
    monkeypatch.setattr(handler, "described_model", lambda predictor: Model("other", "red", 0))
    with pytest.raises(ValueError, match="the pipeline failed: worker .* has another model .*: other and ") as error:
        bulk(red, video, tmp_path / "out")
    assert "\n" not in str(error.value)


def test_a_worker_compiles_once_when_it_loads_the_model(monkeypatch, tmp_path):
    traced = []

    @jax.jit
    def compiled(frames):
        traced.append(frames.shape)
        return redness({}, {"frames": np.zeros(frames.shape)}) + 0 * frames.mean()

    predictor = dataclasses.replace(red_predictor(), probabilities=lambda _, inputs: compiled(inputs["frames"]))
    monkeypatch.setattr(ModelFiles, "load", lambda self: predictor)
    program = this_program(described_model(predictor))
    model = VideoModelHandler(ModelFiles("red"), PredictOptions(), program).load_model()
    assert traced == [(2, 5, 16, 16, 3)]
    videos = find_inputs([str(write_red(tmp_path / f"{number}.avi", [0.2] * 3)) for number in range(2)])
    assert model.predict(videos).windows.num_rows == 6
    assert len(traced) == 1


def test_options_of_beam_are_passed_on_and_unknown_ones_refused():
    options = pipeline_options("--runner=DirectRunner --direct_num_workers=2").get_all_options(drop_default=True)
    assert options == {"runner": "DirectRunner", "direct_num_workers": 2}
    with pytest.raises(ValueError, match="FnApiRunner does not know: direct_num_wokers"):
        pipeline_options("--direct_num_wokers=2")
    pipeline_options("--runner=FlinkRunner --max_parallelism=8")


def test_flags_that_do_not_go_with_beam_are_refused(tmp_path, monkeypatch):
    def refused(message, *arguments):
        with pytest.raises(ValueError, match=message):
            run_command("jaxvid.predict", "--workdir=nowhere", "--beam", *arguments)

    output = f"--output={tmp_path / 'out'}"
    refused("--beam and --annotate exclude each other", output, "--annotate", "a.mp4")
    refused("--beam and --database exclude each other", output, "--database=x.duckdb", "a.mp4")
    refused("--beam needs --output", "a.mp4")
    refused("nothing.mp4 matches no video", output, tmp_path / "*nothing.mp4")
    video = write_red(tmp_path / "a.avi", [0.2])
    refused("nowhere is no workdir of a training run", output, video)
    monkeypatch.delitem(sys.modules, "jaxvid.predict.bulk.pipeline")
    monkeypatch.setitem(sys.modules, "apache_beam", None)
    refused(r'--beam needs Apache Beam: pip install "jaxvid\[beam\]"', output, video)
    with pytest.raises(ValueError, match="give either --workdir, a run directory, or --exported"):
        run_command("jaxvid.predict", f"--workdir={tmp_path}", "--exported=model.zip", video)


@pytest.mark.slow
def test_processes_predict_what_the_plain_command_does(workdir, tmp_path, capsys):
    (tmp_path / "videos").mkdir()
    for number in range(6):
        write_red(tmp_path / "videos" / f"{number}.avi", np.linspace(0, number / 6, 4))
    arguments = [f"--workdir={workdir}", "--noplot"]
    run_command("jaxvid.predict", *arguments, f"--output={tmp_path}/pages", f"--database={tmp_path}/plain",
                tmp_path / "videos")  # fmt: skip
    plain = windows_in(tmp_path / "plain")
    assert len(plain) == 6
    options = "--beam_options=--direct_num_workers=2 --direct_running_mode=multi_processing"
    beam = ["--beam", options, f"{tmp_path}/videos/*.avi"]

    def assert_same(directory):
        found = windows_in(directory)
        assert set(found) == set(plain)
        for path, rows in found.items():
            np.testing.assert_allclose(rows, plain[path], atol=1e-5)

    assert run_command("jaxvid.predict", *arguments, *beam, f"--output={tmp_path}/bulk", "--beam_share") == 0
    assert "6 videos predicted, 0.00 h; 0 were before" in capsys.readouterr().out
    assert_same(tmp_path / "bulk")
    export(workdir, tmp_path / "model.zip")
    exported = [f"--exported={tmp_path / 'model.zip'}", "--beam", f"{tmp_path}/videos"]
    assert run_command("jaxvid.predict", *exported, f"--output={tmp_path}/exported") == 0
    assert_same(tmp_path / "exported")
    # A second model in the same tables, as JSON lines.
    capsys.readouterr()
    assert run_command("jaxvid.predict", *exported, f"--output={tmp_path}/bulk", "--beam_format=jsonl") == 0
    assert "6 videos predicted, 0.00 h; 0 were before" in capsys.readouterr().out
    files = (tmp_path / "bulk" / "windows").glob("*.jsonl")
    lines = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    assert len(lines) == sum(map(len, plain.values()))
    models = duckdb.sql(f"SELECT DISTINCT model FROM '{tmp_path}/bulk/videos/*.parquet'").fetchall()
    assert len(models) == 1
    assert (lines[0]["model"],) not in models
