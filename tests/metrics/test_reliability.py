import numpy as np
import pytest
from scipy import stats
from sklearn.calibration import calibration_curve

from jaxvid.metrics.classification import classification_metrics, split_values
from jaxvid.metrics.reliability import bins, mean_absolute_deviation, reliability
from tests.tiny import make_predictions, random_predictions


def of_confidences(confidence, right):
    """Predictions of two classes: class 0 with each confidence, right or wrong."""
    confidence = np.asarray(confidence)
    return make_predictions(np.where(right, 0, 1), np.stack([confidence, 1 - confidence], axis=1))


def test_fifteen_bins_contain_their_upper_end():
    confidence = np.array([0.0, 0.06, 1 / 15, 0.07, 0.5, 8 / 15, 0.54, 0.99, 1.0])
    assert bins(confidence).tolist() == [0, 0, 0, 1, 7, 7, 8, 14, 14]


def test_the_error_by_hand():
    # Bins (8/15, 9/15], (9/15, 10/15] and (14/15, 1], with 2, 1 and 4 clips of which 1, 1 and 2 are right.
    predictions = of_confidences([0.55, 0.59, 0.65, 0.95, 0.97, 0.98, 1.0], [1, 0, 1, 1, 0, 0, 1])
    expected = (abs(1 - 0.55 - 0.59) + abs(1 - 0.65) + abs(2 - 0.95 - 0.97 - 0.98 - 1.0)) / 7
    assert split_values(predictions).overall["expected_calibration_error"] == pytest.approx(expected)
    shown = reliability(predictions)
    assert {index: count for index, count in enumerate(shown["count"]) if count} == {8: 2, 9: 1, 14: 4}
    assert shown["confidence"][8] == pytest.approx(0.57)
    assert [shown["accuracy"][index] for index in (7, 8, 9, 14)] == [None, 0.5, pytest.approx(1.0), pytest.approx(0.5)]


@pytest.mark.parametrize("num_classes", [2, 5])
def test_the_bins_are_those_of_scikit_learn(num_classes):
    predictions = random_predictions(300, num_classes, num_sources=100)
    confidence = predictions.probabilities.max(axis=1)
    right = predictions.labels == predictions.probabilities.argmax(axis=1)
    accuracy, mean_confidence = calibration_curve(right, confidence, n_bins=15)
    shown = reliability(predictions)
    for name, expected in (("accuracy", accuracy), ("confidence", mean_confidence)):
        values = [value for value in shown[name] if value is not None]
        np.testing.assert_allclose(values, expected, atol=1e-12)
    count = np.asarray([count for count in shown["count"] if count])
    error = (count * np.abs(accuracy - mean_confidence)).sum() / 300
    assert split_values(predictions).overall["expected_calibration_error"] == pytest.approx(error)


def test_the_distance_by_chance_is_that_of_binomial_counts():
    count, probability = np.array([1, 7, 40, 3]), np.array([0.6, 0.8, 0.95, 1.0])
    expected = [
        stats.binom(n, p).expect(lambda right, n=n, p=p: abs(right - n * p))
        for n, p in zip(count, probability, strict=True)
    ]
    np.testing.assert_allclose(mean_absolute_deviation(count, probability), expected, atol=1e-12)
    # One clip with 60 %: it is right with 0.6, 0.4 off, or wrong with 0.4, 0.6 off.
    assert reliability(of_confidences([0.6], [1]))["by_chance"] == pytest.approx(2 * 0.6 * 0.4)


def test_the_error_is_of_the_most_probable_class_and_has_an_interval():
    metrics = classification_metrics(random_predictions(60, 3, num_sources=30), num_resamples=200)
    error = metrics["expected_calibration_error"]
    assert 0 < error["low"] < error["high"] < 1
    assert metrics["reliability"]["count"] == reliability(random_predictions(60, 3, num_sources=30))["count"]
