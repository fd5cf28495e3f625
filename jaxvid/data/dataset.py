"""Clips of a prepared TFDS dataset: stored records, which of them a split holds, and their frames.

A split is named as TFDS names it ("train", "train+val"), with optional folds: "train@0/10" is the first of ten folds of
train, "train@!0/10" all but that, "train@!0+1/10" all but the first two. Folds are stratified by class and keep the
clips of one source video together.
TensorFlow is not needed to read.
"""

import dataclasses
import functools
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import tensorflow_datasets as tfds
from jaxtyping import Float, Int, Int16, UInt8
from sklearn.model_selection import StratifiedGroupKFold
from tensorflow_datasets.core.registered import DatasetNotFoundError
from tensorflow_datasets.proto import tf_example_pb2
from tqdm import tqdm

from jaxvid.types import ConfigDict

# Generated code, of which type checkers see nothing.
_Example: Any = tf_example_pb2.Example  # pyright: ignore[reportAttributeAccessIssue]


_SPLIT = re.compile(r"(?P<base>[^@]+)(@(?P<others>!?)(?P<taken>\d+(?:\+\d+)*)/(?P<folds>\d+))?")


@dataclasses.dataclass(frozen=True)
class Clip:
    """One stored clip, or sequence of a longer video: JPEG frames, its sound, and what is known of it.

    Attributes:
      frames: as JPEG.
      label: of its class.
      fps: frames a second.
      source: the video that it was cut from.
      filename: of the video, of a sequence with its number: `<video>#0`.
      video: the file that it is the whole or a sequence of.
      audio: 16-bit samples; empty where there is no sound, or none was stored.
    """

    frames: Sequence[bytes]
    label: int
    fps: float
    source: str
    filename: str
    video: str
    audio: Int16[np.ndarray, "sample"]


@dataclasses.dataclass(frozen=True)
class ClipMetadata:
    """What is known of every clip of a split without decoding a frame, one entry a clip."""

    labels: Int[np.ndarray, "clip"]
    num_frames: Int[np.ndarray, "clip"]
    num_samples: Int[np.ndarray, "clip"]
    fps: Float[np.ndarray, "clip"]
    sources: list[str]
    filenames: list[str]
    videos: list[str]

    def first_clips(self) -> dict[str, int]:
        """The position of the first clip of every video, in the order of the videos."""
        first: dict[str, int] = {}
        for position, video in enumerate(self.videos):
            first.setdefault(video, position)
        return first

    def take(self, indices: Int[np.ndarray, "selected"]) -> "ClipMetadata":
        """The entries at `indices`, in that order."""
        return ClipMetadata(
            self.labels[indices],
            self.num_frames[indices],
            self.num_samples[indices],
            self.fps[indices],
            [self.sources[i] for i in indices],
            [self.filenames[i] for i in indices],
            [self.videos[i] for i in indices],
        )


@dataclasses.dataclass(frozen=True)
class ClipSplit:
    """The clips of one split, by position.

    Attributes:
      name: as in the config.
      records: random access to the serialized examples of the dataset.
      indices: the records that belong to the split.
      metadata: one entry for each of `indices`.
      class_names: the dataset's, in the order of the labels.
    """

    name: str
    records: Sequence[bytes]
    indices: Int[np.ndarray, "clip"]
    metadata: ClipMetadata
    class_names: list[str]

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, position: int) -> Clip:
        return parse_clip(self.records[int(self.indices[position])])


def parse_clip(record: bytes) -> Clip:
    """The clip in a serialized tf.train.Example; frames stay encoded, so that only those needed get decoded."""
    feature = _Example.FromString(record).features.feature
    filename = feature["filename"].bytes_list.value[0].decode()
    return Clip(
        frames=feature["video"].bytes_list.value,
        label=feature["label"].int64_list.value[0],
        fps=feature["fps"].float_list.value[0],
        source=feature["source"].bytes_list.value[0].decode(),
        filename=filename,
        # The time at which it begins is stored of sequences alone.
        video=filename.rpartition("#")[0] if "begin" in feature else filename,
        audio=np.frombuffer(feature["audio"].bytes_list.value[0] if "audio" in feature else b"", "<i2"),
    )


