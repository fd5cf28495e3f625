"""Compares evaluated runs: tables of systems, runs and differences, and the files of a comparison."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from jaxvid.compare.baselines import (
    above_pixel_change,
    baseline_cautions,
    baseline_groups,
    baseline_labels,
    baseline_text,
)
from jaxvid.compare.pairs import Difference, compare_pairs
from jaxvid.compare.reading import read_runs
from jaxvid.compare.runs import EvaluatedRun, SystemRuns, find_cautions, group_runs, with_names
from jaxvid.files import replacing
from jaxvid.metrics.table import COMPARED
from jaxvid.metrics.text import format_estimate, format_points
from jaxvid.tables import in_markdown


def systems_table(groups: Sequence[SystemRuns]) -> list[list[str]]:
    """Makes a header and a row for each system and dataset: of several runs mean and spread, of one the interval.

    Rows of the baselines of each dataset follow. The last column, which is there if there are baselines, has the
    accuracy of a system less that of the baseline of pixel change.
    """
    across = any(group.is_across for group in groups)
    header = ["system", *(["trained on"] if across else []), "data", "runs", "clips"]
    header += [metric.label for metric in COMPARED]
    baselines = baseline_groups(groups)
    header += ["less pixel change"] if baselines else []

    def row(system: str, trained_on: str, data: str, runs: Sequence[EvaluatedRun], cells: list[str]) -> list[str]:
        clips = sum(run.metrics["num_clips"] for run in runs)
        return [system, *([trained_on] if across else []), data, str(len(runs)), str(clips), *cells]

    rows = []
    for group in groups:
        cells = [group.metric_text(metric) for metric in COMPARED]
        difference = above_pixel_change(group)
        cells += [format_points(difference) if difference else ""] if baselines else []
        rows.append(row(group.system, group.trained_on, group.data, group.runs, cells))
    for (trained_on, data), runs in baselines.items():
        for name, label in baseline_labels(runs).items():
            cells = [*(baseline_text(runs, name, metric) for metric in COMPARED), ""]
            rows.append(row(f"baseline: {label}", trained_on, data, runs, cells))
    return [header, *rows]


def runs_table(runs: Sequence[EvaluatedRun]) -> list[list[str]]:
    """Makes a header and a row for each run with intervals and the counts of its confusion matrix, as in paper 1.1."""
    header = ["run", "evaluated", "clips", *(metric.label for metric in COMPARED), "confusion matrix"]
    return [header] + [
        [
            run.name,
            run.metrics["evaluated"]["Data"],
            str(run.metrics["num_clips"]),
            *(format_estimate(run.metrics[metric.name], percent=metric.percent) for metric in COMPARED),
            _confusion_cell(run, _class_order(run, runs)),
        ]
        for run in runs
    ]


def _class_order(run: EvaluatedRun, runs: Sequence[EvaluatedRun]) -> list[str]:
    """The classes in the order of the first run that has the same ones, so that their matrices can be compared."""
    return next(other.classes for other in runs if set(other.classes) == set(run.classes))


def _confusion_cell(run: EvaluatedRun, class_names: Sequence[str]) -> str:
    """The counts as `fight 35 5 / no_fight 2 22`: true class, and clips by predicted class in the same order."""
    order = [run.classes.index(name) for name in class_names]
    counts = np.asarray(run.metrics["confusion_matrix"]["value"])[np.ix_(order, order)]
    rows = [" ".join([name, *map(str, row)]) for name, row in zip(class_names, counts.tolist(), strict=True)]
    return " / ".join(rows)


def differences_table(differences: Sequence[Difference]) -> list[list[str]]:
    """Makes a header and a row for each pair of systems on the same clips."""
    header = ["first", "second", "runs", "only first correct", "only second correct", "difference, points"]
    header += ["p (McNemar)", "p (sources)", "p (corrected)"]
    return [header] + [
        [
            difference.first,
            difference.second,
            str(difference.num_runs),
            str(difference.only_first),
            str(difference.only_second),
            _points(difference),
            *(f"{value:.3g}" for value in (difference.p_clips, difference.p_sources, difference.p_corrected)),
        ]
        for difference in differences
    ]


def _points(difference: Difference) -> str:
    """The difference of the accuracies in percentage points, with its interval."""
    if difference.low is None or difference.high is None:
        return f"{100 * difference.accuracy:+.1f}"
    return f"{100 * difference.accuracy:+.1f} [{100 * difference.low:+.1f}, {100 * difference.high:+.1f}]"


def read_systems(
    workdirs: Sequence[Path], class_map: Mapping[str, str] | None = None, names: Sequence[str] = ()
) -> list[SystemRuns]:
    """Reads the runs in `workdirs` and groups them by system and dataset.

    Args:
      workdirs: as of `read_runs`.
      class_map: as of `read_runs`.
      names: of the systems, in the order of their first runs; by default what differs between them.

    Raises:
      ValueError: as `read_runs` and `with_names`.
    """
    return with_names(group_runs(read_runs(workdirs, class_map)), names)


def compare(workdirs: Sequence[Path], output: Path, class_map: Mapping[str, str] | None = None) -> str:
    """Compares the runs in `workdirs` as `write_comparison` does; arguments and errors as of `read_systems`."""
    return write_comparison(read_systems(workdirs, class_map), output)


def write_comparison(groups: Sequence[SystemRuns], output: Path) -> str:
    """Compares systems; writes the files of a comparison into `output` and returns the Markdown.

    The files are comparison.md, .html and .png, roc.png if a run has a ROC curve, and matrix.png if a run was evaluated
    on another dataset than it was trained on.

    Args:
      groups: as `read_systems` returns them.
      output: directory to write to; created if missing.
    """
    # Not at the top: the runs are read before, and matplotlib takes a second to import.
    from jaxvid.compare.matrix import matrix_of, matrix_plot, matrix_tables
    from jaxvid.compare.report import Content, chart, page
    from jaxvid.compare.roc import roc_plot

    runs = [run for group in groups for run in group.runs]
    matrix = matrix_of(groups)
    content = Content(
        systems=systems_table(groups),
        runs=runs_table(runs),
        differences=differences_table(compare_pairs(groups)),
        across=[] if matrix is None else matrix_tables(matrix),
        cautions=[*find_cautions(runs), *baseline_cautions(groups)],
        accuracies=chart(groups),
        curves=roc_plot(groups),
        matrix=None if matrix is None else matrix_plot(matrix),
    )
    tables = [content.systems, *content.across, content.runs, content.differences]
    in_text = ["\n".join(in_markdown(table)) for table in tables if len(table) > 1]
    markdown = "\n\n".join([*in_text, *content.cautions]) + "\n"
    output.mkdir(parents=True, exist_ok=True)
    written = {
        "comparison.md": markdown.encode(),
        "comparison.png": content.accuracies.light,
        "roc.png": content.curves.light if content.curves else b"",
        "matrix.png": content.matrix.light if content.matrix else b"",
        "comparison.html": page(groups, content).encode(),
    }
    # An earlier comparison may have left files that this one has nothing to show in.
    for name in [name for name, content in written.items() if not content]:
        (output / name).unlink(missing_ok=True)
        del written[name]
    for name, content in written.items():
        with replacing(output / name) as unfinished:
            unfinished.write_bytes(content)
    return markdown
