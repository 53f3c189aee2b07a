"""`/aio` as clients meet it: what comes back, byte for byte, and what is recorded of them."""

import asyncio
import gzip
import json
import re
from pathlib import Path
from typing import Any

import pytest
from aiohttp import FormData
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from multidict import CIMultiDict, CIMultiDictProxy

from app import keys, reply
from app.aio import LONGEST_KEPT, understand
from app.exchange import Request
from app.plan import KNOBS
from app.recorder import Recorder
from app.reply import OPEN_HEADERS
from tests.fakes import ManualClock
from tests.service import (
    BROWSER,
    CLOSE,
    HOST,
    LONG,
    Client,
    Start,
    app_of,
    parts,
    raw,
    spans,
    until_idle,
    until_waiting,
)

METHODS = ("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND", "PURGE", "TRACE")
PREFLIGHT = {"Origin": "https://app.example", "Access-Control-Request-Method": "PUT"}
PROFILES = """
[profiles.teapot]
delay = "0.2"
status = "418"
"""


@pytest.fixture
def profiles(tmp_path: Path) -> str:
    path = tmp_path / "profiles.toml"
    path.write_text(PROFILES)
    return str(path)


async def only_span(client: Client) -> dict[str, Any]:
    (span,) = await spans(client)
    return span


def recorder(client: Client) -> Recorder:
    return app_of(client)[keys.RECORDER]


def recorded(client: Client) -> int:
    """How many spans have been opened since the start."""
    return recorder(client).outcomes.total() + len(recorder(client).live)


# --- the reply -----------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
async def test_bare_request_of_any_method_is_answered_with_its_delay(
    client: Client, method: str
) -> None:
    """With nothing asked for: 200, and exactly `{"delay": N}`, N whole seconds from 1 to 30."""
    async with client.request(method, "/aio") as answer:
        body = await answer.text()

    assert 200 == answer.status
    assert "application/json; charset=utf-8" == answer.headers["Content-Type"]
    assert re.fullmatch(r'\{"delay": ([1-9]|[12][0-9]|30)\}', body)
    assert method == (await only_span(client))["method"]


async def test_reply_byte_for_byte(start: Start) -> None:
    """Each header stands for a promise; there are no others, and their bytes are stable."""
    client = await start(clock=ManualClock(), time_scale="1")

    answer = await raw(client, b"GET /aio?delay=0&run=ci HTTP/1.1\r\n" + CLOSE)

    assert (
        b"HTTP/1.1 200 OK\r\n"
        b"Content-Type: application/json; charset=utf-8\r\n"
        b"Content-Length: 12\r\n"
        b"Server-Timing: delay;dur=0\r\n"
        b"Date: Tue, 14 Nov 2023 22:13:20 GMT\r\n"
        b"X-Dawdle-Run: ci\r\n"
        b"X-Dawdle-Span: 1-1\r\n"
        b"Cache-Control: no-store\r\n"
        b"Content-Security-Policy: sandbox; default-src 'none'\r\n"
        b"X-Content-Type-Options: nosniff\r\n"
        b"Access-Control-Allow-Origin: *\r\n"
        b"Access-Control-Expose-Headers: Retry-After, Server-Timing, X-Dawdle-Fault, "
        b"X-Dawdle-Run, X-Dawdle-Span, X-Dawdle-Time-Scale\r\n"
        b"Timing-Allow-Origin: *\r\n"
        b"Connection: close\r\n"
        b"\r\n"
        b'{"delay": 0}'
    ) == answer


async def test_head_has_the_headers_of_get_and_no_body(client: Client) -> None:
    """RFC 9110 section 9.3.2: the length is that of the body that is not sent."""
    status, headers, body = parts(await raw(client, b"HEAD /aio?delay=7 HTTP/1.1\r\n" + CLOSE))

    assert (200, "12", b"") == (status, headers["content-length"], body)


