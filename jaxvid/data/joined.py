"""The data of a config: one prepared dataset, or several that are joined.

`dataset.name` joins datasets with "+", as in "hockey_fight/64x64+violent_flows/64x64". The keys `train_split`,
`val_split`, `test_split` and `manual_dir` then have one value for all, or one for each with commas between. The classes
are those of the first dataset, and `dataset.class_map` names the counterparts of other names. Names of clips and of
sources get the name of their dataset in front.
"""

import bisect
import dataclasses
import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import ml_collections
import numpy as np
import pyarrow as pa
import tensorflow_datasets as tfds
from jaxtyping import Int

from jaxvid.classes import fold, match_classes, parse_class_map
from jaxvid.data.dataset import ClipSplit, class_names, find_prepared, frame_size, open_split, prepare
from jaxvid.data.records import ClipMetadata
from jaxvid.types import ConfigDict

# Keys of the section `dataset` that may have a value for each dataset.
_BY_DATASET = ("train_split", "val_split", "test_split", "manual_dir", "version")


class Part(NamedTuple):
    """A dataset among the joined ones.

    Attributes:
      name: without size, options and version.
      builder: the dataset's.
      label_of: label among the classes of the first dataset, for each label of this one.
    """

    name: str
    builder: tfds.core.DatasetBuilder
    label_of: Int[np.ndarray, "classes"]


@dataclasses.dataclass(frozen=True)
class PreparedData:
    """One prepared dataset, or several that are joined.

    Attributes:
      parts: the datasets.
      class_names: in the order of the labels.
    """

    parts: list[Part]
    class_names: list[str]

    @property
    def frame_size(self) -> tuple[int, int]:
        """Height and width of the stored frames."""
        return frame_size(self.parts[0].builder)

    @property
    def sample_rate(self) -> int:
        """Sample rate of the stored audio, in hertz; 0 without audio."""
        return _sample_rate(self.parts[0].builder)

    @property
    def version(self) -> str:
        """The dataset's version; of several with commas between."""
        return ",".join(str(part.builder.version) for part in self.parts)

    @property
    def data_paths(self) -> list[str]:
        """Directories of the records."""
        return [str(part.builder.data_path) for part in self.parts]

    def open_split(self, split: str) -> ClipSplit:
        """Returns the clips of a split.

        Args:
          split: name of the split (`jaxvid.data.dataset`); of joined datasets one name for all, or one for each.

        Raises:
          ValueError: if a dataset has no such split.
        """
        if len(self.parts) == 1:
            return open_split(self.parts[0].builder, split)
        names = _one_each("a split", split, len(self.parts))
        opened = [open_split(part.builder, name) for part, name in zip(self.parts, names, strict=True)]
        records = _JoinedRecords([each.records for each in opened])
        indices = [each.indices + start for each, start in zip(opened, records.starts, strict=True)]
        metadata = [_renamed(part, each.metadata) for part, each in zip(self.parts, opened, strict=True)]
        index = pa.concat_tables([each.index for each in opened])
        return ClipSplit(split, records, index, np.concatenate(indices), _concatenated(metadata), self.class_names)


def prepare_data(dataset: ConfigDict, decoder: str = "decord", beam_options: str | None = None) -> PreparedData:
    """Returns the data that the section `dataset` of a config names, and builds what is not prepared.

    Args:
      dataset: the section.
      decoder: the config's `pipeline.decoder`.
      beam_options: options of Apache Beam, to build with (`jaxvid.data.dataset.parse_beam_options`); None for without.

    Raises:
      ValueError: if there is no such dataset, one cannot be built, or the datasets do not go together.
    """
    # What cannot be read is reported before anything is built.
    class_map_for(dataset, [])
    return _joined(dataset, [prepare(section, decoder, beam_options) for section in sections(dataset)])


def find_data(dataset: ConfigDict) -> PreparedData | None:
    """Returns the data that the section `dataset` of a config names; None if it is not all prepared.

    Raises:
      ValueError: if there is no such dataset, or the datasets do not go together.
    """
    builders = [find_prepared(section) for section in sections(dataset)]
    prepared = [builder for builder in builders if builder is not None]
    return _joined(dataset, prepared) if len(prepared) == len(builders) else None


def sections(dataset: ConfigDict) -> list[ConfigDict]:
    """Returns the section `dataset` for each of the datasets that it joins.

    Raises:
      ValueError: if one is named twice, or a key has neither one value nor one for each.
    """
    names = dataset.name.split("+")
    if len(names) == 1 and not dataset.test_name:
        return [dataset]
    bases = [base_name(name) for name in names]
    if len(set(bases)) < len(bases):
        raise ValueError(f"config.dataset.name is {dataset.name!r}; allowed: different datasets")
    # The last directory may be of the dataset to test on.
    spare = {"manual_dir"} if dataset.test_name else set()
    keys = _BY_DATASET if len(names) > 1 else ("manual_dir",)
    values = {key: _one_each(f"config.dataset.{key}", dataset[key], len(names), spare=key in spare) for key in keys}
    return [
        _changed(dataset, name=name, **{key: of_key[position] for key, of_key in values.items()})
        for position, name in enumerate(names)
    ]


