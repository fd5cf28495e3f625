"""Annotated videos: a video with the probabilities drawn into its frames, upright, sound kept."""

import contextlib
import heapq
import itertools
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import av.error
import cv2
import numpy as np
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from jaxtyping import UInt8

from jaxvid.files import replacing
from jaxvid.predict.events import Timeline
from jaxvid.video.damage import Damage
from jaxvid.video.faces import FaceBlur
from jaxvid.video.streams import open_video, quarter_turns, raw_frames, upright, video_start
from jaxvid.video.workers import InvalidVideoError

# Codecs of sound that MP4 takes as it is; other sound is encoded again.
_KEPT_SOUND = ("aac", "mp3", "ac3")
_TEXT, _LIKELY, _UNLIKELY = (255, 255, 255), (235, 90, 40), (90, 160, 220)


def annotate(path: Path, timeline: Timeline, output: Path, face_blur: FaceBlur | None = None) -> None:
    """Writes a video as MP4 with the probabilities drawn in, upright, in its own size and times, sound kept.

    What does not decode is left out. The file appears under its name once it is complete.

    Args:
      path: the video.
      timeline: its probabilities.
      output: the copy.
      face_blur: blurs the faces in the frames; None leaves them.

    Raises:
      InvalidVideoError: if no frame can be decoded, or the copy cannot be written.
    """
    try:
        with (
            replacing(output) as unfinished,
            av.open(str(unfinished), "w") as written,
            open_video(path) as images,
            open_video(path) as sound,
        ):
            # Each adds its stream before its first packet, and the first of both are taken before one is written.
            streams = [_drawn(images, path, timeline, written, face_blur), _sound(sound, written)]
            for _, packet in heapq.merge(*streams, key=lambda timed: timed[0]):
                written.mux(packet)
    # What an encoder or the container refuses may be any of these.
    except (av.error.FFmpegError, ValueError) as error:
        if isinstance(error, InvalidVideoError):
            raise
        raise InvalidVideoError(path, f"it cannot be annotated: {error}") from error


def _drawn(
    container: InputContainer, path: Path, timeline: Timeline, written: OutputContainer, face_blur: FaceBlur | None
) -> Iterator[tuple[float, Packet]]:
    """Yields the packets of the frames, drawn over, with their times; adds a stream for them first."""
    source = container.streams.video[0]
    source.thread_type = "AUTO"
    # What is damaged was noted when the timeline was predicted.
    frames = raw_frames(container, path, Damage())
    first = next(frames)
    size = first[1].width, first[1].height
    turns = quarter_turns(first[1])
    video = written.add_stream("libx264", rate=Fraction(source.average_rate or 25), options={"crf": "21"})
    # H.264 needs even sides.
    video.width, video.height = (side // 2 * 2 for side in (size if turns % 2 == 0 else size[::-1]))
    video.pix_fmt = "yuv420p"
    aspect = source.sample_aspect_ratio
    if aspect:
        video.codec_context.sample_aspect_ratio = 1 / aspect if turns % 2 else aspect
    time_base = video.codec_context.time_base = source.time_base or Fraction(1, 90000)
    last = None
    for seconds, frame in itertools.chain([first], frames):
        position = round((video_start(container) + seconds) / time_base)
        # Two frames at one time: an encoder takes only one.
        if last is not None and position <= last:
            continue
        last = position
        image = upright(frame.reformat(*size, format="rgb24", threads=1).to_ndarray(), turns)
        if face_blur is not None:
            image = face_blur(image, seconds)
        drawn = draw(image[: video.height, : video.width], timeline, seconds)
        new = av.VideoFrame.from_ndarray(drawn, "rgb24")
        new.pts, new.time_base = position, time_base
        yield from _timed(video.encode(new))
    yield from _timed(video.encode(None))


def _sound(container: InputContainer, written: OutputContainer) -> Iterator[tuple[float, Packet]]:
    """Yields the packets of the sound with their times; adds a stream for them first, if there is sound."""
    if not container.streams.audio:
        return
    source = container.streams.audio[0]
    if source.codec_context.name in _KEPT_SOUND:
        stream = written.add_stream_from_template(source)
        packets = _kept(container.demux(source), stream)
    else:
        packets = _encoded(container, written.add_stream("aac", rate=source.rate))
    last = None
    for seconds, packet in _timed(_readable(packets)):
        # Damaged times may go back, which no container takes.
        if last is None or seconds > last:
            last = seconds
            yield seconds, packet


def _kept(packets: Iterable[Packet], stream: AudioStream) -> Iterator[Packet]:
    for packet in packets:
        # The last packet of a file is empty.
        if packet.dts is not None:
            packet.stream = stream
            yield packet


def _encoded(container: InputContainer, stream: AudioStream) -> Iterator[Packet]:
    for packet in container.demux(audio=0):
        with contextlib.suppress(av.error.FFmpegError):
            for frame in packet.decode():
                assert isinstance(frame, av.AudioFrame)
                yield from stream.encode(frame)
    yield from stream.encode(None)


def _readable(packets: Iterable[Packet]) -> Iterator[Packet]:
    """Yields packets up to the place at which the file breaks off."""
    with contextlib.suppress(av.error.FFmpegError):
        yield from packets


def _timed(packets: Iterable[Packet]) -> Iterator[tuple[float, Packet]]:
    for packet in packets:
        if packet.dts is not None and packet.time_base is not None:
            yield float(packet.dts * packet.time_base), packet


def draw(
    frame: UInt8[np.ndarray, "height width 3"], timeline: Timeline, seconds: float
) -> UInt8[np.ndarray, "height width 3"]:
    """Returns a copy of a frame with bars for the probabilities and the name of the class that they decide for.

    A bar is red from the threshold of its class on, without one from 0.5 on.
    """
    frame = np.ascontiguousarray(frame)
    height, width = frame.shape[:2]
    unit = max(10, height // 24)
    for row, (name, value) in enumerate(_bars(timeline, seconds)):
        top, left, length = unit // 2 + row * (unit + 4), unit // 2, max(4, width // 3)
        frame[top : top + unit, left : left + length] //= 3
        limit = 0.5 if timeline.threshold is None else timeline.threshold.of(name)
        color = _LIKELY if value >= limit else _UNLIKELY
        cv2.rectangle(frame, (left, top), (left + int(value * length), top + unit - 1), color, -1)
        _write_text(frame, f"{name} {100 * value:.0f} %", (left + 4, top + unit - 3), unit)
    _write_text(frame, timeline.decide(timeline.at(seconds)), (unit // 2, height - unit // 2), 2 * unit)
    return frame


def _bars(timeline: Timeline, seconds: float) -> Iterator[tuple[str, float]]:
    """Yields the classes to draw with their probabilities: the positive one of two, or the three most probable."""
    probabilities = dict(zip(timeline.class_names, timeline.at(seconds).tolist(), strict=True))
    for name in sorted(timeline.drawn_classes, key=lambda name: -probabilities[name])[:3]:
        yield name, probabilities[name]


def _write_text(frame: UInt8[np.ndarray, "height width 3"], text: str, position: tuple[int, int], height: int) -> None:
    # OpenCV's fonts hold only ASCII.
    text = text.encode("ascii", errors="replace").decode()
    scale = height / 30
    for color, thickness in (((0, 0, 0), 3), (_TEXT, 1)):
        cv2.putText(frame, text, position, cv2.FONT_HERSHEY_SIMPLEX, scale, color, thickness, cv2.LINE_AA)
