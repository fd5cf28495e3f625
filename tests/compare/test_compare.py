import json

import numpy as np
import pytest

from jaxvid.compare.compare import compare, systems_table
from jaxvid.compare.runs import compare_pairs, group_runs, mcnemar, read_run
from jaxvid.config import base_config, save_config
from jaxvid.metrics.classification import classification_metrics
from jaxvid.metrics.predictions import Predictions, write_csv

LABELS = np.asarray([0, 1] * 6)


def write_run(workdir, right, *, data="movies/64x64, split test", clips="abcdefghijkl", **changes):
    """A workdir whose model has the clips in `right` right and the others wrong."""
    workdir.mkdir()
    config = base_config()
    config.model = {"name": "cnn_lstm", "arch": "C4R1D2"}
    for key, value in changes.items():
        section, _, name = key.partition("__")
        if name:
            config[section][name] = value
        else:
            config[section] = value
    save_config(config, workdir)
    called = np.where([name in right for name in "abcdefghijkl"], LABELS, 1 - LABELS)
    predictions = Predictions(list(clips), list(clips), LABELS, np.eye(2)[called], ["calm", "fight"])
    write_csv(predictions, workdir / "predictions.csv")
    metrics = classification_metrics(predictions, num_resamples=20) | {"evaluated": {"Data": data}}
    (workdir / "metrics.json").write_text(json.dumps(metrics))
    return workdir


def test_mcnemar_by_hand():
    # Of 8 clips that one has right, one falls to the other: 2 * (1 + 8) / 2**8.
    assert mcnemar(1, 7) == pytest.approx(18 / 256)
    assert mcnemar(0, 0) == 1
    assert mcnemar(3, 3) == pytest.approx(1)


def test_pairs_are_runs_on_the_same_clips(tmp_path):
    runs = [
        read_run(write_run(tmp_path / "a", "abcdefgh")),
        read_run(write_run(tmp_path / "b", "aijkl", seed=1)),
        read_run(write_run(tmp_path / "c", "abc", clips="mnopqrstuvwx")),
    ]
    (pair,) = compare_pairs(runs)
    assert (pair.first.workdir.name, pair.second.workdir.name) == ("a", "b")
    assert (pair.only_first, pair.only_second) == (7, 4)


def test_runs_over_seeds_and_folds_are_one_system_with_mean_and_spread(tmp_path):
    runs = [
        read_run(write_run(tmp_path / "a", "abcdefghi")),
        read_run(write_run(tmp_path / "b", "abcdef", seed=1, dataset__test_split="train@1/3")),
        read_run(write_run(tmp_path / "c", "abc", model__arch="C6R1D2")),
        read_run(write_run(tmp_path / "d", "abc", data="hockey/64x64, split test")),
    ]
    groups = group_runs(runs)
    assert [(group.system, group.data, len(group.runs)) for group in groups] == [
        ("cnn_lstm arch=C4R1D2", "movies/64x64", 2),
        ("cnn_lstm arch=C6R1D2", "movies/64x64", 1),
        ("cnn_lstm arch=C4R1D2", "hockey/64x64", 1),
    ]
    mean, spread = groups[0].mean_and_spread("accuracy")
    # 9 and 6 of 12.
    assert mean == pytest.approx(0.625)
    assert spread == pytest.approx(0.25 / np.sqrt(2))
    assert groups[1].mean_and_spread("accuracy") == (pytest.approx(0.25), None)
    assert systems_table(groups)[1][:5] == ["cnn_lstm arch=C4R1D2", "movies/64x64", "2", "24", "62.5 % ± 17.7"]


def test_a_comparison_writes_a_table_a_chart_and_a_page(tmp_path):
    workdirs = [write_run(tmp_path / name, right) for name, right in (("a", "abcdefghi"), ("b|c", "ab"))]
    markdown = compare(workdirs, tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "comparison.html",
        "comparison.md",
        "comparison.png",
    }
    assert (tmp_path / "out" / "comparison.md").read_text() == markdown
    assert "| a | b\\|c | 7 | 0 | 0.0156 |" in markdown
    page = (tmp_path / "out" / "comparison.html").read_text()
    assert "0.0156" in page
    assert "data:image/png" in page


def test_what_cannot_be_compared_is_named(tmp_path):
    workdir = write_run(tmp_path / "a", "a")
    with pytest.raises(ValueError, match="a workdir is named twice"):
        compare([workdir, tmp_path / "." / "a"], tmp_path / "out")
    (workdir / "metrics.json").unlink()
    with pytest.raises(ValueError, match="has not been evaluated; run: python -m jaxvid.evaluate --workdir="):
        compare([workdir], tmp_path / "out")
    with pytest.raises(ValueError, match="no workdir of a training run"):
        compare([tmp_path / "b"], tmp_path / "out")
    assert not (tmp_path / "out").exists()
