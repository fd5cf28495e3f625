"""The table of metrics: a metric is one entry of METRICS or CLASS_METRICS.

The report, comparisons, monitors of training, the terminal and metrics.json read the table: a new entry appears in all
of them. Each metric has two functions: the value of a split is scikit-learn's, where that has it; the values of a
thousand resamples are computed for all of them at once. 2000 clips of two classes take 0.3 s, where scikit-learn in a
loop takes 14 s.
"""

import dataclasses
from collections.abc import Callable, Mapping
from types import ModuleType

import numpy as np
from jaxtyping import Bool, Float, Int

from jaxvid.metrics.bootstrap import Resamples, weighted_auc
from jaxvid.metrics.predictions import Predictions
from jaxvid.metrics.reliability import calibration_error, surpluses

# Of a split, or of every resample of it.
Value = float | Float[np.ndarray, "resample"]


@dataclasses.dataclass(frozen=True)
class ClassMetric:
    """A metric that has a value for each class.

    Attributes:
      name: key in metrics.json, under `per_class` and the class's name.
      label: name for people.
      point: computes the values of a split; NaN where undefined.
      resampled: computes the values of every resample; NaN where undefined.
      description: meaning, in words for the report.
    """

    name: str
    label: str
    point: Callable[[Predictions], Float[np.ndarray, "classes"]]
    resampled: Callable[[Resamples], Float[np.ndarray, "classes resample"]]
    description: str


@dataclasses.dataclass(frozen=True)
class ClassValues:
    """The values of the class metrics, of a split or of every resample of it.

    Attributes:
      values: class metric to an array of shape (classes,) or (classes, resample).
      positive: index of the positive class; None if there is none.
    """

    values: Mapping[str, Float[np.ndarray, "classes *resample"]]
    positive: int | None

    def mean(self, name: str) -> Value:
        """The mean over the classes for which the metric is defined."""
        return np.nanmean(self.values[name], axis=0)

    def of_positive(self, name: str, mean: Callable[..., Value] = np.nanmean) -> Value:
        """The value of the positive class; without one, the mean over the classes."""
        values = self.values[name]
        return mean(values, axis=0) if self.positive is None else values[self.positive]


@dataclasses.dataclass(frozen=True)
class Metric:
    """A metric of a whole split.

    Attributes:
      name: key in metrics.json; the monitor `val_<name>`.
      label: name for people, without the positive class.
      point: computes the value of a split from its predictions and class metrics; NaN where undefined.
      resampled: computes the values of every resample likewise.
      lower_is_better: whether training should lower it.
      percent: whether it is shown in percent.
      monitored: whether it is computed at every validation, and `eval.monitor` may name it.
      compared: whether comparisons and the head of a report show it.
      uses_classes_alone: whether it needs the predicted classes and no probabilities, and so holds for votes too.
      of_positive_class: whether it is the positive class's, and without one the mean of the classes.
    """

    name: str
    label: str
    point: Callable[[Predictions, ClassValues], float]
    resampled: Callable[[Resamples, ClassValues], Float[np.ndarray, "resample"]]
    lower_is_better: bool = False
    percent: bool = True
    monitored: bool = False
    compared: bool = False
    uses_classes_alone: bool = False
    of_positive_class: bool = False

    def label_with(self, positive_class: str | None) -> str:
        """The label, with the name of the positive class where the metric is of that."""
        if not self.of_positive_class:
            return self.label
        return _mean_label(self.label) if positive_class is None else f"{self.label} of {positive_class}"


def _mean_label(label: str) -> str:
    return f"{label}, mean of the classes"


def _from_classes(
    name: str,
    label: str,
    compute: Callable[[ClassValues], Value],
    **traits: bool,
) -> Metric:
    """A metric that is computed from class metrics, for a split and for resamples alike."""
    return Metric(
        name,
        label,
        lambda _, classes: float(compute(classes)),
        lambda _, classes: np.asarray(compute(classes)),
        **traits,
    )


def _of_positive_class(name: str, label: str) -> Metric:
    return _from_classes(name, label, lambda classes: classes.of_positive(name), compared=True, of_positive_class=True)


