"""Video files: finding, writing and decoding them. The only module that imports decord.

decord is fast but can hang on a broken file, abort the process on another, deadlock after a fork and return fewer
frames than the file announces. So `decode_clips` decodes in worker processes of its own, each file against a deadline,
and what cannot be decoded comes back as an `InvalidVideo` with the reason.

The workers are fresh interpreters that import this module and nothing else of the program: unlike
`multiprocessing`'s spawn, they never import the program's main module again, which may be a script without a
`__main__` guard or a command that takes seconds to import.
"""

import collections
import dataclasses
import math
import multiprocessing.connection
import os
import re
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Sequence
from pathlib import Path

import cv2
import decord
import numpy as np
from jaxtyping import UInt8

VIDEO_EXTENSIONS = (".3gp", ".avi", ".flv", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ts", ".webm", ".wmv")

# What cv2 writes into each container without help from the system's codecs.
_WRITER_CODECS = {".avi": "MJPG", ".mp4": "mp4v"}

# decord pads rows and takes the padding of a narrow frame for further channels: 16x16 comes out as (16, 16, 6).
_MIN_DECODER_WIDTH = 64

# A fresh interpreter imports this module in about half a second; a machine under heavy load takes far longer.
_WORKER_START_SECONDS = 120.0


class InvalidVideoError(ValueError):
    """A video that cannot be decoded, or not as a whole."""

    def __init__(self, path: Path, reason: str):
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


@dataclasses.dataclass(frozen=True)
class EncodedClip:
    """A decoded video: its frames, resized, as JPEG, and its frame rate."""

    path: Path
    frames: list[bytes]
    fps: float


@dataclasses.dataclass(frozen=True)
class InvalidVideo:
    """A video that could not be decoded, and why."""

    path: Path
    reason: str


def find_videos(directory: Path | str) -> list[Path]:
    """Every video under `directory`, at any depth, sorted; hidden files and folders are left out.

    A video is known by its extension, in any case (`VIDEO_EXTENSIONS`). Broken links and other oddities with such a
    name are kept: decoding reports them, where leaving them out would hide them.

    Raises:
      ValueError: if `directory` is not a directory.
    """
    directory = Path(directory)
    if not directory.is_dir():
        raise ValueError(f"{directory} is not a directory")
    videos = (path for path in directory.rglob("*") if path.suffix.lower() in VIDEO_EXTENSIONS and not path.is_dir())
    return sorted(path for path in videos if not _is_hidden(path.relative_to(directory)))


def write_video(path: Path | str, frames: UInt8[np.ndarray, "time height width 3"], fps: float) -> None:
    """Writes RGB frames as a video file: Motion JPEG in an `.avi`, MPEG-4 in an `.mp4`.

    Raises:
      ValueError: if the extension is another, if a side of an MP4's frames is odd, or if the file cannot be written.
    """
    path = Path(path)
    codec = _WRITER_CODECS.get(path.suffix.lower())
    if codec is None:
        raise ValueError(f"{path}: cannot write {path.suffix!r} files; write one of {', '.join(_WRITER_CODECS)}")
    height, width = frames.shape[1:3]
    if codec == "mp4v" and (height % 2 or width % 2):
        raise ValueError(f"{path}: MPEG-4 needs an even height and width, got {height}x{width}")
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*codec), fps, (width, height))
    if not writer.isOpened():
        raise ValueError(f"{path}: cannot be written")
    for frame in frames:
        writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
    writer.release()


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
    if num_workers is not None and num_workers <= 0:
        raise ValueError(f"num_workers must be positive or None, got {num_workers}")
    if timeout_seconds <= 0:
        raise ValueError(f"timeout_seconds must be positive, got {timeout_seconds}")
    if not 1 <= quality <= 100:
        raise ValueError(f"quality must be in 1..100, got {quality}")
    num_workers = min(num_workers or _num_cores(), len(paths))
    return _decode_in_order([_Request(Path(path), size, quality) for path in paths], num_workers, timeout_seconds)


def encode_clip(path: Path, size: tuple[int, int], quality: int = 95) -> EncodedClip:
    """Decodes one video in this process. Only for files known to be sound: a broken one can hang or abort the process.

    Raises:
      InvalidVideoError: if the file cannot be decoded, or yields fewer frames than it announces.
    """
    announced = _announced_frames(path)
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
        raise InvalidVideoError(
            path, f"only {len(frames)} frames decode, fewer than the file announces: it is cut short"
        )
    return EncodedClip(path, frames, fps)


