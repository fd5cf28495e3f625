"""A camera on this machine that speaks RTSP (RFC 2326): H.264 in RTP (RFC 6184), on the connection of the requests.

It goes on whether anybody looks or not: who connects sees it from that moment on, in the middle of a group of pictures.
"""

import base64
import contextlib
import queue
import re
import socketserver
import struct
import threading
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any, NamedTuple

import av
import numpy as np

# Of RTP's clock for video, in Hz.
_CLOCK = 90_000
_PAYLOAD_TYPE = 96
# Bytes of a packet of RTP, without its header; larger NAL units are sent in fragments.
_MAX_PAYLOAD = 1400
# Kinds of NAL units: sequence and picture parameter sets, and a fragment of another unit.
_PARAMETERS, _FRAGMENT = (7, 8), 28
# Frames that wait for a connection that takes none; a camera leaves out the others.
_CAPACITY = 50


class Shown(NamedTuple):
    """What a camera sends at some time.

    Attributes:
      red: brightness of the red frame, 0 to 1; the calm is black, a fight is red.
      side: height and width of the frame.
      fps: frames per second.
    """

    red: float
    side: int = 64
    fps: float = 10.0


class Frame(NamedTuple):
    """A coded frame: its time in seconds, and its NAL units."""

    seconds: float
    units: list[bytes]


Viewer = queue.Queue[Frame | None]


class RtspCamera(socketserver.ThreadingTCPServer):
    """Sends what `shows` returns for its seconds since the first connection.

    Attributes:
      port: at which it is seen.
      began: time of the first connection by the clock; None before.
      sent: seconds of the frame that was sent last.
      ended: is set when it is closed.
      parameters: NAL units of the last sequence and picture parameter set.
    """

    daemon_threads = True

    def __init__(
        self, shows: Callable[[float], Shown], clock: Callable[[], float] = time.monotonic, keyframe_seconds: float = 1
    ):
        """Begins with the first connection; `clock` says how time goes by."""
        super().__init__(("127.0.0.1", 0), _Connection)
        self.port = self.server_address[1]
        self.began: float | None = None
        self.sent = 0.0
        self.parameters: list[bytes] = []
        self._shows, self._clock, self._keyframe_seconds = shows, clock, keyframe_seconds
        self._viewers: set[Viewer] = set()
        self.ended = threading.Event()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def __exit__(self, *details: Any) -> None:
        self.ended.set()
        self._send(None)
        self.shutdown()
        super().__exit__(*details)

    def seconds(self) -> float:
        """Seconds since the first connection; 0 before."""
        return 0.0 if self.began is None else self._clock() - self.began

    def begin(self) -> None:
        """Begins to send, unless it does."""
        if self.began is None:
            self.began = self._clock()
            threading.Thread(target=self._film, daemon=True).start()

    @contextlib.contextmanager
    def viewer(self) -> Iterator["Viewer"]:
        """Yields a queue that gets every frame from now on, and None at the end."""
        frames: Viewer = queue.Queue(_CAPACITY)
        self._viewers.add(frames)
        try:
            yield frames
        finally:
            self._viewers.discard(frames)

    def _film(self) -> None:
        grain = np.random.default_rng(0)
        encoder, due, number = None, 0.0, 0
        while not self.ended.is_set():
            shown = self._shows(due)
            if encoder is None or (encoder.width, encoder.framerate) != (shown.side, shown.fps):
                encoder, number = _encoder(shown, self._keyframe_seconds), 0
            image = grain.integers(0, 40, (shown.side, shown.side, 3)).astype(np.uint8)
            image[..., 0] = round(255 * shown.red)
            frame = av.VideoFrame.from_ndarray(image, "rgb24")
            frame.pts = number
            for packet in encoder.encode(frame):
                units = nal_units(bytes(packet))
                self.parameters = [unit for unit in units if _kind(unit) in _PARAMETERS] or self.parameters
                self._send(Frame(due, units))
            self.sent, due, number = due, due + 1 / shown.fps, number + 1
            while self.seconds() < due and not self.ended.wait(0.002):
                pass

    def _send(self, frame: Frame | None) -> None:
        for viewer in list(self._viewers):
            with contextlib.suppress(queue.Full):
                viewer.put_nowait(frame)

    def handle_error(self, request, client_address):
        """Says nothing of connections that the program closed."""


def _encoder(shown: Shown, keyframe_seconds: float) -> av.VideoCodecContext:
    encoder = av.VideoCodecContext.create("libx264", "w")
    encoder.width = encoder.height = shown.side
    encoder.pix_fmt, encoder.framerate = "yuv420p", Fraction(shown.fps)
    encoder.time_base = 1 / encoder.framerate
    encoder.gop_size = round(keyframe_seconds * shown.fps)
    encoder.thread_count = 1
    # A frame leaves the encoder as soon as it is in, as in cameras.
    encoder.options = {"preset": "ultrafast", "tune": "zerolatency"}
    return encoder


