"""The WebSocket echo (RFC 6455), `/websocket/echo`: messages come back as they were sent."""

import asyncio
import re
import struct
from collections import deque
from contextlib import suppress
from typing import NamedTuple

from aiohttp import HttpVersion11, WSCloseCode, WSMsgType, web

from app import faults, keys, labels, manners
from app.aio import is_preflight, preflight, read
from app.clock import until
from app.echoes import (
    BROKEN,
    DONE,
    FAILED,
    HANGING,
    IDLE,
    LEFT,
    MOST_HELD,
    REFUSED,
    STOPPED,
    STUCK,
    Echoes,
    Ending,
)
from app.errors import BadValue, Problem
from app.faults import GARBAGE, Fault
from app.grammar import quoted
from app.manners import Manner
from app.responses import problem_reply
from app.runs import Run
from app.spans import Kind, Outcome, Span

KNOBS = (*manners.KNOBS, *labels.NAMES)
CLOSING_S = 5.0  # for a peer to answer our close (RFC 6455 section 7.1.1)

KEY = "Sec-WebSocket-Key"
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)  # RFC 9110 section 5.6.2

# What a refused handshake is told (RFC 9110 section 15.5.22, RFC 6455 section 4.4).
UPGRADE = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}

# https://www.iana.org/assignments/websocket: 1005 and 1006 are never sent.
NO_CODE = 1005

# Because of what the peer sent (RFC 6455 section 7.4.1), and what it is told.
BLAMES: dict[int, bytes] = {
    WSCloseCode.PROTOCOL_ERROR: b"this is no frame of a WebSocket; send as RFC 6455 says",
    WSCloseCode.INVALID_TEXT: b"this text is not UTF-8; send it as binary",
    WSCloseCode.MESSAGE_TOO_BIG: b"this message is too large; send less (websocket_message)",
}

STOPPING = "the server is stopping"


async def websocket_echo(request: web.Request) -> web.StreamResponse:
    """Upgrade and echo until either side has enough; a request that can't be is refused."""
    if is_preflight(request):
        return preflight(request)
    echoes = request.app[keys.ECHOES]
    try:
        wanted = _ask(request)
        _check(request, echoes)
    except Problem as problem:
        name = request.app[keys.PLANNER].find_run(read(request).asked)
        return _refuse(request, *_arrive(request, name), problem)
    place = _arrive(request, wanted.run, wanted.key)
    return await Visit(request, *place, wanted.manner).serve()


# --- what is asked for ---------------------------------------------------------------------------


class Wanted(NamedTuple):
    """What a handshake asks for."""

    manner: Manner
    run: str | None
    key: str | None


def _ask(request: web.Request) -> Wanted:
    """The knobs of query and header."""
    texts = labels.texts(read(request).asked, KNOBS)
    names = labels.take(texts)
    try:
        manner = manners.read(texts, max_delay_ns=request.app[keys.ECHOES].max_delay_ns)
    except BadValue as error:
        raise Problem("bad-knob", f"{error.parameter}: {error}", error.parameter) from None
    return Wanted(manner, *names)


def _check(request: web.Request, echoes: Echoes) -> None:
    """Whether a WebSocket can begin."""
    if request.method != "GET":
        raise Problem(
            "method-not-allowed", f"{request.method} is not for {quoted(request.path)}; use GET"
        )
    if not _is_handshake(request):
        raise Problem(
            "upgrade-required",
            "this is no handshake of a WebSocket (RFC 6455, version 13); open ws:// or wss://",
        )
    echoes.check_room()


def _is_handshake(request: web.Request) -> bool:
    """Whether aiohttp can answer it; HTTP/1.0 knows no upgrade (RFC 9110 section 7.8)."""
    if request.version < HttpVersion11 or not request.headers.get(KEY, "").isascii():
        return False
    return bool(web.WebSocketResponse(protocols=_protocols(request)).can_prepare(request))


# --- arriving ------------------------------------------------------------------------------------


