"""What a page about data shows: its numbers, which clips are read, and what a network gets of them."""

import json
import shutil

import jax.numpy as jnp
import numpy as np
import pyarrow as pa
import pytest

from jaxvid.data.dataset import ClipSplit, open_split, prepare
from jaxvid.data.preprocess import preprocess
from jaxvid.data.records import Clip, ClipMetadata, decode_frames
from jaxvid.data.show import prepared
from jaxvid.data.show.facts import (
    count_clips,
    count_distinct,
    count_formats,
    facts_of_splits,
    length_histogram,
    sources_in_several_splits,
)
from jaxvid.data.show.folder import show_folder
from jaxvid.data.show.network import network_clips
from jaxvid.data.show.prepared import show_dataset
from jaxvid.data.show.shown import MAX_SAMPLES, network_rows, sample_rows
from jaxvid.video.clips import encode_frame
from jaxvid.video.files import write_video
from jaxvid.video.properties import VideoProperties, summarize_properties
from jaxvid.video.stills import read_stills
from tests.data.test_check import noise
from tfds_builders.clip_index import SCHEMA


def made_split(labels, sources, *, num_frames=None, changes=None, name="train", class_names=("calm", "fight")):
    """A split of clips without records; clips are `NAME/0`, `NAME/1` ..."""
    count = len(labels)
    num_frames = np.asarray(num_frames if num_frames is not None else [20] * count)
    changes = changes if changes is not None else range(1, count + 1)
    clips = [f"{name}/{number}" for number in range(count)]
    metadata = ClipMetadata(
        np.asarray(labels), num_frames, np.zeros(count, int), np.full(count, 10.0), list(sources), clips, clips
    )
    fields = ("mean", "spread", "maximum", "spread_over_time", "maximum_over_time")
    rows = [
        dict.fromkeys(SCHEMA.names) | {"video": clip, "pixel_change": dict.fromkeys(fields, float(change))}
        for clip, change in zip(clips, changes, strict=True)
    ]
    index = pa.Table.from_pylist(rows, SCHEMA)
    return ClipSplit(name, [], index, np.arange(count), metadata, list(class_names))


def facts_of(*splits, formats=None):
    return facts_of_splits({split.name: split for split in splits}, formats or {})


def test_clips_and_sources_are_counted_by_class_and_split():
    train = made_split([0, 1, 1], "aab")
    test = made_split([1, 1], "bc", name="test")
    facts = facts_of(train, test)
    assert count_clips(facts).tolist() == [[1, 0], [2, 2]]
    assert count_distinct(facts, "source").tolist() == [2, 2]
    assert sources_in_several_splits(facts) == [("b", ["train", "test"])]
    assert facts.column("seconds").tolist() == [2.0] * 5
    assert sources_in_several_splits(facts_of(train)) == []


def test_copies_are_clips_whose_frames_change_by_the_same_amounts():
    # Of the others nothing moves, or there are more frames.
    facts = facts_of(
        made_split([0, 0, 1, 1, 0], "abcde", changes=[3, 5, 0, 0, 3], num_frames=[20, 20, 20, 20, 21]),
        made_split([1, 1], "fg", changes=[5, 5], name="test"),
    )
    assert facts.copies == [[1, 5, 6]]


def test_a_clip_in_two_splits_is_no_copy_of_itself():
    split = made_split([0, 1], "ab")
    facts = facts_of_splits({"training": split, "validation": split}, {})
    assert facts.copies == []
    assert [source for source, _ in sources_in_several_splits(facts)] == ["a", "b"]


def test_a_long_clip_does_not_hide_the_lengths_of_the_others():
    lengths = [10, 20, 30] * 20 + [100_000]
    facts = facts_of(made_split([0] * 60 + [1], map(str, range(61)), num_frames=lengths))
    histogram = length_histogram(facts)
    # 95 % are 3 s or shorter: the bins end at three times that.
    assert (histogram.edges[0], histogram.edges[-1]) == (1.0, 9.0)
    assert histogram.num_above == 1
    assert histogram.counts.sum(axis=1).tolist() == [60, 1]
    assert histogram.counts[1, -1] == 1
    assert length_histogram(facts_of(made_split([0, 1], "ab"))) is None


