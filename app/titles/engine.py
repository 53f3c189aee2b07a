"""
What runs: leases URLs from the database, lets the schedule say whose turn it is, and fetches.

At any moment there is a task for each page under way, and in memory a window of each running job,
however many URLs it has.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Iterable
from dataclasses import replace
from random import Random
from typing import Protocol

from app.clock import Alarm, Clock
from app.database import StoreError
from app.titles.ledger import AGAIN_NS, Ledger
from app.titles.live import Live
from app.titles.options import SECOND, Options
from app.titles.results import Code, Failure, Result
from app.titles.retry import LONGEST_ASKED_S, wait_before_next
from app.titles.schedule import Away, Item, Schedule
from app.titles.store import READY, SUSPECT, TitleStore
from app.titles.trouble import Trouble
from app.titles.window import Window

SHORTEST_NS = SECOND // 100  # between two looks at what waits
MOST_NOTED = 2_000  # results in memory, past which nothing new begins

# What tells of the host rather than of the page, as long as nothing came back.
OF_THE_HOST = {Code.DNS_ERROR, Code.CONNECTION_ERROR, Code.TLS_ERROR, Code.TIMEOUT}
PATIENCE = {429, 503}  # statuses whose Retry-After is for the whole host

log = logging.getLogger(__name__)


class Fetch(Protocol):
    """One attempt at a page, with all its redirects."""

    async def __call__(self, url: str, *, timeout_s: float) -> Result:
        """What became of it; nothing is raised."""


class Engine:
    """Runs jobs. What becomes of their URLs goes to the *ledger*."""

    def __init__(
        self,
        store: TitleStore,
        ledger: Ledger,
        trouble: Trouble,
        fetch: Fetch,
        *,
        clock: Clock,
        random: Random,
    ) -> None:
        self._store = store
        self._ledger = ledger
        self._trouble = trouble
        self._fetch = fetch
        self._clock = clock
        self._random = random

        self._schedule = Schedule()
        self._new: deque[Live] = deque()  # to be run
        self._lives: dict[int, Live] = {}
        self._windows: dict[int, Window] = {}
        self._suspects: dict[int, int] = {}  # job -> how many it has left
        self._suspect: Item | None = None  # the one that is under way
        self._tasks: dict[asyncio.Task[None], int] = {}  # what is under way, and its job
        self._unsure: set[int] = set()  # jobs of which more may be leased than we hold
        self._due_ns: int | None = 0  # when the first item that waits is due; looked up first

        self._wake = asyncio.Event()
        self._alarm: Alarm | None = None
        self._leasing = asyncio.Lock()
        self._stopped = False
        self._pump: asyncio.Task[None] | None = None

    @property
    def under_way(self) -> int:
        """Pages that are being fetched."""
        return self._schedule.under_way

    def start(self) -> None:
        """Begin."""
        self._pump = asyncio.create_task(self._pump_on(), name="titles engine")

    def stop(self) -> None:
        """Begin nothing more; what is under way goes on."""
        self._stopped = True

    async def close(self) -> None:
        """End, whatever is under way."""
        self.stop()
        await _cancelled([*self._tasks, *([self._pump] if self._pump else [])])
        if self._alarm is not None:
            self._alarm.cancel()

    # --- jobs ------------------------------------------------------------------------------------

    def run(self, live: Live) -> None:
        """Run a job of which everything is in the database."""
        self._new.append(live)
        self._wake.set()

    async def drop(self, live: Live) -> None:
        """Run the job no longer; nothing of it is under way when this returns."""
        async with self._leasing:
            if live in self._new:
                self._new.remove(live)
            self.end(live)
            await _cancelled([task for task, job in self._tasks.items() if job == live.number])

    def end(self, live: Live) -> None:
        """The job needs nothing more."""
        if self._lives.pop(live.number, None):
            self._schedule.end(live.number, self._clock.now())
            del self._windows[live.number], self._suspects[live.number]
            self._unsure.discard(live.number)

    async def _begin_new(self) -> None:
        while self._new:
            live = self._new[0]
            now_ns = self._clock.now()
            await self._store.started(live.number, now_ns)
            counts = await self._store.counts(live.number)
            self._new.popleft()
            self._lives[live.number] = live
            self._windows[live.number] = Window(live.stored.options, counts[READY])
            self._suspects[live.number] = counts[SUSPECT]
            self._schedule.begin(live.number, live.stored.options)
            live.begin(now_ns)

    # --- leasing ---------------------------------------------------------------------------------

    def written(self, due_ns: int | None) -> None:
        """There is room for more, and something waits until then."""
        if due_ns is not None:
            self._due_ns = due_ns if self._due_ns is None else min(due_ns, self._due_ns)
        self._wake.set()

    async def _pump_on(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                async with self._leasing:
                    await self._lease()
            except StoreError as error:
                self._trouble.note("leasing", error)
                self._wake_at(self._clock.now() + AGAIN_NS)
            else:
                self._trouble.clear("leasing")
                self._wake_for_waiting()
            self._begin()

    async def _lease(self) -> None:
        await self._begin_new()
        await self._wake_due()
        for job in list(self._windows):
            if await self._is_sure(job):
                await self._lease_suspect(job)
                await self._refill(job)

    async def _wake_due(self) -> None:
        now_ns = self._clock.now()
        if self._due_ns is None or now_ns < self._due_ns:
            return
        for job, count in (await self._store.wake(now_ns)).items():
            if window := self._windows.get(job):
                window.wake(count)
        self._due_ns = await self._store.next_due_ns(now_ns)

    async def _is_sure(self, job: int) -> bool:
        """
        Whether we hold all that is leased of the job.

        The disk may fail when a lease is made already. Then what we hold is used up first, and the
        rest is let go.
        """
        if job in self._unsure and not self._holds(job):
            await self._store.release(job)
            counts = await self._store.counts(job)
            self._windows[job].begin_anew(counts[READY])
            self._suspects[job] = counts[SUSPECT]
            self._unsure.discard(job)
        return job not in self._unsure

    def _holds(self, job: int) -> bool:
        """Whether anything of the job is ready, under way, or not written yet."""
        return (
            not self._windows[job].is_empty
            or job in self._tasks.values()
            or (self._suspect is not None and self._suspect.job == job)
            or self._ledger.holds(job)
        )

    async def _refill(self, job: int) -> None:
        window = self._windows[job]
        while self._has_room and (wish := window.wish(self._clock.now())):
            self._unsure.add(job)
            items = await self._store.lease(job, wish)
            self._unsure.discard(job)
            window.leased(wish, items)
            self._send_away(self._schedule.add(items, self._clock.now()))
            self._begin()

    @property
    def _has_room(self) -> bool:
        return not self._stopped and self._ledger.size < MOST_NOTED

    async def _lease_suspect(self, job: int) -> None:
        """One suspect at a time, over all jobs."""
        if self._suspect is None and self._suspects[job] > 0 and self._has_room:
            self._unsure.add(job)
            self._suspect = await self._store.lease_suspect(job, self._clock.now())
            self._unsure.discard(job)
            if self._suspect is not None:
                self._suspects[job] -= 1
                self._send_away(self._schedule.add([self._suspect], self._clock.now()))

    def _wake_for_waiting(self) -> None:
        parked = [window.parked_until_ns for window in self._windows.values()]
        moments = [moment for moment in (self._due_ns, *parked) if moment is not None]
        if moments:
            self._wake_at(max(min(moments), self._clock.now() + SHORTEST_NS))

    def _wake_at(self, moment_ns: int) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = self._clock.call_at(moment_ns, self._wake.set)

    # --- fetching --------------------------------------------------------------------------------

    def _begin(self) -> None:
        """Let as many begin as may."""
        while self._has_room and self._trouble.sentence is None:
            item = self._schedule.take(self._clock.now())
            if item is None:
                break
            self._has_left(item)
            task = asyncio.create_task(self._see_to(item, self._lives[item.job].stored.options))
            self._tasks[task] = item.job
            task.add_done_callback(self._tasks.pop)
        if not self._schedule.under_way:
            self._ledger.flush()

    def _has_left(self, item: Item) -> None:
        """The item is ready no longer."""
        if not item.suspect and (window := self._windows.get(item.job)):
            window.left(item)

    async def _see_to(self, item: Item, options: Options) -> None:
        try:
            result = await self._attempt(item.url, options.timeout_ns / SECOND)
        except asyncio.CancelledError:
            self._send_away(self._schedule.abandon(item, self._clock.now()))
            raise
        self._settle(item, result, options)
        self._wake.set()
        self._begin()

    async def _attempt(self, url: str, timeout_s: float) -> Result:
        try:
            return await self._fetch(url, timeout_s=timeout_s)
        except Exception:  # a page that we can't cope with must not stop the others
            log.exception("fetching %s failed", url)
            return Result(url, error=Failure(Code.CRASHED, CRASHED))

    def _settle(self, item: Item, result: Result, options: Options) -> None:
        """Note what became of an attempt, and what follows from it for others."""
        now_ns, attempts = self._clock.now(), item.attempts + 1
        if item.suspect:
            self._suspect = None
        away = self._schedule.settle(item, now_ns, _failure_of_host(result))
        wait_s = None
        if attempts <= options.retries:
            wait_s = wait_before_next(result, attempts, self._random)
        if wait_s is None:
            self._ledger.note(item, _counted(result, attempts))
        else:
            until_ns = now_ns + int(wait_s * SECOND)
            self._ledger.wait(Away(replace(item, attempts=attempts), until_ns))
            if result.retry_after and result.status in PATIENCE:
                away += self._schedule.hold(item.host, until_ns, now_ns)
        self._send_away(away)

    def _send_away(self, aways: Iterable[Away]) -> None:
        """Put back, or fail, what was ready and can't begin."""
        for away in aways:
            item = away.item
            self._has_left(item)
            if item.suspect:
                self._suspect = None
            if away.failure:
                result = Result(item.url, attempts=item.attempts, error=away.failure)
                self._ledger.note(item, result)
            else:
                self._ledger.wait(away)
                if window := self._windows.get(item.job):
                    window.park(item.host_number, away.until_ns)


CRASHED = "something went wrong here, not with the page; the log says what, and retrying may help"


def _counted(result: Result, attempts: int) -> Result:
    """The result after so many attempts; seldom another one, for making it takes a while."""
    return result if result.attempts == attempts else replace(result, attempts=attempts)


def _failure_of_host(result: Result) -> Failure | None:
    """How the host as a whole failed, if it did: no answer at all, or it asked for too much."""
    error = result.error
    if error is None:
        return None
    silent = error.code in OF_THE_HOST and result.status is None and not result.hops
    refusing = result.status in PATIENCE and (result.retry_after or 0) > LONGEST_ASKED_S
    return error if silent or refusing else None


async def _cancelled(tasks: Iterable["asyncio.Task[None]"]) -> None:
    """Cancel them and wait for their ends."""
    tasks = list(tasks)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