def _arrive(request: web.Request, name: str | None, key: str | None = None) -> tuple[Run, Span]:
    """The run of that name, or of those that name none, and the span, which is open."""
    echoes = request.app[keys.ECHOES]
    now_ns = echoes.clock.now()
    run = echoes.runs.unnamed(now_ns) if name is None else echoes.runs.named(name, now_ns)
    transport, told = request.transport, read(request)
    connection, ordinal = echoes.connections.request(transport) if transport else (0, 0)
    span = echoes.recorder.open(
        run,
        Kind.WEBSOCKET,
        now_ns=now_ns,
        method=told.method,
        target=told.target,
        key=key,
        attempt=None if key is None else run.gate.attempt(key),
        connection=connection,
        connection_request=ordinal,
        http_version=told.http_version,
        user_agent=told.user_agent,
    )
    span.messages = 0
    return run, span


def _refuse(request: web.Request, run: Run, span: Span, problem: Problem) -> web.Response:
    headers = _names(span)
    if problem.code == "upgrade-required":
        headers |= UPGRADE
    if problem.code == "method-not-allowed":
        headers["Allow"] = "GET"
    response = problem_reply(request, problem, headers=headers)
    span.status = int(problem.status)
    span.bytes_out = len(response.body) if isinstance(response.body, bytes) else 0
    ending = STOPPED if problem.code == "shutting-down" else REFUSED
    request.app[keys.RECORDER].close(run, span, *ending)
    return response


def _names(span: Span) -> dict[str, str]:
    return {"X-Dawdle-Run": span.run, "X-Dawdle-Span": span.name}


# --- closing -------------------------------------------------------------------------------------


class Socket(web.WebSocketResponse):
    """
    A WebSocket that says why it closes to a peer that is still sending.

    To close a connection with bytes unread in it is a reset (RFC 1122 section 4.2.2.13), which
    may overtake the close frame. aiohttp does so; this one reads on until the peer has closed, too.
    """

    is_refusing = False  # because of what the peer sent

    async def close(
        self, *, code: int = WSCloseCode.OK, message: bytes = b"", drain: bool = True
    ) -> bool:
        """Close of our own accord: say why, and let the peer hang up."""
        transport = self._req.transport if self._req else None
        if not (self.closed or transport is None or transport.is_closing()):
            self.is_refusing = code in BLAMES
            message = message or BLAMES.get(code, b"")
            with suppress(ConnectionError, TimeoutError):
                async with asyncio.timeout(CLOSING_S):
                    await self.send_frame(struct.pack(">H", code) + message, WSMsgType.CLOSE)
                    await _linger(transport)
            transport.abort()
        return await super().close(code=code, message=message, drain=drain)

    async def answer(self) -> None:
        """Close because the peer did, with its own code (RFC 6455 section 5.5.1)."""
        code = self.close_code
        await super().close(code=WSCloseCode.OK if code in (None, 0, NO_CODE) else code)


