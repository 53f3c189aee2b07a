"""
The lane and aiohttp, side by side: what one does, the other does, to the byte.

Every conversation is held twice, with a service whose lane is on and with one whose lane is off.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio
from hypothesis import given, settings
from hypothesis import strategies as st

from app.clock import SECOND_NS
from app.connections import Connections
from app.faults import SILENT, Fault
from app.heads import LARGEST_HEAD
from app.lane import FIRST_REQUEST_S, LINGER_S, MOST_HELD, QUIET_S, Hall, Lane
from tests import fakes
from tests.wires import (
    QUIET_ROUNDS,
    House,
    Talk,
    Twins,
    Wire,
    house,
    request,
    rounds,
    twins,
    until,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

Parts = tuple[bytes, ...]

FOREVER = "delay=300"
QUICK = request("/aio?run=quick&delay=0")
SLOW = request("/aio?run=slow&delay=20ms")
LAST = request("/aio?run=last&delay=0", "Connection: close")
PAGE = request("/healthz")
MISSING = request("/nowhere")
HEAD = request("/aio?run=head&delay=0", method="HEAD")
POST = request("/aio?run=post&delay=0", "Content-Length: 5", method="POST", body=b"hello")
CHUNKS = b"5\r\nhello\r\n0\r\n\r\n"
CHUNKED = request("/aio?run=post&delay=0", "Transfer-Encoding: chunked", method="POST", body=CHUNKS)
REFUSED = request("/aio?run=bad&delay=soon")
OLD = request("/aio?run=old&delay=0", version="1.0")
OLD_KEPT = request("/aio?run=old&delay=0", "Connection: keep-alive", version="1.0")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def both(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Twins]:
    """The services that all conversations are held with."""
    async with twins(tmp_path_factory.mktemp("twins")) as pair:
        yield pair


# --- one contract, two paths ---------------------------------------------------------------------

# What the lane serves itself: aiohttp must not have seen it.
PLAIN: dict[str, Parts] = {
    "nothing but zero": (request("/aio?delay=0"),),
    "named run": (QUICK,),
    "waiting": (SLOW,),
    "head": (HEAD,),
    "fraction": (request("/aio?run=p&delay=0.0015"),),
    "range by seed": (request("/aio?run=p&delay=1-3ms&seed=7"),) * 4,
    "seed and n": (request("/aio?run=p&delay=uniform(0ms,9ms)&seed=7&n=3"),),
    "seed and key": (request("/aio?run=p&delay=uniform(0ms,9ms)&seed=7&key=k"),) * 3,
    "sequence": (request("/aio?run=seq&delay=seq(1ms,2ms)&status=seq(503,200)"),) * 3,
    "drip": (request("/aio?run=p&delay=12ms&drip=4"),),
    "drip at once": (request("/aio?run=p&delay=0&drip=3"),),
    "size": (request("/aio?run=p&delay=0&size=1k"),),
    "large": (request("/aio?run=p&delay=0&size=4m"),),
    "large drip": (request("/aio?run=p&delay=5ms&drip=5&size=1m"),),
    "profile in the query": (request("/aio?run=p&delay=0&profile=flaky&seed=1"),),
    "profile in the path": (request("/aio/flaky?run=p&delay=0&seed=1"),),
    "unknown profile in the path": (request("/aio/nobody"),),
    "knobs in a header": (request("/aio?delay=300", "X-Dawdle: delay=0&status=418&run=p"),),
    "knobs in two headers": (request("/aio", "X-Dawdle: delay=0", "x-dawdle: run=p"),),
    "empty header": (request("/aio?delay=0", "X-Dawdle:"),),
    "run in a header": (request("/aio?delay=0", "X-Dawdle-Run: p"),),
    "key in a header": (request("/aio?run=p&delay=0", "Idempotency-Key: once"),) * 2,
    "key in two headers": (
        request("/aio?run=p&delay=0", "Idempotency-Key: a", "Idempotency-Key: b"),
    ),
    "cache buster": (request("/aio?run=p&delay=0&_=123"),),
    "escapes": (request("/aio?run=p&delay=0&key=a%20b+c%C3%A9"),),
    "fragment": (request("/aio?run=p&delay=0#delay=300"),),
    "second question mark": (request("/aio?run=p&delay=0?"),),
    "empty query": (request("/aio?", "X-Dawdle: delay=0&run=p"),),
    "user agent": (request("/aio?run=p&delay=0", "User-Agent: curl/8 \xc3\xa9 \xff"),),
    "non-ASCII key": (request("/aio?run=p&delay=0", "Idempotency-Key: \xc3\xa9"),),
    "broken UTF-8 in a key": (request("/aio?run=p&delay=0", "Idempotency-Key: \xff"),),
    "content coding without content": (request("/aio?run=p&delay=0", "Content-Encoding: gzip"),),
    "leading empty line": (b"\r\n" + QUICK,),
    "blanks around values": (request("/aio?delay=0", "X-Dawdle-Run: \t p \t"),),
    "asked to close": (LAST,),
    "asked to close in other words": (request("/aio?run=p&delay=0", "connection: foo, CLOSE"),),
    "HTTP/1.0": (OLD,),
    "HTTP/1.0, kept": (OLD_KEPT, OLD_KEPT, OLD),
    "kept": (QUICK, SLOW, HEAD, REFUSED, QUICK),
    "exactly the largest head": (
        request("/aio?run=p&delay=0", f"X-Y: {'y' * (LARGEST_HEAD - 60 - 5)}"),
    ),
} | {
    f"status {status}": (request(f"/aio?run=p&delay=0&status={status}"),)
    for status in (200, 204, 205, 299, 304, 404, 429, 500, 503, 599)
} | {
    f"head of {status}": (request(f"/aio?run=p&delay=0&status={status}", method="HEAD"),)
    for status in (204, 205, 304, 503)
}  # fmt: skip

PLAIN |= {
    f"fault {fault}, {knobs}": (request(f"/aio?run=f&{knobs}&fault={fault}", *headers),)
    for fault in sorted(set(Fault) - SILENT)
    for knobs in ("delay=0", "delay=9ms", "delay=9ms&drip=4&status=503", "delay=0&size=1m")
    for headers in ((), ("Connection: close",))
} | {
    "fault of HTTP/1.0": (request("/aio?run=f&delay=0&fault=truncate", version="1.0"),),
    "no chunks in HTTP/1.0": (request("/aio?run=f&delay=0&fault=malformed", version="1.0"),),
    "no body to break": (request("/aio?run=f&delay=0&fault=stall:0.1", method="HEAD"),),
    "fault of no body": (request("/aio?run=f&delay=0&fault=empty", method="HEAD"),),
    "fail": (request("/aio?run=f&delay=0&fail=2:429&retry_after=1"),) * 3,
    "fail by key": (request("/aio?run=f&delay=0&fail=1:reset&key=k"),),
    "rate": (request("/aio?run=r1&delay=0&rate=2/m"),) * 3,
    "queue": (request("/aio?run=f&delay=1ms&capacity=1&queue=0"),) * 2,
    "barrier": (request("/aio?run=f&delay=9ms&barrier=2"),),
}  # fmt: skip

BROWSER = "Accept: text/html,application/xhtml+xml,*/*;q=0.8"
WRONG = (
    "delay=soon", "delay=301", "delay=", "delay", "delay=1&delay=1", "seed=x", "n=-1",
    "status=199", "status=600", "key=", "drip=0", "size=63", "size=17m", "run=a.json", "run=latest",
    "profile=nobody", "delai=1", "=1", "%FF=1", "delay=%zz", "delay=0&status=204&size=1k",
    "delay=0&status=204&drip=2", "delay=nan", "<script>=1", "&".join(f"x{n}=1" for n in range(33)),
)  # fmt: skip
PLAIN |= {
    f"{way} {wrong[:20]}": (request(f"/aio?{wrong}", *headers, method=method),)
    for wrong in WRONG
    for way, method, headers in (
        ("refused", "GET", ()),
        ("refused as a page", "GET", (BROWSER,)),
        ("refused without body", "HEAD", ()),
    )
}

FRAMINGS = {
    "length": "Content-Length: 5",
    "zero length": "Content-Length: 0",
    "signed length": "Content-Length: +5",
    "negative length": "Content-Length: -5",
    "empty length": "Content-Length:",
    "list of lengths": "Content-Length: 5, 5",
    "blank in length": "Content-Length: 5 5",
    "hexadecimal length": "Content-Length: 0x5",
    "enormous length": "Content-Length: 99999999999999999999",
    "blank before colon": "Content-Length : 5",
    "chunked": "Transfer-Encoding: chunked",
    "CHUNKED": "TRANSFER-ENCODING: CHUNKED",
    "chunked, blank before colon": "Transfer-Encoding : chunked",
    "chunked, tab": "Transfer-Encoding:\tchunked",
    "chunked, vertical tab": "Transfer-Encoding: \x0bchunked",
    "chunked twice": "Transfer-Encoding: chunked, chunked",
    "identity": "Transfer-Encoding: identity",
    "gzip, chunked": "Transfer-Encoding: gzip, chunked",
    "chunked, gzip": "Transfer-Encoding: chunked, gzip",
    "xchunked": "Transfer-Encoding: xchunked",
    "length and chunked": "Content-Length: 5\r\nTransfer-Encoding: chunked",
    "chunked and length": "Transfer-Encoding: chunked\r\nContent-Length: 5",
    "equal lengths": "Content-Length: 5\r\nContent-Length: 5",
    "unequal lengths": "Content-Length: 5\r\nContent-Length: 0",
    "folded": "Transfer-Encoding:\r\n chunked",
    "folded length": "Content-Length:\r\n 5",
    "folded into another": "X-Y: z\r\n Content-Length: 5",
    "bare line feed before": "X-Y: z\nContent-Length: 5",
    "bare carriage return before": "X-Y: z\rContent-Length: 5",
    "NUL before": "X-Y: z\0Content-Length: 5",
    "underscore": "Content_Length: 5",
}

# What the lane may leave to aiohttp, and must leave whole.
OTHER: dict[str, Parts] = {
    "page": (PAGE,),
    "nothing there": (MISSING,),
    "plan": (request("/plan?seed=1&delay=1-3&n=2"),),
    "POST": (POST,),
    "POST, body apart": (POST[:-5], POST[-5:]),
    "POST in pieces": (POST[:-5], b"he", b"llo"),
    "chunked": (CHUNKED,),
    "chunked in pieces": (CHUNKED[: -len(CHUNKS)], b"5\r", b"\nhel", b"lo\r\n0\r\n", b"\r\n"),
    "broken chunks": (CHUNKED[: -len(CHUNKS)] + b"ZZ\r\n",),
    "GET with a body": (request("/aio?run=o&delay=0", "Content-Length: 5", body=b"hello"),),
    "too large": (request("/aio?run=o&delay=0", "Content-Length: 9999999", method="POST"),),
    "expects": (request("/aio?run=o&delay=0", "Expect: 100-continue"),),
    "expects, with a body": (
        request(
            "/aio?run=o&delay=0", "Expect: 100-continue", "Content-Length: 5", method="POST"
        ),
        b"hello",
    ),
    "expects the unexpected": (request("/aio?run=o&delay=0", "Expect: nothing"),),
    "websocket": (
        request(
            "/aio?run=o&delay=0",
            "Connection: upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            "Sec-WebSocket-Version: 13",
        ),
        QUICK,
    ),
    "old websocket": (request("/aio?run=o&delay=0", "Sec-WebSocket-Key1: x"),),
    "upgrade to HTTP/2": (
        request("/aio?run=o&delay=0", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c"),
        QUICK,
    ),
    "upgrade unmeant": (request("/aio?run=o&delay=0", "Upgrade: websocket"), QUICK),
    "connection upgrade alone": (request("/aio?run=o&delay=0", "Connection: upgrade"), QUICK),
    "preflight": (
        request(
            "/aio", "Origin: http://a", "Access-Control-Request-Method: PUT", method="OPTIONS"
        ),
    ),
    "OPTIONS": (request("/aio?run=o&delay=0", method="OPTIONS"),),
    "absolute target": (request("http://localhost/aio?run=o&delay=0"),),
    "absolute target elsewhere": (request("http://else.where/aio?run=o&delay=0"),),
    "no target": (request(""),),
    "asterisk": (request("*", method="OPTIONS"),),
    "authority": (request("localhost:80", method="CONNECT"),),
    "two slashes": (request("//aio?run=o&delay=0"),),
    "slash behind": (request("/aio/?run=o&delay=0"),),
    "dots": (request("/x/../aio?run=o&delay=0"),),
    "escaped path": (request("/%61io?run=o&delay=0"),),
    "escaped profile": (request("/aio/fl%61ky?run=o&delay=0&seed=1"),),
    "capital": (request("/AIO?run=o&delay=0"),),
    "profile below": (request("/aio/flaky/x?run=o&delay=0"),),
    "profile of capitals": (request("/aio/Flaky?run=o&delay=0"),),
    "parameter": (request("/aio;x?run=o&delay=0"),),
    "fragment in the path": (request("/aio#x?run=o&delay=0"),),
    "fragment first": (request("#/aio?run=o&delay=0"),),
    "blank in the target": (request("/aio?run=o &delay=0"),),
    "tab in the target": (request("/aio?run=o\t&delay=0"),),
    "NUL in the target": (request("/aio?run=o\0&delay=0"),),
    "UTF-8 in the target": (request("/aio?run=o&delay=0&key=é"),),
    "no UTF-8 in the target": (request(b"/aio?run=o&delay=0&key=\xff"),),
    "delete in the target": (request("/aio?run=o&delay=0&key=\x7f"),),
    "no host": (b"GET /aio?run=o&delay=0 HTTP/1.1\r\n\r\n",),
    "no host, HTTP/1.0": (b"GET /aio?run=o&delay=0 HTTP/1.0\r\n\r\n",),
    "two hosts": (request("/aio?run=o&delay=0", "Host: other"),),
    "empty host": (b"GET /aio?run=o&delay=0 HTTP/1.1\r\nHost:\r\n\r\n",),
    "HTTP/0.9": (b"GET /aio?delay=0\r\n\r\n",),
    "HTTP/1.2": (request("/aio?run=o&delay=0", version="1.2"),),
    "HTTP/2.0": (request("/aio?run=o&delay=0", version="2.0"),),
    "HTTP/9.9": (request("/aio?run=o&delay=0", version="9.9"),),
    "preface of HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",),
    "small letters": (request("/aio?run=o&delay=0", method="get"),),
    "unknown method": (request("/aio?run=o&delay=0", method="DAWDLE"),),
    "line feeds alone": (QUICK.replace(b"\r\n", b"\n"),),
    "line feed ends the line": (QUICK.replace(b"\r\n", b"\n", 1),),
    "carriage returns alone": (QUICK.replace(b"\r\n", b"\r") + b"\r\n\r\n",),
    "line feeds end the head": (QUICK[:-4] + b"\n\n",),
    "three empty lines": (b"\r\n\r\n\r\n" + QUICK,),
    "empty lines alone": (b"\r\n\r\n",),
    "leading blank": (b" " + QUICK,),
    "an end too many": (QUICK + b"\r\n",),
    "folded header": (request("/aio?delay=0", "X-Dawdle-Run: o\r\n p"),),
    "folded first header": (b"GET /aio?delay=0 HTTP/1.1\r\n Host: x\r\n\r\n",),
    "no name": (request("/aio?run=o&delay=0", ": x"),),
    "no colon": (request("/aio?run=o&delay=0", "colon"),),
    "blank in a name": (request("/aio?run=o&delay=0", "X Y: z"),),
    "NUL in a value": (request("/aio?run=o&delay=0", "X-Y: a\0b"),),
    "non-ASCII name": (request("/aio?run=o&delay=0", "X-\xc3\xa9: z"),),
    "control character in a value": (request("/aio?run=o&delay=0", "X-Y: a\x01b"),),
    "rubbish": (b"rubbish\r\n\r\n",),
    "rubbish without an end": (b"\x16\x03\x01\x02\x00\x01",),
    "after the last": (LAST, QUICK),
    "with the last": (LAST + QUICK,),
    "HTTP/1.0, then more": (OLD, QUICK),
    "proxy connection": (request("/aio?run=o&delay=0", "Proxy-Connection: close"), QUICK),
    "kept and closed": (
        request("/aio?run=o&delay=0", "Connection: keep-alive, close"), QUICK,
    ),
    "one byte over the largest head": (
        request("/aio?run=p&delay=0", f"X-Y: {'y' * (LARGEST_HEAD - 59 - 5)}"),
    ),
} | {
    method: (request("/aio?run=o&delay=0", method=method),)
    for method in ("PUT", "PATCH", "DELETE", "TRACE", "PROPFIND", "PURGE", "M-SEARCH")
} | {
    f"target of {length}": (request(f"/aio?run=o&delay=0&_={'y' * (length - 21)}"),)
    for length in (4_000, 4_096, 8_189, 8_190, 8_191, 70_000)
} | {
    f"header of {length}": (request("/aio?run=o&delay=0", f"X-Y: {'y' * length}"),)
    for length in (4_000, 8_180, 8_187, 8_190, 8_191, 70_000)
} | {
    f"{count} headers": (request("/aio?run=o&delay=0", *["a: b"] * count),)
    for count in (126, 127, 128, 129, 500)
} | {
    f"{name}{where}": (
        request("/aio?run=framed&delay=0", framing, method=method)
        + b"hello" * bool(where)
        + QUICK * bool(where),
        QUICK,
    )
    for name, framing in FRAMINGS.items()
    for where, method in (("", "GET"), (", GET and more", "GET"), (", POST and more", "POST"))
}  # fmt: skip


@pytest.mark.parametrize("parts", PLAIN.values(), ids=PLAIN.keys())
async def test_plain_request_gets_the_same_from_the_lane(both: Twins, parts: Parts) -> None:
    """Bytes, connection and spans are equal, and aiohttp has had no part in it."""
    talk = await both.agree(*parts, patiently=True)

    assert len(parts) == len(talk.spans)
    assert (0, len(parts)) == (both.lane.by_aiohttp, both.plain.by_aiohttp)


@pytest.mark.parametrize("patiently", [False, True], ids=["at once", "in turn"])
@pytest.mark.parametrize("parts", OTHER.values(), ids=OTHER.keys())
async def test_anything_else_gets_the_same_as_without_a_lane(
    both: Twins, parts: Parts, patiently: bool
) -> None:
    """Odd or broken, allowed or not: bytes, connection and spans are equal."""
    await both.agree(*parts, patiently=patiently)


async def test_time_scale_is_the_same_for_both(tmp_path: Path) -> None:
    """The scale is told in the reply and kept in the span."""
    async with twins(tmp_path, time_scale="0.01") as pair:
        talk = await pair.agree(request("/aio?run=a&delay=1"), request("/aio?run=a&delay=x"))

    assert 2 == talk.received.count(b"X-Dawdle-Time-Scale: 0.01\r\n")
    assert [0.01, 0.01] == [span["time_scale"] for span in talk.spans]


async def test_limit_of_waiting_requests_counts_both_paths(tmp_path: Path) -> None:
    """One that waits in the lane takes the place of one that waits with aiohttp."""
    async with house(tmp_path, lane="on", max_waiting="2") as place:
        wires = [await place.connect() for _ in range(2)]
        await wires[0].send(request(f"/aio?run=a&{FOREVER}"))
        await wires[1].send(request(f"/aio?run=a&{FOREVER}", method="PUT"))
        await place.waiting(2)

        refusals = [await refused(place, method) for method in ("GET", "PUT")]
        for wire in wires:
            wire.close()
        await place.settle()

    assert [b"HTTP/1.1 503"] * 2 == refusals


async def refused(place: House, method: str) -> bytes:
    """The first words of a reply that comes at once."""
    wire = await place.connect()
    await wire.send(request("/aio?run=a&delay=0", method=method))
    await until(wire.look)
    wire.close()
    return bytes(wire.received[:12])


# --- the way over --------------------------------------------------------------------------------

SPLIT: dict[str, bytes] = {
    "plain": QUICK,
    "waiting": request("/aio?run=s&delay=1ms"),
    "head": HEAD,
    "refused": REFUSED,
    "profile": request("/aio/flaky?run=s&delay=0&seed=1"),
    "last": LAST,
    "HTTP/1.0": OLD,
    "page": PAGE,
    "body": POST,
    "chunked": CHUNKED,
    "expects": request(
        "/aio?run=s&delay=0", "Expect: 100-continue", "Content-Length: 2", method="POST", body=b"ok"
    ),
    "leading empty line": b"\r\n" + QUICK,
    "two": QUICK + HEAD,
    "three": QUICK + PAGE + LAST,
    "body, then more": POST + QUICK,
    "broken header": request("/aio?run=s&delay=0", "colon"),
    "smuggled": request(
        "/aio?run=s&delay=0", "Content-Length: 5", "Transfer-Encoding: chunked", body=CHUNKS + QUICK
    ),
}


@pytest.mark.parametrize("whole", SPLIT.values(), ids=SPLIT.keys())
async def test_request_may_be_cut_anywhere(both: Twins, whole: bytes) -> None:
    """Two segments, cut at every byte: the same replies and spans as without a lane."""
    borders = {whole.find(later) for later in (HEAD, PAGE, LAST)}
    for at in range(1, len(whole)):
        await both.agree(whole[:at], whole[at:])
        assert both.lane.by_aiohttp or at in borders


@pytest.mark.parametrize("name", ["plain", "waiting", "head", "body", "chunked", "page", "last"])
async def test_cut_request_is_answered_as_if_whole(both: Twins, name: str) -> None:
    """Byte by byte, or in one: one request, one reply, one span."""
    whole = await both.agree(SPLIT[name])
    dribbled = await both.agree(*(SPLIT[name][at : at + 1] for at in range(len(SPLIT[name]))))

    assert whole.received == dribbled.received
    assert [span["target"] for span in whole.spans] == [span["target"] for span in dribbled.spans]


KINDS = {
    "plain": QUICK,
    "waiting": request("/aio?run=k&delay=1ms"),
    "head": HEAD,
    "refused": REFUSED,
    "page": PAGE,
    "body": POST,
    "chunked": CHUNKED,
    "HTTP/1.0, kept": OLD_KEPT,
}


@pytest.mark.parametrize("first", KINDS)
async def test_requests_in_one_segment_are_answered_in_order(both: Twins, first: str) -> None:
    """Two and three requests at once, of every kind behind every other."""
    for second, third in itertools.product(KINDS, KINDS):
        talk = await both.agree(KINDS[first] + KINDS[second] + KINDS[third])
        assert 3 == len(talk.statuses)


@pytest.mark.parametrize("first", KINDS)
async def test_connection_serves_all_kinds_in_every_order(both: Twins, first: str) -> None:
    """Kept alive, one request after the other, ours and not ours."""
    for second, third in itertools.product(KINDS, KINDS):
        parts = [KINDS[first], KINDS[second], KINDS[third], LAST]
        talk = await both.agree(*parts, patiently=True)
        assert 4 == len(talk.statuses)
        assert talk.closed


async def test_numbers_continue_across_the_hand_over(both: Twins) -> None:
    """One connection keeps its number, and its requests are counted on."""
    talk = await both.agree(QUICK, QUICK, PAGE, QUICK, POST + QUICK, LAST, patiently=True)

    places = [(span["connection"], span["connection_request"]) for span in talk.spans]
    assert [(1, count) for count in range(1, 7)] == places


async def test_who_read_a_request_is_counted_apart(tmp_path: Path) -> None:
    """The connection is of who read its first request, each request of its own reader."""
    async with twins(tmp_path) as pair:
        await pair.agree(QUICK, QUICK, POST, QUICK, LAST, patiently=True)
        connections = [place.connections for place in pair]

    assert [(1, 2), (0, 0)] == [(of.lane.connections, of.lane.requests) for of in connections]
    assert [(0, 3), (1, 5)] == [(of.aiohttp.connections, of.aiohttp.requests) for of in connections]


async def test_connection_without_a_span_has_no_number(both: Twins) -> None:
    """Numbers are given with the first request that is recorded, in that order."""
    for place in both:
        before = place.connections.opened
        silent = await place.connect()

        await place.talk([PAGE])
        await place.settle(silent)
        silent.close()
        await place.settle()

        assert before == place.connections.opened


async def test_many_requests_at_once_are_answered_in_order(both: Twins) -> None:
    """More than aiohttp queues before it stops reading."""
    talk = await both.agree(b"".join(request(f"/aio?run=m&delay=0&_={n}") for n in range(150)))

    assert [f"/aio?run=m&delay=0&_={n}" for n in range(150)] == targets(talk)


def targets(talk: Talk) -> list[str]:
    return [span["target"] for span in talk.spans]


# --- while a request waits -----------------------------------------------------------------------

BIG = request("/aio?run=big&delay=0", "Content-Length: 65458", method="POST")
HELD: dict[str, Parts] = {
    "a request": (QUICK,),
    "another that waits": (SLOW,),
    "two in one": (QUICK + HEAD,),
    "two in turn": (QUICK, HEAD),
    "three in turn": (QUICK, PAGE, QUICK),
    "a page": (PAGE,),
    "a body": (POST,),
    "a body in turn": (POST[:-5], POST[-5:]),
    "byte by byte": tuple(QUICK[at : at + 1] for at in range(len(QUICK))),
    "the last": (LAST,),
    "the last and more": (LAST, QUICK),
    "an empty line": (b"\r\n",),
    "an empty line and more": (b"\r\n", QUICK),
    "garbage": (b"garbage\r\n\r\n",),
    "garbage in turn": (b"garb", b"age\r\n", b"\r\n"),
    "garbage and a request": (b"garbage\r\n\r\n" + QUICK,),
    "many": (b"".join([QUICK] * (MOST_HELD // len(QUICK) + 50)),),
    "exactly as much as is held": (BIG.ljust(MOST_HELD, b"x"), QUICK),
}


@pytest.mark.parametrize("first", [SLOW, LAST.replace(b"delay=0", b"delay=20ms")], ids=["", "last"])
@pytest.mark.parametrize("parts", HELD.values(), ids=HELD.keys())
async def test_what_comes_while_a_request_waits_is_served_afterwards(
    both: Twins, parts: Parts, first: bytes
) -> None:
    """Nothing is lost, nothing overtakes, and nothing is served that aiohttp would not serve."""
    await both.agree(first, *parts)


async def test_who_sends_much_while_waiting_is_not_read(both: Twins) -> None:
    """The memory for what came early is bounded."""
    wire = await both.lane.connect()
    await wire.send(request(f"/aio?run=much&{FOREVER}"))
    [lane] = both.lane.service.hall.lanes

    reading = []
    for data in (b"x" * (MOST_HELD // 2), b"x" * (MOST_HELD // 2), b"x"):
        await wire.send(data)
        reading.append(lane._transport.is_reading())
    both.lane.desk.runs.delete(both.lane.desk.runs.expect("much"))
    wire.close()
    await both.lane.settle()

    assert [True, True, False] == reading


@pytest.mark.parametrize("length", [90_000, 900_000])
async def test_body_larger_than_what_is_held_is_read_to_its_end(both: Twins, length: int) -> None:
    """Reading stops while the first request waits, and goes on afterwards."""
    head = request("/aio?run=big&delay=0", f"Content-Length: {length}", method="POST")
    first = MOST_HELD + 1
    for place in both:
        talk = await place.talk([SLOW, head + b"x" * first, b"x" * (length - first), QUICK])
        assert [200, 200, 200] == talk.statuses


async def test_garbage_behind_a_held_request_leaves_that_request_alone(both: Twins) -> None:
    """What came whole, in a segment of its own, is answered although rubbish came after it."""
    talk = await both.agree(SLOW, QUICK, b"garbage\r\n\r\n")

    assert [200, 200, 400] == talk.statuses


@pytest.mark.parametrize("which", ["lane", "plain"])
async def test_half_a_request_is_finished_after_the_reply(both: Twins, which: str) -> None:
    """The rest of what was begun while another waited may come when that has its reply."""
    place: House = getattr(both, which)
    for at in range(1, len(QUICK), 5):
        wire = await place.connect()

        await wire.send(SLOW)
        await wire.send(QUICK[:at])
        await place.settle(wire)
        await wire.send(QUICK[at:])
        await place.settle(wire)

        assert 2 == wire.received.count(b"HTTP/1.1 200 OK")
        wire.close()


LEAVING = {"close": Wire.close, "half-close": Wire.half_close, "reset": Wire.reset}
MEANWHILE: dict[str, Parts] = {
    "nothing": (),
    "a request": (QUICK,),
    "half a request": (QUICK[:20],),
    "two requests": (QUICK + QUICK,),
    "a page": (PAGE,),
    "garbage": (b"garbage\r\n\r\n",),
}


@pytest.mark.parametrize("leave", LEAVING.values(), ids=LEAVING.keys())
@pytest.mark.parametrize("parts", MEANWHILE.values(), ids=MEANWHILE.keys())
async def test_client_that_leaves_is_noticed_at_once(
    both: Twins, leave: Callable[[Wire], None], parts: Parts
) -> None:
    """One span, of a client that left; what it had sent besides is nobody's any more."""
    waiting = request(f"/aio?run=leaving&{FOREVER}")
    lane, plain = [await place.leave((waiting, *parts), leave) for place in both]

    assert plain == lane
    assert [("client_gone", "client")] == endings(lane)


