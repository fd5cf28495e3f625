"""The sources of a folder's videos, as a CSV file names them."""

import csv
import dataclasses
from collections.abc import Sequence
from pathlib import Path

from tfds_builders.video_files import VideoFile

_VIDEO, _SOURCE = "video", "source"


def name_sources(videos: Sequence[VideoFile], path: Path) -> list[VideoFile]:
    """Returns the videos with the sources that a CSV file gives them.

    Args:
      videos: of a folder.
      path: the file; its column `video` has the path of each video in that folder, its column `source` the name of its
        source. Other columns are ignored.

    Raises:
      ValueError: if the file lacks a column, a value or a video, or names a video that does not exist, or one twice.
    """
    sources = _read_sources(path)
    filenames = {video.filename for video in videos}
    if unknown := [filename for filename in sources if filename not in filenames]:
        raise ValueError(
            f"{path} names {_some(unknown)}: not in the folder of videos; allowed: such as {min(filenames)}"
        )
    if missing := [video.filename for video in videos if video.filename not in sources]:
        raise ValueError(f"{path} names no source for {_some(missing)}; it must have a row for each video")
    return [dataclasses.replace(video, source=sources[video.filename]) for video in videos]


def _read_sources(path: Path) -> dict[str, str]:
    # Spreadsheets write a byte order mark.
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = csv.DictReader(file)
        columns = rows.fieldnames or []
        for column in (_VIDEO, _SOURCE):
            if column not in columns:
                raise ValueError(f"{path} has no column {column!r}; it has: {', '.join(columns) or 'none'}")
        sources: dict[str, str] = {}
        for row in rows:
            video, source = row[_VIDEO], row[_SOURCE]
            if not (video and source):
                raise ValueError(f"{path}, line {rows.line_num}: a video or its source is missing")
            if video in sources:
                raise ValueError(f"{path}, line {rows.line_num}: {video} has a row already")
            sources[video] = source
    return sources


def _some(names: Sequence[str]) -> str:
    """Returns the first of the names, and how many more there are."""
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"
