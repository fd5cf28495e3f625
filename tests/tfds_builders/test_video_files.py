"""Finding the videos of a dataset: labels and splits by folder, blocks, identical files, counts."""

import os
from pathlib import Path

import pytest

from tests.tfds_builders.conftest import touch
from tfds_builders.video_files import (
    FIGHT_FOLDERS,
    SPLIT_FOLDERS,
    VideoFile,
    block_of,
    by_folder,
    count_differences,
    files_left_out,
    folder_source,
    join_identical,
    videos_in_class_folders,
)


@pytest.mark.parametrize(
    ("path", "label"),
    [
        ("fights/1.avi", "fight"),
        ("noFights/fi318_xvid.avi", "no_fight"),
        ("NonFight/a.avi", "no_fight"),
        ("Non-Violence/a.avi", "no_fight"),
        ("train/non_fight/youtube/a.avi", "no_fight"),
        # The innermost folder counts, and no part of a name.
        ("violence/train/normal/a.avi", "no_fight"),
        ("fight.avi", None),
        ("hockey_fight/a.avi", None),
    ],
)
def test_the_innermost_folder_with_a_meaning_names_the_class(path, label):
    assert by_folder(FIGHT_FOLDERS)(Path(path)) == label


@pytest.mark.parametrize(
    ("path", "split"), [("Train/fight/a.avi", "train"), ("fight/validation/a.avi", "val"), ("fight/a.avi", None)]
)
def test_a_folder_names_the_split(path, split):
    assert by_folder(SPLIT_FOLDERS)(Path(path)) == split


def test_a_class_without_videos_is_an_error(tmp_path):
    touch(tmp_path, ["fights/1.avi", "noFights/readme.txt"])
    with pytest.raises(
        ValueError, match="holds no videos of the class 'no_fight'.* one of nofight, nofights, nonfight"
    ):
        videos_in_class_folders(tmp_path, FIGHT_FOLDERS)


def test_blocks_of_numbers_begin_at_one():
    assert [block_of("fi", number, 20) for number in (1, 20, 21, 500)] == ["fi1-20", "fi1-20", "fi21-40", "fi481-500"]


def made_video(root, name, content, source=None):
    (root / name).write_bytes(content)
    return VideoFile(root / name, name, "fight", source or name)


def test_sources_with_an_identical_file_become_one(tmp_path):
    videos = [
        made_video(tmp_path, "1.avi", b"same", "a"),
        made_video(tmp_path, "2.avi", b"same", "b"),
        # Joins b, which has joined a, and c.
        made_video(tmp_path, "3.avi", b"also", "b"),
        made_video(tmp_path, "4.avi", b"also", "c"),
        # As long, but different.
        made_video(tmp_path, "5.avi", b"this", "d"),
        made_video(tmp_path, "6.avi", b"", "e"),
        made_video(tmp_path, "7.avi", b"", "f"),
    ]
    assert [video.source for video in join_identical(videos)] == ["a", "a", "a", "a", "d", "e", "f"]


def test_broken_links_are_no_copies(tmp_path):
    os.symlink(tmp_path / "nowhere", tmp_path / "1.avi")
    videos = [VideoFile(tmp_path / "1.avi", "1.avi", "fight", "a"), made_video(tmp_path, "2.avi", b"same", "b")]
    assert join_identical(videos) == videos


def test_counts_are_compared_by_split_and_over_all_splits():
    videos = [
        VideoFile(Path(f"/{k}.avi"), f"{k}.avi", label, str(k), split)
        for k, (label, split) in enumerate([("fight", "train"), ("fight", "val"), ("no_fight", "train")])
    ]
    published = {"": {"fight": 2, "no_fight": 3}, "val": {"fight": 1, "no_fight": 1}}
    assert count_differences(videos, published) == [
        "no_fight: 1 videos instead of 3",
        "val, no_fight: 0 videos instead of 1",
    ]


def test_files_left_out_are_those_below_the_root_of_the_dataset(tmp_path):
    touch(tmp_path, ["data/fights/1.avi", "data/odd/2.avi", "data/readme.txt", "other/3.avi"])
    videos = [VideoFile(tmp_path / "data" / "fights" / "1.avi", "fights/1.avi", "fight", "1")]
    assert videos[0].root == tmp_path / "data"
    assert files_left_out(videos) == ["odd/2.avi"]


@pytest.mark.parametrize(
    ("path", "source"), [("fight/cam1/a.avi", "cam1"), ("fight/cam1/x/a.avi", "cam1"), ("fight/a.b.avi", "fight/a.b")]
)
def test_a_folder_within_a_class_names_the_source(path, source):
    assert folder_source(Path(path)) == source
