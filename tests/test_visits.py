"""Requests for pages of the demonstration site: one span each, on every way out."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from aiohttp import ClientError, web

from app import delivery, keys
from app.site import PAGES, Delivery, body_of
from app.visits import Visit
from tests.service import CLOSE, Client, Start, app_of, parts, raw, spans, until_idle

NAMED = {"X-Dawdle-Run": "ci"}


def delivered(how: Delivery) -> int:
    """The number of the first page that is delivered so."""
    return next(number for number, page in PAGES.items() if page.delivery is how)


async def visit(client: Client, path: str, method: str = "GET") -> bytes:
    """All that comes of a page, which may be nothing."""
    head = f"{method} {path} HTTP/1.1\r\nX-Dawdle-Run: ci\r\n".encode()
    with suppress(ConnectionResetError):
        return await raw(client, head + CLOSE)
    return b""


async def one_span(client: Client, run: str = "ci") -> dict[str, Any]:
    """The only span of the run, at its end."""
    await until_idle(client)
    (span,) = await spans(client, run)
    return span


async def until_changed(client: Client, is_there: Callable[[], bool]) -> None:
    feed = app_of(client)[keys.FEED]
    while not is_there():
        await feed.wait(feed.position)


async def until_faulted(client: Client) -> None:
    """Return when a fault has begun."""
    live = app_of(client)[keys.RECORDER].live
    await until_changed(client, lambda: any(span.fault for span in live.values()))


# --- what is recorded ----------------------------------------------------------------------------


async def test_page_leaves_a_span(client: Client) -> None:
    """With all that is known of its request; the reply names it."""
    reply = await client.get("/site/1?a=1", headers={**NAMED, "Idempotency-Key": "k"})

    span = await one_span(client)
    assert {
        "run": "ci",
        "kind": "http",
        "method": "GET",
        "target": "/site/1?a=1",
        "key": "k",
        "attempt": 1,
        "connection_request": 1,
        "http_version": "1.1",
        "in_flight": 1,
        "delay_ns": 0,
        "status": 200,
        "fault": None,
        "outcome": "completed",
        "ended_by": None,
        "bytes_out": len(body_of(1)),
    }.items() <= span.items()
    assert ("ci", span["id"]) == (reply.headers["X-Dawdle-Run"], reply.headers["X-Dawdle-Span"])
    moments = ("arrival_ns", "wait_begun_ns", "first_byte_ns", "last_byte_ns", "end_ns")
    assert sorted(span[name] for name in moments) == [span[name] for name in moments]


async def test_page_that_names_no_run_goes_where_all_such_go(client: Client) -> None:
    """`default-N`; its query is its own, but for what begins with `dawdle.`."""
    await client.get("/site/1?run=other")
    await client.get("/site/1?dawdle.run=named")

    assert "/site/1?run=other" == (await one_span(client, "default-1"))["target"]
    assert "named" == (await one_span(client, "named"))["run"]


async def test_connection_s_requests_are_counted(client: Client) -> None:
    """So that a report can tell whether connections were used again."""
    for _ in range(3):
        await (await client.get("/site/1", headers=NAMED)).read()

    counted = [(span["connection"], span["connection_request"]) for span in await spans(client)]
    assert [(1, 1), (1, 2), (1, 3)] == counted


@pytest.mark.parametrize(
    ("how", "delay_ns", "drip"),
    [(Delivery.LATE, 2_000_000_000, None), (Delivery.SLOW, 3_000_000_000, 12)],
)
async def test_page_that_lets_wait_says_how_long(
    client: Client, how: Delivery, delay_ns: int, drip: int | None
) -> None:
    """As planned, before the time scale; and it is never early."""
    await visit(client, f"/site/{delivered(how)}")

    span = await one_span(client)
    assert (delay_ns, drip, 0.001) == (span["delay_ns"], span["drip"], span["time_scale"])
    due_ns = span["last_byte_ns" if drip else "first_byte_ns"]
    assert due_ns - span["wait_begun_ns"] >= delay_ns // 1_000


async def test_retry_after_of_a_page_is_in_its_span(client: Client) -> None:
    """So a report tells whether it was obeyed."""
    await visit(client, "/site/40")

    span = await one_span(client)
    assert (503, "completed", 1_000_000_000) == (
        span["status"],
        span["outcome"],
        span["retry_after_ns"],
    )


async def test_every_page_is_one_span(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it does; what is broken on purpose is faulted, by the name of its fault."""
    monkeypatch.setattr(delivery, "LONGEST_SILENCE_S", 0.001)
    monkeypatch.setattr(delivery, "MOST_ENDLESS_BYTES", 1)
    faults = {37: "stall", 38: "hang", 48: "truncate", 49: "garbage", 50: "reset"}
    for number in PAGES:
        await visit(client, f"/site/{number}")

    recorded = await spans(client, "ci")

    assert [f"/site/{number}" for number in PAGES] == [span["target"] for span in recorded]
    for number, span in zip(PAGES, recorded, strict=True):
        outcome = "faulted" if number in faults else "completed"
        assert (faults.get(number), outcome) == (span["fault"], span["outcome"]), number
        assert ("cap" if number in (37, 38) else None) == span["ended_by"]