@pytest.mark.parametrize(
    ("knobs", "body", "timing"),
    [
        ("delay=0", '{"delay": 0}', "delay;dur=0"),
        ("delay=250ms", '{"delay": 0.25}', "delay;dur=0.25"),
        ("delay=7", '{"delay": 7}', "delay;dur=7"),
        ("delay=0.000001", '{"delay": 0.000001}', "delay;dur=0.000001"),
        ("delay=1m", '{"delay": 60}', "delay;dur=60"),
    ],
)
async def test_body_has_the_plan_and_header_the_scaled_wait(
    client: Client, knobs: str, body: str, timing: str
) -> None:
    """Bodies keep the unscaled figure, never with an exponent; `Server-Timing` says what was."""
    answer = await client.get(f"/aio?{knobs}")

    assert body == await answer.text()
    assert timing == answer.headers["Server-Timing"]
    assert "0.001" == answer.headers["X-Dawdle-Time-Scale"]


@pytest.mark.parametrize(("status", "body"), [(204, b""), (205, b""), (304, b"")])
async def test_bodyless_status_has_no_body(client: Client, status: int, body: bytes) -> None:
    """204 and 304 have no body at all, 205 an empty one (RFC 9110 sections 15.3 and 15.4)."""
    target = f"/aio?delay=0&status={status}".encode()

    found, headers, content = parts(await raw(client, b"GET " + target + b" HTTP/1.1\r\n" + CLOSE))

    assert (status, body) == (found, content)
    assert ("0" if status == 205 else None) == headers.get("content-length")


async def test_chosen_status_keeps_the_body_and_is_named(client: Client) -> None:
    """`X-Dawdle-Fault` tells what was done on purpose from what went wrong."""
    answer = await client.get("/aio?delay=0&status=503")

    assert (503, "status") == (answer.status, answer.headers["X-Dawdle-Fault"])
    assert {"delay": 0} == await answer.json()
    assert "completed" == (await only_span(client))["outcome"]


async def test_status_without_a_phrase_is_sent_without_one(client: Client) -> None:
    """200 to 599 are all allowed, whether the IANA knows them or not."""
    assert (await raw(client, b"GET /aio?delay=0&status=599 HTTP/1.1\r\n" + CLOSE)).startswith(
        b"HTTP/1.1 599 \r\n"
    )


async def test_size_pads_the_body_to_so_many_bytes(client: Client) -> None:
    """The padding is a member of the object, so that the body stays JSON."""
    answer = await client.get("/aio?delay=1&size=1k")
    body = await answer.read()

    assert (1024, "1024") == (len(body), answer.headers["Content-Length"])
    assert {"delay", "padding"} == json.loads(body).keys()


async def test_drip_sends_the_whole_body(client: Client) -> None:
    """However it is cut, the bytes are the same."""
    answer = await client.get("/aio?delay=10&drip=5")

    assert '{"delay": 10}' == await answer.text()
    assert 5 == (await only_span(client))["drip"]


# --- asking --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/aio?delay=0", {}, 200),
        ("/aio?profile=teapot", {}, 418),
        ("/aio/teapot", {}, 418),
        ("/aio?status=201", {"X-Dawdle": "profile=teapot"}, 201),
        ("/aio/teapot?status=201", {}, 201),
        ("/aio/teapot?status=201", {"X-Dawdle": "status=202"}, 202),
        ("/aio?status=201", {"X-Dawdle": "status=202"}, 202),
    ],
)
async def test_header_beats_query_beats_profile_beats_default(
    start: Start, profiles: str, path: str, headers: dict[str, str], status: int
) -> None:
    """The nearer to the request, the stronger."""
    client = await start(profiles=profiles)

    assert status == (await client.get(path, headers=headers)).status


async def test_precedence_is_decided_knob_by_knob(start: Start, profiles: str) -> None:
    """What the header leaves open the query decides, and then the profile."""
    client = await start(profiles=profiles)

    answer = await client.get("/aio/teapot?size=64", headers={"X-Dawdle": "delay=3"})

    assert (418, 3, 64) == (
        answer.status,
        (await answer.json())["delay"],
        answer.content_length,
    )


