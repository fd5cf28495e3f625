"""Several runs side by side: one table, one chart, and tests of whether two systems differ on the same clips."""

import dataclasses
import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from jaxvid.config import dotted, load_config
from jaxvid.metrics.predictions import Predictions, read_csv

COMPARED_METRICS = ("accuracy", "precision", "recall", "f1", "roc_auc")


# Runs that differ in these alone are one system, run again.
_REPEATED = ("seed", "dataset.train_split", "dataset.val_split", "dataset.test_split")


# What tells systems apart less well than the rest, and stays out of their names unless nothing else differs.
_NOT_NAMED = ("dataset.", "model.num_classes", "pipeline.", "eval.", "checkpoint.")


@dataclasses.dataclass(frozen=True)
class EvaluatedRun:
    """A run and what its last evaluation found.

    Attributes:
      workdir: of the run.
      config: of the run, its keys dotted.
      metrics: the content of metrics.json.
      predictions: of every clip evaluated.
    """

    workdir: Path
    config: dict[str, Any]
    metrics: dict[str, Any]
    predictions: Predictions

    @property
    def data(self) -> str:
        """The dataset without its split, or the videos, that were evaluated."""
        return self.metrics["evaluated"]["Data"].split(", split")[0]


@dataclasses.dataclass(frozen=True)
class SystemRuns:
    """The runs of one system on one dataset, over seeds or folds.

    Attributes:
      system: what tells it from the other systems compared.
      data: the dataset.
      runs: at least one.
    """

    system: str
    data: str
    runs: list[EvaluatedRun]

    def mean_and_spread(self, figure: str) -> tuple[float, float | None]:
        """The mean of a figure over the runs, and its standard deviation where there are several (n - 1)."""
        values = [run.metrics[figure]["value"] for run in self.runs]
        defined = [value for value in values if value is not None]
        if not defined:
            return float("nan"), None
        return float(np.mean(defined)), float(np.std(defined, ddof=1)) if len(defined) > 1 else None


@dataclasses.dataclass(frozen=True)
class Difference:
    """McNemar's exact test between two runs on the same clips (Q. McNemar, Psychometrika 12, 1947).

    Attributes:
      first: one run.
      second: the other.
      only_first: how many clips only the first has right.
      only_second: how many clips only the second has right.
      p_value: of as uneven a division of those clips, if neither were better; two-sided.
    """

    first: EvaluatedRun
    second: EvaluatedRun
    only_first: int
    only_second: int
    p_value: float


def read_run(workdir: Path) -> EvaluatedRun:
    """A run with its evaluation.

    Raises:
      ValueError: if the workdir holds no run, or one that has not been evaluated.
    """
    config = load_config(workdir)
    path = workdir / "metrics.json"
    if not path.exists():
        raise ValueError(f"{workdir} has not been evaluated; run: python -m jaxvid.evaluate --workdir={workdir}")
    return EvaluatedRun(workdir, dotted(config), json.loads(path.read_text()), read_csv(workdir / "predictions.csv"))


def group_runs(runs: Sequence[EvaluatedRun]) -> list[SystemRuns]:
    """The runs by system and dataset, in order of their first one; what differs between systems is their name."""
    differing = _differing_keys(runs)
    groups: dict[tuple[str, str], list[EvaluatedRun]] = {}
    for run in runs:
        groups.setdefault((_name(run, differing), run.data), []).append(run)
    return [SystemRuns(system, data, members) for (system, data), members in groups.items()]


def _differing_keys(runs: Sequence[EvaluatedRun]) -> list[str]:
    keys = sorted({key for run in runs for key in run.config} - set(_REPEATED))
    named = [key for key in keys if not key.startswith(_NOT_NAMED) and key != "model.name"]
    return [key for key in named if len({repr(run.config.get(key)) for run in runs}) > 1]


def _name(run: EvaluatedRun, differing: Sequence[str]) -> str:
    """The architecture, and what differs from the other systems; of keys of other architectures nothing is said."""
    parts = [f"{key.split('.')[-1]}={run.config[key]}" for key in differing if key in run.config]
    return " ".join([run.config["model.name"], *parts])


def compare_pairs(runs: Sequence[EvaluatedRun]) -> list[Difference]:
    """A test for every two runs that were evaluated on the same clips."""
    return [
        _difference(first, second)
        for first, second in itertools.combinations(runs, 2)
        if _same_clips(first.predictions, second.predictions)
    ]


def _same_clips(first: Predictions, second: Predictions) -> bool:
    return sorted(first.clips) == sorted(second.clips) and first.class_names == second.class_names


def _difference(first: EvaluatedRun, second: EvaluatedRun) -> Difference:
    right_first, right_second = (_right_by_clip(run.predictions) for run in (first, second))
    only_first = sum(right_first[clip] and not right_second[clip] for clip in right_first)
    only_second = sum(right_second[clip] and not right_first[clip] for clip in right_first)
    return Difference(first, second, only_first, only_second, mcnemar(only_first, only_second))


def _right_by_clip(predictions: Predictions) -> dict[str, bool]:
    right = predictions.labels == predictions.predicted
    return dict(zip(predictions.clips, right.tolist(), strict=True))


def mcnemar(only_first: int, only_second: int) -> float:
    """The two-sided p-value of McNemar's exact test; 1 where the two have the same clips right."""
    if not only_first + only_second:
        return 1.0
    return float(stats.binomtest(only_first, only_first + only_second).pvalue)
