"""The WebSocket echo, by aiohttp's own client and by frames written by hand."""

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import ClientWebSocketResponse, WSMsgType
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app import keys
from app.faults import GARBAGE
from tests.fakes import SECOND, ManualClock
from tests.service import Client, Start, app_of, parts, raw, spans, until_idle
from tests.wires import until

ECHO = "/websocket/echo"
HANDSHAKE = (
    b"Host: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
PIECE = 30_000  # bytes


async def only_span(client: Client, run: str = "latest") -> dict[str, Any]:
    """The one span of the run, once it has ended."""
    await until_idle(client)
    [span] = await spans(client, run)
    return span


def ending(span: dict[str, Any]) -> tuple[str, str | None]:
    return span["outcome"], span["ended_by"]


def frame(opcode: int, payload: bytes, *, final: bool = True) -> bytes:
    """A frame of a client (RFC 6455 section 5.2), masked with zeros; payloads up to 64 KiB."""
    head = opcode | 0x80 * final
    if len(payload) < 126:
        return bytes([head, 0x80 | len(payload)]) + bytes(4) + payload
    return struct.pack(">BBH", head, 0xFE, len(payload)) + bytes(4) + payload


@asynccontextmanager
async def wire(
    client: Client, query: str = ""
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A bare connection, its handshake done."""
    reader, writer = await asyncio.open_connection(client.host, client.port)
    try:
        writer.write(f"GET {ECHO}{query} HTTP/1.1\r\n".encode() + HANDSHAKE)
        async with asyncio.timeout(10):
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 101 ")
            yield reader, writer
    finally:
        writer.close()


async def answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """(opcode, payload) of the next frame, which is a whole message."""
    first, length = await reader.readexactly(2)
    if length == 126:
        (length,) = struct.unpack(">H", await reader.readexactly(2))
    assert first & 0x80
    return first & 0x0F, await reader.readexactly(length)


async def rest(reader: asyncio.StreamReader) -> bytes:
    """Everything up to the end of the connection."""
    return await reader.read()


async def send_on(writer: asyncio.StreamWriter) -> None:
    """Send messages for ever, or for as long as they are taken."""
    while True:
        writer.write(frame(BINARY, bytes(PIECE)))
        await writer.drain()


def pass_by(client: Client, clock: ManualClock, seconds: int) -> None:
    """Let time pass and look for idle echoes once."""
    clock.advance(seconds * SECOND)
    app_of(client)[keys.ECHOES].look()


# --- echoing -------------------------------------------------------------------------------------


@pytest.mark.parametrize("compress", [0, 15])
async def test_messages_come_back_as_they_were_sent(client: Client, compress: int) -> None:
    """Text as text, bytes as bytes, empty ones too, compressed or not."""
    async with client.ws_connect(f"{ECHO}?run=r", compress=compress) as socket:
        for text in ("hello", "", "äö\U0001f600", "x" * 100_000):
            await socket.send_str(text)
            assert (WSMsgType.TEXT, text) == (await socket.receive())[:2]
        for data in (b"\x00\xff", b"", bytes(200_000)):
            await socket.send_bytes(data)
            assert (WSMsgType.BINARY, data) == (await socket.receive())[:2]
        assert bool(compress) == bool(socket.compress)

    span = await only_span(client, "r")
    size = 5 + 8 + 100_000 + 2 + 200_000
    assert (7, size, size) == (span["messages"], span["bytes_in"], span["bytes_out"])
    assert ("websocket", 101, f"{ECHO}?run=r") == (span["kind"], span["status"], span["target"])
    assert ("completed", None) == ending(span)


@given(st.lists(st.binary(max_size=40), min_size=1, max_size=8), st.randoms(use_true_random=False))
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_fragments_come_back_as_one_message(
    client: Client, fragments: list[bytes], random: Any
) -> None:
    """However the message is cut into frames, with pings in between, and they into packets."""
    frames = [
        frame(0 if place else BINARY, data, final=place == len(fragments) - 1)
        for place, data in enumerate(fragments)
    ]
    stream = frame(PING, b"p").join(frames)
    async with wire(client) as (reader, writer):
        while stream:
            cut = random.randint(1, len(stream))
            writer.write(stream[:cut])
            stream = stream[cut:]
            await asyncio.sleep(0)
        answers = [await answer(reader) for _ in fragments]

    pongs = [(PONG, b"p")] * (len(fragments) - 1)
    assert [(BINARY, b"".join(fragments)), *pongs] == sorted(answers)


async def test_ping_gets_its_pong(client: Client) -> None:
    """With its own words (RFC 6455 section 5.5.3), and is no message."""
    async with wire(client) as (reader, writer):
        writer.write(frame(PING, b"are you there"))
        assert (PONG, b"are you there") == await answer(reader)
        writer.write(frame(CLOSE, b""))
        await rest(reader)

    assert 0 == (await only_span(client))["messages"]


@pytest.mark.parametrize("code", [1000, 1001, 3000, 4999])
async def test_close_gets_its_own_code_back(client: Client, code: int) -> None:
    """RFC 6455 section 5.5.1; and the connection is over."""
    async with wire(client) as (reader, writer):
        writer.write(frame(CLOSE, struct.pack(">H", code) + b"bye"))
        assert (CLOSE, struct.pack(">H", code)) == await answer(reader)
        assert b"" == await rest(reader)

    assert ("completed", None) == ending(await only_span(client))


async def test_close_without_a_code_is_normal(client: Client) -> None:
    """There is none to give back."""
    async with wire(client) as (reader, writer):
        writer.write(frame(CLOSE, b""))
        assert (CLOSE, struct.pack(">H", 1000)) == await answer(reader)


@pytest.mark.parametrize("leave", ["close", "abort"])
async def test_client_that_leaves_without_a_close_is_gone(client: Client, leave: str) -> None:
    """It did not say goodbye."""
    async with wire(client) as (reader, writer):
        writer.write(frame(TEXT, b"x"))
        await answer(reader)
        getattr(writer.transport, leave)()

    assert ("client_gone", "client") == ending(await only_span(client))


@pytest.mark.parametrize(
    ("bad", "code", "word"),
    [
        (frame(TEXT, b"\xff\xfe"), 1007, b"UTF-8"),
        (frame(3, b""), 1002, b"frame"),
        (frame(PING, b"", final=False), 1002, b"frame"),
        (b"\xc1\x80\0\0\0\0", 1002, b"frame"),  # RSV1 without an extension
    ],
)
async def test_what_is_no_websocket_ends_it(
    client: Client, bad: bytes, code: int, word: bytes
) -> None:
    """With the code that says what was wrong (RFC 6455 section 7.4.1), and a sentence."""
    async with wire(client) as (reader, writer):
        writer.write(bad)
        opcode, payload = await answer(reader)

    assert (CLOSE, code) == (opcode, struct.unpack(">H", payload[:2])[0])
    assert word in payload[2:]
    assert ("rejected", None) == ending(await only_span(client))


@pytest.mark.parametrize("compress", [0, 15])
async def test_message_of_the_largest_size_comes_back_and_a_larger_one_ends_it(
    start: Start, compress: int
) -> None:
    """With 1009 (RFC 6455 section 7.4.1); the limit is for what it is decompressed to."""
    client = await start(websocket_message="1000")
    async with client.ws_connect(ECHO, compress=compress) as socket:
        await socket.send_bytes(bytes(1000))
        assert bytes(1000) == await socket.receive_bytes()
        await socket.send_bytes(bytes(1001))
        last = await socket.receive()

    assert (WSMsgType.CLOSE, 1009) == (last.type, last.data)
    assert "websocket_message" in str(last.extra)
    span = await only_span(client)
    assert ("rejected", None) == ending(span)
    assert 1000 == span["bytes_out"]


async def test_fragments_are_counted_together(start: Start) -> None:
    """A message cannot slip past its limit in pieces."""
    client = await start(websocket_message="10")
    async with wire(client) as (reader, writer):
        writer.write(frame(TEXT, b"123456", final=False) + frame(0, b"78901"))
        opcode, payload = await answer(reader)

    assert (CLOSE, 1009) == (opcode, struct.unpack(">H", payload[:2])[0])


# --- knobs ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "headers"),
    [
        (f"{ECHO}?run=mine", {}),
        (ECHO, {"X-Dawdle-Run": "mine"}),
        (ECHO, {"X-Dawdle": "run=mine&delay=0"}),
        (f"{ECHO}?run=other", {"X-Dawdle": "run=mine"}),
        (f"{ECHO}?run=other&_=1", {"X-Dawdle-Run": "mine"}),
    ],
)
async def test_run_is_named_as_for_any_request(
    client: Client, target: str, headers: dict[str, str]
) -> None:
    """In the query or a header; the header wins. The handshake says which it is."""
    async with client.ws_connect(target, headers=headers) as socket:
        told = socket._response.headers

    assert "mine" == told["X-Dawdle-Run"]
    assert told["X-Dawdle-Span"] == (await only_span(client, "mine"))["id"]


@pytest.mark.parametrize(
    ("query", "headers"),
    [
        ("&key=order", {}),
        ("", {"Idempotency-Key": "order"}),
        ("", {"X-Dawdle": "key=order"}),
        ("&key=other", {"Idempotency-Key": "order"}),
    ],
)
async def test_attempts_of_a_key_are_counted(
    client: Client, query: str, headers: dict[str, str]
) -> None:
    """As for any request, so a report tells how a client comes back; not when refused."""
    target = f"{ECHO}?run=r{query}"
    await client.get(target, headers=headers)
    for _ in range(2):
        async with client.ws_connect(target, headers=headers):
            pass
        await until_idle(client)

    placed = [(span["key"], span["attempt"]) for span in await spans(client, "r")]
    assert [(None, None), ("order", 1), ("order", 2)] == placed


@pytest.mark.parametrize(
    ("query", "headers", "fault"),
    [
        ("dely=1", {}, ("unknown-knob", "dely", "the nearest is delay")),
        ("status=503", {}, ("unknown-knob", "status", "the nearest is")),
        ("Delay=1", {}, ("unknown-knob", "Delay", "case-sensitive")),
        ("delay=1&delay=1", {}, ("bad-query", "delay", "given twice")),
        ("delay=", {}, ("bad-query", "delay", "no value")),
        ("delay=nan", {}, ("bad-knob", "delay", "'nan'")),
        ("delay=301", {}, ("bad-knob", "delay", "max_delay")),
        ("rate=10", {}, ("bad-knob", "rate", "10k/s")),
        ("fault=truncate", {}, ("bad-knob", "fault", "reset, empty, garbage, hang")),
        ("fault=reset@x", {}, ("bad-knob", "fault", "not a size")),
        ("run=latest", {}, ("bad-knob", "run", "choose another name")),
        ("", {"X-Dawdle": "rate=1"}, ("bad-knob", "rate", "10k/s")),
        ("", {"X-Dawdle": "run=a", "X-Dawdle-Run": "a"}, ("bad-knob", "run", "given twice")),
        ("", {"X-Dawdle": "key=a", "Idempotency-Key": "a"}, ("bad-knob", "key", "given twice")),
        ("", {"Idempotency-Key": "x" * 257}, ("bad-knob", "key", "256")),
    ],
)
async def test_bad_knob_is_refused_with_400(
    client: Client, query: str, headers: dict[str, str], fault: tuple[str, str, str]
) -> None:
    """Before the handshake, with a problem that helps; it is a span, too."""
    code, parameter, words = fault
    request = f"GET {ECHO}?{query} HTTP/1.1\r\n"
    request += "".join(f"{name}: {text}\r\n" for name, text in headers.items())
    connection = HANDSHAKE.replace(b"Upgrade\r\n", b"Upgrade, close\r\n", 1)

    status, told, body = parts(await raw(client, request.encode() + connection))

    assert 400 == status
    assert f'"type": "urn:dawdle:problem:{code}"'.encode() in body
    assert f'"parameter": "{parameter}"'.encode() in body
    assert words.encode() in body
    span = await only_span(client, told["x-dawdle-run"])
    assert ("websocket", 400, "rejected") == (span["kind"], span["status"], span["outcome"])
    assert len(body) == span["bytes_out"]


async def test_refused_handshake_belongs_to_the_run_that_it_names(client: Client) -> None:
    """If the name itself can be read."""
    await client.get(f"{ECHO}?run=mine&delay=nan")

    assert 400 == (await only_span(client, "mine"))["status"]


async def test_plain_request_is_told_to_shake_hands(client: Client) -> None:
    """426, with what is spoken here (RFC 9110 section 15.5.22)."""
    reply = await client.get(ECHO)

    assert (426, "websocket", "13") == (
        reply.status,
        reply.headers["Upgrade"],
        reply.headers["Sec-WebSocket-Version"],
    )
    assert 426 == (await only_span(client))["status"]


@pytest.mark.parametrize(
    ("version", "key"),
    [
        ("1.0", b"AAAAAAAAAAAAAAAAAAAAAA=="),
        ("1.1", b"short"),
        ("1.1", "ä".encode()),
        ("1.1", b"\xff"),
    ],
)
async def test_broken_handshake_is_told_what_one_is(
    client: Client, version: str, key: bytes
) -> None:
    """An upgrade is none in HTTP/1.0 (RFC 9110 section 7.8), and a key has 16 bytes in base64."""
    handshake = HANDSHAKE.replace(b"AAAAAAAAAAAAAAAAAAAAAA==", key)
    handshake = handshake.replace(b"Upgrade\r\n", b"Upgrade, close\r\n", 1)

    status, _, _ = parts(await raw(client, f"GET {ECHO} HTTP/{version}\r\n".encode() + handshake))

    assert 426 == status
    assert 426 == (await only_span(client))["status"]


@pytest.mark.parametrize(
    ("offered", "accepted"), [("chat, more", "chat"), ("ä, chat", "chat"), (",", None), ("ä", None)]
)
async def test_first_subprotocol_is_accepted(
    client: Client, offered: str, accepted: str | None
) -> None:
    """Of those that are one (RFC 6455 section 4.1); clients that insist on one can connect."""
    headers = {"Sec-WebSocket-Protocol": offered}
    async with client.ws_connect(ECHO, headers=headers) as socket:
        assert accepted == socket._response.headers.get("Sec-WebSocket-Protocol")


@pytest.mark.parametrize("method", ["HEAD", "POST", "DELETE", "OPTIONS"])
async def test_other_methods_are_refused(client: Client, method: str) -> None:
    """With 405; each is a span."""
    reply = await client.request(method, ECHO)

    assert (405, "GET") == (reply.status, reply.headers["Allow"])
    span = await only_span(client)
    assert (method, "rejected") == (span["method"], span["outcome"])


async def test_preflight_is_answered_and_makes_no_span(client: Client) -> None:
    """As on every open path."""
    headers = {"Origin": "http://elsewhere.example", "Access-Control-Request-Method": "GET"}

    reply = await client.options(ECHO, headers=headers)

    assert 204 == reply.status
    assert 0 == app_of(client)[keys.RECORDER].outcomes.total()


async def test_page_of_another_origin_may_connect(client: Client) -> None:
    """The path is open to every client and page."""
    headers = {"Origin": "http://elsewhere.example", "Sec-Fetch-Site": "cross-site"}

    async with client.ws_connect(ECHO, headers=headers) as socket:
        await socket.send_str("x")
        assert "x" == await socket.receive_str()


async def test_handshake_past_the_limit_is_answered_503(start: Start) -> None:
    """Until one of the others is over."""
    client = await start(max_echo_connections="1")
    async with client.ws_connect(f"{ECHO}?run=first"):
        with pytest.raises(aiohttp.WSServerHandshakeError) as refusal:
            await client.ws_connect(f"{ECHO}?run=second")
        assert 503 == refusal.value.status
    await until_idle(client)
    async with client.ws_connect(f"{ECHO}?run=third"):
        pass

    assert [503] == [span["status"] for span in await spans(client, "second")]


# --- late, slow, broken --------------------------------------------------------------------------


async def read_all(socket: ClientWebSocketResponse, count: int) -> list[str]:
    return [await socket.receive_str() for _ in range(count)]


@pytest.mark.parametrize(
    "query", ["delay=1-30", "delay=seq(30s,0)", "rate=1/s", "rate=9k/m&delay=5"]
)
async def test_slow_messages_keep_their_order(client: Client, query: str) -> None:
    """Whatever is drawn for each; here at a thousandth of the time."""
    texts = [str(number) for number in range(10)]
    async with client.ws_connect(f"{ECHO}?{query}") as socket:
        for text in texts:
            await socket.send_str(text)

        assert texts == await read_all(socket, 10)


async def test_delay_is_waited_for(client: Client) -> None:
    """Never early: 30 s at a thousandth are 30 ms."""
    async with client.ws_connect(f"{ECHO}?delay=30s") as socket:
        await socket.send_str("x")
        await socket.receive_str()

    span = await only_span(client)
    assert span["first_byte_ns"] - span["arrival_ns"] >= 30_000_000


async def test_close_comes_after_all_that_was_sent_before_it(client: Client) -> None:
    """What is delayed is not lost."""
    async with wire(client, "?delay=30s") as (reader, writer):
        writer.write(frame(TEXT, b"late") + frame(CLOSE, struct.pack(">H", 1000)))
        assert [(TEXT, b"late"), (CLOSE, struct.pack(">H", 1000))] == [
            await answer(reader),
            await answer(reader),
        ]

    assert ("completed", None) == ending(await only_span(client))


@pytest.mark.parametrize(
    ("query", "sent", "received"),
    [
        ("fault=empty", [], b""),
        ("fault=garbage", [], GARBAGE),
        ("fault=empty@3", [b"abc"], b"\x81\x03abc"),
        ("fault=empty@4", [b"abc", b"de"], b"\x81\x03abc"),
        ("fault=garbage@4", [b"abc", b"de"], b"\x81\x03abc" + GARBAGE),
        ("fault=garbage@2", [b"abc"], GARBAGE),
        ("fault=empty@1&delay=3s", [b"a"], b"\x81\x01a"),
    ],
)
async def test_fault_strikes_where_a_message_would_pass_the_mark(
    client: Client, query: str, sent: list[bytes], received: bytes
) -> None:
    """Without a close: only whole messages before it, then what the fault is."""
    async with wire(client, f"?{query}") as (reader, writer):
        for data in sent:
            writer.write(frame(TEXT, data))
        assert received == await rest(reader)

    span = await only_span(client)
    assert ("faulted", None) == ending(span)
    assert query.partition("=")[2].partition("@")[0] == span["fault"]


@pytest.mark.parametrize(("query", "before"), [("fault=reset", 0), ("fault=reset@5", 5)])
async def test_reset_resets_the_connection(client: Client, query: str, before: int) -> None:
    """After what came back before it."""
    async with wire(client, f"?{query}") as (reader, writer):
        if before:
            writer.write(frame(TEXT, bytes(before)))
            assert (TEXT, bytes(before)) == await answer(reader)
        with pytest.raises(ConnectionResetError):
            await rest(reader)

    assert ("faulted", None) == ending(await only_span(client))


async def test_hang_says_nothing_until_the_client_leaves(client: Client) -> None:
    """No echo, no pong, no close."""
    async with wire(client, "?fault=hang@1") as (reader, writer):
        writer.write(frame(TEXT, b"a"))
        assert (TEXT, b"a") == await answer(reader)
        writer.write(frame(TEXT, b"b") + frame(PING, b"p") + frame(CLOSE, b""))
        [span] = app_of(client)[keys.RECORDER].live.values()
        await until(lambda: span.messages == 2)
        writer.transport.abort()
        assert b"" == await rest(reader)

    ended = await only_span(client)
    assert ("faulted", "client") == ending(ended)
    assert 1 == ended["bytes_out"]


# --- limits --------------------------------------------------------------------------------------


async def test_idle_connection_is_closed_with_a_word(start: Start) -> None:
    """After `echo_idle`; everything had come back."""
    clock = ManualClock()
    client = await start(clock=clock, echo_idle="5m")
    async with wire(client) as (reader, writer):
        writer.write(frame(TEXT, b"x"))
        assert (TEXT, b"x") == await answer(reader)
        pass_by(client, clock, 301)
        opcode, payload = await answer(reader)
        assert b"" == await rest(reader)

    assert (CLOSE, 1001) == (opcode, struct.unpack(">H", payload[:2])[0])
    assert b"nothing came for too long (echo_idle)" == payload[2:]
    assert ("completed", "cap") == ending(await only_span(client))


async def test_hang_ends_after_the_idle_limit_with_a_reset(start: Start) -> None:
    """Nobody hangs for ever, not even who goes on sending."""
    clock = ManualClock()
    client = await start(clock=clock, echo_idle="5m")
    async with wire(client, "?fault=hang") as (reader, writer):
        pass_by(client, clock, 200)
        writer.write(frame(PING, b"") + frame(TEXT, b"x"))
        [span] = app_of(client)[keys.RECORDER].live.values()
        await until(lambda: span.messages == 1)
        pass_by(client, clock, 101)
        with pytest.raises(ConnectionResetError):
            await rest(reader)

    assert ("faulted", "cap") == ending(await only_span(client))


async def test_client_that_does_not_read_is_not_read_and_then_cut_off(start: Start) -> None:
    """What is held of its messages is bounded, and not held for ever."""
    clock = ManualClock()
    client = await start(clock=clock, echo_idle="5m")
    async with wire(client) as (reader, writer):
        reader._transport.pause_reading()  # type: ignore[attr-defined]  # asyncio would read on
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(send_on(writer), 0.3)
        pass_by(client, clock, 1)  # sees that something is not taken
        pass_by(client, clock, 301)
    span = await only_span(client)

    assert ("rejected", "cap") == ending(span)
    assert span["bytes_in"] - span["bytes_out"] < 1 << 20
    assert span["bytes_in"] < 32 << 20  # Linux holds up to 6 MB in and 4 MB out


@pytest.mark.parametrize("query", ["delay=300s", "rate=1/s"])
async def test_slow_connection_holds_little(start: Start, query: str) -> None:
    """A client that sends more is not read until its messages have gone back."""
    client = await start(time_scale="1")
    async with wire(client, f"?{query}") as (_, writer):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(send_on(writer), 0.3)
        [span] = app_of(client)[keys.RECORDER].live.values()
        assert span.bytes_in <= 3 * PIECE
        writer.transport.abort()


# --- the end -------------------------------------------------------------------------------------


async def test_service_that_stops_says_so(client: Client) -> None:
    """To who is idle at once, to who waits for a message after it."""
    echoes = app_of(client)[keys.ECHOES]
    async with wire(client) as (idle, _), wire(client, "?delay=30s") as (waiting, writer):
        writer.write(frame(TEXT, b"late"))
        live = app_of(client)[keys.RECORDER].live
        await until(lambda: any(span.bytes_in for span in live.values()))
        echoes.stop()

        goodbye = (CLOSE, struct.pack(">H", 1001) + b"the server is stopping")
        assert goodbye == await answer(idle)
        assert [(TEXT, b"late"), goodbye] == [await answer(waiting), await answer(waiting)]

    await until_idle(client)
    assert {("shutdown", "shutdown")} == {ending(span) for span in await spans(client)}


async def test_closing_cuts_everybody_off(client: Client) -> None:
    """When the grace is over."""
    async with wire(client, "?delay=300s&run=a") as (reader, _):
        await app_of(client)[keys.ECHOES].close()
        assert b"" == await rest(reader)

    assert ("shutdown", "shutdown") == ending(await only_span(client, "a"))


async def test_deleting_a_run_closes_its_websockets(client: Client) -> None:
    """And leaves the others."""
    async with wire(client, "?run=gone") as (gone, _), wire(client, "?run=kept") as (kept, writer):
        assert 204 == (await client.delete("/runs/gone")).status
        assert b"" == await rest(gone)
        writer.write(frame(TEXT, b"x"))
        assert (TEXT, b"x") == await answer(kept)
