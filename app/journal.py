"""
Between the recorder and the store: ended spans go to disk in batches, soon and within a limit.

Adding never blocks: a span waits in memory until the writer has stored it, and reading merges
what is stored, what waits and what is in flight.
"""

import asyncio
import logging
from bisect import bisect_right
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from itertools import chain
from operator import attrgetter

from app.columns import READ_BATCH, Columns, joined
from app.database import StoreError
from app.spans import Span, span_id
from app.store import Loss, Store, StoredRun

log = logging.getLogger(__name__)

INTERVAL_S = 0.1  # from the first span that waits to its being written: 250 ms are promised
BATCH = 1_000  # spans a transaction; at most a tenth of the limit, for they leave by the page
SWEEPS = 4  # chunks a round: deleted runs vanish faster than 100,000 spans/s arrive
MOST_PENDING = 200_000  # spans in memory while the disk is slow or fails

_by_id = attrgetter("id")  # ids ascend in order of arrival


class Journal:
    """
    Every ended span of every run, at most *limit* of them on disk.

    Past *limit* runs leave whole, the one with the oldest last arrival first, if *is_finished*
    says so; *on_removed* hears of each just before. The newest run never leaves whole. When that
    is not enough, the oldest spans of the largest run leave; those count as dropped, and so does
    what finds *most_pending* spans waiting already; *on_dropped* hears (run, how many).
    """

    def __init__(
        self,
        store: Store,
        *,
        limit: int,
        is_finished: Callable[[str], bool],
        on_removed: Callable[[str], None] = lambda _run: None,
        on_dropped: Callable[[str, int], None] = lambda _run, _count: None,
        pause: Callable[[], Awaitable[None]] = lambda: asyncio.sleep(INTERVAL_S),
        most_pending: int = MOST_PENDING,
    ) -> None:
        self.dropped = 0  # spans not kept though their run was, since the start
        self._store = store
        self._limit = limit
        self._batch_size = min(BATCH, max(1, limit // 10))
        self._is_finished = is_finished
        self._on_removed = on_removed
        self._on_dropped = on_dropped
        self._pause = pause
        self._most_pending = most_pending

        self._pending: deque[Span] = deque()  # for the next round
        self._due: deque[Span] = deque()  # for this round
        self._batch: list[Span] = []  # being written, or else to be written again
        self._losses: dict[str, Loss] = {}
        self._batch_losses: dict[str, Loss] = {}
        self._newest_id = span_id(store.boot, 0)  # of what left `_pending`
        self._stored = 0  # spans on disk, over all runs
        self._leaving: list[str] = []  # runs to delete in the next round
        self._sweeping = True  # a process that was killed may have left a deleted run behind
        self._failing = False

        self._work = asyncio.Event()
        self._writing = asyncio.Lock()  # held by whoever changes the store
        self._writer: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Count what is stored and begin to write."""
        self._stored = sum(run.requests for run in await self._store.runs())
        self._work.set()
        self._writer = asyncio.create_task(self._write_on(), name="journal")

    async def close(self) -> None:
        """Write what waits and end. What the disk refuses now is lost, and the log says so."""
        if self._writer is not None:
            async with self._writing:  # the writer is in the middle of nothing
                self._writer.cancel()
            await asyncio.wait([self._writer])
        if not await self._round():
            lost = len(self._batch) + len(self._due)
            log.error("%d spans are lost: the disk failed to the end", lost)

    # --- adding ----------------------------------------------------------------------------------

    def add(self, span: Span) -> None:
        """Take a span that has ended; it is on disk soon. Dropped when too many wait already."""
        if not self._pending:  # else the writer knows
            self._work.set()
        if len(self._pending) + len(self._due) + len(self._batch) < self._most_pending:
            self._pending.append(span)
        else:
            self._losses.setdefault(span.run, Loss(span.run, span.arrival_ns)).count += 1
            self._drop(span.run, 1)

    def _drop(self, run: str, count: int) -> None:
        self.dropped += count
        self._on_dropped(run, count)

    async def forget(self, run: str) -> None:
        """
        Delete a run with everything added to it before this call; later spans begin it anew.

        Raises:
            StoreError: the disk fails; what was stored of the run is still there.
        """
        self._throw_away(run)
        async with self._writing:  # what is on its way to the disk arrives, and then is deleted
            await self._delete(run)
        self._work.set()

    def remove(self, run: str) -> None:
        """As `forget`, but soon instead of now: for those who can't wait for it."""
        self._throw_away(run)
        self._leaving.append(run)
        self._work.set()

    def _throw_away(self, run: str) -> None:
        self._pending = deque(span for span in self._pending if span.run != run)
        self._due = deque(span for span in self._due if span.run != run)
        self._batch = [span for span in self._batch if span.run != run]
        self._losses.pop(run, None)
        self._batch_losses.pop(run, None)

    # --- reading ---------------------------------------------------------------------------------

    def columns(
        self, run: str, live: Callable[[], Iterable[Span]] = tuple
    ) -> AsyncIterator[Columns]:
        """
        The spans of a run in order of arrival, some at a time: all that had arrived at the call.

        *live* gives those in flight. One that ends or is stored while this is being read comes
        once, as it then is; what arrives later is left out.
        """
        waiting = (span for span in self._waiting() if span.run == run)
        memory = {span.id: span for span in chain(waiting, live())}
        newest = max(memory, default=0)
        return self._merged(
            run, sorted(memory.values(), key=_by_id, reverse=True), max(newest, self._newest_id)
        )

    def _waiting(self) -> Iterable[Span]:
        return chain(self._batch, self._due, self._pending)

    async def _merged(self, run: str, memory: list[Span], newest: int) -> AsyncIterator[Columns]:
        """
        What is stored up to *newest*, and *memory* (the earliest arrival last) in between.

        Who was not in memory at the call was on disk, so nobody is missed whatever is written
        meanwhile; who is in both is given from memory, where the span is its owner's own.
        """
        async for stored in self._store.columns(run):
            last = stored.ids[-1]
            fresh = []
            while memory and memory[-1].id <= last:
                fresh.append(memory.pop())
            if found := _up_to(newest, _united(stored, fresh)):
                yield found
            if last >= newest:
                break
        memory.reverse()
        for start in range(0, len(memory), READ_BATCH):
            yield Columns.of(memory[start : start + READ_BATCH])

    # --- writing ---------------------------------------------------------------------------------

    async def _write_on(self) -> None:
        while True:
            await self._work.wait()
            await self._pause()
            if await self._round() and not self._has_work():
                self._work.clear()

    def _has_work(self) -> bool:
        return bool(self._pending or self._due or self._losses or self._leaving or self._sweeping)

    async def _round(self) -> bool:
        """
        Write what waits, make room, sweep a little; False when the disk fails.

        A deleted run is swept over many rounds, lest a span wait for a million others to go.
        """
        async with self._writing:
            try:
                await self._delete_leaving()
                await self._write_pending()
                await self._make_room()
                await self._sweep()
            except StoreError as error:
                self._complain(error)
                return False
        self._recover()
        return True

    async def _delete_leaving(self) -> None:
        """Before anything is written: that may belong to a new run of the same name."""
        while self._leaving:
            await self._delete(self._leaving[0])
            del self._leaving[0]

    async def _write_pending(self) -> None:
        """Write what waits at this moment; what comes meanwhile is for the next round."""
        if self._pending:
            newest = max(map(_by_id, self._pending))
            self._newest_id = max(self._newest_id, newest)
        self._due.extend(self._pending)
        self._pending.clear()
        while self._batch or self._batch_losses or self._due or self._losses:
            await self._write_batch()

    async def _write_batch(self) -> None:
        """
        Write the next batch, or once more the one whose writing failed or was cancelled.

        The same again, with nothing new in it, for it may be stored: the store knows its pages.
        """
        if not self._batch and not self._batch_losses:
            count = min(self._batch_size, len(self._due))
            self._batch = [self._due.popleft() for _ in range(count)]
            self._batch_losses, self._losses = self._losses, {}
        self._stored += await self._store.save(
            tuple(self._batch), losses=tuple(self._batch_losses.values())
        )
        self._batch = []
        self._batch_losses = {}

    async def _make_room(self) -> None:
        if self._stored <= self._limit:
            return
        runs = sorted(await self._store.runs(), key=_last_arrival_ns)
        self._stored = sum(run.requests for run in runs)
        kept = [run for run in runs[:-1] if not await self._removed(run)] + runs[-1:]
        for run in sorted(kept, key=attrgetter("requests"), reverse=True):
            await self._trim(run)

    async def _removed(self, run: StoredRun) -> bool:
        """Whether the run left whole, for there was need and it is over."""
        if self._stored <= self._limit or run.requests == 0 or not self._is_over(run.name):
            return False
        self._on_removed(run.name)
        await self._delete(run.name)
        return True

    def _is_over(self, run: str) -> bool:
        return self._is_finished(run) and all(span.run != run for span in self._waiting())

    async def _trim(self, run: StoredRun) -> None:
        excess = self._stored - self._limit
        if excess > 0 and run.requests:
            trimmed = await self._store.trim(run.name, excess)
            self._stored -= trimmed
            self._drop(run.name, trimmed)

    async def _delete(self, run: str) -> None:
        self._stored -= await self._store.delete_run(run)
        self._sweeping = True

    async def _sweep(self) -> None:
        for _ in range(SWEEPS):
            if not self._sweeping:
                return
            self._sweeping = await self._store.sweep()

    def _complain(self, error: Exception) -> None:
        if not self._failing:
            log.error(
                "the disk fails (%s): up to %d spans wait in memory", error, self._most_pending
            )
        self._failing = True

    def _recover(self) -> None:
        if self._failing:
            log.info("the disk works again")
        self._failing = False


def _last_arrival_ns(run: StoredRun) -> int:
    return run.last_arrival_ns or run.created_ns


def _united(stored: Columns, fresh: list[Span]) -> Columns:
    """Both in order of arrival; of a span in both, the fresh one."""
    if not fresh:
        return stored
    known = {span.id for span in fresh}
    others = [place for place, number in enumerate(stored.ids) if number not in known]
    return joined([stored.at(others), Columns.of(fresh)])


def _up_to(newest: int, columns: Columns) -> Columns:
    stop = bisect_right(columns.ids, newest)
    return columns if stop == len(columns) else columns.part(0, stop)
