"""Class probabilities of every clip of a split."""

from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, PyTree
from tqdm import tqdm

from jaxvid import parallel
from jaxvid.calibration import NOT_CALIBRATED, Calibration
from jaxvid.data.dataset import ClipSplit
from jaxvid.data.pipeline import EvaluationBatch, evaluation_batches, evaluation_views
from jaxvid.metrics.predictions import Predictions, average_views, by_view, vote_of_views
from jaxvid.trained import Probabilities
from jaxvid.types import ConfigDict


class Predicted(NamedTuple):
    """Predictions of a split.

    Attributes:
      clips: mean over the views of every clip; of a split of sequences, over the sequences of every video.
      views: predictions of single views or sequences; None if every clip has one.
      votes: share of the views of every clip that predict a class; None if every clip has one.
      uncalibrated: `clips` without the temperature, and the most probable classes; None if there is no temperature.
    """

    clips: Predictions
    views: Predictions | None
    votes: Predictions | None
    uncalibrated: Predictions | None = None


def check_views(config: ConfigDict) -> None:
    """Checks the views of evaluation, `eval.clips` over time and `eval.crops` over space.

    Raises:
      ValueError: naming the key, its value and what is allowed.
    """
    if config.eval.clips < 0:
        raise ValueError(f"config.eval.clips is {config.eval.clips}; allowed: 0 (the views of clip.sampling) or more")
    most = 10 if config.clip.crop == "center" else 1
    if not 1 <= config.eval.crops <= most:
        raise ValueError(
            f"config.eval.crops is {config.eval.crops}; allowed with clip.crop {config.clip.crop!r}: 1 to {most}"
        )


def predict_views(
    probabilities: Probabilities, variables: PyTree, batches: Iterator[EvaluationBatch], num_classes: int
) -> tuple[Int[np.ndarray, "view"], Float[np.ndarray, "view classes"]]:
    """Returns the clip of every view in `batches`, and its class probabilities.

    There are no batches where no video decodes, and in a process without clips: the arrays are then empty.
    """
    clips = [np.zeros(0, int)]
    outputs = [np.zeros((0, num_classes), np.float32)]
    for batch in batches:
        output = np.asarray(probabilities(variables, batch.inputs))
        clips.append(batch.clip_index[batch.mask])
        outputs.append(output[batch.mask])
    return np.concatenate(clips), np.concatenate(outputs)


def predict_split(
    probabilities: Probabilities,
    variables: PyTree,
    split: ClipSplit,
    config: ConfigDict,
    calibration: Calibration = NOT_CALIBRATED,
) -> Predicted:
    """Predicts every clip of `split` and its views, with a calibration of what the network gives."""
    clip_index, outputs = predict_view_outputs(probabilities, variables, split, config)
    return of_videos(split, clip_index, outputs, calibration)


def predict_view_outputs(
    probabilities: Probabilities, variables: PyTree, split: ClipSplit, config: ConfigDict
) -> tuple[Int[np.ndarray, "view"], Float[np.ndarray, "view classes"]]:
    """Returns the clip of every view of `split`, and its probabilities; each process takes a share of the clips."""
    first, count = parallel.process_shard()
    views = evaluation_views(
        split,
        config.clip,
        num_threads=config.pipeline.num_threads,
        num_views=config.eval.clips,
        audio=config.audio,
        shard=(first, count),
    )
    total = len(range(first, len(split), count))
    progress = tqdm(views, f"Evaluating {split.name}", total, unit="clip", leave=False)
    batches = evaluation_batches(iter(progress), parallel.local_multiple(config.eval.batch_size))
    predicted = predict_views(probabilities, variables, batches, len(split.class_names))
    clip_index, outputs = map(parallel.gather_rows, predicted)
    return clip_index, outputs


def of_videos(
    split: ClipSplit,
    clip_index: Int[np.ndarray, "view"],
    outputs: Float[np.ndarray, "view classes"],
    calibration: Calibration = NOT_CALIBRATED,
) -> Predicted:
    """Returns the predictions of the videos of a split, whose clips are whole videos or sequences of them."""
    return with_views(*video_views(split, clip_index, outputs), calibration)


def video_views(
    split: ClipSplit, clip_index: Int[np.ndarray, "view"], outputs: Float[np.ndarray, "view classes"]
) -> tuple[Predictions, Int[np.ndarray, "view"], Float[np.ndarray, "view classes"]]:
    """Returns the predictions of the videos of a split, the video of every view, and its outputs, by video."""
    metadata = split.metadata
    # From several processes, sequences of one video do not come in their order.
    order = np.argsort(clip_index, kind="stable")
    first_clips = metadata.first_clips()
    videos, firsts = list(first_clips), list(first_clips.values())
    number = {video: i for i, video in enumerate(videos)}
    video_index = np.asarray([number[metadata.videos[clip]] for clip in clip_index[order]])
    predictions = Predictions(
        clips=videos,
        sources=[metadata.sources[clip] for clip in firsts],
        labels=metadata.labels[firsts],
        probabilities=average_views(video_index, outputs[order], len(videos)),
        class_names=split.class_names,
    )
    return predictions, video_index, outputs[order]


def with_views(
    clips: Predictions,
    clip_index: Int[np.ndarray, "view"],
    outputs: Float[np.ndarray, "view classes"],
    calibration: Calibration = NOT_CALIBRATED,
) -> Predicted:
    """Calibrates predictions, and adds those of single views if there are more of them than clips.

    Args:
      clips: not calibrated.
      clip_index: index of the clip that each view shows; the views of a clip are in order of time.
      outputs: probabilities of every view by the network.
      calibration: applied to the views, before their means are those of the clips.
    """
    uncalibrated, threshold = None, calibration.threshold
    if calibration.temperature is not None:
        uncalibrated, outputs = clips, calibration.apply(outputs)
        clips = clips.with_probabilities(average_views(clip_index, outputs, len(clips.clips)))
    clips = clips.decided(threshold)
    if len(outputs) == len(clips.clips):
        return Predicted(clips, None, None, uncalibrated)
    decide = None if threshold is None else partial(threshold.decide, class_names=clips.class_names)
    votes = vote_of_views(clip_index, outputs, len(clips.clips), decide)
    views = by_view(clips, clip_index, outputs).decided(threshold)
    return Predicted(clips, views, clips.with_probabilities(votes), uncalibrated)
