"""
The lean lane: the protocol in front, which serves plain `/aio` itself.

A connection is ours as long as what arrives is exactly one complete GET or HEAD of `/aio`, and
nothing but that. Anything else, whatever the lane does not fully understand, makes the connection
aiohttp's, for good. Desk, plan, span and the bytes of the reply are the same for both.

Here a waiting request costs no task, no frame and no parser of its own: a fifth of the memory.
"""

import asyncio
import re
from collections.abc import Callable
from contextlib import suppress
from typing import cast

from aiohttp.http import HttpRequestParser, HttpVersion10, HttpVersion11, RawRequestMessage
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.tcp_helpers import tcp_keepalive

from app.aio import understand
from app.clock import SECOND_NS
from app.connections import Connections
from app.exchange import Desk, Exchange, Request

FIRST_REQUEST_NS = 30 * SECOND_NS  # for a new connection to bring one
QUIET_NS = 300 * SECOND_NS  # between one reply and the next request
SWEEP_EVERY_S = 5.0

LARGEST_HEAD = 4_096  # bytes; few are larger, and aiohttp reads those as well
MOST_HELD = 65_536  # bytes that may arrive while a request waits
PARSED_KEPT = 1_024  # heads; clients repeat theirs to the byte
END_OF_HEAD = b"\r\n\r\n"
METHODS = frozenset({"GET", "HEAD"})
VERSIONS = {HttpVersion10: "1.0", HttpVersion11: "1.1"}
TARGET = re.compile(r"/aio(?:/(?P<profile>[a-z][a-z0-9-]{0,31}))?(?:\?[!-~]*)?")
NOT_OURS = ("Content-Length", "Transfer-Encoding", "Expect", "Upgrade")

Handlers = Callable[[], asyncio.Protocol]


class Hall:
    """
    What the lanes of a server share: the desk, the parsed heads, the way over to aiohttp.

    *handlers* makes aiohttp's protocol for a connection that leaves its lane.
    """

    def __init__(self, desk: Desk, connections: Connections, handlers: Handlers) -> None:
        self.desk = desk
        self.connections = connections
        self.handlers = handlers
        self.lanes: set[Lane] = set()
        self._empty = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._parser = self._make_parser()
        self._parsed: dict[bytes, Request] = {}

    def lane(self) -> "Lane":
        """The protocol of a new connection."""
        return Lane(self)

    # --- reading ---------------------------------------------------------------------------------

    def read(self, data: bytes) -> Request | None:
        """The request, when *data* is exactly one that the lane understands."""
        if len(data) > LARGEST_HEAD:
            return None
        return self._parsed.get(data) or self._read(data)

    def _read(self, data: bytes) -> Request | None:
        if data.find(END_OF_HEAD) != len(data) - len(END_OF_HEAD):
            return None
        message = self._parse(data)
        if message is None or message.method not in METHODS or message.version not in VERSIONS:
            return None
        target = TARGET.fullmatch(message.path)
        if target is None or any(name in message.headers for name in NOT_OURS):
            return None
        request = understand(
            message.method,
            message.path,
            message.headers,
            http_version=VERSIONS[message.version],
            keep_alive=not message.should_close,
            profile=target["profile"],
        )
        self._keep(data, request)
        return request

    def _parse(self, data: bytes) -> RawRequestMessage | None:
        """
        The only message in *data*, by aiohttp's own parser.

        One parser serves all connections: each call brings it a whole request and leaves it
        between two. After anything else it is made anew.
        """
        try:
            messages, upgraded, tail = self._parser.feed_data(data)
        except HttpProcessingError:
            messages, upgraded, tail = [], False, b""
        if len(messages) != 1 or upgraded or tail:
            self._parser = self._make_parser()
            return None
        self._parser.message_consumed()
        message: RawRequestMessage = messages[0][0]
        return message

    def _make_parser(self) -> HttpRequestParser:
        # Bodies, for which it would want a protocol, are not ours.
        return HttpRequestParser(None, self._loop, LARGEST_HEAD)

    def _keep(self, data: bytes, request: Request) -> None:
        if len(self._parsed) >= PARSED_KEPT:
            del self._parsed[next(iter(self._parsed))]
        self._parsed[data] = request

    # --- order -----------------------------------------------------------------------------------

    async def sweep(self) -> None:
        """Close connections that bring nothing, for ever; one look at all of them at a time."""
        while True:
            await asyncio.sleep(SWEEP_EVERY_S)
            now_ns = self.desk.clock.now()
            for lane in list(self.lanes):
                lane.close_if_quiet(now_ns)

    def leave(self, lane: "Lane") -> None:
        """The connection is over, or aiohttp's."""
        self.lanes.discard(lane)
        if not self.lanes:
            self._empty.set()

    async def close(self, patience_s: float) -> None:
        """Close every lane once its reply is out; after *patience_s* seconds, all the same."""
        for lane in list(self.lanes):
            lane.close_when_done()
        if self.lanes:
            self._empty.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._empty.wait(), patience_s)
        for lane in list(self.lanes):
            lane.abort()
        await asyncio.sleep(0)  # asyncio tells them in its next round


