"""Frames of video files one after another, with their times and upright, decoded by PyAV.

Nothing is kept, so that memory stays flat however long a video is.
"""

import contextlib
import re
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from functools import partial
from pathlib import Path

import av
import av.error
import numpy as np
from av.container import InputContainer
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream
from jaxtyping import UInt8

from jaxvid.video.damage import Damage
from jaxvid.video.opening import error_reason, open_container
from jaxvid.video.truncation import missing_bytes, skipped_avi_frames
from jaxvid.video.workers import InvalidVideoError

# How long the only frame of a video shows, in seconds.
ONE_FRAME = 0.04

# Times of frames are rounded to the container's time base.
TIME_EPSILON = 1e-6

# The share of the frames or seconds announced by a container that must decode.
_LEAST_SHARE = 0.9

# By how much the times of a file may deviate from its announced frame rate: Matroska rounds them to milliseconds.
_RATE_TOLERANCE = 0.05

# No frame is shown for longer than this, and no video is longer than that: a few bytes with wrong times would make
# windows and sequences without end.
LONGEST_GAP, LONGEST_VIDEO = 3600.0, 7 * 86400.0

# Frames are missing where the next one comes later than this, and later by that factor than any before.
_GAP_SECONDS, _GAP_FACTOR = 1.0, 10.0


class TimedFrame:
    """A frame of a video, and when it begins to show.

    Attributes:
      seconds: since the first frame.
      waiting_bytes: of the decoded picture, which is kept until the image is asked for; 0 if there is none.
    """

    __slots__ = ("_image", "seconds", "waiting_bytes")

    def __init__(
        self,
        seconds: float,
        image: UInt8[np.ndarray, "height width 3"] | Callable[[], UInt8[np.ndarray, "height width 3"]],
        waiting_bytes: int = 0,
    ):
        """Takes the image, or a function that computes it when it is asked for."""
        self.seconds, self.waiting_bytes = seconds, waiting_bytes
        self._image = image

    @property
    def image(self) -> UInt8[np.ndarray, "height width 3"]:
        """The image, RGB; computed once."""
        if callable(self._image):
            self._image, self.waiting_bytes = self._image(), 0
        return self._image


@contextlib.contextmanager
def open_video(path: Path | str) -> Iterator[InputContainer]:
    """Opens a video with PyAV, for as long as the context lasts.

    Raises:
      InvalidVideoError: if it cannot be opened (`jaxvid.video.opening`), or holds no video stream.
    """
    with open_container(path) as container:
        if not container.streams.video:
            raise InvalidVideoError(Path(path), "it holds no video, only sound" if container.streams else "it is empty")
        yield container


def video_seconds(container: InputContainer) -> float | None:
    """Returns the length of a video that its header states; None if it states none."""
    return container.duration / av.time_base if container.duration else None


def video_start(container: InputContainer) -> float:
    """Returns the time by the file's clock at which the first frame of an open video begins to show, by its header."""
    stream = container.streams.video[0]
    if stream.start_time is None or stream.time_base is None:
        return 0.0
    return float(stream.start_time * stream.time_base)


def frame_time(frame: av.VideoFrame, number: int, stream: VideoStream) -> float:
    """Returns the time by the file's clock at which a frame begins to show; by its number in files without times."""
    return frame.time if frame.time is not None else number / float(stream.average_rate or 25)


def frame_rate(num_frames: int, seconds: float, announced: float) -> float:
    """Returns the frames per second of frames that are shown for so many seconds in all.

    That is the announced rate, unless it is wrong by more than the rounding of times, as in videos of variable rates.
    """
    if num_frames < 2 or seconds <= 0 or abs(num_frames / seconds - announced) <= _RATE_TOLERANCE * announced:
        return announced
    return num_frames / seconds


def missing_end(container: InputContainer, num_frames: int, seconds: float) -> str | None:
    """Returns what shows that an open video ends before its announced end; None if nothing does.

    Args:
      container: of the video.
      num_frames: frames that were decoded.
      seconds: time of the last one.
    """
    stream = container.streams.video[0]
    # Codecs with packed frames count one frame more than there is; an AVI counts frames too that hold nothing and only
    # repeat the one before.
    missing = stream.frames - 1 - num_frames
    if container.format.name == "avi" and missing > 0 and missing > skipped_avi_frames(Path(container.name)):
        return f"only {num_frames} of {stream.frames} frames decode: it is cut short"
    if container.format.name != "avi" and missing > 0:
        return f"only {num_frames} of {stream.frames} frames decode: it is cut short"
    announced = _tagged_seconds(stream.metadata.get("DURATION", ""))
    if announced and _lacks_frames(announced, video_start(container) + seconds, num_frames, seconds, stream):
        return f"its video ends at {seconds:.1f} of {announced:.1f} s: it is cut short"
    if not announced and container.format.name in ("flv", "matroska,webm"):
        announced = video_seconds(container) or 0.0
    # The last frame is shown for as long as the others on average.
    if seconds * num_frames / max(1, num_frames - 1) < _LEAST_SHARE * announced - 1 / float(stream.average_rate or 25):
        return f"its video ends at {seconds:.1f} of {announced:.1f} s: it is cut short"
    return None


