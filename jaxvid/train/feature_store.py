"""Features on disk: rows found by what they were computed from, which runs and processes share.

A store is a directory of chunks, each a directory with `rows.json`, the names of its rows, and an array `NAME.npy` for
every kind of features. A chunk appears under its name when it is complete and never changes, so that a killed program
loses at most the chunk that it was computing.
"""

import contextlib
import dataclasses
import fcntl
import json
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from absl import logging
from jaxtyping import Int

from jaxvid.files import replacing_directory

# Rows of a chunk: 16 frames of 1024 features in half precision are 8 MB of 256.
CHUNK_ROWS = 256
_ROWS_FILE = "rows.json"
_LOCK_FILE = "lock"

# Arrays by name, with a row for every clip.
Features = dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class FeatureRows:
    """Stored features, in an order of the caller's; they stay on disk (memory-mapped).

    Attributes:
      chunks: that hold them.
      places: chunk of every row, and its position there.
    """

    chunks: list[Features]
    places: Int[np.ndarray, "row 2"]

    def __len__(self) -> int:
        return len(self.places)

    def take(self, rows: Int[np.ndarray, "taken"]) -> Features:
        """Returns some rows; features stored in half precision as float32."""
        places = self.places[rows].tolist()
        return {name: _single(np.stack([self.chunks[c][name][r] for c, r in places])) for name in self.chunks[0]}

    def all(self) -> Features:
        """Returns all rows, as they are stored."""
        places = self.places.tolist()
        return {name: np.stack([self.chunks[c][name][r] for c, r in places]) for name in self.chunks[0]}

    @property
    def num_bytes(self) -> int:
        """Number of bytes of all rows, as they are stored."""
        chunk, row = self.places[0]
        return len(self) * sum(array[row].nbytes for array in self.chunks[chunk].values())

    def part(self, rows: Int[np.ndarray, "taken"]) -> "FeatureRows":
        """Returns some rows, still on disk."""
        return FeatureRows(self.chunks, self.places[rows])

    def followed_by(self, others: "FeatureRows") -> "FeatureRows":
        """Returns these rows and then the others."""
        moved = others.places + np.asarray([len(self.chunks), 0])
        return FeatureRows(self.chunks + others.chunks, np.concatenate([self.places, moved]))


def _single(values: np.ndarray) -> np.ndarray:
    return values.astype(np.float32) if values.dtype == np.float16 else values


def halved(values: np.ndarray) -> np.ndarray:
    """Returns float32 values in half precision, if all fit into its range; others as they are.

    Its 11 binary digits round a value by at most 0.05 %.
    """
    if values.dtype != np.float32 or np.abs(values).max(initial=0) > np.finfo(np.float16).max:
        return values
    return values.astype(np.float16)


def missing_rows(directory: Path, names: Sequence[str]) -> list[int]:
    """Returns the positions of the rows that a store lacks, each name once.

    Raises:
      ValueError: if a file of the store is damaged.
    """
    stored = _stored_rows(directory)
    first = {name: position for position, name in reversed(list(enumerate(names)))}
    return sorted(position for name, position in first.items() if name not in stored)


def open_rows(directory: Path, names: Sequence[str]) -> FeatureRows:
    """Opens the rows of these names, which the store must have.

    Raises:
      ValueError: if a file of the store is damaged.
    """
    stored = _stored_rows(directory)
    paths = sorted({stored[name][0] for name in names})
    number = {path: i for i, path in enumerate(paths)}
    places = np.asarray([(number[stored[name][0]], stored[name][1]) for name in names], int).reshape(-1, 2)
    return FeatureRows([_open_chunk(path) for path in paths], places)


def _stored_rows(directory: Path) -> dict[str, tuple[Path, int]]:
    """Returns the chunk and the position there of every row of a store."""
    return {
        name: (path.parent, position)
        for path in directory.glob(f"chunk-*/{_ROWS_FILE}")
        for position, name in enumerate(_read_names(path))
    }


def _read_names(path: Path) -> list[str]:
    try:
        return json.loads(path.read_text())
    except (ValueError, OSError) as error:
        raise _damaged(path.parent, error) from error


def _open_chunk(path: Path) -> Features:
    try:
        return {array.stem: np.load(array, mmap_mode="r") for array in sorted(path.glob("*.npy"))}
    except (ValueError, OSError) as error:
        raise _damaged(path, error) from error


def _damaged(chunk: Path, error: Exception) -> ValueError:
    return ValueError(f"{chunk} cannot be read: {error}; remove it, and its features are computed again")


class Writer:
    """Collects rows and writes them to a store, a chunk at a time."""

    def __init__(self, directory: Path):
        self._directory = directory
        self._names: list[str] = []
        self._parts: list[Features] = []

    def add(self, names: Sequence[str], features: Features) -> None:
        """Adds rows; those of the last chunk are not on disk before `finish`."""
        self._names += names
        self._parts.append(features)
        if len(self._names) >= CHUNK_ROWS:
            self.finish()

    def finish(self) -> None:
        """Writes what is left."""
        if not self._names:
            return
        with replacing_directory(self._directory / f"chunk-{uuid.uuid4().hex}") as unfinished:
            for name in self._parts[0]:
                np.save(unfinished / f"{name}.npy", np.concatenate([part[name] for part in self._parts]))
            (unfinished / _ROWS_FILE).write_text(json.dumps(self._names))
        self._names, self._parts = [], []


@contextlib.contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Lets one process at a time compute features for a store; a killed one leaves no lock."""
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / _LOCK_FILE).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            logging.info("Another process computes features in %s: waiting for it", directory)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