@pytest.mark.parametrize("parts", [(), (QUICK,)], ids=["", "more"])
async def test_client_that_never_reads_its_reply_has_left_before_it(
    both: Twins, parts: Parts
) -> None:
    """A reply counts as complete when the kernel has all of it, not before."""
    large = request("/aio?run=unread&delay=0&size=16m")
    lane, plain = [await place.leave((large, *parts), Wire.close) for place in both]

    assert plain == lane
    assert [("client_gone", "client")] == endings(lane)


@pytest.mark.parametrize("leave", LEAVING.values(), ids=LEAVING.keys())
@pytest.mark.parametrize("parts", MEANWHILE.values(), ids=MEANWHILE.keys())
async def test_client_that_left_before_its_reply_was_due_gets_none(
    both: Twins, leave: Callable[[Wire], None], parts: Parts
) -> None:
    """A busy service learns of both in one round of its loop; the client was first."""
    waiting = request("/aio?run=leaving&delay=60ms")
    lane, plain = [await place.leave((waiting, *parts), leave, busy_s=0.08) for place in both]

    assert plain == lane
    assert [("client_gone", "client")] == endings(lane)


async def test_after_a_fault_no_request_is_served(both: Twins) -> None:
    """No fault reuses its connection."""
    talk = await both.agree(request("/aio?run=f&delay=0&fault=truncate"), QUICK)

    assert (True, ["truncate"]) == (talk.closed, [span["fault"] for span in talk.spans])


