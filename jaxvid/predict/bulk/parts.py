"""What bulk prediction writes: directories `videos`, `windows` and `events`, with a file of each for some videos.

The files of the same videos are a part, and have one name. That of `videos` is written last: a part without it is not
there, and the next run removes what there is of it.
"""

import hashlib
import io
import json
import os
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from jaxvid.files import replacing
from jaxvid.predict.bulk.inputs import Input
from jaxvid.predict.rows import Tables
from jaxvid.video.addresses import AnyPath, as_path, is_address, readable

FORMATS = ("parquet", "jsonl")
# Order of writing.
_TABLES = ("events", "windows", "videos")
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
            for name in _TABLES:
                (as_path(self.root) / name).mkdir(parents=True, exist_ok=True)

    def has(self, part: str) -> bool:
        """Returns whether a part is written."""
        return self._file("videos", part).exists()

    def write(self, part: str, rows: Tables) -> None:
        """Writes a part; one that is there is replaced."""
        for name in _TABLES:
            table = getattr(rows, name)
            _write(self._file(name, part), _as_parquet(table) if self.form == "parquet" else _as_lines(table))

    def videos(self) -> Iterator[tuple[str, list[dict[str, Any]]]]:
        """Yields the names of all parts with their rows of videos; those of other models and formats too."""
        for file in (as_path(self.root) / "videos").iterdir():
            if file.suffix == ".parquet":
                yield file.stem, pq.read_table(io.BytesIO(file.read_bytes())).to_pylist()
            elif file.suffix == ".jsonl":
                yield file.stem, [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]

    def remove_incomplete(self) -> None:
        """Removes windows and events of parts that are not complete; no other program may be writing."""
        complete = {file.stem for file in (as_path(self.root) / "videos").iterdir()}
        for name in ("windows", "events"):
            for file in (as_path(self.root) / name).iterdir():
                if file.stem not in complete:
                    file.unlink()

    def _file(self, table: str, part: str) -> AnyPath:
        return as_path(self.root) / table / f"{part}.{self.form}"


def output_at(place: str, form: str) -> Output:
    """Returns the output at a path or address, in a format of `FORMATS`."""
    return Output(place if is_address(place) else os.path.abspath(place), form)


def _write(file: AnyPath, content: bytes) -> None:
    if not is_address(file):
        with replacing(file) as unfinished:
            unfinished.write_bytes(content)
        return
    # An upload that breaks off may leave a file.
    unfinished = file.with_name(f".{file.name}.tmp")
    unfinished.write_bytes(content)
    unfinished.rename(file)


def _as_parquet(table: pa.Table) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    return buffer.getvalue()


def _as_lines(table: pa.Table) -> bytes:
    rows = table.to_pylist()
    for row in rows:
        # Pairs of class and probability.
        row.update({name: dict(value) for name, value in row.items() if name == "probabilities"})
    return "".join(json.dumps(row, default=_time, ensure_ascii=False) + "\n" for row in rows).encode()


def _time(moment: datetime) -> str:
    return moment.isoformat()
