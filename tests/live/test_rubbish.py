"""What no client should send: a plain 400 or a closed connection, and the server goes on."""

import random
import ssl
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests.live.process import Dawdle, on_each_loop, request, until

pytestmark = [pytest.mark.live, on_each_loop]

HEAD = request("/aio?delay=0")[:-2]  # without the empty line that ends it


def hello() -> bytes:
    """The first bytes of a client that believes it speaks TLS."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


def noise(seed: int) -> bytes:
    return random.Random(seed).randbytes(2_000) + b"\r\n\r\n"


RUBBISH = {
    "TLS hello": hello(),
    "blank lines": b"\r\n" * 50 + b"x\r\n\r\n",
    "no method": b"/aio\r\n\r\n",
    "unknown version": b"GET /aio HTTP/9.9\r\nHost: x\r\n\r\n",
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "no colon": HEAD + b"no colon\r\n\r\n",
    "control characters": HEAD + b"X-Y: a\0b\r\n\r\n",
    "folded name": HEAD + b"X Y: a\r\n\r\n",
    "huge target": b"GET /aio?" + b"x" * 100_000 + b" HTTP/1.1\r\n\r\n",
    "huge header": HEAD + b"X-Y: " + b"x" * 100_000 + b"\r\n\r\n",
    "many headers": HEAD + b"X-Y: z\r\n" * 200_000 + b"\r\n",
    "two lengths": HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "negative length": HEAD + b"Content-Length: -1\r\n\r\n",
    "length and chunks": HEAD + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
} | {f"noise {seed}": noise(seed) for seed in range(20)}


@pytest.fixture(autouse=True)
def _still_well(server: Dawdle) -> Iterator[None]:
    """Whatever was sent: the server answers, no span is left open, and no failure is logged."""
    yield
    assert server.get("/aio?run=after&delay=0").status == 200
    until(lambda: server.figure("dawdle_in_flight") == 0, "the end of all")
    assert "" == server.log


def arrivals(server: Dawdle) -> float:
    """How many spans the server ever made."""
    return server.figure("dawdle_in_flight") + sum(
        float(line.split()[1])
        for line in server.get("/metrics").body.decode().splitlines()
        if line.startswith("dawdle_spans_total{")
    )


@pytest.mark.parametrize("rubbish", RUBBISH.values(), ids=RUBBISH.keys())
def test_rubbish_is_refused_without_a_span(server: Dawdle, rubbish: bytes) -> None:
    """What the parser refuses gets a 400 or no word at all, and is no arrival."""
    before = arrivals(server)
    wire = server.connect()

    with suppress(ConnectionError):  # it may be refused before all is sent
        wire.send(rubbish)
    answer = wire.rest()

    assert answer == b"" or answer.startswith((b"HTTP/1.0 400 ", b"HTTP/1.1 400 "))
    assert before == arrivals(server)


def test_rubbish_behind_a_good_request_costs_only_its_connection(server: Dawdle, run: str) -> None:
    """The request before it is answered as planned, and is the only span."""
    wire = server.connect()

    wire.ask(f"/aio?run={run}&delay=200ms")
    server.await_arrival(run)
    wire.send(b"rubbish\r\n\r\n")
    answers = wire.rest()

    assert answers.startswith(b"HTTP/1.1 200 ")
    assert b" 400 " in answers
    assert ["completed"] == [span["outcome"] for span in server.settled(run)]


def test_broken_chunks_are_one_arrival_and_close_the_connection(server: Dawdle, run: str) -> None:
    """A body whose framing breaks belongs to a request that has arrived: it gets one span."""
    wire = server.connect()

    wire.ask(f"/aio?run={run}&delay=200ms", "Transfer-Encoding: chunked", method="POST")
    server.await_arrival(run)
    wire.send(b"5\r\nhello\r\nZZ\r\n")
    answer = wire.answer()

    [span] = server.settled(run)
    assert (answer.status, 5) == (span["status"], span["bytes_in"])


def test_slow_heads_hold_nobody_up(server: Dawdle, run: str) -> None:
    """A hundred clients that dribble their headers: others are answered, and so are they."""
    head = request(f"/aio?run={run}&delay=0", "X-Slow: yes")
    wires = [server.connect() for _ in range(100)]

    for at in range(len(head)):
        for wire in wires:
            wire.send(head[at : at + 1])
        if at == len(head) // 2:
            assert server.get("/aio?run=other&delay=0").status == 200
            assert [] == server.spans(run)

    assert [200] * 100 == [wire.answer().status for wire in wires]
    assert 100 == len(server.settled(run, 100))
