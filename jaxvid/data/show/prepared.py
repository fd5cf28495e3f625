"""Prepared datasets to what their page shows. Only the clips that are shown are read, besides the indexes."""

import dataclasses
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import ml_collections
import numpy as np
from absl import logging
from jaxtyping import Int

from jaxvid.config import base_config
from jaxvid.data.dataset import ClipSplit, class_names, with_classes
from jaxvid.data.differences import STATISTICS_FILENAME, dataset_differences
from jaxvid.data.inputs import check_inputs
from jaxvid.data.joined import PreparedData, base_name, class_map_for, find_data, section_of
from jaxvid.data.records import Clip, decode_frames
from jaxvid.data.show.facts import Formats, count_formats, facts_of_splits
from jaxvid.data.show.network import Images, network_clips
from jaxvid.data.show.shown import POSITIONS, Sample, ShownData, network_rows, sample_rows
from jaxvid.types import ConfigDict
from jaxvid.video.faces import blur_faces, check_face_detector
from jaxvid.video.properties import PropertiesSummary


def show_dataset(
    name: str, config: ConfigDict | None = None, *, data_dir: str = "", without_faces: bool = False
) -> ShownData:
    """Returns what the page of a prepared dataset shows.

    Args:
      name: as TFDS names it; several are joined with "+". "" for the one of the config.
      config: whose inputs are shown, and, if the dataset is its own, whose splits; None for all splits and no inputs.
      data_dir: of prepared datasets; "" for the one of the config, or TFDS' own.
      without_faces: whether faces are blurred.

    Raises:
      ValueError: if the dataset is not prepared, or does not fit the config.
    """
    section: ConfigDict = (config or base_config()).dataset
    name = name or section.name
    is_own = config is not None and name == section.name
    section = ml_collections.ConfigDict(section_of(section, name).to_dict())
    section.data_dir = data_dir or section.data_dir
    data = find_data(section)
    if data is None:
        where = section.data_dir or "the directory of TFDS (TFDS_DATA_DIR, by default ~/tensorflow_datasets)"
        raise ValueError(
            f"{name} is not prepared in {where}; training prepares it, or `tfds build` (see tfds_builders)"
        )
    if config is None or not is_own:
        names = [split for split in data.parts[0].builder.info.splits if _all_have(data, split)]
        return _shown(section, data, {split: data.open_split(split) for split in names}, config, without_faces)
    changed = config.copy_and_resolve_references()
    changed.dataset = section
    splits = [data.open_split(section[f"{use}_split"]) for use in ("train", "val")]
    return show_run(changed, data, splits, without_faces=without_faces)


def _all_have(data: PreparedData, split: str) -> bool:
    return all(split in part.builder.info.splits for part in data.parts)


def show_run(
    config: ConfigDict, data: PreparedData, splits: Sequence[ClipSplit], *, without_faces: bool = False
) -> ShownData:
    """Returns what the page of a run's data shows.

    Args:
      config: of the run.
      data: its dataset.
      splits: to train on and to validate on; the one to test on is opened too, where it is prepared.
      without_faces: whether faces are blurred.

    Raises:
      ValueError: if the data does not fit the config.
    """
    tested = _test_split(config.dataset, data)
    opened = [*splits, *([] if tested is None else [tested])]
    named: dict[str, ClipSplit] = dict(zip(("training", "validation", "test"), opened, strict=False))
    return _shown(config.dataset, data, named, config, without_faces)


def _test_split(dataset: ConfigDict, data: PreparedData) -> ClipSplit | None:
    """Returns the split to test on, with the classes of the others; None if it is not there."""
    try:
        tested = find_data(section_of(dataset, dataset.test_name)) if dataset.test_name else data
        if tested is None:
            return None
        opened = tested.open_split(dataset.test_split)
        opened = with_classes(opened, data.class_names, class_map_for(dataset, opened.class_names))
        return _distinguished(opened, base_name(dataset.test_name), data) if dataset.test_name else opened
    except ValueError as error:
        # Training needs no test split.
        logging.warning("the page of the data leaves out the test split: %s", error)
        return None


def _distinguished(split: ClipSplit, name: str, data: PreparedData) -> ClipSplit:
    """Puts the name of another dataset in front of its clips and sources, as in joined datasets."""
    if [part.name for part in data.parts] == [name]:
        return split
    columns = {
        column: [f"{name}/{value}" for value in getattr(split.metadata, column)]
        for column in ("sources", "filenames", "videos")
    }
    return dataclasses.replace(split, metadata=dataclasses.replace(split.metadata, **columns))


def _shown(
    dataset: ConfigDict,
    data: PreparedData,
    splits: Mapping[str, ClipSplit],
    config: ConfigDict | None,
    without_faces: bool,
) -> ShownData:
    if config is not None:
        check_inputs(config)
        _check_sound(config.audio, data, dataset.name)
    if without_faces:
        check_face_detector()
    facts = facts_of_splits(splits, _formats(data))
    rows = sample_rows(facts)
    read = _reader(list(splits.values()))
    changed: Callable[[Images], Images] = blur_faces if without_faces else lambda images: images
    clips = [read(row) for row in network_rows(facts, rows)] if config is not None else []
    return ShownData(
        name=dataset.name,
        details=_details(dataset, data, splits),
        facts=facts,
        samples=[Sample(row, changed(_stills(read(row)))) for of_class in rows for row in of_class],
        differences=[sentence for path in data.data_paths for sentence in dataset_differences(path)],
        config=config,
        inputs=network_clips(clips, config, len(facts.class_names), changed) if config is not None else [],
    )


def _check_sound(audio: ConfigDict, data: PreparedData, name: str) -> None:
    if audio.sample_rate not in (0, data.sample_rate):
        stored = f"stores {data.sample_rate} Hz" if data.sample_rate else "stores no sound"
        raise ValueError(f"config.audio.sample_rate is {audio.sample_rate}, but {name} {stored}")


def _reader(splits: Sequence[ClipSplit]) -> Callable[[int], Clip]:
    """Returns a function from a row of the facts to the stored clip."""
    ends = np.cumsum([len(split) for split in splits])

    def read(row: int) -> Clip:
        number = int(np.searchsorted(ends, row, side="right"))
        return splits[number][row - int(ends[number]) + len(splits[number])]

    return read


def _stills(clip: Clip) -> Images:
    positions: Int[np.ndarray, "time"] = (np.asarray(POSITIONS) * len(clip.frames)).astype(int)
    return decode_frames(clip.frames, positions)


def _formats(data: PreparedData) -> Formats:
    return count_formats(
        (data.class_names[int(part.label_of[label])], summary)
        for part in data.parts
        for label, summary in _summaries(Path(str(part.builder.data_path)), class_names(part.builder))
    )


def _summaries(data_path: Path, names: Sequence[str]) -> Iterator[tuple[int, PropertiesSummary]]:
    """Yields what the builder has stored of the files, by label; nothing if it did not."""
    path = data_path / STATISTICS_FILENAME
    if not path.exists():
        return
    for split in json.loads(path.read_text()).values():
        for name, summary in split.get("classes", {}).items():
            yield names.index(name), summary


def _details(dataset: ConfigDict, data: PreparedData, splits: Mapping[str, ClipSplit]) -> dict[str, str]:
    height, width = data.frame_size
    stored = f"frames of {height}x{width}" + (f", sound at {data.sample_rate} Hz" if data.sample_rate else "")
    return {
        "Dataset": f"{dataset.name}, version {data.version}",
        "Directory": "\n".join(data.data_paths),
        "Stored": stored,
        **{f"Split for {use}": split.name for use, split in splits.items() if use != split.name},
    }
