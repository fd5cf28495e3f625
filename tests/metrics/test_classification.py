import json
import math

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from jaxvid.metrics.bootstrap import resampled_counts, resampled_values, weighted_auc
from jaxvid.metrics.classification import classification_metrics, point_values
from jaxvid.metrics.predictions import Predictions
from jaxvid.metrics.text import format_metrics, format_percent


def make_predictions(labels, probabilities, *, sources=None, class_names=None):
    labels, probabilities = np.asarray(labels), np.asarray(probabilities, dtype=np.float64)
    clips = [f"clip{index}.avi" for index in range(len(labels))]
    names = class_names or [f"class{index}" for index in range(probabilities.shape[1])]
    return Predictions(clips, clips if sources is None else sources, labels, probabilities, names)


def from_confusion(confusion, *, confidence=0.8, clips_per_source=1):
    """Predictions with the given confusion matrix, each made with one and the same confidence."""
    confusion = np.asarray(confusion)
    labels, predicted = np.repeat(np.indices(confusion.shape).reshape(2, -1), confusion.ravel(), axis=1)
    rest = (1 - confidence) / (len(confusion) - 1)
    probabilities = np.where(np.eye(len(confusion))[predicted] == 1, confidence, rest)
    sources = [f"source{index // clips_per_source}" for index in range(len(labels))]
    return make_predictions(labels, probabilities, sources=sources)


