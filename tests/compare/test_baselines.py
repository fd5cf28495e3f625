"""Baselines in the table of systems, and systems that are not clearly above them."""

import pytest

from jaxvid.compare.baselines import above_pixel_change, baseline_cautions
from jaxvid.compare.compare import compare, systems_table
from jaxvid.compare.reading import read_run
from jaxvid.compare.runs import group_runs
from tests.compare.made_up import write_run


def groups_of(*workdirs):
    return group_runs([read_run(workdir) for workdir in workdirs])


def test_baselines_have_rows_of_their_own_and_systems_a_column(tmp_path):
    groups = groups_of(
        write_run(tmp_path / "a", "abcdefghi", pixel_change="abcdef"),
        write_run(tmp_path / "b", "abc", model__arch="C6R1D2", pixel_change="abcdef"),
    )
    header, *rows = systems_table(groups)
    assert header[-1] == "less pixel change"
    # 9 and 3 clips less 6, of 12.
    assert [row[-1].split(" [")[0] for row in rows[:2]] == ["+25.0 points", "-25.0 points"]
    baselines = {row[0]: row for row in rows[2:]}
    assert list(baselines) == ["baseline: commonest class", "baseline: file alone", "baseline: pixel change"]
    row = baselines["baseline: pixel change"]
    assert row[1:4] == ["movies/64x64", "1", "12"]
    assert row[4].startswith("50.0 % [")
    cells = dict(zip(header, row, strict=True))
    assert (cells["Precision"], cells["less pixel change"]) == ("", "")
    assert cells["ROC AUC"].startswith("50.0 %")


def test_several_runs_have_the_mean_and_the_spread_of_their_baselines(tmp_path):
    """Two folds, one of them by two seeds, whose baseline counts once."""
    folds = {"0": "abcdef", "1": "abcdefghi"}
    workdirs = [
        write_run(
            tmp_path / f"{fold}{seed}",
            "abcdefghijkl",
            data=f"movies/64x64, split train@{fold}/2",
            dataset__train_split=f"train@!{fold}/2",
            seed=seed,
            pixel_change=folds[fold],
        )
        for fold, seed in (("0", 0), ("0", 1), ("1", 0))
    ]
    header, _, *rows = systems_table(groups_of(*workdirs))
    # 6 and 9 of 12: 0.25 / sqrt(2).
    assert rows[-1][: header.index("Precision")] == [
        *("baseline: pixel change", "movies/64x64"),
        *("2", "24", "62.5 % ± 17.7"),
    ]


def test_the_difference_is_of_the_clips_of_all_runs(tmp_path):
    (group,) = groups_of(
        write_run(tmp_path / "a", "abcdefghijkl", pixel_change="abcdef"),
        write_run(tmp_path / "b", "abcdef", seed=1, pixel_change="abcdefghi"),
    )
    # 6 clips better of 12, 3 worse of 12.
    difference = above_pixel_change(group)
    assert difference["value"] == pytest.approx(3 / 24)
    assert difference["low"] < 3 / 24 < difference["high"]


def test_systems_that_are_not_clearly_above_are_named(tmp_path):
    clear = write_run(tmp_path / "a", "abcdefghijkl", pixel_change="abc")
    unclear = write_run(tmp_path / "b", "abcd", model__arch="C6R1D2", pixel_change="abc")
    (caution,) = baseline_cautions(groups_of(clear, unclear))
    assert caution.startswith(
        "cnn_lstm arch=C6R1D2, on movies/64x64, is not clearly above the baseline of pixel change"
    )
    assert caution.endswith("it may have learned scenes, not motion.")
    assert caution in compare([clear, unclear], tmp_path / "out")


def test_runs_that_were_evaluated_without_baselines_are_compared_as_before(tmp_path):
    old = write_run(tmp_path / "a", "abcdefghi")
    header, *rows = systems_table(groups_of(old))
    assert header[-1] == "ROC AUC"
    assert len(rows) == 1
    new = write_run(tmp_path / "b", "abc", model__arch="C6R1D2", pixel_change="abcdef")
    header, *rows = systems_table(groups_of(old, new))
    assert [row[-1].split(" ")[0] for row in rows[:2]] == ["", "-25.0"]
    assert baseline_cautions(groups_of(old)) == []
