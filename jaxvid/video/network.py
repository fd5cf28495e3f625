"""The frames of a stream at an address, such as a camera's over RTSP, as they arrive; decoded by PyAV."""

import time
from collections.abc import Generator

import av
import av.error
import numpy as np
from av.container import InputContainer
from jaxtyping import UInt8

from jaxvid.video.opening import open_stream

# Of packets that come, but do not decode. The first frame is one that decodes alone: some cameras send such a frame
# every ten seconds.
_SECONDS_WITHOUT_FRAME = 60.0


class StreamCapture:
    """A stream with those methods of `cv2.VideoCapture` that a camera needs.

    OpenCV itself takes a frame that was damaged on its way for the end.
    """

    def __init__(self, address: str):
        """Opens a stream, or gives up after half a minute (twice `opening.STREAM_SECONDS`)."""
        self._container, self._frames = None, None
        try:
            self._container = open_stream(address)
        except (av.error.FFmpegError, OSError, ValueError):
            return
        if self._container.streams.video:
            self._frames = _decoded(self._container)

    def isOpened(self) -> bool:  # noqa: N802 (OpenCV's name)
        """Returns whether there is a stream of video."""
        return self._frames is not None

    def read(self) -> tuple[bool, UInt8[np.ndarray, "height width 3"] | None]:
        """Returns True and the next frame, BGR; False if the stream has ended or sends nothing for half a minute."""
        for frame in self._frames or ():
            return True, frame.to_ndarray(format="bgr24", threads=1)
        return False, None

    def get(self, _property: int, /) -> float:
        """Returns 0, as OpenCV does for what is not known."""
        return 0.0

    def release(self) -> None:
        """Closes the stream."""
        if self._frames is not None:
            self._frames.close()
        if self._container is not None:
            self._container.close()


def _decoded(container: InputContainer) -> Generator[av.VideoFrame, None, None]:
    stream, seen = container.streams.video[0], time.monotonic()
    # One thread may be too slow for large pictures, and each further one holds a frame back.
    stream.thread_type, stream.codec_context.thread_count = "AUTO", 2
    try:
        for packet in container.demux(stream):
            try:
                frames = packet.decode()
            except av.error.FFmpegError:
                frames = []
            for frame in frames:
                assert isinstance(frame, av.VideoFrame)
                yield frame
                seen = time.monotonic()
            if time.monotonic() - seen > _SECONDS_WITHOUT_FRAME:
                return
    except (av.error.FFmpegError, OSError):
        return