def nal_units(coded: bytes) -> list[bytes]:
    """Splits coded frames at their start codes (H.264, annex B)."""
    return [unit for unit in re.split(b"\x00?\x00\x00\x01", coded) if unit]


def _kind(unit: bytes) -> int:
    return unit[0] & 0x1F


def payloads(unit: bytes) -> Iterator[bytes]:
    """Yields a NAL unit as the payload of one packet, or in fragments (RFC 6184, 5.6 and 5.8)."""
    if len(unit) <= _MAX_PAYLOAD:
        yield unit
        return
    for begin in range(1, len(unit), _MAX_PAYLOAD):
        first, last = begin == 1, begin + _MAX_PAYLOAD >= len(unit)
        head = bytes([unit[0] & 0xE0 | _FRAGMENT, first << 7 | last << 6 | _kind(unit)])
        yield head + unit[begin : begin + _MAX_PAYLOAD]


class _Connection(socketserver.StreamRequestHandler):
    server: RtspCamera

    def handle(self) -> None:
        self.writing = threading.Lock()
        self.server.begin()
        with contextlib.suppress(OSError):
            while (request := self._request()) and request[0] != "TEARDOWN":
                self._answer(*request)

    def _request(self) -> tuple[str, str] | None:
        """Returns the method and the number of the next request; None at the end."""
        while (first := self.rfile.read(1)) == b"$":
            # A report of what the program receives (RTCP).
            _, length = struct.unpack(">BH", self.rfile.read(3))
            self.rfile.read(length)
        lines = [first + self.rfile.readline()]
        while lines[-1].strip():
            lines.append(self.rfile.readline())
        number = re.search(rb"^CSeq: *(\d+)", b"".join(lines), re.IGNORECASE | re.MULTILINE)
        return (lines[0].split()[0].decode(), number[1].decode()) if number else None

    def _answer(self, method: str, number: str) -> None:
        headers, body = {"CSeq": number, "Session": "1"}, ""
        if method == "OPTIONS":
            headers["Public"] = "DESCRIBE, SETUP, PLAY, TEARDOWN"
        elif method == "DESCRIBE":
            body = _description(self.server.parameters)
            headers |= {"Content-Type": "application/sdp", "Content-Length": str(len(body))}
        elif method == "SETUP":
            headers["Transport"] = "RTP/AVP/TCP;unicast;interleaved=0-1"
        lines = ["RTSP/1.0 200 OK", *(f"{name}: {value}" for name, value in headers.items()), "", body]
        self._write("\r\n".join(lines).encode())
        if method == "PLAY":
            threading.Thread(target=self._play, daemon=True).start()

    def _write(self, content: bytes) -> None:
        with self.writing:
            self.wfile.write(content)

    def _play(self) -> None:
        """Sends frames until the connection ends."""
        number, source = np.random.default_rng().integers(0, 2**16, 2).tolist()
        with self.server.viewer() as viewer, contextlib.suppress(OSError, ValueError):
            while (frame := viewer.get()) is not None:
                parts = [part for unit in frame.units for part in payloads(unit)]
                for left, part in zip(reversed(range(len(parts))), parts, strict=True):
                    packet = _packet(part, number, round(_CLOCK * frame.seconds), source, ends=not left)
                    self._write(_interleaved(packet))
                    number += 1


def _packet(payload: bytes, number: int, timestamp: int, source: int, *, ends: bool) -> bytes:
    """Returns a packet of RTP (RFC 3550, 5.1); the last one of a frame `ends` it."""
    kind = ends << 7 | _PAYLOAD_TYPE
    return struct.pack(">BBHII", 0x80, kind, number % 2**16, timestamp % 2**32, source) + payload


def _interleaved(packet: bytes) -> bytes:
    """Returns a packet as it is sent on the connection of the requests (RFC 2326, 10.12)."""
    return b"$" + struct.pack(">BH", 0, len(packet)) + packet


def _description(parameters: list[bytes]) -> str:
    """Returns what the camera sends (SDP, RFC 4566), with its parameter sets once they are known."""
    sets = ",".join(base64.b64encode(unit).decode() for unit in parameters)
    lines = [
        *("v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=camera", "c=IN IP4 0.0.0.0", "t=0 0", "a=control:*"),
        *(f"m=video 0 RTP/AVP {_PAYLOAD_TYPE}", f"a=rtpmap:{_PAYLOAD_TYPE} H264/{_CLOCK}"),
        f"a=fmtp:{_PAYLOAD_TYPE} packetization-mode=1" + (f";sprop-parameter-sets={sets}" if sets else ""),
        "a=control:video",
    ]
    return "".join(f"{line}\r\n" for line in lines)