def test_formats_are_counted_over_classes_the_most_frequent_first():
    small = VideoProperties("avi", "mpeg4", 240, 320, 25.0, 2.0, True, 1000)
    large = VideoProperties("mov", "h264", 720, 1280, 25.0, 2.0, False, 1000)
    formats = count_formats(
        [
            ("fight", summarize_properties([small])),
            ("calm", summarize_properties([large, large])),
            ("fight", summarize_properties([large])),
        ]
    )
    assert list(formats["Size"].items()) == [("720x1280", {"calm": 2, "fight": 1}), ("240x320", {"fight": 1})]
    assert formats["Frame rate"] == {"25": {"fight": 2, "calm": 2}}
    assert formats["Sound"] == {"without sound": {"fight": 1, "calm": 2}, "with sound": {"fight": 1, "calm": 0}}


def test_few_clips_of_every_class_are_shown_and_of_many_classes_fewer():
    two = facts_of(made_split([0] * 50 + [1] * 2, ["one"] * 45 + list("abcde") + ["x", "y"]))
    of_zero, of_one = sample_rows(two)
    assert len(of_zero) == 6
    # There are as many sources as clips shown.
    assert len({two.row(row)["source"] for row in of_zero}) == 6
    assert of_one == [50, 51]
    missing = facts_of(made_split([0, 2], "ab", class_names=["calm", "never", "fight"]))
    assert sample_rows(missing) == [[0], [], [1]]
    names = [f"class{number}" for number in range(300)]
    many = facts_of(made_split(list(range(300)) * 2, map(str, range(600)), class_names=names))
    assert list(map(len, sample_rows(many))) == [1] * MAX_SAMPLES


def test_the_network_clips_are_training_clips_of_different_classes_in_turn():
    facts = facts_of(made_split([0, 0, 0, 1], "abcd"), made_split([1, 1], "ef", name="test"))
    assert network_rows(facts, [[0, 1, 2], [3, 4, 5]]) == [0, 3, 1, 2]


def stored_clip(label, num_frames, *, audio=()):
    """A clip whose frames are of one gray, which becomes lighter by two with every frame; the left half is black."""
    frames = []
    for number in range(num_frames):
        image = np.full((32, 32, 3), 100 * label + 2 * number, np.uint8)
        image[:, :16] = 0
        frames.append(encode_frame(image, quality=100))
    name = f"{label}.avi"
    return Clip(frames, label, 10.0, name, name, name, np.asarray(audio, np.int16))


@pytest.mark.parametrize("normalization", ["unit", "raw", "kinetics"])
def test_what_is_shown_of_evaluation_is_what_the_network_gets(config, normalization):
    config.clip.update(num_frames=4, height=32, width=32, normalization=normalization)
    clip = stored_clip(1, 40)
    (shown,) = network_clips([clip], config, 2)
    # One frame in the middle of each of four equal parts.
    assert shown.evaluation.positions.tolist() == [5, 15, 25, 35]
    np.testing.assert_allclose(shown.evaluation.images[:, 0, 31, 0].astype(int), [110, 130, 150, 170], atol=2)
    frames = decode_frames(clip.frames, shown.evaluation.positions)
    np.testing.assert_array_equal(shown.evaluation.images, frames)
    normalized = preprocess(jnp.asarray(frames[None]), config.clip)[0]
    if normalization == "raw":
        np.testing.assert_allclose(shown.evaluation.images, normalized, atol=0.5)


def test_draws_of_training_are_augmented_and_evaluation_is_not(config):
    config.clip.update(num_frames=20, sampling="consecutive", height=32, width=32)
    config.augment.flip = True
    clips = [stored_clip(label, 40) for label in (0, 1, 1)]
    shown = network_clips(clips, config, 2)
    views = [view for clip in shown[1:] for view in clip.training]
    assert len(views) == 6
    # In flipped views the right half is black.
    assert {bool(view.images[0, 0, 0, 0] > 50) for view in views} == {True, False}
    assert not any((clip.evaluation.images[0, 0, 0] > 50).any() for clip in shown)
    assert len({int(view.positions[0]) for view in views}) > 1
    # Of 20 frames, 8 are shown, from the first to the last.
    view = views[0]
    assert len(view.images) == 8
    lit = view.images[[0, -1], 0].max(axis=(1, 2))
    np.testing.assert_allclose(lit.astype(int), 100 + 2 * view.positions[[0, -1]], atol=2)


