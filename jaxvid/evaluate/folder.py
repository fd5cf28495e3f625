"""Evaluation of a `<class>/<video>` folder."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from absl import logging
from tqdm import tqdm

from jaxvid import parallel
from jaxvid.data.dataset import Clip
from jaxvid.data.pipeline import clip_inputs, clip_views, evaluation_batches
from jaxvid.data.sampling import create_sampling
from jaxvid.evaluate.evaluated import Evaluated
from jaxvid.inference import predict_views, with_views
from jaxvid.metrics.predictions import Predictions, average_views
from jaxvid.trained import Probabilities
from jaxvid.types import ConfigDict
from jaxvid.video.clips import EncodedClip, decode_clips
from jaxvid.video.files import find_videos
from jaxvid.video.sequences import SequenceForm, decode_sequences, whole_videos
from jaxvid.video.workers import InvalidVideo


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
    clip_index, outputs = predict_views(probabilities, variables, batches, len(class_names))
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
    if create_sampling(config.clip).takes_sequences:
        form = SequenceForm(size, config.dataset.fps, config.clip.num_frames, config.audio.sample_rate)
        decoding = whole_videos(decode_sequences(paths, form))
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
