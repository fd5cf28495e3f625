"""Videos of any length as sequences of frames at one rate, each with its part of the sound, decoded by PyAV.

For files that are stored in parts, or with their sound; `jaxvid.video.clips` decodes short clips without. Frames are
chosen by their times, whatever the frame rate. Only one sequence is held in memory at a time.
"""

import dataclasses
import itertools
import pickle
import tempfile
from collections.abc import Generator, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import av
import cv2
import numpy as np
from av.container import InputContainer

from jaxvid.video.clips import EncodedClip, encode_frame
from jaxvid.video.sound import Sound, open_sound
from jaxvid.video.streams import ONE_FRAME, frame_rate, open_video, raw_frames, scaled, video_start
from jaxvid.video.truncation import check_whole
from jaxvid.video.workers import InvalidVideo, decode_in_workers

# Bytes of waiting sequences that stay in memory; more of them go to the disk.
_MEMORY_FOR_WAITING = 64 << 20

# Sound that is not wanted is read in parts of this length.
_SKIPPED_SECONDS = 60


@dataclasses.dataclass(frozen=True)
class SequenceForm:
    """The form in which videos are stored.

    Attributes:
      size: height and width of the frames.
      fps: frames per second; 0 for all frames of the video.
      num_frames: frames per sequence, except that the last one may be shorter; 0 for the whole video as one sequence.
      sample_rate: sample rate of the sound in hertz; 0 for no sound.

    Raises:
      ValueError: if a number is out of range.
    """

    size: tuple[int, int]
    fps: float = 0.0
    num_frames: int = 0
    sample_rate: int = 0

    def __post_init__(self):
        if min(self.size) <= 0:
            raise ValueError(f"size must be a positive height and width, got {self.size}")
        for name in ("fps", "num_frames", "sample_rate"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be 0 or more, got {getattr(self, name)}")


class Slot(NamedTuple):
    """A frame, and from when to when it is shown, in seconds since the first one."""

    begin: float
    end: float
    frame: av.VideoFrame


def decode_sequences(
    paths: Sequence[Path],
    form: SequenceForm,
    *,
    num_workers: int | None = None,
    timeout_seconds: float = 60.0,
    quality: int = 95,
) -> Generator[tuple[int, EncodedClip | InvalidVideo], None, None]:
    """Yields the sequences of videos, decoded in worker processes, in order, each with the position of its path.

    A video that breaks off midway gives the sequences before that place, and then an InvalidVideo; which cuts are
    noticed is listed in `jaxvid.video.truncation`. `timeout_seconds` applies to one sequence; the other arguments and
    the errors are those of `jaxvid.video.workers.decode_in_workers`.
    """
    decoder = partial(read_sequences, form=form, quality=quality)
    return decode_in_workers(decoder, paths, num_workers=num_workers, timeout_seconds=timeout_seconds)


def whole_videos(
    decoding: Iterable[tuple[int, EncodedClip | InvalidVideo]],
) -> Generator[tuple[int, EncodedClip | InvalidVideo], None, None]:
    """Yields what `decode_sequences` does, but of a video that breaks off the InvalidVideo alone.

    The sequences of a video wait in a temporary file until its last one has come: memory stays flat.
    """
    for position, results in itertools.groupby(decoding, key=lambda pair: pair[0]):
        with tempfile.SpooledTemporaryFile(_MEMORY_FOR_WAITING) as waiting:
            count, invalid = 0, None
            for _, result in results:
                if isinstance(result, InvalidVideo):
                    invalid = result
                else:
                    pickle.dump(result, waiting, pickle.HIGHEST_PROTOCOL)
                    count += 1
            if invalid is not None:
                yield position, invalid
                continue
            waiting.seek(0)
            for _ in range(count):
                yield position, pickle.load(waiting)


def read_sequences(path: Path, form: SequenceForm, quality: int = 95) -> Generator[EncodedClip, None, None]:
    """Yields the sequences of one video, decoded in this process.

    Raises:
      InvalidVideoError: when iterating, if it does not decode, or breaks off.
    """
    # There is one process per core: threads within would only compete.
    cv2.setNumThreads(1)
    # Reports a file that is cut short before any sequence of it is decoded.
    check_whole(path)
    with open_video(path) as container:
        yield from encode_slots(container, path, time_slots(raw_frames(container, path), form.fps), form, quality)


def encode_slots(
    container: InputContainer, path: Path, slots: Iterator[Slot], form: SequenceForm, quality: int
) -> Generator[EncodedClip, None, None]:
    """Yields the slots of an open video in sequences, with their sound.

    Raises:
      InvalidVideoError: when iterating, if the sound does not decode.
    """
    rate = float(container.streams.video[0].average_rate or 25)
    with open_sound(path, form.sample_rate, video_start(container)) as sound:
        for number, (begin, end, encoded) in enumerate(_groups(slots, form, quality)):
            if sound and not number:
                _skip(sound, begin)
            audio = sound.stretch(begin, end) if sound else np.zeros(0, np.int16) if form.sample_rate else None
            fps = form.fps or frame_rate(len(encoded), end - begin, rate)
            yield EncodedClip(path, encoded, fps, begin, audio)


def _skip(sound: Sound, seconds: float) -> None:
    """Reads and drops the sound before a time, in parts: hours of it would fill the memory."""
    for second in range(_SKIPPED_SECONDS, int(seconds), _SKIPPED_SECONDS):
        sound.stretch(second, second)


def time_slots(frames: Iterable[tuple[float, av.VideoFrame]], fps: float, first: int = 0) -> Iterator[Slot]:
    """Yields all frames, each until the next one begins; or those shown in the middle of each interval of 1 / fps s.

    Args:
      frames: with the seconds since the first one of the video at which they begin to show.
      fps: frames per second; 0 for all frames.
      first: number of the first interval that is wanted.
    """
    position = first
    for begin, end, frame in _shown(frames):
        if not fps:
            yield Slot(begin, end, frame)
            continue
        while (position + 0.5) / fps < end:
            yield Slot(position / fps, (position + 1) / fps, frame)
            position += 1
    # A video shorter than half an interval gives one frame.
    if fps and not position:
        yield Slot(0.0, 1 / fps, frame)


def _shown(frames: Iterable[tuple[float, av.VideoFrame]]) -> Iterator[Slot]:
    """Yields every frame with the time for which it is shown; the last one for as long as the one before it."""
    ahead = iter(frames)
    begin, frame = next(ahead)
    seconds = ONE_FRAME
    for following, next_frame in ahead:
        seconds = following - begin
        yield Slot(begin, following, frame)
        begin, frame = following, next_frame
    yield Slot(begin, begin + seconds, frame)


def _groups(slots: Iterator[Slot], form: SequenceForm, quality: int) -> Iterator[tuple[float, float, list[bytes]]]:
    """Yields begin, end and encoded frames of every sequence."""
    while group := [
        (slot.begin, slot.end, encode_frame(scaled(slot.frame, form.size), quality))
        for slot in itertools.islice(slots, form.num_frames or None)
    ]:
        yield group[0][0], group[-1][1], [frame for *_, frame in group]
