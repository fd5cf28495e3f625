"""The metrics of an evaluated split, each with a bootstrap interval over its source videos."""

from typing import Any, NamedTuple, TypedDict

import numpy as np
from jaxtyping import Float, Int

from jaxvid.classes import positive_class_reason
from jaxvid.metrics.bootstrap import CONFIDENCE, count_by_class, percentiles, resample_counts, sums_by_group
from jaxvid.metrics.predictions import Predictions
from jaxvid.metrics.reliability import reliability
from jaxvid.metrics.table import CLASS_METRICS, METRICS, ClassValues, scikit_learn_metrics

# Where a metric is defined in a smaller share of the resamples, its interval would describe the exceptions.
_MIN_DEFINED_SHARE = 0.5

# JSON-ready: what `classification_metrics` returns.
SplitMetrics = dict[str, Any]


class Estimate(TypedDict):
    """A metric of a split with its interval; what is undefined is None."""

    value: float | None
    low: float | None
    high: float | None


class SplitValues(NamedTuple):
    """The metrics of a split by name; NaN where one is undefined.

    Attributes:
      overall: of the whole split.
      classes: of every class.
    """

    overall: dict[str, float]
    classes: dict[str, Float[np.ndarray, "classes"]]


class ResampledValues(NamedTuple):
    """The metrics of every resample of a split by name; NaN where one is undefined.

    Attributes:
      overall: of the whole resample.
      classes: of every class.
    """

    overall: dict[str, Float[np.ndarray, "resample"]]
    classes: dict[str, Float[np.ndarray, "classes resample"]]


def split_values(predictions: Predictions, positive_class: str | None = None) -> SplitValues:
    """Computes the metrics of a split with scikit-learn."""
    values = {metric.name: metric.point(predictions) for metric in CLASS_METRICS}
    classes = ClassValues(values, _index(positive_class, predictions))
    return SplitValues({metric.name: metric.point(predictions, classes) for metric in METRICS}, values)


def resampled_values(
    predictions: Predictions, counts: Int[np.ndarray, "clip resample"], positive_class: str | None = None
) -> ResampledValues:
    """Computes the metrics of every resample.

    Args:
      predictions: the split.
      counts: number of times that each resample contains each clip.
      positive_class: of two classes, the one whose precision, recall, F1 and ROC AUC count.
    """
    resamples = count_by_class(predictions, counts)
    values = {metric.name: metric.resampled(resamples) for metric in CLASS_METRICS}
    classes = ClassValues(values, _index(positive_class, predictions))
    return ResampledValues({metric.name: metric.resampled(resamples, classes) for metric in METRICS}, values)


def point_values(predictions: Predictions, positive_class: str | None = None) -> dict[str, float]:
    """Computes the metrics of a whole split by name, without those of its classes; NaN where one is undefined."""
    return split_values(predictions, positive_class).overall


def _index(positive_class: str | None, predictions: Predictions) -> int | None:
    return None if positive_class is None else predictions.class_names.index(positive_class)


def classification_metrics(
    predictions: Predictions, *, positive_class: str | None = None, num_resamples: int = 1000, seed: int = 0
) -> SplitMetrics:
    """Computes the metrics of a split with their intervals, as metrics.json has them.

    Every metric is an Estimate: the value of the split, and the 2.5 % and 97.5 % percentiles over `num_resamples`
    splits made by drawing sources with replacement (cluster bootstrap: Davison and Hinkley, Bootstrap Methods and their
    Application, 1997, section 3.8). What is undefined is None: a class's metrics if it has no clips, the AUC unless
    every class has clips and others beside it, low and high if there is one source only or the metric is undefined in
    more than half of the resamples. A class never predicted has precision 0. `notes` names the cases that
    occurred.

    Args:
      predictions: the split.
      positive_class: of two classes, the one that precision, recall, F1 and ROC AUC are of. With None, as with more
        than two classes, they are means over the classes.
      num_resamples: number of bootstrap resamples.
      seed: of the bootstrap.

    Returns:
      num_clips, num_sources, class_names, positive_class and positive_class_reason (or None), the names of METRICS,
      confusion_matrix (counts, true class by predicted class; value, low and high are matrices), per_class (class name
      to the names of CLASS_METRICS and support, its number of clips), reliability (`metrics.reliability.reliability`),
      bootstrap (its settings), notes.

    Raises:
      ValueError: if there are no clips, num_resamples is not positive, or positive_class is none of two classes.
    """
    _check(predictions, positive_class, num_resamples)
    names = predictions.class_names
    num_sources = len(set(predictions.sources))
    counts = resample_counts(predictions.sources, num_resamples, seed) if num_sources > 1 else None
    values = split_values(predictions, positive_class)
    samples = ResampledValues({}, {}) if counts is None else resampled_values(predictions, counts, positive_class)
    support = np.bincount(predictions.labels, minlength=len(names))

    overall = {name: estimate(value, samples.overall.get(name)) for name, value in values.overall.items()}
    per_class = {
        class_name: {
            metric.name: estimate(values.classes[metric.name][index], _of_class(samples, metric.name, index))
            for metric in CLASS_METRICS
        }
        | {"support": int(support[index])}
        for index, class_name in enumerate(names)
    }
    return {
        "num_clips": len(predictions.clips),
        "num_sources": num_sources,
        "class_names": list(names),
        "positive_class": positive_class,
        "positive_class_reason": None if positive_class is None else positive_class_reason(names, positive_class),
        **overall,
        "confusion_matrix": _confusion_matrix(predictions, counts),
        "per_class": per_class,
        "reliability": reliability(predictions),
        "bootstrap": {"num_resamples": num_resamples, "seed": seed, "confidence": CONFIDENCE, "unit": "source"},
        "notes": _notes(predictions, positive_class, num_sources, overall["roc_auc"]),
    }


