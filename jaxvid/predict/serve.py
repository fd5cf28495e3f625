"""A page that shows a camera live, served by Starlette and uvicorn to this machine, or to those who have a token."""

import asyncio
import contextlib
import ipaddress
import secrets
import socket
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import NamedTuple

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from jaxvid.predict.camera import follow_camera
from jaxvid.predict.files import PredictOptions
from jaxvid.predict.live import LiveState, as_event_stream
from jaxvid.predict.pages.live import live_page
from jaxvid.predict.predictor import Predictor
from jaxvid.video.faces import check_face_detector

_COOKIE = "jaxvid_token"
_SHORTEST_TOKEN = 16
_MAX_CONNECTIONS = 32
# More curves than these cannot be told apart.
_MAX_CLASSES = 8
# Seconds between looks for news, and after which a silent stream says that it is still there.
_PAUSE, _SILENCE = 0.1, 10.0
# Frames of people: no cache keeps them, and no other site shows them.
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class Address(NamedTuple):
    """Where the page is served."""

    host: str
    port: int


def parse_address(text: str, token: str) -> Address:
    """Reads HOST:PORT, such as 127.0.0.1:8000 or [::1]:8000.

    Raises:
      ValueError: if it is none; if other machines reach it and there is no token; if the token is short.
    """
    host, colon, port = text.rpartition(":")
    if not (colon and host and port.isdecimal() and int(port) < 2**16):
        raise ValueError(f"--serve is {text!r}; allowed: HOST:PORT, such as 127.0.0.1:8000")
    host = host.strip("[]")
    if token and len(token) < _SHORTEST_TOKEN:
        raise ValueError(f"the token has {len(token)} characters; allowed: {_SHORTEST_TOKEN} or more")
    if not (token or _is_loopback(host)):
        raise ValueError(
            f"--serve={text} would show the camera to other machines; allowed without --serve_token: an address of "
            "this machine alone, such as 127.0.0.1:8000"
        )
    return Address(host, int(port))


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def create_app(live: LiveState, page: str, token: str = "") -> ASGIApp:
    """Makes the application: the page, the last frame, and the stream of news.

    Args:
      live: what is shown.
      page: HTML of the page.
      token: what a visitor must have; "" for an address of this machine alone.
    """

    def index(request: Request) -> Response:
        if "token" not in request.query_params:
            return HTMLResponse(page)
        # The token leaves the address, so that no history and no screenshot shows it.
        answer = RedirectResponse("/", status_code=303)
        answer.set_cookie(_COOKIE, token, httponly=True, samesite="lax")
        return answer

    def frame(_: Request) -> Response:
        image = live.jpeg()
        return Response(status_code=204) if image is None else Response(image, media_type="image/jpeg")

    def news(_: Request) -> Response:
        return StreamingResponse(_stream(live), media_type="text/event-stream")

    def icon(_: Request) -> Response:
        # Browsers ask for it, and complain where it is missing.
        return Response(status_code=204)

    routes = [Route("/", index), Route("/frame.jpg", frame), Route("/news", news), Route("/favicon.ico", icon)]
    return _Guard(Starlette(routes=routes), token)


async def _stream(live: LiveState) -> AsyncIterator[str]:
    num_windows = num_changes = 0
    spoke = time.monotonic()
    while True:
        ended = live.ended
        num_windows, num_changes, message = live.news(num_windows, num_changes)
        if message is not None:
            yield as_event_stream(message)
            spoke = time.monotonic()
        if ended:
            yield "event: end\ndata: \n\n"
            return
        if time.monotonic() - spoke > _SILENCE:
            # A comment: so it is noticed if nobody listens any more.
            yield ":\n\n"
            spoke = time.monotonic()
        await asyncio.sleep(_PAUSE)


class _Guard:
    """Lets those in who have the token; without one, those who ask for an address of this machine."""

    def __init__(self, app: ASGIApp, token: str):
        self._app, self._token = app, token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        refusal = self._refusal(request)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                added = [(name.lower().encode(), value.encode()) for name, value in _HEADERS.items()]
                message["headers"] = [*message["headers"], *added]
            await send(message)

        await (refusal or self._app)(scope, receive, send_with_headers)

    def _refusal(self, request: Request) -> Response | None:
        if self._token:
            given = request.query_params.get("token") or request.cookies.get(_COOKIE, "")
            if secrets.compare_digest(given.encode(), self._token.encode()):
                return None
            return PlainTextResponse("The address must end in ?token=... with the token.", status_code=401)
        # A site whose name leads to this machine could read the page otherwise.
        if _is_loopback(request.url.hostname or ""):
            return None
        return PlainTextResponse("Only addresses of this machine are served.", status_code=421)


def serve_camera(
    predictor: Predictor,
    camera: str,
    options: PredictOptions,
    address: Address,
    token: str = "",
    frames_directory: Path | None = None,
) -> None:
    """Follows a camera as `follow_camera` does, and serves a page that shows it, whose address is printed.

    Args:
      predictor: the trained model.
      camera: number of a camera, address of a stream, or path of a file.
      options: how it is predicted; `blur_faces` holds for the frames that are shown and stored.
      address: where the page is served.
      token: what a visitor must have; "" for an address of this machine alone.
      frames_directory: where the frames in which events begin are stored; None to store none.

    Raises:
      ValueError: if the address or the source cannot be opened, an option does not fit, or faces are to be blurred and
        their detector is missing.
    """
    if options.blur_faces:
        check_face_detector()
    classes = [predictor.positive_class] if predictor.positive_class else predictor.class_names[:_MAX_CLASSES]
    live = LiveState(classes, blur_faces=options.blur_faces, frames_directory=frames_directory)
    page = live_page(classes, options.thresholds, live.began)
    with serving(live, page, address, token) as served:
        print(f"Page: {served}", file=sys.stderr)
        follow_camera(predictor, camera, options, live)


@contextlib.contextmanager
def serving(live: LiveState, page: str, address: Address, token: str = "") -> Iterator[str]:
    """Serves the page in a thread for as long as the context lasts; yields its address.

    Raises:
      ValueError: if the address cannot be used.
    """
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    try:
        listening = socket.create_server((address.host, address.port), family=family)
    except OSError as error:
        raise ValueError(f"--serve={address.host}:{address.port} cannot be used: {error.strerror or error}") from error
    with listening:
        config = uvicorn.Config(
            create_app(live, page, token),
            log_level="warning",
            access_log=False,
            lifespan="off",
            ws="none",
            limit_concurrency=_MAX_CONNECTIONS,
            timeout_graceful_shutdown=2,
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        host = f"[{address.host}]" if family == socket.AF_INET6 else address.host
        try:
            yield f"http://{host}:{listening.getsockname()[1]}/{'?token=' + token if token else ''}"
        finally:
            live.end()
            server.should_exit = True
            thread.join()
