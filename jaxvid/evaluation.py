"""A checkpoint and data in; metrics.json, predictions.csv and a report with pictures out."""

import dataclasses
import datetime
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import ml_collections
import numpy as np
from absl import logging
from flax import linen as nn
from jaxtyping import UInt8
from tqdm import tqdm

from jaxvid import checkpoint, parallel
from jaxvid.adaptation import Evaluation, best_rows, change_rows, replay
from jaxvid.config import load_config
from jaxvid.data.clips import Clip, open_split, shared_sources
from jaxvid.data.pipeline import clip_inputs, clip_views, evaluation_batches, require_fitting_clips
from jaxvid.data.prepare import prepare
from jaxvid.data.sequences import SequenceForm, decode_sequences
from jaxvid.data.videos import EncodedClip, decode_clips, find_videos
from jaxvid.data.workers import InvalidVideo
from jaxvid.files import replacing
from jaxvid.inference import (
    Predicted,
    check_views,
    predict_split,
    predict_views,
    with_views,
)
from jaxvid.logbook import Row, read_rows
from jaxvid.metrics import VOTE_FIGURES, classification_figures, format_figures, format_percent
from jaxvid.models import create_model
from jaxvid.models.activations import activation_sites
from jaxvid.predictions import Predictions, average_views, write_csv
from jaxvid.probabilities import Probabilities, compile_probabilities
from jaxvid.report import write_report
from jaxvid.report.adaptation import Adaptation, format_adaptation
from jaxvid.types import ConfigDict


@dataclasses.dataclass(frozen=True)
class Evaluated:
    """What one evaluation found.

    Attributes:
      predicted: of every clip, and of its views.
      frames_of: the pictures of a clip, by its place among them.
      facts: what was evaluated, for the reader.
    """

    predicted: Predicted
    frames_of: Callable[[int], UInt8[np.ndarray, "time height width 3"]]
    facts: dict[str, str]


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
      ValueError: if the workdir, the checkpoint, the split or the data set is not there or does not fit.
    """
    config = load_config(workdir)
    config.dataset.update(
        {key: value for key, value in {"data_dir": data_dir, "manual_dir": manual_dir}.items() if value is not None}
    )
    config.eval.update({key: value for key, value in {"clips": clips, "crops": crops}.items() if value is not None})
    check_views(config)
    step, variables = checkpoint.load_variables(workdir, config.eval.monitor, which)
    model = create_model(config.model)
    probabilities = compile_probabilities(model, config)
    if videos is not None:
        evaluated = evaluate_videos(probabilities, variables, videos, config)
    else:
        evaluated = evaluate_split(probabilities, variables, dataset, split, config)
    predicted = evaluated.predicted
    figures = classification_figures(predicted.clips, num_resamples=config.eval.num_resamples)
    if predicted.views is not None:
        figures["views"] = classification_figures(predicted.views, num_resamples=config.eval.num_resamples)
        assert predicted.votes is not None
        of_votes = classification_figures(predicted.votes, num_resamples=config.eval.num_resamples)
        figures["vote"] = {name: of_votes[name] for name in ("num_clips", *VOTE_FIGURES)}
    facts = {
        "Checkpoint": f"step {step} ({which}) of {workdir}",
        **evaluated.facts,
        "Model": f"{config.model.name}, {sum(leaf.size for leaf in jax.tree.leaves(variables['params'])):,} parameters",
        "Input": _input_of(config),
        "Views of a clip": f"{config.eval.clips or 'as sampled'} over time, {config.eval.crops} over space",
        "Device": f"{jax.device_count()} x {jax.devices()[0].device_kind}",
        "Date": datetime.date.today().isoformat(),
    }
    if parallel.on_first_process():
        history = read_rows(workdir)
        metrics = {**figures, "evaluated": facts}
        _write(output or workdir, evaluated, metrics, history, _adaptation(config, model, history))
    return figures


def _input_of(config: ConfigDict) -> str:
    """What the network sees and hears of a clip, in words."""
    clip, audio = config.clip, config.audio
    parts = [f"{clip.num_frames} frames of {clip.height}x{clip.width}, {clip.sampling}"]
    if audio.sample_rate:
        parts = parts if "frames" in config.model.streams else []
        parts.append(f"{audio.seconds:g} s of sound as {audio.kind}")
    return "; ".join(parts)


def evaluate_split(
    probabilities: Probabilities,
    variables: Any,
    dataset: str | None,
    split: str | None,
    config: ConfigDict,
) -> Evaluated:
    """Evaluates a split of a TFDS data set: of training's own, or of another with the same classes."""
    own = prepare(config.dataset) if dataset in (None, config.dataset.name) else None
    if own is not None:
        evaluated = open_split(own, split or config.dataset.test_split)
        overlap = shared_sources(evaluated, open_split(own, config.dataset.train_split))
    else:
        other = ml_collections.ConfigDict({**config.dataset.to_dict(), "name": dataset})
        evaluated = open_split(prepare(other), split or config.dataset.test_split)
        overlap = []
    if len(evaluated.class_names) != len(config.dataset.class_names):
        raise ValueError(
            f"{dataset} has the classes {', '.join(evaluated.class_names)}; the model has learnt "
            f"{', '.join(config.dataset.class_names)}"
        )
    facts = {"Data": f"{dataset or config.dataset.name}, split {evaluated.name}"}
    if overlap:
        logging.warning("%d source videos, such as %s, are in the training split too", len(overlap), overlap[0])
        facts["Caution"] = f"{len(overlap)} source videos have clips in the training split too: the figures flatter"
    require_fitting_clips(evaluated, config.clip)
    predicted = predict_split(probabilities, variables, evaluated, config)
    # Of a video in sequences the first.
    positions = evaluated.catalogue.first_clips()

    def frames_of(index: int) -> np.ndarray:
        return clip_views(evaluated[positions[predicted.clips.clips[index]]], config.clip)[0]

    return Evaluated(predicted, frames_of, facts)


