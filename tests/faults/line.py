"""A line between a program and a server that is cut, falls silent, refuses, or changes what it carries."""

import contextlib
import socket
import socketserver
import threading
import time
from collections.abc import Callable
from typing import Any

_PIECE_BYTES = 4096
# How often a silent connection looks whether it may go on.
_LOOK_SECONDS = 0.05


class Line(socketserver.ThreadingTCPServer):
    """Carries bytes between who connects to its `port` and a server on this machine.

    Attributes:
      port: of the line.
      refuses: whether new connections are closed at once.
      silent: whether connections, new ones too, stay open and carry nothing; what waits comes afterwards.
      change: what becomes of the bytes that the server sends.
      connections: that were begun so far.
    """

    daemon_threads = True

    def __init__(self, server_port: int):
        """Begins to carry."""
        super().__init__(("127.0.0.1", 0), _Carrying)
        self.port, self.server_port = self.server_address[1], server_port
        self.refuses = self.silent = False
        self.change: Callable[[bytes], bytes] = bytes
        self.connections = 0
        self.open: set[socket.socket] = set()
        self.dead: set[socket.socket] = set()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def __exit__(self, *details: Any) -> None:
        self.silent = False
        self.dead.clear()
        self.shutdown()
        self.cut()
        super().__exit__(*details)

    def cut(self) -> None:
        """Ends all connections."""
        for connection in list(self.open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def forget(self) -> None:
        """Carries nothing any more on the connections that are open, which are not told: as a camera that restarts."""
        self.dead |= self.open

    def handle_error(self, request, client_address):
        """Says nothing of connections that either side closed."""


class _Carrying(socketserver.BaseRequestHandler):
    server: Line
    request: socket.socket

    def handle(self) -> None:
        line = self.server
        line.connections += 1
        if line.refuses:
            return
        with socket.create_connection(("127.0.0.1", line.server_port)) as server:
            line.open |= {self.request, server}
            threading.Thread(target=self._carry, args=(self.request, server, bytes), daemon=True).start()
            self._carry(server, self.request, lambda piece: line.change(piece))

    def _carry(self, source: socket.socket, target: socket.socket, change: Callable[[bytes], bytes]) -> None:
        with contextlib.suppress(OSError):
            while piece := source.recv(_PIECE_BYTES):
                while self.server.silent or source in self.server.dead:
                    time.sleep(_LOOK_SECONDS)
                target.sendall(change(piece))
        # Either side's end is the other's.
        self.server.open -= {source, target}
        self.server.dead -= {source, target}
        for each in (source, target):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
