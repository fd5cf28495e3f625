"""A server of files for tests of downloads: no test needs a network."""

import contextlib
import functools
import gc
import http.server
import threading
import warnings


class _Handler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format, *args):
        self.server.paths.append(self.path)


@contextlib.contextmanager
def served(directory):
    """Yields the address at which the files of a directory are, on the loopback interface, and the paths asked for."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Handler, directory=directory))
    server.paths = []
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", server.paths
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        # Sockets that yt-dlp leaves to the garbage collector would fail a later test, whichever is running then.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            gc.collect()
