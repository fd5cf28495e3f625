"""Downloads from a host that is slow, cuts off, lies, redirects, sends another file, or answers 429 and 500."""

import contextlib
import hashlib
import http.server
import os
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from unittest import mock

from tqdm import tqdm

from jaxvid.pretrained import download
from tests.faults.campaign import Try

PROMISE = "a download resumes or is refused; the cache never holds a file with a wrong hash"

# A try may take so long; the host sleeps longer than the program waits for it.
_DEADLINE_SECONDS = 30.0
_PATIENCE_SECONDS = 0.4
_SLEEP_SECONDS = 0.8

# What the host does to one request after another; the last one goes on for all later ones.
_BEHAVIOURS = (
    "whole", "cut", "reset", "stall", "slow", "too short a length", "too long a length", "no length", "endless",
    "another file", "empty", "redirect", "redirect to itself", "redirect to a file", "redirect to another file", "429",
    "500", "503", "404", "negative length", "no number as length", "garbage", "wrong part", "part of another file",
    "chunked", "chunked, cut",
)  # fmt: skip


class _Host(http.server.ThreadingHTTPServer):
    """A host with a file, and what it does to the requests that come."""

    daemon_threads = True

    def __init__(self, content: bytes, behaviours: list[str], secret: Path):
        super().__init__(("127.0.0.1", 0), _Answer)
        self.content, self.behaviours, self.secret = content, behaviours, secret

    def handle_error(self, request, client_address):
        """Says nothing of connections that the program closed."""


class _Answer(http.server.BaseHTTPRequestHandler):
    server: _Host
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        del args

    def do_GET(self):
        self.close_connection = True
        behaviour = self.server.behaviours[0]
        if self.path in ("/moved", "/other"):
            behaviour = "whole"
        elif len(self.server.behaviours) > 1:
            self.server.behaviours.pop(0)
        self._answer(behaviour)

    def _answer(self, behaviour):
        content, half = self.server.content, len(self.server.content) // 2
        if behaviour.isdigit():
            self.send_error(int(behaviour))
        elif behaviour == "garbage":
            self.wfile.write(os.urandom(200))
        elif behaviour.startswith("redirect"):
            to = {"redirect": "/moved", "redirect to itself": self.path, "redirect to another file": "/other"}
            self._head(302, {"Location": to.get(behaviour, self.server.secret.as_uri()), "Content-Length": "0"})
        elif behaviour.startswith("chunked"):
            self._head(200, {"Transfer-Encoding": "chunked"})
            end = b"" if behaviour.endswith("cut") else b"0\r\n\r\n"
            self.wfile.write(b"%x\r\n%s\r\n" % (half, content[:half]))
            self.wfile.write(b"%x\r\n%s\r\n" % (len(content) - half, content[half:]) if end else b"ffff\r\n" + end)
            self.wfile.write(end)
        elif behaviour in ("wrong part", "part of another file") and "Range" in self.headers:
            first = half + 7 if behaviour == "wrong part" else self._first()
            body = content[first:] if behaviour == "wrong part" else os.urandom(len(content) - first)
            self._head(206, {"Content-Range": f"bytes {first}-{len(content) - 1}/{len(content)}"})
            self.wfile.write(body)
        else:
            self._send(behaviour, self._first(), content, half)

    def _send(self, behaviour, first, content, half):
        if behaviour == "another file" or self.path == "/other":
            content, first = os.urandom(len(content)), 0
        if behaviour == "empty":
            content, first = b"", 0
        length = {
            "too short a length": str(half),
            "too long a length": str(2 * len(content)),
            "negative length": "-1",
            "no number as length": "many",
            "no length": None,
            "endless": None,
        }.get(behaviour, str(len(content) - first))
        part = {"Content-Range": f"bytes {first}-{len(content) - 1}/{len(content)}"} if first else {}
        self._head(206 if first else 200, part | ({} if length is None else {"Content-Length": length}))
        body = content[first:]
        if behaviour in ("cut", "reset", "wrong part", "part of another file"):
            body = body[: len(body) // 2 + 1]
        elif behaviour == "slow":
            for start in range(0, len(body), len(body) // 4 + 1):
                self.wfile.write(body[start : start + len(body) // 4 + 1])
                self.wfile.flush()
                time.sleep(_PATIENCE_SECONDS / 4)
            return
        elif behaviour == "stall":
            self.wfile.write(body[: len(body) // 3])
            self.wfile.flush()
            time.sleep(_SLEEP_SECONDS)
            return
        while behaviour == "endless":
            self.wfile.write(body)
        self.wfile.write(body)
        if behaviour == "reset":
            # The rest of the request is unread: closing sends a reset.
            self.connection.setsockopt(1, 13, b"\1\0\0\0\0\0\0\0")

    def _first(self):
        given = self.headers.get("Range", "").removeprefix("bytes=").removesuffix("-")
        return int(given) if given.isdigit() and int(given) < len(self.server.content) else 0

    def _head(self, status, headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()


@contextlib.contextmanager
def host(content: bytes, behaviours: list[str], secret: Path) -> Iterator[str]:
    """Serves a file in the ways of `behaviours`, and `secret` as where redirections lead; yields the file's address."""
    server = _Host(content, behaviours, secret)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/weights.bin"
    finally:
        server.shutdown()
        server.server_close()


def attempt(one: Try) -> list[str]:
    """Downloads from a host with a few behaviours, one request after another, into a cache that may not be empty."""
    content = one.rng.bytes(int(one.rng.integers(1, 200_000)))
    behaviours = [str(name) for name in one.rng.choice(_BEHAVIOURS, one.rng.integers(1, 4))]
    cache, secret = one.directory / "cache", one.directory / "secret"
    secret.write_bytes(one.rng.bytes(1000))
    left_by_hand = one.rng.random() < 0.1
    if left_by_hand:
        cache.mkdir()
        (cache / "weights.bin").write_bytes(content[:-1])
    digest = download.Digest("sha256", hashlib.sha256(content).hexdigest()[:8])
    began, raised = time.monotonic(), None
    with (
        mock.patch.multiple(
            download,
            _TIMEOUT_SECONDS=_PATIENCE_SECONDS,
            _MAX_BYTES=1 << 20,
            _PAUSE_SECONDS=0.01,
            tqdm=partial(tqdm, disable=True),
        ),
        mock.patch.dict(os.environ, {"no_proxy": "*"}),
        host(content, list(behaviours), secret) as address,
    ):
        try:
            download.fetch(address, "weights.bin", digest, cache)
        except download.DownloadError as error:
            raised = error
    seconds, what = time.monotonic() - began, f"{behaviours}, {len(content)} bytes: "
    held = {path.name: path.read_bytes() for path in cache.iterdir()} if cache.exists() else {}
    if seconds > _DEADLINE_SECONDS:
        return [what + f"took {seconds:.0f} s"]
    if left_by_hand:
        return ["" if raised and held == {"weights.bin": content[:-1]} else what + "a wrong file in the cache was used"]
    if held != ({} if raised else {"weights.bin": content}):
        return [what + f"{raised or 'no error'}, and the cache holds {list(held)}"]
    if raised is None or "\n" not in str(raised):
        return ["" if raised or "whole" in behaviours or not _must_fail(behaviours) else what + "came out whole"]
    return [what + f"the error has several lines: {raised}"]


def _must_fail(behaviours: list[str]) -> bool:
    return all(name in ("another file", "empty", "404", "redirect to a file", "endless") for name in behaviours)
