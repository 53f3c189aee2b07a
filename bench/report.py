"""
What a report and the exports of a run cost, per 100,000 spans, and whether memory is bounded.

    python -m bench.report                    a million spans: some two minutes
    python -m bench.report --spans 200000     fewer
    python -m bench.report --row "report with findings"

The spans go through a real database, and each row reads them anew, as a request to the service
does. Time is that of this process's CPU; memory is the most that Python's allocator held beyond
what it held before (a separate pass over a tenth of the spans, and one over a hundredth: where
they differ, memory grows with the run).
"""

import argparse
import asyncio
import gc
import tempfile
import time
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from heapq import heapreplace
from itertools import islice
from pathlib import Path
from random import Random

from app import exports, findings, report, svg, timeline
from app.columns import Columns
from app.exports import Export
from app.spans import Kind, Outcome, Span, span_id
from app.store import Store, open_store

BEGIN = 1_700_000_000 * 10**9
AT_ONCE = 200
PAGE = 1_000  # spans a transaction, as the journal has it
RUN = "bench"

Batches = AsyncIterator[Columns]
Row = Callable[[Batches], Awaitable[object]]


def spans(count: int) -> Iterator[Span]:
    """Those of 200 workers with a tail of slow replies, refusals and hang-ups."""
    rng = Random(1)
    free = [(BEGIN + worker * 1_000, worker) for worker in range(AT_ONCE)]  # a heap
    requests = [0] * AT_ONCE
    for number in range(count):
        arrival, worker = free[0]
        requests[worker] += 1
        planned = rng.randrange(5_000_000, 30_000_000)
        end = arrival + planned + rng.randrange(300_000)
        left = rng.random() < 0.01
        heapreplace(free, (end + rng.randrange(100_000), worker))
        yield Span(
            span_id(1, number + 1),
            RUN,
            Kind.HTTP,
            "GET",
            f"/aio?delay=5-30ms&run={RUN}&page={number}",
            arrival,
            connection=worker + 1,
            connection_request=requests[worker],
            http_version="1.1",
            user_agent="Python/3.11 aiohttp/3.14.5",
            in_flight=AT_ONCE,
            delay_ns=planned,
            wait_begun_ns=arrival,
            first_byte_ns=None if left else end,
            last_byte_ns=None if left else end,
            end_ns=end,
            status=None if left else 503 if rng.random() < 0.01 else 200,
            outcome=Outcome.CLIENT_GONE if left else Outcome.COMPLETED,
            bytes_out=12,
        )


# --- what is measured ----------------------------------------------------------------------------


async def _reading(batches: Batches) -> None:
    async for _ in batches:
        pass


async def _report(batches: Batches) -> findings.Reading:
    fold, first = report.Fold(RUN, now_ns=BEGIN), list[Span]()
    async for columns in batches:
        fold.add(columns)
        first += columns.first(svg.MOST_BARS - len(first))
    return findings.reading(fold.report(), first)


async def _text(batches: Batches) -> str:
    read = await _report(batches)
    return timeline.text(read.report, read.spans, read.found)


def _picture(store: Store) -> Row:
    async def picture(batches: Batches) -> str:
        read = await _report(batches)
        density = svg.Density(read.report)
        async for columns in store.columns(RUN):
            density.add(columns)
        return svg.drawing([svg.Panel(read, density)])

    return picture


def _exported(export: Export) -> Row:
    async def exported(batches: Batches) -> int:
        writer = export.writer("http://127.0.0.1:3000", BEGIN)
        length = len(writer.head) + len(writer.tail)
        async for columns in batches:
            length += len(writer.lines(columns.spans()))
        return length

    return exported


def rows(store: Store) -> dict[str, Row]:
    """What each row of the table does with all spans."""
    return {
        "reading alone": _reading,
        "report with findings": _report,
        "text": _text,
        "SVG (an area: reads twice)": _picture(store),
        "JSON Lines": _exported(exports.JSONL),
        "CSV": _exported(exports.CSV),
        "HTTP archive": _exported(exports.HAR),
        "trace events": _exported(exports.TRACE),
    }


async def _limited(batches: Batches, count: int) -> Batches:
    async for columns in batches:
        yield columns.part(0, count)
        count -= len(columns)
        if count <= 0:
            return


async def _most_bytes(row: Row, store: Store, count: int) -> int:
    gc.collect()
    tracemalloc.start()
    await row(_limited(store.columns(RUN), count))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak


async def measure(count: int, wanted: list[str]) -> None:
    """Fill a database, then print the table, or the *wanted* rows of it."""
    with tempfile.TemporaryDirectory() as folder:
        store = await open_store(Path(folder, "dawdle.sqlite3"))
        try:
            stream = spans(count)
            while page := list(islice(stream, PAGE)):
                await store.save(page)
            print(f"{count:,} spans, {AT_ONCE} at once\n")
            print("| | CPU per 100,000 spans, s | memory at 1 % of them, MB | at 10 %, MB |")
            print("|---|---:|---:|---:|")
            for name, row in rows(store).items():
                if wanted and name not in wanted:
                    continue
                begun = time.process_time()
                await row(store.columns(RUN))
                took = (time.process_time() - begun) * 100_000 / count
                little, more = [
                    await _most_bytes(row, store, count // part) / 2**20 for part in (100, 10)
                ]
                print(f"| {name} | {took:.2f} | {little:.1f} | {more:.1f} |", flush=True)
        finally:
            await store.close()


def main() -> None:
    """Read the options and measure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--spans", type=int, default=1_000_000, help="in the run")
    parser.add_argument("--row", action="append", default=[], help="this row alone; repeatable")
    gc.freeze()
    gc.set_threshold(700, 10, 1_000_000)  # as the service has it
    options = parser.parse_args()
    asyncio.run(measure(options.spans, options.row))


if __name__ == "__main__":
    main()