def _lacks_frames(announced: float, end: float, num_frames: int, seconds: float, stream: VideoStream) -> bool:
    """Returns whether frames of a constant rate, the last of which begins at `end`, lack others behind it."""
    interval = 1 / float(stream.average_rate or 25)
    is_constant = abs(seconds - (num_frames - 1) * interval) <= _RATE_TOLERANCE * seconds + interval
    return is_constant and announced - end > 1.5 * interval


def _tagged_seconds(duration: str) -> float:
    """Returns the seconds of Matroska's "00:01:02.5"; 0 if it has another form."""
    match = re.fullmatch(r"(\d+):(\d+):(\d+(?:\.\d+)?)", duration)
    return float(match[1]) * 3600 + float(match[2]) * 60 + float(match[3]) if match else 0.0


def raw_frames(
    container: InputContainer, path: Path, damage: Damage | None = None
) -> Generator[tuple[float, av.VideoFrame], None, None]:
    """Yields the frames of an open video, each with the second since the first one at which it begins to show.

    Args:
      container: of the video.
      path: for error messages.
      damage: takes note of what cannot be read, and decoding continues behind it; by default it is an error.

    Raises:
      InvalidVideoError: when iterating, if there is no frame, or (without `damage`) one cannot be decoded, or the end
        is missing.
    """
    stream = container.streams.video[0]
    watched = None if damage is None else _Watch(damage)
    number, seconds = 0, 0.0
    timed = _timed(_decoded(container, stream, watched), stream, watched)
    try:
        for seconds, frame in _bounded(in_order(timed, damage) if damage is not None else timed, damage):
            number += 1
            if watched:
                watched.see(seconds, frame)
            yield seconds, frame
    except _AbsurdTimeError as error:
        raise InvalidVideoError(path, str(error)) from None
    except av.error.FFmpegError as error:
        reason = f"it breaks off after {number} frames: {error_reason(error)}"
        if damage is None or not number:
            raise InvalidVideoError(path, reason) from error
        damage.add(seconds, seconds, reason)
        return
    if not number:
        raise InvalidVideoError(path, "it holds no frames")
    if reason := missing_bytes(path) or missing_end(container, number, seconds):
        if damage is None:
            raise InvalidVideoError(path, reason)
        damage.add(seconds, seconds, reason)


def _timed(
    frames: Iterable[av.VideoFrame], stream: VideoStream, watch: "_Watch | None"
) -> Iterator[tuple[float, av.VideoFrame]]:
    first = 0.0
    for number, frame in enumerate(frames):
        time = frame_time(frame, number, stream)
        first = first if number else time
        if watch:
            watch.decoded = time - first
        yield time - first, frame


def _bounded(
    timed: Iterable[tuple[float, av.VideoFrame]], damage: Damage | None
) -> Iterator[tuple[float, av.VideoFrame]]:
    """Yields frames up to the first that comes absurdly late.

    Raises:
      _AbsurdTimeError: instead of that frame; with `damage`, it is noted and the frames end.
    """
    last = 0.0
    for seconds, frame in timed:
        if seconds - last > LONGEST_GAP or seconds > LONGEST_VIDEO:
            reason = f"it breaks off: after {last:.1f} s, its next frame is to come at {seconds:.1f} s"
            if damage is None:
                raise _AbsurdTimeError(reason)
            damage.add(last, last, reason)
            return
        last = seconds
        yield seconds, frame


class _AbsurdTimeError(Exception):
    """Times of frames that no video has."""


def in_order(
    timed: Iterable[tuple[float, av.VideoFrame]], damage: Damage
) -> Generator[tuple[float, av.VideoFrame], None, None]:
    """Yields frames whose times never decrease, whatever damaged times or a clock that starts anew make of them.

    A single frame that is later than the next one is left out. Where the clock of the file goes back, the next frame
    follows the one before it as that one followed its own.
    """
    last, interval, shift = 0.0, ONE_FRAME, 0.0
    held: tuple[float, av.VideoFrame] | None = None
    try:
        for time, frame in timed:
            seconds = time + shift
            if held and last <= seconds < held[0]:
                damage.add(last, seconds, "a frame with a wrong time was dropped")
            elif held:
                if seconds < held[0]:
                    damage.add(held[0], held[0], "the times of the frames go back")
                    seconds = held[0] + interval
                    shift = seconds - time
                yield held
                last, interval = held[0], seconds - held[0]
            held = seconds, frame
    except av.error.FFmpegError:
        if held:
            yield held
        raise
    if held:
        yield held


