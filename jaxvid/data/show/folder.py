"""Folders of videos to what their page shows, with the findings of `jaxvid.data.check`."""

import contextlib
import itertools
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from tqdm import tqdm

from jaxvid.data.check.folder import check_folder, place
from jaxvid.data.dataset import create_builder
from jaxvid.data.differences import class_differences
from jaxvid.data.inputs import check_inputs
from jaxvid.data.joined import sections
from jaxvid.data.records import Clip
from jaxvid.data.show.facts import SCHEMA, Facts, count_formats
from jaxvid.data.show.network import Images, network_clips
from jaxvid.data.show.shown import POSITIONS, Sample, ShownData, network_rows, sample_rows
from jaxvid.types import ConfigDict
from jaxvid.video.clips import EncodedClip, decode_clips
from jaxvid.video.faces import blur_faces, check_face_detector
from jaxvid.video.files import find_videos, identical_files
from jaxvid.video.properties import VideoProperties, properties_in_worker, summarize_properties
from jaxvid.video.sequences import SequenceForm, decode_sequences
from jaxvid.video.stills import read_stills
from jaxvid.video.workers import InvalidVideo, decode_in_workers
from tfds_builders.video_files import SPLIT_FOLDERS, VideoFile, fold, folder_source

_STILL_HEIGHT = 128
# Of videos in no folder of a split, and of those in no folder of a class.
_NO_SPLIT, _NO_CLASS = "all", "no class"


def show_folder(
    directory: Path, config: ConfigDict | None = None, *, checks: bool = True, without_faces: bool = False
) -> ShownData:
    """Returns what the page of a folder of videos shows.

    Args:
      directory: holds `<class>/<video>`, `<class>/<source>/<video>` or `<split>/<class>/...`.
      config: whose inputs are shown; None for none.
      checks: whether every video is decoded, to find those that cannot be and those that look alike.
      without_faces: whether faces are blurred.

    Raises:
      ValueError: if there is no such folder, it holds no video that can be opened, or it does not fit the config.
    """
    if config is not None:
        check_inputs(config)
    if without_faces:
        check_face_detector()
    videos = _listed(directory)
    headers, invalid = _read_headers(videos)
    findings = check_folder(directory) if checks else None
    if findings:
        invalid |= {problem.path: problem.reason for problem in findings.problems}
    videos = [video for video in videos if video.path in headers and video.path not in invalid]
    if not videos:
        raise ValueError(f"{directory} holds no video that can be read, of {len(headers) + len(invalid)}")
    facts = _facts(videos, headers)
    rows = sample_rows(facts)
    changed: Callable[[Images], Images] = blur_faces if without_faces else lambda images: images
    inputs = [videos[row] for row in network_rows(facts, rows)] if config is not None else []
    return ShownData(
        name=str(directory),
        details={"Folder": str(directory.absolute())},
        facts=facts,
        samples=_samples(videos, list(itertools.chain(*rows)), changed),
        differences=class_differences(
            {name: summarize_properties(of_class) for name, of_class in _by_class(videos, headers).items()}
        ),
        alike=findings.alike if findings else None,
        problems=_problems(invalid, directory) if findings or invalid else None,
        config=config,
        inputs=_inputs(inputs, facts, config, changed) if config is not None else [],
    )


def _listed(directory: Path) -> list[VideoFile]:
    """Returns the videos, those to train on first.

    Raises:
      ValueError: if there is none.
    """
    videos = []
    for path in find_videos(directory):
        split, label = place(path, directory)
        relative = path.relative_to(directory)
        within = relative.relative_to(split) if split else relative
        name = SPLIT_FOLDERS.get(fold(split), split) if split else _NO_SPLIT
        videos.append(VideoFile(path, relative.as_posix(), label or _NO_CLASS, folder_source(within), name))
    if not videos:
        raise ValueError(f"{directory} holds no videos; allowed: a folder with <class>/<video>, or a prepared dataset")
    usual = ("train", "val", "test")
    return sorted(videos, key=lambda video: usual.index(video.split) if video.split in usual else len(usual))