@pytest.mark.parametrize("leave", LEAVING.values(), ids=LEAVING.keys())
@pytest.mark.parametrize("fault", sorted(SILENT))
async def test_client_that_leaves_a_silence_ends_it(
    both: Twins, fault: str, leave: Callable[[Wire], None]
) -> None:
    """What the fault is for: a client with a timeout."""
    asked = request(f"/aio?run=silent&delay=0&fault={fault}")
    lane, plain = [await place.leave((asked,), leave) for place in both]

    assert plain == lane
    assert [("faulted", "client")] == endings(lane)


def endings(talk: Talk) -> list[tuple[str, str | None]]:
    return [(span["outcome"], span["ended_by"]) for span in talk.spans]


# --- one client and another ----------------------------------------------------------------------

ABANDONED: dict[str, Parts] = {
    "half a head": (QUICK[:30],),
    "half a body": (POST[:-5], POST[-5:-2]),
    "no body yet": (POST[:-5],),
    "no chunk yet": (CHUNKED[: -len(CHUNKS)],),
    "half a chunk": (CHUNKED[:-9],),
    "empty body": (request("/aio?run=a&delay=0", "Content-Length: 0", method="POST"),),
    "body of a page": (request("/runs/x", "Content-Length: 20", method="POST"),),
    "upgrade": OTHER["websocket"][:1],
    "other upgrade": OTHER["upgrade to HTTP/2"][:1],
    "tunnel": OTHER["authority"],
    "garbage": (b"garbage\r\n\r\n",),
    "garbage without an end": (b"garbage",),
    "the last": (LAST,),
    "HTTP/1.0": (OLD,),
    "missing host": OTHER["no host"],
    "too many headers": OTHER["129 headers"],
    "conflicting lengths": (request("/", "Content-Length: 5\r\nContent-Length: 0"),),
}