def section_of(dataset: ConfigDict, name: str) -> ConfigDict:
    """Returns the section `dataset` for evaluating another dataset, or one of those joined, with its own directory."""
    if name == dataset.name:
        return dataset
    for section in sections(dataset):
        if base_name(section.name) == base_name(name):
            return _changed(section, name=name)
    directories = dataset.manual_dir.split(",")
    if name == dataset.test_name and len(directories) > len(dataset.name.split("+")):
        return _changed(dataset, name=name, manual_dir=directories[-1])
    # Several directories are those of the datasets that the config names.
    return _changed(dataset, name=name, manual_dir=dataset.manual_dir if len(directories) == 1 else "")


def base_name(name: str) -> str:
    """Returns the name of a dataset without size, options and version."""
    return name.split("/")[0].split(":")[0]


def class_map_for(dataset: ConfigDict, names: Sequence[str]) -> dict[str, str]:
    """Returns what `dataset.class_map` says of the classes `names`.

    Raises:
      ValueError: if it cannot be read.
    """
    own = {fold(name) for name in names}
    class_map = parse_class_map(dataset.class_map, "config.dataset.class_map")
    return {name: counterpart for name, counterpart in class_map.items() if fold(name) in own}


def _changed(dataset: ConfigDict, **values: str) -> ConfigDict:
    return ml_collections.ConfigDict({**dataset.to_dict(), **values})


def _one_each(what: str, text: str, count: int, *, spare: bool = False) -> list[str]:
    """Splits the values of `count` datasets; one value is for all. With `spare`, one more may follow."""
    values = text.split(",")
    if len(values) == 1:
        return values * count
    if len(values) not in (count, count + spare):
        raise ValueError(f"{what} is {text!r}; allowed: one value, or {count} with commas between")
    return values[:count]


def _sample_rate(builder: tfds.core.DatasetBuilder) -> int:
    return getattr(builder.builder_config, "audio", 0)


def _joined(dataset: ConfigDict, builders: Sequence[tfds.core.DatasetBuilder]) -> PreparedData:
    names = class_names(builders[0])
    if len(builders) == 1:
        return PreparedData([Part(base_name(dataset.name), builders[0], np.arange(len(names)))], names)
    forms = [(frame_size(builder), _sample_rate(builder)) for builder in builders]
    if len(set(forms)) > 1:
        raise ValueError(f"config.dataset.name is {dataset.name!r}; allowed: datasets of one frame size and sound")
    labels = [_labels(dataset, builder, names) for builder in builders]
    bases = map(base_name, dataset.name.split("+"))
    return PreparedData([Part(*part) for part in zip(bases, builders, labels, strict=True)], names)


def _labels(dataset: ConfigDict, builder: tfds.core.DatasetBuilder, names: Sequence[str]) -> Int[np.ndarray, "classes"]:
    """The label among the classes `names` for each label of a dataset."""
    own = class_names(builder)
    class_map = class_map_for(dataset, own)
    try:
        return np.asarray(match_classes(own, names, class_map))
    except ValueError as error:
        raise ValueError(
            f"{builder.info.full_name} has the classes {', '.join(own)}, and the first of the joined datasets "
            f"{', '.join(names)}; name the counterparts with config.dataset.class_map=theirs:ours,..."
        ) from error


class _JoinedRecords(Sequence[bytes]):
    """Records of several datasets, one after another."""

    def __init__(self, parts: Sequence[Sequence[bytes]]):
        self._parts = parts
        *self.starts, self._length = itertools.accumulate(map(len, parts), initial=0)

    def __len__(self) -> int:
        return self._length

    # Slices are not needed.
    def __getitem__(self, position: Any) -> Any:
        part = bisect.bisect_right(self.starts, position) - 1
        return self._parts[part][position - self.starts[part]]


def _renamed(part: Part, metadata: ClipMetadata) -> ClipMetadata:
    return dataclasses.replace(
        metadata,
        labels=part.label_of[metadata.labels],
        **{
            column: [f"{part.name}/{name}" for name in getattr(metadata, column)]
            for column in ("sources", "filenames", "videos")
        },
    )


def _concatenated(parts: Sequence[ClipMetadata]) -> ClipMetadata:
    columns: dict[str, Any] = {}
    for field in dataclasses.fields(ClipMetadata):
        values = [getattr(part, field.name) for part in parts]
        is_array = isinstance(values[0], np.ndarray)
        columns[field.name] = np.concatenate(values) if is_array else list(itertools.chain(*values))
    return ClipMetadata(**columns)