async def test_run_and_key_have_headers_of_their_own(client: Client) -> None:
    """Clients whose URL can't change name run and request there."""
    answer = await client.get(
        "/aio?delay=0", headers={"X-Dawdle-Run": "ci", "Idempotency-Key": "order 7"}
    )

    span = await only_span(client)
    assert ("ci", "ci") == (answer.headers["X-Dawdle-Run"], span["run"])
    assert ("order 7", 1) == (span["key"], span["attempt"])


async def test_header_that_comes_twice_is_one_list_of_pairs(client: Client) -> None:
    """Proxies split and join headers as they like."""
    headers = [("X-Dawdle", "delay=0"), ("X-Dawdle", "status=418")]

    assert 418 == (await client.get("/aio", headers=headers)).status


async def test_seeded_requests_meet_the_plans_that_were_foretold(client: Client) -> None:
    """`/plan` and `/aio` draw the same, whoever comes first."""
    query = "seed=7&delay=0-9&status=200,503"
    foretold = (await (await client.get(f"/plan?{query}&n=8&from=3")).json())["plans"]

    met = []
    for plan in reversed(foretold):
        answer = await client.get(f"/aio?{query}&n={plan['n']}")
        fault = answer.headers.get("X-Dawdle-Fault")
        met.append({"n": plan["n"], "status": answer.status, "fault": fault} | await answer.json())

    assert foretold == met[::-1]


# --- refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("delay=nan", "delay"),
        ("delay=-1", "delay"),
        ("delay=301", "delay"),
        ("delay=", "delay"),
        ("delay", "delay"),
        ("delay=1&delay=1", "delay"),
        ("delai=1", "delai"),
        ("delay=%ff", "delay"),
        ("status=600", "status"),
        ("run=latest", "run"),
        ("key=%00", "key"),
        ("profile=nobody", "profile"),
        ("drip=2&status=204", "drip"),
    ],
)
async def test_bad_knob_is_a_problem_that_names_it(
    client: Client, query: str, parameter: str
) -> None:
    """Bad input is 400 with every member of RFC 9457 and `parameter`; never a silent default."""
    answer = await client.get(f"/aio?{query}")
    document = await answer.json()

    assert (400, "application/problem+json") == (answer.status, answer.content_type)
    assert {"type", "title", "status", "detail", "parameter"} == document.keys()
    assert (400, parameter) == (document["status"], document["parameter"])
    span = await only_span(client)
    assert ("rejected", 400, span["id"]) == (
        span["outcome"],
        span["status"],
        answer.headers["X-Dawdle-Span"],
    )


@pytest.mark.parametrize("path", ["/aio/nobody", "/aio/NOBODY", "/aio/", "/aio/a/b", "/aio/%2e%2e"])
async def test_unknown_name_under_aio_is_not_found_and_recorded(client: Client, path: str) -> None:
    """A path that leads nowhere is 404; everything under `/aio` has its span."""
    status, headers, body = parts(await raw(client, b"GET %s HTTP/1.1\r\n" % path.encode() + CLOSE))

    assert (404, "profile") == (status, json.loads(body)["parameter"])
    assert headers["x-dawdle-span"] == (await only_span(client))["id"]


async def test_refusal_keeps_to_the_run_that_was_named(client: Client) -> None:
    """A broken request is part of the experiment it belongs to."""
    await client.get("/aio?run=ci&delay=nan")

    assert "rejected" == (await spans(client, "ci"))[0]["outcome"]


async def test_browser_gets_a_refusal_as_a_page(client: Client) -> None:
    """People read HTML; the policy for `/aio` holds for that page too."""
    answer = await client.get("/aio?delay=nan", headers=BROWSER)

    assert (400, "text/html") == (answer.status, answer.content_type)
    assert "nan" in await answer.text()
    assert "sandbox; default-src 'none'" == answer.headers["Content-Security-Policy"]