@pytest.mark.parametrize("how", [Delivery.CUT, Delivery.STALLED, Delivery.ENDLESS])
async def test_head_has_no_body_to_break(client: Client, how: Delivery) -> None:
    """So nothing is broken."""
    await visit(client, f"/site/{delivered(how)}", "HEAD")

    span = await one_span(client)
    assert ("completed", None, 200, 0) == (
        span["outcome"],
        span["fault"],
        span["status"],
        span["bytes_out"],
    )


async def test_fault_is_named_by_a_reply_that_has_a_head(client: Client) -> None:
    """As those of `/aio` are."""
    _, headers, body = parts(await visit(client, f"/site/{delivered(Delivery.CUT)}"))

    assert "truncate" == headers["x-dawdle-fault"]
    assert len(body) == (await one_span(client))["bytes_out"]


# --- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("POST", "/site/1", 405, "method-not-allowed"),
        ("GET", "/site/1?dawdle.delay=1", 400, "unknown-knob"),
        ("GET", "/site/1?dawdle.key=%00", 400, "bad-knob"),
    ],
)
async def test_refusal_is_a_span_too(
    client: Client, method: str, path: str, status: int, code: str
) -> None:
    """In the run that was named, as far as that can be read."""
    reply = await client.request(method, path, headers=NAMED)

    run = reply.headers["X-Dawdle-Run"]
    span = await one_span(client, run)
    assert (status, f"urn:dawdle:problem:{code}") == (reply.status, (await reply.json())["type"])
    assert (status, "rejected", None) == (span["status"], span["outcome"], span["delay_ns"])
    assert ("GET, HEAD, OPTIONS" if status == 405 else None) == reply.headers.get("Allow")


async def test_options_is_a_span_but_a_preflight_is_none(client: Client) -> None:
    """A preflight is the browser's, not the client's."""
    asked = {"Origin": "https://app.example", "Access-Control-Request-Method": "GET"}
    await client.options("/site/1", headers=asked | NAMED)
    reply = await client.options("/site/1", headers=NAMED)

    assert (204, "GET, HEAD, OPTIONS") == (reply.status, reply.headers["Allow"])
    span = await one_span(client)
    assert ("OPTIONS", 204, "completed") == (span["method"], span["status"], span["outcome"])


async def test_list_and_pages_that_are_none_leave_no_span(client: Client) -> None:
    """They are no endpoints of the site."""
    for path in ("/site", "/site.txt", "/site/51", "/site/0"):
        await client.get(path)

    assert [] == (await (await client.get("/runs.json")).json())["runs"]


# --- other ways out ------------------------------------------------------------------------------


async def leave(client: Client, number: int) -> None:
    """Ask for the page, and hang up once it waits or has begun."""
    _, writer = await asyncio.open_connection(client.host, client.port)
    writer.write(f"GET /site/{number} HTTP/1.1\r\nX-Dawdle-Run: ci\r\n".encode() + CLOSE)
    await until_changed(client, lambda: bool(app_of(client)[keys.DESK].waiting))
    writer.transport.abort()


async def test_client_that_leaves_a_late_page_is_gone(start: Start) -> None:
    """Before its first byte."""
    client = await start(time_scale="1")

    await leave(client, delivered(Delivery.LATE))

    span = await one_span(client)
    assert ("client_gone", "client", None) == (
        span["outcome"],
        span["ended_by"],
        span["first_byte_ns"],
    )


