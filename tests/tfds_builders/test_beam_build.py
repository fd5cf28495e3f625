"""Building on Apache Beam: the same files as without, and one line for each thing that goes wrong."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds
from apache_beam.options.pipeline_options import PipelineOptions
from fsspec.implementations.memory import MemoryFileSystem

import tfds_builders  # noqa: F401 - registers the builders
from jaxvid.video.addresses import as_path
from jaxvid.video.sound import write_video_with_sound
from jaxvid.video.workers import InvalidVideoError
from tests.tfds_builders.test_video_dataset import REPOSITORY, write_clips
from tests.video.test_ranges import write_film
from tfds_builders import beam_build
from tfds_builders.beam_decoding import check_same
from tfds_builders.beam_writing import first_places

# The one that DirectRunner uses, unless it can fetch another from the network.
IN_PROCESS = ["--runner=FnApiRunner"]
TWO_PROCESSES = [*IN_PROCESS, "--direct_running_mode=multi_processing", "--direct_num_workers=2"]


def build(directory, data_dir, options=None, config="64x64", max_shard_size=1 << 30, **kwargs):
    """Builds `video_folder` on Beam with those options, or without Beam; returns the directory of its files."""
    builder = tfds.builder(f"video_folder/{config}", directory=directory, data_dir=data_dir, num_workers=1, **kwargs)
    beam_options = None if options is None else PipelineOptions(options)
    builder.download_and_prepare(
        download_config=tfds.download.DownloadConfig(beam_options=beam_options, max_shard_size=max_shard_size)
    )
    return Path(builder.data_dir)


def contents(directory):
    return {path.name: path.read_bytes() for path in directory.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    directory = tmp_path_factory.mktemp("videos")
    write_clips(directory, [f"train/{label}/{k}.avi" for label in ("calm", "fight") for k in range(2)])
    write_clips(directory, [f"test/{label}/-{k}.mp4" for label in ("calm", "fight") for k in range(1)], num_frames=1)
    (directory / "train" / "calm" / "broken.mp4").touch()
    return directory


def test_files_are_those_of_a_build_without_beam(videos, tmp_path):
    # A clip takes some 3 KB: two per shard.
    local = build(videos, tmp_path / "local", max_shard_size=4_000, on_invalid="skip")
    on_beam = build(videos, tmp_path / "beam", IN_PROCESS, max_shard_size=4_000, on_invalid="skip")
    assert contents(on_beam) == contents(local)
    names = set(contents(on_beam))
    assert {f"video_folder-train.array_record-0000{k}-of-00002" for k in range(2)} < names
    assert {"clips-train.parquet", "clips-test.parquet", "statistics.json", "dataset_info.json"} < names
    assert json.loads((on_beam / "invalid_videos.json").read_text()) == [
        {"filename": "train/calm/broken.mp4", "split": "train", "reason": "the file is empty"}
    ]


# Of every interpreter that begins: decoding breaks on files of these names.
BREAKING = """
import os, pathlib, sys, time
stat = pathlib.Path.stat
def break_on(path, **options):
    if path.name == "aborts.mp4":
        os.abort()
    if path.name == "hangs.mp4":
        time.sleep(1000)
    return stat(path, **options)
if "_work(" in sys.orig_argv[-1]:
    pathlib.Path.stat = break_on
