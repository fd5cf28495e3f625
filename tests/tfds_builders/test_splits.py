"""Splits by ratio: exact where possible, sources kept together, the same every time."""

import random
from collections import Counter
from pathlib import Path

import pytest

from tfds_builders.splits import in_mixed_order, split_by_source
from tfds_builders.video_files import VideoFile


def make_videos(counts: dict[str, int], source=lambda label, k: f"{label}{k}") -> list[VideoFile]:
    return [
        VideoFile(Path(f"/{label}/{k}.avi"), f"{label}/{k}.avi", label, source(label, k))
        for label, count in counts.items()
        for k in range(count)
    ]


@pytest.mark.parametrize(
    ("counts", "ratios", "expected"),
    [
        ({"a": 150, "b": 150}, {"train": 0.7, "test": 0.3}, {"train": 105, "test": 45}),
        ({"a": 500, "b": 500}, {"train": 0.8, "test": 0.2}, {"train": 400, "test": 100}),
        ({"a": 100, "b": 100}, {"train": 0.85, "test": 0.15}, {"train": 85, "test": 15}),
        ({"a": 20, "b": 20}, {"train": 0.8, "val": 0.1, "test": 0.1}, {"train": 16, "val": 2, "test": 2}),
    ],
)
def test_independent_clips_are_split_exactly_in_every_class(counts, ratios, expected):
    videos = split_by_source(make_videos(counts), ratios)
    for label in counts:
        assert Counter(video.split for video in videos if video.label == label) == expected


def test_unequal_classes_each_keep_the_ratios():
    videos = split_by_source(make_videos({"many": 300, "few": 10}), {"train": 0.8, "val": 0.1, "test": 0.1})
    assert Counter((video.label, video.split) for video in videos) == {
        ("many", "train"): 240,
        ("many", "val"): 30,
        ("many", "test"): 30,
        ("few", "train"): 8,
        ("few", "val"): 1,
        ("few", "test"): 1,
    }


def test_clips_of_one_source_stay_together_and_the_shares_are_close():
    # 40 sources of 1 to 10 videos, each with videos of both classes.
    videos = make_videos({"a": 110, "b": 110}, source=lambda label, k: f"video{(k * k) % 41}")
    videos = split_by_source(videos, {"train": 0.6, "val": 0.2, "test": 0.2})
    splits = {
        source: {video.split for video in videos if video.source == source} for source in {c.source for c in videos}
    }
    assert all(len(of_source) == 1 for of_source in splits.values())
    for label in ("a", "b"):
        shares = Counter(video.split for video in videos if video.label == label)
        assert shares["train"] == pytest.approx(66, abs=4)
        assert shares["val"] == pytest.approx(22, abs=4)
        assert shares["test"] == pytest.approx(22, abs=4)


def test_the_order_of_the_files_does_not_matter():
    videos = make_videos({"a": 30, "b": 50}, source=lambda label, k: f"video{k // 3}")
    shuffled = random.Random(0).sample(videos, len(videos))
    ratios = {"train": 0.5, "test": 0.5}
    assert set(split_by_source(videos, ratios)) == set(split_by_source(shuffled, ratios))
    assert in_mixed_order(videos) == in_mixed_order(shuffled)


def test_slices_of_the_mixed_order_hold_both_classes():
    videos = in_mixed_order(make_videos({"a": 100, "b": 100}))
    for begin in range(0, 200, 40):
        assert 8 <= sum(video.label == "a" for video in videos[begin : begin + 40]) <= 32


@pytest.mark.parametrize("ratios", [{}, {"train": 0.8, "test": 0.1}, {"train": 1.0, "test": 0.0}])
def test_invalid_ratios_are_refused(ratios):
    with pytest.raises(ValueError, match="must be positive and sum to 1"):
        split_by_source(make_videos({"a": 10}), ratios)


def test_an_empty_split_is_an_error():
    with pytest.raises(ValueError, match="2 videos of 2 sources are too few .* test would be empty"):
        split_by_source(make_videos({"a": 2}), {"train": 0.8, "val": 0.1, "test": 0.1})


def test_a_small_class_has_a_clip_in_every_split():
    videos = split_by_source(make_videos({"large": 20, "small": 3}), {"train": 0.8, "val": 0.1, "test": 0.1})
    assert sorted(video.split for video in videos if video.label == "small") == ["test", "train", "val"]
    assert Counter(video.split for video in videos if video.label == "large") == {"train": 16, "val": 2, "test": 2}


def test_a_class_with_one_video_is_refused_by_name():
    with pytest.raises(
        ValueError, match=r"class 'horror' has 1 source video\(s\), such as .*, for the splits train, val"
    ):
        split_by_source(make_videos({"action": 20, "horror": 1}), {"train": 0.8, "val": 0.1, "test": 0.1})
