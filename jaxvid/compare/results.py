"""Results of systems as rows of a CSV file, of which `python -m configs.results` makes the tables of the documents.

Metrics are fractions: `accuracy` is the mean over the runs, `accuracy_sd` their standard deviation, `accuracy_low` and
`accuracy_high` the 95 % interval over source videos, `accuracy_runs` the value of each run. `above_pixels` is the
accuracy less that of the baseline of pixel change, its interval paired over the same sources. `seconds` is the time
that a run takes to train. A file may have further columns, which are kept.
"""

import csv
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from jaxvid.compare.baselines import above_pixel_change
from jaxvid.compare.runs import EvaluatedRun, SystemRuns, dataset_label
from jaxvid.files import replacing
from jaxvid.metrics.bootstrap import percentiles, resample_counts
from jaxvid.metrics.classification import resampled_values
from jaxvid.train.sessions import read_sessions

Row = dict[str, str]

METRICS = ("accuracy", "roc_auc", "f1")
_KEY = ("system", "trained_on", "dataset", "split")
_MEASURED = tuple(f"{metric}{part}" for metric in METRICS for part in ("", "_sd", "_low", "_high", "_runs"))
COLUMNS = (
    *("system", "config", "trained_on", "dataset", "split", "runs", "clips"),
    *_MEASURED,
    *("above_pixels", "above_pixels_low", "above_pixels_high"),
    *("seconds", "hardware", "date", "command"),
)

# Values of flags that name places on one machine, and the word that stands for them in a command for others.
_PLACES = {
    "--workdir": "DIR",
    "--config.dataset.manual_dir": "VIDEOS",
    "--manual_dir": "VIDEOS",
    "--config.train.feature_cache": "FEATURES",
}
_LEFT_OUT = ("--config.dataset.data_dir", "--data_dir", "--output")


def result_row(group: SystemRuns) -> Row:
    """Returns the row of a system on a dataset; what its runs do not tell is left out: config, command, seconds."""
    row = {
        "system": group.system,
        "trained_on": group.trained_on,
        "dataset": dataset_label(group.data),
        "split": _splits(group.runs),
        "runs": _describe_runs(group.runs),
        "clips": str(sum(run.metrics["num_clips"] for run in group.runs)),
    }
    for metric in METRICS:
        row |= _measured(group, metric)
    row |= _above_pixels(group)
    row["date"] = max(run.metrics["evaluated"].get("Date", "") for run in group.runs)
    return row | _circumstances(group.runs)


def _splits(runs: Sequence[EvaluatedRun]) -> str:
    """Returns the evaluated splits; folds of the same splits are named once, as "train+test@0+1+2/3"."""
    splits = list(dict.fromkeys(run.split for run in runs))
    folds = [re.fullmatch(r"([^@]+)@(\d+)/(\d+)", split) for split in splits]
    parts = [fold.groups() for fold in folds if fold]
    if len(parts) < len(splits) or len({(base, count) for base, _, count in parts}) > 1:
        return ", ".join(splits)
    base, _, count = parts[0]
    return f"{base}@{'+'.join(sorted((taken for _, taken, _ in parts), key=int))}/{count}"


def _describe_runs(runs: Sequence[EvaluatedRun]) -> str:
    """Returns how many runs there are, and over what: "5 folds", "3 seeds"."""
    if len(runs) == 1:
        return "1"
    if len({run.split for run in runs}) == len(runs):
        return f"{len(runs)} folds"
    return f"{len(runs)} seeds" if len({run.config["seed"] for run in runs}) == len(runs) else f"{len(runs)} runs"


def _measured(group: SystemRuns, metric: str) -> Row:
    mean, spread = group.mean_and_spread(metric)
    low, high = group_interval(group, metric)
    values = [run.metrics[metric]["value"] for run in group.runs] if len(group.runs) > 1 else []
    return {
        metric: _number(None if np.isnan(mean) else mean),
        f"{metric}_sd": _number(spread),
        f"{metric}_low": _number(low),
        f"{metric}_high": _number(high),
        f"{metric}_runs": " ".join(_number(value) or "undefined" for value in values),
    }


def _above_pixels(group: SystemRuns) -> Row:
    difference = above_pixel_change(group)
    if difference is None:
        return {}
    return {
        "above_pixels": _number(difference["value"]),
        "above_pixels_low": _number(difference["low"]),
        "above_pixels_high": _number(difference["high"]),
    }


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def group_interval(
    group: SystemRuns, metric: str, num_resamples: int = 1000, seed: int = 0
) -> tuple[float | None, float | None]:
    """Returns the 95 % interval of the mean of a metric over the runs of a system; None where there is none.

    One run has the interval of its evaluation. For several, sources are resampled over the clips of all runs together:
    folds have different ones, and the clips of seeds are drawn together. What varies between trainings on the same
    clips is not in it; that is in the standard deviation.
    """
    if len(group.runs) == 1:
        estimate = group.runs[0].metrics[metric]
        return estimate["low"], estimate["high"]
    sources = [source for run in group.runs for source in run.predictions.sources]
    if len(set(sources)) == 1:
        return None, None
    counts = resample_counts(sources, num_resamples, seed)
    ends = np.cumsum([len(run.predictions.clips) for run in group.runs])[:-1]
    samples = []
    for run, of_run in zip(group.runs, np.split(counts, ends), strict=True):
        # A resample without a source of this run does not define its metrics.
        drawn = of_run.sum(axis=0) > 0
        values = np.full(num_resamples, np.nan)
        resampled = resampled_values(run.predictions, of_run[:, drawn], run.metrics["positive_class"])
        values[drawn] = resampled.overall[metric]
        samples.append(values)
    defined = ~np.isnan(samples).all(axis=0)
    if defined.mean() < 0.5:
        return None, None
    low, high = percentiles(np.nanmean(np.stack(samples)[:, defined], axis=0))
    return float(low), float(high)