class _Watch:
    """Notes damaged and missing frames while a video is decoded.

    Attributes:
      decoded: time in seconds of the frame decoded last, which may be later than that of the frame seen last.
    """

    def __init__(self, damage: Damage):
        self.decoded = 0.0
        self._damage = damage
        self._last = 0.0
        self._longest = 0.0

    def see(self, seconds: float, frame: av.VideoFrame) -> None:
        """Notes what is wrong with the next frame, or missing before it."""
        interval = seconds - self._last
        if interval > max(_GAP_SECONDS, _GAP_FACTOR * self._longest) and self._longest:
            self._damage.add(self._last, seconds, "frames are missing")
        if frame.is_corrupt:
            self._damage.add(seconds, seconds, "damaged parts were concealed")
        self._last, self._longest = seconds, max(self._longest, interval)

    def miss(self) -> None:
        """Notes data that did not decode, behind the frame decoded last."""
        self._damage.add(self.decoded, self.decoded, "data did not decode")


def _decoded(container: InputContainer, stream: VideoStream, watch: _Watch | None) -> Iterator[av.VideoFrame]:
    for packet in container.demux(stream):
        try:
            frames = packet.decode()
        except av.error.FFmpegError:
            if watch is None:
                raise
            watch.miss()
            continue
        for frame in frames:
            assert isinstance(frame, av.VideoFrame)
            yield frame


def scaled(frame: av.VideoFrame, size: tuple[int, int]) -> UInt8[np.ndarray, "height width 3"]:
    """Returns a frame as an upright image of that height and width; its aspect ratio is not kept."""
    turned = quarter_turns(frame) % 2
    height, width = size[::-1] if turned else size
    # Bicubic, as decord scales. With one thread: those for one per core are started anew for each frame, which took 0.9
    # ms of CPU time for 360x288 to 128x128, not 0.2.
    image = _scalers.reformatter.reformat(frame, width, height, "rgb24", interpolation="BICUBIC", threads=1)
    return upright(image.to_ndarray(), quarter_turns(frame))


class _Scalers(threading.local):
    """FFmpeg's scaler of each thread, which keeps its tables for frames of one size."""

    def __init__(self):
        self.reformatter = VideoReformatter()


_scalers = _Scalers()


def quarter_turns(frame: av.VideoFrame) -> int:
    """Returns how often a frame is to be turned by 90 degrees, counterclockwise, to be upright.

    Phones record as their sensor lies, and state the rotation beside the video. Mirroring is not undone.
    """
    return round(frame.rotation / 90) % 4


def upright(image: UInt8[np.ndarray, "_ _ 3"], turns: int) -> UInt8[np.ndarray, "height width 3"]:
    """Returns an image turned by 90 degrees, counterclockwise, `turns` times."""
    return np.ascontiguousarray(np.rot90(image, turns)) if turns else image


def decode_stream(
    container: InputContainer, path: Path, size: tuple[int, int], damage: Damage | None = None, num_threads: int = 0
) -> Generator[TimedFrame, None, None]:
    """Yields the frames of an open video, upright and scaled to height and width.

    A frame is scaled when its image is asked for: windows show every third frame or fewer, and scaling one takes half
    as long as decoding it, or longer.

    Args:
      container: of the video.
      path: for error messages.
      size: height and width.
      damage: as in `raw_frames`.
      num_threads: that decode; 0 for one per core.

    Raises:
      InvalidVideoError: when iterating, if there is no frame, or (without `damage`) one cannot be decoded, or the end
        is missing.
    """
    container.streams.video[0].thread_type = "AUTO"
    container.streams.video[0].codec_context.thread_count = num_threads
    for seconds, frame in raw_frames(container, path, damage):
        yield TimedFrame(seconds, partial(scaled, frame, size), sum(plane.buffer_size for plane in frame.planes))


def readable_part(path: Path) -> Iterator[tuple[int, float]]:
    """Yields once how many frames of a video can be read, with the concealed ones, and the time of the last in seconds.

    Raises:
      InvalidVideoError: if none can be read.
    """
    with open_video(path) as container:
        times = [seconds for seconds, _ in raw_frames(container, path, Damage())]
    yield len(times), times[-1]
