import json
import shutil

import numpy as np
import pytest
from scipy.special import log_softmax, softmax
from sklearn.metrics import balanced_accuracy_score, log_loss

from jaxvid.calibration import FILE_NAME, read_calibration
from jaxvid.config import base_config, load_config
from jaxvid.train import calibration
from jaxvid.train.calibration import calibrate, check_threshold, choose_threshold, fit_temperature
from jaxvid.train.loop import train
from tests.train.runs import set_validation_losses


def overconfident(factor, num_clips=400, num_classes=3, seed=0):
    """Labels drawn by the softmax of logits, and the logits times a factor: too sure above 1, too unsure below it."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(scale=1.5, size=(num_clips, num_classes))
    labels = np.array([rng.choice(num_classes, p=row) for row in softmax(logits, axis=1)])
    return factor * logits, labels


@pytest.mark.parametrize("factor", [0.3, 1.0, 3.0, 10.0])
def test_the_temperature_is_that_of_a_grid_search(factor):
    logits, labels = overconfident(factor)
    temperature = fit_temperature(softmax(logits, axis=1), np.arange(400), labels)
    grid = np.geomspace(0.05, 20, 2001)
    losses = [-log_softmax(logits / candidate, axis=1)[np.arange(400), labels].mean() for candidate in grid]
    # Neighbors in the grid are 0.3 % apart.
    assert temperature == pytest.approx(grid[int(np.argmin(losses))], rel=0.004)
    # What undoes the factor, up to chance.
    assert temperature == pytest.approx(factor, rel=0.2)
    assert log_loss(labels, softmax(logits / temperature, axis=1)) <= min(losses) + 1e-12


def test_the_temperature_of_several_views_is_that_of_their_means():
    logits, labels = overconfident(3.0, num_clips=100)
    views = np.repeat(logits, 3, axis=0) + np.random.default_rng(1).normal(scale=4, size=(300, 3))
    temperature = fit_temperature(softmax(views, axis=1), np.repeat(np.arange(100), 3), labels)

    def loss(candidate):
        means = softmax(views / candidate, axis=1).reshape(100, 3, 3).mean(axis=1)
        return -np.log(means[np.arange(100), labels]).mean()

    grid = np.geomspace(0.05, 20, 1001)
    assert temperature == pytest.approx(grid[int(np.argmin([loss(candidate) for candidate in grid]))], rel=0.007)
    assert temperature > 1


def test_without_a_mistake_there_is_no_best_temperature():
    probabilities = np.array([[0.9, 0.1], [0.3, 0.7]])
    assert fit_temperature(probabilities, np.arange(2), np.array([0, 1])) == 1.0
    assert fit_temperature(probabilities, np.arange(2), np.array([0, 0])) > 1.0


@pytest.mark.parametrize(
    ("negative", "positive", "threshold", "balanced_accuracy"),
    [
        # All between 0.4 and 0.8 separate them.
        ([0.1, 0.2, 0.4], [0.8, 0.9], 0.6, 1.0),
        # From 0.1 to 0.3 and from 0.5 to 0.9 both are right in three of four ways; the second stretch is wider.
        ([0.1, 0.5], [0.3, 0.9], 0.7, 0.75),
        # Recalls count alike however many clips a class has: (9/10 + 1) / 2 and not (10/10 + 0) / 2.
        ([0.1] * 9 + [0.6], [0.5], 0.3, 0.95),
        # Equal scores cannot be told apart: all are positive, or none is.
        ([0.4, 0.4], [0.4], 0.7, 0.5),
    ],
)
def test_thresholds_by_hand(negative, positive, threshold, balanced_accuracy):
    scores = np.array([*negative, *positive])
    chosen = choose_threshold(scores, np.arange(len(scores)) >= len(negative))
    assert chosen == (pytest.approx(threshold), pytest.approx(balanced_accuracy))


@pytest.mark.parametrize("seed", range(5))
def test_no_other_threshold_has_a_higher_balanced_accuracy(seed):
    rng = np.random.default_rng(seed)
    positive = np.arange(30) % 3 == 0
    scores = np.round(np.clip(rng.normal(0.4 + 0.2 * positive, 0.2), 0, 1), 2)
    threshold, value = choose_threshold(scores, positive)
    assert value == pytest.approx(balanced_accuracy_score(positive, scores >= threshold))
    others = np.linspace(0, 1.01, 500)[:, None]
    recalls = (scores[positive] >= others).mean(axis=1), (scores[~positive] < others).mean(axis=1)
    assert value >= (sum(recalls) / 2).max() - 1e-12


def test_a_threshold_that_cannot_be_chosen_is_refused():
    config = base_config()
    labels = np.array([0, 1, 1])
    check_threshold(config, ["a", "b", "c"], labels)
    config.eval.threshold = "validation"
    check_threshold(config, ["fight", "no_fight"], labels)
    with pytest.raises(ValueError, match="threshold is 'validation'; allowed with 3 classes: none"):
        check_threshold(config, ["a", "b", "c"], labels)
    with pytest.raises(ValueError, match="without a positive class: none; .* choose one with dataset.positive_class"):
        check_threshold(config, ["cats", "dogs"], labels)
    with pytest.raises(ValueError, match="without clips of fight in the validation split: none"):
        check_threshold(config, ["fight", "no_fight"], labels[1:])
    config.dataset.positive_class = "cats"
    check_threshold(config, ["cats", "dogs"], labels)


@pytest.fixture
def fitted(monkeypatch):
    """The arguments of every fit of a temperature, as it happens."""
    calls = []
    monkeypatch.setattr(
        calibration, "fit_temperature", lambda *arrays: calls.append(arrays) or fit_temperature(*arrays)
    )
    return calls


def test_a_finished_run_is_calibrated_once(config, tmp_path, fitted):
    config.train.num_epochs = 1
    config.eval.update(calibration="temperature", threshold="validation")
    train(config, tmp_path)
    train(config, tmp_path)
    calibrate(tmp_path, "last")
    assert len(fitted) == 1
    (outputs, clip_of_view, labels) = fitted[0]
    assert len(outputs) == len(clip_of_view) == len(labels) == 8
    first = read_calibration(tmp_path, 2, load_config(tmp_path))
    assert first.temperature == fit_temperature(outputs, clip_of_view, labels)
    assert first.threshold is not None
    assert first.threshold.class_name == "fight"
    assert first.fitted_on is not None
    assert (first.fitted_on.num_clips, first.fitted_on.dataset) == (8, "synthetic_fight/tiny")

    # A file that is damaged is made anew, with the same content.
    (tmp_path / FILE_NAME).write_text("{")
    calibrate(tmp_path)
    assert read_calibration(tmp_path, 2, load_config(tmp_path)) == first


@pytest.mark.slow
def test_every_best_checkpoint_is_calibrated(config, tmp_path, monkeypatch, fitted):
    set_validation_losses(monkeypatch, [0.5, 0.4])
    config.train.num_epochs = 1
    train(config, tmp_path)
    assert not (tmp_path / FILE_NAME).exists()
    # A finished run can be calibrated later.
    config.eval.update(calibration="temperature")
    train(config, tmp_path)
    assert read_calibration(tmp_path, 2, load_config(tmp_path)).threshold is None
    # The second epoch brings a new best checkpoint.
    config.train.num_epochs = 2
    train(config, tmp_path)
    assert len(fitted) == 2
    assert list(json.loads((tmp_path / FILE_NAME).read_text())["checkpoints"]) == ["2", "4"]

    # A new run in the workdir has the same steps: what belongs to the old one goes.
    shutil.rmtree(tmp_path / "checkpoints")
    set_validation_losses(monkeypatch, [0.5, 0.6])
    train(config, tmp_path)
    assert list(json.loads((tmp_path / FILE_NAME).read_text())["checkpoints"]) == ["2"]
