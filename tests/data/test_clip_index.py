"""The index of a split's clips: what it says, that opening a split reads it alone, and what happens without it."""

import json
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import tensorflow_datasets as tfds

from jaxvid.data import clip_index
from jaxvid.data.clip_index import open_index
from jaxvid.data.dataset import open_split

NAME = Path("synthetic_fight") / "tiny" / "1.0.0"


@pytest.fixture
def copied(data_dir, tmp_path):
    """The directory of a copy of the tiny dataset, of which no split has been opened."""
    shutil.copytree(data_dir / NAME, tmp_path / NAME)
    return tmp_path / NAME


def builder_of(directory: Path) -> tfds.core.DatasetBuilder:
    return tfds.builder_from_directory(directory)


@pytest.fixture
def no_records(monkeypatch):
    def refuse(record):
        raise AssertionError("a record was read")

    monkeypatch.setattr(clip_index, "parse_clip", refuse)


def test_an_index_says_of_every_record_what_is_in_it(copied, no_records):
    builder = builder_of(copied)
    for split in ("train", "test", "train+val", "val[2:5]+train[50%:]"):
        opened = open_split(builder, split)
        metadata = opened.metadata
        examples = list(builder.as_data_source(split))
        assert metadata.filenames == [example["filename"].decode() for example in examples]
        assert metadata.videos == metadata.filenames
        assert metadata.sources == [example["source"].decode() for example in examples]
        assert metadata.labels.tolist() == [example["label"] for example in examples]
        assert metadata.num_frames.tolist() == [len(example["video"]) for example in examples]
        assert metadata.fps.tolist() == [example["fps"] for example in examples]
        assert metadata.num_samples.tolist() == [0] * len(examples)
        assert opened.rows()["filename"].to_pylist() == metadata.filenames
    fold = open_split(builder, "train@1/4")
    assert fold.rows()["filename"].to_pylist() == [fold[position].filename for position in range(len(fold))]


def test_a_dataset_without_an_index_is_read_once(copied, caplog, monkeypatch):
    caplog.set_level("INFO")
    written = pq.read_table(copied / "clips-train.parquet")
    (copied / "clips-train.parquet").unlink()
    open_split(builder_of(copied), "train")
    assert "synthetic_fight/tiny/1.0.0 was built without an index" in caplog.text
    made = pq.read_table(copied / "clips-train.parquet")
    # Of the files nothing is known; all else is what the builder wrote.
    assert made["file"].null_count == len(made) == 16
    assert made.drop_columns("file").equals(written.drop_columns("file"))
    assert made.schema.metadata == written.schema.metadata

    clip_index._whole_split.cache_clear()
    monkeypatch.setattr(clip_index, "parse_clip", None)
    assert open_index(builder_of(copied), "train").equals(made)


def change_fact(path: Path, name: str, value: object) -> None:
    table = pq.read_table(path)
    facts = json.loads(table.schema.metadata[b"records"])
    pq.write_table(table.replace_schema_metadata({"records": json.dumps(facts | {name: value})}), path)


def drop_row(path: Path) -> None:
    table = pq.read_table(path)
    pq.write_table(table.slice(1), path)


def assert_made_again(copied, caplog, spoil, reason):
    path = copied / "clips-train.parquet"
    right = pq.read_table(path)["filename"].to_pylist()
    spoil(path)
    table = open_index(builder_of(copied), "train")
    assert f"{path} does not fit the records: {reason}" in caplog.text
    assert table["filename"].to_pylist() == right
    clip_index._whole_split.cache_clear()
    caplog.clear()
    open_index(builder_of(copied), "train")
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("shard_lengths", [8, 8], "its shard_lengths is [8, 8], that of the records [16]"),
        ("num_bytes", 7, "its num_bytes is 7, that of the records"),
        ("dataset", "synthetic_fight/tiny/0.9.0", "its dataset is synthetic_fight/tiny/0.9.0, that of the records"),
        ("class_names", ["a"], "its class_names is ['a'], that of the records"),
        ("format", 0, "its format is 0, that of the records 1"),
    ],
)
def test_an_index_of_other_records_is_made_again(copied, caplog, name, value, reason):
    assert_made_again(copied, caplog, lambda path: change_fact(path, name, value), reason)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (drop_row, "it has 15 rows for 16 records"),
        (lambda path: path.write_bytes(path.read_bytes()[:-100]), "it cannot be read: "),
        (lambda path: path.write_bytes(b""), "it cannot be read: "),
    ],
)
def test_a_damaged_index_is_made_again(copied, caplog, spoil, reason):
    assert_made_again(copied, caplog, spoil, reason)


def test_where_the_index_cannot_be_written_it_is_kept_in_memory(copied, caplog, monkeypatch):
    def refuse(*_):
        raise PermissionError("read-only")

    monkeypatch.setattr(clip_index, "write_index", refuse)
    (copied / "clips-train.parquet").unlink()
    before = sorted(copied.iterdir())
    assert len(open_split(builder_of(copied), "train")) == 16
    assert "clips-train.parquet cannot be written (read-only)" in caplog.text
    assert sorted(copied.iterdir()) == before
    monkeypatch.setattr(clip_index, "parse_clip", None)
    assert len(open_index(builder_of(copied), "train[:5]")) == 5


def test_a_damaged_frame_is_named(copied, monkeypatch):
    (copied / "clips-train.parquet").unlink()

    def damaged(**_):
        raise ValueError("a frame is no JPEG image")

    monkeypatch.setattr(clip_index, "clip_row", damaged)
    with pytest.raises(ValueError, match=r"\.mp4 in .*1\.0\.0: a frame is no JPEG image; the dataset is damaged"):
        open_index(builder_of(copied), "train")
    assert not (copied / "clips-train.parquet").exists()