async def test_more_than_may_wait_is_refused_at_once(start: Start) -> None:
    """The limit answers with its name, and frees its place again."""
    client = await start(max_waiting="1", time_scale="1")
    waiting = asyncio.create_task(client.get(f"/aio?{LONG}&run=first"))
    await until_waiting(client, 1)

    answer = await client.get("/aio?delay=0")

    assert 503 == answer.status
    assert "max_waiting" in (await answer.json())["detail"]
    await client.delete("/runs/first")
    assert 503 == (await waiting).status
    assert 200 == (await client.get("/aio?delay=0")).status


async def test_unexpected_failure_is_500_recorded_and_logged(
    client: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Our own fault is told from the client's, wherever one looks."""

    def fail(*_: object) -> bytes:
        raise ZeroDivisionError

    monkeypatch.setattr(reply, "body", fail)
    answer = await client.get("/aio?delay=0")

    assert (500, "application/problem+json") == (answer.status, answer.content_type)
    assert "*" == answer.headers["Access-Control-Allow-Origin"]
    span = await only_span(client)
    assert ("error", 500) == (span["outcome"], span["status"])
    assert [ZeroDivisionError] == [each.exc_info[0] for each in caplog.records if each.exc_info]


# --- other origins -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/aio?delay=0", 200),
        ("GET", "/aio?delay=0&status=503", 503),
        ("GET", "/aio?delay=nan", 400),
        ("GET", "/aio/nobody", 404),
        ("GET", "/aio/a/b", 404),
        ("GET", "/plan?delay=0", 200),
        ("GET", "/plan?delay=nan", 400),
        ("GET", "/plan/nothing", 404),
        ("POST", "/plan", 405),
    ],
)
async def test_every_reply_may_be_read_by_any_page_and_act_as_none(
    client: Client, method: str, path: str, status: int
) -> None:
    """CORS is open, errors included; content can't become a page of this origin."""
    headers = {"Origin": "https://app.example", "Sec-Fetch-Site": "cross-site"}

    answer = await client.request(method, path, headers=headers)

    assert status == answer.status
    assert OPEN_HEADERS == {name: answer.headers.get(name) for name in OPEN_HEADERS}
    assert "Access-Control-Allow-Credentials" not in answer.headers


@pytest.mark.parametrize("path", ["/aio", "/aio/slow-tail", "/aio?delay=nan", "/plan"])
async def test_preflight_is_answered_at_once_without_a_span(client: Client, path: str) -> None:
    """It is the browser's question, not a request of the client's."""
    asked = PREFLIGHT | {"Access-Control-Request-Headers": "x-dawdle, x-own"}

    answer = await client.options(path, headers=asked)

    assert (204, b"") == (answer.status, await answer.read())
    assert ("*", "PUT", "x-dawdle, x-own") == tuple(
        answer.headers[f"Access-Control-Allow-{what}"] for what in ("Origin", "Methods", "Headers")
    )
    assert 0 == recorded(client)


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("OPTIONS", {"Origin": "https://app.example"}),
        ("OPTIONS", {"Access-Control-Request-Method": "PUT"}),
        ("GET", PREFLIGHT),
    ],
)
async def test_what_is_no_preflight_is_a_request(
    client: Client, method: str, headers: dict[str, str]
) -> None:
    """A preflight is OPTIONS with both headers of one, and nothing less."""
    answer = await client.request(method, "/aio?delay=0", headers=headers)

    assert 200 == answer.status
    assert 1 == recorded(client)


# --- bodies --------------------------------------------------------------------------------------

ZIPPED = gzip.compress(b"dawdle " * 100, mtime=0)