"""


@pytest.fixture
def breaking(tmp_path, monkeypatch):
    (tmp_path / "path").mkdir()
    (tmp_path / "path" / "sitecustomize.py").write_text(BREAKING)
    monkeypatch.syspath_prepend(str(tmp_path / "path"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path / "path"), str(REPOSITORY)]))


@pytest.mark.slow
def test_sequences_of_films_on_two_processes_are_those_without_beam(breaking, tmp_path):
    directory = tmp_path / "videos"
    for number, label in enumerate(("calm", "fight")):
        (directory / "train" / label).mkdir(parents=True)
        write_film(directory / "train" / label / "film.mp4", "libx264", num_frames=100 + number)
        short = np.full((20 + number, 48, 64, 3), 90, np.uint8)
        write_video_with_sound(directory / "train" / label / "short.avi", short, 10.0, np.zeros(16_000, np.int16), 8000)
    for name in ("empty.mp4", "aborts.mp4", "hangs.mp4"):
        (directory / "train" / "calm" / name).touch()
    # The end of the third film is missing, which all of its ranges notice.
    write_film(directory / "train" / "fight" / "cut.mkv", "libx264")
    content = (directory / "train" / "fight" / "cut.mkv").read_bytes()
    (directory / "train" / "fight" / "cut.mkv").write_bytes(content[: len(content) * 3 // 4])
    options = {
        "config": "64x64_4fps_5frames_8000hz",
        "on_invalid": "skip",
        "timeout_seconds": 10.0,
        "range_seconds": 2.5,
        "max_shard_size": 40_000,
    }
    local = contents(build(directory, tmp_path / "local", **options))
    on_beam = contents(build(directory, tmp_path / "beam", TWO_PROCESSES, **options))
    assert on_beam == local
    assert len([name for name in local if "-train.array_record" in name]) > 1
    assert {video["filename"]: video["reason"] for video in json.loads(local["invalid_videos.json"])} == {
        "train/calm/empty.mp4": "the file is empty",
        "train/calm/aborts.mp4": "the decoder crashed: killed by SIGABRT",
        "train/calm/hangs.mp4": "not decoded within 10 s",
        "train/fight/cut.mkv": "its video ends at 7.4 of 10.0 s: it is cut short",
    }


def test_an_invalid_video_stops_the_build_and_leaves_nothing(videos, tmp_path):
    with pytest.raises(InvalidVideoError, match=r"train/calm/broken\.mp4: the file is empty \(on_invalid=\"skip\""):
        build(videos, tmp_path, IN_PROCESS)
    assert [path.name for path in next(tmp_path.glob("video_folder/*-64x64")).iterdir()] == [".1.0.0.lock"]


@pytest.mark.slow
def test_on_two_processes_too_the_error_is_one_line(videos, tmp_path):
    with pytest.raises(InvalidVideoError, match=r"train/calm/broken\.mp4: the file is empty \(on_invalid=\"skip\""):
        build(videos, tmp_path, TWO_PROCESSES)
    assert [path.name for path in next(tmp_path.glob("video_folder/*-64x64")).iterdir()] == [".1.0.0.lock"]


def test_a_worker_with_other_versions_is_named(videos, tmp_path, monkeypatch):
    installed = beam_build.installed
    monkeypatch.setattr(beam_build, "installed", lambda: installed() | {"av": "1.2.3"})
    with pytest.raises(ValueError, match=r"worker \S+ has av \S+ instead of 1\.2\.3: install on all workers"):
        build(videos, tmp_path, IN_PROCESS, on_invalid="skip")


def test_a_worker_without_a_decoder_is_named():
    assert check_same({"decord": "0.6.0", "av": "18"}, {"decord": "0.6.0", "av": "18"}) is None
    with pytest.raises(ValueError, match=r"worker \S+ has decord not installed instead of 0\.6\.0"):
        check_same({"decord": "0.6.0", "av": "18"}, {"decord": "not installed", "av": "18"})


def test_shards_end_with_the_record_that_fills_them():
    sizes = [((2, 0), 5), ((0, 0), 6), ((0, 1), 5), ((1, 0), 12), ((4, 0), 1), ((2, 1), 5)]
    # 6 + 5 reach 10; 12 do alone; 5 + 5 do exactly.
    assert first_places(sizes, 10) == [(0, 0), (1, 0), (2, 0), (4, 0)]
    assert first_places([], 10) == []


@pytest.fixture
def memory(monkeypatch):
    """Nothing is at addresses of memory://, before or after the test."""
    monkeypatch.setattr(MemoryFileSystem, "store", {})
    monkeypatch.setattr(MemoryFileSystem, "pseudo_dirs", [""])


def test_videos_at_an_address_give_the_records_of_a_folder(memory, videos, tmp_path):
    address = "memory://bucket/videos"
    for path in videos.rglob("*.*"):
        target = as_path(f"{address}/{path.relative_to(videos).as_posix()}")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    # The name of the dataset has that of the folder; its description has its path.
    local = contents(build(videos, tmp_path / "local", on_invalid="skip"))
    # Neither do the workers see the folder of the dataset.
    options = [*IN_PROCESS, "--temp_location=memory://bucket/temporary"]
    on_beam = contents(build(f"{address}/", tmp_path / "beam", options, on_invalid="skip"))
    assert not list(as_path("memory://bucket").glob("temporary/**/*-*"))
    own = {"dataset_info.json", "clips-train.parquet", "clips-test.parquet"}
    assert {name: on_beam[name] for name in on_beam if name not in own} == {
        name: local[name] for name in local if name not in own
    }
    with pytest.raises(ValueError, match=r"memory://bucket/videos: videos at an address are built on Apache Beam"):
        build(address, tmp_path / "without", on_invalid="skip")


