"""A checkpoint and data in; metrics.json, predictions.csv and a report with pictures out."""

import datetime
import json
from pathlib import Path
from typing import Any

import jax
from flax import linen as nn

from jaxvid import parallel, trained
from jaxvid.classes import find_positive_class
from jaxvid.config import load_config
from jaxvid.evaluate.evaluated import Evaluated
from jaxvid.evaluate.folder import evaluate_videos
from jaxvid.evaluate.split import evaluate_split
from jaxvid.files import replacing
from jaxvid.inference import check_views
from jaxvid.metrics.classification import classification_metrics
from jaxvid.metrics.predictions import write_csv
from jaxvid.metrics.table import VOTE_METRICS
from jaxvid.metrics.text import format_metrics, format_percent
from jaxvid.models.activations import activation_sites
from jaxvid.models.clip_model import ClipModel
from jaxvid.report import write_report
from jaxvid.report.activations import Adaptation, format_adaptation
from jaxvid.train.adaptation import Evaluation, best_rows, change_rows, replay
from jaxvid.train.logbook import Row, read_rows
from jaxvid.types import ConfigDict


def evaluate(
    workdir: Path,
    *,
    split: str | None = None,
    dataset: str | None = None,
    data_dir: str | None = None,
    manual_dir: str | None = None,
    videos: Path | None = None,
    clips: int | None = None,
    crops: int | None = None,
    which: str = "best",
    output: Path | None = None,
) -> dict[str, Any]:
    """Evaluates a checkpoint of `workdir`, writes metrics.json, predictions.csv and report/, and returns the metrics.

    Where clips have several windows, or videos several sequences, the metrics hold the figures of single ones under
    "views", those of the class that most of them say under "vote", and view_predictions.csv the predictions of single
    ones. The arguments are those of the command.

    Raises:
      ValueError: if the workdir, the checkpoint, the split or the dataset is not there or does not fit.
    """
    config = load_config(workdir)
    config.dataset.update(
        {key: value for key, value in {"data_dir": data_dir, "manual_dir": manual_dir}.items() if value is not None}
    )
    config.eval.update({key: value for key, value in {"clips": clips, "crops": crops}.items() if value is not None})
    check_views(config)
    run = trained.load(workdir, which, config=config)
    if videos is not None:
        evaluated = evaluate_videos(run.probabilities, run.variables, videos, config)
    else:
        evaluated = evaluate_split(run.probabilities, run.variables, dataset, split, config)
    predicted = evaluated.predicted
    positive_class = find_positive_class(predicted.clips.class_names, config.dataset.positive_class)
    settings = {"positive_class": positive_class, "num_resamples": config.eval.num_resamples}
    figures = classification_metrics(predicted.clips, **settings)
    if predicted.views is not None:
        figures["views"] = classification_metrics(predicted.views, **settings)
        assert predicted.votes is not None
        of_votes = classification_metrics(predicted.votes, **settings)
        figures["vote"] = {name: of_votes[name] for name in ("num_clips", *VOTE_METRICS)}
    num_parameters = sum(leaf.size for leaf in jax.tree.leaves(run.variables["params"]))
    facts = {
        "Checkpoint": f"step {run.step} ({which}) of {workdir}",
        **evaluated.facts,
        "Model": f"{config.model.name}, {num_parameters:,} parameters",
        "Input": _input_of(config, run.model),
        "Views of a clip": f"{config.eval.clips or 'as sampled'} over time, {config.eval.crops} over space",
        "Device": f"{jax.device_count()} x {jax.devices()[0].device_kind}",
        "Date": datetime.date.today().isoformat(),
    }
    if parallel.on_first_process():
        history = read_rows(workdir)
        metrics = {**figures, "evaluated": facts}
        _write(output or workdir, evaluated, metrics, history, _adaptation(config, run.model, history))
    return figures


def _input_of(config: ConfigDict, model: ClipModel) -> str:
    """What the network sees and hears of a clip, in words."""
    clip, audio = config.clip, config.audio
    parts = [f"{clip.num_frames} frames of {clip.height}x{clip.width}, {clip.sampling}"]
    if audio.sample_rate:
        parts = parts if "frames" in model.input_streams() else []
        parts.append(f"{audio.seconds:g} s of sound as {audio.kind}")
    return "; ".join(parts)


def _adaptation(config: ConfigDict, model: nn.Module, history: list[Row]) -> Adaptation | None:
    """How the activations changed in the run, by its evaluations; None where they were not to change."""
    if config.activations.policy == "fixed":
        return None
    sites = activation_sites(model, (config.clip.num_frames, config.clip.height, config.clip.width, 3))
    evaluations = [
        Evaluation(int(row["step"]), row["epoch"], row["val_loss"], row["val_accuracy"])
        for row in history
        if "val_loss" in row
    ]
    progress = replay(evaluations, config, sites)
    return Adaptation(change_rows(evaluations, progress), best_rows(evaluations, progress))


def _write(
    output: Path,
    evaluated: Evaluated,
    metrics: dict[str, Any],
    history: list[Row],
    adaptation: Adaptation | None,
) -> None:
    output.mkdir(parents=True, exist_ok=True)
    with replacing(output / "metrics.json") as unfinished:
        unfinished.write_text(json.dumps(metrics, indent=2) + "\n")
    clips, views, _ = evaluated.predicted
    write_csv(clips, output / "predictions.csv")
    if views is not None:
        write_csv(views, output / "view_predictions.csv")
    report = write_report(
        output / "report",
        clips,
        metrics,
        history=history,
        adaptation=adaptation,
        frames_of=evaluated.frames_of,
        title=f"jaxvid: {metrics['evaluated']['Data']}",
        details=metrics["evaluated"],
    )
    print(format_metrics(metrics))
    if views is not None:
        print(f"By the class that most windows say: accuracy {format_percent(metrics['vote']['accuracy'])}")
        print(f"Of single windows, {len(views.clips)} of them:\n{format_metrics(metrics['views'])}")
    if adaptation is not None:
        print(format_adaptation(adaptation))
    print(f"Report: {report}")
