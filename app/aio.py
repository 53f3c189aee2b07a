"""`/aio` as an aiohttp.web handler: brings requests to the desk and exchanges to their end."""

import asyncio
from contextlib import suppress
from functools import lru_cache

from aiohttp import HttpVersion10, HttpVersion11, web
from aiohttp.http_exceptions import PayloadEncodingError
from multidict import CIMultiDictProxy

from app import keys
from app.errors import Problem
from app.exchange import Exchange, Request
from app.grammar import readable
from app.plan import Asked

# How long browsers may remember a preflight: two hours is the most that Chromium heeds.
# https://fetch.spec.whatwg.org/#http-access-control-max-age
PREFLIGHT_MAX_AGE_S = 7_200

# Clients repeat their requests. Long ones are read each time, lest they fill the memory.
KEPT = 256
LONGEST_KEPT = 2_048  # characters


async def aio(request: web.Request) -> web.StreamResponse:
    """Any method on `/aio` and `/aio/NAME`: wait as planned, answer as planned."""
    if is_preflight(request):
        return preflight(request)
    app, transport = request.app, request.transport
    place = app[keys.CONNECTIONS].request(transport) if transport else (0, 0)
    exchange = app[keys.DESK].arrive(read(request), *place)
    with exchange:
        if transport is None:  # the client left before its turn came
            exchange.abandon()
        else:
            await _wait(exchange, request, transport)
            if not await flush(request, transport):
                exchange.abandon()
    return Written(exchange)


def read(request: web.Request) -> Request:
    """What the desk wants to know of a request that aiohttp has read."""
    return understand(
        request.method,
        request.raw_path,
        request.headers,
        http_version="1.0" if request.version == HttpVersion10 else "1.1",
        keep_alive=request.keep_alive,
        profile=request.match_info.get("profile"),
    )


def understand(
    method: str,
    target: str,
    headers: CIMultiDictProxy[str],
    *,
    http_version: str,
    keep_alive: bool,
    profile: str | None,
) -> Request:
    """What the desk wants to know of a request, texts as they were sent."""
    texts = (
        target,
        _joined(headers, "X-Dawdle", "&"),
        _joined(headers, "X-Dawdle-Run", ", "),
        _joined(headers, "Idempotency-Key", ", "),
        profile,
        headers.get("User-Agent"),
        headers.get("Accept", ""),
    )
    is_long = sum(map(len, filter(None, texts))) > LONGEST_KEPT
    understood = _understood if is_long else _kept
    return understood(texts, method, http_version, keep_alive)


Texts = tuple[str, str | None, str | None, str | None, str | None, str | None, str]


def _understood(texts: Texts, method: str, http_version: str, keep_alive: bool) -> Request:
    target, header, run, key, profile, agent, accept = texts
    return Request(
        asked=Asked(
            _query(target),
            header,
            run,
            key,
            profile,
            head=method == "HEAD",
            old=http_version == "1.0",
        ),
        method=method,
        target=readable(target),
        http_version=http_version,
        keep_alive=keep_alive,
        user_agent=None if agent is None else readable(agent),
        accept=accept,
    )


_kept = lru_cache(maxsize=KEPT)(_understood)


def _joined(headers: CIMultiDictProxy[str], name: str, separator: str) -> str | None:
    """The values of a header that may come several times; None when it did not come at all."""
    return separator.join(headers.getall(name)) if name in headers else None


def _query(target: str) -> str:
    return target.partition("#")[0].partition("?")[2]


# --- waiting -------------------------------------------------------------------------------------


async def _wait(exchange: Exchange, request: web.Request, transport: asyncio.Transport) -> None:
    """Return when the reply is written; meanwhile read the body."""
    ended = asyncio.get_running_loop().create_future()
    reader = _reader(exchange, request) if request.can_read_body else None

    def written() -> None:
        if reader is None and _has_left(transport):
            exchange.finish()  # now, and not when our turn comes
        if not ended.done():
            ended.set_result(None)

    # Then the kernel gets the reply at once, not at the end of the loop's round.
    transport.set_write_buffer_limits(0)
    try:
        exchange.begin(transport, written)
        await ended
    finally:
        if reader is not None:
            reader.cancel()