@pytest.mark.parametrize("parts", ABANDONED.values(), ids=ABANDONED.keys())
async def test_what_one_client_sends_does_not_touch_another(both: Twins, parts: Parts) -> None:
    """Whatever one connection is in the middle of, the next is served, and in the lane."""
    wire = await both.lane.connect()
    for part in parts:
        await wire.send(part)
    await both.lane.settle(wire)

    numbered = [request(f"/aio?run=next&delay=0&_={n}", "X-Y: z" * n) for n in range(3)]
    talks = [await both.agree(one) for one in numbered]
    wire.close()
    await both.lane.settle()

    assert [[200]] * 3 == [talk.statuses for talk in talks]
    assert 0 == both.lane.by_aiohttp


@pytest.mark.parametrize("framing", FRAMINGS.values(), ids=FRAMINGS.keys())
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
async def test_nothing_inside_a_request_becomes_a_request(
    both: Twins, framing: str, method: str
) -> None:
    """A head inside a header or a body is no head, on this connection or another."""
    hidden = request("/aio?run=hidden&delay=0")
    carrier = request("/aio?run=carrier&delay=0", framing, method=method)
    beyond = request("/aio?run=carrier&delay=0", "X-Y: " + hidden.decode(), method=method)
    sized = request(
        "/aio?run=carrier&delay=0", f"Content-Length: {len(hidden)}", method=method, body=hidden
    )
    for parts in ((carrier, beyond), (sized,), (sized[: -len(hidden)], hidden), (SLOW, sized)):
        talk = await both.agree(*parts)
        assert "hidden" not in {span["run"] for span in talk.spans}


