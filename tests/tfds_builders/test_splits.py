"""Splitting by ratio: exact where it can be, never through a source, the same every time."""

import random
from collections import Counter
from pathlib import Path

import pytest

from tfds_builders.clips import Clip
from tfds_builders.splits import in_mixed_order, split_by_source


def make_clips(counts: dict[str, int], source=lambda label, k: f"{label}{k}") -> list[Clip]:
    return [
        Clip(Path(f"/{label}/{k}.avi"), f"{label}/{k}.avi", label, source(label, k))
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
    clips = split_by_source(make_clips(counts), ratios)
    for label in counts:
        assert Counter(clip.split for clip in clips if clip.label == label) == expected


def test_unequal_classes_each_keep_the_ratios():
    clips = split_by_source(make_clips({"many": 300, "few": 10}), {"train": 0.8, "val": 0.1, "test": 0.1})
    assert Counter((clip.label, clip.split) for clip in clips) == {
        ("many", "train"): 240,
        ("many", "val"): 30,
        ("many", "test"): 30,
        ("few", "train"): 8,
        ("few", "val"): 1,
        ("few", "test"): 1,
    }


def test_clips_of_one_source_stay_together_and_the_shares_are_close():
    # 40 sources of 1 to 10 clips, each with clips of both classes.
    clips = make_clips({"a": 110, "b": 110}, source=lambda label, k: f"video{(k * k) % 41}")
    clips = split_by_source(clips, {"train": 0.6, "val": 0.2, "test": 0.2})
    splits = {source: {clip.split for clip in clips if clip.source == source} for source in {c.source for c in clips}}
    assert all(len(of_source) == 1 for of_source in splits.values())
    for label in ("a", "b"):
        shares = Counter(clip.split for clip in clips if clip.label == label)
        assert shares["train"] == pytest.approx(66, abs=4)
        assert shares["val"] == pytest.approx(22, abs=4)
        assert shares["test"] == pytest.approx(22, abs=4)


def test_the_order_of_the_files_does_not_matter():
    clips = make_clips({"a": 30, "b": 50}, source=lambda label, k: f"video{k // 3}")
    shuffled = random.Random(0).sample(clips, len(clips))
    ratios = {"train": 0.5, "test": 0.5}
    assert set(split_by_source(clips, ratios)) == set(split_by_source(shuffled, ratios))
    assert in_mixed_order(clips) == in_mixed_order(shuffled)


def test_slices_of_the_mixed_order_hold_both_classes():
    clips = in_mixed_order(make_clips({"a": 100, "b": 100}))
    for begin in range(0, 200, 40):
        assert 8 <= sum(clip.label == "a" for clip in clips[begin : begin + 40]) <= 32


@pytest.mark.parametrize("ratios", [{}, {"train": 0.8, "test": 0.1}, {"train": 1.0, "test": 0.0}])
def test_ratios_that_are_none_are_refused(ratios):
    with pytest.raises(ValueError, match="must be positive and sum to 1"):
        split_by_source(make_clips({"a": 10}), ratios)


def test_an_empty_split_is_an_error():
    with pytest.raises(ValueError, match="2 clips of 2 sources are too few .* test would be empty"):
        split_by_source(make_clips({"a": 2}), {"train": 0.8, "val": 0.1, "test": 0.1})


def test_a_small_class_has_a_clip_in_every_split():
    clips = split_by_source(make_clips({"large": 20, "small": 3}), {"train": 0.8, "val": 0.1, "test": 0.1})
    assert sorted(clip.split for clip in clips if clip.label == "small") == ["test", "train", "val"]
    assert Counter(clip.split for clip in clips if clip.label == "large") == {"train": 16, "val": 2, "test": 2}


def test_a_class_with_one_video_is_refused_by_name():
    with pytest.raises(
        ValueError, match=r"class 'horror' has 1 source video\(s\), such as .*, for the splits train, val"
    ):
        split_by_source(make_clips({"action": 20, "horror": 1}), {"train": 0.8, "val": 0.1, "test": 0.1})