def test_mixed_clips_show_their_labels(config):
    config.clip.update(num_frames=2, height=32, width=32)
    config.augment.mixup = 1.0
    shown = network_clips([stored_clip(0, 2), stored_clip(1, 2)], config, 2)
    for zero, one in zip(shown[0].training, shown[1].training, strict=True):
        np.testing.assert_allclose(zero.shares + one.shares, [1, 1], rtol=1e-5)
        # The right half of the first frame is 0 in one clip, 100 in the other.
        assert zero.images[0, 0, 31, 0] == pytest.approx(100 * zero.shares[1], abs=3)
    assert shown[0].evaluation.shares.tolist() == [1, 0]


def test_sound_is_shown_as_far_as_it_goes(config):
    config.clip.update(num_frames=2, height=32, width=32)
    config.audio.update(sample_rate=8000, seconds=2.0)
    tone = 8000 * np.sin(2 * np.pi * 1000 * np.arange(8000) / 8000)
    clips = [stored_clip(0, 2, audio=tone), stored_clip(1, 2)]
    loud, silent = (clip.hearing for clip in network_clips(clips, config, 2))
    assert len(loud.samples) == 8000
    # One spectrum for each hop of 160 samples, and one more.
    assert loud.spectra["log_mel"].shape == (51, 64)
    assert loud.spectra["mfcc"].shape == (51, 20)
    assert len(silent.samples) == 0
    assert silent.spectra == {}


def test_a_clip_that_does_not_suit_the_config_is_named(config):
    config.clip.update(num_frames=9, sampling="sliding_window", height=32, width=32)
    with pytest.raises(ValueError, match="config.clip.num_frames is 9; 1.avi has 4: a sliding window longer"):
        network_clips([stored_clip(1, 4)], config, 2)


def test_of_a_dataset_only_the_clips_shown_are_read(config, monkeypatch):
    read = []

    class Counted(list):
        def __getitem__(self, position):
            read.append(position)
            return super().__getitem__(position)

    splits = []
    for name in ("train", "val"):
        split = open_split(prepare(config.dataset), name)
        splits.append(ClipSplit(**{**vars(split), "records": Counted(split.records)}))
    monkeypatch.setattr(prepared, "network_clips", lambda *_: [])
    read.clear()
    data = prepared.show_run(config, prepared.find_data(config.dataset), splits)
    facts = data.facts
    assert facts.split_names == ["training", "validation", "test"]
    shown = [sample.row for sample in data.samples if sample.row < len(splits[0]) + len(splits[1])]
    assert 0 < len(shown) < len(splits[0]) + len(splits[1])
    # Those for the network's inputs, which are among them, are read once more.
    assert len(read) <= len(shown) + 4
    for sample in data.samples[:3]:
        row = facts.row(sample.row)
        split = open_split(prepare(config.dataset), {0: "train", 1: "val", 2: "test"}[row["split"]])
        position = split.metadata.filenames.index(row["clip"])
        num_frames = row["num_frames"]
        places = np.asarray([num_frames // 6, num_frames // 2, num_frames * 5 // 6])
        np.testing.assert_array_equal(sample.frames, decode_frames(split[position].frames, places))
        assert facts.class_names[row["label"]] == split.class_names[split.metadata.labels[position]]


def test_a_dataset_alone_has_all_its_splits_and_no_inputs(data_dir):
    data = show_dataset("synthetic_fight/tiny", data_dir=str(data_dir))
    assert data.facts.split_names == ["train", "val", "test"]
    assert (data.config, list(data.inputs)) == (None, [])
    statistics = json.loads(next((data_dir / "synthetic_fight" / "tiny").glob("*/statistics.json")).read_text())
    videos = sum(split["videos"] for split in statistics.values())
    assert sum(sum(of_class.values()) for of_class in data.facts.formats["Size"].values()) == videos


def test_a_dataset_to_test_on_is_shown_with_its_own_names(config, brawl):
    config.dataset.update(test_name="synthetic_brawl/tiny", class_map=brawl["class_map"])
    data = show_dataset("", config)
    assert data.facts.split_names == ["training", "validation", "test"]
    tested = data.facts.clips.filter(pa.compute.equal(data.facts.clips["split"], 2))
    assert all(source.startswith("synthetic_brawl/") for source in tested["source"].to_pylist())
    assert sources_in_several_splits(data.facts) == []


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("hockey_fight/64x64", {}, "hockey_fight/64x64 is not prepared in "),
        ("", {"augment": {"erasing": 2.0}}, "config.augment.erasing is 2.0; allowed: 0 to 1"),
        ("", {"audio": {"sample_rate": 8000}}, "config.audio.sample_rate is 8000, but synthetic_fight/tiny stores no"),
    ],
)
def test_what_cannot_be_shown_is_named(config, name, changes, message):
    for section, values in changes.items():
        config[section].update(values)
    with pytest.raises(ValueError, match=message):
        show_dataset(name, config)