def decode_frames(
    frames: Sequence[bytes], indices: Int[np.ndarray, "time"]
) -> UInt8[np.ndarray, "time height width 3"]:
    """The RGB pictures of the JPEG frames at `indices`; a frame named twice is decoded once."""
    needed, positions = np.unique(indices, return_inverse=True)
    return np.stack([_decode_jpeg(frames[i]) for i in needed])[positions]


def class_names(builder: tfds.core.DatasetBuilder) -> list[str]:
    """The names of a dataset's classes, in the order of the labels."""
    return list(_features(builder)["label"].names)


def frame_size(builder: tfds.core.DatasetBuilder) -> tuple[int, int]:
    """Height and width of a dataset's frames."""
    height, width, _ = _features(builder)["video"].feature.shape
    return height, width


def open_split(builder: tfds.core.DatasetBuilder, split: str) -> ClipSplit:
    """The clips of `split`, a name as this module's docstring has it, of a prepared dataset.

    Raises:
      ValueError: if the name cannot be read, the dataset has no such split, or the split is empty.
    """
    match = _SPLIT.fullmatch(split)
    if match is None:
        raise ValueError(f"split {split!r} is not NAME, NAME+NAME, NAME@FOLD/FOLDS or NAME@!FOLD+FOLD/FOLDS")
    for name in match["base"].split("+"):
        if name.split("[")[0] not in builder.info.splits:
            raise ValueError(
                f"{builder.info.full_name} has no split {name!r}; it has: {', '.join(builder.info.splits)}"
            )
    records, metadata = _read_metadata(str(builder.data_path), match["base"])
    indices = np.arange(len(records))
    if match["folds"]:
        num_folds, taken = int(match["folds"]), [int(fold) for fold in match["taken"].split("+")]
        if max(taken) >= num_folds:
            raise ValueError(f"split {split!r} names fold {max(taken)}: allowed are 0 to {num_folds - 1}")
        in_folds = np.isin(fold_of(metadata, num_folds), taken)
        indices = indices[~in_folds if match["others"] else in_folds]
    if not len(indices):
        raise ValueError(f"split {split!r} of {builder.info.full_name} holds no clip")
    return ClipSplit(split, records, indices, metadata.take(indices), class_names(builder))


def fold_of(metadata: ClipMetadata, num_folds: int) -> Int[np.ndarray, "clip"]:
    """The fold of every clip, stratified by class, sources kept together, the same at every call.

    Raises:
      ValueError: if there are fewer than two folds, or fewer sources than folds.
    """
    num_sources = len(set(metadata.sources))
    if not 2 <= num_folds <= num_sources:
        raise ValueError(f"{num_folds} folds of {num_sources} source videos: allowed are 2 to {num_sources}")
    # Records are stored in the order of a hash; sorting by name makes the folds depend on the clips alone.
    order = np.argsort(metadata.filenames)
    labels, sources = metadata.labels[order], np.asarray(metadata.sources)[order]
    folds = np.empty(len(order), int)
    splitter = StratifiedGroupKFold(num_folds, shuffle=True, random_state=0)
    for fold, (_, members) in enumerate(splitter.split(labels, labels, sources)):
        folds[order[members]] = fold
    return folds


def shared_sources(one: ClipSplit, other: ClipSplit) -> list[str]:
    """The source videos that have clips in both splits, where figures on one flatter a model trained on the other."""
    return sorted(set(one.metadata.sources) & set(other.metadata.sources))


def _features(builder: tfds.core.DatasetBuilder) -> Any:
    # TFDS declares them as None or of a type without items.
    return builder.info.features


