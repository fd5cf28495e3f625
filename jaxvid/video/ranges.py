"""Ranges of one long video, cut at key frames, that different processes decode: the same sequences as in one go.

`plan_ranges` reads the packets of a file, without decoding them, and says which sequences each range has and at which
key frame decoding begins for them; `read_range` decodes one. The sound is decoded from the file's beginning for every
range, as its samples depend on all before; that is fast.

Cut are files with an index of their key frames and a time for every packet: MP4, MOV, Matroska and WebM.
"""

import dataclasses
import itertools
from collections.abc import Generator, Iterable, Iterator
from pathlib import Path

import av
import av.error
import cv2
import numpy as np
from av.container import InputContainer
from jaxtyping import Bool, Float, Int

from jaxvid.video.clips import EncodedClip
from jaxvid.video.opening import error_reason
from jaxvid.video.sequences import SequenceForm, encode_slots, read_sequences, time_slots
from jaxvid.video.streams import LONGEST_GAP, LONGEST_VIDEO, missing_end, open_video
from jaxvid.video.truncation import check_whole, missing_bytes
from jaxvid.video.workers import InvalidVideoError

# FFmpeg's names of the containers.
_CUT_CONTAINERS = ("mov", "matroska")

# By how much a key frame must begin before the frame that is wanted, in seconds: rounding must not leave one out.
_MARGIN = 1e-3

_UNCUT = "it cannot be cut into ranges: build the dataset with a greater range_seconds"


@dataclasses.dataclass(frozen=True)
class SequenceRange:
    """Some consecutive sequences of a video; by default all.

    Attributes:
      first: number of the first sequence.
      end: number after that of the last one; None for all to the end of the video.
      key: time stamp of the key frame at which decoding begins; None for the beginning of the file.
      begin: time stamp of the first frame that is used.
      num_before: frames before that one.
      last: where all frames are stored, time stamp of the range's last frame, which must be the right one by number.
      origin: time of the first frame of the video by the file's clock, in seconds.
    """

    first: int = 0
    end: int | None = None
    key: int | None = None
    begin: int = 0
    num_before: int = 0
    last: int | None = None
    origin: float = 0.0


WHOLE = SequenceRange()


@dataclasses.dataclass(frozen=True)
class _Packets:
    """The packets of a video stream, in the order in which their frames are shown.

    Attributes:
      times: their time stamps.
      seconds: since the first frame of the video.
      is_key: whether decoding can begin there.
      origin: time of the first frame by the file's clock, in seconds.
    """

    times: Int[np.ndarray, "packet"]
    seconds: Float[np.ndarray, "packet"]
    is_key: Bool[np.ndarray, "packet"]
    origin: float

    def last_key(self, may_begin: Bool[np.ndarray, "packet"]) -> int | None:
        """Returns the time stamp of the last key frame among some packets; None if there is none."""
        keys = self.times[self.is_key & may_begin]
        return int(keys[-1]) if len(keys) else None


def plan_ranges(path: Path, form: SequenceForm, seconds: float) -> Iterator[list[SequenceRange]]:
    """Yields, once, the ranges of about so many seconds that a video is cut into; `[WHOLE]` if it is not cut.

    Not cut are videos shorter than two ranges, those of other containers or without times, those that are stored as one
    sequence, and broken ones.

    Raises:
      InvalidVideoError: when iterating, if the video cannot be opened.
    """
    with open_video(path) as container:
        is_long = (container.duration or 0) / av.time_base >= 2 * seconds
        is_cut = is_long and form.num_frames and container.format.name.split(",")[0] in _CUT_CONTAINERS
        rate = form.fps or float(container.streams.video[0].average_rate or 25)
    packets = _read_packets(path) if is_cut else None
    yield [WHOLE] if packets is None else _ranges(packets, form, max(1, round(seconds * rate / form.num_frames)))


def _read_packets(path: Path) -> _Packets | None:
    """Reads the packets of a video; None if they break off, or their times are no use."""
    try:
        with open_video(path) as container:
            first = next(container.decode(video=0), None)
        with open_video(path) as container:
            time_base = container.streams.video[0].time_base
            packets = (packet for packet in container.demux(video=0) if packet.size and not packet.is_discard)
            found = [(packet.pts, packet.is_keyframe) for packet in packets]
    except av.error.FFmpegError:
        return None
    stamps = [stamp for stamp, _ in found if stamp is not None]
    if first is None or first.time is None or time_base is None or len(set(stamps)) < len(found):
        return None
    order = np.argsort(stamps)
    times = np.asarray(stamps)[order]
    seconds = times * float(time_base) - first.time
    # Decoding in one go says what is wrong with such times.
    if np.diff(seconds).max(initial=0.0) > LONGEST_GAP or seconds[-1] > LONGEST_VIDEO:
        return None
    return _Packets(times, seconds, np.asarray([is_key for _, is_key in found])[order], first.time)


