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
from jaxvid.files import replacing
from jaxvid.metrics import format_percent
from jaxvid.predictions import Predictions, read_csv
from jaxvid.tables import in_markdown

FIGURES = ("accuracy", "precision", "recall", "f1", "roc_auc")
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
        """The data set without its split, or the videos, that were evaluated."""
        return self.metrics["evaluated"]["Data"].split(", split")[0]


@dataclasses.dataclass(frozen=True)
class Repeated:
    """The runs of one system on one data set, over seeds or folds.

    Attributes:
      system: what tells it from the other systems compared.
      data: the data set.
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


def group_runs(runs: Sequence[EvaluatedRun]) -> list[Repeated]:
    """The runs by system and data set, in order of their first one; what differs between systems is their name."""
    differing = _differing_keys(runs)
    groups: dict[tuple[str, str], list[EvaluatedRun]] = {}
    for run in runs:
        groups.setdefault((_name(run, differing), run.data), []).append(run)
    return [Repeated(system, data, members) for (system, data), members in groups.items()]


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


def systems_table(groups: Sequence[Repeated]) -> list[list[str]]:
    """A header and a row for each system and data set: the mean of its runs with their spread, or one with interval."""
    header = ["system", "data", "runs", "clips", *(figure.replace("_", " ") for figure in FIGURES)]
    rows = []
    for group in groups:
        clips = sum(run.metrics["num_clips"] for run in group.runs)
        cells = [_figure_in_words(group, figure) for figure in FIGURES]
        rows.append([group.system, group.data, str(len(group.runs)), str(clips), *cells])
    return [header, *rows]


def _figure_in_words(group: Repeated, figure: str) -> str:
    if len(group.runs) == 1:
        return format_percent(group.runs[0].metrics[figure])
    mean, spread = group.mean_and_spread(figure)
    return "undefined" if np.isnan(mean) else f"{100 * mean:.1f} % ± {100 * (spread or 0):.1f}"


def runs_table(runs: Sequence[EvaluatedRun]) -> list[list[str]]:
    """A header and a row for each run with intervals and the counts of its confusion matrix, as in paper 1.1."""
    header = ["run", "evaluated", "clips", *(figure.replace("_", " ") for figure in FIGURES), "confusion matrix"]
    return [header] + [
        [
            run.workdir.name,
            run.metrics["evaluated"]["Data"],
            str(run.metrics["num_clips"]),
            *(format_percent(run.metrics[figure]) for figure in FIGURES),
            " / ".join(" ".join(map(str, row)) for row in run.metrics["confusion_matrix"]["value"]),
        ]
        for run in runs
    ]


def differences_table(differences: Sequence[Difference]) -> list[list[str]]:
    """A header and a row for each pair of runs on the same clips."""
    header = ["first", "second", "only first right", "only second right", "p (McNemar, exact)"]
    return [header] + [
        [
            difference.first.workdir.name,
            difference.second.workdir.name,
            str(difference.only_first),
            str(difference.only_second),
            f"{difference.p_value:.3g}",
        ]
        for difference in differences
    ]


def compare(workdirs: Sequence[Path], output: Path) -> str:
    """Compares the runs in `workdirs`; writes comparison.md, .html and .png into `output` and returns the Markdown.

    Raises:
      ValueError: if a workdir is named twice, holds no run, or one that has not been evaluated.
    """
    if len({workdir.resolve() for workdir in workdirs}) < len(workdirs):
        raise ValueError(f"a workdir is named twice: {', '.join(map(str, workdirs))}")
    # Not at the top: the runs are read first, and matplotlib takes a second to import.
    from jaxvid.report.comparison import chart, page

    runs = [read_run(workdir) for workdir in workdirs]
    groups, differences = group_runs(runs), compare_pairs(runs)
    tables = [systems_table(groups), runs_table(runs), differences_table(differences)]
    markdown = "\n\n".join("\n".join(in_markdown(table)) for table in tables if len(table) > 1) + "\n"
    output.mkdir(parents=True, exist_ok=True)
    written = {
        "comparison.md": markdown.encode(),
        "comparison.png": chart(groups).light,
        "comparison.html": page(groups, tables).encode(),
    }
    for name, content in written.items():
        with replacing(output / name) as unfinished:
            unfinished.write_bytes(content)
    return markdown
