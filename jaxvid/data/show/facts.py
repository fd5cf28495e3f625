"""Numbers of a dataset or a folder, from its index or its files' headers: no frame is read for them."""

import dataclasses
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute
from jaxtyping import Float, Int

from jaxvid.data.dataset import ClipSplit
from jaxvid.video.properties import PropertiesSummary

# Of what the headers of files say: property, value, class, number of videos.
Formats = dict[str, dict[str, dict[str, int]]]

_PROPERTIES = {"Size": "size", "Frame rate": "fps", "Codec": "codec", "File format": "container"}
# PyArrow makes its functions when it is imported, so that type checkers see none.
_compute: Any = pyarrow.compute

SCHEMA = pa.schema(
    {
        "split": pa.int32(),
        "label": pa.int32(),
        "clip": pa.string(),
        "video": pa.string(),
        "source": pa.string(),
        "seconds": pa.float64(),
        "fps": pa.float64(),
        "num_frames": pa.int64(),
    }
)


@dataclasses.dataclass(frozen=True, eq=False)
class Facts:
    """What is known of clips.

    Attributes:
      class_names: in the order of the labels.
      split_names: the splits; the first is the one to train on.
      clips: a row for every clip of every split, one split after another, with the columns of SCHEMA. A split and a
        class are positions among their names; lengths, rates and numbers of frames may be missing.
      formats: what the headers of the video files say.
      copies: groups of rows of clips with the same content.
    """

    class_names: list[str]
    split_names: list[str]
    clips: pa.Table
    formats: Formats
    copies: list[list[int]]

    def __len__(self) -> int:
        return len(self.clips)

    def column(self, name: str) -> np.ndarray:
        """Returns a column; missing numbers are NaN."""
        return self.clips[name].to_numpy(zero_copy_only=False)

    def row(self, position: int) -> dict[str, Any]:
        """Returns a row by the names of the columns."""
        return self.clips.slice(position, 1).to_pylist()[0]


def facts_of_splits(splits: Mapping[str, ClipSplit], formats: Formats) -> Facts:
    """Returns the facts of splits, by their names on the page, that have the same classes, from their indexes.

    Clips count as copies if as many of their frames change by the same amounts, which does not happen by chance; those
    in which nothing moves are left out.
    """
    tables, changes = [], []
    for number, split in enumerate(splits.values()):
        metadata, rows = split.metadata, split.rows()
        columns = {
            "split": np.full(len(split), number),
            "label": metadata.labels,
            "clip": metadata.filenames,
            "video": metadata.videos,
            "source": metadata.sources,
            "seconds": metadata.num_frames / metadata.fps,
            "fps": metadata.fps,
            "num_frames": metadata.num_frames,
        }
        tables.append(pa.table(columns, SCHEMA))
        changes.append(pa.table({field: _compute.struct_field(rows["pixel_change"], field) for field in _CHANGES}))
    clips = pa.concat_tables(tables)
    copies = _same_changes(clips, pa.concat_tables(changes))
    class_names = next(iter(splits.values())).class_names
    return Facts(list(class_names), list(splits), clips, formats, copies)


_CHANGES = ("mean", "spread", "maximum", "spread_over_time", "maximum_over_time")


def _same_changes(clips: pa.Table, changes: pa.Table) -> list[list[int]]:
    table = changes.append_column("num_frames", clips["num_frames"]).append_column("video", clips["video"])
    table = table.append_column("row", pa.array(np.arange(len(clips))))
    moving = table.filter(_compute.greater(table["mean"], 0))
    groups = moving.group_by([*_CHANGES, "num_frames"]).aggregate([("video", "count_distinct"), ("row", "list")])
    # A clip that two splits share is no copy.
    several = groups.filter(_compute.greater(groups["video_count_distinct"], 1))
    return sorted(map(sorted, several["row_list"].to_pylist()))


def count_formats(summaries: Iterable[tuple[str, PropertiesSummary]]) -> Formats:
    """Counts the values of every property of files by class.

    Args:
      summaries: of some videos each, with the name of their class.
    """
    counts: dict[str, dict[str, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
    for class_name, summary in summaries:
        values: dict[str, Mapping[str, int]] = {label: summary[key] for label, key in _PROPERTIES.items()}
        silent = summary["videos"] - summary["with_sound"]
        values["Sound"] = {"with sound": summary["with_sound"], "without sound": silent}
        for label, of_value in values.items():
            for value, count in of_value.items():
                counts[label][value][class_name] += count
    return {
        label: {
            value: dict(of_class)
            for value, of_class in sorted(of_value.items(), key=lambda item: -item[1].total())
            if of_class.total()
        }
        for label, of_value in counts.items()
    }


def count_clips(facts: Facts) -> Int[np.ndarray, "class split"]:
    """Returns the number of clips of every class in every split."""
    shape = len(facts.class_names), len(facts.split_names)
    cells = facts.column("label").astype(int) * shape[1] + facts.column("split")
    return np.bincount(cells, minlength=shape[0] * shape[1]).reshape(shape)


def count_distinct(facts: Facts, column: str) -> Int[np.ndarray, "split"]:
    """Returns the number of different values of a column, such as sources, in every split."""
    table = facts.clips.group_by("split").aggregate([(column, "count_distinct")])
    counts = np.zeros(len(facts.split_names), int)
    counts[table["split"].to_numpy()] = table[f"{column}_count_distinct"].to_numpy()
    return counts


def sources_in_several_splits(facts: Facts) -> list[tuple[str, list[str]]]:
    """Returns the sources with clips in more than one split, sorted, each with the names of its splits."""
    table = facts.clips.group_by("source").aggregate([("split", "distinct")])
    shared = table.filter(_compute.greater(_compute.list_value_length(table["split_distinct"]), 1))
    names = shared.to_pydict()
    return sorted(
        (source, [facts.split_names[split] for split in sorted(splits)])
        for source, splits in zip(names["source"], names["split_distinct"], strict=True)
    )


class Histogram(NamedTuple):
    """How often values of a range occur.

    Attributes:
      edges: of the bins.
      counts: by class.
      num_above: values above the last edge, which the last bin counts too.
    """

    edges: Float[np.ndarray, "edge"]
    counts: Int[np.ndarray, "class bin"]
    num_above: int


_NUM_BINS = 32
# From how many times the value that 95 % are below on a value is counted in the last bin: one long clip would otherwise
# leave all others a single bin.
_FAR = 3


def length_histogram(facts: Facts) -> Histogram | None:
    """Returns how often lengths occur, in seconds; None if none is known, or all are one."""
    seconds, labels = facts.column("seconds"), facts.column("label")
    known = np.isfinite(seconds)
    if not known.any() or np.ptp(seconds[known]) < 1e-6:
        return None
    usual = _FAR * float(np.percentile(seconds[known], 95))
    edges = np.linspace(seconds[known].min(), min(seconds[known].max(), usual), _NUM_BINS + 1)
    counts = [
        np.histogram(seconds[known & (labels == label)].clip(max=edges[-1]), edges)[0]
        for label in range(len(facts.class_names))
    ]
    return Histogram(edges, np.stack(counts), int((seconds[known] > edges[-1]).sum()))
