import csv
import json

import numpy as np
import pytest

from jaxvid.compare.compare import read_systems
from jaxvid.compare.results import (
    group_interval,
    parse_values,
    portable,
    read_results,
    result_row,
    write_results,
)
from tests.compare.made_up import write_run

COMMAND = "python -m jaxvid.main --config=configs/lrcn.py:dataset=movies_fight_fold{} --workdir {}"


def trained(workdir, *sessions):
    """Adds sessions to a run, each with its command and its seconds."""
    rows = [{"command": command, "hardware": "2 CPU cores", "seconds": seconds} for command, seconds in sessions]
    (workdir / "sessions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return workdir


def two_folds(tmp_path):
    runs = []
    for fold, correct in enumerate(("abcdefghi", "abcdef")):
        clips = [f"{fold}{letter}" for letter in "abcdefghijkl"]
        data = f"movies/64x64, split train+test@{fold}/2"
        runs.append(write_run(tmp_path / f"fold{fold}", correct, clips=clips, data=data))
        trained(runs[-1], (COMMAND.format(fold, runs[-1]), 100.0 * fold), (COMMAND.format(fold, runs[-1]), 50.0))
    return runs


def test_a_row_of_two_folds(tmp_path):
    (group,) = read_systems(two_folds(tmp_path))
    row = result_row(group)
    assert row["system"] == "cnn_lstm"
    assert (row["trained_on"], row["dataset"], row["split"]) == ("movies", "movies", "train+test@0+1/2")
    assert (row["runs"], row["clips"]) == ("2 folds", "24")
    # 9 and 6 of 12: 0.25 / sqrt(2) apart.
    assert (row["accuracy"], row["accuracy_sd"], row["accuracy_runs"]) == ("0.6250", "0.1768", "0.7500 0.5000")
    # 50 and 150 seconds.
    assert (row["seconds"], row["hardware"]) == ("100", "2 CPU cores")
    assert row["config"] == "lrcn.py:dataset=movies_fight_fold{0,1}"
    assert row["command"] == (
        "python -m jaxvid.main --config=configs/lrcn.py:dataset=movies_fight_fold0 --workdir=DIR; "
        "python -m jaxvid.main --config=configs/lrcn.py:dataset=movies_fight_fold1 --workdir=DIR"
    )


def test_the_interval_of_folds_resamples_the_sources_of_all(tmp_path):
    (group,) = read_systems(two_folds(tmp_path))
    # The mean of two folds of 12 independent clips each: another way of drawing, by fold.
    rng = np.random.default_rng(1)
    means = (rng.binomial(12, 0.75, 20_000) + rng.binomial(12, 0.5, 20_000)) / 24
    expected = np.quantile(means, [0.025, 0.975])
    np.testing.assert_allclose(group_interval(group, "accuracy", num_resamples=4000), expected, atol=0.03)


def test_the_interval_of_seeds_draws_a_source_for_all_of_them(tmp_path):
    runs = [write_run(tmp_path / name, "abcdef", seed=seed) for seed, name in enumerate("abc")]
    (group,) = read_systems(runs)
    # Three times the same predictions tell no more than one: 12 clips, half of them correct.
    expected = np.quantile(np.random.default_rng(1).binomial(12, 0.5, 20_000) / 12, [0.025, 0.975])
    np.testing.assert_allclose(group_interval(group, "accuracy", num_resamples=4000), expected, atol=0.03)
    assert result_row(group)["runs"] == "3 seeds"


def test_a_single_run_has_the_interval_of_its_evaluation_and_no_spread(tmp_path):
    (group,) = read_systems([write_run(tmp_path / "a", "abcdefghi")])
    row = result_row(group)
    estimate = group.runs[0].metrics["accuracy"]
    assert row["accuracy_low"] == f"{estimate['low']:.4f}"
    assert (row["runs"], row["accuracy_sd"], row["accuracy_runs"]) == ("1", "", "")
    # Its sessions were not kept.
    assert not {"seconds", "hardware", "config", "command"} & set(row)


def test_a_row_has_the_difference_to_the_baseline_of_pixel_change(tmp_path):
    (group,) = read_systems(
        [
            write_run(tmp_path / "a", "abcdefghijkl", pixel_change="abcdef"),
            write_run(tmp_path / "b", "abcdef", seed=1, pixel_change="abcdefghi"),
        ]
    )
    row = result_row(group)
    # 6 clips better of 12, 3 worse of 12.
    assert row["above_pixels"] == "0.1250"
    assert float(row["above_pixels_low"]) < 0.125 < float(row["above_pixels_high"])


def test_a_row_is_replaced_and_keeps_columns_written_by_hand(tmp_path):
    path = tmp_path / "results" / "made_up.csv"
    runs = two_folds(tmp_path)
    values = parse_values(["system=LRCN", "note=by hand", "hardware=a laptop=old"])
    assert write_results(path, read_systems(runs), values) == [f"{path}: added LRCN, movies, movies, train+test@0+1/2"]
    other = write_run(tmp_path / "other", "abc")
    assert write_results(path, read_systems([other]), {"system": "LRCN"}) == [
        f"{path}: added LRCN, movies, movies, test"
    ]
    for run in runs:
        (run / "sessions.jsonl").unlink()
    assert write_results(path, read_systems(runs), {"system": "LRCN"}) == [
        f"{path}: replaced LRCN, movies, movies, train+test@0+1/2"
    ]
    first, second = read_results(path)
    assert (first["note"], first["hardware"], first["seconds"]) == ("by hand", "a laptop=old", "100")
    assert (second["note"], second["accuracy"]) == ("", "0.2500")
    # Without a value, a column is not written.
    assert "date" not in first


def test_a_row_that_names_the_system_alone_is_filled_in(tmp_path):
    path = tmp_path / "papers.csv"
    path.write_text("system,dataset,paper_accuracy\nSHDN,movies,0.98\n")
    write_results(path, read_systems(two_folds(tmp_path)), {"system": "SHDN"})
    (row,) = read_results(path)
    assert (row["split"], row["accuracy"], row["paper_accuracy"]) == ("train+test@0+1/2", "0.6250", "0.98")


def test_two_systems_with_one_name_are_refused(tmp_path):
    runs = [write_run(tmp_path / "a", "abc"), write_run(tmp_path / "b", "ab", model__arch="C6R1D2")]
    with pytest.raises(ValueError, match="two systems would have one row of .*made_up.csv: SHDN, .*one by one"):
        write_results(tmp_path / "made_up.csv", read_systems(runs), {"system": "SHDN"})
    assert not (tmp_path / "made_up.csv").exists()


def test_a_file_with_a_row_of_another_length_is_refused(tmp_path):
    path = tmp_path / "made_up.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([["system", "dataset"], ["LRCN"]])
    with pytest.raises(ValueError, match="made_up.csv, line 2: a row must have a cell for each column"):
        read_results(path)


@pytest.mark.parametrize("assignment", ["system", "=a", "System=a", "a b=c"])
def test_values_that_cannot_be_read_are_refused(assignment):
    with pytest.raises(ValueError, match="is not of the form column=value; columns: system, config, "):
        parse_values([assignment])


def test_a_row_across_datasets_has_the_command_of_the_evaluation_too(tmp_path):
    workdir = trained(write_run(tmp_path / "a", "abc", dataset__name="hockey/64x64"), ("python -m x --config=c", 1.0))
    path = workdir / "metrics.json"
    metrics = json.loads(path.read_text())
    metrics["evaluated"]["Command"] = "python -m jaxvid.evaluate --workdir=/tmp/a --output /tmp/b --split=test"
    path.write_text(json.dumps(metrics))
    row = result_row(*read_systems([workdir]))
    assert (row["trained_on"], row["dataset"]) == ("hockey", "movies")
    assert row["command"] == "python -m x --config=c; python -m jaxvid.evaluate --workdir=DIR --split=test"


def test_commands_for_other_machines_name_no_places_of_this_one():
    command = (
        "python -m jaxvid.main --config=/home/me/configs/lrcn.py --workdir /tmp/a --config.dataset.data_dir=/tfds "
        "--config.dataset.manual_dir=/data --config.model.pretrained=/w/a.h5 '--config.x=a b' -v 1"
    )
    assert portable(command) == (
        "python -m jaxvid.main --config=configs/lrcn.py --workdir=DIR --config.dataset.manual_dir=VIDEOS "
        "--config.model.pretrained=a.h5 '--config.x=a b' -v 1"
    )
