"""What bulk prediction writes: directories `videos`, `windows` and `events`, with a file of each for some videos.

The files of the same videos are a part, and have one name. That of `videos` is written last: a part without it is not
there, and the next run removes what there is of it.
"""

import contextlib
import hashlib
import io
import json
import os
import uuid
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from jaxvid.predict.bulk.inputs import Input
from jaxvid.predict.rows import SCHEMAS, Tables, as_parquet, write_tables
from jaxvid.video.addresses import AnyPath, as_path, is_address, readable

FORMATS = ("parquet", "jsonl")
_LISTING = "parts-{}.json"
_MAX_VIDEOS, _MAX_BYTES = 64, 256 << 20
# With few videos, parts are smaller, so that many workers have some.
_LEAST_PARTS = 8


def divided(videos: Sequence[Input]) -> list[list[Input]]:
    """Returns the videos of each part: up to 64 and 256 MiB; a larger video is a part of its own."""
    most = min(_MAX_VIDEOS, max(1, len(videos) // _LEAST_PARTS))
    groups: list[list[Input]] = []
    free = 0
    for video in videos:
        if not groups or len(groups[-1]) >= most or video.size > free:
            groups.append([])
            free = _MAX_BYTES
        groups[-1].append(video)
        free -= video.size
    return groups


def part_name(videos: Sequence[Input], model: str) -> str:
    """Returns the name of the files of a part, without extension; the same whenever the model predicts these videos."""
    names = "\0".join([model, *(video.path for video in videos)])
    return hashlib.sha256(names.encode(errors="surrogateescape")).hexdigest()[:20]


class Output(NamedTuple):
    """Where the parts are.

    Attributes:
      root: a directory's absolute path or address.
      form: of the files, one of `FORMATS`.
    """

    root: str
    form: str

    def create(self) -> None:
        """Creates the directories.

        Raises:
          ValueError: if that is not possible.
        """
        with readable(self.root):
            for name in SCHEMAS._fields:
                (as_path(self.root) / name).mkdir(parents=True, exist_ok=True)

    def has(self, part: str) -> bool:
        """Returns whether a part is written."""
        return self._file("videos", part).exists()

    def write(self, part: str, rows: Tables) -> None:
        """Writes a part; one that is there is replaced."""
        encoded = as_parquet if self.form == "parquet" else _as_lines
        write_tables(rows, lambda name: self._file(name, part), encoded)

    def videos(self) -> Iterator[tuple[str, list[dict[str, Any]]]]:
        """Yields the names of all parts with their rows of videos; those of other models and formats too."""
        for file in _complete(as_path(self.root) / "videos"):
            if file.suffix == ".parquet":
                yield file.stem, pq.read_table(io.BytesIO(file.read_bytes())).to_pylist()
            elif file.suffix == ".jsonl":
                yield file.stem, [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]

    def remove_incomplete(self) -> None:
        """Removes what killed runs have left; no other program may be writing.

        That is windows and events of parts that are not complete, files that are not, and listings.
        """
        root = as_path(self.root)
        complete = {file.stem for file in _complete(root / "videos")}
        for name in SCHEMAS._fields:
            for file in list((root / name).iterdir()):
                if file.stem not in complete:
                    file.unlink()
        for file in list(root.glob(_LISTING.format("*"))):
            file.unlink()

    @contextlib.contextmanager
    def listing(self, parts: Sequence[Sequence[Input]]) -> Iterator[str]:
        """Yields the path or address of a file with the videos of every part, which is removed after the block.

        Runners limit the size of a pipeline's description, so the videos cannot be in that.
        """
        file = as_path(self.root) / _LISTING.format(uuid.uuid4().hex)
        file.write_text(json.dumps(parts), encoding="utf-8")
        try:
            yield str(file)
        finally:
            file.unlink()

    def _file(self, table: str, part: str) -> AnyPath:
        return as_path(self.root) / table / f"{part}.{self.form}"


def read_listing(listing: str) -> Iterator[list[Input]]:
    """Yields the videos of every part of an `Output.listing`."""
    for part in json.loads(as_path(listing).read_text(encoding="utf-8")):
        yield [Input(*video) for video in part]


def _complete(directory: AnyPath) -> list[AnyPath]:
    # Hidden are those that are being written.
    return [file for file in directory.iterdir() if not file.name.startswith(".")]


def output_at(place: str, form: str) -> Output:
    """Returns the output at a path or address, in a format of `FORMATS`."""
    return Output(place if is_address(place) else os.path.abspath(place), form)


def _as_lines(table: pa.Table) -> bytes:
    rows = table.to_pylist()
    for row in rows:
        # Pairs of class and probability.
        row.update({name: dict(value) for name, value in row.items() if name == "probabilities"})
    return "".join(json.dumps(row, default=_time, ensure_ascii=False) + "\n" for row in rows).encode()


def _time(moment: datetime) -> str:
    return moment.isoformat()
