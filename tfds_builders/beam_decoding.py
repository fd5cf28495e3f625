"""What the workers of an Apache Beam pipeline do with videos; `beam_build` has the pipeline.

Nothing at the top needs a decoder: a worker without one says so.
"""

import dataclasses
import hashlib
import importlib.metadata
import json
import socket
import uuid
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import TaggedOutput

from jaxvid.video.addresses import as_path
from jaxvid.video.workers import GuardedDecoding, InvalidVideo, InvalidVideoError
from tfds_builders.examples import RecordForm
from tfds_builders.video_files import VideoFile

# On which the bytes of a record depend.
_PACKAGES = ("decord", "av", "opencv-python-headless", "tensorflow-datasets")

_DIGITS = 12


@dataclasses.dataclass(frozen=True)
class Task:
    """A video, or a range of it, to decode.

    Attributes:
      position: of the video among those of its split.
      video: the video.
      part: `jaxvid.video.ranges.SequenceRange`; None for the whole video.
    """

    position: int
    video: VideoFile
    part: Any = None


@dataclasses.dataclass(frozen=True)
class WorkerOptions:
    """What every worker needs to know.

    Attributes:
      place: folder or address that all workers reach, for what went wrong.
      versions: of the program that started the pipeline; see `installed`.
      timeout_seconds: how long decoding one video, or one sequence of it, may take.
    """

    place: str
    versions: Mapping[str, str]
    timeout_seconds: float


def fact_line(position: int, number: int, fact: Mapping[str, Any] | str) -> str:
    """Returns a line of text, which sorts by its position and number; what is wrong with a video comes first of it.

    Args:
      position: of the video.
      number: of the example among the video's.
      fact: row of the example in the index, or what is wrong with the video.
    """
    is_row = int(not isinstance(fact, str))
    return f"{position:0{_DIGITS}d} {is_row} {number:0{_DIGITS}d} {json.dumps(fact)}"


def position_of(line: str) -> int:
    """Returns the position of the video of a line."""
    return int(line[:_DIGITS])


def fact_of(line: str) -> Any:
    """Returns what a line says: a row of the index, or what is wrong with a video."""
    return json.loads(line[2 * _DIGITS + 3 :])


class Failures:
    """What made a pipeline fail, in files of a folder, or at an address, that all workers reach.

    Args:
      place: the folder or address.
    """

    def __init__(self, place: str):
        self._place = place

    def add(self, error: ValueError) -> None:
        """Takes note of an error, for the program that started the pipeline."""
        path = getattr(error, "path", None)
        content = {"path": path and str(path), "reason": getattr(error, "reason", str(error))}
        (as_path(self._place) / f"failure-{uuid.uuid4().hex}.json").write_text(json.dumps(content))

    def first(self) -> ValueError | None:
        """Returns the error of a worker, as this program would have raised it; None if there is none."""
        path = next((path for path in as_path(self._place).iterdir() if path.name.startswith("failure-")), None)
        if path is None:
            return None
        content = json.loads(path.read_text())
        if content["path"]:
            return InvalidVideoError(as_path(content["path"]), content["reason"])
        return ValueError(content["reason"])


def installed() -> dict[str, str]:
    """Returns the versions of what decodes and stores videos on this machine, and a digest of this code."""
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "not installed"
    return {"jaxvid": _digest_of_code(), **found}


def _digest_of_code() -> str:
    import jaxvid.video

    folders = [Path(path) for path in jaxvid.video.__path__] + [Path(__file__).parent]
    digest = hashlib.sha256()
    for path in sorted(path for folder in folders for path in folder.glob("*.py")):
        digest.update(path.read_bytes())
    return f"of code {digest.hexdigest()[:8]}"


def check_same(expected: Mapping[str, str], found: Mapping[str, str]) -> None:
    """Checks the versions of this worker.

    Args:
      expected: versions of the program that started the pipeline.
      found: versions of this worker.

    Raises:
      ValueError: if they differ, naming this machine and what differs.
    """
    different = [
        f"{name} {found.get(name, 'not installed')} instead of {version}"
        for name, version in expected.items()
        if found.get(name) != version
    ]
    if different:
        raise ValueError(
            f"worker {socket.gethostname()} has {', '.join(different)}: install on all workers what the program that "
            "starts the pipeline has"
        )


