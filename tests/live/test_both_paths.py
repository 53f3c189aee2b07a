"""The lane and aiohttp in processes of their own: over TCP, IPv6 and TLS, on both loops."""

import re
import socket
import ssl
import struct
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, NamedTuple

import pytest

from app.faults import GARBAGE
from tests.live.process import (
    PATIENCE_S,
    Dawdle,
    database,
    on_each_loop,
    request,
    unpacked,
    until,
)

pytestmark = [pytest.mark.live, on_each_loop]

VARYING = re.compile(rb"(?<=\r\nDate: )[^\r]+|(?<=\r\nX-Dawdle-Span: )[^\r]+")
MOMENTS = ("arrival_ns", "wait_begun_ns", "first_byte_ns", "last_byte_ns", "end_ns")
OF_THIS_SERVER = {"id", "connection", *MOMENTS}

QUICK = request("/aio?run=wire&delay=0")
LAST = request("/aio?run=wire&delay=0", "Connection: close")
PAGE = request("/healthz")
POST = request("/aio?run=wire&delay=0", method="POST", body=b"hello")
SLOW_POST = request("/aio?run=wire&delay=200ms", method="POST", body=b"hello")
STREAMS: dict[str, list[bytes]] = {
    "plain": [LAST],
    "waiting": [request("/aio?run=wire&delay=50ms", "Connection: close")],
    "refused": [request("/aio?run=wire&delay=soon", "Connection: close")],
    "refused, kept": [request("/aio?run=wire&delay=soon"), LAST],
    "head": [request("/aio?run=wire&delay=0", method="HEAD"), LAST],
    "bodyless": [request("/aio?run=wire&delay=0&status=204"), LAST],
    "drip": [request("/aio?run=wire&delay=30ms&drip=3"), LAST],
    "large": [request("/aio?run=wire&delay=0&size=4m"), LAST],
    "large, then a page": [request("/aio?run=wire&delay=0&size=4m"), PAGE, LAST],
    "kept": [QUICK, QUICK, LAST],
    "handed over": [QUICK, PAGE, QUICK, POST, LAST],
    "body": [POST, QUICK, LAST],
    "body apart": [SLOW_POST[:-5], SLOW_POST[-5:], LAST],
    "two at once": [QUICK + LAST],
    "three at once": [QUICK + PAGE + LAST],
    "cut": [QUICK[:20], QUICK[20:] + LAST[:30], LAST[30:]],
    "more while it waits": [request("/aio?run=wire&delay=100ms"), QUICK, PAGE, LAST],
    "much while it waits": [request("/aio?run=wire&delay=100ms"), QUICK * 1_500 + LAST],
    "truncated": [request("/aio?run=wire&delay=9ms&fault=truncate&size=1m")],
    "malformed": [request("/aio?run=wire&delay=9ms&drip=3&fault=malformed"), QUICK],
    "HTTP/1.0": [QUICK.replace(b"HTTP/1.1", b"HTTP/1.0")],
    "broken": [request("/aio?run=wire&delay=0", "colon")],
    "broken behind": [QUICK, b"garbage\r\n\r\n"],
    "tunnel": [request("localhost:80", method="CONNECT"), LAST],
}


class Twins(NamedTuple):
    """A server with its lane and one without."""

    lane: Dawdle
    plain: Dawdle


WAYS = {
    "TCP": (),
    "IPv6": ("--host", "::1"),
    "TLS": ("--tls-self-signed",),
}


@pytest.fixture(scope="module", params=WAYS.values(), ids=list(WAYS))
def both(
    request: pytest.FixtureRequest,
    environ: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Twins]:
    """The servers that all conversations are held with."""
    with ExitStack() as running:
        lane, plain = (
            running.enter_context(
                Dawdle(tmp_path_factory.mktemp("twins"), *request.param, *lane, environ=environ)
            )
            for lane in ((), ("--no-lane",))
        )
        yield Twins(lane.listening(), plain.listening())