def scikit_learn_metrics() -> ModuleType:
    """The module `sklearn.metrics`."""
    # Not at the top: prediction reads the table to find the best checkpoint, and this takes over a second to import.
    from sklearn import metrics

    return metrics


def _classes(predictions: Predictions) -> Int[np.ndarray, "classes"]:
    return np.arange(len(predictions.class_names))


def _scores(predictions: Predictions, score: Callable[..., np.ndarray]) -> Float[np.ndarray, "classes"]:
    """A score of scikit-learn's for each class; NaN for a class without clips."""
    classes = _classes(predictions)
    values = score(predictions.labels, predictions.predicted, labels=classes, average=None, zero_division=0)
    return np.where(np.isin(classes, predictions.labels), values, np.nan)


def _where_present(resamples: Resamples, values: Float[np.ndarray, "classes resample"]) -> np.ndarray:
    return np.where(resamples.num_true > 0, values, np.nan)


def _areas_under_roc(predictions: Predictions) -> Float[np.ndarray, "classes"]:
    return np.array(
        [
            _area_under_roc(predictions.labels == index, predictions.probabilities[:, index])
            for index in _classes(predictions)
        ]
    )


def _area_under_roc(positive: Bool[np.ndarray, "clip"], scores: Float[np.ndarray, "clip"]) -> float:
    # scikit-learn warns rather than answers where there is nothing to rank.
    if positive.all() or not positive.any():
        return float("nan")
    return float(scikit_learn_metrics().roc_auc_score(positive, scores))


def _resampled_areas_under_roc(resamples: Resamples) -> Float[np.ndarray, "classes resample"]:
    predictions, counts = resamples.predictions, resamples.counts
    return np.stack(
        [
            weighted_auc(predictions.labels == index, predictions.probabilities[:, index], counts)
            for index in _classes(predictions)
        ]
    )


def _normalized(probabilities: Float[np.ndarray, "clip classes"]) -> Float[np.ndarray, "clip classes"]:
    """Rows that sum to 1, in float64."""
    # scikit-learn warns about sums that are off by the rounding of float32.
    probabilities = probabilities.astype(np.float64)
    return probabilities / probabilities.sum(axis=1, keepdims=True)


def _loss(predictions: Predictions, _: ClassValues) -> float:
    probabilities = _normalized(predictions.probabilities)
    return scikit_learn_metrics().log_loss(predictions.labels, probabilities, labels=_classes(predictions))


def _resampled_loss(resamples: Resamples, _: ClassValues) -> Float[np.ndarray, "resample"]:
    labels = resamples.predictions.labels
    likelihood = _normalized(resamples.predictions.probabilities)[np.arange(len(labels)), labels]
    losses = -np.log(np.maximum(likelihood, np.finfo(np.float64).eps))
    return losses @ resamples.counts / resamples.num_clips


def _brier_score(predictions: Predictions, _: ClassValues) -> float:
    probabilities = _normalized(predictions.probabilities)
    return scikit_learn_metrics().brier_score_loss(predictions.labels, probabilities, labels=_classes(predictions))


def _resampled_brier_score(resamples: Resamples, _: ClassValues) -> Float[np.ndarray, "resample"]:
    probabilities = _normalized(resamples.predictions.probabilities)
    num_classes = probabilities.shape[1]
    squares = ((probabilities - np.eye(num_classes)[resamples.predictions.labels]) ** 2).sum(axis=1)
    # As scikit-learn has it: of two classes, whose squares are equal, one counts.
    squares = squares / 2 if num_classes == 2 else squares
    return squares @ resamples.counts / resamples.num_clips


def _calibration_error(predictions: Predictions, _: ClassValues) -> float:
    once = np.ones((len(predictions.clips), 1), np.int32)
    return float(calibration_error(surpluses(predictions), once)[0])


def _resampled_calibration_error(resamples: Resamples, _: ClassValues) -> Float[np.ndarray, "resample"]:
    return calibration_error(surpluses(resamples.predictions), resamples.counts)


