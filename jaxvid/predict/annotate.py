"""Annotated videos: a video with the probabilities drawn into its frames, sound kept."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import av.error
import cv2
import numpy as np
from av.container import InputContainer, OutputContainer
from jaxtyping import UInt8

from jaxvid.files import replacing
from jaxvid.predict.events import Timeline
from jaxvid.video.streams import frame_time
from jaxvid.video.workers import InvalidVideoError

# Codecs of sound that MP4 takes as it is; other sound is encoded again.
_KEPT_SOUND = ("aac", "mp3", "ac3")
_TEXT, _LIKELY, _UNLIKELY = (255, 255, 255), (235, 90, 40), (90, 160, 220)


def annotate(container: InputContainer, path: Path, timeline: Timeline, output: Path) -> None:
    """Writes an open video as MP4 with the probabilities drawn in, in its own size and times, sound kept.

    The file appears under its name once it is complete.

    Raises:
      InvalidVideoError: if the video cannot be decoded.
    """
    try:
        with replacing(output) as unfinished, av.open(str(unfinished), "w") as written:
            _write(container, timeline, written)
    except av.error.FFmpegError as error:
        raise InvalidVideoError(path, f"it cannot be annotated: {error.strerror}") from error


def _write(container: InputContainer, timeline: Timeline, written: OutputContainer) -> None:
    source = container.streams.video[0]
    sound = container.streams.audio[0] if container.streams.audio else None
    # H.264 needs even sides.
    width, height = source.codec_context.width // 2 * 2, source.codec_context.height // 2 * 2
    video = written.add_stream("libx264", rate=Fraction(source.average_rate or 25), options={"crf": "21"})
    video.width, video.height, video.pix_fmt = width, height, "yuv420p"
    if source.time_base is not None:
        video.codec_context.time_base = source.time_base
    kept = sound is not None and sound.codec_context.name in _KEPT_SOUND
    audio = None
    if sound is not None:
        audio = written.add_stream_from_template(sound) if kept else written.add_stream("aac", rate=sound.rate)
    first, number = 0.0, 0
    for packet in container.demux([stream for stream in (source, sound) if stream is not None]):
        if packet.stream is sound and kept:
            if packet.dts is not None and audio is not None:
                packet.stream = audio
                written.mux(packet)
            continue
        for frame in packet.decode():
            if isinstance(frame, av.AudioFrame) and audio is not None:
                written.mux(audio.encode(frame))
            elif isinstance(frame, av.VideoFrame):
                seconds = frame_time(frame, number, source)
                first, number = first if number else seconds, number + 1
                drawn = draw(frame.to_ndarray(format="rgb24")[:height, :width], timeline, seconds - first)
                new = av.VideoFrame.from_ndarray(drawn, "rgb24")
                new.pts, new.time_base = frame.pts, frame.time_base
                written.mux(video.encode(new))
    written.mux(video.encode(None))
    if audio is not None and not kept:
        written.mux(audio.encode(None))


def draw(
    frame: UInt8[np.ndarray, "height width 3"], timeline: Timeline, seconds: float
) -> UInt8[np.ndarray, "height width 3"]:
    """Returns a copy of a frame with bars for the probabilities and the name of the most probable class."""
    frame = np.ascontiguousarray(frame)
    height, width = frame.shape[:2]
    unit = max(10, height // 24)
    for row, (name, value) in enumerate(_bars(timeline, seconds)):
        top, left, length = unit // 2 + row * (unit + 4), unit // 2, max(4, width // 3)
        frame[top : top + unit, left : left + length] //= 3
        color = _LIKELY if value >= 0.5 else _UNLIKELY
        cv2.rectangle(frame, (left, top), (left + int(value * length), top + unit - 1), color, -1)
        _write_text(frame, f"{name} {100 * value:.0f} %", (left + 4, top + unit - 3), unit)
    most_probable = timeline.class_names[int(timeline.at(seconds).argmax())]
    _write_text(frame, most_probable, (unit // 2, height - unit // 2), 2 * unit)
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