@dataclasses.dataclass(frozen=True)
class _Request:
    path: Path
    size: tuple[int, int]
    quality: int


@dataclasses.dataclass
class _Worker:
    """One decoding process, the pipe to it, and the request that it is at, if any."""

    process: subprocess.Popen[bytes]
    connection: multiprocessing.connection.Connection
    request: _Request | None = None
    index: int = -1
    timeout_seconds: float = math.inf
    deadline: float = math.inf


def _decode_in_order(
    requests: list[_Request], num_workers: int, timeout_seconds: float
) -> Generator[EncodedClip | InvalidVideo, None, None]:
    workers = [_spawn_worker() for _ in range(num_workers)]
    # How far the workers may run ahead of the consumer: it bounds the clips in memory.
    window = 2 * num_workers
    queue = collections.deque(range(len(requests)))
    results: dict[int, EncodedClip | InvalidVideo] = {}
    try:
        for worker in workers:
            _await_start(worker)
        for wanted in range(len(requests)):
            # What came in while the consumer was busy frees workers, which go on before the consumer does.
            results |= _collect(workers, wait=False)
            _assign(workers, requests, queue, wanted + window, timeout_seconds)
            while wanted not in results:
                results |= _collect(workers, wait=True)
                _assign(workers, requests, queue, wanted + window, timeout_seconds)
            yield results.pop(wanted)
    finally:
        for worker in workers:
            _stop(worker)


def _spawn_worker() -> _Worker:
    """Starts a decoding process. It sees the same modules as this one, but does not import this one's main module."""
    connection, worker_connection = multiprocessing.Pipe()
    descriptor = worker_connection.fileno()
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path),
        # What FFmpeg has to say about a broken file comes back as the reason.
        "OPENCV_FFMPEG_LOGLEVEL": "-8",
        "OPENCV_LOG_LEVEL": "SILENT",
    }
    command = [sys.executable, "-P", "-c", f"from {__name__} import _work; _work({descriptor})"]
    with worker_connection:
        # The end of its standard input tells the worker that this process has died.
        process = subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=[descriptor], env=environment)
    return _Worker(process, connection)


def _await_start(worker: _Worker) -> None:
    try:
        if worker.connection.poll(_WORKER_START_SECONDS):
            worker.connection.recv()
            return
        reason = f"it gave no sign within {_WORKER_START_SECONDS:.0f} s"
    except (EOFError, OSError):
        reason = _exit_reason(worker.process)
    raise RuntimeError(f"a video decoding process did not start: {reason}; its messages are on standard error")


def _assign(
    workers: list[_Worker],
    requests: list[_Request],
    queue: collections.deque[int],
    end: int,
    timeout_seconds: float,
) -> None:
    """Gives every idle worker the next request of the queue, up to the request `end`; replaces workers that died."""
    for position, worker in enumerate(workers):
        if worker.request is not None or not queue or queue[0] >= end:
            continue
        if worker.process.poll() is not None:
            _stop(worker)
            workers[position] = worker = _spawn_worker()
            _await_start(worker)
        worker.index = queue.popleft()
        worker.request = requests[worker.index]
        worker.timeout_seconds = timeout_seconds
        worker.deadline = time.monotonic() + timeout_seconds
        worker.connection.send(worker.request)


def _collect(workers: list[_Worker], *, wait: bool) -> dict[int, EncodedClip | InvalidVideo]:
    """What the workers have finished, by the index of the request; with `wait`, at least one unless none is busy."""
    busy = [worker for worker in workers if worker.request is not None]
    seconds = max(0.0, min((worker.deadline for worker in busy), default=0.0) - time.monotonic()) if wait else 0.0
    answered = multiprocessing.connection.wait([worker.connection for worker in busy], seconds)
    # The deadline counts only for workers that have not answered: the consumer may have been away for longer.
    now = time.monotonic()
    done = [worker for worker in busy if worker.connection in answered or now >= worker.deadline]
    results = {worker.index: _result(worker, worker.connection in answered) for worker in done}
    for worker in done:
        worker.request = None
    return results


