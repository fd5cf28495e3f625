"""Evaluates a checkpoint: metrics.json, predictions.csv and a report with plots."""

import datetime
import json
from collections.abc import Mapping
from pathlib import Path

import jax
from absl import logging

from jaxvid import parallel, trained
from jaxvid.baselines.text import FILE_NAME as BASELINES_FILE
from jaxvid.baselines.text import format_baselines, write_baseline_predictions
from jaxvid.calibration import NOT_CALIBRATED, as_json
from jaxvid.checkpoint import has_checkpoint
from jaxvid.classes import describe_positive_class, find_positive_class
from jaxvid.config import FILE_NAME as CONFIG_FILE
from jaxvid.config import load_config
from jaxvid.evaluate.baselines import evaluate_baselines
from jaxvid.evaluate.evaluated import Evaluated
from jaxvid.evaluate.folder import evaluate_videos
from jaxvid.evaluate.split import evaluate_split
from jaxvid.files import replacing
from jaxvid.inference import Predicted, check_views
from jaxvid.metrics.classification import SplitMetrics, classification_metrics
from jaxvid.metrics.predictions import write_csv
from jaxvid.metrics.table import CALIBRATION_METRICS, VOTE_METRICS
from jaxvid.metrics.text import format_metrics, format_percent
from jaxvid.models.activations import activation_sites
from jaxvid.models.clip_model import ClipModel
from jaxvid.report import write_report
from jaxvid.report.activations import Adaptation, format_adaptation
from jaxvid.report.data import DATA_PAGE
from jaxvid.train.adaptation import Evaluation, best_rows, change_rows, replay
from jaxvid.train.calibration import calibrate
from jaxvid.train.logbook import Row, read_rows
from jaxvid.train.sessions import FILE_NAME as SESSIONS_FILE
from jaxvid.types import ConfigDict
from jaxvid.video.faces import check_face_detector

_METRICS_FILE = "metrics.json"


def evaluate(
    workdir: Path,
    *,
    split: str | None = None,
    dataset: str | None = None,
    data_dir: str | None = None,
    manual_dir: str | None = None,
    videos: Path | None = None,
    sources: Path | None = None,
    class_map: Mapping[str, str] | None = None,
    positive_class: str = "",
    clips: int | None = None,
    crops: int | None = None,
    every_frame: bool = False,
    blur_faces: bool | None = None,
    which: str = "best",
    output: Path | None = None,
    command: str = "",
) -> SplitMetrics:
    """Evaluates a checkpoint of `workdir`; writes metrics.json, predictions.csv, baseline_predictions.csv and report/.

    Another directory than the workdir also gets what the workdir tells of the run, so that `jaxvid.compare` can read it
    like a workdir: config.json and sessions.jsonl.

    Where clips have several windows, or videos several sequences, the metrics of single ones stand under "views", those
    of the class predicted for most of them under "vote", and the predictions of single ones in view_predictions.csv.
    With `every_frame`, for networks of single frames, the views are all frames.
    The arguments are those of the command, which `command` repeats for the report.

    Returns:
      The metrics, as `metrics.classification.classification_metrics` returns them.

    Raises:
      ValueError: if the workdir, the checkpoint, the split or the dataset does not exist or does not fit.
    """
    output = output or workdir
    _check_output(output, workdir)
    trained_on = load_config(workdir).dataset
    changes = {
        "dataset": {"data_dir": data_dir, "manual_dir": manual_dir, "positive_class": positive_class or None},
        "eval": {"clips": clips, "crops": crops, "blur_faces": blur_faces},
    }
    config = _changed(load_config(workdir), changes)
    if every_frame:
        config = _of_every_frame(config)
    check_views(config)
    if config.eval.blur_faces:
        check_face_detector()
    positive = _positive_class(config)
    calibrate(workdir, which, dataset=config.dataset)
    run = trained.load(workdir, which, config=config)
    if videos is not None:
        evaluated = evaluate_videos(run, videos, trained_on, class_map=class_map, sources=sources)
    else:
        evaluated = evaluate_split(run, trained_on, dataset=dataset, split=split, class_map=class_map)
    metrics = _metrics(evaluated.predicted, positive, config.eval.num_resamples)
    if run.calibration != NOT_CALIBRATED:
        metrics["calibration"] = {**metrics.get("calibration", {}), **as_json(run.calibration)}
    if config.dataset.positive_class:
        key = "--positive_class" if positive_class else "dataset.positive_class"
        metrics["positive_class_reason"] = f"given by {key}"
    baselines, metrics["baselines"] = evaluate_baselines(
        evaluated, trained_on, config.dataset.data_dir, positive, config.eval.num_resamples
    )
    if parallel.on_first_process():
        details = {
            "Checkpoint": f"step {run.step} ({which}) of {workdir}",
            **evaluated.details,
            **_details(run, metrics),
            **({"Command": command} if command else {}),
        }
        history = read_rows(workdir)
        adaptation = _adaptation(config, run.model, history)
        blur = config.eval.blur_faces
        page = _data_page(workdir, without_faces=blur)
        if replaced := _replaced(output, evaluated.details["Data"]):
            message = "%s had an evaluation of %s, which this one replaces; --output=DIR keeps both"
            logging.warning(message, output, replaced)
        _write(output, evaluated, {**metrics, "evaluated": details}, history, adaptation, blur, page)
        write_baseline_predictions(baselines, output / BASELINES_FILE)
        _copy_run(workdir, output)
    return metrics