async def test_body_that_never_comes_is_not_taken_from_another_connection(both: Twins) -> None:
    """Not even when exactly so many bytes precede something that reads like a head."""
    hidden = b"GET /aio?run=hidden&delay=0 HTTP/1.1\r\n"
    innocent = b"GET /aio?run=open&delay=0 HTTP/1.1\r\nX-Y: " + hidden + b"Host: x\r\n\r\n"
    for method in ("GET", "POST"):
        wire = await both.lane.connect()
        length = innocent.index(hidden)
        owing = request("/aio?run=a&delay=0", f"Content-Length: {length}", method=method)
        await wire.send(owing)
        await both.lane.settle(wire)

        talk = await both.agree(innocent)
        wire.close()
        await both.lane.settle()

        assert ["open"] == [span["run"] for span in talk.spans]


# --- any stream ----------------------------------------------------------------------------------

SOUND = [*KINDS.values(), SLOW, LAST, OLD, MISSING, *(parts[0] for parts in PLAIN.values())]
ODD = [b"".join(parts) for parts in OTHER.values() if len(parts[0]) < 3_000]
streams = st.lists(st.one_of(st.sampled_from(SOUND), st.sampled_from(ODD)), min_size=1, max_size=6)


@st.composite
def segments(draw: st.DrawFn) -> Parts:
    """A stream of requests, cut anywhere."""
    stream = b"".join(draw(streams))
    cuts = draw(st.lists(st.integers(0, len(stream)), max_size=8))
    bounds = [0, *sorted(cuts), len(stream)]
    return tuple(stream[start:end] for start, end in itertools.pairwise(bounds))


