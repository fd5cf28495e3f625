"""Prepared TFDS datasets and their splits.

A split is named as in TFDS ("train", "train+val"), with optional folds: "train@0/10" is the first of ten folds of
train, "train@!0/10" all but that, "train@!0+1/10" all but the first two. Folds are stratified by class and keep the
clips of one source together. Reading a dataset does not need TensorFlow, building it does.
"""

import dataclasses
import functools
import os
import re
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import tensorflow_datasets as tfds
from jaxtyping import Int
from tensorflow_datasets.core.registered import DatasetNotFoundError

from jaxvid.classes import match_classes
from jaxvid.data.clip_index import metadata_of, open_index
from jaxvid.data.folds import fold_of
from jaxvid.data.records import Clip, ClipMetadata, parse_clip
from jaxvid.files import naming
from jaxvid.types import ConfigDict
from jaxvid.video.addresses import is_address

# A column of the clip index.
_VIDEO = "video"
# ArrayRecord starts 64 threads at its first file, however many cores there are. Others may start meanwhile.
_MORE_THREADS = 64 + 16
_SPLIT = re.compile(r"(?P<base>[^@]+)(@(?P<others>!?)(?P<taken>\d+(?:\+\d+)*)/(?P<folds>\d+))?")


def prepare(dataset: ConfigDict, decoder: str = "decord", beam_options: str | None = None) -> tfds.core.DatasetBuilder:
    """Returns the dataset that the section `dataset` of a config names, and builds it if it is not prepared.

    Only building needs TensorFlow.

    Args:
      dataset: the section.
      decoder: the config's `pipeline.decoder`.
      beam_options: options of Apache Beam, to build with; see `parse_beam_options`. None to build without it.

    Raises:
      ValueError: if there is no such dataset, or it must be built and TensorFlow, or Apache Beam, is not installed.
      OSError: if it must be built and this process may not start the threads for it.
    """
    builder = create_builder(dataset, decoder=decoder)
    if not builder.is_prepared():
        require_threads()
        _require_tensorflow(builder)
        manual_dir = _manual_dir(dataset)
        download_config = tfds.download.DownloadConfig(
            manual_dir=None if is_address(manual_dir or "") else manual_dir,
            beam_options=None if beam_options is None else parse_beam_options(beam_options),
        )
        with naming(builder.data_path):
            builder.download_and_prepare(download_config=download_config)
    return builder


def parse_beam_options(options: str) -> Any:
    """Returns options of Apache Beam, written as `tfds build` takes them: NAME=VALUE,NAME,...; "" for the defaults.

    Raises:
      ValueError: if Apache Beam is not installed.
    """
    try:
        # Not at the top: only who asks for Beam needs it.
        from apache_beam.options.pipeline_options import PipelineOptions
    except ImportError as error:
        raise ValueError('building on Apache Beam needs it: pip install "jaxvid[beam]"') from error
    return PipelineOptions([f"--{option}" for option in options.split(",") if option])


def find_prepared(dataset: ConfigDict) -> tfds.core.DatasetBuilder | None:
    """Returns the dataset that the section `dataset` of a config names; None if it is not prepared there.

    Raises:
      ValueError: if there is no such dataset.
    """
    builder = create_builder(dataset)
    return builder if builder.is_prepared() else None


def create_builder(dataset: ConfigDict, **options: Any) -> tfds.core.DatasetBuilder:
    """Returns the builder that the section `dataset` of a config names, whether the dataset is prepared or not.

    Raises:
      ValueError: if there is no such dataset.
    """
    # Registers the builders. Not at the top: reading a split does not need them.
    import tfds_builders  # noqa: F401

    manual_dir = _manual_dir(dataset)
    options["on_invalid"] = dataset.on_invalid
    if dataset.data_dir:
        options["data_dir"] = Path(dataset.data_dir).expanduser()
    # Every folder is a separate dataset, identified by its path.
    if dataset.name.split("/")[0] == "video_folder" and manual_dir is not None:
        options["directory"] = manual_dir
    try:
        return tfds.builder(dataset.name, **options)
    except DatasetNotFoundError as error:
        # TFDS goes on with the names of all that it knows, which are hundreds.
        first = str(error).splitlines()[0]
        raise ValueError(
            f"config.dataset.name is {dataset.name!r}: {first} tfds_builders/README.md lists ours"
        ) from error
    except ValueError as error:
        raise ValueError(f"config.dataset.name is {dataset.name!r}: {error}") from error


def _manual_dir(dataset: ConfigDict) -> Path | str | None:
    if is_address(dataset.manual_dir):
        if dataset.name.split("/")[0] != "video_folder":
            raise ValueError(
                f"config.dataset.manual_dir is {dataset.manual_dir}: only video_folder takes an address, "
                f"{dataset.name} a folder"
            )
        return dataset.manual_dir
    return Path(dataset.manual_dir).expanduser().absolute() if dataset.manual_dir else None


def _require_tensorflow(builder: tfds.core.DatasetBuilder) -> None:
    # TensorFlow logs pages of lines when it is imported.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        import tensorflow  # noqa: F401
    except ImportError as error:
        raise ValueError(
            f"{builder.info.full_name} is not prepared in {builder.data_path}, and building it needs TensorFlow: "
            'pip install "jaxvid[build]", or build it on another machine and set config.dataset.data_dir'
        ) from error


