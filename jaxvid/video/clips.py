"""Whole short videos, decoded by decord or by PyAV. The only module that imports decord.

decord is fast but can hang on a broken file, abort the process on another, deadlock after a fork and return fewer
frames than the file announces. So `decode_clips` decodes in worker processes (`jaxvid.video.workers`), and what cannot
be decoded comes back as an `InvalidVideo` with the reason. decord opens whatever file or address a file names; it gets
those alone that cannot name any (`jaxvid.video.opening`), and PyAV the others.
"""

import contextlib
import dataclasses
import math
import re
from collections.abc import Generator, Iterator, Sequence
from functools import partial
from pathlib import Path

import cv2
import decord
import numpy as np
from jaxtyping import Float, Int16, UInt8

from jaxvid.video.opening import DECODERS, names_no_other_file
from jaxvid.video.streams import frame_rate, missing_end, open_video, raw_frames, scaled
from jaxvid.video.truncation import check_whole, skipped_avi_frames
from jaxvid.video.workers import InvalidVideo, InvalidVideoError, decode_in_workers

# decord pads rows to a multiple of 96 bytes and takes padding as long as the width for a further channel: 16x16 comes
# out as (16, 16, 6), 80x72 as (80, 72, 4). Of all widths from 64 on this happens to 72 alone.
_MIN_DECODER_WIDTH = 64
_REPLACED_WIDTHS = {72: 96}

# No video is as long as this.
_MAX_SECONDS = 1e9


@dataclasses.dataclass(frozen=True)
class EncodedClip:
    """A decoded video, or a sequence of it.

    Attributes:
      path: the video file.
      frames: resized JPEG images.
      fps: frames per second, on average where they vary.
      begin: start of the sequence, in seconds since the first frame of the video.
      audio: mono sound as 16-bit integers; empty if there is none, None if it was not requested.
    """

    path: Path
    frames: list[bytes]
    fps: float
    begin: float = 0.0
    audio: Int16[np.ndarray, "sample"] | None = None


def decode_clips(
    paths: Sequence[Path],
    size: tuple[int, int],
    *,
    num_workers: int | None = None,
    timeout_seconds: float = 60.0,
    quality: int = 95,
    decoder: str = "decord",
) -> Generator[EncodedClip | InvalidVideo, None, None]:
    """Decodes videos in worker processes; yields one result per path, in the order of `paths`.

    A file that is cut short gives an InvalidVideo; `jaxvid.video.truncation` lists which cuts are noticed.
    Only a few results are held at any time, however many the paths. The workers end when the iterator is exhausted or
    closed, and when this process dies.

    Args:
      paths: the video files.
      size: height and width of the frames; the decoder resizes, without keeping the aspect ratio.
      num_workers: number of processes; by default one per core that this process may use.
      timeout_seconds: how long one file may take; a worker that takes longer is killed and replaced.
      quality: JPEG quality of the frames, 1 to 100.
      decoder: one of `jaxvid.video.opening.DECODERS`.

    Raises:
      ValueError: if an argument is out of range.
      ChildProcessError: when iterating, if workers cannot be started at all.
    """
    if min(size) <= 0:
        raise ValueError(f"size must be a positive height and width, got {size}")
    if not 1 <= quality <= 100:
        raise ValueError(f"quality must be in 1..100, got {quality}")
    if decoder not in DECODERS:
        raise ValueError(f"decoder must be one of {', '.join(DECODERS)}, got {decoder!r}")
    decoding = decode_in_workers(
        partial(read_clip, size=size, quality=quality, decoder=decoder),
        paths,
        num_workers=num_workers,
        timeout_seconds=timeout_seconds,
    )
    return _without_positions(decoding)


def _without_positions(decoding: Generator[tuple[int, EncodedClip | InvalidVideo], None, None]):
    with contextlib.closing(decoding):
        for _, result in decoding:
            yield result


def read_clip(path: Path, size: tuple[int, int], quality: int = 95, decoder: str = "decord") -> Iterator[EncodedClip]:
    """Yields the one clip of a video, in a process that does nothing but decode; see `encode_clip`."""
    # There is one process per core: threads within would only compete.
    cv2.setNumThreads(1)
    decord.logging.set_level(decord.logging.QUIET)
    yield encode_clip(path, size, quality, decoder)


