import json
import math

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from jaxvid.metrics.classification import classification_metrics
from jaxvid.metrics.text import format_metrics
from tests.tiny import make_predictions, predictions_from_confusion, random_predictions

# The SHDN paper's Table IV in one reading: 35 true positives, 22 true negatives, 2 false positives, 5 misses.
POSITIVE_LAST = ([[22, 2], [5, 35]], ["no_fight", "fight"])
POSITIVE_FIRST = ([[35, 5], [2, 22]], ["fight", "no_fight"])


@pytest.mark.parametrize(("confusion", "class_names"), [POSITIVE_LAST, POSITIVE_FIRST], ids=["last", "first"])
def test_two_classes_by_hand_with_the_positive_one_at_either_index(confusion, class_names):
    predictions = predictions_from_confusion(confusion, class_names=class_names)
    metrics = classification_metrics(predictions, positive_class="fight")
    assert metrics["num_clips"] == 64
    assert metrics["num_sources"] == 64
    assert metrics["positive_class"] == "fight"
    assert metrics["positive_class_reason"] == "the other name negates it"
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
    assert {key: metrics[key]["value"] for key in expected} == pytest.approx(expected)
    # The confusion matrix keeps the order of the classes.
    assert metrics["confusion_matrix"]["value"] == confusion
    assert metrics["per_class"]["no_fight"]["precision"]["value"] == pytest.approx(22 / 27)
    assert metrics["per_class"]["no_fight"]["support"] == 24
    assert metrics["precision"] == metrics["per_class"]["fight"]["precision"]
    assert metrics["notes"] == []


def test_a_chosen_positive_class_wins_over_the_names():
    predictions = predictions_from_confusion([[22, 2], [5, 35]], class_names=["no_fight", "fight"])
    metrics = classification_metrics(predictions, positive_class="no_fight")
    assert metrics["recall"]["value"] == pytest.approx(22 / 24)
    assert metrics["positive_class_reason"] == "chosen by positive_class"


def test_the_roc_auc_is_that_of_the_positive_class():
    # In float32, probabilities near 1 are tied where those near 0 are not: the areas of the two classes differ.
    small = np.array([1e-9, 3e-9, 2e-9, 4e-9])
    predictions = make_predictions([1, 0, 1, 0], np.stack([small, (1 - small).astype(np.float32)], axis=1))
    # Class 0 is ranked perfectly by `small`, class 1 not at all by its equal scores.
    for name, area in (("class0", 1.0), ("class1", 0.5)):
        metrics = classification_metrics(predictions, positive_class=name, num_resamples=10)
        assert metrics["roc_auc"]["value"] == area


def test_without_a_positive_class_two_classes_have_means_and_a_note():
    metrics = classification_metrics(predictions_from_confusion([[22, 2], [5, 35]], class_names=["cats", "dogs"]))
    assert metrics["positive_class"] is None
    assert metrics["positive_class_reason"] is None
    for name in ("precision", "recall", "f1"):
        assert metrics[name] == metrics[f"macro_{name}"]
    assert metrics["precision"]["value"] == pytest.approx((22 / 27 + 35 / 37) / 2)
    (note,) = metrics["notes"]
    assert note.startswith("No positive class: neither name (cats or dogs) tells which class it is")
    assert "Set dataset.positive_class, or the flag --positive_class" in note


@pytest.mark.parametrize(
    ("num_classes", "allowed"), [(2, "allowed: class0 or class1"), (3, "allowed: none with 3 classes")]
)
def test_another_positive_class_is_refused(num_classes, allowed):
    predictions = random_predictions(10, num_classes, num_sources=10)
    name = "class2"
    with pytest.raises(ValueError, match=f"positive_class is '{name}'; {allowed}"):
        classification_metrics(predictions, positive_class=name)


def test_three_classes_by_hand():
    metrics = classification_metrics(predictions_from_confusion([[3, 1, 0], [0, 4, 0], [1, 1, 2]]))
    assert metrics["positive_class"] is None
    assert metrics["accuracy"]["value"] == pytest.approx(9 / 12)
    assert metrics["per_class"]["class1"]["precision"]["value"] == pytest.approx(4 / 6)
    assert metrics["per_class"]["class2"]["recall"]["value"] == pytest.approx(2 / 4)
    assert metrics["macro_precision"]["value"] == pytest.approx((3 / 4 + 4 / 6 + 1) / 3)
    assert metrics["precision"] == metrics["macro_precision"]
    assert metrics["f1"]["value"] == pytest.approx((3 / 4 + 8 / 10 + 4 / 6) / 3)


def test_multiclass_auc_is_one_against_the_rest():
    predictions = random_predictions(80, 4, num_sources=80)
    expected = sklearn_metrics.roc_auc_score(predictions.labels, predictions.probabilities, multi_class="ovr")
    assert classification_metrics(predictions, num_resamples=10)["roc_auc"]["value"] == pytest.approx(expected)


def test_class_that_is_never_predicted_has_precision_zero_and_a_note():
    metrics = classification_metrics(predictions_from_confusion([[5, 0], [5, 0]]), positive_class="class1")
    assert metrics["precision"] == {"value": 0.0, "low": 0.0, "high": 0.0}
    assert metrics["f1"]["value"] == 0
    assert metrics["notes"] == ["Never predicted: class1; the precision counts as 0."]


def test_class_without_clips_is_undefined_and_left_out_of_means():
    metrics = classification_metrics(predictions_from_confusion([[4, 0, 1], [1, 4, 0], [0, 0, 0]]))
    assert metrics["per_class"]["class2"]["recall"] == {"value": None, "low": None, "high": None}
    assert metrics["per_class"]["class2"]["support"] == 0
    assert metrics["macro_recall"]["value"] == pytest.approx(0.8)
    assert metrics["roc_auc"]["value"] is None
    assert len(metrics["notes"]) == 2
    json.dumps(metrics, allow_nan=False)


def test_a_split_of_one_class_has_no_roc_auc():
    metrics = classification_metrics(predictions_from_confusion([[0, 0], [1, 3]]))
    assert metrics["accuracy"]["value"] == 0.75
    assert metrics["roc_auc"]["value"] is None
    assert metrics["per_class"]["class0"]["precision"]["value"] is None
    json.dumps(metrics, allow_nan=False)
    assert "undefined" in format_metrics(metrics)


def test_certain_and_wrong_costs_a_finite_loss():
    metrics = classification_metrics(make_predictions([0, 1], [[0.0, 1.0], [0.0, 1.0]]))
    # Probabilities are kept from zero by the float64 epsilon, as scikit-learn does.
    assert metrics["loss"]["value"] == pytest.approx(-math.log(2.0**-52) / 2)


def test_no_clips_is_an_error():
    with pytest.raises(ValueError, match="at least one clip"):
        classification_metrics(make_predictions(np.zeros(0, int), np.zeros((0, 2)), class_names=["a", "b"]))


def test_resamples_must_be_positive():
    with pytest.raises(ValueError, match="num_resamples must be positive, got 0"):
        classification_metrics(predictions_from_confusion([[1, 0], [0, 1]]), num_resamples=0)