def class_names(builder: tfds.core.DatasetBuilder) -> list[str]:
    """Returns the names of a dataset's classes, in the order of the labels."""
    return list(_features(builder)["label"].names)


def frame_size(builder: tfds.core.DatasetBuilder) -> tuple[int, int]:
    """Returns the height and width of a dataset's frames."""
    height, width, _ = _features(builder)["video"].feature.shape
    return height, width


def _features(builder: tfds.core.DatasetBuilder) -> Any:
    # TFDS declares them as None or of a type without items.
    return builder.info.features


@dataclasses.dataclass(frozen=True)
class ClipSplit:
    """The clips of a split, by position.

    Attributes:
      name: name of the split, as in the config.
      records: serialized examples of the dataset, with random access.
      index: the row of every record in the clip index (`tfds_builders.clip_index`).
      indices: positions of the split's clips among the records.
      metadata: metadata of the split's clips, with their labels.
      class_names: names of the classes, in the order of the labels.
    """

    name: str
    records: Sequence[bytes]
    index: pa.Table
    indices: Int[np.ndarray, "clip"]
    metadata: ClipMetadata
    class_names: list[str]

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, position: int) -> Clip:
        clip = parse_clip(self.records[int(self.indices[position])])
        # Of joined datasets, and with the classes of a model, it is not the stored one.
        return dataclasses.replace(clip, label=int(self.metadata.labels[position]))

    def rows(self) -> pa.Table:
        """Returns the rows of the split's clips in the clip index, with their videos named as in `metadata`."""
        rows = self.index.take(self.indices)
        return rows.set_column(rows.schema.get_field_index(_VIDEO), _VIDEO, pa.array(self.metadata.videos, pa.string()))


def open_split(builder: tfds.core.DatasetBuilder, split: str) -> ClipSplit:
    """Returns the clips of a split of a prepared dataset.

    Args:
      builder: the dataset's.
      split: name of the split, with optional folds (see the docstring of this module).

    Raises:
      ValueError: if the name has another form, the dataset has no such split, or the split is empty.
    """
    match = _SPLIT.fullmatch(split)
    if match is None:
        raise ValueError(f"split {split!r} is not NAME, NAME+NAME, NAME@FOLD/FOLDS or NAME@!FOLD+FOLD/FOLDS")
    for name in match["base"].split("+"):
        if name.split("[")[0] not in builder.info.splits:
            raise ValueError(
                f"{builder.info.full_name} has no split {name!r}; it has: {', '.join(builder.info.splits)}"
            )
    records, index, metadata = _open_records(str(builder.data_path), match["base"])
    indices = np.arange(len(records))
    if match["folds"]:
        num_folds, taken = int(match["folds"]), [int(fold) for fold in match["taken"].split("+")]
        if max(taken) >= num_folds:
            raise ValueError(f"split {split!r} names fold {max(taken)}; allowed: 0 to {num_folds - 1}")
        in_folds = np.isin(fold_of(metadata, num_folds), taken)
        indices = indices[~in_folds if match["others"] else in_folds]
    if not len(indices):
        raise ValueError(f"split {split!r} of {builder.info.full_name} holds no clip")
    return ClipSplit(split, records, index, indices, metadata.take(indices), class_names(builder))


def with_classes(split: ClipSplit, class_names: Sequence[str], class_map: Mapping[str, str] | None = None) -> ClipSplit:
    """Returns a split with the classes of a model, whose names may be in another order and of another form.

    The split need not have all classes of the model.

    Args:
      split: any split.
      class_names: classes of the model.
      class_map: names of the split's classes to names of the model's, where they differ.

    Raises:
      ValueError: if a class of the split is none of the model's.
    """
    label_of = np.asarray(match_classes(split.class_names, class_names, class_map))
    metadata = dataclasses.replace(split.metadata, labels=label_of[split.metadata.labels])
    return dataclasses.replace(split, metadata=metadata, class_names=list(class_names))


def shared_sources(one: ClipSplit, other: ClipSplit) -> list[str]:
    """Returns the sources with clips in both splits: metrics on one are too good for a model trained on the other."""
    return sorted(set(one.metadata.sources) & set(other.metadata.sources))


@functools.lru_cache(maxsize=8)
def _open_records(data_path: str, split: str) -> tuple[Sequence[bytes], pa.Table, ClipMetadata]:
    """Returns records, index and metadata of a split without folds. Cached: most splits of a run are folds of one."""
    require_threads()
    builder: Any = tfds.builder_from_directory(data_path)
    records = builder.as_data_source(split, deserialize_method=tfds.decode.DeserializeMethod.RAW_BYTES)
    # Starts ArrayRecord's threads now: other programs, or this one, may take what is left.
    next(iter(records), None)
    index = open_index(builder, split)
    return records, index, metadata_of(index, class_names(builder))


@functools.cache
def require_threads() -> None:
    """Checks that this process may start as many threads as records need: with fewer, ArrayRecord waits forever.

    Raises:
      OSError: if it may not.
    """
    over = threading.Event()
    started: list[threading.Thread] = []
    try:
        for _ in range(_MORE_THREADS):
            thread = threading.Thread(target=over.wait)
            thread.start()
            started.append(thread)
    except RuntimeError as error:
        raise OSError(
            f"reading records needs {_MORE_THREADS} more threads, of which {len(started)} could be started ({error}): "
            "allow this process more processes or memory (ulimit -u, -d, -v, or its container's limit of pids)"
        ) from error
    finally:
        over.set()
        for thread in started:
            thread.join()
