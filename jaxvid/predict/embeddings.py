"""A Parquet file with a row for every window of videos: video, times, probabilities and embedding."""

import collections
import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from jaxvid.files import replacing
from jaxvid.predict.batches import Classified

# Rows that wait for their video to be complete, so that the rows of a short one are together.
_ROWS_OF_VIDEO = 256
# Rows that are written together.
_ROWS_OF_GROUP = 1024


class EmbeddingsFile:
    """Writes the windows of videos as they are classified; memory does not grow with their number."""

    def __init__(self, path: Path, videos: Sequence[str], class_names: Sequence[str]):
        """Creates the file; see `embeddings_file`."""
        self._path, self._videos, self._class_names = path, videos, list(class_names)
        self._waiting: dict[int, list[Classified]] = collections.defaultdict(list)
        self._rows: list[Classified] = []
        self._writer: pq.ParquetWriter | None = None

    def add(self, classified: Classified) -> None:
        """Takes the next window of a video."""
        window = classified.window._replace(images=(), audio=np.zeros(0, np.int16))
        self._waiting[classified.video].append(classified._replace(window=window))
        if len(self._waiting[classified.video]) >= _ROWS_OF_VIDEO:
            self.end_video(classified.video)

    def end_video(self, video: int) -> None:
        """Takes note that there are no more windows of a video for now."""
        self._rows += self._waiting.pop(video, [])
        if len(self._rows) >= _ROWS_OF_GROUP:
            self._write()

    def close(self) -> None:
        """Writes what is left."""
        for video in list(self._waiting):
            self.end_video(video)
        self._write().close()

    def _write(self) -> pq.ParquetWriter:
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._path, self._schema())
        if self._rows:
            self._writer.write_table(self._table(self._rows, self._writer.schema))
        self._rows = []
        return self._writer

    def _schema(self) -> pa.Schema:
        # Without a row, the length of the vectors is not known.
        first = self._rows[0].embedding if self._rows else None
        length = -1 if first is None else len(first)
        return pa.schema(
            {
                "video": pa.string(),
                "start": pa.float64(),
                "end": pa.float64(),
                **{f"probability_{name}": pa.float32() for name in self._class_names},
                "embedding": pa.list_(pa.float32(), length),
            }
        )

    def _table(self, rows: Sequence[Classified], schema: pa.Schema) -> pa.Table:
        return pa.table(
            [
                # Bytes of a name that are not UTF-8 become question marks.
                [self._videos[row.video].encode(errors="replace").decode() for row in rows],
                [row.window.start for row in rows],
                [row.window.end for row in rows],
                *np.asarray([row.probabilities for row in rows], np.float32).T,
                [row.embedding for row in rows],
            ],
            schema=schema,
        )


@contextlib.contextmanager
def embeddings_file(path: Path, videos: Sequence[str], class_names: Sequence[str]) -> Iterator[EmbeddingsFile]:
    """Opens a file for the windows of videos; it appears under its name once the context ends without an error.

    Its columns are `video` (the path or address as given), `start` and `end` in seconds, `probability_NAME` of every
    class, and `embedding` (float32, all of one length). The rows of a video are in order of time; of several long
    videos, the rows may alternate.

    Args:
      path: ending in `.parquet`; a file is replaced.
      videos: paths of the videos, or their addresses, by their numbers.
      class_names: in the order of the probabilities.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as unfinished:
        file = EmbeddingsFile(unfinished, videos, class_names)
        yield file
        file.close()
