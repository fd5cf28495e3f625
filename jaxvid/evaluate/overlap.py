"""Cautions about evaluated clips that the model was trained on, on which its metrics are too good."""

from collections.abc import Sequence
from pathlib import Path

import ml_collections
from absl import logging

from jaxvid.data.dataset import ClipSplit
from jaxvid.data.joined import base_name, find_data
from jaxvid.report.page import CAUTION
from jaxvid.types import ConfigDict
from tfds_builders.video_files import VideoFile

_FIRST_VERSION = "1.0.0"


def overlap_of_split(evaluated: ClipSplit, dataset: ConfigDict, trained_on: ConfigDict) -> dict[str, str]:
    """Returns the details of a report on what a split shares with the training split.

    Sizes, options and file formats of one dataset share source videos, which are found by name. Folders of videos are
    different datasets: their videos are compared as by `overlap_of_videos`.

    Args:
      evaluated: the split, with the classes of the model.
      dataset: section of the config that names its dataset.
      trained_on: section `dataset` of the run's config.
    """
    if not _bases(dataset) & _bases(trained_on):
        return {}
    metadata = evaluated.metadata
    if _is_folder(dataset) and dataset.manual_dir != trained_on.manual_dir:
        videos = [
            VideoFile(Path(video), video, evaluated.class_names[int(metadata.labels[clip])], metadata.sources[clip])
            for video, clip in metadata.first_clips().items()
        ]
        return overlap_of_videos(videos, trained_on, dataset.data_dir)
    training = find_training_split(trained_on, dataset.data_dir)
    if training is None:
        return _unknown(trained_on)
    shared = _shared_sources(evaluated, dataset, training, trained_on)
    if not shared:
        return {}
    return _caution(
        f"{_counted(shared, 'source video has', 'source videos have')} clips in the training split too, such as "
        f"{shared[0]}: the metrics are too good"
    )


def overlap_of_videos(videos: Sequence[VideoFile], trained_on: ConfigDict, data_dir: str = "") -> dict[str, str]:
    """Returns the details of a report on videos that may be training clips.

    Files are known by their names alone: a video may be a training clip if a training clip of the same class has the
    same file name, in whatever folder, or if a training clip has the same source.

    Args:
      videos: evaluated videos, labeled with classes of the model.
      trained_on: section `dataset` of the run's config.
      data_dir: where the training data may be prepared, besides `trained_on.data_dir`.
    """
    training = find_training_split(trained_on, data_dir)
    if training is None:
        return _unknown(trained_on)
    metadata = training.metadata
    trained_files = {
        (training.class_names[label], Path(video).name)
        for label, video in zip(metadata.labels, metadata.videos, strict=True)
    }
    trained_sources = set(metadata.sources)
    shared = [
        video.filename
        for video in videos
        if video.source in trained_sources or (video.label, Path(video.filename).name) in trained_files
    ]
    if not shared:
        return {}
    return _caution(
        f"{_counted(shared, 'video has', 'videos have')} the file name or the source of a training clip, such as "
        f"{shared[0]}: if these are the same videos, the metrics are too good"
    )


def _bases(dataset: ConfigDict) -> set[str]:
    """Returns the names of the datasets without size, options and version."""
    return set(map(base_name, dataset.name.split("+")))


def _is_folder(dataset: ConfigDict) -> bool:
    return _bases(dataset) == {"video_folder"}


def find_training_split(trained_on: ConfigDict, data_dir: str) -> ClipSplit | None:
    """Returns the training clips of a run; None if they are not prepared on this machine.

    Args:
      trained_on: section `dataset` of the run's config.
      data_dir: where the dataset may be prepared, besides `trained_on.data_dir`.
    """
    for directory in dict.fromkeys((data_dir, trained_on.data_dir)):
        dataset = ml_collections.ConfigDict({**trained_on.to_dict(), "data_dir": directory})
        try:
            data = find_data(dataset)
            # Versions may have other splits. Runs from before they were recorded were trained on the first one.
            if data is not None and (trained_on.version or _FIRST_VERSION) == data.version:
                return data.open_split(trained_on.train_split)
        except ValueError as error:
            # The evaluation does not need the training data.
            logging.warning("the training data cannot be read: %s", error)
    return None


def _shared_sources(
    evaluated: ClipSplit, dataset: ConfigDict, training: ClipSplit, trained_on: ConfigDict
) -> list[str]:
    """Returns the sources of the evaluated clips whose source, or whose video, is in the training split."""
    trained_sources, trained_videos = map(set, _full_names(training, trained_on))
    clips = zip(evaluated.metadata.sources, *_full_names(evaluated, dataset), strict=True)
    return sorted({name for name, source, video in clips if source in trained_sources or video in trained_videos})


def _full_names(split: ClipSplit, dataset: ConfigDict) -> tuple[list[str], list[str]]:
    """Returns the sources and the videos of a split with the name of their dataset in front, as of joined datasets."""
    names = split.metadata.sources, split.metadata.videos
    if "+" in dataset.name:
        return names
    sources, videos = ([f"{base_name(dataset.name)}/{name}" for name in column] for column in names)
    return sources, videos


def _caution(text: str) -> dict[str, str]:
    logging.warning("%s", text)
    return {CAUTION: text}


def _unknown(trained_on: ConfigDict) -> dict[str, str]:
    name = f"{trained_on.name} {trained_on.version}".rstrip()
    return {"Overlap with training": f"not known: {name} is not prepared on this machine"}


def _counted(items: Sequence[str], one: str, several: str) -> str:
    return f"{len(items)} {one if len(items) == 1 else several}"
