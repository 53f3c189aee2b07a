"""
The client: as little as a connection can be, so that it measures the server and not itself.

Linux only. A request is stamped just before the system call that sends it. A reply is stamped by
the kernel when its last bytes arrive at the client's socket, so that a client that is behind with
reading, as after a herd, does not count as a late server.
"""

import select
import socket
import struct
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

SECOND_NS = 1_000_000_000
CONNECTING = 100  # at once, and then a pause: the queue of a listening socket never gets long
CONNECTING_PAUSE_S = 0.015
PACE_S = 0.001  # the finest step of epoll_wait(2)

GOOD = b"HTTP/1.1 200 "
# Of a JSON object, of one with a line end, of a chunked body; of no header here.
ENDS = (b"}", b"}\n", b"\r\n0\r\n\r\n")

SO_TIMESTAMPNS = 35  # asm-generic/socket.h; Python's socket has no name for it
TIMESPEC = struct.Struct("qq")  # seconds, nanoseconds


class Failed(Exception):
    """What was to be measured did not work; the text says what."""


class Address(NamedTuple):
    """Where the server listens."""

    host: str
    port: int

    def get(self, target: str) -> bytes:
        """The bytes of a GET."""
        return f"GET {target} HTTP/1.1\r\nHost: {self.host}:{self.port}\r\n\r\n".encode()


class Connection:
    """A keep-alive connection that sends one and the same request."""

    __slots__ = ("_received", "_request", "socket")

    socket: socket.socket

    def __init__(self, request: bytes) -> None:
        self._request = request
        self._received = b""

    def open(self, address: Address) -> None:
        """Connect; the first thing to do."""
        self.socket = socket.create_connection(address)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)

    def send(self) -> None:
        """Send the request; it is small and goes whole."""
        self._received = b""
        self.socket.send(self._request)

    def read(self) -> bool:
        """
        Read what is there; whether that was the end of a reply.

        Raises:
            Failed: the reply is no 200, or the connection was closed.
        """
        data = self._receive()
        self._received += data
        if not data:
            raise Failed("the server closed a connection")
        if not self._received.endswith(ENDS):
            return False
        if not self._received.startswith(GOOD):
            raise Failed(self._received.partition(b"\r\n")[0].decode("latin-1"))
        self.replied()
        return True

    def replied(self) -> None:
        """The whole reply is here."""

    def _receive(self) -> bytes:
        return self.socket.recv(4_096)


class Looper(Connection):
    """Sends again as soon as it is answered: a closed loop."""

    __slots__ = ()

    def replied(self) -> None:
        self.send()


class Waiter(Connection):
    """Sends once, when told, and knows how late the reply was."""

    __slots__ = ("_delay_ns", "_received_ns", "_sent_ns", "lateness_ns")

    def __init__(self, request: bytes, delay_ns: int) -> None:
        super().__init__(request)
        self._delay_ns = delay_ns
        self._sent_ns = self._received_ns = self.lateness_ns = 0

    def open(self, address: Address) -> None:
        super().open(address)
        self.socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)

    def send(self) -> None:
        self._sent_ns = time.time_ns()  # the clock that the kernel stamps with
        super().send()

    def replied(self) -> None:
        self.lateness_ns = self._received_ns - self._sent_ns - self._delay_ns

    def _receive(self) -> bytes:
        data, stamps, _, _ = self.socket.recvmsg(4_096, socket.CMSG_SPACE(TIMESPEC.size))
        if stamps:
            seconds, nanoseconds = TIMESPEC.unpack(stamps[0][2])
            self._received_ns = seconds * SECOND_NS + nanoseconds
        return data


class Crowd:
    """Open connections to one server; `replies` is how many good ones they got so far."""

    def __init__(self, connections: Sequence[Connection]) -> None:
        self.replies = 0
        self._connections = {each.socket.fileno(): each for each in connections}
        self._epoll = select.epoll()
        for descriptor in self._connections:
            self._epoll.register(descriptor, select.EPOLLIN)

    def close(self) -> None:
        """Leave, whatever is still to come."""
        self._epoll.close()
        for connection in self._connections.values():
            connection.socket.close()

    def send(self, over_s: float = 0.0) -> float:
        """Send everybody's request, spread evenly over so many seconds; how many it took."""
        begun, step_s = time.monotonic(), over_s / len(self._connections)
        for place, connection in enumerate(self._connections.values()):
            while (rest_s := begun + place * step_s - time.monotonic()) > 0:
                self._read(min(rest_s, PACE_S))
            connection.send()
        return time.monotonic() - begun

    def receive(self, seconds: float, most: float = float("inf")) -> None:
        """Read replies for so long, or until there are *most* in all."""
        end = time.monotonic() + seconds
        while self.replies < most and (rest_s := end - time.monotonic()) > 0:
            self._read(rest_s)

    def _read(self, patience_s: float) -> None:
        try:
            for descriptor, _ in self._epoll.poll(patience_s):
                self.replies += self._connections[descriptor].read()
        except OSError as error:
            raise Failed(f"a connection broke after {self.replies} replies: {error}") from error


@contextmanager
def connected(address: Address, connections: Sequence[Connection]) -> Iterator[Crowd]:
    """
    The connections, all open for the length of the block.

    Raises:
        Failed: one could not be opened.
    """
    for place, connection in enumerate(connections, 1):
        try:
            connection.open(address)
        except OSError as error:
            raise Failed(f"connection {place} could not be opened: {error}") from error
        if place % CONNECTING == 0:
            time.sleep(CONNECTING_PAUSE_S)
    crowd = Crowd(connections)
    try:
        yield crowd
    finally:
        crowd.close()
