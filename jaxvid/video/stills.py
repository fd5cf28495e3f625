"""Single frames of a video of any length, found by seeking: nothing is decoded but what lies before them in a group."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import av
import av.error
import numpy as np
from av.container import InputContainer
from jaxtyping import UInt8

from jaxvid.video.streams import TIME_EPSILON, open_video, quarter_turns, scaled, video_seconds, video_start
from jaxvid.video.workers import InvalidVideoError


def read_stills(
    path: Path, positions: Sequence[float], height: int
) -> Iterator[UInt8[np.ndarray, "time height width 3"]]:
    """Yields once the frames of a video at some positions, upright, with their aspect ratio.

    Args:
      path: of the video.
      positions: shares of its length, which its header states; without a length all are the first frame.
      height: of the frames; the width is that of the first one.

    Raises:
      InvalidVideoError: if a frame cannot be decoded.
    """
    with open_video(path) as container:
        begin, seconds = video_start(container), video_seconds(container) or 0.0
        try:
            frames = [_frame_at(container, path, begin + position * seconds) for position in positions]
        except (av.error.FFmpegError, OSError) as error:
            raise InvalidVideoError(path, f"its frames cannot be found: {error}") from error
        sides = (frames[0].height, frames[0].width)
        tall, wide = sides[::-1] if quarter_turns(frames[0]) % 2 else sides
        size = height, max(1, round(height * wide / tall))
        yield np.stack([scaled(frame, size) for frame in frames])


def _frame_at(container: InputContainer, path: Path, time: float) -> av.VideoFrame:
    """Returns the frame that shows at a time by the file's clock, or the last one before the end."""
    container.seek(int(time * av.time_base))
    shown = None
    for frame in container.decode(container.streams.video[0]):
        if shown is not None and frame.time is not None and frame.time > time + TIME_EPSILON:
            break
        shown = frame
        if frame.time is None:
            break
    if shown is None:
        raise InvalidVideoError(path, "no frame is found where its header announces some")
    return shown