def _read_headers(videos: Sequence[VideoFile]) -> tuple[dict[Path, VideoProperties], dict[Path, str]]:
    """Returns what the headers of files state, and why the others cannot be opened."""
    paths = [video.path for video in videos]
    headers: dict[Path, VideoProperties] = {}
    invalid: dict[Path, str] = {}
    reading = decode_in_workers(properties_in_worker, paths)
    for position, result in tqdm(reading, "Reading headers", len(paths), unit="video"):
        if isinstance(result, InvalidVideo):
            invalid[paths[position]] = result.reason
        else:
            headers[paths[position]] = result
    return headers, invalid


def _facts(videos: Sequence[VideoFile], headers: Mapping[Path, VideoProperties]) -> Facts:
    names = sorted({video.label for video in videos})
    splits = list(dict.fromkeys(video.split for video in videos))
    of_videos = [headers[video.path] for video in videos]
    # In a folder of a class, every file is its own source.
    columns = {
        "split": [splits.index(video.split) for video in videos],
        "label": [names.index(video.label) for video in videos],
        "clip": [video.filename for video in videos],
        "video": [video.filename for video in videos],
        "source": [video.source for video in videos],
        "seconds": [properties.seconds or None for properties in of_videos],
        "fps": [properties.fps or None for properties in of_videos],
        "num_frames": [None] * len(videos),
    }
    row_of = {video.path: row for row, video in enumerate(videos)}
    copies = [sorted(row_of[path] for path in group) for group in identical_files(row_of)]
    formats = count_formats(
        (name, summarize_properties(of_class)) for name, of_class in _by_class(videos, headers).items()
    )
    columns = {name: pa.array(map(_printable, values), SCHEMA.field(name).type) for name, values in columns.items()}
    return Facts([_printable(name) for name in names], splits, pa.table(columns, SCHEMA), formats, sorted(copies))


def _printable(value: Any) -> Any:
    """Returns a name with a question mark for every byte that is not UTF-8; other values as they are."""
    return value.encode("utf-8", errors="replace").decode("utf-8") if isinstance(value, str) else value


def _by_class(videos: Sequence[VideoFile], headers: Mapping[Path, VideoProperties]) -> dict[str, list[VideoProperties]]:
    by_class: dict[str, list[VideoProperties]] = defaultdict(list)
    for video in videos:
        by_class[_printable(video.label)].append(headers[video.path])
    return dict(sorted(by_class.items()))


def _samples(videos: Sequence[VideoFile], rows: Sequence[int], changed: Callable[[Images], Images]) -> list[Sample]:
    """Reads the frames of samples; those of videos whose frames cannot be found are left out."""
    reading = decode_in_workers(
        partial(read_stills, positions=POSITIONS, height=_STILL_HEIGHT), [videos[row].path for row in rows]
    )
    results = tqdm(reading, "Reading frames", len(rows), unit="video")
    return [
        Sample(rows[position], changed(frames)) for position, frames in results if not isinstance(frames, InvalidVideo)
    ]


def _problems(invalid: Mapping[Path, str], directory: Path) -> list[tuple[str, str]]:
    return [(_printable(str(path.relative_to(directory))), reason) for path, reason in invalid.items()]


def _inputs(
    videos: Sequence[VideoFile], facts: Facts, config: ConfigDict, changed: Callable[[Images], Images]
) -> list[Any]:
    """Returns what the network of a config gets of videos; those that do not decode are left out."""
    form = _stored_form(config)
    clips = []
    for video in videos:
        decoded = _decoded(video.path, form)
        if isinstance(decoded, EncodedClip):
            audio = np.zeros(0, np.int16) if decoded.audio is None else decoded.audio
            label, name = facts.class_names.index(_printable(video.label)), _printable(video.filename)
            clips.append(Clip(decoded.frames, label, decoded.fps, video.source, name, name, audio))
    return network_clips(clips, config, len(facts.class_names), changed)


def _stored_form(config: ConfigDict) -> SequenceForm:
    stored: Any = create_builder(sections(config.dataset)[0]).builder_config
    return SequenceForm((stored.height, stored.width), stored.fps, stored.sequence_frames, config.audio.sample_rate)


def _decoded(path: Path, form: SequenceForm) -> EncodedClip | InvalidVideo:
    """Returns a video, or its first sequence."""
    if not (form.fps or form.num_frames or form.sample_rate):
        return next(decode_clips([path], form.size))
    with contextlib.closing(decode_sequences([path], form)) as sequences:
        return next(sequences)[1]
