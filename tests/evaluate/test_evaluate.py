import json

import pytest
from sklearn import metrics as sklearn_metrics

from jaxvid.baselines.text import read_baseline_predictions
from jaxvid.evaluate.evaluate import _data_page, _replaced, evaluate
from jaxvid.metrics.predictions import read_csv
from tests.commands import run_command


def test_the_command_writes_metrics_predictions_and_a_report(run, tmp_path, capsys):
    (run / "data.html").write_text("the page on the data, which the training command writes")
    run_command("jaxvid.evaluate", f"--workdir={run}", f"--output={tmp_path}")
    written = json.loads((tmp_path / "metrics.json").read_text())
    assert written["evaluated"]["Data"] == "synthetic_fight/tiny, split test"
    assert (written["positive_class"], written["positive_class_reason"]) == ("fight", "the other name negates it")
    assert "Caution" not in written["evaluated"]
    output = capsys.readouterr().out
    assert "Positive class: fight (the other name negates it)" in output
    assert f"Report: {tmp_path / 'report' / 'index.html'}" in output

    assert "Baselines, fitted on synthetic_fight/tiny, split train:" in output
    baselines = written["baselines"]
    assert all(note in output for note in baselines["notes"])
    # Two classes of four clips each.
    assert baselines["systems"]["commonest_class"]["accuracy"]["value"] == 0.5

    predictions = read_csv(tmp_path / "predictions.csv")
    of_baselines = read_baseline_predictions(tmp_path / "baseline_predictions.csv")
    assert all(list(predicted) == predictions.clips for predicted in of_baselines.values())
    assert len(predictions.clips) == 8
    accuracy = sklearn_metrics.accuracy_score(predictions.labels, predictions.predicted)
    assert written["accuracy"]["value"] == pytest.approx(accuracy)
    page = (tmp_path / "report" / "index.html").read_text()
    assert "synthetic_fight/tiny" in page
    assert "The network and the baselines" in page
    assert {"confusion_matrix.png", "training_curves.png"} <= {path.name for path in (tmp_path / "report").iterdir()}
    assert '<a href="data.html">' in page
    assert (tmp_path / "report" / "data.html").read_bytes() == (run / "data.html").read_bytes()


