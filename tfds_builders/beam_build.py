"""Building on Apache Beam: the same files as `local_build`, decoded wherever a runner has workers.

For every split: its videos, with their places in the order of the records | long ones cut into ranges | decoding, each
worker in a guarded process | records to shards, which TFDS's own writer writes; and what is known of the examples
(facts) to lines of text, which the program that started the pipeline reads. Nothing but records, facts and the videos'
names goes through the pipeline. All workers must see the directory of the dataset, or reach the address that is the
option `temp_location`, from where this program fetches the files.
"""

import contextlib
import dataclasses
import itertools
import pickle
import shutil
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import AsSingleton
from apache_beam.runners.runner import PipelineState
from tensorflow_datasets.core import file_adapters, naming

from jaxvid.video.addresses import AnyPath, as_path, is_address
from tfds_builders.beam_decoding import (
    CutVideos,
    DecodeVideos,
    Failures,
    Task,
    WorkerOptions,
    fact_of,
    installed,
    position_of,
)
from tfds_builders.beam_writing import FactFiles, Place, ShardWriter
from tfds_builders.examples import RecordForm
from tfds_builders.facts import SplitFacts
from tfds_builders.video_files import VideoFile

_VIDEOS_PER_FILE = 1000


@dataclasses.dataclass(frozen=True)
class BeamBuild:
    """What to build.

    Attributes:
      form: of the records.
      directory: of the dataset, unfinished.
      templates: names of the files by split.
      file_format: of the files.
      max_shard_bytes: size at which a file is full.
      skip_invalid: whether videos that do not decode are left out, rather than an error.
      decoder: of whole videos; one of `jaxvid.video.opening.DECODERS`.
      timeout_seconds: how long decoding one video, or one sequence of it, may take.
      range_seconds: length of the ranges that long videos are cut into.
    """

    form: RecordForm
    directory: str
    templates: Mapping[str, naming.ShardedFileTemplate]
    file_format: file_adapters.FileFormat
    max_shard_bytes: int
    skip_invalid: bool
    decoder: str
    timeout_seconds: float
    range_seconds: float

    def run(
        self, videos: Mapping[str, Sequence[VideoFile]], runner: Any, options: Any
    ) -> dict[str, tuple[SplitFacts, list[int], int]]:
        """Writes the records of all splits; returns of each the facts, the lengths of its shards, and their bytes.

        Args:
          videos: of every split, in the order of the records.
          runner: of Apache Beam; None for that of the options.
          options: `PipelineOptions` of Apache Beam; None for the default.

        Raises:
          ValueError: if a worker has other versions than this program.
          InvalidVideoError: if a video does not decode and is not skipped.
          RuntimeError: if the pipeline fails otherwise.
        """
        work = _work_place(self.directory, options)
        try:
            pipeline = beam.Pipeline(runner, options)
            files = {split: self._add_split(pipeline, split, of_split, work) for split, of_split in videos.items()}
            _run(pipeline, Failures(str(work)))
            return {
                split: (_read_facts(split, videos[split], facts), *shards.fetch(Path(self.directory)))
                for split, (facts, shards) in files.items()
            }
        finally:
            _remove(work)

    def _add_split(
        self, pipeline: beam.Pipeline, split: str, videos: Sequence[VideoFile], work: AnyPath
    ) -> tuple[FactFiles, ShardWriter]:
        files = FactFiles(split, 1 + len(videos) // _VIDEOS_PER_FILE, str(work))
        shards = ShardWriter(self.templates[split], self.file_format, self.max_shard_bytes, str(work))
        options = WorkerOptions(str(work), installed(), self.timeout_seconds)
        # In a file, as runners limit the size of a pipeline's description.
        listing = work / f"videos-{split}"
        listing.write_bytes(pickle.dumps([Task(position, video) for position, video in enumerate(videos)]))

        def split_to_files(begin: Any) -> Any:
            tasks = begin | beam.Create([str(listing)]) | beam.FlatMap(_read_tasks) | beam.Reshuffle()
            if self.form.config.sequence_frames:
                cut = CutVideos(options, self.form, self.range_seconds)
                tasks = tasks | "Cut" >> beam.ParDo(cut) | "SpreadRanges" >> beam.Reshuffle()
            decode = DecodeVideos(options, self.form, self.decoder, skip_invalid=self.skip_invalid)
            decoded = tasks | "Decode" >> beam.ParDo(decode).with_outputs("facts", "invalid", main="records")
            files.write((decoded.facts, decoded.invalid) | beam.Flatten())
            return shards.write(self._of_whole_videos(decoded.records, decoded.invalid))

        _ = pipeline | split >> beam.ptransform_fn(split_to_files)()
        return files, shards

    def _of_whole_videos(self, records: Any, invalid: Any) -> Any:
        """Leaves out the records of videos that break off midway, or of which one range does not decode."""
        if not (self.skip_invalid and self.form.config.sequence_frames):
            return records
        left_out = invalid | beam.Map(position_of) | "LeftOut" >> beam.combiners.ToList()
        return records | "Whole" >> beam.Filter(_is_whole, AsSingleton(left_out))


def _run(pipeline: beam.Pipeline, failures: Failures) -> None:
    try:
        state = pipeline.run().wait_until_finish()
    except Exception as error:
        # Runners wrap errors of workers into their own, with pages of text.
        if failure := failures.first():
            raise failure from error
        raise
    if state not in (None, PipelineState.DONE):
        raise failures.first() or RuntimeError(f"the pipeline of Apache Beam ended as {state}")


def _read_tasks(listing: str) -> list[Task]:
    return pickle.loads(as_path(listing).read_bytes())


def _is_whole(placed: tuple[Place, bytes], left_out: Sequence[int]) -> bool:
    return placed[0][0] not in left_out


def _work_place(directory: str, options: Any) -> AnyPath:
    """Returns where the workers write: in the unfinished dataset, or at the `temp_location` if that is an address."""
    location = (options.get_all_options().get("temp_location") or "") if options is not None else ""
    if is_address(location):
        return as_path(f"{location.rstrip('/')}/jaxvid-{uuid.uuid4().hex}")
    # So that an interrupted build leaves nothing elsewhere.
    work = Path(directory) / "beam"
    work.mkdir()
    return work


def _remove(work: AnyPath) -> None:
    if not is_address(work):
        shutil.rmtree(work, ignore_errors=True)
        return
    # Every file system has its own errors, and what is left there is no dataset.
    with contextlib.suppress(Exception):
        work.fs.rm(work.path, recursive=True)  # pyright: ignore[reportAttributeAccessIssue]


def _read_facts(split: str, videos: Sequence[VideoFile], files: FactFiles) -> SplitFacts:
    """Reads what the workers wrote of a split's examples, in the order of the records."""
    facts = SplitFacts(split)
    for position, lines in itertools.groupby(sorted(files.read()), key=position_of):
        # What is wrong with a video comes before its examples, which are then not among the records.
        for line in lines:
            fact = fact_of(line)
            if isinstance(fact, str):
                facts.leave_out(videos[position], fact)
                break
            facts.add(fact)
    return facts
