import pytest

from jaxvid.compare.compare import compare, differences_table, runs_table, systems_table
from jaxvid.compare.pairs import compare_pairs
from jaxvid.compare.reading import read_run, unify_classes
from jaxvid.compare.runs import group_runs
from tests.compare.made_up import write_run


def test_a_system_has_the_mean_and_the_spread_of_its_runs_and_a_single_run_its_interval(tmp_path):
    runs = [
        read_run(write_run(tmp_path / "a", "abcdefghi")),
        read_run(write_run(tmp_path / "b", "abcdef", seed=1)),
        read_run(write_run(tmp_path / "c", "abc", model__arch="C6R1D2")),
    ]
    header, several, single = systems_table(group_runs(runs))
    assert header == ["system", "data", "runs", "clips", "Accuracy", "Precision", "Recall", "F1", "ROC AUC"]
    # 9 and 6 of 12: 0.25 / sqrt(2).
    assert several[:5] == ["cnn_lstm arch=C4R1D2", "movies/64x64", "2", "24", "62.5 % ± 17.7"]
    assert single[4].startswith("25.0 % [")


def test_confusion_matrices_have_the_classes_in_one_order(tmp_path):
    # Wrong are b, d and f, which are fights, and k, which is none.
    runs = unify_classes(
        [
            read_run(write_run(tmp_path / "a", "aceghijl")),
            read_run(write_run(tmp_path / "b", "aceghijl", class_names=("Fight", "NoFight"), positive=0)),
        ]
    )
    header, *rows = runs_table(runs)
    assert header[-1] == "confusion matrix"
    assert [row[-1] for row in rows] == ["no_fight 5 1 / fight 3 3"] * 2
    # Recall of fights, whichever index they have: 3 of 6.
    assert all(row[header.index("Recall")].startswith("50.0 %") for row in rows)


def test_differences_have_the_clips_of_either_run_and_the_p_value(tmp_path):
    runs = [read_run(write_run(tmp_path / "a", "abcdefghi")), read_run(write_run(tmp_path / "b", "ab"))]
    # 7 clips against none: 2 / 2**7.
    header, row = differences_table(compare_pairs(group_runs(runs)))
    assert header[:5] == ["first", "second", "runs", "only first correct", "only second correct"]
    assert row[:5] == ["a", "b", "1", "7", "0"]
    # 7 of 12 clips: 58.3 points.
    assert row[5].startswith("+58.3 [+")
    assert row[6:] == ["0.0156"] * 3


def test_a_comparison_writes_a_table_a_chart_and_a_page(tmp_path):
    workdirs = [write_run(tmp_path / name, correct) for name, correct in (("a", "abcdefghi"), ("b|c", "ab"))]
    markdown = compare(workdirs, tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "comparison.html",
        "comparison.md",
        "comparison.png",
        "roc.png",
    }
    assert (tmp_path / "out" / "comparison.md").read_text() == markdown
    assert "| a | b\\|c | 1 | 7 | 0 | +58.3 [" in markdown
    page = (tmp_path / "out" / "comparison.html").read_text()
    assert "0.0156" in page
    assert "data:image/png" in page
    assert 'class="caution"' not in page


def test_a_comparison_says_what_limits_it(tmp_path):
    workdirs = [
        write_run(tmp_path / "a", "abcdefghi", cautions="2 sources <x> are in the training split too"),
        write_run(tmp_path / "b", "ab", class_names=("calm", "violence")),
    ]
    markdown = compare(workdirs, tmp_path / "out")
    page = (tmp_path / "out" / "comparison.html").read_text()
    assert "a: 2 sources <x> are in the training split too" in markdown
    assert "a: 2 sources &lt;x&gt; are in the training split too" in page
    assert "The runs have different classes" in markdown
    assert "The runs have different classes" in page
    assert "No two systems were evaluated on the same clips and classes." in page


def test_a_comparison_without_roc_curves_leaves_none_of_an_earlier_one(tmp_path):
    workdir = write_run(tmp_path / "a", "abcdefghi")
    compare([workdir], tmp_path / "out")
    assert (tmp_path / "out" / "roc.png").exists()
    lines = (workdir / "predictions.csv").read_text().splitlines()
    # Clips of one class alone.
    (workdir / "predictions.csv").write_text("\n".join([lines[0], *lines[1::2]]) + "\n")
    compare([workdir], tmp_path / "out")
    assert not (tmp_path / "out" / "roc.png").exists()
    assert "ROC curves" not in (tmp_path / "out" / "comparison.html").read_text()


def test_runs_on_other_datasets_make_a_matrix(tmp_path):
    workdirs = [
        write_run(tmp_path / "a", "abcdefghi"),
        write_run(tmp_path / "b", "abc", dataset__name="hockey/64x64"),
    ]
    markdown = compare(workdirs, tmp_path / "out")
    assert "| Accuracy | on movies |" in markdown
    assert "| trained on hockey | 25.0 % [" in markdown
    assert (tmp_path / "out" / "matrix.png").exists()
    assert "on hockey" not in compare(workdirs[:1], tmp_path / "out")
    assert not (tmp_path / "out" / "matrix.png").exists()


def test_the_training_set_is_shown_where_it_is_not_the_evaluated_one(tmp_path):
    runs = [
        read_run(write_run(tmp_path / "a", "abcdefghi")),
        read_run(write_run(tmp_path / "b", "abc", dataset__name="hockey/64x64")),
    ]
    header, first, second = systems_table(group_runs(runs))
    assert header[:3] == ["system", "trained on", "data"]
    assert first[:3] == ["cnn_lstm", "movies", "movies/64x64"]
    assert second[:3] == ["cnn_lstm", "hockey", "movies/64x64"]


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
