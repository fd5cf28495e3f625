"""Streams of the RTSP server of the campaign of faults, ten times as fast as a camera's."""

import http.server
import threading
import time

import numpy as np

from jaxvid.video import opening
from jaxvid.video.network import StreamCapture
from tests.faults import rtsp_server
from tests.faults.line import Line
from tests.faults.rtsp_server import RtspCamera, Shown, payloads
from tests.predict.made_videos import write_greys


def fast():
    return 10 * time.monotonic()


def red(_):
    return Shown(1.0)


def address_of(server):
    return f"rtsp://127.0.0.1:{server.port}/camera"


def test_a_stream_is_waited_for_until_a_frame_decodes_alone():
    with RtspCamera(red, fast, keyframe_seconds=20.0) as camera:
        camera.begin()
        while camera.sent < 5.0:
            time.sleep(0.01)
        capture = StreamCapture(address_of(camera))
        assert capture.isOpened()
        read, frame = capture.read()
        assert camera.sent >= 20.0
        capture.release()
    assert read
    # BGR, as OpenCV has it.
    assert frame.shape == (64, 64, 3)
    assert frame[..., 2].mean() > 200
    assert frame[..., 0].mean() < 60


def test_damaged_frames_are_no_end(monkeypatch):
    rng = np.random.default_rng(0)

    def damaged(unit):
        # Pictures, and not what they need to be decoded at all.
        yield from payloads(unit if len(unit) < 50 else unit[:4] + rng.bytes(len(unit) - 4))

    with RtspCamera(red, fast) as camera:
        capture = StreamCapture(address_of(camera))
        capture.read()
        monkeypatch.setattr(rtsp_server, "payloads", damaged)
        time.sleep(0.5)
        monkeypatch.setattr(rtsp_server, "payloads", payloads)
        reads = [capture.read()[0] for _ in range(100)]
        capture.release()
    assert all(reads)


def test_the_frames_of_a_stream_have_the_size_that_they_are_sent_with():
    with RtspCamera(lambda seconds: Shown(1.0, 64 if seconds < 10 else 96), fast) as camera:
        capture = StreamCapture(address_of(camera))
        sides = {capture.read()[1].shape[0] for _ in range(150)}
        capture.release()
    assert sides == {64, 96}


def test_a_stream_that_sends_nothing_ends(monkeypatch):
    with RtspCamera(red, fast) as camera, Line(camera.port) as line:
        monkeypatch.setattr(opening, "STREAM_SECONDS", 1.0)
        capture = StreamCapture(address_of(line))
        assert capture.read()[0]
        line.silent, began = True, time.monotonic()
        while capture.read()[0]:
            assert time.monotonic() < began + 20
        assert capture.read() == (False, None)
        assert not StreamCapture(address_of(line)).isOpened()
        capture.release()


def test_a_playlist_opens_no_file_of_this_machine(tmp_path):
    write_greys(tmp_path / "private.ts", [30] * 20)
    segment = f"file://{tmp_path / 'private.ts'}"
    playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{segment}\n#EXT-X-ENDLIST\n"

    class Serving(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "application/vnd.apple.mpegurl")
            self.send_header("Content-Length", str(len(playlist)))
            self.end_headers()
            self.wfile.write(playlist.encode())

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Serving) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        capture = StreamCapture(f"http://127.0.0.1:{server.server_address[1]}/live.m3u8")
        assert not capture.isOpened()
        capture.release()
        server.shutdown()
