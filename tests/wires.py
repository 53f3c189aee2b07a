"""Twins: the service with a lane and without, in the test's own loop, and bare sockets to both."""

import asyncio
import re
import socket
import struct
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

from aiohttp import web

from app import keys
from app.server import Service, serving
from app.settings import Settings
from app.spans import Span, record

QUIET_ROUNDS = 24  # of the loop, after which nothing more comes unless a request waits
ACCEPT_ROUNDS = 6  # in which the loop takes a connection and begins to read
PATIENCE_S = 30.0
MOMENTS = ("arrival_ns", "wait_begun_ns", "first_byte_ns", "last_byte_ns", "end_ns")
VARYING = re.compile(rb"(?<=\r\nDate: )[^\r]+|(?<=\r\nX-Dawdle-Span: )[^\r]+")


def request(
    target: str | bytes, *headers: str, method: str = "GET", version: str = "1.1", body: bytes = b""
) -> bytes:
    """The bytes of a request, *body* without any framing."""
    sent = target if isinstance(target, bytes) else target.encode()
    lines = [f"{method} ".encode() + sent + f" HTTP/{version}".encode(), b"Host: localhost"]
    return b"\r\n".join([*lines, *(header.encode("latin-1") for header in headers), b"", body])


class Talk(NamedTuple):
    """What came of one conversation, seen from outside and in the books."""

    received: bytes  # without dates and ids
    closed: bool  # by the server
    spans: tuple[dict[str, Any], ...]  # in order of arrival

    @property
    def statuses(self) -> list[int]:
        """Of the replies, in their order."""
        return [int(code) for code in re.findall(rb"HTTP/1\.[01] (\d{3}) ", self.received)]


class Wire:
    """A bare connection, spoken to without ever waiting for the other side."""

    def __init__(self, ours: socket.socket) -> None:
        self.socket = ours
        self.socket.setblocking(False)
        self.received = bytearray()
        self.closed = False

    async def send(self, data: bytes) -> None:
        """Send, and give the service time to read it before anything else comes."""
        if data:
            await asyncio.get_running_loop().sock_sendall(self.socket, data)
            await rounds(2)

    def look(self) -> bool:
        """Whether something new has come: bytes, or the end."""
        if self.closed:
            return False
        try:
            chunk = self.socket.recv(1 << 20)
        except BlockingIOError:
            return False
        except ConnectionError:
            chunk = b""
        self.received += chunk
        self.closed = not chunk
        return True

    def half_close(self) -> None:
        """Send a FIN and stay."""
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Leave with a RST instead of a FIN."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self) -> None:
        """Leave."""
        self.socket.close()
        self.closed = True


async def until(is_so: Callable[[], bool]) -> None:
    """Return once it is so."""
    async with asyncio.timeout(PATIENCE_S):
        while not is_so():  # noqa: ASYNC110  # of what sockets bring, no event tells
            await asyncio.sleep(0)


async def rounds(count: int) -> None:
    """Let the event loop go round so many times."""
    for _ in range(count):
        await asyncio.sleep(0)


