"""Writing the records of a split to files of bounded size, one record in memory at a time."""

import dataclasses
import itertools
from collections.abc import Iterator
from pathlib import Path

from tensorflow_datasets.core import file_adapters


@dataclasses.dataclass(frozen=True)
class Shard:
    """A written file, with the number of its records and their size."""

    path: Path
    num_records: int
    num_bytes: int


def write_shards(
    records: Iterator[bytes], directory: Path, file_format: file_adapters.FileFormat, max_bytes: int
) -> list[Shard]:
    """Writes the records to files of about `max_bytes`, under temporary names: final names need the number of files."""
    adapter = file_adapters.ADAPTER_FOR_FORMAT[file_format]
    shards = []
    for first in records:
        sizes: list[int] = []
        path = directory / f"unnamed-{len(shards)}"
        adapter.write_examples(path, _fill_shard(itertools.chain([first], records), max_bytes, sizes))
        shards.append(Shard(path, len(sizes), sum(sizes)))
    return shards


def _fill_shard(records: Iterator[bytes], max_bytes: int, sizes: list[int]) -> Iterator[tuple[int, bytes]]:
    """Yields the records with their positions, up to the one that fills `max_bytes`; adds their sizes to `sizes`."""
    free = max_bytes
    for position, record in enumerate(records):
        sizes.append(len(record))
        yield position, record
        free -= len(record)
        if free <= 0:
            return
