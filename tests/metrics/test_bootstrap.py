import math

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from jaxvid.metrics.bootstrap import count_by_class, percentiles, resample_counts, sums_by_group, weighted_auc
from jaxvid.metrics.classification import classification_metrics
from jaxvid.metrics.text import format_metrics, format_percent
from tests.tiny import predictions_from_confusion, random_predictions


def test_auc_of_many_positives_is_summed_over_blocks():
    rng = np.random.default_rng(0)
    positive = rng.random(3000) < 0.8
    scores = np.round(rng.normal(size=3000) + positive, 1)
    counts = rng.integers(0, 4, size=(3000, 3)).astype(np.int32)
    expected = [sklearn_metrics.roc_auc_score(positive, scores, sample_weight=weights) for weights in counts.T]
    np.testing.assert_allclose(weighted_auc(positive, scores, counts), expected, rtol=1e-12)


def test_a_resample_takes_whole_sources_and_as_many_as_there_are():
    sources = ["a", "b", "a", "c", "b", "a"]
    counts = resample_counts(sources, 200, seed=0)
    np.testing.assert_array_equal(counts[[0, 2]], counts[[2, 5]])
    np.testing.assert_array_equal(counts[1], counts[4])
    np.testing.assert_array_equal(counts[[0, 1, 3]].sum(axis=0), 3)
    # Each source is drawn once per resample on average; the standard error of the mean is 0.06.
    np.testing.assert_allclose(counts.mean(axis=1), 1, atol=0.2)


def test_interval_of_independent_clips_is_the_binomial_one():
    accuracy = classification_metrics(predictions_from_confusion([[170, 30], [30, 170]]))["accuracy"]
    half_width = 1.96 * math.sqrt(0.85 * 0.15 / 400)
    assert accuracy["low"] == pytest.approx(0.85 - half_width, abs=0.006)
    assert accuracy["high"] == pytest.approx(0.85 + half_width, abs=0.006)


def test_interval_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(0)
    covered = 0
    for trial in range(100):
        correct = rng.random(100) < 0.7
        counts = resample_counts([str(clip) for clip in range(100)], 200, seed=trial)
        low, high = percentiles(correct @ counts / 100)
        covered += low <= 0.7 <= high
    # 100 trials of 0.95 have a standard deviation of 2; percentile intervals of 100 clips are a bit short.
    assert 88 <= covered <= 99


def test_clips_of_one_source_widen_the_interval():
    # Neighbors in predictions_from_confusion are right or wrong together, so 10 clips of a source are worth about one.
    independent = classification_metrics(predictions_from_confusion([[100, 100], [0, 200]]))["accuracy"]
    clustered = classification_metrics(predictions_from_confusion([[100, 100], [0, 200]], clips_per_source=10))[
        "accuracy"
    ]
    assert clustered["value"] == independent["value"]
    ratio = (clustered["high"] - clustered["low"]) / (independent["high"] - independent["low"])
    assert ratio == pytest.approx(math.sqrt(10), rel=0.15)


def test_the_same_seed_gives_the_same_intervals():
    predictions = random_predictions(50, 3, num_sources=20)
    assert classification_metrics(predictions) == classification_metrics(predictions)
    assert classification_metrics(predictions) != classification_metrics(predictions, seed=1)


def test_confusion_matrix_interval_holds_its_counts():
    confusion = classification_metrics(predictions_from_confusion([[40, 10], [0, 50]]))["confusion_matrix"]
    assert confusion["low"][0][1] < 10 < confusion["high"][0][1]
    # 10 of 100 independent clips: a standard deviation of 3.
    assert confusion["high"][0][1] - confusion["low"][0][1] == pytest.approx(2 * 1.96 * 3, abs=2)
    assert confusion["low"][1][0] == confusion["high"][1][0] == 0


def test_no_mistake_is_not_taken_for_certainty():
    metrics = classification_metrics(predictions_from_confusion([[15, 0], [0, 15]]), positive_class="class1")
    assert metrics["accuracy"] == {"value": 1.0, "low": 1.0, "high": 1.0}
    # 0.905 ** 30 = 0.05
    assert "90.5 %" in metrics["notes"][0]


def test_metric_that_most_resamples_lack_has_no_interval():
    # Four classes with a source each: only 4! / 4**4 = 9 % of resamples hold clips of all.
    metrics = classification_metrics(predictions_from_confusion(5 * np.eye(4, dtype=int), clips_per_source=5))
    assert metrics["roc_auc"] == {"value": 1.0, "low": None, "high": None}
    assert any("no interval" in note for note in metrics["notes"])


def test_one_source_has_no_intervals():
    metrics = classification_metrics(
        predictions_from_confusion([[4, 1], [2, 3]], clips_per_source=10), positive_class="class1"
    )
    assert metrics["num_sources"] == 1
    assert metrics["accuracy"] == {"value": 0.7, "low": None, "high": None}
    assert metrics["confusion_matrix"]["low"] is None
    assert metrics["notes"] == ["All clips come from one source video, so there are no intervals."]
    assert format_percent(metrics["accuracy"]) == "70.0 %"
    assert "[" not in format_metrics(metrics)


def test_counts_of_a_resample_are_those_of_its_clips():
    predictions = predictions_from_confusion([[2, 1], [1, 3]])
    counts = np.array([[1, 0], [1, 2], [0, 1], [3, 0], [1, 1], [0, 1], [1, 2]], np.int32)
    resamples = count_by_class(predictions, counts)
    # Clips in order: two of class 0 and correct, one taken for class 1, one of class 1 taken for 0, three correct.
    assert resamples.num_clips.tolist() == [7, 7]
    assert resamples.num_true.tolist() == [[2, 3], [5, 4]]
    assert resamples.num_predicted.tolist() == [[5, 2], [2, 5]]
    assert resamples.num_correct.tolist() == [[2, 2], [2, 4]]


def test_sums_by_group_have_zeros_for_groups_without_clips():
    assert sums_by_group(np.array([2, 0, 2]), np.array([[1], [5], [3]]), 4).tolist() == [[5], [0], [4], [0]]
    assert sums_by_group(np.zeros(0, int), np.zeros((0, 2), int), 2).tolist() == [[0, 0], [0, 0]]
