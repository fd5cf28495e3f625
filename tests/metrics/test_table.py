import subprocess
import sys

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from jaxvid.metrics.bootstrap import resample_counts
from jaxvid.metrics.classification import resampled_values, split_values
from jaxvid.metrics.table import COMPARED, METRICS, MONITORED, VOTE_METRICS, labeled_metrics, monitor_metric
from tests.tiny import predictions_from_confusion, random_predictions


@pytest.mark.parametrize(("num_classes", "positive_class"), [(2, "class1"), (2, "class0"), (2, None), (5, None)])
def test_resampled_values_are_those_of_scikit_learn(num_classes, positive_class):
    predictions = random_predictions(40, num_classes, num_sources=12)
    counts = resample_counts(predictions.sources, 25, seed=3)
    values = resampled_values(predictions, counts, positive_class)
    for resample in range(25):
        clips = np.repeat(np.arange(40), counts[:, resample])
        labels, probabilities = predictions.labels[clips], predictions.probabilities[clips]
        positive = None if positive_class is None else predictions.class_names.index(positive_class)
        overall, classes = scikit_learn_values(labels, probabilities, positive)
        assert overall.keys() == values.overall.keys()
        for name, value in overall.items():
            np.testing.assert_allclose(values.overall[name][resample], value, rtol=1e-12, err_msg=name)
        assert classes.keys() == values.classes.keys()
        for name, value in classes.items():
            np.testing.assert_allclose(values.classes[name][:, resample], value, rtol=1e-12, err_msg=name)


def scikit_learn_values(labels, probabilities, positive):
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
    if positive is None:
        main, area = macro[:3], np.mean(auc)
    else:
        main = sklearn_metrics.precision_recall_fscore_support(
            labels, predicted, pos_label=positive, average="binary", zero_division=0
        )[:3]
        area = auc[positive]
    overall = {
        "accuracy": sklearn_metrics.accuracy_score(labels, predicted),
        "balanced_accuracy": macro[1],
        "loss": sklearn_metrics.log_loss(labels, probabilities, labels=classes),
        "brier_score": sklearn_metrics.brier_score_loss(labels, probabilities, labels=classes),
        "expected_calibration_error": calibration_error(labels, probabilities),
        "precision": main[0],
        "recall": main[1],
        "f1": main[2],
        "macro_precision": macro[0],
        "macro_recall": macro[1],
        "macro_f1": macro[2],
        "roc_auc": area,
    }
    return overall, {"precision": precision, "recall": recall, "f1": f1, "auc": auc}


def calibration_error(labels, probabilities):
    """The definition, bin by bin."""
    confidence, error = probabilities.max(axis=1), 0.0
    for index in range(15):
        inside = (confidence > index / 15) & (confidence <= (index + 1) / 15)
        if inside.any():
            accuracy = (labels == probabilities.argmax(axis=1))[inside].mean()
            error += inside.mean() * abs(accuracy - confidence[inside].mean())
    return error


def test_one_of_each_clip_gives_the_values_of_the_split():
    predictions = random_predictions(60, 6, num_sources=60)
    resampled = resampled_values(predictions, np.ones((60, 1), dtype=np.int32))
    expected = split_values(predictions)
    for name, value in expected.overall.items():
        np.testing.assert_allclose(resampled.overall[name][0], value, rtol=1e-12, err_msg=name)
    for name, value in expected.classes.items():
        np.testing.assert_allclose(resampled.classes[name][:, 0], value, rtol=1e-12, err_msg=name)


def test_names_in_files_and_configs_stay():
    assert {f"val_{metric.name}" for metric in MONITORED} == {
        "val_loss",
        "val_accuracy",
        "val_balanced_accuracy",
        "val_macro_f1",
        "val_roc_auc",
    }
    assert [metric.name for metric in COMPARED] == ["accuracy", "precision", "recall", "f1", "roc_auc"]
    assert VOTE_METRICS == ("accuracy", "balanced_accuracy", "macro_f1")


def test_only_the_loss_should_fall():
    assert monitor_metric("val_loss").lower_is_better
    assert not any(
        monitor_metric(f"val_{metric.name}").lower_is_better for metric in MONITORED if metric.name != "loss"
    )


@pytest.mark.parametrize("monitor", ["val_los", "loss", "val_precision"])
def test_a_monitor_that_does_not_exist_is_refused_with_those_that_do(monitor):
    with pytest.raises(ValueError, match=f"config.eval.monitor is '{monitor}'; allowed: val_accuracy, .*val_loss"):
        monitor_metric(monitor)


def test_labels_name_the_positive_class():
    assert list(labeled_metrics("fight"))[2:5] == ["Precision of fight", "Recall of fight", "F1 of fight"]
    labels = list(labeled_metrics(None))
    assert labels.count("F1, mean of the classes") == 1
    assert "ROC AUC, mean of the classes" in labels


def test_metrics_of_votes_do_not_depend_on_how_sure_the_votes_are():
    # 9 of 12 right, by whatever probability.
    sure, unsure = (
        split_values(predictions_from_confusion([[5, 1], [2, 4]], confidence=confidence)) for confidence in (0.9, 0.6)
    )
    assert {name for name in sure.overall if sure.overall[name] == unsure.overall[name]} >= set(VOTE_METRICS)
    assert all(metric.name not in VOTE_METRICS for metric in METRICS if metric.name in ("loss", "roc_auc"))


def test_reading_the_table_does_not_import_scikit_learn():
    code = "import sys, jaxvid.metrics.classification; sys.exit('sklearn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
