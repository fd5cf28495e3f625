"""Evaluated runs: which of them are one system, and what limits their comparison."""

import dataclasses
import itertools
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxvid.metrics.classification import SplitMetrics
from jaxvid.metrics.predictions import Predictions
from jaxvid.metrics.table import Metric
from jaxvid.metrics.text import format_estimate

# Runs that differ in these keys alone are runs of one system.
_REPEATED = ("seed", "dataset.train_split", "dataset.val_split", "dataset.test_split")
# Of the runs that one caution is about, so many are named.
_MAX_NAMES = 3
# Keys that are not part of a system's name: they belong to the data, to the machine or to the report.
_NOT_NAMED = ("dataset.", "model.name", "model.num_classes", "pipeline.", "checkpoint.", "train.feature_cache")
_NOT_NAMED += ("train.log_every_steps", "eval.batch_size", "eval.num_resamples", "eval.blur_faces")


@dataclasses.dataclass(frozen=True)
class EvaluatedRun:
    """A run with the results of its last evaluation.

    Attributes:
      workdir: of the run.
      config: of the run, with dotted keys.
      metrics: the content of metrics.json.
      predictions: of every clip evaluated.
      classes: name of each class of `predictions`, as the runs that it is compared with call it.
      name: distinguishes it from the runs that it is compared with.
    """

    workdir: Path
    config: dict[str, Any]
    metrics: SplitMetrics
    predictions: Predictions
    classes: list[str]
    name: str

    @property
    def data(self) -> str:
        """The evaluated dataset without its split, or the folder of videos."""
        return self.metrics["evaluated"]["Data"].split(", split")[0]

    @property
    def split(self) -> str:
        """The evaluated split; empty for a folder of videos."""
        return self.metrics["evaluated"]["Data"].partition(", split ")[2]

    @property
    def positive_class(self) -> str | None:
        """The positive class, as the runs that it is compared with call it."""
        name = self.metrics["positive_class"]
        return None if name is None else self.classes[self.predictions.class_names.index(name)]


@dataclasses.dataclass(frozen=True)
class SystemRuns:
    """The runs of one system on one dataset, over seeds or folds.

    Attributes:
      system: name that distinguishes it from the other systems compared.
      trained_on: label of the dataset that the runs were trained on (`dataset_label`).
      data: the dataset that they were evaluated on.
      runs: at least one.
    """

    system: str
    trained_on: str
    data: str
    runs: list[EvaluatedRun]

    @property
    def name(self) -> str:
        """The name of the system, with what it was trained on if it was evaluated on another dataset."""
        return f"{self.system}, trained on {self.trained_on}" if self.is_across else self.system

    @property
    def is_across(self) -> bool:
        """Whether the runs were evaluated on another dataset than they were trained on."""
        return self.trained_on != dataset_label(self.data)

    def mean_and_spread(self, metric: str) -> tuple[float, float | None]:
        """Returns the mean of a metric over the runs, and with several runs its standard deviation (n - 1)."""
        values = [run.metrics[metric]["value"] for run in self.runs]
        defined = [value for value in values if value is not None]
        if not defined:
            return float("nan"), None
        return float(np.mean(defined)), float(np.std(defined, ddof=1)) if len(defined) > 1 else None

    def metric_text(self, metric: Metric) -> str:
        """Returns a metric of several runs as mean and standard deviation, of one with its interval."""
        if len(self.runs) == 1:
            return format_estimate(self.runs[0].metrics[metric.name], percent=metric.percent)
        mean, spread = self.mean_and_spread(metric.name)
        if np.isnan(mean):
            return "undefined"
        if not metric.percent:
            return f"{mean:.3f} ± {spread or 0:.3f}"
        return f"{100 * mean:.1f} % ± {100 * (spread or 0):.1f}"


def dataset_label(name: str) -> str:
    """Returns a dataset's name without version and size: "hockey_fight/64x64_random" is "hockey_fight_random"."""
    # A folder of videos has no such name.
    if name.startswith("videos of "):
        return name
    parts = [part.partition("/") for part in name.split("+")]
    return " + ".join(builder.split(":")[0] + re.sub(r"^\d+x\d+", "", variant) for builder, _, variant in parts)


def group_runs(runs: Sequence[EvaluatedRun]) -> list[SystemRuns]:
    """Groups runs by system and datasets, in order of their first one; a system is named by what differs between them.

    Runs with other classes, or another positive class, are not put together.
    """
    models = {run.config["model.name"] for run in runs}
    differing = {model: _differing_keys([run for run in runs if run.config["model.name"] == model]) for model in models}
    groups: dict[tuple[str, str, str, frozenset[str], str | None], list[EvaluatedRun]] = {}
    for run in runs:
        trained_on = dataset_label(run.config["dataset.name"])
        name = _name(run, differing[run.config["model.name"]])
        key = (name, trained_on, run.data, frozenset(run.classes), run.positive_class)
        groups.setdefault(key, []).append(run)
    return [SystemRuns(system, trained_on, data, members) for (system, trained_on, data, *_), members in groups.items()]