CLASS_METRICS = (
    ClassMetric(
        "precision",
        "Precision",
        lambda predictions: _scores(predictions, scikit_learn_metrics().precision_score),
        lambda resamples: _where_present(resamples, resamples.num_correct / np.maximum(resamples.num_predicted, 1)),
        "share of the clips predicted as this class that are of it",
    ),
    ClassMetric(
        "recall",
        "Recall",
        lambda predictions: _scores(predictions, scikit_learn_metrics().recall_score),
        lambda resamples: _where_present(resamples, resamples.num_correct / np.maximum(resamples.num_true, 1)),
        "share of the clips of this class that are predicted as it",
    ),
    ClassMetric(
        "f1",
        "F1",
        lambda predictions: _scores(predictions, scikit_learn_metrics().f1_score),
        lambda resamples: _where_present(
            resamples, 2 * resamples.num_correct / np.maximum(resamples.num_true + resamples.num_predicted, 1)
        ),
        "harmonic mean of precision and recall",
    ),
    ClassMetric(
        "auc",
        "ROC AUC",
        _areas_under_roc,
        _resampled_areas_under_roc,
        "probability that a clip of this class gets a higher probability for it than another clip",
    ),
)

METRICS = (
    Metric(
        "accuracy",
        "Accuracy",
        lambda predictions, _: scikit_learn_metrics().accuracy_score(predictions.labels, predictions.predicted),
        lambda resamples, _: resamples.num_correct.sum(axis=0) / resamples.num_clips,
        monitored=True,
        compared=True,
        uses_classes_alone=True,
    ),
    _from_classes(
        "balanced_accuracy",
        "Balanced accuracy",
        lambda classes: classes.mean("recall"),
        monitored=True,
        uses_classes_alone=True,
    ),
    _of_positive_class("precision", "Precision"),
    _of_positive_class("recall", "Recall"),
    _of_positive_class("f1", "F1"),
    _from_classes("macro_precision", _mean_label("Precision"), lambda classes: classes.mean("precision")),
    _from_classes("macro_recall", _mean_label("Recall"), lambda classes: classes.mean("recall")),
    _from_classes(
        "macro_f1",
        _mean_label("F1"),
        lambda classes: classes.mean("f1"),
        monitored=True,
        uses_classes_alone=True,
    ),
    _from_classes(
        "roc_auc",
        "ROC AUC",
        # Undefined, and not a mean of the others, where a class has no clips.
        lambda classes: classes.of_positive("auc", mean=np.mean),
        monitored=True,
        compared=True,
        of_positive_class=True,
    ),
    Metric("loss", "Loss (nats)", _loss, _resampled_loss, lower_is_better=True, percent=False, monitored=True),
    Metric("brier_score", "Brier score", _brier_score, _resampled_brier_score, lower_is_better=True, percent=False),
    Metric(
        "expected_calibration_error",
        "Expected calibration error",
        _calibration_error,
        _resampled_calibration_error,
        lower_is_better=True,
    ),
)

MONITORED = tuple(metric for metric in METRICS if metric.monitored)
COMPARED = tuple(metric for metric in METRICS if metric.compared)
# Those that say how far probabilities can be believed: what calibration changes.
CALIBRATION_METRICS = ("expected_calibration_error", "brier_score", "loss")
# In a vote, the shares of the classes are no probabilities.
VOTE_METRICS = tuple(metric.name for metric in METRICS if metric.uses_classes_alone)


def monitor_metric(monitor: str) -> Metric:
    """The metric that the monitor `val_<name>` names.

    Raises:
      ValueError: naming the allowed monitors, if there is no such monitor.
    """
    monitors = {f"val_{metric.name}": metric for metric in MONITORED}
    if monitor not in monitors:
        raise ValueError(f"config.eval.monitor is {monitor!r}; allowed: {', '.join(monitors)}")
    return monitors[monitor]


def labeled_metrics(positive_class: str | None) -> dict[str, Metric]:
    """The metrics of the table by their labels for people.

    Without a positive class, the metrics of it are the means over the classes and have one label with these.
    """
    return {metric.label_with(positive_class): metric for metric in METRICS}
