import subprocess
import sys
import threading
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow_datasets as tfds

from jaxvid.commands import user_message
from jaxvid.data import dataset as dataset_module
from jaxvid.data.dataset import find_prepared, open_split, require_threads, shared_sources
from jaxvid.data.records import decode_frames


@pytest.fixture(scope="module")
def builder(data_dir):
    return tfds.builder("synthetic_fight/tiny", data_dir=data_dir)


def test_a_split_holds_the_clips_that_tfds_reads(builder):
    split = open_split(builder, "train")
    examples = list(builder.as_data_source("train"))
    assert len(split) == len(examples) == 16
    for position in (0, 7):
        clip, example = split[position], examples[position]
        assert (clip.label, clip.source, clip.filename) == (
            example["label"],
            example["source"].decode(),
            example["filename"].decode(),
        )
        assert clip.fps == example["fps"]
        frames = decode_frames(clip.frames, np.asarray([3, 0, 3]))
        np.testing.assert_array_equal(frames, [example["video"][i] for i in (3, 0, 3)])


def test_folds_cover_a_split_once_and_keep_sources_together(builder):
    whole = open_split(builder, "train")
    folds = [open_split(builder, f"train@{fold}/4") for fold in range(4)]
    assert sorted(name for fold in folds for name in fold.metadata.filenames) == sorted(whole.metadata.filenames)
    for fold in range(4):
        others = open_split(builder, f"train@!{fold}/4")
        assert len(others) + len(folds[fold]) == len(whole)
        assert shared_sources(folds[fold], others) == []
    two, rest = open_split(builder, "train@1+3/4"), open_split(builder, "train@!1+3/4")
    assert two.metadata.filenames == sorted(
        folds[1].metadata.filenames + folds[3].metadata.filenames, key=whole.metadata.filenames.index
    )
    assert len(rest) == len(folds[0]) + len(folds[2])
    assert len(shared_sources(whole, folds[0])) == 2


def test_splits_can_be_joined(builder):
    assert len(open_split(builder, "train+val")) == 24


@pytest.mark.parametrize(
    ("split", "message"),
    [
        ("trian", "has no split 'trian'; it has: "),
        ("train@1", "is not NAME, NAME\\+NAME"),
        ("train@4/4", "names fold 4; allowed: 0 to 3"),
        ("train@0/9", "9 folds of 8 source videos; allowed: 2 to 8"),
    ],
)
def test_a_bad_split_is_named(builder, split, message):
    with pytest.raises(ValueError, match=message):
        open_split(builder, split)


def test_a_dataset_that_is_not_prepared_is_not_built_to_find_it(config, tmp_path):
    found = find_prepared(config.dataset)
    assert found is not None
    assert str(found.data_path).startswith(config.dataset.data_dir)
    config.dataset.data_dir = str(tmp_path)
    assert find_prepared(config.dataset) is None
    assert list(tmp_path.iterdir()) == []


def test_a_process_that_may_start_too_few_threads_is_refused(monkeypatch):
    """ArrayRecord would wait forever for those of its pool that were not started."""
    before, start = threading.active_count(), threading.Thread.start

    def start_ten(thread):
        if threading.active_count() == before + 10:
            raise RuntimeError("can't start new thread")
        start(thread)

    require_threads.cache_clear()
    monkeypatch.setattr(threading.Thread, "start", start_ten)
    with pytest.raises(
        OSError, match=r"more threads, of which 10 could be started \(can't start new thread\): allow"
    ) as e:
        require_threads()
    assert threading.active_count() == before
    assert user_message(e.value).startswith("out of memory: reading records needs")
    monkeypatch.undo()
    require_threads()
    assert threading.active_count() == before


# Prints how many threads there are more once a file of records is open.
OPENS = """
import os, sys
from array_record.python import array_record_module
count = lambda: len(os.listdir("/proc/self/task"))
before = count()
reader = array_record_module.ArrayRecordReader(sys.argv[1])
print(count() - before)
"""


def test_a_file_of_records_needs_no_more_threads_than_are_required(builder):
    [file, *_] = builder.data_path.glob("*.array_record*")
    opened = subprocess.run([sys.executable, "-c", OPENS, str(file)], capture_output=True, text=True, check=True)
    assert 0 < int(opened.stdout) < dataset_module._MORE_THREADS


def test_a_split_is_read_before_anything_else_so_that_its_threads_are_started(monkeypatch):
    """Later there may be too few."""
    read = []

    def records():
        read.append("first record")
        yield b""

    def open_index(*_):
        assert read == ["first record"]
        raise KeyError("the index comes afterwards")

    prepared = SimpleNamespace(as_data_source=lambda *_, **__: records())
    monkeypatch.setattr(dataset_module.tfds, "builder_from_directory", lambda _: prepared)
    monkeypatch.setattr(dataset_module, "open_index", open_index)
    with pytest.raises(KeyError, match="the index comes afterwards"):
        dataset_module._open_records.__wrapped__("directory", "train")