def connect(server: Dawdle) -> socket.socket:
    """A connection as the server wants it, through TLS where it has that."""
    bare = socket.create_connection((server.host, server.port), timeout=PATIENCE_S)
    bare.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if not server.url.startswith("https"):
        return bare
    context = ssl.create_default_context(cafile=server.data / "dawdle-ca.pem")
    return context.wrap_socket(bare, server_hostname="127.0.0.1")


def talk(server: Dawdle, parts: list[bytes]) -> bytes:
    """All that comes for these parts, sent a little apart, until the server closes."""
    received = bytearray()
    with connect(server) as wire:
        try:
            for part in parts:
                wire.sendall(part)
                time.sleep(0.01)  # for segments of their own
            while chunk := wire.recv(1 << 20):
                received += chunk
        except (ConnectionError, ssl.SSLEOFError):
            pass
    return VARYING.sub(b"*", received)


def written_down(server: Dawdle, run: str, count: int) -> list[dict[str, Any]]:
    """The spans of the run, once there are so many, without what can't be equal."""
    spans: list[dict[str, Any]] = []

    def is_complete() -> bool:
        spans[:] = stored_spans(server, run)
        return len(spans) >= count

    until(is_complete, f"{count} spans of {run}")
    for span in spans:
        moments = [span[name] for name in MOMENTS if span[name] is not None]
        assert sorted(moments) == moments, span
    return [
        {name: value for name, value in span.items() if name not in OF_THIS_SERVER}
        for span in spans
    ]


def stored_spans(server: Dawdle, run: str) -> list[dict[str, Any]]:
    """The spans of the run that are on disk, in order of arrival."""
    with database(server.data) as connection:
        pages = connection.execute(
            "SELECT spans FROM pages JOIN runs ON runs.id = pages.run_id WHERE name = ?", [run]
        ).fetchall()
    return unpacked(pages)


@pytest.mark.parametrize("name", STREAMS)
def test_lane_and_aiohttp_are_the_same_for_every_client(both: Twins, name: str) -> None:
    """Bytes and spans are equal, dates and ids aside."""
    run = name.replace(" ", "-").replace(",", "").replace("/", "-").encode()
    parts = [part.replace(b"run=wire", b"run=" + run) for part in STREAMS[name]]

    lane, plain = (talk(server, parts) for server in both)
    count = lane.count(b"\r\nX-Dawdle-Span: ")
    written = [written_down(server, run.decode(), count) for server in both]

    assert plain == lane
    assert count == len(written[0])
    assert written[1] == written[0]


@pytest.mark.parametrize("fault", ["reset", "empty", "garbage"])
def test_what_breaks_without_a_head_is_the_same_for_every_client(both: Twins, fault: str) -> None:
    """Nothing, or garbage; and the same span."""
    asked = request(f"/aio?run={fault}&delay=9ms&fault={fault}")

    received = [talk(server, [asked]) for server in both]
    spans = [written_down(server, fault, 1) for server in both]

    assert [GARBAGE if fault == "garbage" else b""] * 2 == received
    assert spans[0] == spans[1]
    assert [("faulted", fault)] == [(span["outcome"], span["fault"]) for span in spans[0]]


@pytest.mark.parametrize("way", ["FIN", "RST"])
@pytest.mark.parametrize("held", [b"", PAGE, QUICK[:20]], ids=["", "held", "half held"])
def test_client_that_leaves_is_noticed_whatever_it_sent(both: Twins, way: str, held: bytes) -> None:
    """One span, of a client that left, with or without a lane."""
    run = f"leaving-{way}-{len(held)}"
    for server in both:
        wire = connect(server)
        wire.sendall(request(f"/aio?run={run}&delay=300"))
        time.sleep(0.05)  # lest it leave before it has arrived
        wire.sendall(held)
        if way == "RST":
            wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        wire.close()

        [span] = written_down(server, run, 1)
        assert ("client_gone", "client") == (span["outcome"], span["ended_by"])


def test_nothing_of_this_was_a_failure(both: Twins) -> None:
    """No log speaks of anything but what the parser refused."""
    for server in both:
        assert "Fatal error" not in server.log
        assert "failed" not in server.log
