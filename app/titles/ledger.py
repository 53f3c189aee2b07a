"""
What has become of URLs, on its way to the disk: database first, then the file, then reported.

Noting never waits. What is noted is written in batches within 200 ms; when the disk fails it waits
in memory, and everything that was noted is written once the disk works again.
"""

import asyncio
import logging
from collections import Counter, defaultdict, deque
from collections.abc import Callable

from app.clock import Alarm, Clock
from app.database import StoreError
from app.titles.files import Files
from app.titles.live import Live
from app.titles.options import SECOND
from app.titles.results import Result
from app.titles.schedule import Away, Item
from app.titles.store import Line, Outcome, TitleStore
from app.titles.trouble import Trouble

INTERVAL_NS = SECOND // 10  # between two writings, unless there is much to write
AGAIN_NS = SECOND  # from a failure to the next attempt
BATCH = 500  # that are written without waiting for more

log = logging.getLogger(__name__)


class Ledger:
    """
    The one who writes what becomes of the URLs of the jobs that were taken in by `open`.

    *on_written* hears that there is room for more, and the first moment that something of it
    waits for, if anything does; *on_over* of each job that is over in the database and whose file
    has every line.
    """

    def __init__(
        self,
        store: TitleStore,
        files: Files,
        trouble: Trouble,
        clock: Clock,
        *,
        on_written: Callable[[int | None], None],
        on_over: Callable[[Live], None],
    ) -> None:
        self.tally: Counter[str] = Counter()  # results since the start, by code; no error: empty
        self._store = store
        self._files = files
        self._trouble = trouble
        self._clock = clock
        self._on_written = on_written
        self._on_over = on_over

        self._lives: dict[int, Live] = {}
        self._noted = Outcome()
        self._batch = Outcome()  # being written to the database, or to be written again
        self._is_unsure = False  # whether the batch is stored already
        self._lines: defaultdict[int, list[Line]] = defaultdict(list)  # stored; for the files
        self._broken: set[int] = set()  # jobs whose file is to be mended
        self._cancelled: deque[Live] = deque()  # jobs to be ended

        self._written_ns = 0  # when the last round ended
        self._work = asyncio.Event()
        self._alarm: Alarm | None = None
        self._writing = asyncio.Lock()
        self._writer: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to write."""
        self._writer = asyncio.create_task(self._write_on(), name="titles ledger")

    async def close(self) -> None:
        """Write what is noted and end. What the disk refuses now will be fetched again."""
        if self._writer is not None:
            async with self._writing:  # the writer is in the middle of nothing
                self._writer.cancel()
            await asyncio.wait([self._writer])
        if not await self._round():
            log.error("%d results have to be fetched again: the disk failed to the end", self.size)
        self._stop_alarm()

    # --- noting ----------------------------------------------------------------------------------

    @property
    def size(self) -> int:
        """How many URLs wait to be written to the database."""
        return len(self._noted) + len(self._batch)

    def holds(self, job: int) -> bool:
        """Whether any of them is of that job."""
        return any(item.job == job for each in (self._noted, self._batch) for item in each.items())

    def note(self, item: Item, result: Result) -> None:
        """The item has its result; that of a suspect is written at once."""
        self._noted.results.append((item, result))
        self._soon()
        if item.suspect:
            self.flush()

    def wait(self, away: Away) -> None:
        """The item is to be fetched later."""
        self._noted.waiting.append(away)
        self._soon()

    def flush(self) -> None:
        """Write now, for nothing more is to come at once."""
        if self._noted:
            self._work.set()

    def _soon(self) -> None:
        """At once after a while of quiet, else with what else comes within the interval."""
        wait_ns = self._written_ns + INTERVAL_NS - self._clock.now()
        if wait_ns <= 0 or len(self._noted) >= BATCH:
            self._work.set()
        elif self._alarm is None:
            self._set_alarm(wait_ns)

    def _set_alarm(self, wait_ns: int) -> None:
        self._stop_alarm()
        self._alarm = self._clock.call_at(self._clock.now() + wait_ns, self._work.set)

    def _stop_alarm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    # --- jobs ------------------------------------------------------------------------------------

    async def open(self, live: Live, *, retried: bool = False) -> None:
        """
        Take a job in, and make its file what the database says; of a *retried* one, at one stroke.

        When the disk refuses the file, that is tried again later.

        Raises:
            StoreError: the job is not taken in.
        """
        make = self._files.rewrite if retried else self._files.mend
        if live.is_complete:  # nothing of it was to be fetched
            await self._store.save(Outcome(), done=[live.number], ended_ns=self._clock.now())
        try:
            await make(live.number, self._store.lines_by_serial(live.number))
        except OSError as error:
            self._fail(error)
            self._broken.add(live.number)
            self._set_alarm(AGAIN_NS)
        self._lives[live.number] = live
        if live.number not in self._broken:
            self._end_if_complete(live)

    def cancel(self, live: Live) -> None:
        """End a job of which nothing is under way any more, soon; what has a result keeps it."""
        self._cancelled.append(live)
        self._work.set()

    def _end_if_complete(self, live: Live) -> None:
        if live.is_complete:
            self._over(live)

    def _over(self, live: Live) -> None:
        del self._lives[live.number]
        self._on_over(live)

    # --- writing ---------------------------------------------------------------------------------

    async def _write_on(self) -> None:
        while True:
            await self._work.wait()
            self._work.clear()
            if not await self._round():
                self._set_alarm(AGAIN_NS)

    async def _round(self) -> bool:
        """Write what is noted; False when the disk fails."""
        self._stop_alarm()
        async with self._writing:
            try:
                await self._commit()
                await self._write_files()
                await self._end_cancelled()
            except (StoreError, OSError) as error:
                self._fail(error)
                return False
            finally:
                self._written_ns = self._clock.now()
        self._trouble.clear("results")
        return True

    def _fail(self, error: Exception) -> None:
        self._trouble.note("results", error)

    async def _commit(self) -> None:
        """The database: what could not be written before, else what is noted."""
        if self._is_unsure:
            await self._make_sure()
        if not self._batch:
            self._batch, self._noted = self._noted, Outcome()
        if not self._batch:
            return
        self._is_unsure = True
        lines = await self._store.save(
            self._batch, done=self._completed_by(self._batch), ended_ns=self._clock.now()
        )
        self._is_unsure = False
        batch, self._batch = self._batch, Outcome()
        for job, some in lines.items():
            self._lines[job] += some
        self._stored(batch)

    async def _make_sure(self) -> None:
        """
        Keep of the batch what is not stored, for the error may have come when all of it was.

        What the files lack of the rest, nobody knows.
        """
        unsaved = await self._store.unsaved(self._batch)
        saved = [each for each in self._batch.results if each not in unsaved.results]
        self._broken.update(item.job for item, _ in saved)
        self._batch, self._is_unsure = unsaved, False
        self._stored(Outcome(saved))

    def _completed_by(self, batch: Outcome) -> list[int]:
        """The jobs that have all their results with these."""
        new = Counter(item.job for item, _ in batch.results)
        return [job for job, count in new.items() if self._lives[job].lacks == count]

    def _stored(self, batch: Outcome) -> None:
        for item, result in batch.results:
            self._lives[item.job].lacks -= 1
            self.tally[result.error.code if result.error else ""] += 1
        self._on_written(min((away.until_ns for away in batch.waiting), default=None))

    async def _write_files(self) -> None:
        """The files, and then the report, of what is in the database."""
        for job in {*self._lines, *self._broken}:
            live = self._lives[job]
            if job in self._broken:
                await self._mend(live)
            else:
                await self._append(live)
            self._end_if_complete(live)

    async def _end_cancelled(self) -> None:
        while self._cancelled:
            live = self._cancelled[0]
            if live.number in self._lives:
                await self._store.cancel(live.number, self._clock.now())
                self._over(live)
            self._cancelled.popleft()

    async def _append(self, live: Live) -> None:
        lines = self._lines[live.number]
        try:
            await self._files.append(live.number, [line.text for line in lines])
        except BaseException:  # also when cancelled: some of it may stand there
            self._broken.add(live.number)
            raise
        del self._lines[live.number]
        live.add(lines, self._clock.now())

    async def _mend(self, live: Live) -> None:
        """Everything that is stored, whatever the file had."""
        await self._files.mend(live.number, self._store.lines_by_serial(live.number))
        stored = await self._store.job(live.number)
        serial = await self._store.last_serial(live.number)
        self._lines.pop(live.number, None)
        self._broken.discard(live.number)
        if stored is not None:
            live.put_right(stored, serial, self._clock.now())
