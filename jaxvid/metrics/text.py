"""Metrics as text for the terminal."""

from typing import Any


def format_metrics(figures: dict[str, Any]) -> str:
    """A short table of `classification_metrics` for the terminal: value and 95 % interval, in percent."""
    positive = figures["positive_class"]
    of_positive = f" ({positive})" if positive is not None else ""
    rows = [("accuracy", "accuracy"), ("balanced accuracy", "balanced_accuracy")]
    if positive is not None:
        rows += [(f"{key}{of_positive}", key) for key in ("precision", "recall", "f1")]
    rows += [(f"macro {key}", f"macro_{key}") for key in ("precision", "recall", "f1")]
    rows += [(f"ROC AUC{of_positive}", "roc_auc")]
    lines = [(label, format_percent(figures[key])) for label, key in rows]
    lines.append(("loss", _format_loss(figures["loss"])))
    lines += [
        (f"recall of {name}", f"{format_percent(figure['recall'])}, {figure['support']} clips")
        for name, figure in figures["per_class"].items()
    ]
    width = max(len(label) for label, _ in lines)
    counts = f"{figures['num_clips']} clips of {figures['num_sources']} sources; 95 % intervals resample sources"
    return "\n".join([counts, *(f"  {label:<{width}}  {text}" for label, text in lines), *figures["notes"]])


def format_percent(figure: dict[str, float | None]) -> str:
    """A figure as `83.3 % [71.2, 92.0]`; without an interval `83.3 %`, and `undefined` without a value."""
    value, low, high = figure["value"], figure["low"], figure["high"]
    if value is None:
        return "undefined"
    if low is None or high is None:
        return f"{100 * value:.1f} %"
    return f"{100 * value:.1f} % [{100 * low:.1f}, {100 * high:.1f}]"


def _format_loss(figure: dict[str, float | None]) -> str:
    if figure["low"] is None or figure["high"] is None:
        return f"{figure['value']:.3f}"
    return f"{figure['value']:.3f} [{figure['low']:.3f}, {figure['high']:.3f}]"
