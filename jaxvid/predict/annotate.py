"""Videos with what the network says drawn into them, sound kept."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.error
import cv2
import numpy as np
from jaxtyping import Float, UInt8

from jaxvid.files import replacing
from jaxvid.predict.events import Timeline
from jaxvid.video.streams import frame_time
from jaxvid.video.workers import InvalidVideoError

# What an MP4 file holds as it is; other sound is encoded anew.
_KEPT_SOUND = ("aac", "mp3", "ac3")
_INK, _BAR, _CALM = (255, 255, 255), (235, 90, 40), (90, 160, 220)


def annotate(container: Any, path: Path, timeline: Timeline, output: Path) -> None:
    """Writes an open video as MP4 with the probabilities drawn in, at its own size and times, sound kept.

    The file appears under its name once it is whole.

    Raises:
      InvalidVideoError: if the video cannot be decoded.
    """
    try:
        with replacing(output) as unfinished, av.open(str(unfinished), "w") as written:
            _write(container, timeline, written)
    except av.error.FFmpegError as error:
        raise InvalidVideoError(path, f"it cannot be annotated: {error.strerror}") from error


def _write(container: Any, timeline: Timeline, written: Any) -> None:
    picture = container.streams.video[0]
    sound = container.streams.audio[0] if container.streams.audio else None
    # H.264 takes even sides alone.
    width, height = picture.codec_context.width // 2 * 2, picture.codec_context.height // 2 * 2
    video = written.add_stream("libx264", rate=Fraction(picture.average_rate or 25), options={"crf": "21"})
    video.width, video.height, video.pix_fmt = width, height, "yuv420p"
    video.codec_context.time_base = picture.time_base
    kept = sound is not None and sound.codec_context.name in _KEPT_SOUND
    audio = None
    if sound is not None:
        audio = written.add_stream_from_template(sound) if kept else written.add_stream("aac", rate=sound.rate)
    first, number = 0.0, 0
    for packet in container.demux([stream for stream in (picture, sound) if stream is not None]):
        if packet.stream is sound and kept:
            if packet.dts is not None:
                packet.stream = audio
                written.mux(packet)
            continue
        for frame in packet.decode():
            if audio is not None and packet.stream is sound:
                written.mux(audio.encode(frame))
                continue
            seconds = frame_time(frame, number, picture)
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
    """A copy of a picture with a bar for each class (of two, the second) and the name of the most probable one."""
    frame = np.ascontiguousarray(frame)
    probabilities = timeline.at(seconds)
    height, width = frame.shape[:2]
    unit = max(10, height // 24)
    for row, (name, value) in enumerate(_bars(timeline, probabilities)):
        top, left, room = unit // 2 + row * (unit + 4), unit // 2, max(4, width // 3)
        frame[top : top + unit, left : left + room] //= 3
        color = _BAR if value >= 0.5 else _CALM
        cv2.rectangle(frame, (left, top), (left + int(value * room), top + unit - 1), color, -1)
        _text(frame, f"{name} {100 * value:.0f} %", (left + 4, top + unit - 3), unit)
    label = timeline.class_names[int(probabilities.argmax())]
    _text(frame, label, (unit // 2, height - unit // 2), 2 * unit)
    return frame


def _bars(timeline: Timeline, probabilities: Float[np.ndarray, "classes"]) -> Iterator[tuple[str, float]]:
    """The bars drawn: the positive one of two classes, the three most probable of more."""
    if len(timeline.class_names) == 2:
        yield timeline.class_names[1], float(probabilities[1])
        return
    for index in np.argsort(-probabilities)[:3]:
        yield timeline.class_names[index], float(probabilities[index])


def _text(frame: np.ndarray, text: str, place: tuple[int, int], height: int) -> None:
    # OpenCV's letters are ASCII alone.
    text = text.encode("ascii", errors="replace").decode()
    scale = height / 30
    cv2.putText(frame, text, place, cv2.FONT_HERSHEY_SIMPLEX, scale, (0, 0, 0), 3, cv2.LINE_AA)
    cv2.putText(frame, text, place, cv2.FONT_HERSHEY_SIMPLEX, scale, _INK, 1, cv2.LINE_AA)