class _GuardedDoFn(beam.DoFn):
    """Decodes in a process that is kept from file to file."""

    def __init__(self, options: WorkerOptions):
        self._versions = options.versions
        self._failures = Failures(options.place)
        # Its process starts with the first file.
        self._decoding = GuardedDecoding(options.timeout_seconds)

    def setup(self) -> None:
        try:
            check_same(self._versions, installed())
        except ValueError as error:
            self._failures.add(error)
            raise

    def teardown(self) -> None:
        self._decoding.close()


class CutVideos(_GuardedDoFn):
    """Cuts long videos at key frames into ranges; see `jaxvid.video.ranges.plan_ranges`.

    Args:
      options: of the workers.
      form: of the records.
      seconds: length of the ranges.
    """

    def __init__(self, options: WorkerOptions, form: RecordForm, seconds: float):
        super().__init__(options)
        self._form = form
        self._seconds = seconds

    def process(self, element: Task) -> Iterator[Task]:
        """Yields the ranges of a video."""
        # Not at the top: a worker without a decoder says so.
        from jaxvid.video.files import local_copy
        from jaxvid.video.ranges import WHOLE, plan_ranges

        decoder = partial(plan_ranges, form=self._form.sequences(), seconds=self._seconds)
        try:
            with local_copy(element.video.path) as path:
                (ranges,) = list(self._decoding.decode(decoder, path))[:1]
        except InvalidVideoError:
            ranges = None
        # What is wrong with a video is said where it is decoded.
        for part in ranges if isinstance(ranges, list) else [WHOLE]:
            yield dataclasses.replace(element, part=part)


class DecodeVideos(_GuardedDoFn):
    """Decodes videos: places and records; "facts" and "invalid" are lines (`fact_line`) of examples and of videos.

    Args:
      options: of the workers.
      form: of the records.
      decoder: of whole videos.
      skip_invalid: whether videos that do not decode are left out, rather than an error.
    """

    def __init__(self, options: WorkerOptions, form: RecordForm, decoder: str, *, skip_invalid: bool):
        super().__init__(options)
        self._form = form
        self._video_decoder = decoder
        self._skip_invalid = skip_invalid

    def process(self, element: Task) -> Iterator[Any]:
        """Yields the records, facts and flaws of a video, or of a range of it."""
        from jaxvid.video.files import local_copy
        from tfds_builders.facts import not_skipped

        number = element.part.first if element.part else 0
        try:
            with local_copy(element.video.path) as path:
                yield from self._examples(element, path, number)
        except InvalidVideoError as error:
            if not self._skip_invalid:
                failure = not_skipped(element.video.path, error.reason)
                self._failures.add(failure)
                raise failure from error
            yield TaggedOutput("invalid", fact_line(element.position, number, error.reason))

    def _examples(self, task: Task, path: Path, first: int) -> Iterator[Any]:
        from jaxvid.video.properties import read_properties
        from tfds_builders.clip_index import row_of_decoded

        properties = None
        for number, decoded in enumerate(self._decoding.decode(self._decoder(task), path), first):
            if isinstance(decoded, InvalidVideo):
                raise InvalidVideoError(task.video.path, decoded.reason)
            properties = properties or read_properties(path)
            row = row_of_decoded(task.video, self._form.filename(task.video, number), decoded, properties)
            yield TaggedOutput("facts", fact_line(task.position, number, row))
            yield (task.position, number), self._form.record(self._form.example(task.video, number, decoded))

    def _decoder(self, task: Task) -> partial[Iterator[Any]]:
        from jaxvid.video.clips import read_clip
        from jaxvid.video.ranges import WHOLE, read_range

        config = self._form.config
        if config.is_plain:
            return partial(read_clip, size=(config.height, config.width), decoder=self._video_decoder)
        return partial(read_range, form=self._form.sequences(), part=task.part or WHOLE)
