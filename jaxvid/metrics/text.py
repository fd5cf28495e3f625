"""Metrics as text for the terminal."""

from jaxvid.metrics.classification import Estimate, SplitMetrics
from jaxvid.metrics.table import labeled_metrics
from jaxvid.tables import aligned


def format_metrics(metrics: SplitMetrics) -> str:
    """Formats the output of `classification_metrics` as a short table: values with 95 % intervals, and the notes."""
    positive = metrics["positive_class"]
    counts = f"{metrics['num_clips']} clips of {metrics['num_sources']} sources; 95 % intervals resample sources"
    chosen = [f"Positive class: {positive} ({metrics['positive_class_reason']})"] if positive is not None else []
    rows = [
        [label, format_estimate(metrics[metric.name], percent=metric.percent)]
        for label, metric in labeled_metrics(positive).items()
    ]
    by_class = [
        [name, f"{format_percent(of_class['recall'])}, {of_class['support']} clips"]
        for name, of_class in metrics["per_class"].items()
    ]
    return "\n".join([counts, *chosen, *_indented(rows), "Recall by class:", *_indented(by_class), *metrics["notes"]])


def _indented(rows: list[list[str]]) -> list[str]:
    return [f"  {line}" for line in aligned(rows)]


def format_estimate(estimate: Estimate, *, percent: bool) -> str:
    """Formats a metric as `83.3 % [71.2, 92.0]` or `0.521 [0.430, 0.644]`.

    Without an interval, it is `83.3 %`; without a value, `undefined`.
    """
    value, low, high = estimate["value"], estimate["low"], estimate["high"]
    scale, digits, unit = (100, 1, " %") if percent else (1, 3, "")
    if value is None:
        return "undefined"
    text = f"{scale * value:.{digits}f}{unit}"
    if low is None or high is None:
        return text
    return f"{text} [{scale * low:.{digits}f}, {scale * high:.{digits}f}]"


def format_percent(estimate: Estimate) -> str:
    """Formats a metric in percent."""
    return format_estimate(estimate, percent=True)


def format_points(difference: Estimate) -> str:
    """Formats a difference of two accuracies as `+6.1 points [-2.0, +14.0]`."""
    value, low, high = difference["value"], difference["low"], difference["high"]
    if value is None:
        return "undefined"
    text = f"{100 * value:+.1f} points"
    return text if low is None or high is None else f"{text} [{100 * low:+.1f}, {100 * high:+.1f}]"