def random_predictions(num_clips, num_classes, *, num_sources, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(num_classes, size=num_clips)
    logits = rng.normal(size=(num_clips, num_classes)) + 1.5 * np.eye(num_classes)[labels]
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    # Two digits, so that scores tie; then rows that sum to one again.
    probabilities = np.round(probabilities, 2) + 0.001
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    sources = [f"source{index}" for index in rng.integers(num_sources, size=num_clips)]
    return make_predictions(labels, probabilities, sources=sources)


def test_binary_figures_by_hand():
    # The SHDN paper's Table IV in one reading: 35 true positives, 22 true negatives, 2 false positives, 5 misses.
    figures = classification_metrics(from_confusion([[22, 2], [5, 35]]))
    assert figures["num_clips"] == 64
    assert figures["num_sources"] == 64
    assert figures["positive_class"] == "class1"
    expected = {
        "accuracy": 57 / 64,
        "precision": 35 / 37,
        "recall": 35 / 40,
        "f1": 70 / 77,
        "balanced_accuracy": (22 / 24 + 35 / 40) / 2,
        "macro_precision": (22 / 27 + 35 / 37) / 2,
        "macro_recall": (22 / 24 + 35 / 40) / 2,
        "macro_f1": (44 / 51 + 70 / 77) / 2,
        "loss": -(57 * math.log(0.8) + 7 * math.log(0.2)) / 64,
        # Two scores only: the area under the path (0, 0), (2/24, 35/40), (1, 1).
        "roc_auc": (35 / 40 + 22 / 24) / 2,
    }
    assert {key: figures[key]["value"] for key in expected} == pytest.approx(expected)
    assert figures["confusion_matrix"]["value"] == [[22, 2], [5, 35]]
    assert figures["per_class"]["class0"]["precision"]["value"] == pytest.approx(22 / 27)
    assert figures["per_class"]["class0"]["support"] == 24
    assert figures["notes"] == []


def test_three_classes_by_hand():
    figures = classification_metrics(from_confusion([[3, 1, 0], [0, 4, 0], [1, 1, 2]]))
    assert figures["positive_class"] is None
    assert figures["accuracy"]["value"] == pytest.approx(9 / 12)
    assert figures["per_class"]["class1"]["precision"]["value"] == pytest.approx(4 / 6)
    assert figures["per_class"]["class2"]["recall"]["value"] == pytest.approx(2 / 4)
    assert figures["macro_precision"]["value"] == pytest.approx((3 / 4 + 4 / 6 + 1) / 3)
    assert figures["precision"] == figures["macro_precision"]
    assert figures["f1"]["value"] == pytest.approx((3 / 4 + 8 / 10 + 4 / 6) / 3)


def test_multiclass_auc_is_one_against_the_rest():
    predictions = random_predictions(80, 4, num_sources=80)
    expected = sklearn_metrics.roc_auc_score(predictions.labels, predictions.probabilities, multi_class="ovr")
    assert classification_metrics(predictions, num_resamples=10)["roc_auc"]["value"] == pytest.approx(expected)


@pytest.mark.parametrize("num_classes", [2, 5])
def test_resampled_figures_are_those_of_scikit_learn(num_classes):
    predictions = random_predictions(40, num_classes, num_sources=12)
    counts = resampled_counts(predictions.sources, 25, seed=3)
    values = resampled_values(predictions, counts)
    for resample in range(25):
        clips = np.repeat(np.arange(40), counts[:, resample])
        labels, probabilities = predictions.labels[clips], predictions.probabilities[clips]
        expected = scikit_learn_figures(labels, probabilities)
        got = {key: values[key][..., resample] for key in expected}
        for key, figure in expected.items():
            np.testing.assert_allclose(got[key], figure, rtol=1e-12, err_msg=key)


def scikit_learn_figures(labels, probabilities):
    predicted, classes = probabilities.argmax(axis=1), np.arange(probabilities.shape[1])
    present = np.unique(labels)
    macro = sklearn_metrics.precision_recall_fscore_support(
        labels, predicted, labels=present, average="macro", zero_division=0
    )
    per_class = sklearn_metrics.precision_recall_fscore_support(labels, predicted, labels=classes, zero_division=0)
    precision, recall, f1 = (np.where(np.isin(classes, present), values, np.nan) for values in per_class[:3])
    auc = [
        sklearn_metrics.roc_auc_score(labels == index, probabilities[:, index])
        if index in present and len(present) > 1
        else np.nan
        for index in classes
    ]
    return {
        "accuracy": sklearn_metrics.accuracy_score(labels, predicted),
        "balanced_accuracy": macro[1],
        "loss": sklearn_metrics.log_loss(labels, probabilities, labels=classes),
        "macro_precision": macro[0],
        "macro_recall": macro[1],
        "macro_f1": macro[2],
        "roc_auc": auc[1] if len(classes) == 2 else np.mean(auc),
        "precision": precision,
        "recall": recall,
        "f1": f1,
        "auc": auc,
    }


def test_one_of_each_clip_gives_the_values_of_the_split():
    predictions = random_predictions(60, 6, num_sources=60)
    values = resampled_values(predictions, np.ones((60, 1), dtype=np.int32))
    for key, expected in point_values(predictions).items():
        if key != "support":
            np.testing.assert_allclose(values[key][..., 0], expected, rtol=1e-12, err_msg=key)


def test_auc_of_many_positives_is_summed_over_blocks():
    rng = np.random.default_rng(0)
    positive = rng.random(3000) < 0.8
    scores = np.round(rng.normal(size=3000) + positive, 1)
    counts = rng.integers(0, 4, size=(3000, 3)).astype(np.int32)
    expected = [sklearn_metrics.roc_auc_score(positive, scores, sample_weight=weights) for weights in counts.T]
    np.testing.assert_allclose(weighted_auc(positive, scores, counts), expected, rtol=1e-12)


def test_a_resample_takes_whole_sources_and_as_many_as_there_are():
    sources = ["a", "b", "a", "c", "b", "a"]
    counts = resampled_counts(sources, 200, seed=0)
    np.testing.assert_array_equal(counts[[0, 2]], counts[[2, 5]])
    np.testing.assert_array_equal(counts[1], counts[4])
    np.testing.assert_array_equal(counts[[0, 1, 3]].sum(axis=0), 3)
    # Each source is drawn once per resample on average; the standard error of the mean is 0.06.
    np.testing.assert_allclose(counts.mean(axis=1), 1, atol=0.2)


def test_interval_of_independent_clips_is_the_binomial_one():
    accuracy = classification_metrics(from_confusion([[170, 30], [30, 170]]))["accuracy"]
    half_width = 1.96 * math.sqrt(0.85 * 0.15 / 400)
    assert accuracy["low"] == pytest.approx(0.85 - half_width, abs=0.006)
    assert accuracy["high"] == pytest.approx(0.85 + half_width, abs=0.006)


def test_interval_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(100):
        right = rng.random(100) < 0.7
        labels = np.arange(100) % 2
        probabilities = np.eye(2)[np.where(right, labels, 1 - labels)]
        accuracy = classification_metrics(make_predictions(labels, probabilities), num_resamples=200)["accuracy"]
        covered += accuracy["low"] <= 0.7 <= accuracy["high"]
    # 100 trials of 0.95 have a standard deviation of 2; percentile intervals of 100 clips are a bit short.
    assert 88 <= covered <= 99


def test_clips_of_one_source_widen_the_interval():
    # Neighbors in from_confusion are right or wrong together, so 10 clips of a source are worth about one.
    independent = classification_metrics(from_confusion([[100, 100], [0, 200]]))["accuracy"]
    clustered = classification_metrics(from_confusion([[100, 100], [0, 200]], clips_per_source=10))["accuracy"]
    assert clustered["value"] == independent["value"]
    ratio = (clustered["high"] - clustered["low"]) / (independent["high"] - independent["low"])
    assert ratio == pytest.approx(math.sqrt(10), rel=0.15)


def test_same_seed_same_intervals():
    predictions = random_predictions(50, 3, num_sources=20)
    assert classification_metrics(predictions) == classification_metrics(predictions)
    assert classification_metrics(predictions) != classification_metrics(predictions, seed=1)


def test_confusion_matrix_interval_holds_its_counts():
    confusion = classification_metrics(from_confusion([[40, 10], [0, 50]]))["confusion_matrix"]
    assert confusion["low"][0][1] < 10 < confusion["high"][0][1]
    # 10 of 100 independent clips: a standard deviation of 3.
    assert confusion["high"][0][1] - confusion["low"][0][1] == pytest.approx(2 * 1.96 * 3, abs=2)
    assert confusion["low"][1][0] == confusion["high"][1][0] == 0


def test_class_that_is_never_predicted_has_precision_zero_and_a_note():
    figures = classification_metrics(from_confusion([[5, 0], [5, 0]]))
    assert figures["precision"] == {"value": 0.0, "low": 0.0, "high": 0.0}
    assert figures["f1"]["value"] == 0
    assert figures["notes"] == ["Never predicted: class1; the precision counts as 0."]


def test_class_without_clips_is_undefined_and_left_out_of_macro_figures():
    figures = classification_metrics(from_confusion([[4, 0, 1], [1, 4, 0], [0, 0, 0]]))
    assert figures["per_class"]["class2"]["recall"] == {"value": None, "low": None, "high": None}
    assert figures["per_class"]["class2"]["support"] == 0
    assert figures["macro_recall"]["value"] == pytest.approx(0.8)
    assert figures["roc_auc"]["value"] is None
    assert len(figures["notes"]) == 2
    json.dumps(figures, allow_nan=False)


def test_single_class_split():
    figures = classification_metrics(from_confusion([[0, 0], [1, 3]]))
    assert figures["accuracy"]["value"] == 0.75
    assert figures["roc_auc"]["value"] is None
    assert figures["per_class"]["class0"]["precision"]["value"] is None
    json.dumps(figures, allow_nan=False)
    assert "undefined" in format_metrics(figures)


def test_one_source_has_no_intervals():
    figures = classification_metrics(from_confusion([[4, 1], [2, 3]], clips_per_source=10))
    assert figures["num_sources"] == 1
    assert figures["accuracy"] == {"value": 0.7, "low": None, "high": None}
    assert figures["confusion_matrix"]["low"] is None
    assert figures["notes"] == ["All clips come from one source video, so there are no intervals."]
    assert format_percent(figures["accuracy"]) == "70.0 %"
    assert "[" not in format_metrics(figures)


def test_no_mistake_is_not_taken_for_certainty():
    figures = classification_metrics(from_confusion([[15, 0], [0, 15]]))
    assert figures["accuracy"] == {"value": 1.0, "low": 1.0, "high": 1.0}
    # 0.905 ** 30 = 0.05
    assert "90.5 %" in figures["notes"][0]


def test_figure_that_most_resamples_lack_has_no_interval():
    # Four classes with a source each: only 4! / 4**4 = 9 % of resamples hold clips of all.
    figures = classification_metrics(from_confusion(5 * np.eye(4, dtype=int), clips_per_source=5))
    assert figures["roc_auc"] == {"value": 1.0, "low": None, "high": None}
    assert any("no interval" in note for note in figures["notes"])


def test_certain_and_wrong_costs_a_finite_loss():
    figures = classification_metrics(make_predictions([0, 1], [[0.0, 1.0], [0.0, 1.0]]))
    # Probabilities are kept from zero by the float64 epsilon, as scikit-learn does.
    assert figures["loss"]["value"] == pytest.approx(-math.log(2.0**-52) / 2)


def test_no_clips_is_an_error():
    with pytest.raises(ValueError, match="at least one clip"):
        classification_metrics(make_predictions(np.zeros(0, int), np.zeros((0, 2)), class_names=["a", "b"]))


def test_resamples_must_be_positive():
    with pytest.raises(ValueError, match="num_resamples must be positive, got 0"):
        classification_metrics(from_confusion([[1, 0], [0, 1]]), num_resamples=0)


def test_format_percent():
    assert format_percent({"value": 0.8333, "low": 0.712, "high": 0.92}) == "83.3 % [71.2, 92.0]"
    assert format_percent({"value": 0.8333, "low": None, "high": None}) == "83.3 %"
    assert format_percent({"value": None, "low": None, "high": None}) == "undefined"


def test_terminal_table_names_the_positive_class_and_aligns():
    lines = format_metrics(classification_metrics(from_confusion([[22, 2], [5, 35]]))).splitlines()
    assert lines[0].startswith("64 clips of 64 sources")
    columns = {line[: line.index("%") - 5].strip(): line.index("%") for line in lines[1:] if "%" in line}
    assert "recall (class1)" in columns
    assert len(set(columns.values())) == 1