def _differing_keys(runs: Sequence[EvaluatedRun]) -> list[str]:
    keys = sorted({key for run in runs for key in run.config} - set(_REPEATED))
    named = [key for key in keys if not key.startswith(_NOT_NAMED)]
    return [key for key in named if len({repr(run.config.get(key)) for run in runs}) > 1]


def _name(run: EvaluatedRun, differing: Sequence[str]) -> str:
    """The model, and the values that differ from other systems of this model; of files their names."""
    values = {key: run.config[key] for key in differing if key in run.config}
    parts = [
        f"{key.split('.')[-1]}={Path(value).name if isinstance(value, str) else value}" for key, value in values.items()
    ]
    return " ".join([run.config["model.name"], *parts])


def with_names(groups: Sequence[SystemRuns], names: Sequence[str]) -> list[SystemRuns]:
    """Gives the systems other names.

    Args:
      groups: as `group_runs` returns them.
      names: of all systems in their order; empty to leave them as they are.

    Raises:
      ValueError: if there are more or fewer names than systems, or one twice.
    """
    systems = list(dict.fromkeys(group.system for group in groups))
    if not names:
        return list(groups)
    if len(names) != len(systems) or len(set(names)) < len(names):
        raise ValueError(f"--names has {', '.join(names)}; allowed: a name for each of {'; '.join(systems)}")
    name_of = dict(zip(systems, names, strict=True))
    return [dataclasses.replace(group, system=name_of[group.system]) for group in groups]


def same_clips(first: EvaluatedRun, second: EvaluatedRun) -> bool:
    """Whether two runs were evaluated on the same clips."""
    return sorted(first.predictions.clips) == sorted(second.predictions.clips)


def have_same_classes(first: EvaluatedRun, second: EvaluatedRun) -> bool:
    """Whether two runs have the same classes, in whatever order."""
    return set(first.classes) == set(second.classes)


def relabeled_clips(first: EvaluatedRun, second: EvaluatedRun) -> list[str]:
    """The clips that two runs on the same clips were evaluated with different true classes for."""
    labels, others = (
        {clip: run.classes[label] for clip, label in zip(run.predictions.clips, run.predictions.labels, strict=True)}
        for run in (first, second)
    )
    return [clip for clip, label in labels.items() if others[clip] != label]


def find_cautions(runs: Sequence[EvaluatedRun]) -> list[str]:
    """Lists in sentences what limits the comparison: classes that differ, and the cautions of the evaluations."""
    having: dict[str, list[EvaluatedRun]] = {}
    for run in runs:
        for line in run.metrics["evaluated"].get("Caution", "").splitlines():
            having.setdefault(line, []).append(run)
    cautions = [f"{_some_names(members)}: {line}" for line, members in having.items()]
    return [*_class_cautions(runs), *_label_cautions(runs), *cautions]


def _class_cautions(runs: Sequence[EvaluatedRun]) -> list[str]:
    pairs = [pair for pair in itertools.combinations(runs, 2) if same_clips(*pair) or pair[0].data == pair[1].data]
    cautions = []
    if not all(have_same_classes(*pair) for pair in pairs):
        by_classes: dict[frozenset[str], list[EvaluatedRun]] = {}
        for run in runs:
            by_classes.setdefault(frozenset(run.classes), []).append(run)
        listed = "; ".join(f"{', '.join(same[0].classes)} ({_names(same)})" for same in by_classes.values())
        cautions.append(
            f"The runs have different classes: {listed}. Runs with different classes are not averaged or tested "
            "against one another. If these are other names of the same classes, say so with --class_map=theirs:ours,..."
        )
    if any(have_same_classes(*pair) and pair[0].positive_class != pair[1].positive_class for pair in pairs):
        by_positive: dict[str, list[EvaluatedRun]] = {}
        for run in runs:
            by_positive.setdefault(run.positive_class or "none", []).append(run)
        listed = "; ".join(f"{name} ({_names(same)})" for name, same in by_positive.items())
        cautions.append(
            f"The runs have different positive classes: {listed}. Their precision, recall, F1 and ROC AUC are not "
            "comparable; evaluate them again with the same positive class."
        )
    return cautions


def _label_cautions(runs: Sequence[EvaluatedRun]) -> list[str]:
    cautions = []
    for first, second in itertools.combinations(runs, 2):
        if not (same_clips(first, second) and have_same_classes(first, second)):
            continue
        if clips := relabeled_clips(first, second):
            cautions.append(
                f"{_names([first, second])} have different true classes for {len(clips)} of their clips, such as "
                f"{clips[0]}, and are not tested against one another."
            )
    return cautions


def _some_names(runs: Sequence[EvaluatedRun]) -> str:
    if len(runs) <= _MAX_NAMES:
        return _names(runs)
    return f"{_names(runs[:_MAX_NAMES])} and {len(runs) - _MAX_NAMES} more"


def _names(runs: Sequence[EvaluatedRun]) -> str:
    return ", ".join(run.name for run in runs)
