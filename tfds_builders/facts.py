"""What a build finds out of a split besides its records."""

from pathlib import Path

import pyarrow as pa

from jaxvid.video.workers import InvalidVideoError
from tfds_builders.clip_index import ClipRow, ClipRows
from tfds_builders.statistics import SplitStatistics
from tfds_builders.video_files import VideoFile


class SplitFacts:
    """The rows of a split's index, its statistics, and the videos that were left out, all in the order of the records.

    Attributes:
      statistics: of the examples added so far.
      invalid: file, split and reason of every video that was left out.
    """

    def __init__(self, split: str):
        self.statistics = SplitStatistics()
        self.invalid: list[dict[str, str]] = []
        self._split = split
        self._rows = ClipRows()

    def add(self, row: ClipRow) -> None:
        """Adds what is known of the next example."""
        self._rows.add(row)
        self.statistics.add(row)

    def leave_out(self, video: VideoFile, reason: str) -> None:
        """Adds a video that is not in the dataset."""
        self.invalid.append({"filename": video.filename, "split": self._split, "reason": reason})

    def take_rows(self) -> pa.Table:
        """Returns the rows, and keeps them no longer."""
        table, self._rows = self._rows.table(), ClipRows()
        return table


def not_skipped(path: Path, reason: str) -> InvalidVideoError:
    """Returns the error of a build that a video stops."""
    return InvalidVideoError(path, f'{reason} (on_invalid="skip" leaves such videos out)')
