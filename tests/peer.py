"""Somebody else's web server, in a thread: pages with numbers for titles, some behind a gate."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Peer:
    """
    `/N` is a page called `Page N`; `/missing/N` the same as a 404; `/late/N` waits for the gate.

    *asked* are the requests so far: the target, as it was sent, and the headers.
    """

    port: int
    gate: threading.Event = field(default_factory=threading.Event)
    asked: list[tuple[str, Mapping[str, str]]] = field(default_factory=list)

    def url(self, path: object) -> str:
        return f"http://127.0.0.1:{self.port}/{path}"

    def urls(self, *paths: object) -> list[str]:
        return [self.url(path) for path in paths]

    def times(self, path: object) -> int:
        """How often that page was asked for."""
        return sum(target == f"/{path}" for target, _ in self.asked)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    peer: Peer

    def do_GET(self) -> None:
        peer = self.server.peer  # type: ignore[attr-defined]  # see below
        peer.asked.append((self.path, dict(self.headers.items())))
        if self.path.startswith("/late/"):
            peer.gate.wait()
        body = f"<title>Page {self.path.rpartition('/')[2]}</title>".encode()
        self.send_response(404 if self.path.startswith("/missing/") else 200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the library's name
        """Nobody reads it."""


@contextmanager
def peer() -> Iterator[Peer]:
    """One that listens on a free port of 127.0.0.1; its gate opens at the end at the latest."""
    server = _Server(("127.0.0.1", 0), _Handler)
    server.peer = Peer(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.peer
    finally:
        server.peer.gate.set()
        server.shutdown()
        thread.join()
        server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    peer: Peer

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that left is no news."""
