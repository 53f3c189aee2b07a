"""
The client: as little as a connection can be, so that it measures the server and not itself.

A request is stamped just before it is written and a reply when its last byte is read, so whatever
the client itself is late counts as the server's lateness.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import NamedTuple, cast

CONNECTING = 200  # at once: enough to be quick, few enough for any queue of a listening socket
PACE_S = 0.001  # the finest step of uvloop's timers

GOOD = b"HTTP/1.1 200 "
LAST_BYTE = b"}"  # of every body here, and in no header


class Address(NamedTuple):
    """Where the server listens."""

    host: str
    port: int

    def get(self, query: str) -> bytes:
        """The bytes of a GET of `/aio`."""
        return f"GET /aio?{query} HTTP/1.1\r\nHost: {self.host}:{self.port}\r\n\r\n".encode()


class Tally:
    """What came of a load; `done` is set by the *expected*-th good reply, or by a failure."""

    def __init__(self, expected: int | None = None) -> None:
        self.done = asyncio.Event()
        self.replies = 0
        self.lateness_ns: list[int] = []
        self.failures: list[str] = []
        self._expected = expected

    def replied(self) -> None:
        """Count a good reply."""
        self.replies += 1
        if self.replies == self._expected:
            self.done.set()

    def failed(self, why: str) -> None:
        """Note a request that got none; there is nothing to measure any more."""
        self.failures.append(why)
        self.done.set()


class Connection(asyncio.Protocol):
    """A keep-alive connection that sends one and the same request."""

    __slots__ = ("_received", "_request", "_tally", "_transport")

    def __init__(self, request: bytes, tally: Tally) -> None:
        self._request = request
        self._tally = tally
        self._received = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is not derived from it

    def connection_lost(self, exc: Exception | None) -> None:
        if self._transport is not None:
            self._tally.failed(f"the server closed the connection ({exc})")

    def send(self) -> None:
        """Send the request, if the connection is open."""
        if self._transport is not None:
            self._received = b""
            self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._received += data
        if not self._received.endswith(LAST_BYTE):
            return
        if self._received.startswith(GOOD):
            self.replied()
        else:
            self._tally.failed(self._received.partition(b"\r\n")[0].decode("latin-1"))
            self.close()

    def replied(self) -> None:
        """The whole reply is here."""
        self._tally.replied()

    def close(self) -> None:
        """Leave; what happens to the connection afterwards is no failure."""
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.close()


class Waiter(Connection):
    """Sends once, when told, and notes how late the reply is."""

    __slots__ = ("_delay_ns", "_sent_ns")

    def __init__(self, request: bytes, tally: Tally, delay_ns: int) -> None:
        super().__init__(request, tally)
        self._delay_ns = delay_ns
        self._sent_ns = 0

    def send(self) -> None:
        self._sent_ns = time.monotonic_ns()
        super().send()

    def replied(self) -> None:
        self._tally.lateness_ns.append(time.monotonic_ns() - self._sent_ns - self._delay_ns)
        super().replied()


class Looper(Connection):
    """Sends again as soon as it is answered, until the tally is done: a closed loop."""

    __slots__ = ()

    def replied(self) -> None:
        super().replied()
        if not self._tally.done.is_set():
            self.send()


@asynccontextmanager
async def connected(address: Address, connections: Sequence[Connection]) -> AsyncIterator[None]:
    """The connections, all open at the beginning of the block and closed at its end."""
    try:
        for first in range(0, len(connections), CONNECTING):
            batch = connections[first : first + CONNECTING]
            await asyncio.gather(*(_open(address, each) for each in batch))
        yield
    finally:
        for connection in connections:
            connection.close()


async def _open(address: Address, connection: Connection) -> None:
    await asyncio.get_running_loop().create_connection(lambda: connection, *address)


async def send_evenly(connections: Sequence[Connection], over_s: float) -> None:
    """Send each one's request, spread evenly over *over_s* seconds."""
    begun = time.monotonic()
    for place, connection in enumerate(connections):
        rest_s = begun + place / len(connections) * over_s - time.monotonic()
        if rest_s > 0:
            await asyncio.sleep(max(rest_s, PACE_S))
        connection.send()