def _reader(exchange: Exchange, request: web.Request) -> "asyncio.Task[None] | None":
    """Count what came of the body along with the head; the task that reads the rest, if any."""
    body = Body(request, exchange)
    exchange.problem = exchange.problem or body.take_what_came()
    return asyncio.create_task(body.read()) if body.is_incomplete else None


def _has_left(transport: asyncio.Transport) -> bool:
    """Whether the kernel has all that was written."""
    return not transport.get_write_buffer_size() and not transport.is_closing()


class Body:
    """
    The body of a request, read and counted while the request waits.

    Not only to count it: a connection whose bytes nobody reads does not notice that its client
    has left. Once a fault has begun, the reply is what the fault makes of it, whatever comes.
    """

    def __init__(self, request: web.Request, exchange: Exchange) -> None:
        self._content = request.content
        self._declared = request.content_length or 0
        self._most = request.app[keys.SETTINGS].max_body
        self._exchange = exchange

    def take_what_came(self) -> Problem | None:
        """Count what came along with the head; the problem if that is too much."""
        try:
            self._check(self._declared)
            self._take(self._content.read_nowait(-1))
        except Problem as problem:
            return problem
        except (PayloadEncodingError, web.RequestPayloadError):
            return _broken()
        return None

    @property
    def is_incomplete(self) -> bool:
        """Whether there is more to come."""
        return not self._content.at_eof()

    async def read(self) -> None:
        """Read and count the rest; dismiss the exchange when it is too much."""
        try:
            async for chunk in self._content.iter_any():
                self._take(chunk)
        except Problem as problem:
            self._exchange.dismiss(problem)
        except (PayloadEncodingError, web.RequestPayloadError):
            self._exchange.dismiss(_broken())
        except ConnectionError:
            pass  # the handler is told by its own cancellation

    def _take(self, chunk: bytes) -> None:
        span = self._exchange.span
        span.bytes_in += len(chunk)
        self._check(span.bytes_in)

    def _check(self, length: int) -> None:
        if length > self._most and not self._exchange.is_faulted:
            raise Problem(
                "body-too-large",
                f"the body is larger than {self._most} bytes; send less (max_body)",
            )


def _broken() -> Problem:
    return Problem("bad-body", "the framing of the body is broken; send it whole")


async def go_on(request: web.Request) -> None:
    """
    Answer `Expect: 100-continue` (RFC 9110 section 10.1.1), unless the body is refused unread.

    Other expectations are ignored, as they may be: every request is to get its span and reply.
    """
    expected = request.headers["Expect"].lower() == "100-continue"
    too_large = (request.content_length or 0) > request.app[keys.SETTINGS].max_body
    if expected and not too_large and request.version == HttpVersion11:
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # of the reply, of which this is no part


# --- replying ------------------------------------------------------------------------------------


class Written(web.StreamResponse):
    """A reply whose bytes are on the transport already: tells aiohttp what to do afterwards."""

    def __init__(self, exchange: Exchange) -> None:
        super().__init__(status=exchange.span.status or 200)
        self._keep_alive = exchange.keep_alive
        self._eof_sent = True
        self._body_length = exchange.span.bytes_out


async def flush(request: web.Request, transport: asyncio.Transport) -> bool:
    """Wait until the kernel has all bytes: only then is a reply complete. False if it never is."""
    if transport.get_write_buffer_size():
        with suppress(ConnectionError):
            await request.writer.drain()
    if transport.is_closing():
        return False
    transport.set_write_buffer_limits()
    return True


# --- CORS ----------------------------------------------------------------------------------------


def is_preflight(request: web.Request) -> bool:
    """Whether a browser asks beforehand (https://fetch.spec.whatwg.org/#cors-preflight-request)."""
    return (
        request.method == "OPTIONS"
        and "Origin" in request.headers
        and "Access-Control-Request-Method" in request.headers
    )


def preflight(request: web.Request) -> web.Response:
    """Allow whatever was asked for, at once: a preflight is the browser's, not the client's."""
    asked = request.headers
    headers = {
        "Access-Control-Allow-Methods": asked["Access-Control-Request-Method"],
        "Access-Control-Max-Age": str(PREFLIGHT_MAX_AGE_S),
    }
    if "Access-Control-Request-Headers" in asked:
        headers["Access-Control-Allow-Headers"] = asked["Access-Control-Request-Headers"]
    return web.Response(status=204, headers=headers)
