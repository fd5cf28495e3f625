"""Baselines in a comparison: their rows beside those of the systems, and which systems are clearly above them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxvid.baselines.metrics import BaselineMetrics, is_clearly_above, scenes_not_motion
from jaxvid.baselines.text import FILE_NAME, read_baseline_predictions
from jaxvid.compare.runs import EvaluatedRun, SystemRuns
from jaxvid.metrics.bootstrap import resampled_means
from jaxvid.metrics.classification import Estimate, estimate
from jaxvid.metrics.table import Metric
from jaxvid.metrics.text import format_estimate, format_points

_NUM_RESAMPLES = 1000
# The metrics that baselines have.
_MEASURED = ("accuracy", "roc_auc")
_PIXEL_CHANGE = "pixel_change"


def baseline_groups(groups: Sequence[SystemRuns]) -> dict[tuple[str, str], list[EvaluatedRun]]:
    """Returns runs that have every baseline of the comparison once, by what they were trained and evaluated on.

    The runs of different systems on the same splits have the same baselines; so have those over seeds.
    """
    by_data: dict[tuple[str, str], dict[tuple[str, str], EvaluatedRun]] = {}
    for group in groups:
        for run in group.runs:
            if _systems(run):
                same = by_data.setdefault((group.trained_on, group.data), {})
                same.setdefault((run.metrics["baselines"]["trained_on"], run.split), run)
    return {data: list(runs.values()) for data, runs in by_data.items()}


def baseline_labels(runs: Sequence[EvaluatedRun]) -> dict[str, str]:
    """Returns the labels of the baselines that all of these runs have, by their names."""
    first, *others = runs
    return {
        name: system["label"]
        for name, system in _systems(first).items()
        if all(name in _systems(other) for other in others)
    }


def baseline_text(runs: Sequence[EvaluatedRun], name: str, metric: Metric) -> str:
    """Returns a metric of a baseline as `SystemRuns.metric_text` does; "" if baselines do not have it."""
    if metric.name not in _MEASURED:
        return ""
    estimates: list[Estimate] = [dict(_systems(run)[name])[metric.name] for run in runs]  # pyright: ignore
    if len(runs) == 1:
        return format_estimate(estimates[0], percent=metric.percent)
    values = [one["value"] for one in estimates if one["value"] is not None]
    if not values:
        return "undefined"
    spread = np.std(values, ddof=1) if len(values) > 1 else 0.0
    return f"{100 * np.mean(values):.1f} % ± {100 * spread:.1f}"


def above_pixel_change(group: SystemRuns) -> Estimate | None:
    """Returns the accuracy of a system less that of the baseline of pixel change; None if a run does not have it.

    The interval is a bootstrap over sources, of the clips of all runs together.
    """
    if not all(_PIXEL_CHANGE in _systems(run) and (run.workdir / FILE_NAME).exists() for run in group.runs):
        return None
    gains = np.concatenate([_gains(run) for run in group.runs])
    sources = [source for run in group.runs for source in run.predictions.sources]
    return estimate(float(gains.mean()), resampled_means(gains, sources, _NUM_RESAMPLES, seed=0))


def baseline_cautions(groups: Sequence[SystemRuns]) -> list[str]:
    """Lists the systems that are not clearly above the baseline of pixel change, a sentence each."""
    cautions = []
    for group in groups:
        difference = above_pixel_change(group)
        if difference is not None and not is_clearly_above(difference):
            cautions.append(f"{group.name}, on {group.data}, is {scenes_not_motion(format_points(difference))}")
    return cautions


def _systems(run: EvaluatedRun) -> Mapping[str, BaselineMetrics]:
    # Earlier versions evaluated without baselines.
    baselines: dict[str, Any] = run.metrics.get("baselines", {"systems": {}})
    return baselines["systems"]


def _gains(run: EvaluatedRun) -> np.ndarray:
    """Returns for each clip 1 if only the network is correct, -1 if only the baseline is, else 0."""
    predictions = run.predictions
    predicted = read_baseline_predictions(run.workdir / FILE_NAME)[_PIXEL_CHANGE]
    true_names = [predictions.class_names[label] for label in predictions.labels]
    correct = [predicted[clip] == name for clip, name in zip(predictions.clips, true_names, strict=True)]
    return (predictions.predicted == predictions.labels).astype(int) - np.asarray(correct, int)