class Lane(asyncio.Protocol):
    """One connection, as long as it brings nothing but plain requests for `/aio`."""

    __slots__ = ("_exchange", "_hall", "_held", "_number", "_requests", "_since_ns", "_transport")

    def __init__(self, hall: Hall) -> None:
        self._hall = hall
        self._exchange: Exchange | None = None
        self._held = b""  # what arrived while a request waits
        self._number = 0
        self._requests = 0
        self._since_ns = 0  # nothing is under way

    # --- asyncio's side --------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to listen."""
        self._transport = cast("asyncio.Transport", transport)
        # So that `resume_writing` says when the kernel has everything.
        self._transport.set_write_buffer_limits(0)
        tcp_keepalive(self._transport)
        self._since_ns = self._hall.desk.clock.now()
        self._hall.lanes.add(self)

    def data_received(self, data: bytes) -> None:
        """Serve the request, or let aiohttp have the connection."""
        if self._exchange is not None:
            self._hold(data)
            return
        request = self._hall.read(data)
        if request is None:
            self._hand_over(data)
        else:
            self._serve(request)

    def resume_writing(self) -> None:
        """Finish the exchange: the kernel has the whole reply."""
        if self._exchange is not None and self._exchange.is_over:
            self._finish(self._exchange)

    def connection_lost(self, exc: Exception | None) -> None:
        """End what is under way; a FIN from the client counts as leaving."""
        self._hall.leave(self)
        if self._exchange is not None:
            self._exchange.abandon()
            self._exchange = None

    # --- serving ---------------------------------------------------------------------------------

    def _serve(self, request: Request) -> None:
        if not self._number:
            self._number = self._hall.connections.open()
        self._requests += 1
        exchange = self._hall.desk.arrive(request, self._number, self._requests)
        self._exchange = exchange
        exchange.begin(self._transport, self._written)

    def _written(self) -> None:
        exchange = self._exchange
        if exchange is not None and not self._transport.get_write_buffer_size():
            self._finish(exchange)

    def _finish(self, exchange: Exchange) -> None:
        self._exchange = None
        exchange.finish()
        self._since_ns = exchange.span.end_ns or 0
        if not exchange.keep_alive:
            self._transport.close()
        elif self._held:
            data, self._held = self._held, b""
            self._transport.resume_reading()
            self.data_received(data)

    def _hold(self, data: bytes) -> None:
        """Keep what came early; who sends more than that is not read until its reply is out."""
        self._held += data
        if len(self._held) > MOST_HELD:
            self._transport.pause_reading()

    def _hand_over(self, data: bytes) -> None:
        hall, transport = self._hall, self._transport
        hall.leave(self)
        if self._number:
            hall.connections.carry(transport, self._number, self._requests)
        transport.set_write_buffer_limits()
        handler = hall.handlers()
        transport.set_protocol(handler)
        handler.connection_made(transport)
        handler.data_received(data)

    # --- order -----------------------------------------------------------------------------------

    def close_if_quiet(self, now_ns: int) -> None:
        """Close a connection that has brought nothing for too long."""
        allowed_ns = QUIET_NS if self._requests else FIRST_REQUEST_NS
        if self._exchange is None and now_ns - self._since_ns > allowed_ns:
            self._transport.close()

    def close_when_done(self) -> None:
        """Close now, or after the reply that is under way."""
        if self._exchange is None:
            self._transport.close()
        else:
            self._exchange.keep_alive = False

    def abort(self) -> None:
        """Cut the connection off."""
        self._transport.abort()
