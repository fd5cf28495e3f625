"""What the header of a video file states."""

import datetime
from pathlib import Path
from typing import NamedTuple

from jaxvid.video.streams import open_video

# Some programs write the beginning of their calendar where they know no time: 1904 or 1970.
_FIRST_YEAR = 1971


class Header(NamedTuple):
    """What the header of a video states; None where it states nothing.

    Attributes:
      fps: mean frame rate.
      width: of the stored frames, which may be shown turned.
      height: of the stored frames.
      recorded_at: when it was made, which is the beginning of the recording with some cameras, its end with others.
    """

    fps: float | None
    width: int | None
    height: int | None
    recorded_at: datetime.datetime | None


def read_header(path: Path) -> Header:
    """Reads the header of a video.

    Raises:
      InvalidVideoError: if it cannot be opened, or holds no video stream.
    """
    with open_video(path) as container:
        stream = container.streams.video[0]
        fps = float(stream.average_rate) if stream.average_rate else None
        time = container.metadata.get("creation_time") or stream.metadata.get("creation_time") or ""
        return Header(fps, stream.width or None, stream.height or None, _parsed(time))


def _parsed(time: str) -> datetime.datetime | None:
    try:
        parsed = datetime.datetime.fromisoformat(time)
    except ValueError:
        return None
    if parsed.year < _FIRST_YEAR:
        return None
    # FFmpeg gives times in UTC.
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=datetime.UTC)
