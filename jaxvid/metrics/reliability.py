"""Whether probabilities mean what they say: of clips predicted with 80 %, four of five should be right.

Source of the bins and of the expected calibration error: C. Guo et al., On Calibration of Modern Neural Networks,
ICML 2017, section 2. The confidence in a clip is the highest of its probabilities, whichever class is then predicted.
"""

from typing import Any

import numpy as np
from jaxtyping import Float, Int

from jaxvid.metrics.predictions import Predictions

NUM_BINS = 15
_EDGES = np.linspace(0, 1, NUM_BINS + 1)


def confidences(predictions: Predictions) -> Float[np.ndarray, "clip"]:
    """Returns the highest probability of every clip."""
    return predictions.probabilities.max(axis=1).astype(np.float64)


def bins(confidence: Float[np.ndarray, "clip"]) -> Int[np.ndarray, "clip"]:
    """Returns the bin of every confidence: NUM_BINS of equal width, each with its upper end."""
    return np.searchsorted(_EDGES[1:-1], confidence, side="left")


def surpluses(predictions: Predictions) -> Float[np.ndarray, "bin clip"]:
    """Returns 1 (right) or 0 (wrong) less the confidence of every clip, in the row of its bin; zeros elsewhere."""
    confidence = confidences(predictions)
    right = predictions.labels == predictions.probabilities.argmax(axis=1)
    rows = np.zeros((NUM_BINS, len(right)))
    rows[bins(confidence), np.arange(len(right))] = right - confidence
    return rows


def calibration_error(
    surplus: Float[np.ndarray, "bin clip"], counts: Int[np.ndarray, "clip resample"]
) -> Float[np.ndarray, "resample"]:
    """Returns the expected calibration error of every resample.

    It is the mean over the clips of the distance between the share of right clips and the mean confidence in their bin.

    Args:
      surplus: of the split (`surpluses`).
      counts: number of times that each resample contains each clip.
    """
    return np.abs(surplus @ counts.astype(np.float64)).sum(axis=0) / counts.sum(axis=0)


def reliability(predictions: Predictions) -> dict[str, Any]:
    """Returns what a reliability diagram shows, JSON-ready.

    Returns:
      edges: NUM_BINS + 1 ends of the bins.
      count: number of clips in each bin.
      confidence: mean confidence of each bin; None where it is empty.
      accuracy: share of right clips in each bin; None where it is empty.
      by_chance: the expected calibration error of these clips, on average, if the clips of each bin were right with the
        probability that is its mean confidence, independently: with few clips, it is far from 0.
    """
    confidence = confidences(predictions)
    count = np.bincount(bins(confidence), minlength=NUM_BINS)
    total = np.bincount(bins(confidence), weights=confidence, minlength=NUM_BINS)
    right = total + surpluses(predictions).sum(axis=1)
    filled = count > 0
    deviation = mean_absolute_deviation(count[filled], total[filled] / count[filled])
    return {
        "edges": _EDGES.tolist(),
        "count": count.tolist(),
        "confidence": _means(total, count),
        "accuracy": _means(right, count),
        "by_chance": float(deviation.sum() / count.sum()),
    }


def _means(sums: Float[np.ndarray, "bin"], count: Int[np.ndarray, "bin"]) -> list[float | None]:
    return [float(value / number) if number else None for value, number in zip(sums, count, strict=True)]


def mean_absolute_deviation(
    count: Int[np.ndarray, "bin"], probability: Float[np.ndarray, "bin"]
) -> Float[np.ndarray, "bin"]:
    """Returns how far binomial counts are from their expectation on average, by de Moivre's formula.

    Source: P. Diaconis and S. Zabell, Closed Form Summation for Classical Distributions, Statistical Science 6, 1991.
    """
    # Not at the top: training reads the table of metrics too, and this takes half a second to import.
    from scipy import stats

    above = np.floor(count * probability) + 1
    return 2 * above * (1 - probability) * stats.binom.pmf(above, count, probability)
