"""Building: the records, invalid videos, and builds that are interrupted or run at the same time."""

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import tensorflow_datasets as tfds
from tensorflow_datasets.proto import tf_example_pb2

import tfds_builders  # noqa: F401 - registers the builders
from jaxvid.video.clips import encode_clip
from jaxvid.video.files import write_video
from jaxvid.video.workers import InvalidVideoError
from tfds_builders.shards import write_shards

REPOSITORY = Path(__file__).parents[2]


def write_clips(directory: Path, names: list[str], num_frames: int = 4) -> None:
    """Clips whose gray is 40 for the class `calm` and 160 for any other."""
    for name in names:
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        gray = 40 if path.parent.name == "calm" else 160
        write_video(path, np.full((num_frames, 64, 64, 3), gray, np.uint8), 12.5)


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """A folder with splits of its own: 4 clips for training and 2 for testing."""
    directory = tmp_path_factory.mktemp("videos")
    write_clips(directory, [f"train/{label}/{k}.avi" for label in ("calm", "fight") for k in range(2)])
    write_clips(directory, [f"test/{label}/-{k}.mp4" for label in ("calm", "fight") for k in range(1)], num_frames=1)
    return directory


def builder_of(directory: Path, data_dir: Path, **kwargs) -> tfds.core.DatasetBuilder:
    return tfds.builder("video_folder/64x64", directory=directory, data_dir=data_dir, num_workers=1, **kwargs)


