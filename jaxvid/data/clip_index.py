"""Opens the clip index of a split (`tfds_builders.clip_index`), and makes it for datasets that were built without one.

A dataset without an index, or with one that does not fit its records, is read once as a whole. The index is then
written beside the records; where the directory cannot be written, it is kept in memory.
"""

import functools
import os
from collections.abc import Sequence
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import tensorflow_datasets as tfds
from absl import logging
from jaxtyping import Int
from tqdm import tqdm

from jaxvid.data.records import ClipMetadata, parse_clip
from jaxvid.files import replacing
from tfds_builders.clip_index import (
    ClipRow,
    ClipRows,
    RecordFacts,
    clip_row,
    index_path,
    read_index,
    record_facts,
    write_index,
)

_MAX_THREADS = 8
_CLIPS_PER_TASK = 16


def open_index(builder: tfds.core.DatasetBuilder, split: str) -> pa.Table:
    """Returns a row for every record of a split, in the order of the records.

    Args:
      builder: of a prepared dataset.
      split: as TFDS names it: "train", "train+val", "train[:50%]".
    """
    splits: Any = builder.info.splits
    parts = []
    for part in tfds.core.ReadInstruction.from_spec(split).to_absolute(dict(splits)):
        table = _whole_split(str(builder.data_path), part.splitname)
        positions = range(len(table))[part.from_ : part.to]
        parts.append(table.slice(positions.start, len(positions)))
    return pa.concat_tables(parts)


def metadata_of(table: pa.Table, class_names: Sequence[str]) -> ClipMetadata:
    """Returns what rows of an index say of their clips; the labels are positions among `class_names`."""
    filenames = table["filename"].to_numpy(zero_copy_only=False).tolist()
    # Whole videos: a million names in memory once, not twice.
    whole = table["video"].equals(table["filename"])
    return ClipMetadata(
        labels=_positions(table["label"], class_names),
        num_frames=table["num_frames"].to_numpy().astype(int),
        num_samples=table["num_samples"].to_numpy().astype(int),
        fps=table["fps"].to_numpy().astype(float),
        sources=_repeated_names(table["source"]),
        filenames=filenames,
        videos=filenames if whole else _repeated_names(table["video"]),
    )


def _positions(column: pa.ChunkedArray, names: Sequence[str]) -> Int[np.ndarray, "clip"]:
    encoded = column.combine_chunks().dictionary_encode()
    return np.asarray([names.index(name) for name in encoded.dictionary.to_pylist()], int)[encoded.indices.to_numpy()]


def _repeated_names(column: pa.ChunkedArray) -> list[str]:
    """Returns the names of a column, those that occur several times as one string in memory."""
    encoded = column.combine_chunks().dictionary_encode()
    return encoded.dictionary.to_numpy(zero_copy_only=False)[encoded.indices.to_numpy()].tolist()


# Most splits of a run are parts of the same.
@functools.lru_cache(maxsize=8)
def _whole_split(data_path: str, split: str) -> pa.Table:
    builder: Any = tfds.builder_from_directory(data_path)
    path = index_path(Path(data_path), split)
    facts = record_facts(builder.info, builder.info.splits[split])
    if path.exists():
        try:
            return read_index(path, facts)
        except ValueError as error:
            logging.warning("%s does not fit the records: %s. It is made again.", path, error)
    table = _index_records(builder, split, facts["class_names"])
    _write(table, path, facts)
    return table


def _index_records(builder: Any, split: str, class_names: Sequence[str]) -> pa.Table:
    records = builder.as_data_source(split, deserialize_method=tfds.decode.DeserializeMethod.RAW_BYTES)

    def row_of(position: int) -> ClipRow:
        clip = parse_clip(records[position])
        try:
            return clip_row(
                filename=clip.filename,
                video=clip.video,
                label=class_names[clip.label],
                source=clip.source,
                frames=clip.frames,
                fps=clip.fps,
                num_samples=len(clip.audio),
                properties=None,
            )
        except ValueError as error:
            raise ValueError(
                f"{clip.filename} in {builder.data_path}: {error}; the dataset is damaged: remove that folder and "
                "build it again"
            ) from error

    logging.info("%s was built without an index of its clips: its records are read once", builder.info.full_name)
    rows = ClipRows()
    # OpenCV decodes frames outside of Python's lock.
    with ThreadPool(min(_MAX_THREADS, os.cpu_count() or 1)) as pool:
        made = pool.imap(row_of, range(len(records)), _CLIPS_PER_TASK)
        for row in tqdm(made, f"Indexing {split}", len(records), unit="clip", leave=False):
            rows.add(row)
    return rows.table()


def _write(table: pa.Table, path: Path, facts: RecordFacts) -> None:
    try:
        with replacing(path) as unfinished:
            write_index(table, unfinished, facts)
    except OSError as error:
        logging.warning("%s cannot be written (%s): the records are read again at every start", path, error)
