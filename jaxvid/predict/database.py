"""Predictions in a DuckDB database, or in a directory of Parquet files; both have the tables of `jaxvid.predict.rows`.

A program that writes to a DuckDB database keeps all others out, so it is opened for a moment at a time.
"""

import contextlib
import hashlib
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from jaxvid.predict.files import VideoResult
from jaxvid.predict.predictor import Predictor
from jaxvid.predict.rows import (
    SCHEMAS,
    Tables,
    described_model,
    joined,
    result_rows,
    stored_path,
    write_tables,
)

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_EXTENSIONS = (".duckdb", ".db")
# Seconds between attempts to open a database that another program has open.
_PAUSE = 0.1
# By table, the rows that go before those of a prediction come: all of the videos, or what a camera has changed.
_SAME_VIDEO = "(path, model) IN (SELECT path, model FROM new_videos)"
_SAME_EVENT = (
    "(path, model, class_name, onset_seconds) IN (SELECT path, model, class_name, onset_seconds FROM new_events)"
)
_REPLACED = dict.fromkeys(SCHEMAS._fields, _SAME_VIDEO)
_EXTENDED = {"videos": _SAME_VIDEO, "events": _SAME_EVENT}
# Videos, and seconds, after which rows are written.
_MANY_VIDEOS, _LONG = 64, 10.0


@runtime_checkable
class Database(Protocol):
    """Where the rows of predictions go."""

    def write(self, tables: Sequence[Tables], *, extends: bool = False) -> None:
        """Writes videos, all or none of them; the rows of an earlier prediction of each by the same model go.

        Args:
          tables: of one video each.
          extends: whether the windows and events of the videos are more of those that are there already. Then only the
            row of the video is replaced, and events that began at the same second.

        Raises:
          ValueError: if the rows cannot be written.
        """
        ...


def open_database(path: Path) -> Database:
    """Opens or creates a database: a file ending in .duckdb or .db, or a directory for Parquet files.

    Raises:
      ValueError: if the path has another extension, or cannot be used.
    """
    if path.suffix in _EXTENSIONS and not path.is_dir():
        return DuckDatabase(path)
    if path.is_file() or (path.suffix and not path.is_dir()):
        raise ValueError(f"--database={path}; allowed: a file name that ends in .duckdb or .db, or a directory")
    return ParquetDirectory(path)


class DuckDatabase:
    """The tables in a file of DuckDB."""

    def __init__(self, path: Path, patience_seconds: float = 60.0):
        """Creates the tables where they are missing.

        Args:
          path: the file.
          patience_seconds: how long to wait for another program that has the file open.

        Raises:
          ValueError: if DuckDB is missing, or the file cannot be opened, is none of DuckDB's, or has other tables.
        """
        try:
            import duckdb
        except ImportError as error:
            raise ValueError(f'--database={path} needs DuckDB: pip install "jaxvid[database]"') from error
        self._path, self._patience, self._duckdb = path, patience_seconds, duckdb
        path.parent.mkdir(parents=True, exist_ok=True)
        with self._connected() as connection:
            for name, schema in SCHEMAS._asdict().items():
                connection.register("empty", schema.empty_table())
                connection.execute(f"CREATE TABLE IF NOT EXISTS {name} AS FROM empty")
                columns = [row[0] for row in connection.execute(f"DESCRIBE {name}").fetchall()]
                if columns != schema.names:
                    raise ValueError(
                        f"--database={path} has a table {name} with the columns {', '.join(columns)}; this version of "
                        f"jaxvid writes {', '.join(schema.names)}: give another file"
                    )

    def write(self, tables: Sequence[Tables], *, extends: bool = False) -> None:
        """Writes in one transaction (`Database.write`)."""
        if not tables:
            return
        new = joined(tables)
        with self._connected() as connection:
            for name, table in new._asdict().items():
                connection.register(f"new_{name}", table)
            connection.begin()
            for name, which in (_EXTENDED if extends else _REPLACED).items():
                connection.execute(f"DELETE FROM {name} WHERE {which}")
            for name in new._fields:
                connection.execute(f"INSERT INTO {name} BY NAME FROM new_{name}")
            connection.commit()

    @contextlib.contextmanager
    def _connected(self) -> Iterator["DuckDBPyConnection"]:
        deadline = time.monotonic() + self._patience
        while True:
            try:
                connection = self._duckdb.connect(str(self._path))
                break
            except self._duckdb.Error as error:
                reason = str(error).splitlines()[0]
                if "lock" not in reason or time.monotonic() > deadline:
                    raise ValueError(f"--database={self._path} cannot be opened: {reason}") from error
            time.sleep(_PAUSE)
        with contextlib.closing(connection):
            try:
                yield connection
            except self._duckdb.Error as error:
                reason = str(error).splitlines()[0]
                raise ValueError(f"--database={self._path} cannot be written to: {reason}") from error


class ParquetDirectory:
    """Directories `videos`, `windows` and `events` with a Parquet file for each video and model.

    A prediction is complete once its file in `videos` is there, which is written last.
    """

    def __init__(self, path: Path):
        """Creates the directories where they are missing."""
        self._path = path
        for name in SCHEMAS._fields:
            (path / name).mkdir(parents=True, exist_ok=True)

    def write(self, tables: Sequence[Tables], *, extends: bool = False) -> None:
        """Writes the files of each video (`Database.write`).

        Raises:
          ValueError: if they are to be extended, which files cannot be.
        """
        if extends:
            raise ValueError(f"--database={self._path}: a camera needs a file that ends in .duckdb")
        for new in tables:
            [row] = new.videos.select(["path", "model"]).to_pylist()
            key = hashlib.sha256(f"{row['path']}\0{row['model']}".encode()).hexdigest()[:24]
            self._file(key, "videos").unlink(missing_ok=True)
            write_tables(new, partial(self._file, key))

    def _file(self, key: str, table: str) -> Path:
        return self._path / table / f"{key}.parquet"


class ResultRows:
    """Writes the rows of many videos together; what is left is written at the end of the context, however it ends."""

    def __init__(self, path: Path, predictor: Predictor, source: str = ""):
        """Opens the database at a path (`open_database`) for the results of a predictor from a camera."""
        self._database, self._model, self._source = open_database(path), described_model(predictor), source
        self._waiting: list[Tables] = []
        self._written = time.monotonic()

    def add(self, result: VideoResult) -> None:
        """Takes the result of a video."""
        path = result.address or stored_path(result.path)
        self._waiting.append(result_rows(result, path, self._source, self._model))
        if len(self._waiting) >= _MANY_VIDEOS or time.monotonic() - self._written > _LONG:
            self._write()

    def _write(self) -> None:
        # If that fails, the end of the context does not try again.
        waiting, self._waiting = self._waiting, []
        self._database.write(waiting)
        self._written = time.monotonic()

    def __enter__(self) -> "ResultRows":
        return self

    def __exit__(self, *_: object) -> None:
        self._write()
