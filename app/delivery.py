"""The pages of the demonstration site on the wire: whole, slow or broken."""

from collections.abc import Awaitable, Callable
from functools import partial

from aiohttp import web

from app import faults
from app.aio import is_preflight, preflight
from app.clock import SECOND_NS
from app.faults import GARBAGE, Fault
from app.site import PAGES, Delivery, SitePage, body_of, headers_of
from app.visits import ALLOWED, Visit, visit

# How long a page lets wait, before the time scale; for a slow one, until its last piece.
DELAYS_NS = {Delivery.LATE: 2 * SECOND_NS, Delivery.SLOW: 3 * SECOND_NS}
SLOW_PIECES = 12

LONGEST_SILENCE_S = 60.0  # for clients that never give up; what they wait for is not scaled
MOST_ENDLESS_BYTES = 64 << 20  # and for those that never have enough


async def site_page(request: web.Request) -> web.StreamResponse:
    """A page of the demonstration site, as it is delivered."""
    if is_preflight(request):
        return preflight(request)
    number = int(request.match_info["number"])
    if number not in PAGES:
        raise web.HTTPNotFound
    if request.method == "OPTIONS":
        return await visit(request, _methods)
    page = PAGES[number]
    return await visit(
        request,
        partial(_DELIVERIES[page.delivery], page=page, body=body_of(number)),
        delay_ns=DELAYS_NS.get(page.delivery, 0),
        drip=SLOW_PIECES if page.delivery is Delivery.SLOW else None,
    )


async def _methods(visit: Visit) -> web.StreamResponse:
    return await visit.whole(web.Response(status=204, headers={"Allow": ALLOWED}))


async def _whole(visit: Visit, page: SitePage, body: bytes) -> web.StreamResponse:
    asked_s = page.headers.get("Retry-After")
    visit.span.retry_after_ns = None if asked_s is None else int(asked_s) * SECOND_NS
    return await visit.whole(web.Response(status=page.status, headers=headers_of(page), body=body))


async def _late(visit: Visit, page: SitePage, body: bytes) -> web.StreamResponse:
    visit.changed()
    await visit.wait(DELAYS_NS[Delivery.LATE])
    return await _whole(visit, page, body)


async def _slow(visit: Visit, page: SitePage, body: bytes) -> web.StreamResponse:
    response = await _begun(visit, page, len(body))
    if visit.span.method != "HEAD":
        for piece in range(SLOW_PIECES):
            await visit.wait(DELAYS_NS[Delivery.SLOW] * (piece + 1) // SLOW_PIECES)
            begin, end = (len(body) * place // SLOW_PIECES for place in (piece, piece + 1))
            await visit.write(response, body[begin:end])
    await visit.end(response)
    return response


async def _endless(visit: Visit, page: SitePage, body: bytes) -> web.StreamResponse:
    response = await _begun(visit, page, None)
    if visit.span.method != "HEAD":
        for _ in range(MOST_ENDLESS_BYTES // len(body)):
            await visit.write(response, body)
    await visit.end(response)
    return response


async def _stalled(visit: Visit, page: SitePage, body: bytes) -> web.StreamResponse:
    return await _half(visit, page, body, Fault.STALL)


async def _cut(visit: Visit, page: SitePage, body: bytes) -> web.StreamResponse:
    return await _half(visit, page, body, Fault.TRUNCATE)


async def _half(visit: Visit, page: SitePage, body: bytes, fault: Fault) -> web.StreamResponse:
    """A reply that promised the whole body, brings half of it, and breaks off."""
    if visit.span.method == "HEAD":
        response = await _begun(visit, page, len(body))
        await visit.end(response)
        return response
    visit.strike(fault)
    response = await _begun(visit, page, len(body))
    await visit.write(response, body[: len(body) // 2])
    if fault is Fault.STALL:
        return await _silence(visit)
    visit.transport.close()
    return response


async def _silent(visit: Visit, **_: object) -> web.StreamResponse:
    visit.strike(Fault.HANG)
    return await _silence(visit)


async def _silence(visit: Visit) -> web.StreamResponse:
    await visit.fall_silent(LONGEST_SILENCE_S)
    faults.reset(visit.transport)
    return web.Response()  # which nobody hears


async def _garbage(visit: Visit, **_: object) -> web.StreamResponse:
    visit.strike(Fault.GARBAGE)
    visit.blurt(GARBAGE)
    visit.transport.close()
    return web.Response()  # which nobody hears


async def _reset(visit: Visit, **_: object) -> web.StreamResponse:
    visit.strike(Fault.RESET)
    faults.reset(visit.transport)
    return web.Response()  # which nobody hears


async def _begun(visit: Visit, page: SitePage, length: int | None) -> web.StreamResponse:
    """A reply whose headers are out."""
    response = web.StreamResponse(status=page.status, headers=headers_of(page))
    response.content_length = length
    await visit.begin(response)
    visit.changed()
    return response


_DELIVERIES: dict[Delivery, Callable[..., Awaitable[web.StreamResponse]]] = {
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