@settings(max_examples=300)
@given(parts=segments(), patiently=st.booleans())
async def test_any_stream_in_any_segments_gets_the_same(
    both: Twins, parts: Parts, patiently: bool
) -> None:
    """Everything received until the end is equal, and so are the spans."""
    await both.agree(*parts, patiently=patiently)


# --- order ---------------------------------------------------------------------------------------


async def only_lane(place: House) -> Lane:
    """The lane of the only connection."""
    await until(lambda: bool(place.service.hall.lanes))
    [lane] = place.service.hall.lanes
    return lane


@pytest.mark.parametrize(
    ("first", "allowed_ns"), [(b"", FIRST_REQUEST_S * SECOND_NS), (QUICK, QUIET_S * SECOND_NS)]
)
async def test_quiet_connection_is_closed_when_its_time_is_over(
    both: Twins, first: bytes, allowed_ns: int
) -> None:
    """One that never brings a request has less time than one that did."""
    wire = await both.lane.connect()
    lane = await only_lane(both.lane)
    await wire.send(first)
    await both.lane.settle(wire)

    since_ns = (both.lane.ended[-1].end_ns or 0) if first else lane._since_ns
    lane.close_if_quiet(since_ns + allowed_ns)
    await both.lane.settle(wire)
    before = wire.closed
    lane.close_if_quiet(since_ns + allowed_ns + 1)
    await both.lane.settle(wire)

    assert (False, True) == (before, wire.closed)
    assert set() == both.lane.service.hall.lanes
    wire.close()