def _result(worker: _Worker, answered: bool) -> EncodedClip | InvalidVideo:
    assert worker.request is not None
    if not answered:
        worker.process.kill()
        worker.process.wait()
        return InvalidVideo(worker.request.path, f"not decoded within {worker.timeout_seconds:g} s")
    try:
        return worker.connection.recv()
    except (EOFError, OSError):
        return InvalidVideo(worker.request.path, f"the decoder crashed: {_exit_reason(worker.process)}")


def _exit_reason(process: subprocess.Popen[bytes]) -> str:
    code = process.wait()
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


def _stop(worker: _Worker) -> None:
    worker.process.kill()
    worker.process.wait()
    worker.connection.close()
    assert worker.process.stdin is not None
    worker.process.stdin.close()


def _work(descriptor: int) -> None:
    """What a decoding process does: answers requests until it is killed or its parent is gone."""
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    # One process a core: threads within would only compete.
    cv2.setNumThreads(1)
    decord.logging.set_level(decord.logging.QUIET)
    connection = multiprocessing.connection.Connection(descriptor)
    connection.send("ready")
    # From here on only decord and FFmpeg write to standard error, about files that are reported anyway.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
    while True:
        request: _Request = connection.recv()
        try:
            connection.send(encode_clip(request.path, request.size, request.quality))
        except InvalidVideoError as error:
            connection.send(InvalidVideo(error.path, error.reason))


def _exit_with_parent() -> None:
    # Standard input ends when the parent does, however it died. The decoder releases the GIL even where it hangs.
    os.read(0, 1)
    os._exit(0)


def _read_frames(path: Path, size: tuple[int, int], quality: int) -> tuple[list[bytes], float]:
    """The frames of a file as JPEG, and its frame rate."""
    height, width = size
    # An absolute path is never mistaken for an option or for a protocol such as "concat:".
    try:
        reader = decord.VideoReader(
            str(path.absolute()), width=max(width, _MIN_DECODER_WIDTH), height=height, num_threads=1
        )
    except RuntimeError as error:
        raise InvalidVideoError(path, "the decoder cannot open it: no video, or cut short") from error
    fps = float(reader.get_avg_fps())
    if not (math.isfinite(fps) and fps > 0):
        raise InvalidVideoError(path, f"it gives no frame rate ({fps})")
    # One frame at a time: 15 % faster than get_batch, and the raw frames of a long file never pile up.
    frames = [_encode_frame(reader.next().asnumpy(), size, quality) for _ in range(len(reader))]
    return frames, fps


def _encode_frame(frame: UInt8[np.ndarray, "height width 3"], size: tuple[int, int], quality: int) -> bytes:
    height, width = size
    if frame.shape[1] != width:
        frame = cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA)
    _, encoded = cv2.imencode(".jpg", cv2.cvtColor(frame, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    return encoded.tobytes()


def _announced_frames(path: Path) -> int:
    """The least number of frames that a whole file must yield by its container; 0 if the container does not say.

    Raises:
      InvalidVideoError: if the file cannot be read, is empty, or is an AVI that ends before its announced end.
    """
    try:
        with path.open("rb") as file:
            head = file.read(12)
            num_bytes = file.seek(0, os.SEEK_END)
    except OSError as error:
        raise InvalidVideoError(path, f"it cannot be read: {error.strerror}") from error
    if not head:
        raise InvalidVideoError(path, "the file is empty")
    if head[:4] == b"RIFF" and head[8:] == b"AVI ":
        # decord reads an AVI cut short without a word; its first chunk tells its length. 0 stands for unknown.
        announced_bytes = 8 + struct.unpack("<I", head[4:8])[0]
        if announced_bytes > num_bytes:
            raise InvalidVideoError(path, f"it is cut short: {num_bytes} of {announced_bytes} bytes")
        # Codecs with packed frames count one frame more than there is.
        return _container_frame_count(path) - 1
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free"):
        return _container_frame_count(path) - 1
    if head[:4] == b"\x1aE\xdf\xa3":
        # Matroska and WebM give a duration, from which the count is an estimate.
        return math.floor(0.9 * _container_frame_count(path))
    # MPEG program and transport streams announce nothing.
    return 0


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


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _num_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
