"""A camera that speaks RTSP and sends H.264, over a line that fails in the middle of an event or at either end of it.

The server is our own (`rtsp_server.py`), because Debian's packages hold none of one program (mediamtx is not among
them, GStreamer's needs 129). The program at the other end is FFmpeg, as for every camera.
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from types import SimpleNamespace
from typing import Any, NamedTuple
from unittest import mock

import numpy as np

from jaxvid.predict import camera as camera_module
from tests.faults.cameras import followed
from tests.faults.campaign import Try
from tests.faults.held import Held, growth, held
from tests.faults.line import Line
from tests.faults.rtsp_server import RtspCamera, Shown

PROMISE = "an RTSP camera that fails goes on when it is back; no event is lost or doubled; nothing grows in an hour"

# Seconds: nothing happens, then a fight, which goes on for so long and for as long as the fault, then nothing again.
_CALM, _FIGHT, _AFTER = 4.0, 6.0, 4.0
# By a busy machine, and by the frames that FFmpeg reads before it shows the first.
_TOLERANCE_SECONDS = 3.0
# Earlier than the camera shows an event it is found by the half of a window and its stride.
_EARLY_SECONDS = 1.5
_WHERE = ("in the middle", "at the beginning", "at the end")


class Fault(NamedTuple):
    """Something that goes wrong.

    Attributes:
      breaks: breaks the line and mends it.
      seconds: until frames come again, at most.
      side: height and width of the frames from then on.
      fps: frames per second from then on.
      keyframe_seconds: from one frame that can be decoded alone to the next.
    """

    breaks: Callable[[Line, np.random.Generator], None] = lambda line, rng: None
    seconds: float = 0.0
    side: int = 64
    fps: float = 10.0
    keyframe_seconds: float = 1.0


def _drops(line: Line, _: np.random.Generator) -> None:
    line.cut()


def _refuses(line: Line, _: np.random.Generator) -> None:
    with mock.patch.object(line, "refuses", True):
        line.cut()
        time.sleep(5.0)


def _drops_again_and_again(line: Line, rng: np.random.Generator) -> None:
    for _ in range(6):
        line.cut()
        time.sleep(rng.uniform(0.2, 3.0))


def _pauses(line: Line, _: np.random.Generator) -> None:
    with mock.patch.object(line, "silent", True):
        time.sleep(3.0)


def _restarts(line: Line, _: np.random.Generator) -> None:
    line.forget()


def _answers_nothing(line: Line, _: np.random.Generator) -> None:
    """For longer than jaxvid waits for a camera, which is half a minute (`opening.STREAM_SECONDS`)."""
    with mock.patch.object(line, "silent", True):
        line.cut()
        time.sleep(33.0)


def _sends_garbage(line: Line, rng: np.random.Generator) -> None:
    _change(line, 0.5, lambda piece: rng.bytes(int(rng.integers(1, 5000))) + piece)


def _flips_bits(line: Line, rng: np.random.Generator) -> None:
    def flipped(piece: bytes) -> bytes:
        changed = np.frombuffer(piece, np.uint8).copy()
        changed[rng.random(len(changed)) < 0.002] ^= 1 << rng.integers(0, 8)
        return changed.tobytes()

    _change(line, 3.0, flipped)


def _loses_bytes(line: Line, rng: np.random.Generator) -> None:
    _change(line, 3.0, lambda piece: piece[int(rng.integers(0, len(piece))) :])


def _change(line: Line, seconds: float, change: Callable[[bytes], bytes]) -> None:
    with mock.patch.object(line, "change", change):
        time.sleep(seconds)


FAULTS = {
    "drops": Fault(_drops, 4.0),
    "sends garbage": Fault(_sends_garbage, 8.0),
    "changes its size": Fault(side=96),
    "changes its rate": Fault(fps=5.0),
    "refuses": Fault(_refuses, 12.0),
    "pauses": Fault(_pauses, 4.0),
    "flips bits": Fault(_flips_bits, 8.0),
    "loses bytes": Fault(_loses_bytes, 8.0),
    "drops, with seldom keyframes": Fault(_drops, 12.0, keyframe_seconds=5.0),
    "drops again and again": Fault(_drops_again_and_again, 26.0),
    "restarts, with another size": Fault(_restarts, 40.0, side=96),
    "answers nothing": Fault(_answers_nothing, 42.0),
}


def attempt(one: Try) -> Sequence[str]:
    """Follows a camera with one of the faults, where the event is to be found once, whole; or an hour with many."""
    place, number = divmod(one.number, len(FAULTS) + 1)
    if number == len(FAULTS):
        return [_an_hour(one.rng)]
    name, fault = list(FAULTS.items())[number]
    where = _WHERE[place % len(_WHERE)]
    # Nothing is seen before the second frame that can be decoded alone: the first is sent before anybody looks.
    begin = _CALM + fault.keyframe_seconds
    end = begin + _FIGHT + fault.seconds
    breaks_at = {"in the middle": begin + 3.0, "at the beginning": begin - 0.5, "at the end": end - 0.5}[where]

    def shows(seconds: float) -> Shown:
        shown = Shown(float(begin <= seconds < end))
        return shown if seconds < breaks_at else shown._replace(side=fault.side, fps=fault.fps)

    with RtspCamera(shows, keyframe_seconds=fault.keyframe_seconds) as camera, Line(camera.port) as line:
        over = end + _AFTER + _TOLERANCE_SECONDS + fault.seconds * (where == "at the end")
        _at([breaks_at], camera, lambda: fault.breaks(line, one.rng))
        lines = followed(_address(line), lambda: _is_over(camera, over))
    late = {place: _TOLERANCE_SECONDS + fault.seconds * (where == place) for place in _WHERE}
    onset = (begin - _EARLY_SECONDS, begin + late["at the beginning"])
    offset = (end - _EARLY_SECONDS, end + late["at the end"])
    verdict = _verdict(lines, onset, offset)
    return [f"a camera that {name} {where} of an event: {verdict}" if verdict else ""]


def _address(line: Line) -> str:
    return f"rtsp://127.0.0.1:{line.port}/camera"


def _is_over(camera: RtspCamera, end: float) -> bool:
    """Returns whether a camera has sent all up to some time, or will never."""
    return camera.sent > end or camera.seconds() > 2 * end + 60.0


def _at(times: Sequence[float], camera: RtspCamera, do: Callable[[], object]) -> None:
    """Does something in a thread at some times of a camera."""

    def wait() -> None:
        for seconds in times:
            while camera.sent < seconds:
                if camera.ended.wait(0.02):
                    return
            do()

    threading.Thread(target=wait, daemon=True).start()


def _verdict(lines: list[dict[str, Any]], onset: tuple[float, float], offset: tuple[float, float]) -> str:
    if [line["event"] for line in lines] != ["onset", "offset"]:
        return f"events {[(line['event'], line['onset'], line['offset']) for line in lines]}, not one"
    found = lines[-1]["onset"], lines[-1]["offset"]
    for name, seconds, (earliest, latest) in zip(("onset", "offset"), found, (onset, offset), strict=True):
        if not earliest <= seconds <= latest:
            return f"its {name} at {seconds:.1f} s, not from {earliest:.1f} to {latest:.1f} s"
    return ""


# How much faster than the clock the hour is, and what it holds: three minutes of fight in ten. The camera fails in
# the middle of each, and once in between; opening it again takes a minute of that hour or two.
_SPEED = 20.0
_PERIOD, _FIGHT_FROM, _FIGHT_TO = 600.0, 60.0, 240.0
_FIRST_BREAK, _BREAK_EVERY = 150.0, 300.0
# After the first breaks, and after all; far from any break.
_EARLY, _LATE = 650.0, 3650.0


def _an_hour(rng: np.random.Generator) -> str:
    faults = (_drops, _sends_garbage, _loses_bytes)
    measured: list[Held] = []

    def clock() -> float:
        return _SPEED * time.monotonic()

    def shows(seconds: float) -> Shown:
        return Shown(float(_FIGHT_FROM <= seconds % _PERIOD < _FIGHT_TO))

    def breaks() -> Iterator[None]:
        while True:
            for fault in faults:
                yield fault(line, rng)

    with RtspCamera(shows, clock) as camera, Line(camera.port) as line, _faster(clock):
        breaking = breaks()
        _at(np.arange(_FIRST_BREAK, _LATE + _BREAK_EVERY, _BREAK_EVERY).tolist(), camera, lambda: next(breaking))
        _at([_EARLY, _LATE], camera, lambda: measured.append(_steadily_held()))
        lines = followed(_address(line), lambda: len(measured) == 2 or _is_over(camera, 2 * _LATE), window_seconds=4.0)
        connections = line.connections
    kinds = [line["event"] for line in lines]
    if kinds != ["onset", "offset"] * 6:
        return f"an hour of a camera that fails again and again: {kinds}, not six events"
    return growth(f"an hour of a camera with {connections} connections", *measured)


def _steadily_held() -> Held:
    """Returns the least that is held in a second: some threads come and go with every picture."""
    samples = []
    for _ in range(10):
        time.sleep(0.1)
        samples.append(held())
    return min(samples, key=lambda sample: (sample.threads, sample.files))


def _faster(clock: Callable[[], float]) -> Any:
    return mock.patch.object(camera_module, "time", SimpleNamespace(monotonic=clock, sleep=time.sleep, time=time.time))
