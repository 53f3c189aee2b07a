"""
The lean lane: the protocol in front, which serves plain `/aio` itself.

A connection is ours as long as what arrives is exactly one complete GET or HEAD of `/aio`, and
nothing but that. Anything else, whatever the lane does not fully understand, makes the connection
aiohttp's, for good. Desk, plan, span and the bytes of the reply are the same for both.

Here a waiting request costs no task, no frame and no parser of its own: a fifth of the memory.
"""

import asyncio
import logging
import math
from collections.abc import Sized
from contextlib import suppress
from typing import Protocol, cast

from app import reply
from app.clock import SECOND_NS
from app.connections import Connections
from app.errors import OUR_FAULT
from app.exchange import Desk, Exchange, Request
from app.heads import Heads

FIRST_REQUEST_S = 30  # for a new connection to bring one
QUIET_S = 75  # between one reply and the next request; what nginx allows, too
SWEEP_EVERY_S = 5.0

LINGER_S = 10  # after a fault that closed our side; aiohttp bears it as long
MOST_HELD = 65_536  # bytes that may arrive while a request waits

FULL = reply.last_word(
    "503 Service Unavailable",
    "as many connections are open as this server may have; close some first",
)
FAILED = reply.last_word("500 Internal Server Error", OUR_FAULT)

log = logging.getLogger("dawdle")


class Handlers(Protocol):
    """aiohttp's `Server`: makes the protocol of a connection that leaves its lane."""

    def __call__(self) -> asyncio.Protocol:
        """A new protocol."""

    @property
    def connections(self) -> Sized:
        """Those that are open; a list that is made anew each time."""


class Hall:
    """
    What the lanes of a server share: the desk, the heads, the way over to aiohttp.

    *most* connections may be open at once, in lanes, with *handlers* and *others* together.
    """

    def __init__(
        self,
        desk: Desk,
        connections: Connections,
        handlers: Handlers,
        *,
        most: float = math.inf,
        others: Sized = (),
    ) -> None:
        self.desk = desk
        self.connections = connections
        self.handlers = handlers
        self.lanes: set[Lane] = set()
        self._most = most
        self._others = others
        self._handed_over = 0  # at most so many are with aiohttp
        self._empty = asyncio.Event()
        self.heads = Heads(asyncio.get_running_loop())

    def lane(self) -> "Lane":
        """The protocol of a new connection."""
        return Lane(self)

    @property
    def is_full(self) -> bool:
        """Whether no further connection may come."""
        if self._open < self._most:
            return False
        self._handed_over = len(self.handlers.connections)  # they leave without telling us
        return self._open >= self._most

    @property
    def _open(self) -> int:
        return len(self.lanes) + self._handed_over + len(self._others)

    def hand_over(self, lane: "Lane") -> asyncio.Protocol:
        """The protocol, of aiohttp, for a connection that leaves its lane."""
        self.leave(lane)
        self._handed_over += 1
        return self.handlers()

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

    __slots__ = (
        "_exchange",
        "_hall",
        "_held",
        "_held_bytes",
        "_number",
        "_requests",
        "_since_ns",
        "_transport",
    )

    def __init__(self, hall: Hall) -> None:
        self._hall = hall
        self._exchange: Exchange | None = None
        self._held: list[bytes] | None = None  # what arrived while a request waits
        self._held_bytes = 0
        self._number = 0
        self._requests = 0
        self._since_ns = 0  # nothing is under way

    # --- asyncio's side --------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to listen."""
        self._transport = cast("asyncio.Transport", transport)
        if self._hall.is_full:
            self._transport.write(FULL)
            self._transport.close()
            return
        # So that `resume_writing` says when the kernel has everything.
        self._transport.set_write_buffer_limits(0)
        self._since_ns = self._hall.desk.clock.now()
        self._hall.lanes.add(self)

    def data_received(self, data: bytes) -> None:
        """Serve the request, or let aiohttp have the connection."""
        if self._exchange is not None:
            self._hold(data)
            return
        request = self._hall.heads.read(data)
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
        connections = self._hall.connections
        if not self._number:
            self._number = connections.open(connections.lane)
        self._requests += 1
        connections.lane.requests += 1
        try:
            self._exchange = self._hall.desk.arrive(request, self._number, self._requests)
            self._exchange.begin(self._transport, self._written)
        except Exception:
            log.exception("%s %s failed", request.method, request.target)
            self._fail()

    def _written(self) -> None:
        exchange = self._exchange
        if exchange is not None and not self._transport.get_write_buffer_size():
            self._finish(exchange)

    def _finish(self, exchange: Exchange) -> None:
        if self._transport.is_closing():
            return  # the client left in the same moment: `connection_lost` comes
        self._exchange = None
        exchange.finish()
        self._since_ns = exchange.span.end_ns or 0
        if exchange.keep_alive:
            if self._held is not None:
                self._release(self._held)
        elif exchange.has_hung_up and self._transport.can_write_eof():
            self._linger()
        else:
            self._transport.close()

    def _linger(self) -> None:
        """Read on: closing with bytes unread would turn our FIN into a RST."""
        # As if it had been quiet already, so that it is closed after LINGER_S.
        self._since_ns -= (QUIET_S - LINGER_S) * SECOND_NS
        self._held = None
        self._transport.set_protocol(Drain(self))
        self._transport.resume_reading()

    def _fail(self) -> None:
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.fail()
        self._transport.write(FAILED)
        self._transport.close()

    # --- what comes too early --------------------------------------------------------------------

    def _hold(self, data: bytes) -> None:
        """Keep what came early; who sends more than that is not read until its reply is out."""
        if self._held is None:
            self._held = []
        self._held.append(data)
        self._held_bytes += len(data)
        if self._held_bytes > MOST_HELD:
            self._transport.pause_reading()

    def _release(self, pieces: list[bytes]) -> None:
        """Let it arrive, piece by piece, at whoever serves the connection by then."""
        self._held, self._held_bytes = None, 0
        self._transport.resume_reading()
        for data in pieces:
            if not self._transport.is_closing():
                cast("asyncio.Protocol", self._transport.get_protocol()).data_received(data)

    def _hand_over(self, data: bytes) -> None:
        hall, transport = self._hall, self._transport
        if self._number:
            hall.connections.carry(transport, self._number, self._requests)
        transport.set_write_buffer_limits()
        handler = hall.hand_over(self)
        transport.set_protocol(handler)
        handler.connection_made(transport)
        handler.data_received(data)

    # --- order -----------------------------------------------------------------------------------

    def close_if_quiet(self, now_ns: int) -> None:
        """Close a connection that has brought nothing for too long."""
        allowed_s = QUIET_S if self._requests else FIRST_REQUEST_S
        if self._exchange is None and now_ns - self._since_ns > allowed_s * SECOND_NS:
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


class Drain(asyncio.Protocol):
    """A connection on which we have said all: what still comes is dropped."""

    __slots__ = ("_lane",)

    def __init__(self, lane: Lane) -> None:
        self._lane = lane

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the lane, for it is still in the hall."""
        self._lane.connection_lost(exc)
