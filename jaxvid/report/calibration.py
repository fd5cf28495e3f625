"""The section of a report on calibration: whether the probabilities mean what they say."""

from jaxvid.metrics.classification import SplitMetrics
from jaxvid.report.html import PlotImages, estimate_text, plot_element, value_text


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
    return plot_element(plot, alt, words)