async def test_connection_whose_request_waits_is_not_quiet(both: Twins) -> None:
    """However long it waits."""
    wire = await both.lane.connect()
    await wire.send(request(f"/aio?run=q&{FOREVER}"))
    await both.lane.waiting(1)

    (await only_lane(both.lane)).close_if_quiet(1 << 63)
    await rounds(QUIET_ROUNDS)

    assert not wire.look()
    wire.close()
    await both.lane.settle()


async def test_connection_is_closed_some_time_after_its_fault(both: Twins) -> None:
    """A client that goes on sending into it is read, so that our FIN stays one; not for ever."""
    wire = await both.lane.connect()
    await wire.send(request("/aio?run=f&delay=0&fault=empty"))
    await gone(wire)
    lane = await only_lane(both.lane)
    begun_ns = lane._since_ns + (QUIET_S - LINGER_S) * SECOND_NS
    await wire.send(QUICK)

    lane.close_if_quiet(begun_ns + LINGER_S * SECOND_NS)
    assert not lane._transport.is_closing()
    lane.close_if_quiet(begun_ns + LINGER_S * SECOND_NS + 1)
    await rounds(QUIET_ROUNDS)

    assert not both.lane.service.hall.lanes
    wire.close()


@pytest.mark.parametrize("which", ["lane", "plain"])
async def test_hundreds_of_faults_leave_no_task_behind(both: Twins, which: str) -> None:
    """Nor an alarm, nor a connection."""
    place: House = getattr(both, which)
    before = asyncio.all_tasks()
    mixed = ",".join(f"{fault}:0.11" for fault in Fault)
    wires = []
    for number in range(200):
        wires.append(await place.connect())
        query = f"run=many&seed=5&n={number}&delay=0-20ms&fault={mixed}"
        await wires[-1].send(request(f"/aio?{query}", method="POST"))
    await until(lambda: place.desk.waiting == len(place.desk.silent))
    for wire in wires:
        wire.close()
    await place.settle()

    assert set(Fault) <= {span.fault for span in place.ended}
    assert (0, set()) == (place.desk.waiting, place.desk.silent)
    assert asyncio.all_tasks() <= before
    assert not place.service.hall.lanes


