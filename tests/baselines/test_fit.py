"""Baselines: which features they take, and that they are scikit-learn's logistic regression on them."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from jaxvid.baselines.fit import BASELINES, fit_and_predict, fit_baselines
from jaxvid.calibration import Threshold
from tests.baselines.made_up import make_row, make_split, make_table
from tests.tiny import make_predictions

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("num_classes", [2, 4])
def test_features_are_standardized_by_the_training_clips(num_classes):
    labels = np.arange(60) % num_classes
    features = RNG.normal(size=(60, 3)) * [1, 50, 0.01] + labels[:, None] * [0.5, 20, 0.01] + [0, 1000, -3]
    others = RNG.normal(size=(20, 3)) * [1, 50, 0.01] + [0, 1010, -3]
    mean, deviation = features.mean(axis=0), features.std(axis=0)
    reference = LogisticRegression(max_iter=1000).fit((features - mean) / deviation, labels)
    expected = reference.predict_proba((others - mean) / deviation)
    np.testing.assert_allclose(fit_and_predict(features, labels, others, num_classes), expected, rtol=1e-6)


def test_what_is_not_known_of_a_clip_is_the_mean_of_the_training_clips():
    labels = np.arange(30) % 2
    features = RNG.normal(size=(30, 2)) + labels[:, None]
    gaps = features.copy()
    gaps[::3, 1] = np.nan
    filled = np.where(np.isnan(gaps), np.nanmean(gaps, axis=0), gaps)
    np.testing.assert_allclose(
        fit_and_predict(gaps, labels, np.asarray([[1.0, np.nan]]), 2),
        fit_and_predict(filled, labels, np.asarray([[1.0, np.nanmean(gaps[:, 1])]]), 2),
    )


def test_a_class_without_training_clips_has_probability_zero():
    features = np.asarray([[0.0], [1.0], [2.0], [3.0]])
    probabilities = fit_and_predict(features, np.asarray([0, 0, 2, 2]), features, 4)
    assert probabilities[:, [1, 3]].tolist() == [[0, 0]] * 4
    assert probabilities.argmax(axis=1).tolist() == [0, 0, 2, 2]
    assert fit_and_predict(features, np.asarray([1, 1, 1, 1]), features[:1], 3).tolist() == [[0, 1, 0]]


def evaluated(labels):
    """Rows of clips `clip0.avi` and so on, and predictions of them that are all wrong."""
    labels = np.asarray(labels)
    predictions = make_predictions(labels, np.eye(2)[1 - labels], class_names=["calm", "fight"])
    return make_table([make_row(clip) for clip in predictions.clips]), predictions


def test_the_commonest_class_is_that_of_the_training_clips():
    training = make_split([make_row("a"), make_row("b", "fight"), make_row("c", "fight")])
    rows, network = evaluated([0, 0, 0, 1])
    fitted = fit_baselines(training, rows, network)["commonest_class"]
    np.testing.assert_allclose(fitted.predictions.probabilities, [[1 / 3, 2 / 3]] * 4)
    assert fitted.predictions.labels.tolist() == [0, 0, 0, 1]
    assert fitted.predictions.clips == network.clips


def test_the_threshold_of_the_network_is_not_that_of_a_baseline():
    training = make_split([make_row("a"), make_row("b", "fight"), make_row("c", "fight")])
    rows, network = evaluated([0, 0, 0, 1])
    # No probability of 0 or 1 is above it: all clips are calm, and by the commonest class all are fights.
    decided = network.decided(Threshold("fight", 1.1))
    assert decided.predicted.tolist() == [0, 0, 0, 0]
    for fitted in fit_baselines(training, rows, decided).values():
        assert fitted.predictions.predicted.tolist() == fitted.predictions.probabilities.argmax(axis=1).tolist()
    assert fit_baselines(training, rows, decided)["commonest_class"].predictions.predicted.tolist() == [1, 1, 1, 1]


def test_a_sequence_less_often_cut_counts_as_much_as_another():
    """Two fights of one sequence each outnumber one calm video of three."""
    calm = [make_row("a", number=number) for number in range(3)]
    training = make_split([*calm, make_row("b", "fight", number=0), make_row("c", "fight", number=0)])
    rows, network = evaluated([0])
    fitted = fit_baselines(training, rows, network)["commonest_class"]
    np.testing.assert_allclose(fitted.predictions.probabilities, [[1 / 3, 2 / 3]])


def test_each_baseline_takes_its_own_features():
    """Files of fights are longer, their pixels change less; the evaluated clip is long, and changes much."""
    training = make_split(
        [make_row(f"calm{i}", seconds=1.0 + 0.1 * i, change={"mean": 9.0 + i}) for i in range(5)]
        + [make_row(f"fight{i}", "fight", seconds=5.0 + 0.1 * i, change={"mean": 1.0 + 0.1 * i}) for i in range(5)]
    )
    _, network = evaluated([1])
    rows = make_table([make_row("clip0.avi", seconds=5.0, change={"mean": 9.0})])
    fitted = fit_baselines(training, rows, network)
    assert list(fitted) == list(BASELINES)
    assert fitted["file"].predictions.predicted.tolist() == [1]
    assert fitted["pixel_change"].predictions.predicted.tolist() == [0]
    assert fitted["pixel_change"].features[0] == "mean"


def test_features_that_nobody_knows_are_named():
    def training(**file):
        return make_split([make_row("a", seconds=1.0, **file), make_row("b", "fight", seconds=9.0, **file)])

    rows, network = evaluated([0, 1])
    old = fit_baselines(training(file=None), rows, network)["file"]
    assert old.features == ["length", "frame rate"]
    assert old.unknown_in_training == ["frame height", "frame width", "bytes a frame", "sound or not"]
    assert old.unknown == []
    unknown_rows = make_table([make_row(clip, file=None) for clip in network.clips])
    new = fit_baselines(training(), unknown_rows, network)["file"]
    assert new.unknown_in_training == []
    assert new.unknown == ["frame height", "frame width", "bytes a frame", "sound or not"]
    assert np.isfinite(new.predictions.probabilities).all()
