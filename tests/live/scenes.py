"""Runs to look at: their spans go into a database before a server starts on it."""

import asyncio
import heapq
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random

from app.spans import Kind, Outcome, Span, arrival_order, span_id
from app.store import open_store

BEGIN = 1_795_003_200 * 10**9
MS = 10**6
TIMEOUT = 5_000 * MS
BATCH = 1_000
HOSTILE = "\"><script>alert('1')</script><img src=x onerror=alert(2)>"


def keep(data: Path, *scenes: list[Span]) -> None:
    """Store the scenes, of a run each, in the data folder of a server to come."""
    data.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(1) as thread:  # this one may have a loop already, that of a browser
        thread.submit(asyncio.run, _keep(data, scenes)).result()


async def _keep(data: Path, scenes: tuple[list[Span], ...]) -> None:
    store = await open_store(data / "dawdle.sqlite3")
    try:
        number = 0
        for scene in scenes:
            await store.add_run(scene[0].run, scene[0].arrival_ns)
            for span in scene:
                number += 1
                span.id = span_id(store.boot, number)
            for start in range(0, len(scene), BATCH):
                await store.save(scene[start : start + BATCH])
    finally:
        await store.close()


# --- what happens in them ------------------------------------------------------------------------


def checkout(run: str = "checkout", *, requests: int = 80, workers: int = 12) -> list[Span]:
    """A client with 12 workers and a timeout of 5 s, retries, a server of 10: every way to end."""
    rng = Random(7)
    free = [(BEGIN + 20 * MS * place, place + 1, 0) for place in range(workers)]
    slots = [BEGIN] * 10
    spans: list[Span] = []
    for number in range(requests):
        begin, connection, before = heapq.heappop(free)
        key = f"order-{number}" if number % 3 else None
        for attempt in range(1, 4):
            before += 1
            span = Span(0, run, Kind.HTTP, "GET", f"/aio?delay={number % 9 + 1}", begin)
            span.connection, span.connection_request = connection, before
            span.http_version, span.user_agent = "1.1", "Python/3.11 aiohttp/3.14.5"
            span.key, span.attempt = key, attempt if key else None
            _live(span, slots, rng, number=number, attempt=attempt)
            spans.append(span)
            assert span.end_ns is not None
            begin = span.end_ns + 400 * MS * 2**attempt
            if not key or (span.outcome is Outcome.COMPLETED and (span.status or 0) < 400):
                break
        heapq.heappush(free, (spans[-1].end_ns or 0, connection, before))
    return _numbered(spans)


def _live(span: Span, slots: list[int], rng: Random, *, number: int, attempt: int) -> None:
    """Let the span wait for a slot and then end in the way that its number says."""
    if number % 19 == 18:
        span.end_ns = span.arrival_ns + 90_000
        span.outcome, span.status = Outcome.REJECTED, 429
        span.retry_after_ns = 2_000 * MS
        return
    begun = max(span.arrival_ns, heapq.heappop(slots))
    planned = rng.randrange(600 * MS, 7_000 * MS)
    span.queue_wait_ns, span.wait_begun_ns = begun - span.arrival_ns, begun
    span.delay_ns = planned
    if number % 11 == 5:
        span.drip = 5
    _end(span, begun + planned + rng.randrange(MS), number=number, attempt=attempt)
    heapq.heappush(slots, span.end_ns or 0)


def _end(span: Span, reply_ns: int, *, number: int, attempt: int) -> None:
    if reply_ns - span.arrival_ns > TIMEOUT:
        span.end_ns, span.outcome = span.arrival_ns + TIMEOUT, Outcome.CLIENT_GONE
        span.ended_by = "client"
        return
    span.end_ns = reply_ns + (400 * MS if span.drip else MS // 2)
    if number == 29:
        span.outcome, span.fault = Outcome.FAULTED, "reset"
        return
    if number == 47:
        span.outcome, span.status = Outcome.ERROR, 500
        return
    if number == 61:
        span.outcome, span.status = Outcome.SHUTDOWN, 503
        return
    span.first_byte_ns, span.last_byte_ns = reply_ns, span.end_ns
    span.outcome, span.bytes_out = Outcome.COMPLETED, 12
    span.status = 503 if number % 7 == 4 and attempt < 3 else 200


def crowd(run: str, count: int, *, workers: int = 200) -> list[Span]:
    """So many requests of so many workers, one in fifty of them answered 503."""
    rng = Random(1)
    free = [(BEGIN + place * 50_000, place + 1) for place in range(workers)]
    spans = []
    for number in range(count):
        begin, connection = heapq.heappop(free)
        planned = rng.randrange(5 * MS, 400 * MS)
        span = Span(0, run, Kind.HTTP, "GET", f"/aio?page={number}", begin)
        span.connection, span.connection_request = connection, number // workers + 1
        span.wait_begun_ns, span.delay_ns = begin, planned
        span.first_byte_ns = span.last_byte_ns = span.end_ns = begin + planned + 200_000
        span.status, span.outcome = 503 if number % 50 == 7 else 200, Outcome.COMPLETED
        spans.append(span)
        heapq.heappush(free, (span.end_ns + 300_000, connection))
    return _numbered(spans)


def hostile(run: str = "hostile") -> list[Span]:
    """Requests of somebody who would like to be more than text."""
    spans = []
    for place in range(6):
        span = Span(0, run, Kind.HTTP, HOSTILE, f"/aio?{HOSTILE}", BEGIN + place * 100 * MS)
        span.key, span.attempt, span.user_agent = HOSTILE, place + 1, HOSTILE
        span.fault, span.outcome, span.end_ns = HOSTILE, Outcome.FAULTED, span.arrival_ns + MS
        spans.append(span)
    return _numbered(spans)


def _numbered(spans: list[Span]) -> list[Span]:
    """In order of arrival, each with how many it found in flight."""
    ordered = arrival_order(spans)
    for place, in_flight in _levels(ordered):
        ordered[place].in_flight = in_flight
    return ordered


def _levels(spans: list[Span]) -> Iterator[tuple[int, int]]:
    ends: list[int] = []
    for place, span in enumerate(spans):
        while ends and ends[0] <= span.arrival_ns:
            heapq.heappop(ends)
        heapq.heappush(ends, span.end_ns or 0)
        yield place, len(ends)
