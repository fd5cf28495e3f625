"""Tables of compared runs, and the files that a comparison leaves."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from jaxvid.compare.runs import (
    COMPARED_METRICS,
    Difference,
    EvaluatedRun,
    SystemRuns,
    compare_pairs,
    group_runs,
    read_run,
)
from jaxvid.files import replacing
from jaxvid.metrics.text import format_percent
from jaxvid.tables import in_markdown


def systems_table(groups: Sequence[SystemRuns]) -> list[list[str]]:
    """A header and a row for each system and dataset: the mean of its runs with their spread, or one with interval."""
    header = ["system", "data", "runs", "clips", *(figure.replace("_", " ") for figure in COMPARED_METRICS)]
    rows = []
    for group in groups:
        clips = sum(run.metrics["num_clips"] for run in group.runs)
        cells = [_figure_in_words(group, figure) for figure in COMPARED_METRICS]
        rows.append([group.system, group.data, str(len(group.runs)), str(clips), *cells])
    return [header, *rows]


def _figure_in_words(group: SystemRuns, figure: str) -> str:
    if len(group.runs) == 1:
        return format_percent(group.runs[0].metrics[figure])
    mean, spread = group.mean_and_spread(figure)
    return "undefined" if np.isnan(mean) else f"{100 * mean:.1f} % ± {100 * (spread or 0):.1f}"


def runs_table(runs: Sequence[EvaluatedRun]) -> list[list[str]]:
    """A header and a row for each run with intervals and the counts of its confusion matrix, as in paper 1.1."""
    header = [
        "run",
        "evaluated",
        "clips",
        *(figure.replace("_", " ") for figure in COMPARED_METRICS),
        "confusion matrix",
    ]
    return [header] + [
        [
            run.workdir.name,
            run.metrics["evaluated"]["Data"],
            str(run.metrics["num_clips"]),
            *(format_percent(run.metrics[figure]) for figure in COMPARED_METRICS),
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
    from jaxvid.compare.report import chart, page

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