@pytest.mark.parametrize(
    ("data", "headers", "counted"),
    [
        (None, {}, 0),
        (b"", {}, 0),
        (b"x" * 1000, {}, 1000),
        (ZIPPED, {"Content-Encoding": "gzip"}, len(ZIPPED)),
        (b"no gzip at all", {"Content-Encoding": "gzip"}, 14),
        (FormData({"a": "b"}), {}, 3),
    ],
)
async def test_request_body_is_counted_as_it_was_sent(
    client: Client, data: Any, headers: dict[str, str], counted: int
) -> None:
    """Nobody decodes it: what counts is what went over the wire."""
    answer = await client.post("/aio?delay=0", data=data, headers=headers)

    assert 200 == answer.status
    assert counted == (await only_span(client))["bytes_in"]


async def test_chunked_body_is_counted_without_its_framing(client: Client) -> None:
    """The framing is the wire's, not the body's."""
    request = b"POST /aio?delay=5 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" + CLOSE
    status, _, _ = parts(await raw(client, request + b"3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n"))

    assert (200, 7) == (status, (await only_span(client))["bytes_in"])


async def test_body_of_the_limit_is_taken(start: Start) -> None:
    """The limit itself is allowed."""
    client = await start(max_body="64")

    assert 200 == (await client.post("/aio?delay=1", data=b"x" * 64)).status


async def test_declared_body_past_the_limit_is_refused_before_it_comes(start: Start) -> None:
    """413 with a sentence; the span is rejected."""
    client = await start(max_body="64")

    answer = await client.post("/aio?delay=1", data=b"x" * 65)

    assert 413 == answer.status
    assert "larger than 64 bytes" in (await answer.json())["detail"]
    span = await only_span(client)
    assert ("rejected", 413) == (span["outcome"], span["status"])


async def test_chunked_body_past_the_limit_is_refused_while_it_comes(start: Start) -> None:
    """Nobody declared its length, so it is counted; the wait ends there."""
    client = await start(max_body="64", time_scale="1")
    reader, writer = await asyncio.open_connection(client.host, client.port)
    writer.write(b"POST /aio?%s HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" % LONG.encode() + CLOSE)
    await until_waiting(client, 1)

    writer.write(b"41\r\n" + b"x" * 65 + b"\r\n0\r\n\r\n")
    status, headers, _ = parts(await reader.read())

    assert (413, "*") == (status, headers["access-control-allow-origin"])
    span = await only_span(client)
    assert ("rejected", 65) == (span["outcome"], span["bytes_in"])
    writer.close()


@pytest.mark.parametrize(("fault", "status"), [("hang", None), ("stall", 200)])
async def test_body_past_the_limit_does_not_end_a_silence(
    start: Start, fault: str, status: int | None
) -> None:
    """The fault has begun, and is the reply; the body is read on, to see the client leave."""
    client = await start(max_body="64")
    desk, feed = app_of(client)[keys.DESK], app_of(client)[keys.FEED]
    _, writer = await asyncio.open_connection(client.host, client.port)
    head = b"POST /aio?delay=0&fault=%s HTTP/1.1\r\nTransfer-Encoding: chunked\r\n"
    writer.write(head % fault.encode() + CLOSE)
    while not desk.silent:
        await feed.wait(feed.position)

    writer.write(b"41\r\n" + b"x" * 65 + b"\r\n")
    await writer.drain()
    writer.close()
    await until_idle(client)

    span = await only_span(client)
    assert ("faulted", "client", status) == (span["outcome"], span["ended_by"], span["status"])
    assert 65 == span["bytes_in"]


async def test_chunk_that_breaks_later_does_not_take_the_reply_away(client: Client) -> None:
    """The request stands, as far as it could be read; what follows it on the wire does not."""
    reader, writer = await asyncio.open_connection(client.host, client.port)
    writer.write(b"POST /aio?delay=100 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" + CLOSE)
    await until_waiting(client, 1)

    writer.write(b"3\r\nabc\r\nZZ\r\n")
    answer = await reader.readuntil(b"}")

    assert 200 == parts(answer)[0]
    assert 1 == recorded(client)
    writer.close()