def _circumstances(runs: Sequence[EvaluatedRun]) -> Row:
    """Returns config, seconds, hardware and command, where the workdirs of all runs tell."""
    sessions = [read_sessions(run.workdir) for run in runs]
    if not all(sessions):
        return {}
    seconds = [sum(session["seconds"] for session in of_run) for of_run in sessions]
    hardware = dict.fromkeys(session["hardware"] for of_run in sessions for session in of_run)
    row = {"seconds": f"{np.mean(seconds):.0f}", "hardware": ", ".join(hardware)}
    commands = dict.fromkeys(portable(of_run[0]["command"]) for of_run in sessions if of_run[0]["command"])
    if not commands:
        return row
    configs = dict.fromkeys(_config_of(command) for command in commands)
    evaluations = [run.metrics["evaluated"].get("Command", "") for run in runs]
    commands |= dict.fromkeys(portable(command) for command in evaluations if command)
    return row | {"config": _merged(list(configs)), "command": "; ".join(commands)}


def portable(command: str) -> str:
    """Returns a command for other machines: DIR for its workdir, VIDEOS for its videos, names of its other files."""
    words = []
    # "--workdir DIR" is the same as "--workdir=DIR".
    for word in shlex.split(re.sub(r"(--workdir|--config|--output) (?=[^-])", r"\1=", command)):
        flag, equals, value = word.partition("=")
        if flag in _LEFT_OUT:
            continue
        value = _PLACES.get(flag, Path(value).name if flag == "--config.model.pretrained" else value)
        value = re.sub(r"^/.*/(configs/)", r"\1", value) if flag == "--config" else value
        words.append(f"{flag}={value}" if equals else word)
    return shlex.join(words)


def _config_of(command: str) -> str:
    configs = [word.partition("=")[2] for word in shlex.split(command) if word.startswith("--config=")]
    return configs[0].removeprefix("configs/") if configs else ""


def _merged(texts: Sequence[str]) -> str:
    """Returns several texts as one, such as "fold{1,2,3}" of "fold1", "fold2" and "fold3"."""
    if len(texts) == 1:
        return texts[0]
    start = _common_prefix(texts)
    rests = [text[len(start) :] for text in texts]
    end = _common_prefix([rest[::-1] for rest in rests])[::-1]
    return f"{start}{{{','.join(rest[: len(rest) - len(end)] for rest in rests)}}}{end}"


def _common_prefix(texts: Sequence[str]) -> str:
    length = 0
    while all(len(text) > length and text[length] == texts[0][length] for text in texts):
        length += 1
    return texts[0][:length]


def parse_values(assignments: Sequence[str]) -> Row:
    """Reads COLUMN=VALUE, the values of --set.

    Raises:
      ValueError: if one is not of that form, or names no column: lower-case letters, digits and `_`.
    """
    values: Row = {}
    for assignment in assignments:
        column, equals, value = assignment.partition("=")
        if not equals or not re.fullmatch(r"[a-z][a-z0-9_]*", column):
            raise ValueError(f"--set={assignment!r} is not of the form column=value; columns: {', '.join(COLUMNS)}")
        values[column] = value
    return values


def read_results(path: Path) -> list[Row]:
    """Reads the rows of a CSV file of results.

    Raises:
      ValueError: if a row has more or fewer cells than the header.
    """
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        rows: list[Row] = []
        for row in reader:
            if None in row or None in row.values():
                raise ValueError(f"{path}, line {reader.line_num}: a row must have a cell for each column")
            rows.append(row)
    return rows


def write_results(path: Path, groups: Sequence[SystemRuns], values: Mapping[str, str] | None = None) -> list[str]:
    """Writes the rows of systems into a CSV file, which is created or completed.

    A row replaces the one of the same system, training set, dataset and split; where that leaves some of these empty,
    they are filled in. Its columns that the new row does not have stay as they are.

    Args:
      path: the file.
      groups: the systems.
      values: by column, for all of these rows; they win over what the runs tell.

    Returns:
      What was done, in a line for each row.

    Raises:
      ValueError: if two of the systems would have the same row, or the file is not of this form.
    """
    rows = [result_row(group) | dict(values or {}) for group in groups]
    for position, row in enumerate(rows):
        if any(_same_result(row, other) for other in rows[:position]):
            raise ValueError(f"two systems would have one row of {path}: {_named(row)}; write them one by one")
    written = read_results(path) if path.exists() else []
    lines = []
    for row in rows:
        places = [place for place, old in enumerate(written) if _same_result(old, row)]
        if places:
            written[places[0]] |= row
        else:
            written.append(row)
        lines.append(f"{path}: {'replaced' if places else 'added'} {_named(row)}")
    _write(path, written)
    return lines


def _same_result(old: Row, new: Row) -> bool:
    return all(old.get(column, "") in ("", new[column]) for column in _KEY)


def _named(row: Row) -> str:
    return ", ".join(row[column] for column in _KEY)


def _write(path: Path, rows: Sequence[Row]) -> None:
    filled = dict.fromkeys(column for row in rows for column, value in row.items() if value)
    columns = [*(column for column in COLUMNS if column in filled), *(name for name in filled if name not in COLUMNS)]
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as unfinished, unfinished.open("w", newline="", encoding="utf-8") as file:
        # Columns without a value are not written.
        writer = csv.DictWriter(file, columns, restval="", extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