def evaluate_videos(probabilities: Probabilities, variables: Any, directory: Path, config: ConfigDict) -> Evaluated:
    """Evaluates the videos of a `<class>/<video>` tree; those that do not decode are left out, and named.

    Raises:
      ValueError: if a folder is no class of the model, or no video decodes.
    """
    class_names = list(config.dataset.class_names)
    labels = label_videos(directory, class_names)
    clips: list[Path] = []
    invalid: list[InvalidVideo] = []

    def views():
        for decoded in _decoded(list(labels), config):
            if isinstance(decoded, InvalidVideo):
                invalid.append(decoded)
                continue
            # A video that is decoded in sequences comes several times.
            if decoded.path not in clips[-1:]:
                clips.append(decoded.path)
            stored = _as_clip(decoded, labels[decoded.path])
            yield len(clips) - 1, clip_inputs(stored, config.clip, config.eval.clips, config.audio)

    batches = evaluation_batches(views(), parallel.local_multiple(config.eval.batch_size))
    clip_index, outputs = predict_views(probabilities, variables, batches)
    for video in invalid:
        logging.warning("left out: %s: %s", video.path, video.reason)
    if not clips:
        raise ValueError(f"none of the {len(labels)} videos under {directory} decodes; the first: {invalid[0].reason}")
    names = [str(path.relative_to(directory)) for path in clips]
    predictions = Predictions(
        names,
        names,
        np.asarray([labels[path] for path in clips]),
        average_views(clip_index, outputs, len(clips)),
        class_names,
    )
    facts = {"Data": f"videos of {directory}"}
    if invalid:
        facts["Left out"] = "; ".join(f"{video.path.relative_to(directory)}: {video.reason}" for video in invalid)

    def frames_of(index: int) -> np.ndarray:
        decoded = next(_decoded([clips[index]], config))
        assert isinstance(decoded, EncodedClip)
        return clip_views(_as_clip(decoded, labels[clips[index]]), config.clip)[0]

    return Evaluated(with_views(predictions, clip_index, outputs), frames_of, facts)


def _decoded(paths: list[Path], config: ConfigDict) -> Iterator[EncodedClip | InvalidVideo]:
    """The videos as the network of `config` takes them: whole, or in sequences."""
    size = tuple(config.dataset.frame_size)
    if config.clip.sampling == "sequence":
        form = SequenceForm(size, config.dataset.fps, config.clip.num_frames, config.audio.sample_rate)
        decoding = decode_sequences(paths, form)
    else:
        decoding = enumerate(decode_clips(paths, size))
    with tqdm(total=len(paths), desc="Decoding videos", unit="video", leave=False) as progress:
        for position, decoded in decoding:
            progress.update(position + 1 - progress.n)
            yield decoded


def label_videos(directory: Path, class_names: Sequence[str]) -> dict[Path, int]:
    """The class of every video of a `<class>/<video>` tree, the folder names being `class_names` in any case.

    Raises:
      ValueError: if a folder with videos is no class, or there is no video.
    """
    classes = {name.casefold(): label for label, name in enumerate(class_names)}
    labels = {}
    for path in find_videos(directory):
        folder = path.relative_to(directory).parts[0]
        if folder.casefold() not in classes:
            raise ValueError(f"{path}: {folder!r} is no class of the model; allowed folders: {', '.join(class_names)}")
        labels[path] = classes[folder.casefold()]
    if not labels:
        raise ValueError(
            f"{directory} holds no videos; expected are folders {', '.join(class_names)} with videos in them"
        )
    return labels


def _as_clip(decoded: EncodedClip, label: int) -> Clip:
    audio = np.zeros(0, np.int16) if decoded.audio is None else decoded.audio
    name = str(decoded.path)
    return Clip(decoded.frames, label, decoded.fps, name, name, name, audio)


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
    print(format_figures(metrics))
    if views is not None:
        print(f"By the class that most windows say: accuracy {format_percent(metrics['vote']['accuracy'])}")
        print(f"Of single windows, {len(views.clips)} of them:\n{format_figures(metrics['views'])}")
    if adaptation is not None:
        print(format_adaptation(adaptation))
    print(f"Report: {report}")