def test_a_report_without_faces_has_no_page_that_shows_them(changed_run):
    workdir = changed_run(eval={"blur_faces": False})
    assert _data_page(workdir, without_faces=False) is None
    (workdir / "data.html").touch()
    assert _data_page(workdir, without_faces=False) == workdir / "data.html"
    assert _data_page(workdir, without_faces=True) is None
    saved = json.loads((workdir / "config.json").read_text())
    saved["config"]["eval"]["blur_faces"] = True
    (workdir / "config.json").write_text(json.dumps(saved))
    assert _data_page(workdir, without_faces=True) == workdir / "data.html"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--videos=v", "--dataset=d"], "--dataset and --videos exclude each other"),
        (["--videos=v", "--split=test"], "--split and --videos exclude each other"),
        (["--sources=s.csv"], "--sources needs --videos"),
        (["test"], "unexpected argument 'test'; options begin with --"),
        (["--class_map=a"], "--class_map has the part 'a'; allowed: theirs:ours,theirs:ours"),
        (["--positive_class=dog"], "the positive class is 'dog'; allowed: no_fight, fight"),
        (["--crops=3"], "eval.crops is 3; allowed with clip.crop 'resize': 1 to 1"),
        (["--clips=-1"], "eval.clips is -1; allowed: 0"),
        (["--checkpoint=3"], "no checkpoint '3'; allowed: best, last"),
        (["--split=validation"], "has no split 'validation'"),
    ],
)
def test_the_command_refuses_flags_that_do_not_fit(run, flags, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        run_command("jaxvid.evaluate", f"--workdir={run}", f"--output={tmp_path / 'output'}", *flags)
    assert not (tmp_path / "output").exists()


def test_a_missing_run_or_checkpoint_is_named(run, tmp_path):
    with pytest.raises(ValueError, match="is no workdir of a training run"):
        evaluate(tmp_path)
    (tmp_path / "config.json").write_text((run / "config.json").read_text())
    with pytest.raises(ValueError, match="holds no checkpoint yet"):
        evaluate(tmp_path)


def test_an_evaluation_elsewhere_keeps_what_the_workdir_tells_of_the_run(run, tmp_path):
    evaluate(run, output=tmp_path / "a", command="python -m jaxvid.evaluate")
    for name in ("config.json", "sessions.jsonl"):
        assert (tmp_path / "a" / name).read_text() == (run / name).read_text()
    evaluated = json.loads((tmp_path / "a" / "metrics.json").read_text())["evaluated"]
    assert evaluated["Command"] == "python -m jaxvid.evaluate"


def test_the_workdir_of_another_run_is_no_output(run, changed_run):
    other = changed_run()
    before = sorted(other.iterdir())
    with pytest.raises(ValueError, match=f"--output={other} is the workdir of another run"):
        evaluate(run, output=other)
    assert sorted(other.iterdir()) == before


def test_another_split_and_checkpoint(run, tmp_path, caplog):
    (tmp_path / "metrics.json").write_text('{"evaluated": {"Data": "synthetic_fight/tiny, split test"}}')
    with caplog.at_level("WARNING"):
        assert evaluate(run, split="train", which="last", output=tmp_path)["num_clips"] == 16
    assert f"{tmp_path} had an evaluation of synthetic_fight/tiny, split test, which this one replaces" in caplog.text
    details = json.loads((tmp_path / "metrics.json").read_text())["evaluated"]
    assert details["Checkpoint"].startswith("step 4 (last)")
    assert details["Caution"].startswith("8 source videos have clips in the training split too")


def test_only_an_evaluation_of_other_data_is_worth_a_warning(tmp_path):
    assert _replaced(tmp_path, "one") is None
    (tmp_path / "metrics.json").write_text('{"evaluated": {"Data": "one"}}')
    assert _replaced(tmp_path, "one") is None
    assert _replaced(tmp_path, "another") == "one"
    for damaged in ("", "[]", "[" * 100_000, "{}", '{"evaluated": null}'):
        (tmp_path / "metrics.json").write_text(damaged)
        assert _replaced(tmp_path, "another") is None


def positive_class_of(workdir, output, **arguments):
    """The positive class with its reason in the metrics, the details and the page of an evaluation."""
    metrics = evaluate(workdir, output=output, **arguments)
    written = json.loads((output / "metrics.json").read_text())
    assert written["positive_class"] == metrics["positive_class"]
    page = (output / "report" / "index.html").read_text()
    return metrics, written["evaluated"]["Positive class"], page


def test_the_flag_wins_over_the_config_and_the_config_over_the_names(run, changed_run, tmp_path):
    by_name, detail, _ = positive_class_of(run, tmp_path / "by_name")
    assert (by_name["positive_class"], detail) == ("fight", "fight (the other name negates it)")

    workdir = changed_run(dataset={"positive_class": "NoFight"})
    by_config, detail, page = positive_class_of(workdir, tmp_path / "by_config")
    assert (by_config["positive_class"], detail) == ("no_fight", "no_fight (given by dataset.positive_class)")
    assert detail in page
    # With the other class as the positive one, precision and recall are that class's.
    for name in ("precision", "recall"):
        assert by_config[name]["value"] == by_name["per_class"]["no_fight"][name]["value"]

    by_flag, detail, page = positive_class_of(workdir, tmp_path / "by_flag", positive_class="fight")
    assert (by_flag["positive_class"], detail) == ("fight", "fight (given by --positive_class)")
    assert by_flag["precision"] == by_name["precision"]
    assert detail in page


def test_names_that_do_not_tell_the_positive_class_ask_for_the_flag_or_the_key(changed_run, tmp_path, capsys):
    workdir = changed_run(dataset={"class_names": ["cats", "dogs"]})
    class_map = {"no_fight": "cats", "fight": "dogs"}
    metrics, detail, _ = positive_class_of(workdir, tmp_path / "output", class_map=class_map)
    assert metrics["positive_class"] is None
    assert detail.startswith("not known")
    for text in (detail, capsys.readouterr().out):
        assert "--positive_class" in text
        assert "dataset.positive_class" in text


def test_more_than_two_classes_have_no_positive_one(changed_run):
    workdir = changed_run(dataset={"class_names": ["fight", "kiss", "walk"]})
    with pytest.raises(ValueError, match="the positive class is 'kiss'; allowed: none, as the model has 3 classes"):
        evaluate(workdir, positive_class="kiss")