def _check(predictions: Predictions, positive_class: str | None, num_resamples: int) -> None:
    if not predictions.clips:
        raise ValueError("predictions must hold at least one clip, got none")
    if num_resamples < 1:
        raise ValueError(f"num_resamples must be positive, got {num_resamples}")
    names = predictions.class_names
    if positive_class is not None and (len(names) != 2 or positive_class not in names):
        allowed = " or ".join(names) if len(names) == 2 else f"none with {len(names)} classes"
        raise ValueError(f"positive_class is {positive_class!r}; allowed: {allowed}")


def _of_class(samples: ResampledValues, name: str, index: int) -> Float[np.ndarray, "resample"] | None:
    return samples.classes[name][index] if name in samples.classes else None


def estimate(value: float, samples: Float[np.ndarray, "resample"] | None) -> Estimate:
    """Returns a metric with its interval over resamples; without one if it is undefined in most of them."""
    if np.isnan(value):
        return {"value": None, "low": None, "high": None}
    defined = samples[np.isfinite(samples)] if samples is not None else np.empty(0)
    if samples is None or len(defined) < _MIN_DEFINED_SHARE * len(samples):
        return {"value": float(value), "low": None, "high": None}
    low, high = percentiles(defined)
    return {"value": float(value), "low": float(low), "high": float(high)}


def _confusion_matrix(
    predictions: Predictions, counts: Int[np.ndarray, "clip resample"] | None
) -> dict[str, list[list[int]] | list[list[float]] | None]:
    num_classes = len(predictions.class_names)
    labels, predicted = predictions.labels, predictions.predicted
    value = scikit_learn_metrics().confusion_matrix(labels, predicted, labels=np.arange(num_classes))
    if counts is None:
        return {"value": value.tolist(), "low": None, "high": None}
    # Only cells that hold clips are resampled: with many classes nearly all are empty, and stay so.
    cells, cell_of_clip = np.unique(labels * num_classes + predicted, return_inverse=True)
    interval = np.zeros((2, num_classes * num_classes))
    interval[:, cells] = percentiles(sums_by_group(cell_of_clip, counts, len(cells)).astype(np.float64))
    low, high = interval.reshape(2, num_classes, num_classes)
    return {"value": value.tolist(), "low": low.tolist(), "high": high.tolist()}


def _notes(predictions: Predictions, positive_class: str | None, num_sources: int, roc_auc: Estimate) -> list[str]:
    names = predictions.class_names
    present, predicted = set(predictions.labels.tolist()), set(predictions.predicted.tolist())
    absent = [name for index, name in enumerate(names) if index not in present]
    unpredicted = [name for index, name in enumerate(names) if index in present and index not in predicted]
    notes = []
    if len(names) == 2 and positive_class is None:
        notes.append(
            f"No positive class: neither name ({' or '.join(names)}) tells which class it is, so precision, recall, F1 "
            "and ROC AUC are means over both classes. Set dataset.positive_class, or the flag --positive_class."
        )
    if absent:
        notes.append(f"There are no clips of {', '.join(absent)}; means over the classes leave that out.")
    if unpredicted:
        notes.append(f"Never predicted: {', '.join(unpredicted)}; the precision counts as 0.")
    if num_sources == 1:
        notes.append("All clips come from one source video, so there are no intervals.")
    elif (predictions.labels == predictions.predicted).all():
        # With n independent sources and no error, an accuracy below this bound shows no error in 5 of 100 cases.
        bound = (1 - CONFIDENCE) ** (1 / num_sources)
        notes.append(
            "Without a mistake the bootstrap has nothing to vary; with as many independent sources, a true accuracy "
            f"as low as {100 * bound:.1f} % would still give this result one time in twenty."
        )
    if roc_auc["value"] is None:
        notes.append("The ROC AUC is undefined: it needs clips of every class.")
    elif roc_auc["low"] is None and num_sources > 1:
        notes.append("Most resamples lack clips of some class, so the ROC AUC has no interval.")
    return notes