async def test_sweep_looks_at_every_connection_again_and_again(
    both: Twins, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two connections, the second after the first sweep: both are closed."""
    monkeypatch.setattr("app.lane.SWEEP_EVERY_S", 0)
    monkeypatch.setattr("app.lane.FIRST_REQUEST_S", 0)
    sweep = asyncio.create_task(both.lane.service.hall.sweep())
    for _ in range(2):
        wire = await both.lane.connect()
        await gone(wire)
        wire.close()
    sweep.cancel()


async def gone(wire: Wire) -> None:
    """Return once the service has closed the connection."""
    await until(lambda: wire.look() and wire.closed)


@pytest.mark.parametrize("lane", ["on", "off"])
async def test_end_of_the_service_ends_what_waits(
    tmp_path: Path, lane: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever leaves the context without draining leaves no connection and no span open."""
    monkeypatch.setattr("app.server.LAST_WORDS_S", 0.01)
    async with house(tmp_path, lane=lane) as place:
        wire = await place.connect()
        await wire.send(request(f"/aio?run=end&{FOREVER}"))
        await place.waiting(1)
    await rounds(QUIET_ROUNDS)
    wire.look()

    closed, ended = wire.closed, len(place.ended)
    wire.close()
    await rounds(QUIET_ROUNDS)
    assert (True, 1) == (closed, ended)


FAILING = {
    "in reading knobs": ("app.plan.Planner.read", "delay=0", []),
    "in a refusal": ("app.exchange.Exchange._refuse", "delay=x", ["error"]),
    "in a reply": ("app.reply.head", "delay=0", ["error"]),
    "in a reply to come": ("app.reply.head", "delay=1ms", ["error"]),
}


@pytest.mark.parametrize(("where", "knobs", "outcomes"), FAILING.values(), ids=FAILING.keys())
@pytest.mark.parametrize("lane", ["on", "off"])
async def test_failure_of_ours_is_said_and_written_down(
    *,
    tmp_path: Path,
    lane: str,
    where: str,
    knobs: str,
    outcomes: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A 500, and a span that says so if there is one."""

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("on purpose")

    async with house(tmp_path, lane=lane) as place:
        monkeypatch.setattr(where, fail)
        talk = await place.talk([request(f"/aio?run=e&{knobs}")])

    assert ([500], outcomes) == (talk.statuses, [span["outcome"] for span in talk.spans])


class Handlers:
    """What a hall asks of aiohttp's server: one connection is open there."""

    connections = ("one",)

    def __call__(self) -> asyncio.Protocol:
        return asyncio.Protocol()


@pytest.mark.parametrize(("most", "full"), [(4, False), (3, True), (2, True)])
async def test_connections_in_lanes_and_with_aiohttp_are_bounded_together(
    *, most: int, full: bool
) -> None:
    """One is in its lane, one an echo, one was handed over; aiohttp's count when it matters."""
    hall = Hall(fakes.House().desk, Connections(), Handlers(), most=most, others=["echo"])
    hall.lanes.add(hall.lane())
    hall.hand_over(hall.lane())

    assert full == hall.is_full