def _check_output(output: Path, workdir: Path) -> None:
    """Checks that an evaluation does not take the place of another run's."""
    if output.resolve() != workdir.resolve() and has_checkpoint(output):
        raise ValueError(f"--output={output} is the workdir of another run; name another directory")


def _replaced(output: Path, data: str) -> str | None:
    """Returns what data an earlier evaluation in a directory is of; None if there is none of other data."""
    try:
        before = json.loads((output / _METRICS_FILE).read_text())["evaluated"]["Data"]
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        # There is none, or no longer a whole one.
        return None
    return before if before != data else None


def _data_page(workdir: Path, *, without_faces: bool) -> Path | None:
    """Returns the page on the data that training wrote; None if there is none, or it shows faces that must not be."""
    page = workdir / DATA_PAGE
    shows_faces = not load_config(workdir).eval.blur_faces
    return page if page.exists() and not (without_faces and shows_faces) else None


def _copy_run(workdir: Path, output: Path) -> None:
    if output.resolve() == workdir.resolve():
        return
    for name in (CONFIG_FILE, SESSIONS_FILE):
        if (workdir / name).exists():
            with replacing(output / name) as unfinished:
                unfinished.write_bytes((workdir / name).read_bytes())


def _changed(config: ConfigDict, changes: Mapping[str, Mapping[str, str | int | None]]) -> ConfigDict:
    """Returns the config with the values by section and key that are not None."""
    for section, values in changes.items():
        config[section].update({key: value for key, value in values.items() if value is not None})
    return config


def _of_every_frame(config: ConfigDict) -> ConfigDict:
    """Returns the config of a network of single frames with all frames of a clip as its views.

    Raises:
      ValueError: if the network takes several frames, or another number of views is asked for.
    """
    if config.clip.num_frames != 1:
        raise ValueError(f"--every_frame is for networks of single frames; this one takes {config.clip.num_frames}")
    if config.eval.clips:
        raise ValueError(f"--every_frame and --clips={config.eval.clips} exclude each other")
    config.clip.update(sampling="consecutive", frame_interval=1, window_stride=1)
    return config


def _positive_class(config: ConfigDict) -> str | None:
    """Returns the positive class of two; None if it is not known, or there are more classes.

    Raises:
      ValueError: if one is chosen that the model does not have, or of more than two classes.
    """
    class_names, chosen = config.dataset.class_names, config.dataset.positive_class
    positive = find_positive_class(class_names, chosen)
    if positive is not None and len(class_names) != 2:
        raise ValueError(
            f"the positive class is {chosen!r}; allowed: none, as the model has {len(class_names)} classes"
        )
    return positive