def run_python(code: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_examples_hold_frames_source_and_filename(videos, tmp_path):
    builder = builder_of(videos, tmp_path)
    builder.download_and_prepare()

    assert [(name, split.num_examples) for name, split in builder.info.splits.items()] == [("train", 4), ("test", 2)]
    assert builder.info.features["label"].names == ["calm", "fight"]
    train = list(builder.as_data_source("train"))
    assert {example["filename"].decode() for example in train} == {
        f"train/{label}/{k}.avi" for label in ("calm", "fight") for k in range(2)
    }
    for example in train:
        frames = np.stack(example["video"])
        assert frames.shape == (4, 64, 64, 3)
        np.testing.assert_allclose(frames.mean(), 160 if example["label"] else 40, atol=4)
        assert example["label"] == ("fight" in example["filename"].decode())
        assert example["fps"] == pytest.approx(12.5)
    assert {(len(example["video"]), example["source"].decode()) for example in builder.as_data_source("test")} == {
        (1, "calm/-0"),
        (1, "fight/-0"),
    }


def test_frames_are_stored_as_the_workers_encoded_them(videos, tmp_path):
    builder = builder_of(videos, tmp_path)
    builder.download_and_prepare()
    records = builder.as_data_source("test", deserialize_method=tfds.decode.DeserializeMethod.RAW_BYTES)
    stored = tf_example_pb2.Example.FromString(records[0]).features.feature
    path = videos / stored["filename"].bytes_list.value[0].decode()
    assert list(stored["video"].bytes_list.value) == encode_clip(path, (64, 64)).frames


def test_every_split_has_an_index_of_its_clips(videos, tmp_path):
    builder = builder_of(videos, tmp_path)
    builder.download_and_prepare()
    for split in ("train", "test"):
        rows = pq.read_table(Path(builder.data_dir) / f"clips-{split}.parquet").to_pylist()
        stored = list(builder.as_data_source(split))
        assert [row["filename"] for row in rows] == [example["filename"].decode() for example in stored]
        for row in rows:
            path = videos / row["filename"]
            assert row["label"] == path.parent.name
            assert row["source"] == f"{path.parent.name}/{path.stem}"
            assert row["video"] == row["filename"]
            assert (row["num_frames"], row["num_samples"], row["fps"]) == (4 if split == "train" else 1, 0, 12.5)
            file = row["file"]
            assert (file["container"], file["codec"]) == (("avi", "mjpeg") if split == "train" else ("mov", "mpeg4"))
            assert (file["height"], file["width"], file["fps"], file["has_sound"]) == (64, 64, 12.5, False)
            assert file["seconds"] == pytest.approx(row["num_frames"] / 12.5)
            assert file["num_bytes"] == path.stat().st_size
            # Every frame of these videos is the same.
            assert set(row["pixel_change"].values()) == {0}
    # TFDS knows the records alone.
    read = tfds.builder_from_directory(builder.data_dir)
    source = read.as_data_source("train", deserialize_method=tfds.decode.DeserializeMethod.RAW_BYTES)
    assert read.info.splits["train"].num_bytes == sum(len(source[position]) for position in range(4))
    assert [path.name for path in read.info.splits["train"].filepaths] == [
        "video_folder-train.array_record-00000-of-00001"
    ]


def test_statistics_have_the_properties_of_the_files_by_class(tmp_path):
    directory = tmp_path / "videos"
    write_clips(directory, ["train/calm/1.avi", "train/calm/2.avi", "test/calm/1.avi", "test/fight/1.mp4"])
    write_clips(directory, ["train/fight/1.mp4"], num_frames=8)
    builder = builder_of(directory, tmp_path / "data")
    builder.download_and_prepare()
    train = json.loads((Path(builder.data_dir) / "statistics.json").read_text())["train"]
    assert (train["videos"], train["examples"]) == (3, 3)
    calm, fight = train["classes"]["calm"], train["classes"]["fight"]
    assert (calm["videos"], calm["with_sound"], calm["codec"], calm["fps"]) == (2, 0, {"mjpeg": 2}, {"12.5": 2})
    # Four and eight frames, 12.5 per second; the size is that of the files.
    assert (calm["seconds"]["median"], fight["seconds"]["median"]) == pytest.approx((0.32, 0.64))
    assert (fight["codec"], fight["container"], fight["size"]) == ({"mpeg4": 1}, {"mov": 1}, {"64x64": 1})


def test_a_built_dataset_knows_its_classes_without_its_videos(videos, tmp_path):
    directory = tmp_path / "videos"
    shutil.copytree(videos, directory)
    builder_of(directory, tmp_path / "data").download_and_prepare()
    shutil.rmtree(directory)
    builder = builder_of(directory, tmp_path / "data")
    builder.download_and_prepare()
    assert builder.info.features["label"].names == ["calm", "fight"]
    assert len(builder.as_data_source("train")) == 4


def test_an_invalid_video_stops_the_build_and_leaves_nothing(videos, tmp_path):
    shutil.copytree(videos, tmp_path / "videos")
    (tmp_path / "videos" / "train" / "calm" / "broken.mp4").touch()
    builder = builder_of(tmp_path / "videos", tmp_path / "data")
    with pytest.raises(InvalidVideoError, match=r"train/calm/broken\.mp4: the file is empty.*on_invalid"):
        builder.download_and_prepare()
    assert not builder.is_prepared()
    assert [path.name for path in Path(builder.data_dir).parent.iterdir()] == [".1.0.0.lock"]


def test_invalid_videos_are_skipped_and_listed(videos, tmp_path):
    shutil.copytree(videos, tmp_path / "videos")
    (tmp_path / "videos" / "train" / "calm" / "broken.mp4").touch()
    builder = builder_of(tmp_path / "videos", tmp_path / "data", on_invalid="skip")
    builder.download_and_prepare()
    assert builder.info.splits["train"].num_examples == 4
    assert json.loads((Path(builder.data_dir) / "invalid_videos.json").read_text()) == [
        {"filename": "train/calm/broken.mp4", "split": "train", "reason": "the file is empty"}
    ]


def test_a_split_without_a_valid_video_is_an_error(videos, tmp_path):
    shutil.copytree(videos, tmp_path / "videos")
    for path in (tmp_path / "videos" / "test").rglob("*.mp4"):
        path.write_bytes(b"")
    builder = builder_of(tmp_path / "videos", tmp_path / "data", on_invalid="skip")
    with pytest.raises(ValueError, match="no video of the split 'test' can be decoded"):
        builder.download_and_prepare()
    assert not builder.is_prepared()


def test_options_are_checked(tmp_path):
    with pytest.raises(ValueError, match='on_invalid must be "error" or "skip", got \'ignore\''):
        builder_of(tmp_path, tmp_path, on_invalid="ignore")
    builder = tfds.builder("synthetic_fight/tiny", data_dir=tmp_path)
    with pytest.raises(ValueError, match="num_shards cannot be set"):
        builder.download_and_prepare(download_config=tfds.download.DownloadConfig(num_shards=2))


def test_other_counts_than_published_are_built_with_a_warning(tmp_path, caplog):
    write_clips(
        tmp_path / "manual" / "RWF-2000", [f"{s}/{c}/a_1.avi" for s in ("train", "val") for c in ("Fight", "NonFight")]
    )
    builder = tfds.builder("rwf2000/64x64", data_dir=tmp_path / "data", num_workers=1)
    builder.download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir=tmp_path / "manual"))
    assert "rwf2000: train, fight: 1 videos instead of 800" in caplog.text
    assert {name: split.num_examples for name, split in builder.info.splits.items()} == {"train": 2, "val": 2}


def test_files_left_out_of_an_incomplete_dataset_are_named(tmp_path, caplog):
    # Of different lengths: identical files would be one source.
    for number, name in enumerate(["fi1_xvid.avi", "fi21_xvid.avi", "no1_xvid.avi", "no21_xvid.avi", "strange.avi"]):
        write_clips(tmp_path / "manual", [name], num_frames=4 + number)
    builder = tfds.builder("hockey_fight/64x64", data_dir=tmp_path / "data", num_workers=1)
    builder.download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir=tmp_path / "manual"))
    assert "hockey_fight: fight: 2 videos instead of 500" in caplog.text
    assert "hockey_fight: 1 video files left out: strange.avi" in caplog.text