def _ranges(packets: _Packets, form: SequenceForm, num_sequences: int) -> list[SequenceRange]:
    """Returns ranges of so many sequences; the last one is up to half of that longer."""
    step = num_sequences * form.num_frames
    begins = [dataclasses.replace(WHOLE, origin=packets.origin)]
    while (begin := _range_from(packets, form, len(begins) * num_sequences, max(1, step // 2))) is not None:
        begins.append(begin)
    return [
        dataclasses.replace(begin, end=following.first, last=_last_frame(packets, form, following.first))
        for begin, following in itertools.pairwise(begins)
    ] + begins[-1:]


def _range_from(packets: _Packets, form: SequenceForm, first: int, least_frames: int) -> SequenceRange | None:
    """Returns a range without end; None if fewer frames than `least_frames` would be left for it."""
    number = first * form.num_frames
    if form.fps:
        if packets.seconds[-1] <= (number + least_frames) / form.fps:
            return None
        key = packets.last_key(packets.seconds <= (number + 0.5) / form.fps - _MARGIN)
        begin = key
    else:
        if number + least_frames >= len(packets.times):
            return None
        begin = int(packets.times[number])
        key = packets.last_key(packets.times <= begin)
    if key is None or begin is None:
        return None
    return SequenceRange(first, None, key, begin, int(np.searchsorted(packets.times, begin)), None, packets.origin)


def _last_frame(packets: _Packets, form: SequenceForm, end: int) -> int | None:
    return None if form.fps else int(packets.times[end * form.num_frames - 1])


def read_range(
    path: Path, form: SequenceForm, part: SequenceRange, quality: int = 95
) -> Generator[EncodedClip, None, None]:
    """Yields the sequences of a range, decoded in this process.

    Raises:
      InvalidVideoError: when iterating, if the range does not decode, or its frames are not those of its packets.
    """
    if part == WHOLE:
        yield from read_sequences(path, form, quality)
        return
    # There is one process per core: threads within would only compete.
    cv2.setNumThreads(1)
    check_whole(path)
    with open_video(path) as container:
        frames = _checked(_frames_from(container, path, part), path, part, form)
        clips = encode_slots(container, path, time_slots(frames, form.fps, part.first * form.num_frames), form, quality)
        yield from itertools.islice(clips, None if part.end is None else part.end - part.first)


def _frames_from(container: InputContainer, path: Path, part: SequenceRange) -> Iterator[tuple[float, av.VideoFrame]]:
    """Yields the frames of a range and all behind it, as `jaxvid.video.streams.raw_frames` would."""
    number, seconds = part.num_before, 0.0
    try:
        for frame in _decoded_from(path, part.key):
            if frame.pts is None or frame.time is None:
                raise InvalidVideoError(path, f"frame {number} has no time; {_UNCUT}")
            # Behind a key frame may come frames that are shown before it and need others before it.
            if part.key is None or frame.pts >= part.begin:
                number, seconds = number + 1, frame.time - part.origin
                yield seconds, frame
    except av.error.FFmpegError as error:
        raise InvalidVideoError(path, f"it breaks off after {number} frames: {error_reason(error)}") from error
    if reason := missing_end(container, number, seconds) or missing_bytes(path):
        raise InvalidVideoError(path, reason)


def _decoded_from(path: Path, key: int | None) -> Iterator[av.VideoFrame]:
    for packet in _packets_from(path, key):
        for frame in packet.decode():
            assert isinstance(frame, av.VideoFrame)
            yield frame


def _packets_from(path: Path, key: int | None) -> Iterator[av.Packet]:
    """Yields the packets from a key frame on; from the beginning if there is none, or the file's index is wrong."""
    if key is not None:
        with open_video(path) as container:
            container.seek(key, stream=container.streams.video[0])
            packets = container.demux(video=0)
            first = next(packets)
            if first.is_keyframe and first.pts is not None and first.pts <= key:
                yield first
                yield from packets
                return
    with open_video(path) as container:
        yield from container.demux(video=0)


def _checked(
    frames: Iterable[tuple[float, av.VideoFrame]], path: Path, part: SequenceRange, form: SequenceForm
) -> Iterator[tuple[float, av.VideoFrame]]:
    """Yields the frames; where all are stored, checks that the packets of the range gave one each."""
    num_frames = 0 if part.end is None else (part.end - part.first) * form.num_frames
    for count, (seconds, frame) in enumerate(frames, 1):
        if part.last is not None and (count == num_frames) != (frame.pts == part.last):
            raise InvalidVideoError(path, f"frames {part.num_before} and behind are not those of its packets; {_UNCUT}")
        yield seconds, frame