class Deaf(asyncio.Protocol):
    """Takes the place of another protocol, and reads on without listening."""

    def __init__(self, before: asyncio.BaseProtocol) -> None:
        self.lost = asyncio.Event()
        self._before = before

    def pause_writing(self) -> None:
        """As it was."""
        self._before.pause_writing()

    def resume_writing(self) -> None:
        """As it was."""
        self._before.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever had this place."""
        self._before.connection_lost(exc)
        self.lost.set()


async def _linger(transport: asyncio.Transport) -> None:
    """Hang up, and return when the peer has done so, too."""
    deaf = Deaf(transport.get_protocol())
    transport.set_protocol(deaf)
    transport.resume_reading()
    _hang_up(transport)
    await deaf.lost.wait()


def _hang_up(transport: asyncio.Transport) -> None:
    """Send no more; TLS can only be closed as a whole."""
    faults.hang_up(transport)
    if not transport.can_write_eof():
        transport.close()


# --- one visit -----------------------------------------------------------------------------------


class Piece(NamedTuple):
    """A message on its way back."""

    due_ns: int
    kind: WSMsgType
    data: bytes


class Visit:
    """One WebSocket echo, from its handshake to its end."""

    def __init__(self, request: web.Request, run: Run, span: Span, manner: Manner) -> None:
        self.run = run
        self.span = span
        self._request = request
        self._echoes = request.app[keys.ECHOES]
        self._longest = request.app[keys.SETTINGS].websocket_message
        self._fault = manner.fault
        self._schedule = self._echoes.schedule(manner)
        self._ws = Socket(
            autoclose=False,
            autoping=False,
            protocols=_protocols(request),
            # Of a frame as it comes, aiohttp wants to see less than this.
            max_msg_size=self._longest + 1,
            timeout=CLOSING_S,
        )
        self._ws.headers.update(_names(span))
        self._ending: Ending = LEFT
        self._seen_ns = span.arrival_ns
        self._unsent = 0  # bytes that the peer had not taken at the last look
        self._line: deque[Piece] = deque()
        self._held = 0  # bytes in it
        self._news, self._room = asyncio.Event(), asyncio.Event()
        self._has_said_all = False
        self._is_finishing = False
        self._struck: Fault | None = None
        self._goodbye: asyncio.Task[bool] | None = None

    async def serve(self) -> web.StreamResponse:
        """Shake hands and echo; returns when the connection is over."""
        try:
            await self._ws.prepare(self._request)
            self.span.status = self._ws.status
            self._echoes.enter(self)
            await self._talk()
        except ConnectionError:
            pass  # the peer left
        except Exception:
            self._ending = FAILED
            raise
        finally:
            refused = self._ws.is_refusing and self._ending == LEFT
            self._echoes.leave(self, REFUSED if refused else self._ending)
        return self._ws

    async def _talk(self) -> None:
        self._sender = asyncio.create_task(self._send_on())
        try:
            await self._listen()
            self._has_said_all = True
            self._news.set()
            await self._sender
            await self._part()
        finally:
            self._sender.cancel()
            await asyncio.wait([self._sender])
            if self._goodbye is not None:
                await asyncio.wait([self._goodbye])

    # --- receiving -------------------------------------------------------------------------------

    async def _listen(self) -> None:
        """Receive until the peer has said all, or we have had enough."""
        while True:
            message = await self._ws.receive()
            if self._struck is None:
                self._seen_ns = self._echoes.clock.now()
            match message.type:
                case WSMsgType.TEXT:
                    await self._take(message.type, message.data.encode())
                case WSMsgType.BINARY:
                    await self._take(message.type, message.data)
                case WSMsgType.PING if self._struck is None:
                    await self._ws.pong(message.data)
                case WSMsgType.CLOSE if self._struck is None:
                    self._ending = DONE
                    return
                case WSMsgType.PING | WSMsgType.PONG:
                    pass
                case _:
                    return
            if self._sender.done():
                return

    async def _take(self, kind: WSMsgType, data: bytes) -> None:
        span = self.span
        span.messages = (span.messages or 0) + 1
        span.bytes_in += len(data)
        if len(data) > self._longest:
            await self._ws.close(code=WSCloseCode.MESSAGE_TOO_BIG)
        elif self._struck is None and not self._is_finishing:
            self._line.append(Piece(self._schedule.place(len(data), self._seen_ns)[1], kind, data))
            self._held += len(data)
            self._news.set()
        while self._held > MOST_HELD and not self._sender.done():  # so long nothing is received
            self._room.clear()
            await self._room.wait()

    # --- sending ---------------------------------------------------------------------------------

    async def _send_on(self) -> None:
        """Send what is due, until all is said and sent."""
        try:
            await self._strike_if_due(0)
            while self._line or not self._has_said_all:
                while self._line:
                    await self._send(self._line[0])
                if self._is_finishing:
                    self._leave(STOPPED, STOPPING)
                self._news.clear()
                if not self._has_said_all:
                    await self._news.wait()
        finally:
            self._room.set()  # whoever waits for it must not wait for us

    async def _send(self, piece: Piece) -> None:
        await until(self._echoes.clock, piece.due_ns)
        await self._strike_if_due(len(piece.data))
        if self._struck is None:
            await self._ws.send_frame(piece.data, piece.kind)
            self._sent(piece.data)
            await self._strike_if_due(0)
        self._line.popleft()
        self._held -= len(piece.data)
        self._room.set()

    def _sent(self, data: bytes) -> None:
        span = self.span
        self._seen_ns = span.last_byte_ns = self._echoes.clock.now()
        if span.first_byte_ns is None:
            span.first_byte_ns = span.last_byte_ns
        span.bytes_out += len(data)

    # --- the fault -------------------------------------------------------------------------------

    async def _strike_if_due(self, size: int) -> None:
        """Break it off where a message of that size would pass the mark."""
        fault = self._fault
        if fault is None or self._struck is not None:
            return
        room = fault.room(self.span.bytes_out)
        if not room or size > room:
            await self._strike(fault.fault)

    async def _strike(self, fault: Fault) -> None:
        transport = self._request.transport
        if transport is None:
            raise ConnectionResetError
        await self._flush(transport)
        self.span.fault = fault.value
        self._struck = fault
        self._ending = HANGING if fault is Fault.HANG else BROKEN
        self._seen_ns = self._echoes.clock.now()
        self._echoes.recorder.changed(self.span)
        if fault is Fault.GARBAGE:
            transport.write(GARBAGE)
            self._sent(GARBAGE)
        if fault is Fault.RESET:
            faults.reset(transport)
        elif fault is not Fault.HANG:
            _hang_up(transport)

    async def _flush(self, transport: asyncio.Transport) -> None:
        """Return when the kernel has all bytes; a reset would take the others along."""
        if transport.get_write_buffer_size():
            await asyncio.sleep(0)  # uvloop writes at the end of the loop's round
        if transport.get_write_buffer_size():
            transport.set_write_buffer_limits(0)
            await self._request.writer.drain()

    # --- the end ---------------------------------------------------------------------------------

    async def _part(self) -> None:
        """The peer has said all and has everything: answer its close with its own code."""
        if self._struck is Fault.HANG:
            await asyncio.get_running_loop().create_future()  # until the connection is lost
        elif self._struck is not None:
            self._abort()
        elif self._goodbye is None:
            await self._ws.answer()

    def _leave(self, ending: Ending, words: str) -> None:
        """Say goodbye, of our own accord."""
        if self._goodbye is None and self._ending == LEFT:
            self._ending = ending
            goodbye = self._ws.close(code=WSCloseCode.GOING_AWAY, message=words.encode())
            self._goodbye = asyncio.create_task(goodbye)

    def _abort(self) -> None:
        if self._request.transport is not None:
            self._request.transport.abort()

    # --- order -----------------------------------------------------------------------------------

    def look(self, now_ns: int, idle_ns: int) -> None:
        """End it if nothing came or went for so long; what is not yet due may take its time."""
        transport = self._request.transport
        unsent = transport.get_write_buffer_size() if transport else 0
        is_waiting = bool(self._line) and self._line[0].due_ns > now_ns
        if unsent != self._unsent or is_waiting:
            self._unsent = unsent
            self._seen_ns = now_ns
        elif now_ns - self._seen_ns > idle_ns:
            self._expire(unsent)

    def _expire(self, unsent: int) -> None:
        if self._struck is not None or unsent or self._line:
            self.cut_off(STUCK)
        else:
            self._leave(IDLE, "nothing came for too long (echo_idle)")

    def finish(self) -> None:
        """Give back what stands in line when it is due, and say goodbye."""
        self._is_finishing = True
        if self._struck is not None:
            self.cut_off(STOPPED)
        elif not self._line:
            self._leave(STOPPED, STOPPING)

    def cut_off(self, ending: Ending) -> None:
        """Close now; what a fault began stays faulted, whoever ended it."""
        self._ending = ending if self._struck is None else (Outcome.FAULTED, ending[1])
        transport = self._request.transport
        if transport is not None and self._struck is Fault.HANG:
            faults.reset(transport)
        elif transport is not None:
            transport.abort()


def _protocols(request: web.Request) -> list[str]:
    """Those that the peer offers; aiohttp takes the first, since an echo speaks any."""
    offered = request.headers.get("Sec-WebSocket-Protocol", "")
    return [name for name in map(str.strip, offered.split(",")) if _TOKEN.fullmatch(name)]
