"""What the workers of an Apache Beam pipeline write, and how the program that started it fetches that.

They write to one place that all reach: a folder, or an address.
"""

import bisect
import dataclasses
import json
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import AsSingleton
from etils import epath
from tensorflow_datasets.core import file_adapters, naming
from tensorflow_datasets.core import writer as tfds_writer

from jaxvid.video.addresses import as_path, is_address
from tfds_builders.beam_decoding import position_of

# The place of a record: position of its video, number among the video's examples.
Place = tuple[int, int]

_PIECE_BYTES = 1 << 20


@dataclasses.dataclass(frozen=True)
class ShardWriter:
    """Writes the records of a split in their order, filling one file after another as `shards.write_shards` does.

    TFDS's own writer, which writes each file, would choose their number by the size of all records and share these out
    evenly.

    Attributes:
      template: names of the files.
      file_format: of the files.
      max_bytes: size at which a file is full.
      place: folder or address to write to.
    """

    template: naming.ShardedFileTemplate
    file_format: file_adapters.FileFormat
    max_bytes: int
    place: str

    def write(self, records: Any) -> Any:
        """Adds the writing of a PCollection of places and serialized records to its pipeline."""
        sizes = records | "Sizes" >> beam.MapTuple(_size) | "AllSizes" >> beam.combiners.ToList()
        starts = sizes | "FirstOfShards" >> beam.Map(first_places, self.max_bytes)
        shards = records | "ToShard" >> beam.Map(_with_shard, AsSingleton(starts)) | "Shards" >> beam.GroupByKey()
        numbers = starts | "Numbers" >> beam.Map(_numbers)
        written = shards | "WriteShard" >> beam.Map(self._write_shard, AsSingleton(numbers))
        return written | "AllWritten" >> beam.combiners.ToList() | "WriteSummary" >> beam.Map(self._write_summary)

    def fetch(self, directory: Path) -> tuple[list[int], int]:
        """Moves the files of all shards to a folder; returns the lengths of the shards and the size of all records."""
        lengths, num_bytes = json.loads(self._summary_path().read_text())
        for path in self.template.sharded_filepaths(len(lengths)) if lengths else ():
            written = as_path(self.place) / path.name
            if is_address(self.place):
                _copy(written, directory / path.name)
            else:
                written.rename(directory / path.name)
        return lengths, num_bytes

    def _write_shard(self, shard: Any, numbers: Sequence[int]) -> Any:
        if not is_address(self.place):
            return self._writer(self.place)._write_final_shard(shard, numbers)
        with tempfile.TemporaryDirectory(prefix="jaxvid-") as directory:
            written = self._writer(directory)._write_final_shard(shard, numbers)
            for path in Path(directory).iterdir():
                _copy(path, as_path(self.place) / path.name)
        return written

    def _writer(self, directory: str) -> tfds_writer.BeamWriter:
        return tfds_writer.BeamWriter(
            serializer=None,  # pyright: ignore[reportArgumentType] - records come serialized
            filename_template=self.template.replace(data_dir=epath.Path(directory)),
            hash_salt="",
            disable_shuffling=True,
            example_writer=tfds_writer.ExampleWriter(self.file_format),
        )

    def _write_summary(self, written: Sequence[Any]) -> None:
        lengths = [shard.num_examples for shard in sorted(written, key=lambda shard: shard.id)]
        self._summary_path().write_text(json.dumps([lengths, sum(shard.size for shard in written)]))

    def _summary_path(self) -> Path:
        return as_path(self.place) / f"written-{self.template.split}.json"


def first_places(sizes: Sequence[tuple[Place, int]], max_bytes: int) -> list[Place]:
    """Returns the place of the first record of every shard; a shard ends with the record that fills `max_bytes`."""
    starts: list[Place] = []
    free = 0
    for place, size in sorted(sizes):
        if free <= 0:
            starts.append(place)
            free = max_bytes
        free -= size
    return starts


def _size(place: Place, record: bytes) -> tuple[Place, int]:
    return place, len(record)


def _with_shard(placed: tuple[Place, bytes], starts: Sequence[Place]) -> tuple[int, tuple[Place, bytes]]:
    return bisect.bisect_right(starts, placed[0]) - 1, placed


def _numbers(starts: Sequence[Place]) -> list[int]:
    return list(range(len(starts)))


def _copy(path: Path, target: Path) -> None:
    with path.open("rb") as source, target.open("wb") as copy:
        shutil.copyfileobj(source, copy, _PIECE_BYTES)


@dataclasses.dataclass(frozen=True)
class FactFiles:
    """The lines of text (`beam_decoding.fact_line`) of a split, in files.

    Attributes:
      split: name of the split.
      num_files: number of the files.
      place: folder or address to write to.
    """

    split: str
    num_files: int
    place: str

    def write(self, lines: Any) -> Any:
        """Adds the writing of a PCollection of lines to its pipeline."""
        grouped = lines | "ToFile" >> beam.Map(self._with_file) | "Files" >> beam.GroupByKey()
        return grouped | "WriteFile" >> beam.MapTuple(self._write_file)

    def read(self) -> Iterator[str]:
        """Yields all lines, in any order."""
        for path in map(self._path, range(self.num_files)):
            if path.exists():
                with path.open() as file:
                    yield from file

    def _with_file(self, line: str) -> tuple[int, str]:
        return position_of(line) % self.num_files, line

    def _write_file(self, number: int, lines: Iterable[str]) -> None:
        with self._path(number).open("w") as file:
            file.writelines(f"{line}\n" for line in lines)

    def _path(self, number: int) -> Path:
        return as_path(self.place) / f"facts-{self.split}-{number}"