def encode_clip(path: Path, size: tuple[int, int], quality: int = 95, decoder: str = "decord") -> EncodedClip:
    """Decodes one video in this process. Only for files known to decode: a broken one can hang or abort the process.

    The arguments are those of `decode_clips`.

    Raises:
      InvalidVideoError: if the file cannot be decoded, or is cut short (`jaxvid.video.truncation` lists which cuts are
        noticed).
    """
    check_whole(path)
    try:
        read = _read_with_decord if decoder == "decord" and names_no_other_file(path) else _read_with_av
        frames, fps, begins = read(path, size, quality)
    except InvalidVideoError:
        raise
    # decord raises its own errors, which derive from several built-in ones; a name that is not UTF-8 fails to encode.
    except Exception as error:
        raise InvalidVideoError(path, f"the decoder failed: {_first_line(error)}") from error
    if not frames:
        raise InvalidVideoError(path, "it holds no frames")
    if reason := _missing_frames(path, begins):
        raise InvalidVideoError(path, reason)
    return EncodedClip(path, frames, frame_rate(len(frames), _shown_seconds(begins), fps))


def _read_with_av(
    path: Path, size: tuple[int, int], quality: int
) -> tuple[list[bytes], float, Float[np.ndarray, "frame"]]:
    """Returns what `_read_with_decord` does."""
    frames, begins = [], []
    with open_video(path) as container:
        fps = float(container.streams.video[0].average_rate or 0)
        if not fps:
            raise InvalidVideoError(path, "it gives no frame rate")
        for seconds, frame in raw_frames(container, path):
            frames.append(encode_frame(scaled(frame, size), quality))
            begins.append(seconds)
    return frames, fps, np.asarray(begins)


def _read_with_decord(
    path: Path, size: tuple[int, int], quality: int
) -> tuple[list[bytes], float, Float[np.ndarray, "frame"]]:
    """Returns the frames of a file as JPEG, its announced frame rate, and the seconds at which the frames begin."""
    height, width = size
    # An absolute path is never mistaken for an option or for a protocol such as "concat:".
    try:
        reader = decord.VideoReader(
            str(path.absolute()),
            width=_REPLACED_WIDTHS.get(width, max(width, _MIN_DECODER_WIDTH)),
            height=height,
            num_threads=1,
        )
    except RuntimeError as error:
        raise InvalidVideoError(path, "the decoder cannot open it: no video, or cut short") from error
    fps = float(reader.get_avg_fps())
    if not (math.isfinite(fps) and fps > 0):
        raise InvalidVideoError(path, f"it gives no frame rate ({fps})")
    # One frame at a time: 15 % faster than get_batch, and the raw frames of a long file never pile up.
    frames = [encode_frame(_narrowed(reader.next().asnumpy(), size), quality) for _ in range(len(reader))]
    begins = np.sort(reader.get_frame_timestamp(np.arange(len(reader)))[:, 0].astype(float))
    return frames, fps, begins


def _shown_seconds(begins: Float[np.ndarray, "frame"]) -> float:
    """Returns how long frames are shown that begin at these times, the last one as long as the one before it.

    0 if times are missing, as they often are in MPEG program streams; decord makes them the least number there is.
    """
    if len(begins) < 2 or begins[0] < -_MAX_SECONDS:
        return 0.0
    return float(begins[-1] - begins[0] + begins[-1] - begins[-2])


def _narrowed(
    frame: UInt8[np.ndarray, "height width 3"], size: tuple[int, int]
) -> UInt8[np.ndarray, "height new_width 3"]:
    height, width = size
    if frame.shape[1] == width:
        return frame
    return np.asarray(cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def encode_frame(frame: UInt8[np.ndarray, "height width 3"], quality: int) -> bytes:
    """Returns an image as JPEG."""
    _, encoded = cv2.imencode(".jpg", cv2.cvtColor(frame, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    return encoded.tobytes()


def _missing_frames(path: Path, begins: Float[np.ndarray, "frame"]) -> str | None:
    """Returns what shows that frames are missing behind those that begin at these times; None if nothing does."""
    with path.open("rb") as file:
        head = file.read(12)
    is_avi = head[:4] == b"RIFF" and head[8:] == b"AVI "
    if is_avi or head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free"):
        # Codecs with packed frames count one frame more than there is.
        missing = _header_frame_count(path) - 1 - len(begins)
        if missing > 0 and missing > skipped_avi_frames(path):
            return f"only {len(begins)} frames decode, fewer than the file announces: it is cut short"
    if head[:4] == b"\x1aE\xdf\xa3" or head[:3] == b"FLV":
        with open_video(path) as container:
            return missing_end(container, len(begins), float(begins[-1]))
    # MPEG program and transport streams announce nothing.
    return None


def _header_frame_count(path: Path) -> int:
    """Returns the number of frames by a file's header, negative or 0 if it states none."""
    capture = cv2.VideoCapture(str(path.absolute()), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
    count = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    capture.release()
    return count


def _first_line(error: Exception) -> str:
    """Returns the first line of an error, without the position in decord's C++ sources that it begins with."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return re.sub(r"^(\[[\d:]+\] \S+:\d+: )+", "", lines[0])
