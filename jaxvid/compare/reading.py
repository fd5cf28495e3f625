"""Reads evaluated runs, and gives classes, keys and names of all of them one form."""

import dataclasses
import itertools
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxvid.classes import fold, match_classes
from jaxvid.compare.runs import EvaluatedRun
from jaxvid.config import FILE_NAME, dotted, load_config
from jaxvid.metrics.predictions import read_csv
from jaxvid.metrics.table import COMPARED


def read_runs(workdirs: Sequence[Path], class_map: Mapping[str, str] | None = None) -> list[EvaluatedRun]:
    """Reads runs with their evaluations, in a form in which they can be compared.

    Args:
      workdirs: of evaluated runs, or directories that `jaxvid.evaluate` wrote to.
      class_map: names of classes to the names that other runs have for them.

    Raises:
      ValueError: if a directory is named twice, holds no run, or one that has not been evaluated by this version, or if
        `class_map` has a name that no run has.
    """
    if len({workdir.resolve() for workdir in workdirs}) < len(workdirs):
        raise ValueError(f"a workdir is named twice: {', '.join(map(str, workdirs))}")
    runs = unify_classes([read_run(workdir) for workdir in workdirs], class_map)
    return [
        dataclasses.replace(run, config=config, name=name)
        for run, config, name in zip(runs, _complete_configs(runs), _names(workdirs), strict=True)
    ]


def _names(workdirs: Sequence[Path]) -> list[str]:
    """Returns the ends of the paths, as long as it takes to tell those apart that have one name."""
    names = [workdir.name for workdir in workdirs]
    for length in range(2, max(len(workdir.parts) for workdir in workdirs) + 1):
        names = [
            "/".join(workdir.parts[-length:]) if names.count(name) > 1 else name
            for workdir, name in zip(workdirs, names, strict=True)
        ]
    return names


def _complete_configs(runs: Sequence[EvaluatedRun]) -> list[dict[str, object]]:
    """Returns the configs with the defaults of keys of the model that runs of earlier versions lack."""
    keys_of: dict[str, set[str]] = {}
    for run in runs:
        keys_of.setdefault(run.config["model.name"], set()).update(
            key for key in run.config if key.startswith("model.")
        )
    if all(keys_of[run.config["model.name"]] <= set(run.config) for run in runs):
        return [run.config for run in runs]
    # Not at the top: this imports JAX, which most comparisons do not need.
    from jaxvid.models.create import MODELS

    return [
        {
            f"model.{field.name}": field.default
            for field in dataclasses.fields(MODELS[run.config["model.name"]])
            if f"model.{field.name}" in keys_of[run.config["model.name"]] and field.default is not dataclasses.MISSING
        }
        | run.config
        for run in runs
    ]


def read_run(workdir: Path) -> EvaluatedRun:
    """Reads a run with its evaluation, from its workdir or from a directory that `jaxvid.evaluate` wrote to.

    Raises:
      ValueError: if the directory holds no run, or one that has not been evaluated by this version.
    """
    config = load_config(_run_of(workdir))
    path = workdir / "metrics.json"
    if not path.exists():
        raise ValueError(f"{workdir} has not been evaluated; run: python -m jaxvid.evaluate --workdir={workdir}")
    metrics = _read_metrics(path)
    if missing := [metric.name for metric in COMPARED if metric.name not in metrics]:
        raise ValueError(f"{path} has no {', '.join(missing)}; evaluate {workdir} again, with this version")
    predictions = read_csv(workdir / "predictions.csv")
    return EvaluatedRun(workdir, dotted(config), metrics, predictions, predictions.class_names, workdir.name)


def _read_metrics(path: Path) -> Any:
    try:
        metrics = json.loads(path.read_text())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} cannot be read: {error}; evaluate {path.parent} again") from error
    if not isinstance(metrics, dict) or not isinstance(metrics.get("evaluated"), dict):
        raise ValueError(f"{path} is not what an evaluation writes; evaluate {path.parent} again")
    return metrics


def _run_of(directory: Path) -> Path:
    """Returns the directory that has the config of a run."""
    metrics = directory / "metrics.json"
    if (directory / FILE_NAME).exists() or not metrics.exists():
        return directory
    # Earlier versions wrote evaluations without the config, but with the name of the workdir.
    match = re.search(r" of (.+)$", _read_metrics(metrics)["evaluated"].get("Checkpoint", ""))
    return Path(match[1]) if match else directory


def unify_classes(runs: Sequence[EvaluatedRun], class_map: Mapping[str, str] | None = None) -> list[EvaluatedRun]:
    """Gives the classes of every run the names that the first run with the same classes has for them.

    Classes are the same if their names are, without case, `_`, `-`, spaces and camel case; their order does not matter.

    Args:
      runs: as `read_run` returns them.
      class_map: names of classes to the names that other runs have for them.

    Raises:
      ValueError: if `class_map` has a name that no run has.
    """
    renamed = _renamed_classes(runs, class_map or {})
    unified: list[EvaluatedRun] = []
    for run, names in zip(runs, renamed, strict=True):
        matches = (_same_classes(names, other.classes) for other in unified)
        unified.append(dataclasses.replace(run, classes=next(filter(None, matches), names)))
    return unified


def _renamed_classes(runs: Sequence[EvaluatedRun], class_map: Mapping[str, str]) -> list[list[str]]:
    known = dict.fromkeys(name for run in runs for name in run.predictions.class_names)
    for name in itertools.chain.from_iterable(class_map.items()):
        if fold(name) not in map(fold, known):
            raise ValueError(f"--class_map has {name!r}, which is no class of the runs; allowed: {', '.join(known)}")
    renamed = {fold(name): other for name, other in class_map.items()}
    by_run = [[renamed.get(fold(name), name) for name in run.predictions.class_names] for run in runs]
    for run, names in zip(runs, by_run, strict=True):
        if len({fold(name) for name in names}) < len(names):
            classes = ", ".join(run.predictions.class_names)
            raise ValueError(f"--class_map gives two classes of {run.workdir} one name; its classes are {classes}")
    return by_run


def _same_classes(names: Sequence[str], others: Sequence[str]) -> list[str] | None:
    """The classes `names` as `others` has them; None unless both are the same classes."""
    try:
        matches = match_classes(names, others)
    except ValueError:
        return None
    return [others[match] for match in matches] if sorted(matches) == list(range(len(others))) else None