async def test_body_is_invited_when_it_may_come(client: Client) -> None:
    """`Expect: 100-continue` (RFC 9110 section 10.1.1)."""
    request = b"POST /aio?delay=1 HTTP/1.1\r\nExpect: 100-Continue\r\nContent-Length: 3\r\n" + CLOSE

    assert (await raw(client, request + b"abc")).startswith(
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n"
    )
    assert 3 == (await only_span(client))["bytes_in"]


async def test_body_past_the_limit_is_not_invited(start: Start) -> None:
    """A client that asks beforehand is told before it sends."""
    client = await start(max_body="64")
    reader, writer = await asyncio.open_connection(client.host, client.port)

    writer.write(b"POST /aio HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 65\r\n" + CLOSE)

    assert b"HTTP/1.1 413 " == await reader.readexactly(13)
    writer.close()


async def test_unknown_expectation_is_ignored(client: Client) -> None:
    """A server may (RFC 9110 section 10.1.1), and so no request goes without its span."""
    answer = await client.get("/aio?delay=0", headers={"Expect": "the-unexpected"})

    assert 200 == answer.status
    assert 1 == recorded(client)


# --- the wire ------------------------------------------------------------------------------------


async def test_pipelined_requests_are_answered_in_their_order(client: Client) -> None:
    """The second waits for the first, even if its own delay is shorter."""
    first = b"GET /aio?delay=9&key=a HTTP/1.1\r\n" + HOST + b"\r\n"
    second = b"GET /aio?delay=0&key=b HTTP/1.1\r\n" + CLOSE

    answer = await raw(client, first + second)

    assert [b"9", b"0"] == re.findall(rb'\{"delay": (\d+)\}', answer)
    assert [("a", 1, 1), ("b", 1, 2)] == [
        (span["key"], span["connection"], span["connection_request"])
        for span in await spans(client)
    ]


@pytest.mark.parametrize(
    ("request_line", "header", "says"),
    [
        (b"HTTP/1.1", b"", None),
        (b"HTTP/1.1", b"Connection: close\r\n", "close"),
        (b"HTTP/1.0", b"", None),
        (b"HTTP/1.0", b"Connection: keep-alive\r\n", "keep-alive"),
    ],
)
async def test_reply_says_what_becomes_of_the_connection(
    client: Client, request_line: bytes, header: bytes, says: str | None
) -> None:
    """Silence is what the version means by default (RFC 9112 section 9.3)."""
    request = b"GET /aio?delay=0 " + request_line + b"\r\n" + HOST + header + b"\r\n"
    kept = (request_line == b"HTTP/1.1") != bool(header)
    another = b"GET /aio?delay=0 HTTP/1.0\r\n\r\n" if kept else b""  # which closes it

    answer = await raw(client, request + another)

    assert answer.startswith(request_line + b" 200 OK\r\n")
    assert says == parts(answer)[1].get("connection")
    assert (2 if kept else 1) == answer.count(b" 200 OK\r\n")
    assert request_line[5:].decode() == (await spans(client))[0]["http_version"]


async def test_kept_connection_is_one_connection(client: Client) -> None:
    """Requests on it are counted from 1."""
    for _ in range(3):
        await (await client.get("/aio?delay=0")).read()

    assert [(1, 1), (1, 2), (1, 3)] == [
        (span["connection"], span["connection_request"]) for span in await spans(client)
    ]


async def test_absolute_target_is_recorded_as_it_was_sent(client: Client) -> None:
    """Clients that take us for a proxy send the whole URL (RFC 9112 section 3.2.2)."""
    target = b"http://elsewhere.example/aio?delay=0&run=ci"
    status, headers, _ = parts(await raw(client, b"GET " + target + b" HTTP/1.1\r\n" + CLOSE))

    assert (200, "ci") == (status, headers["x-dawdle-run"])
    assert target.decode() == (await only_span(client))["target"]


