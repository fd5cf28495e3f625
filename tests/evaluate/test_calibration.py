import json

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from jaxvid import checkpoint
from jaxvid.calibration import FILE_NAME, Calibration, FittedOn, Threshold, read_calibration, write_calibration
from jaxvid.config import load_config
from jaxvid.evaluate.evaluate import evaluate
from jaxvid.metrics.predictions import read_csv


@pytest.fixture(scope="module")
def original(run, tmp_path_factory):
    """The metrics and the predictions of the run without calibration."""
    output = tmp_path_factory.mktemp("original")
    return evaluate(run, output=output), read_csv(output / "predictions.csv")


def test_a_temperature_and_a_threshold_are_applied_and_reported(changed_run, original, tmp_path, capsys):
    before, raw = original
    assert "calibration" not in before
    workdir = changed_run(eval={"calibration": "temperature", "threshold": "validation"})
    # A temperature of a half squares probabilities.
    squares = raw.probabilities**2
    expected = squares / squares.sum(axis=1, keepdims=True)
    threshold = float(np.sort(expected[:, 1])[2:4].mean())
    fitted_on = FittedOn("synthetic_fight/tiny/1.0.0", "val", 8, 7, 0.7, 0.6, 0.81)
    step = checkpoint.find_step(workdir, "val_loss", "best")
    calibration = Calibration(0.5, Threshold("fight", threshold), fitted_on)
    write_calibration(workdir, step, load_config(workdir), calibration)
    metrics = evaluate(workdir, output=tmp_path / "output")

    predictions = read_csv(tmp_path / "output" / "predictions.csv")
    np.testing.assert_allclose(predictions.probabilities, expected, rtol=1e-5)
    # Three of eight are below the threshold, wherever the network has put them.
    assert predictions.predicted.tolist() == (expected[:, 1] >= threshold).tolist()
    assert np.sum(metrics["confusion_matrix"]["value"], axis=0).tolist() == [3, 5]
    accuracy = sklearn_metrics.accuracy_score(predictions.labels, predictions.predicted)
    assert metrics["accuracy"]["value"] == accuracy
    assert metrics["roc_auc"] == before["roc_auc"]
    for name in ("expected_calibration_error", "brier_score", "loss"):
        assert metrics["calibration"]["before"][name] == before[name]
        assert metrics[name] != before[name]
    details = json.loads((tmp_path / "output" / "metrics.json").read_text())["evaluated"]
    page = (tmp_path / "output" / "report" / "index.html").read_text()
    for text in (details["Calibration"], page, capsys.readouterr().out):
        assert "temperature 0.500, fitted on 8 clips of 7 sources" in text
    assert details["Threshold"].startswith(f"fight from {100 * threshold:.1f} % on, chosen on 8 clips of 7 sources")
    assert details["Threshold"] in page
    assert "Before and after calibration" in page


def test_what_is_missing_is_fitted_and_kept(changed_run, tmp_path):
    workdir = changed_run(eval={"calibration": "temperature"})
    first = evaluate(workdir, output=tmp_path / "output")
    step = checkpoint.find_step(workdir, "val_loss", "best")
    written = (workdir / FILE_NAME).read_text()
    stored = read_calibration(workdir, step, load_config(workdir))
    assert first["calibration"]["temperature"] == stored.temperature
    assert first["calibration"]["threshold"] is None
    assert evaluate(workdir, output=tmp_path / "output") == first
    assert (workdir / FILE_NAME).read_text() == written