def test_an_address_that_cannot_be_read_is_one_line(memory, tmp_path, monkeypatch):
    def deny(*arguments, **options):
        raise PermissionError("403: no access\nwith details")

    with pytest.raises(ValueError, match=r"^memory://nothing/here cannot be read: FileNotFoundError"):
        build("memory://nothing/here", tmp_path, IN_PROCESS)
    with pytest.raises(ValueError, match=r"^nosuch://bucket cannot be read: ValueError: Unsupported filesystem"):
        build("nosuch://bucket", tmp_path, IN_PROCESS)
    # As most file systems answer who may not read a bucket.
    monkeypatch.setattr(MemoryFileSystem, "isdir", lambda *arguments: False)
    monkeypatch.setattr(MemoryFileSystem, "ls", deny)
    with pytest.raises(ValueError, match=r"^memory://secret/videos cannot be read: PermissionError: 403: no access$"):
        build("memory://secret/videos", tmp_path, IN_PROCESS)


def test_what_beam_cannot_do_is_refused(videos, tmp_path):
    builder = tfds.builder("video_folder/64x64", directory=videos, data_dir=tmp_path)
    config = tfds.download.DownloadConfig(beam_options=PipelineOptions(IN_PROCESS), max_examples_per_split=1)
    with pytest.raises(ValueError, match="max_examples_per_split cannot be set on Apache Beam"):
        builder.download_and_prepare(download_config=config)
    with pytest.raises(ValueError, match="range_seconds must be positive, got 0"):
        tfds.builder("video_folder/64x64", directory=videos, data_dir=tmp_path, range_seconds=0)


BUILD = """
import sys, tensorflow_datasets as tfds, tfds_builders
from apache_beam.options.pipeline_options import PipelineOptions
builder = tfds.builder("video_folder/64x64", directory=sys.argv[1], data_dir=sys.argv[2])
options = PipelineOptions(sys.argv[3:])
builder.download_and_prepare(download_config=tfds.download.DownloadConfig(beam_options=options))
"""


@pytest.mark.slow
def test_a_killed_build_is_not_prepared_and_the_next_one_cleans_up(breaking, tmp_path):
    write_clips(tmp_path / "videos", ["train/calm/1.avi", "train/fight/1.avi"])
    hangs = tmp_path / "videos" / "train" / "calm" / "hangs.mp4"
    hangs.touch()
    command = [sys.executable, "-c", BUILD, str(tmp_path / "videos"), str(tmp_path / "data"), *TWO_PROCESSES]
    with subprocess.Popen(command) as process:
        while not any((tmp_path / "data").glob("video_folder/*/incomplete.*/beam/videos-train")):
            assert process.poll() is None
            time.sleep(0.1)
        process.send_signal(signal.SIGKILL)
    (parent,) = (tmp_path / "data" / "video_folder").glob("*-64x64")
    assert any(parent.glob("incomplete.*"))
    hangs.unlink()
    built = build(tmp_path / "videos", tmp_path / "data", IN_PROCESS)
    assert sorted(path.name for path in parent.iterdir()) == [".1.0.0.lock", "1.0.0"]
    assert tfds.builder_from_directory(built).info.splits["train"].num_examples == 2


@pytest.mark.slow
def test_the_command_of_tfds_builds_on_beam(videos, tmp_path):
    manual = tmp_path / "manual"
    shutil.copytree(videos, manual)
    (manual / "train" / "calm" / "broken.mp4").unlink()
    # As in the documentation, but for a file format of TensorFlow's.
    on_beam = ",".join(option.removeprefix("--") for option in TWO_PROCESSES)
    for name, options in (("local", []), ("beam", [f"--beam_pipeline_options={on_beam}"])):
        command = [
            "-m",
            "tensorflow_datasets.scripts.cli.main",
            "build",
            str(REPOSITORY / "tfds_builders/video_folder"),
        ]
        places = [f"--manual_dir={manual}", f"--data_dir={tmp_path / name}"]
        environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
        subprocess.run(
            [sys.executable, *command, *places, "--config=64x64", "--file_format=tfrecord", *options],
            env=environment,
            check=True,
            timeout=900,
        )
    assert contents(tmp_path / "beam" / "video_folder") == contents(tmp_path / "local" / "video_folder")
    assert contents(tmp_path / "beam" / "video_folder")


def test_nothing_but_building_on_beam_imports_it():
    code = "import sys, tfds_builders, tfds_builders.local_build, jaxvid.data.prepare.__main__, jaxvid.data.joined"
    code += "; print('apache_beam' in sys.modules, 'upath' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