def _decode_jpeg(frame: bytes) -> UInt8[np.ndarray, "height width 3"]:
    picture = cv2.imdecode(np.frombuffer(frame, np.uint8), cv2.IMREAD_COLOR_RGB)
    if picture is None:
        raise ValueError(
            "a stored frame is no JPEG picture: the dataset is damaged; remove its folder and build it again"
        )
    return np.asarray(picture, np.uint8)


@functools.lru_cache(maxsize=8)
def _read_metadata(data_path: str, split: str) -> tuple[Sequence[bytes], ClipMetadata]:
    """Records and metadata of an unfolded split. Cached: the splits of one run are mostly folds of the same."""
    builder: Any = tfds.builder_from_directory(data_path)
    records = builder.as_data_source(split, deserialize_method=tfds.decode.DeserializeMethod.RAW_BYTES)
    positions = tqdm(range(len(records)), f"Reading {split}", unit="clip", leave=False)
    clips = [_facts(parse_clip(records[position])) for position in positions]
    return records, ClipMetadata(
        labels=np.asarray([clip.label for clip in clips], int),
        num_frames=np.asarray([clip.num_frames for clip in clips], int),
        num_samples=np.asarray([clip.num_samples for clip in clips], int),
        fps=np.asarray([clip.fps for clip in clips], float),
        sources=[clip.source for clip in clips],
        filenames=[clip.filename for clip in clips],
        videos=[clip.video for clip in clips],
    )


class _Facts(NamedTuple):
    """What a metadata keeps of a clip: all but its frames and its sound."""

    label: int
    num_frames: int
    num_samples: int
    fps: float
    source: str
    filename: str
    video: str


def _facts(clip: Clip) -> _Facts:
    return _Facts(clip.label, len(clip.frames), len(clip.audio), clip.fps, clip.source, clip.filename, clip.video)


def prepare(dataset: ConfigDict) -> tfds.core.DatasetBuilder:
    """Returns the dataset that the section `dataset` of a config names, built if need be.

    Only building needs TensorFlow.

    Raises:
      ValueError: if there is no such dataset, or it must be built and TensorFlow is not installed.
    """
    builder = _builder(dataset)
    if not builder.is_prepared():
        _require_tensorflow(builder)
        builder.download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir=_manual_dir(dataset)))
    return builder


def find_prepared(dataset: ConfigDict) -> tfds.core.DatasetBuilder | None:
    """Returns the dataset that the section `dataset` of a config names; None if it is not prepared there.

    Raises:
      ValueError: if there is no such dataset.
    """
    builder = _builder(dataset)
    return builder if builder.is_prepared() else None


def _builder(dataset: ConfigDict) -> tfds.core.DatasetBuilder:
    # Registers the builders. Not at the top: tfds_builders decodes with this package.
    import tfds_builders  # noqa: F401

    manual_dir = _manual_dir(dataset)
    options: dict[str, Any] = {"on_invalid": dataset.on_invalid}
    if dataset.data_dir:
        options["data_dir"] = Path(dataset.data_dir).expanduser()
    # Any folder is a dataset of its own, known by its path.
    if dataset.name.split("/")[0] == "video_folder" and manual_dir is not None:
        options["directory"] = manual_dir
    try:
        return tfds.builder(dataset.name, **options)
    except (DatasetNotFoundError, ValueError) as error:
        raise ValueError(f"config.dataset.name is {dataset.name!r}: {error}") from error


def _manual_dir(dataset: ConfigDict) -> Path | None:
    return Path(dataset.manual_dir).expanduser().absolute() if dataset.manual_dir else None


def _require_tensorflow(builder: tfds.core.DatasetBuilder) -> None:
    # It greets with pages of log lines otherwise.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        import tensorflow  # noqa: F401
    except ImportError as error:
        raise ValueError(
            f"{builder.info.full_name} is not prepared in {builder.data_path}, and building it needs TensorFlow: "
            'pip install "jaxvid[build]", or build it on another machine and set config.dataset.data_dir'
        ) from error
