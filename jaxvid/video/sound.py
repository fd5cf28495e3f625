"""The sound of video files: mono, at one sample rate, read forward along with the frames by PyAV."""

import contextlib
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.error
import numpy as np
from av.codec.context import Flags
from av.container import InputContainer
from jaxtyping import Int16, UInt8

from jaxvid.video.damage import Damage
from jaxvid.video.opening import open_container
from jaxvid.video.workers import InvalidVideoError

# A gap in the sound that is longer than this is filled with silence.
_GAP_SECONDS = 0.1


# By extension: codec and pixel format of the frames, codec of the sound.
_WRITER_CODECS = {
    ".avi": ("mjpeg", "yuvj420p", "pcm_s16le"),
    ".mkv": ("mjpeg", "yuvj420p", "pcm_s16le"),
    ".mp4": ("mpeg4", "yuv420p", "aac"),
}


# FFmpeg's FF_QP2LAMBDA.
_QUALITY_UNIT = 118


class Sound:
    """The sound of a video, from which one part after another is taken; earlier parts are not kept."""

    def __init__(self, pieces: Iterator[tuple[float, Int16[np.ndarray, "sample"]]], sample_rate: int):
        """Takes the pieces of the sound in order, each with the second at which it begins; see `open_sound`."""
        self._pieces = pieces
        self._sample_rate = sample_rate
        self._kept = np.zeros(0, np.int16)
        # A piece that begins behind what was asked for.
        self._later: tuple[float, Int16[np.ndarray, "sample"]] | None = None
        # Position of the first sample kept, in samples since the first frame; None before any was read.
        self._first: int | None = None

    def stretch(self, begin: float, end: float) -> Int16[np.ndarray, "sample"]:
        """Returns the sound between two times in seconds since the first frame, and drops all before `begin`.

        The result is shorter where the sound ends earlier, and empty if it begins after `end` or ends before `begin`.
        Silence comes before sound that begins between the two times.
        """
        start, stop = round(begin * self._sample_rate), round(end * self._sample_rate)
        self._read_until(stop)
        if self._first is None or self._first >= stop:
            return np.zeros(0, np.int16)
        surplus = min(max(0, start - self._first), len(self._kept))
        self._kept, self._first = self._kept[surplus:].copy(), self._first + surplus
        taken = self._kept[: stop - self._first]
        return np.pad(taken, (max(0, self._first - start), 0)) if len(taken) else taken

    def _read_until(self, stop: int) -> None:
        parts = [self._kept]
        first, position = self._first, (self._first or 0) + len(self._kept)
        while first is None or position < stop:
            piece = self._later or next(self._pieces, None)
            if piece is None:
                break
            begin, samples = round(piece[0] * self._sample_rate), piece[1]
            if first is None:
                first = position = begin
            elif begin - position > _GAP_SECONDS * self._sample_rate:
                # Silence, but no further than it is asked for: a wrong time may be years ahead.
                silent_until = min(begin, stop)
                parts.append(np.zeros(silent_until - position, np.int16))
                position = silent_until
                if begin > stop:
                    self._later = piece
                    break
            self._later = None
            parts.append(samples)
            position += len(samples)
        self._kept, self._first = np.concatenate(parts), first


@contextlib.contextmanager
def open_sound(
    path: Path | str, sample_rate: int, first_frame: float, damage: Damage | None = None
) -> Iterator[Sound | None]:
    """Opens the sound of a file, mono, as 16-bit integers; None if it has none, or none is asked for.

    Args:
      path: of the video.
      sample_rate: in hertz; 0 asks for none.
      first_frame: time of the first frame by the file's clock, from which the sound's times count.
      damage: takes note of sound that breaks off, which is an error by default.

    Raises:
      InvalidVideoError: if the file cannot be opened, or when reading (without `damage`), if its sound does not decode.
    """
    path = Path(path)
    if not sample_rate:
        yield None
        return
    with open_container(path) as container:
        if not container.streams.audio:
            yield None
            return
        yield Sound(_pieces(container, path, sample_rate, first_frame, damage), sample_rate)


def _pieces(
    container: InputContainer, path: Path, sample_rate: int, first_frame: float, damage: Damage | None
) -> Iterator[tuple[float, Int16[np.ndarray, "sample"]]]:
    resampler = av.AudioResampler(format="s16", layout="mono", rate=sample_rate)
    seconds = 0.0
    try:
        for frame in container.decode(container.streams.audio[0]):
            seconds = seconds if frame.time is None else frame.time - first_frame
            samples = _mono(resampler.resample(frame))
            yield seconds, samples
            seconds += len(samples) / sample_rate
        yield seconds, _mono(resampler.resample(None))
    # A stream whose layout changes midway is a ValueError of the resampler's.
    except (av.error.FFmpegError, ValueError) as error:
        seconds = max(0.0, seconds)
        if damage is None:
            raise InvalidVideoError(path, f"its sound breaks off after {seconds:.1f} s: {error}") from error
        damage.add(seconds, seconds, "its sound breaks off")


def _mono(frames: list[av.AudioFrame]) -> Int16[np.ndarray, "sample"]:
    return np.concatenate([np.zeros(0, np.int16), *(frame.to_ndarray().reshape(-1) for frame in frames)])


def write_video_with_sound(
    path: Path | str,
    frames: UInt8[np.ndarray, "time height width 3"],
    fps: float,
    audio: Int16[np.ndarray, "sample"],
    sample_rate: int,
) -> None:
    """Writes RGB frames and mono sound as a video file: MPEG-4 and AAC in an `.mp4`; elsewhere Motion JPEG and PCM.

    Raises:
      ValueError: if the extension is none of these.
    """
    path = Path(path)
    if path.suffix.lower() not in _WRITER_CODECS:
        raise ValueError(f"{path}: cannot write {path.suffix!r} files; write one of {', '.join(_WRITER_CODECS)}")
    codec, pixels, audio_codec = _WRITER_CODECS[path.suffix.lower()]
    with av.open(str(path), "w") as container:
        video: Any = container.add_stream(codec, rate=Fraction(fps).limit_denominator(1000))
        video.height, video.width, video.pix_fmt = frames.shape[1], frames.shape[2], pixels
        # The best quality of either codec, as far as they have a scale.
        video.codec_context.flags |= Flags.qscale
        video.codec_context.global_quality = 2 * _QUALITY_UNIT
        sound: Any = container.add_stream(audio_codec, rate=sample_rate, layout="mono")
        for frame in frames:
            container.mux(video.encode(av.VideoFrame.from_ndarray(frame, "rgb24")))
        container.mux(video.encode(None))
        for start in range(0, len(audio), sample_rate):
            piece = av.AudioFrame.from_ndarray(audio[None, start : start + sample_rate], "s16", "mono")
            piece.sample_rate, piece.pts, piece.time_base = sample_rate, start, Fraction(1, sample_rate)
            container.mux(sound.encode(piece))
        container.mux(sound.encode(None))
