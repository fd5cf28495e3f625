"""A camera on this machine that drops, stalls, changes, sends garbage, and comes back, in the middle of an event."""

import contextlib
import http.server
import io
import json
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import cv2
import numpy as np

from jaxvid.predict.camera import follow_camera
from jaxvid.predict.events import Thresholds
from jaxvid.predict.files import PredictOptions
from tests.faults.campaign import Try
from tests.predict.made_videos import red_predictor

PROMISE = "a camera that fails goes on when it is back; an event is neither lost nor doubled across the break"

_FPS = 10.0
# Seconds: nothing happens, then a fight, in whose middle the fault is, then nothing again.
_CALM, _FIGHT, _AFTER = 3.0, 6.0, 4.0
# Later than the events of the stream are these by a busy machine and by what FFmpeg reads ahead.
_TOLERANCE_SECONDS = 3.0
_BOUNDARY = b"--frame\r\n"


class _Camera(http.server.ThreadingHTTPServer):
    """Serves MJPEG; which frame is due depends on the time since the first connection."""

    daemon_threads = True

    def __init__(self, fault: str, rng: np.random.Generator):
        super().__init__(("127.0.0.1", 0), _Stream)
        self.fault, self.rng = fault, rng
        self.began: float | None = None
        self.done = False

    def since(self) -> float:
        if self.began is None:
            self.began = time.monotonic()
        return time.monotonic() - self.began

    def handle_error(self, request, client_address):
        """Says nothing of connections that the program closed."""


class _Stream(http.server.BaseHTTPRequestHandler):
    server: _Camera

    def log_message(self, *args):
        del args

    def do_GET(self):
        camera = self.server
        if camera.fault == "refuses" and camera.done and camera.since() < _CALM + _FIGHT / 2 + 1.5:
            self.send_error(503)
            return
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        for part in _parts(camera):
            self.wfile.write(part)
            self.wfile.flush()


def _parts(camera: _Camera) -> Iterator[bytes]:
    """Yields frames at their time; a connection ends where the fault ends it."""
    side = 64
    while True:
        now = camera.since()
        if not camera.done and now >= _CALM + _FIGHT / 2:
            camera.done = True
            if camera.fault in ("drops", "refuses"):
                return
            if camera.fault == "garbage":
                yield camera.rng.integers(0, 256, 5000, np.uint8).tobytes()
            elif camera.fault == "half a frame":
                yield _part(_jpeg(side, 1.0)[:200])
                return
            elif camera.fault == "stalls":
                time.sleep(1.5)
        changed = camera.done and camera.fault == "another size"
        fps = _FPS / 2 if camera.done and camera.fault == "another rate" else _FPS
        red = 1.0 if _CALM <= now < _CALM + _FIGHT else 0.0
        yield _part(_jpeg(96 if changed else side, red))
        time.sleep(1 / fps)


def _jpeg(side: int, red: float) -> bytes:
    image = np.zeros((side, side, 3), np.uint8)
    image[..., 2] = round(255 * red)
    return cv2.imencode(".jpg", image)[1].tobytes()


def _part(jpeg: bytes) -> bytes:
    return _BOUNDARY + b"Content-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(jpeg) + jpeg + b"\r\n"


FAULTS = ("drops", "refuses", "stalls", "garbage", "half a frame", "another size", "another rate")


def attempt(one: Try) -> Sequence[str]:
    """Follows a camera with one of the faults; the event is to be found once, whole."""
    fault = FAULTS[one.number % len(FAULTS)]
    camera = _Camera(fault, one.rng)
    threading.Thread(target=camera.serve_forever, daemon=True).start()
    end = _CALM + _FIGHT + _AFTER + _TOLERANCE_SECONDS
    try:
        address = f"http://127.0.0.1:{camera.server_address[1]}/"
        lines = followed(address, lambda: camera.began is not None and camera.since() > end)
    finally:
        camera.shutdown()
        camera.server_close()
    return [_verdict(fault, lines)]


def followed(address: str, over: Callable[[], bool], window_seconds: float = 1.0) -> list[dict[str, Any]]:
    """Follows a camera until Ctrl-C, which comes when it is `over`; returns the lines that were printed."""
    options = PredictOptions(Thresholds(0.6, 0.4), window_seconds=window_seconds, stride_seconds=window_seconds / 4)
    ended = threading.Event()

    def interrupt() -> None:
        while not ended.wait(0.2):
            if over():
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
                return

    threading.Thread(target=interrupt, daemon=True).start()
    printed = io.StringIO()
    # Shells let commands in the background ignore Ctrl-C.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with contextlib.redirect_stdout(printed):
            follow_camera(red_predictor(), address, options)
    finally:
        ended.set()
        signal.signal(signal.SIGINT, before)
    return [json.loads(line) for line in printed.getvalue().splitlines()]


def _verdict(fault: str, lines: list[dict]) -> str:
    if [line["event"] for line in lines] != ["onset", "offset"]:
        return f"a camera that {fault}: events {[(line['event'], line['onset']) for line in lines]}, not one"
    last = lines[-1]
    if not _FIGHT - _TOLERANCE_SECONDS < last["offset"] - last["onset"] < _FIGHT + _TOLERANCE_SECONDS:
        return f"a camera that {fault}: an event from {last['onset']:.1f} to {last['offset']:.1f} s, not of {_FIGHT} s"
    return ""