async def test_user_agent_that_is_no_utf8_is_recorded_readably(client: Client) -> None:
    """Every export of the span is UTF-8."""
    await raw(client, b"GET /aio?delay=0 HTTP/1.1\r\nUser-Agent: old\xff\r\n" + CLOSE)

    assert "old\N{REPLACEMENT CHARACTER}" == (await only_span(client))["user_agent"]


@pytest.mark.parametrize(
    "header", [b"X-Dawdle: \xff=1", b"X-Dawdle: run=\xff", b"X-Dawdle-Run: \xff"]
)
async def test_knob_that_is_no_utf8_is_refused(client: Client, header: bytes) -> None:
    """Strict UTF-8; the refusal itself is UTF-8."""
    answer = await raw(client, b"GET /aio?delay=0 HTTP/1.1\r\n" + header + b"\r\n" + CLOSE)
    status, _, body = parts(answer)

    assert (400, 400) == (status, json.loads(body)["status"])
    assert "rejected" == (await only_span(client))["outcome"]


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"FROB /aio HTTP/1.1\r\n" + CLOSE,
        b"GET /aio/\xff HTTP/1.1\r\n" + CLOSE,
        b"GET /aio HTTP/1.1\r\n\r\n",
        b"POST /aio HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n" + CLOSE,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    ],
)
async def test_what_the_parser_refuses_is_400_without_a_span(
    client: Client, request_bytes: bytes
) -> None:
    """It never became a request: unknown methods, raw bytes, no Host, two lengths, TLS."""
    assert 400 == parts(await raw(client, request_bytes))[0]
    assert 0 == recorded(client)


# --- anything ------------------------------------------------------------------------------------

_visible = st.integers(0x21, 0x7E).map(chr)
_words = st.sampled_from([*KNOBS, "1", "0", "200", "-1", "1:2", "..", "%", "%ff", "_x", "("])
_text = st.lists(_words | st.sampled_from("&=+,:-()") | _visible, max_size=12).map("".join)
_header = st.binary(max_size=24).map(lambda value: re.sub(rb"[\x00-\x1f\x7f]", b"", value))


@given(
    method=st.sampled_from(["GET", "HEAD", "POST", "OPTIONS"]),
    path=st.sampled_from(["/aio?", "/aio/"]),
    text=_text,
    headers=st.dictionaries(
        st.sampled_from(["X-Dawdle", "X-Dawdle-Run", "Idempotency-Key", "Accept", "Origin"]),
        _header | _text.map(str.encode),
        max_size=3,
    ),
)
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_whatever_is_sent_never_fails_and_never_goes_unrecorded(
    idle: Client, method: str, path: str, text: str, headers: dict[str, bytes]
) -> None:
    """Never a 500; and one span for each request that the parser let through."""
    before = recorded(idle)
    lines = b"".join(b"%s: %s\r\n" % (name.encode(), value) for name, value in headers.items())

    answer = await raw(
        idle, b"%s %s HTTP/1.1\r\n" % (method.encode(), (path + text).encode()) + lines + CLOSE
    )

    status, found, _ = parts(answer)
    parsed = "aiohttp" not in found.get("server", "")
    assert status != 500 or found.get("x-dawdle-fault") == "status"
    assert (before + parsed, parsed) == (recorded(idle), "x-dawdle-span" in found)


@pytest.fixture
async def idle(start: Start) -> Client:
    """A service in which no time passes."""
    return await start(time_scale="0")


def test_request_is_understood_once_unless_it_is_long() -> None:
    """Clients repeat theirs; what is long is read each time, lest it fill the memory."""

    def read(target: str, **headers: str) -> Request:
        return understand(
            "GET",
            target,
            CIMultiDictProxy(CIMultiDict(headers)),
            http_version="1.1",
            keep_alive=True,
            profile=None,
        )

    long = f"/aio?_={'x' * LONGEST_KEPT}"

    assert read("/aio?delay=1") is read("/aio?delay=1")
    assert read("/aio?delay=1", Accept="text/html") != read("/aio?delay=1")
    assert read(long) == read(long)
    assert read(long) is not read(long)