class House:
    """A service and what it wrote down."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.desk = service.app[keys.DESK]
        self.recorder = service.app[keys.RECORDER]
        self.connections = service.app[keys.CONNECTIONS]
        hall = service.hall
        self._protocols = hall.lane if service.app[keys.SETTINGS].lane else hall.handlers
        self.ended: list[Span] = []
        self.by_aiohttp = 0  # requests of the last conversation
        self._tell = self.recorder._on_end
        self.recorder._on_end = self._write_down

    def _write_down(self, span: Span) -> None:
        self.ended.append(span)
        self._tell(span)

    async def connect(self) -> Wire:
        """
        A connection past the listener.

        Where the kernel's TCP may hold bytes up or join them, these arrive at once and as sent.
        """
        ours, theirs = socket.socketpair()
        await asyncio.get_running_loop().connect_accepted_socket(self._protocols, theirs)
        return Wire(ours)

    async def dial(self) -> Wire:
        """A connection through the listener, which can be reset."""
        host, port = self.service.listener.sockets[0].getsockname()
        wire = Wire(socket.create_connection((host, port)))
        await rounds(ACCEPT_ROUNDS)
        return wire

    async def settle(self, *wires: Wire) -> None:
        """Return when no request waits, and nothing has come for a while."""
        quiet = 0
        async with asyncio.timeout(PATIENCE_S):
            while quiet < QUIET_ROUNDS:
                await asyncio.sleep(0)
                news = [wire.look() for wire in wires]
                quiet = 0 if any(news) or self.recorder.live else quiet + 1

    async def waiting(self, count: int) -> None:
        """Return when so many requests wait."""
        await until(lambda: self.desk.waiting >= count)

    async def talk(self, parts: Iterable[bytes], *, patiently: bool = False) -> Talk:
        """
        Send the parts one by one on a connection of their own, and hear the answers to the end.

        *patiently*: each part only when the service has nothing to say any more.
        """
        first = self.connections.opened
        served = self._served
        self.ended.clear()
        wire = await self.connect()
        try:
            await self._say(wire, parts, patiently=patiently)
            await self.settle(wire)
            closed, received = wire.closed, bytes(wire.received)
        finally:
            wire.close()
        await self.settle()
        self.by_aiohttp = self._served - served
        return Talk(VARYING.sub(b"*", received), closed, self.written_down(first))

    async def leave(
        self, parts: Iterable[bytes], leave: Callable[[Wire], None], *, busy_s: float = 0
    ) -> Talk:
        """
        Send the parts, the first of which is to wait, and leave.

        *busy_s*: for so long the service comes to nothing, so that it learns of it together with
        whatever is due by then.
        """
        first = self.connections.opened
        self.ended.clear()
        wire = await self.dial()
        for part in parts:
            await wire.send(part)
            await until(lambda: bool(self.recorder.live))
        leave(wire)
        time.sleep(busy_s)  # noqa: ASYNC251  # a busy loop is what is meant
        await self.settle(wire)
        talk = Talk(VARYING.sub(b"*", bytes(wire.received)), False, self.written_down(first))
        wire.close()
        return talk

    @property
    def _served(self) -> int:
        """How many requests aiohttp has had."""
        server = self.service.hall.handlers
        assert isinstance(server, web.Server)
        return server.requests_count

    async def _say(self, wire: Wire, parts: Iterable[bytes], *, patiently: bool) -> None:
        for part in parts:
            try:
                await wire.send(part)
            except ConnectionError:  # the service has had enough
                return
            if patiently:
                await self.settle(wire)

    def written_down(self, connections_before: int = 0) -> tuple[dict[str, Any], ...]:
        """The spans that ended since they were last cleared, without ids and times."""
        return tuple(
            comparable(span, connections_before)
            for span in sorted(self.ended, key=lambda span: span.id)
        )


def comparable(span: Span, connections_before: int = 0) -> dict[str, Any]:
    """
    A span without what can't be equal: ids, lengths and moments; only whether they happened.

    Fails when the moments are not in order.
    """
    fields = record(span)
    moments = {name: getattr(span, name) for name in MOMENTS}
    happened = [moment for moment in moments.values() if moment is not None]
    assert sorted(happened) == happened, moments
    for name in ("id", *MOMENTS):
        del fields[name]
    return fields | {
        "connection": span.connection - connections_before,
        "queue_wait_ns": span.queue_wait_ns > 0,
        "barrier_wait_ns": span.barrier_wait_ns > 0,
        "happened": [name for name, moment in moments.items() if moment is not None],
    }


class Twins(NamedTuple):
    """The same service twice."""

    lane: House
    plain: House

    async def agree(self, *parts: bytes, patiently: bool = False) -> Talk:
        """What both give for the same conversation; fails when they differ in anything."""
        ours = await self.lane.talk(parts, patiently=patiently)
        theirs = await self.plain.talk(parts, patiently=patiently)
        assert theirs == ours, f"with a lane\n{ours}\nwithout\n{theirs}"
        return ours


@asynccontextmanager
async def house(data: Path, **changes: str) -> AsyncIterator[House]:
    """A service on a data folder of its own; *changes* as one would write them."""
    given = {"data": str(data), "port": "0", "idle_gap": "300s"} | changes
    async with serving(Settings.model_validate(given)) as service:
        yield House(service)


@asynccontextmanager
async def twins(folder: Path, **changes: str) -> AsyncIterator[Twins]:
    """Both services; a failure that only the loop hears of fails the test all the same."""
    failures: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: failures.append(context))
    async with (
        house(folder / "lane", lane="on", **changes) as lane,
        house(folder / "plain", lane="off", **changes) as plain,
    ):
        yield Twins(lane, plain)
    loop.set_exception_handler(None)
    assert [] == failures, failures