def test_faces_are_blurred_in_samples_and_inputs(config, monkeypatch):
    monkeypatch.setattr(prepared, "check_face_detector", lambda: None)
    monkeypatch.setattr(prepared, "blur_faces", lambda frames: np.full_like(frames, 77))
    data = show_dataset("", config, without_faces=True)
    assert all((sample.frames == 77).all() for sample in data.samples)
    views = [view for clip in data.inputs for view in (clip.evaluation, *clip.training)]
    assert len(views) == 16
    assert all((view.images == 77).all() for view in views)


@pytest.fixture
def folder(tmp_path):
    """Two classes, two splits, a source of two videos, a copy in another class, and a broken file."""
    names = ("train/fight/scene/a.mp4", "train/fight/scene/b.mp4", "train/calm/c.avi", "test/calm/d.mp4")
    for seed, name in enumerate(names):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        write_video(tmp_path / name, noise(seed, 12), 10.0)
    (tmp_path / "test/fight").mkdir()
    shutil.copy(tmp_path / names[2], tmp_path / "test/fight/copy.avi")
    (tmp_path / "train/fight/broken.mp4").write_bytes(b"no video")
    return tmp_path


def test_a_folder_that_is_not_checked_is_shown_by_its_headers(folder, monkeypatch):
    monkeypatch.setattr("jaxvid.data.show.folder.check_folder", None)
    data = show_folder(folder, checks=False)
    facts = data.facts
    assert facts.split_names == ["train", "test"]
    assert facts.class_names == ["calm", "fight"]
    assert count_clips(facts).tolist() == [[1, 1], [2, 1]]
    assert count_distinct(facts, "source").tolist() == [2, 2]
    assert [[facts.row(row)["clip"] for row in group] for group in facts.copies] == [
        ["train/calm/c.avi", "test/fight/copy.avi"]
    ]
    assert facts.formats["Size"] == {"64x64": {"calm": 2, "fight": 3}}
    assert facts.column("seconds") == pytest.approx([1.2] * 5, abs=0.01)
    assert len(data.samples) == 5
    assert data.alike is None
    assert [name for name, _ in data.problems] == ["train/fight/broken.mp4"]


@pytest.mark.slow
def test_a_folder_is_shown_with_what_its_check_finds_and_with_a_config(folder, config):
    content = (folder / "train/fight/scene/a.mp4").read_bytes()
    (folder / "train/fight/scene/again.mp4").write_bytes(content + b"another file, of the same frames")
    config.clip.update(num_frames=4, height=32, width=32)
    data = show_folder(folder, config)
    assert [name for name, _ in data.problems] == ["train/fight/broken.mp4"]
    (alike,) = data.alike
    assert "train/fight/scene/a.mp4 ~ train/fight/scene/again.mp4" in alike
    assert {clip.name for clip in data.inputs} <= set(data.facts.clips["clip"].to_pylist())
    assert [clip.name.split("/")[:2] for clip in data.inputs[:2]] == [["train", "calm"], ["train", "fight"]]
    assert len(data.inputs) == 4
    # Decoded at the size of the config's dataset, then brought to the network's.
    assert data.inputs[0].evaluation.images.shape == (4, 32, 32, 3)


def test_a_folder_without_videos_is_named(tmp_path):
    with pytest.raises(ValueError, match=f"{tmp_path} holds no videos; allowed: a folder with <class>/<video>"):
        show_folder(tmp_path)
    with pytest.raises(ValueError, match="nowhere is not a directory"):
        show_folder(tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["a.avi", "a.mp4"])
def test_stills_are_the_frames_at_their_places(tmp_path, name):
    # Gray rises by 4 with every frame.
    frames = np.arange(0, 240, 4, dtype=np.uint8)[:, None, None, None] * np.ones((60, 64, 96, 3), np.uint8)
    write_video(tmp_path / name, frames, 10.0)
    (stills,) = read_stills(tmp_path / name, (0.0, 0.5, 0.99), 32)
    assert stills.shape == (3, 32, 48, 3)
    np.testing.assert_allclose(stills.mean(axis=(1, 2, 3)), [0, 4 * 30, 4 * 59], atol=4)