def _metrics(predicted: Predicted, positive_class: str | None, num_resamples: int) -> SplitMetrics:
    settings = {"positive_class": positive_class, "num_resamples": num_resamples}
    metrics = classification_metrics(predicted.clips, **settings)
    if predicted.views is not None and predicted.votes is not None:
        metrics["views"] = classification_metrics(predicted.views, **settings)
        of_votes = classification_metrics(predicted.votes, **settings)
        metrics["vote"] = {name: of_votes[name] for name in ("num_clips", *VOTE_METRICS)}
    if predicted.uncalibrated is not None:
        before = classification_metrics(predicted.uncalibrated, **settings)
        metrics["calibration"] = {"before": {name: before[name] for name in (*CALIBRATION_METRICS, "reliability")}}
    return metrics


def _details(run: trained.Trained, metrics: SplitMetrics) -> dict[str, str]:
    """Returns what the report says of the run, besides the data."""
    config = run.config
    num_parameters = sum(leaf.size for leaf in jax.tree.leaves(run.variables["params"]))
    return {
        **_positive_class_detail(metrics),
        **run.calibration.described(),
        "Model": f"{config.model.name}, {num_parameters:,} parameters",
        "Input": _describe_input(config, run.model),
        "Views of a clip": f"{config.eval.clips or 'as sampled'} over time, {config.eval.crops} over space",
        "Device": f"{jax.device_count()} x {jax.devices()[0].device_kind}",
        "Date": datetime.date.today().isoformat(),
    }


def _positive_class_detail(metrics: SplitMetrics) -> dict[str, str]:
    if len(metrics["class_names"]) != 2:
        return {}
    if metrics["positive_class"] is None:
        return {"Positive class": describe_positive_class(metrics["class_names"])}
    return {"Positive class": f"{metrics['positive_class']} ({metrics['positive_class_reason']})"}


def _describe_input(config: ConfigDict, model: ClipModel) -> str:
    """Returns the frames and the audio that the model takes of a clip, in words."""
    clip, audio = config.clip, config.audio
    parts = [f"{clip.num_frames} frame{'s' * (clip.num_frames > 1)} of {clip.height}x{clip.width}, {clip.sampling}"]
    if audio.sample_rate:
        parts = parts if "frames" in model.input_streams() else []
        parts.append(f"{audio.seconds:g} s of audio as {audio.kind}")
    return "; ".join(parts)


def _adaptation(config: ConfigDict, model: ClipModel, history: list[Row]) -> Adaptation | None:
    """Returns the changes of activations in the run, replayed from its evaluations; None if its policy is fixed."""
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
    metrics: SplitMetrics,
    history: list[Row],
    adaptation: Adaptation | None,
    blur_faces: bool,
    data_page: Path | None,
) -> None:
    output.mkdir(parents=True, exist_ok=True)
    with replacing(output / _METRICS_FILE) as unfinished:
        unfinished.write_text(json.dumps(metrics, indent=2) + "\n")
    clips, views = evaluated.predicted.clips, evaluated.predicted.views
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
        blur_faces=blur_faces,
        data_page=data_page,
    )
    print(format_metrics(metrics))
    print(format_baselines(metrics["baselines"]))
    for name in ("Calibration", "Threshold"):
        if name in metrics["evaluated"]:
            print(f"{name}: {metrics['evaluated'][name]}")
    if views is not None:
        print(f"Majority vote of the windows: accuracy {format_percent(metrics['vote']['accuracy'])}")
        print(f"Single windows ({len(views.clips)}):\n{format_metrics(metrics['views'])}")
    if adaptation is not None:
        print(format_adaptation(adaptation))
    print(f"Report: {report}")
