"""Datasets of sequences at a frame rate, with sound."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import tensorflow_datasets as tfds

import tfds_builders  # noqa: F401 - registers the builders
from jaxvid.video.files import write_video
from jaxvid.video.sound import write_video_with_sound
from jaxvid.video.workers import InvalidVideoError
from tfds_builders.video_folder.video_folder import VideoFolderConfig

RATE = 8000


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    """Two classes of three videos of 3.5 s; `horror/2` has no sound, sample k of the others' sound is k."""
    directory = tmp_path_factory.mktemp("films")
    frames = np.full((35, 48, 64, 3), 90, np.uint8)
    for label in ("action", "horror"):
        (directory / label).mkdir()
        for k in range(3):
            if (label, k) == ("horror", 2):
                write_video(directory / label / f"{k}.avi", frames, 10.0)
            else:
                sound = np.arange(28000).astype(np.int16)
                write_video_with_sound(directory / label / f"{k}.mkv", frames, 10.0, sound, RATE)
    return directory


@pytest.fixture(scope="module")
def built(films, tmp_path_factory):
    builder = tfds.builder(
        f"video_folder/64x64_4fps_5frames_{RATE}hz", directory=films, data_dir=tmp_path_factory.mktemp("data")
    )
    builder.download_and_prepare()
    return builder


def examples(builder):
    return [example for split in builder.info.splits for example in builder.as_data_source(split)]


def test_sequences_have_their_part_of_the_sound_and_the_split_of_their_video(built):
    assert {split: info.num_examples for split, info in built.info.splits.items()} == {"train": 6, "val": 6, "test": 6}
    for split in built.info.splits:
        films_of = [example["filename"].decode().split("#")[0] for example in built.as_data_source(split)]
        # One video of each class; its sequences are consecutive.
        assert [film.split("/")[0] for film in films_of] in (
            [*3 * ["action"], *3 * ["horror"]],
            [*3 * ["horror"], *3 * ["action"]],
        )
        assert len(set(films_of)) == 2
    for example in examples(built):
        number = int(example["filename"].decode().split("#")[1])
        assert example["begin"] == 1.25 * number
        assert len(example["video"]) == (5, 5, 4)[number]
        assert example["fps"] == 4
        if not example["filename"].startswith(b"horror/2"):
            np.testing.assert_array_equal(example["audio"], np.arange(28000)[10000 * number : 10000 * (number + 1)])


def test_a_video_without_sound_has_no_samples_and_is_in_the_statistics(built):
    silent = [e for e in examples(built) if e["filename"].startswith(b"horror/2")]
    assert [e["audio"].shape for e in silent] == [(0,)] * 3
    statistics = json.loads((Path(built.data_dir) / "statistics.json").read_text())
    assert [(counts["videos"], counts["examples"]) for counts in statistics.values()] == [(2, 6)] * 3
    named = [name for counts in statistics.values() for name in counts["videos_without_sound"]]
    assert named == ["horror/2.avi"]


def test_the_index_has_the_video_and_the_sound_of_every_sequence(built):
    for split in built.info.splits:
        rows = pq.read_table(Path(built.data_dir) / f"clips-{split}.parquet").to_pylist()
        stored = list(built.as_data_source(split))
        assert [row["filename"] for row in rows] == [example["filename"].decode() for example in stored]
        assert [row["video"] for row in rows] == [row["filename"].split("#")[0] for row in rows]
        assert [row["num_samples"] for row in rows] == [len(example["audio"]) for example in stored]
        assert [row["num_frames"] for row in rows] == [len(example["video"]) for example in stored]
        assert {row["fps"] for row in rows} == {4.0}
        # What is known of the file, whole and as it was, stands beside each of its sequences.
        for row in rows:
            assert (row["file"]["fps"], row["file"]["height"], row["file"]["width"]) == (10, 48, 64)
            assert row["file"]["seconds"] == pytest.approx(3.5, abs=0.1)
            assert row["file"]["has_sound"] == (row["video"] != "horror/2.avi")
            assert row["pixel_change"]["mean"] == 0


def test_a_config_can_be_given_as_an_object(films, tmp_path):
    config = VideoFolderConfig(name="mine", height=48, width=64, audio=16000)
    builder = tfds.builder("video_folder", config=config, directory=films, data_dir=tmp_path)
    builder.download_and_prepare()
    example = next(iter(builder.as_data_source("train")))
    assert set(example) == {"video", "label", "fps", "source", "filename", "audio"}
    assert example["video"][0].shape == (48, 64, 3)
    # Whole videos, with sound at twice the sample rate of the files.
    assert len(example["video"]) == 35
    assert all(len(e["audio"]) in (0, pytest.approx(56000, abs=40)) for e in examples(builder))


@pytest.mark.parametrize("name", ["64x64_16000hz_4fps", "64x64_fps", "64x64_4fps_", "65x64_4fps"])
def test_unknown_config_names_are_refused(tmp_path, name):
    with pytest.raises(ValueError, match=f"no config '{name}'.*_<N>fps, _<N>frames and _<N>hz, in this order"):
        tfds.builder(f"surveillance_fight/{name}", data_dir=tmp_path)


def test_a_cut_video_is_listed_and_none_of_its_sequences_is_stored(films, tmp_path):
    directory = tmp_path / "films"
    for label in ("action", "horror"):
        for split in ("train", "test"):
            (directory / split / label).mkdir(parents=True)
            (directory / split / label / "a.mkv").write_bytes((films / "action" / "0.mkv").read_bytes())
    broken = directory / "train" / "horror" / "b.mkv"
    content = (films / "action" / "0.mkv").read_bytes()
    broken.write_bytes(content[: int(0.6 * len(content))])

    def builder(**options):
        return tfds.builder(
            "video_folder/64x64_4fps_1frames", directory=directory, data_dir=tmp_path / "data", **options
        )

    with pytest.raises(InvalidVideoError, match=r"train/horror/b\.mkv: its video ends at .* cut short.*on_invalid"):
        builder().download_and_prepare()
    lenient = builder(on_invalid="skip")
    lenient.download_and_prepare()
    (listed,) = json.loads((Path(lenient.data_dir) / "invalid_videos.json").read_text())
    assert listed["filename"] == "train/horror/b.mkv"
    stored = sorted({example["filename"].split(b"#")[0] for example in lenient.as_data_source("train")})
    assert stored == [b"train/action/a.mkv", b"train/horror/a.mkv"]
    # Those of the videos that are whole are complete and in order: 3.5 s at 4 frames per second.
    begins = [e["begin"] for e in lenient.as_data_source("train") if e["filename"].startswith(b"train/horror/a.mkv")]
    assert begins == [0.25 * k for k in range(14)]
