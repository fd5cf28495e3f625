"""Video files: finding, writing and decoding them. The only module that imports decord.

decord is fast but can hang on a broken file, abort the process on another, deadlock after a fork and return fewer
frames than the file announces. So `decode_clips` decodes in worker processes (`jaxvid.data.workers`), and what cannot
be decoded comes back as an `InvalidVideo` with the reason.
"""

import contextlib
import dataclasses
import math
import re
from collections.abc import Generator, Iterator, Sequence
from functools import partial
from pathlib import Path

import av
import cv2
import decord
import numpy as np
from jaxtyping import Int16, UInt8

from jaxvid.video.streams import missing_bytes
from jaxvid.video.workers import InvalidVideo, InvalidVideoError, decode_in_workers

# decord pads rows to a multiple of 96 bytes and takes padding as long as the width for a further channel: 16x16 comes
# out as (16, 16, 6), 80x72 as (80, 72, 4). Of all widths from 64 on this happens to 72 alone.
_MIN_DECODER_WIDTH = 64
_REPLACED_WIDTHS = {72: 96}


@dataclasses.dataclass(frozen=True)
class EncodedClip:
    """A decoded video, or a sequence of it.

    Attributes:
      path: of the video.
      frames: resized, as JPEG.
      fps: frames a second.
      begin: of the sequence, in seconds since the first frame.
      audio: the sound as 16-bit integers, mono; empty if there is none, None if it was not asked for.
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
) -> Generator[EncodedClip | InvalidVideo, None, None]:
    """Decodes videos in worker processes; one result a path, in the order of `paths`.

    Only a few results are held at any time, however many the paths. The workers end when the iterator is exhausted or
    closed, and when this process dies.

    Args:
      paths: the video files.
      size: height and width of the frames; the decoder resizes, without keeping the aspect ratio.
      num_workers: processes to decode in; by default one a core that this process may use.
      timeout_seconds: how long one file may take; a worker that takes longer is killed and replaced.
      quality: JPEG quality of the frames, 1 to 100.

    Raises:
      ValueError: if an argument is out of range.
      RuntimeError: when iterating, if workers cannot be started at all.
    """
    if min(size) <= 0:
        raise ValueError(f"size must be a positive height and width, got {size}")
    if not 1 <= quality <= 100:
        raise ValueError(f"quality must be in 1..100, got {quality}")
    decoding = decode_in_workers(
        partial(_encode_in_worker, size=size, quality=quality),
        paths,
        num_workers=num_workers,
        timeout_seconds=timeout_seconds,
    )
    return _without_positions(decoding)


def _without_positions(decoding: Generator[tuple[int, EncodedClip | InvalidVideo], None, None]):
    with contextlib.closing(decoding):
        for _, result in decoding:
            yield result


def _encode_in_worker(path: Path, size: tuple[int, int], quality: int) -> Iterator[EncodedClip]:
    # One process a core: threads within would only compete.
    cv2.setNumThreads(1)
    decord.logging.set_level(decord.logging.QUIET)
    yield encode_clip(path, size, quality)


def encode_clip(path: Path, size: tuple[int, int], quality: int = 95) -> EncodedClip:
    """Decodes one video in this process. Only for files known to be sound: a broken one can hang or abort the process.

    Raises:
      InvalidVideoError: if the file cannot be decoded, or yields fewer frames than it announces.
    """
    announced = announced_frames(path)
    try:
        frames, fps = _read_frames(path, size, quality)
    except InvalidVideoError:
        raise
    # decord raises its own errors, which derive from several built-in ones; a name that is not UTF-8 fails to encode.
    except Exception as error:
        raise InvalidVideoError(path, f"the decoder failed: {_first_line(error)}") from error
    if not frames:
        raise InvalidVideoError(path, "it holds no frames")
    if len(frames) < announced:
        skipped = _skipped_avi_frames(path)
        if len(frames) < announced - skipped:
            raise InvalidVideoError(
                path, f"only {len(frames)} frames decode, fewer than the file announces: it is cut short"
            )
        # The container's frame rate counts the skipped ones.
        fps *= len(frames) / (len(frames) + skipped)
    return EncodedClip(path, frames, fps)


def _read_frames(path: Path, size: tuple[int, int], quality: int) -> tuple[list[bytes], float]:
    """The frames of a file as JPEG, and its frame rate."""
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
    return frames, fps


def _narrowed(
    frame: UInt8[np.ndarray, "height width 3"], size: tuple[int, int]
) -> UInt8[np.ndarray, "height new_width 3"]:
    height, width = size
    if frame.shape[1] == width:
        return frame
    return np.asarray(cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def encode_frame(frame: UInt8[np.ndarray, "height width 3"], quality: int) -> bytes:
    """A picture as JPEG."""
    _, encoded = cv2.imencode(".jpg", cv2.cvtColor(frame, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    return encoded.tobytes()


def announced_frames(path: Path) -> int:
    """The least number of frames that a whole file must yield by its container; 0 if the container does not say.

    Raises:
      InvalidVideoError: if the file cannot be read, is empty, or is an AVI that ends before its announced end.
    """
    try:
        with path.open("rb") as file:
            head = file.read(12)
    except OSError as error:
        raise InvalidVideoError(path, f"it cannot be read: {error.strerror}") from error
    if not head:
        raise InvalidVideoError(path, "the file is empty")
    if head[:4] == b"RIFF" and head[8:] == b"AVI ":
        # decord reads an AVI that is cut short without an error.
        if reason := missing_bytes(path):
            raise InvalidVideoError(path, reason)
        # Codecs with packed frames count one frame more than there is.
        return _container_frame_count(path) - 1
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free"):
        return _container_frame_count(path) - 1
    if head[:4] == b"\x1aE\xdf\xa3":
        # Matroska and WebM give a duration, from which the count is an estimate.
        return math.floor(0.9 * _container_frame_count(path))
    # MPEG program and transport streams announce nothing.
    return 0


def _skipped_avi_frames(path: Path) -> int:
    """Returns the number of frames that an AVI announces and skips: places between those that it holds."""
    with av.open(str(path)) as container:
        if container.format.name != "avi":
            return 0
        places = [packet.dts for packet in container.demux(video=0) if packet.size and packet.dts is not None]
    return max(places, default=-1) + 1 - len(places)


def _container_frame_count(path: Path) -> int:
    """What the container's header says, negative or 0 if nothing."""
    capture = cv2.VideoCapture(str(path.absolute()), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
    count = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    capture.release()
    return count


def _first_line(error: Exception) -> str:
    """The first line of an error, without the place in decord's C++ sources that it begins with."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return re.sub(r"^(\[[\d:]+\] \S+:\d+: )+", "", lines[0])