def test_max_examples_per_split_bounds_every_split(videos, tmp_path):
    builder = builder_of(videos, tmp_path)
    builder.download_and_prepare(download_config=tfds.download.DownloadConfig(max_examples_per_split=1))
    assert {name: split.num_examples for name, split in builder.info.splits.items()} == {"test": 1, "train": 1}
    assert pq.read_metadata(Path(builder.data_dir) / "clips-train.parquet").num_rows == 1


def test_large_splits_are_written_in_shards(videos, tmp_path):
    builder = builder_of(videos, tmp_path)
    # A clip takes some 3 KB: two per shard.
    builder.download_and_prepare(download_config=tfds.download.DownloadConfig(max_shard_size=4_000))
    assert builder.info.splits["train"].shard_lengths == [2, 2]
    names = sorted(path.name for path in Path(builder.data_dir).glob("*-train.array_record*"))
    assert names == [f"video_folder-train.array_record-0000{k}-of-00002" for k in range(2)]
    assert len({example["filename"] for example in builder.as_data_source("train")}) == 4


def test_records_are_written_one_at_a_time(tmp_path):
    written = tmp_path / "unnamed-0"
    sizes_on_disk = []

    def records():
        for _ in range(64):
            yield np.random.default_rng(0).bytes(1 << 20)
            sizes_on_disk.append(written.stat().st_size)

    shards = write_shards(records(), tmp_path, tfds.core.FileFormat.ARRAY_RECORD, 1 << 30)
    assert [(shard.num_records, shard.num_bytes) for shard in shards] == [(64, 64 << 20)]
    # After 32 MB of records, most of them are in the file and not in memory.
    assert sizes_on_disk[32] > 16 << 20


BUILD = """
import sys, tensorflow_datasets as tfds, tfds_builders
builder = tfds.builder("video_folder/64x64", directory=sys.argv[1], data_dir=sys.argv[2], num_workers=1)
builder.download_and_prepare()
print(len(builder.as_data_source("train")))
"""


def test_a_killed_build_is_not_prepared_and_the_next_one_cleans_up(tmp_path):
    # The last file never ends: the build is still running, with a shard begun, when it is killed.
    write_clips(tmp_path / "videos", [f"train/{label}/{k}.avi" for label in ("calm", "fight") for k in range(2)])
    write_clips(tmp_path / "videos", ["val/calm/1.avi", "val/fight/1.avi"])
    pipe = tmp_path / "videos" / "val" / "calm" / "hangs.mp4"
    os.mkfifo(pipe)
    builder = builder_of(tmp_path / "videos", tmp_path / "data")
    parent = Path(builder.data_dir).parent
    with run_python(BUILD, tmp_path / "videos", tmp_path / "data") as build:
        while not any(parent.glob("incomplete.*/*train*")):
            assert build.poll() is None, build.stderr.read()
            time.sleep(0.05)
        build.send_signal(signal.SIGKILL)
    assert any(parent.glob("incomplete.*"))
    assert not builder_of(tmp_path / "videos", tmp_path / "data").is_prepared()

    pipe.unlink()
    builder.download_and_prepare()
    assert sorted(path.name for path in parent.iterdir()) == [".1.0.0.lock", "1.0.0"]
    assert len(builder.as_data_source("train")) == 4
    assert len(builder.as_data_source("val")) == 2


def test_a_build_waits_for_another_one_and_uses_its_dataset(videos, tmp_path):
    builder = builder_of(videos, tmp_path)
    final = Path(builder.data_dir)
    final.parent.mkdir(parents=True)
    with (final.parent / ".1.0.0.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with run_python(BUILD, videos, tmp_path) as waiting:
            for line in waiting.stderr:
                if "Another process is building" in line:
                    break
            # The dataset that the process with the lock has built meanwhile.
            other = builder_of(videos, tmp_path / "other")
            other.download_and_prepare()
            shutil.copytree(other.data_dir, final)
            fcntl.flock(lock, fcntl.LOCK_UN)
            output, errors = waiting.communicate(timeout=60)
    assert output.splitlines()[-1] == "4", errors
    assert "video_folder train" not in errors


def test_the_other_format_in_one_data_dir_is_an_error(videos, tmp_path):
    builder_of(videos, tmp_path).download_and_prepare()
    builder = builder_of(videos, tmp_path, file_format="array_record")
    with pytest.raises(
        ValueError, match="holds this dataset as array_record; to have it as tfrecord, use another data_dir"
    ):
        builder_of(videos, tmp_path, file_format="tfrecord")
    with pytest.raises(ValueError, match="holds this dataset as array_record"):
        builder.download_and_prepare(file_format="tfrecord")
    with pytest.raises(NotImplementedError, match="holds ArrayRecord, which tf.data cannot read: read it with"):
        builder.as_dataset(split="train")
