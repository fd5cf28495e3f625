"""The section of a report on calibration: whether the probabilities mean what they say."""

from typing import Any

from jaxvid.calibration import Threshold
from jaxvid.metrics.classification import SplitMetrics
from jaxvid.metrics.table import CALIBRATION_METRICS, METRICS
from jaxvid.report.html import (
    PlotImages,
    counted,
    estimate_text,
    metric_cell,
    paragraph,
    plot_element,
    table,
    value_text,
)


def chosen_threshold(metrics: SplitMetrics) -> float | None:
    """Returns the threshold on the probability of the positive class; None where the most probable class decides."""
    threshold = metrics.get("calibration", {}).get("threshold")
    if threshold is None or metrics["positive_class"] is None:
        return None
    return Threshold(**threshold).of(metrics["positive_class"])


def calibration(metrics: SplitMetrics, plot: PlotImages) -> str:
    """Makes the content of the section, with the reliability diagram `plot`."""
    error, by_chance = metrics["expected_calibration_error"], metrics["reliability"]["by_chance"]
    words = (
        "Clips are put into 15 bins by the probability of their most probable class. A point below the line means that "
        "fewer of its clips are right than their probabilities say, and a point above it that more are; the bars below "
        "count the clips. The expected calibration error, the mean distance from the line over all clips, is "
        f"{estimate_text(error)}. Part of it is chance: for as many clips, probabilities that are exactly right would "
        f"have an error of {value_text(by_chance)} on average, and resamples, with fewer different clips, have more."
    )
    alt = f"Reliability diagram. Expected calibration error: {estimate_text(error)}."
    content = plot_element(plot, alt, words)
    before = metrics.get("calibration", {}).get("before")
    return content if before is None else f"{content}\n{_before_and_after(metrics, before)}"


def _before_and_after(metrics: SplitMetrics, before: dict[str, Any]) -> str:
    """What the temperature does, with a table of the metrics that it changes."""
    temperature, fitted_on = metrics["calibration"]["temperature"], metrics["calibration"]["fitted_on"]
    words = (
        f"The logarithms of the network's probabilities were divided by a temperature of {temperature:.3f}, which "
        f"gives the least loss on {counted(fitted_on['num_clips'], 'validation clip')} of "
        f"{counted(fitted_on['num_sources'], 'source')}. These are the metrics of the clips evaluated here; their "
        "intervals leave out that other validation clips would give another temperature."
    )
    rows = []
    for metric in METRICS:
        if metric.name in CALIBRATION_METRICS:
            cells = "".join(metric_cell(of[metric.name], percent=metric.percent) for of in (before, metrics))
            rows.append(f'<th scope="row">{metric.label}</th>{cells}')
    return f"{paragraph(words)}\n{table(['Metric', 'Before', 'After'], rows, 'Before and after calibration')}"
