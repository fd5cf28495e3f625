import json

import pytest

from jaxvid.evaluate.evaluate import evaluate
from jaxvid.train.loop import train


@pytest.mark.slow
def test_a_run_trains_on_two_datasets_and_is_tested_on_another(config, brawl, tmp_path):
    """It trains on both, with labels of either; its test split is of the one that `test_name` names."""
    config.dataset.update(brawl, test_name="synthetic_brawl/tiny", test_split="test")
    config.train.num_epochs = 1
    config.eval.calibration = "temperature"
    train(config, tmp_path)
    saved = json.loads((tmp_path / "config.json").read_text())["config"]["dataset"]
    assert (saved["class_names"], saved["version"]) == (["no_fight", "fight"], "1.0.0,1.0.0")
    # 16 and 8 clips in batches of 8.
    assert json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[-1])["step"] == 3

    metrics = evaluate(tmp_path)
    evaluated = json.loads((tmp_path / "metrics.json").read_text())["evaluated"]
    assert evaluated["Data"] == "synthetic_brawl/tiny, split test"
    assert "Caution" not in evaluated
    assert (metrics["num_clips"], metrics["class_names"]) == (8, ["no_fight", "fight"])
    assert {name: of_class["support"] for name, of_class in metrics["per_class"].items()} == {"no_fight": 4, "fight": 4}
    # A split that is named is one of the training sets.
    assert evaluate(tmp_path, split="val", output=tmp_path / "val")["num_clips"] == 8 + 8
