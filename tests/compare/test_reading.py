import json

import pytest

from jaxvid.compare.reading import read_run, read_runs
from jaxvid.compare.runs import group_runs
from tests.compare.made_up import write_run


def test_runs_of_one_name_have_as_much_of_their_paths_as_tells_them_apart(tmp_path):
    workdirs = []
    for path in ("a/x/fold1", "b/x/fold1", "b/fold2"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        workdirs.append(write_run(tmp_path / path, "abc"))
    assert [run.name for run in read_runs(workdirs)] == ["a/x/fold1", "b/x/fold1", "fold2"]


def test_keys_of_the_model_that_earlier_versions_lack_have_their_defaults(tmp_path):
    model = {"name": "lrcn", "num_classes": 2, "activation": "relu"}
    runs = read_runs(
        [
            write_run(tmp_path / "before", "abc", model=model),
            write_run(tmp_path / "default", "ab", model=model | {"input": "frames"}, seed=1),
            write_run(tmp_path / "other", "a", model=model | {"input": "differences"}),
        ]
    )
    assert [(group.system, len(group.runs)) for group in group_runs(runs)] == [
        ("lrcn input=frames", 2),
        ("lrcn input=differences", 1),
    ]


def test_an_evaluation_without_one_of_the_metrics_is_refused(tmp_path):
    path = write_run(tmp_path / "a", "abc") / "metrics.json"
    metrics = json.loads(path.read_text())
    del metrics["f1"]
    path.write_text(json.dumps(metrics))
    with pytest.raises(ValueError, match="metrics.json has no f1; evaluate .* again, with this version"):
        read_run(tmp_path / "a")


@pytest.mark.parametrize("text", ['{"acc', "[]", "{}", "[" * 100_000])
def test_metrics_that_no_evaluation_wrote_are_refused_by_name(tmp_path, text):
    path = write_run(tmp_path / "a", "abc") / "metrics.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=f"{path} (cannot be read: .*|is not what .*); evaluate {path.parent} again"):
        read_run(tmp_path / "a")


def test_evaluations_of_earlier_versions_name_the_workdir_of_their_run(tmp_path):
    workdir = write_run(tmp_path / "a", "abc", seed=7)
    evaluation = write_run(tmp_path / "b", "abcd")
    (evaluation / "config.json").unlink()
    path = evaluation / "metrics.json"
    metrics = json.loads(path.read_text())
    metrics["evaluated"]["Checkpoint"] = f"step 3 (best) of {workdir}"
    path.write_text(json.dumps(metrics))
    run = read_run(evaluation)
    assert run.config["seed"] == 7
    assert run.metrics["accuracy"]["value"] == pytest.approx(4 / 12)