async def test_client_that_leaves_an_endless_page_is_gone(client: Client) -> None:
    """It had its first byte, and not the last."""
    reply = await client.get(f"/site/{delivered(Delivery.ENDLESS)}", headers=NAMED)
    await reply.content.readany()
    reply.close()

    span = await one_span(client)
    assert ("client_gone", "client", None) == (
        span["outcome"],
        span["ended_by"],
        span["last_byte_ns"],
    )


@pytest.mark.parametrize("how", [Delivery.SILENT, Delivery.STALLED])
async def test_client_that_leaves_a_silent_page_ends_its_fault(
    client: Client, how: Delivery
) -> None:
    """Faulted it stays."""
    asking = asyncio.create_task(visit(client, f"/site/{delivered(how)}"))
    await until_faulted(client)
    asking.cancel()

    span = await one_span(client)
    assert ("faulted", "client") == (span["outcome"], span["ended_by"])


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        (Delivery.LATE, (503, "rejected", "deleted")),
        (Delivery.SILENT, (503, "faulted", "deleted")),
    ],
)
async def test_deleting_a_run_dismisses_its_visits(
    start: Start, how: Delivery, expected: tuple[int, str, str]
) -> None:
    """With 503, at once."""
    client = await start(time_scale="1")
    asking = asyncio.create_task(client.get(f"/site/{delivered(how)}", headers=NAMED))
    desk, recorder = app_of(client)[keys.DESK], app_of(client)[keys.RECORDER]
    await until_changed(client, lambda: bool(desk.waiting))
    (span,) = recorder.live.values()

    await client.delete("/runs/ci")

    reply = await asking
    assert ("urn:dawdle:problem:run-deleted", 503) == ((await reply.json())["type"], reply.status)
    assert expected == (span.status, span.outcome, span.ended_by)


@pytest.mark.parametrize("how", [Delivery.SLOW, Delivery.STALLED])
async def test_deleting_a_run_breaks_off_what_has_begun(start: Start, how: Delivery) -> None:
    """It is too late for a word."""
    client = await start(time_scale="1")
    reply = await client.get(f"/site/{delivered(how)}", headers=NAMED)
    (span,) = app_of(client)[keys.RECORDER].live.values()

    await client.delete("/runs/ci")

    with pytest.raises((ClientError, ConnectionError)):
        await reply.read()
    outcome = "faulted" if how is Delivery.STALLED else "rejected"
    assert (outcome, "deleted", 200) == (span.outcome, span.ended_by, span.status)


async def test_stopping_ends_what_is_silent_at_once(client: Client) -> None:
    """There is no reply to wait for; one that falls silent later ends there and then."""
    number = delivered(Delivery.SILENT)
    asking = asyncio.create_task(client.get(f"/site/{number}", headers=NAMED))
    await until_faulted(client)
    (span,) = app_of(client)[keys.RECORDER].live.values()

    app_of(client)[keys.DESK].stop(on_idle=lambda: None)

    assert 503 == (await asking).status
    assert ("faulted", "shutdown") == (span.outcome, span.ended_by)
    assert b"" == await visit(client, f"/site/{number}")
    assert "shutdown" == (await spans(client, "ci"))[-1]["ended_by"]


async def test_handler_cancelled_by_the_end_is_a_shutdown(start: Start) -> None:
    """The client did not leave."""
    client = await start(time_scale="1")
    number = delivered(Delivery.LATE)
    asking = asyncio.create_task(client.get(f"/site/{number}", headers=NAMED))
    desk = app_of(client)[keys.DESK]
    await until_changed(client, lambda: bool(desk.waiting))
    (span,) = app_of(client)[keys.RECORDER].live.values()

    desk.over = True
    asking.cancel()
    await until_idle(client)

    assert ("shutdown", "shutdown") == (span.outcome, span.ended_by)


async def test_our_own_failure_is_an_error(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """With 500, and a span that says so."""

    async def fail(_: Visit, **__: object) -> web.StreamResponse:
        raise RuntimeError

    monkeypatch.setitem(delivery._DELIVERIES, Delivery.WHOLE, fail)
    reply = await client.get("/site/1", headers=NAMED)

    span = await one_span(client)
    assert (500, 500, "error") == (reply.status, span["status"], span["outcome"])
