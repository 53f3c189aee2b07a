"""The pages of the demonstration site on the wire: whole, slow or broken."""

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress

from aiohttp import web

from app import keys
from app.site import PAGES, Delivery, SitePage, body_of, headers_of

# In seconds, before the time scale.
LATE_S = 2.0
SLOW_S = 3.0
SLOW_PIECES = 12

LONGEST_SILENCE_S = 60.0  # for clients that never give up; what they wait for is not scaled
MOST_ENDLESS_BYTES = 64 << 20  # and for those that never have enough
GARBAGE = b"\x16\x03 This is not the HTTP you look for.\r\n\r\n"


async def site_page(request: web.Request) -> web.StreamResponse:
    """A page of the demonstration site, as it is delivered."""
    number = int(request.match_info["number"])
    if number not in PAGES:
        raise web.HTTPNotFound
    page = PAGES[number]
    body = body_of(number)
    return await _DELIVERIES[page.delivery](request, page, body)


async def _whole(_: web.Request, page: SitePage, body: bytes) -> web.StreamResponse:
    return web.Response(status=page.status, headers=headers_of(page), body=body)


async def _late(request: web.Request, page: SitePage, body: bytes) -> web.StreamResponse:
    await asyncio.sleep(_scaled(request, LATE_S))
    return await _whole(request, page, body)


async def _slow(request: web.Request, page: SitePage, body: bytes) -> web.StreamResponse:
    response = await _begun(request, page, len(body))
    if request.method == "HEAD":
        return response
    size = -(-len(body) // SLOW_PIECES)
    for begin in range(0, len(body), size):
        await asyncio.sleep(_scaled(request, SLOW_S / SLOW_PIECES))
        await response.write(body[begin : begin + size])
    return response


async def _stalled(request: web.Request, page: SitePage, body: bytes) -> web.StreamResponse:
    return await _half(request, page, body, silence_s=LONGEST_SILENCE_S)


async def _cut(request: web.Request, page: SitePage, body: bytes) -> web.StreamResponse:
    return await _half(request, page, body, silence_s=0)


async def _silent(request: web.Request, *_: object) -> web.StreamResponse:
    await _silence(request, LONGEST_SILENCE_S)
    _transport(request).close()
    return web.Response()  # which nobody hears


async def _endless(request: web.Request, page: SitePage, body: bytes) -> web.StreamResponse:
    response = await _begun(request, page, None)
    if request.method != "HEAD":
        for _ in range(MOST_ENDLESS_BYTES // len(body)):
            await response.write(body)
    return response


async def _garbage(request: web.Request, *_: object) -> web.StreamResponse:
    transport = _transport(request)
    transport.write(GARBAGE)
    transport.close()
    return web.Response()  # which nobody hears


async def _reset(request: web.Request, *_: object) -> web.StreamResponse:
    transport = _transport(request)
    wire = transport.get_extra_info("socket")
    wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
    return web.Response()  # which nobody hears


_DELIVERIES: dict[
    Delivery, Callable[[web.Request, SitePage, bytes], Awaitable[web.StreamResponse]]
] = {
    Delivery.WHOLE: _whole,
    Delivery.LATE: _late,
    Delivery.SLOW: _slow,
    Delivery.STALLED: _stalled,
    Delivery.SILENT: _silent,
    Delivery.CUT: _cut,
    Delivery.ENDLESS: _endless,
    Delivery.GARBAGE: _garbage,
    Delivery.RESET: _reset,
}


# --- pieces of them ------------------------------------------------------------------------------


def _scaled(request: web.Request, seconds: float) -> float:
    return seconds * request.app[keys.SETTINGS].time_scale


def _transport(request: web.Request) -> asyncio.Transport:
    if request.transport is None:
        raise ConnectionResetError  # the client left before its turn came
    return request.transport


async def _silence(request: web.Request, longest_s: float) -> None:
    """Return when the time is up, or the service stops."""
    feed = request.app[keys.FEED]
    with suppress(TimeoutError):
        async with asyncio.timeout(longest_s):
            while not feed.closed:
                await feed.wait(feed.position)


async def _begun(request: web.Request, page: SitePage, length: int | None) -> web.StreamResponse:
    """A reply whose headers are out."""
    response = web.StreamResponse(status=page.status, headers=headers_of(page))
    response.content_length = length
    await response.prepare(request)
    return response


async def _half(
    request: web.Request, page: SitePage, body: bytes, *, silence_s: float
) -> web.StreamResponse:
    """A reply that promised the whole body, brings half of it, and breaks off after a silence."""
    response = await _begun(request, page, len(body))
    if request.method != "HEAD":
        await response.write(body[: len(body) // 2])
        await _silence(request, silence_s)
        _transport(request).close()
    return response
