"""Evaluation of the videos of a folder, `<class>/<video>` or `<class>/<source>/<video>`."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from absl import logging
from jaxtyping import UInt8
from tqdm import tqdm

from jaxvid import parallel
from jaxvid.classes import match_classes
from jaxvid.data.pipeline import clip_inputs, clip_views, evaluation_batches
from jaxvid.data.records import Clip
from jaxvid.data.sampling import create_sampling
from jaxvid.evaluate.evaluated import Evaluated
from jaxvid.evaluate.overlap import overlap_of_videos
from jaxvid.evaluate.sources import name_sources
from jaxvid.inference import predict_views, with_views
from jaxvid.metrics.predictions import Predictions, average_views
from jaxvid.trained import Trained
from jaxvid.types import ConfigDict, Inputs
from jaxvid.video.clips import EncodedClip, decode_clips
from jaxvid.video.properties import VideoProperties, read_properties
from jaxvid.video.sequences import SequenceForm, decode_sequences
from jaxvid.video.workers import InvalidVideo, InvalidVideoError
from tfds_builders.clip_index import ClipRows, row_of_decoded
from tfds_builders.video_files import VideoFile, folder_source, join_identical, videos_below


def evaluate_videos(
    run: Trained,
    directory: Path,
    trained_on: ConfigDict,
    *,
    class_map: Mapping[str, str] | None = None,
    sources: Path | None = None,
) -> Evaluated:
    """Runs a checkpoint over the videos of a folder; those that do not decode are left out and named.

    Args:
      run: the checkpoint.
      directory: the folder; see `label_videos`.
      trained_on: section `dataset` of the config as saved in the workdir.
      class_map: names of the folder's classes to names of the model's, where they differ.
      sources: CSV file that names the source of every video, instead of the folders; see `name_sources`.

    Raises:
      ValueError: if the folder holds no videos, a class of it is none of the model's, a source is missing, or no video
        decodes.
    """
    config = run.config
    class_names = list(config.dataset.class_names)
    videos = label_videos(directory, class_names, class_map)
    videos = join_identical(videos) if sources is None else name_sources(videos, sources)
    decoded: list[VideoFile] = []
    invalid: list[InvalidVideo] = []
    rows = ClipRows()
    views = _views(videos, config, decoded, invalid, rows)
    batches = evaluation_batches(views, parallel.local_multiple(config.eval.batch_size))
    clip_index, outputs = predict_views(run.uncalibrated, run.variables, batches, len(class_names))
    for video in invalid:
        logging.warning("left out: %s: %s", video.path, video.reason)
    if not decoded:
        first = invalid[0]
        raise ValueError(f"none of the {len(videos)} videos in {directory} decodes; {first.path}: {first.reason}")
    predictions = Predictions(
        [video.filename for video in decoded],
        [video.source for video in decoded],
        np.asarray([class_names.index(video.label) for video in decoded]),
        average_views(clip_index, outputs, len(decoded)),
        class_names,
    )

    def frames_of(index: int) -> UInt8[np.ndarray, "time height width 3"]:
        encoded = next(_decoded([decoded[index].path], config))
        assert isinstance(encoded, EncodedClip)
        return clip_views(_as_clip(encoded, decoded[index]), config.clip)[0]

    details = {
        "Data": f"videos of {directory}",
        **_left_out(invalid, directory),
        **overlap_of_videos(decoded, trained_on, config.dataset.data_dir),
    }
    predicted = with_views(predictions, clip_index, outputs, run.calibration)
    return Evaluated(predicted, frames_of, rows.table(), details)


def label_videos(
    directory: Path, class_names: Sequence[str], class_map: Mapping[str, str] | None = None
) -> list[VideoFile]:
    """Returns the videos of a folder, labeled with classes of a model; they need not be of all classes.

    A folder within that of a class, `<class>/<source>/<video>`, names the source of its videos; a video directly in the
    folder of a class is its own source.

    Args:
      directory: holds a folder for each class, named as by the model without regard to case, `_`, `-` and spaces.
      class_names: classes of the model.
      class_map: names of folders to names of the model's classes, where they differ.

    Raises:
      ValueError: if there is no video, one lies in no folder of a class, or a folder is no class of the model.
    """
    videos = videos_below(directory, lambda path: path.parts[0], folder_source)
    if not videos:
        expected = ", ".join(class_names)
        raise ValueError(f"{directory} holds no videos; expected are folders {expected} with videos in them")
    for video in videos:
        if video.filename == video.label:
            raise ValueError(f"{video.path} lies in no folder of a class; allowed: <class>/{video.filename}")
    folders = sorted({video.label for video in videos})
    class_of = {
        folder: class_names[label]
        for folder, label in zip(folders, match_classes(folders, class_names, class_map), strict=True)
    }
    return [dataclasses.replace(video, label=class_of[video.label]) for video in videos]


def _views(
    videos: Sequence[VideoFile],
    config: ConfigDict,
    decoded: list[VideoFile],
    invalid: list[InvalidVideo],
    rows: ClipRows,
) -> Iterator[tuple[int, Inputs]]:
    """Yields the views of every video that decodes, with its position in `decoded`, and fills the other arguments."""
    by_path = {video.path: video for video in videos}
    properties = None
    for result in _decoded(list(by_path), config):
        if isinstance(result, InvalidVideo):
            invalid.append(result)
            continue
        video = by_path[result.path]
        # A video that is decoded in sequences comes several times.
        if video not in decoded[-1:]:
            decoded.append(video)
            properties = _properties(video.path)
        rows.add(row_of_decoded(video, video.filename, result, properties))
        yield len(decoded) - 1, clip_inputs(_as_clip(result, video), config.clip, config.eval.clips, config.audio)


def _properties(path: Path) -> VideoProperties | None:
    try:
        return read_properties(path)
    except InvalidVideoError:
        # decord reads headers that PyAV does not.
        return None


def _decoded(paths: list[Path], config: ConfigDict) -> Iterator[EncodedClip | InvalidVideo]:
    """Yields the videos as the model takes them: whole, or in sequences."""
    size = tuple(config.dataset.frame_size)
    if create_sampling(config.clip).takes_sequences:
        form = SequenceForm(size, config.dataset.fps, config.clip.num_frames, config.audio.sample_rate)
        decoding = decode_sequences(paths, form)
    else:
        decoding = enumerate(decode_clips(paths, size, decoder=config.pipeline.decoder))
    with tqdm(total=len(paths), desc="Decoding videos", unit="video", leave=False) as progress:
        for position, result in decoding:
            progress.update(position + 1 - progress.n)
            yield result


def _as_clip(encoded: EncodedClip, video: VideoFile) -> Clip:
    audio = np.zeros(0, np.int16) if encoded.audio is None else encoded.audio
    # The label is not needed to predict.
    return Clip(encoded.frames, 0, encoded.fps, video.source, video.filename, video.filename, audio)


def _left_out(invalid: Sequence[InvalidVideo], directory: Path) -> dict[str, str]:
    lines = [f"{video.path.relative_to(directory)}: {video.reason}" for video in invalid]
    return {"Left out": "\n".join(lines)} if lines else {}
