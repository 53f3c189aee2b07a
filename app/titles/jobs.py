"""
Jobs of titles: added, watched, cancelled, retried; they survive the process.

What is told of a job is in database and file already. A process that was killed goes on with its
jobs when it is started again: no URL is lost, and none has two results.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from itertools import islice
from pathlib import Path
from random import Random

from app.clock import Clock
from app.database import StoreError
from app.errors import Fatal, Problem
from app.grammar import quoted
from app.titles.engine import Engine, Fetch
from app.titles.files import Files
from app.titles.finisher import Finisher
from app.titles.intake import Intake
from app.titles.job import Job, News, Page, Sort, State
from app.titles.ledger import Ledger
from app.titles.live import Live, shown
from app.titles.options import Options
from app.titles.results import Code, Failure, Result
from app.titles.store import (
    MOST_CRASHES,
    NEWEST,
    StoredJob,
    TitleStore,
    open_titles,
    read_line,
)
from app.titles.trouble import Trouble

DATABASE = "titles.sqlite3"
FOLDER = "titles"

MOST_JOBS = 10_000  # that are kept
MOST_QUEUED = 100  # that wait for others to end
LONGEST_NAME = 18  # digits
AT_ONCE = 500  # URLs that are read and stored before others have their turn

HOPELESS = (Code.INVALID_URL,)  # no retry can help

DEFAULTS = Options()


class Jobs:
    """
    All jobs of a data folder. Made by `open_jobs`.

    *max_jobs* of them run at once, the others wait in the order of their coming. At most
    *kept_urls* URLs are kept; past it the oldest finished job leaves first.
    """

    def __init__(
        self,
        store: TitleStore,
        folder: Path,
        fetch: Fetch,
        *,
        clock: Clock,
        random: Random,
        max_urls: int,
        max_jobs: int,
        kept_urls: int,
    ) -> None:
        self.closed = False  # the service stops: there will be no more news
        self._store = store
        self._folder = folder
        self._clock = clock
        self._max_urls = max_urls
        self._max_jobs = max_jobs
        self._kept_urls = kept_urls
        self._lives: dict[int, Live] = {}  # the jobs that are not finished
        self._queue: deque[Live] = deque()  # of them, those that wait for others
        self._running: set[int] = set()
        self._trouble = Trouble(folder, on_change=self._tell)
        self._files = Files(folder / FOLDER)
        self._ledger = Ledger(
            store,
            self._files,
            self._trouble,
            clock,
            on_written=self._written,
            on_over=self._over,
        )
        self._finisher = Finisher(store, self._files, self._trouble, clock, on_filed=self._filed)
        self._engine = Engine(store, self._ledger, self._trouble, fetch, clock=clock, random=random)
        self._adding = asyncio.Lock()
        self._sweeper: asyncio.Task[None] | None = None
        self._sweeping = asyncio.Event()

    # --- from start to end -----------------------------------------------------------------------

    async def start(self) -> None:
        """
        Put right what a process that died left behind.

        Raises:
            Fatal: the disk fails.
        """
        with self._fatal():
            self._files.prepare()
            await self._store.recover(self._clock.now())
            for stored in await self._store.unfiled():
                if shown(stored).finished:
                    self._finisher.add(stored.number)
        self._sweeping.set()
        self._sweeper = asyncio.create_task(self._sweep_on(), name="titles sweeper")
        for part in (self._ledger, self._finisher, self._engine):
            part.start()

    async def resume_all(self) -> None:
        """
        Go on with the jobs of earlier processes, in the order in which they came.

        Raises:
            Fatal: the disk fails.
        """
        with self._fatal():
            for stored in await self._store.unfiled():
                if not shown(stored).finished and stored.number not in self._lives:
                    await self._take_up(stored)

    @contextmanager
    def _fatal(self) -> Iterator[None]:
        try:
            yield
        except (StoreError, OSError) as error:
            raise Fatal(
                f"the data folder {self._folder} can't be used for titles ({error}); make it "
                "writable or choose another folder"
            ) from error

    def stop(self) -> None:
        """Begin nothing more, and let go those who wait for news; what is under way goes on."""
        self.closed = True
        self._engine.stop()
        self._tell()

    async def close(self) -> None:
        """End. What has a result is on disk; the rest goes on after the next start."""
        self.stop()
        await self._engine.close()
        await self._ledger.close()
        await self._finisher.close()
        if self._sweeper is not None:
            self._sweeper.cancel()
            await asyncio.wait([self._sweeper])
        with suppress(StoreError):  # then they count as lost in a crash
            await self._store.release_all()

    def _tell(self) -> None:
        """All is changed: the disk fails or works again, or the service stops."""
        self._engine.written(None)
        for live in self._lives.values():
            live.changed()

    # --- what is asked for -----------------------------------------------------------------------

    async def add(
        self,
        urls: Iterable[str],
        options: Options = DEFAULTS,
        *,
        label: str = "",
        bare: bool = False,
    ) -> Job:
        """
        Store a job, and begin it or let it wait for its turn.

        *urls* are texts in the order of their results; what is no URL has a result that says so.
        With *bare*, `example.com` is one. When this returns, everything is in the database.

        Raises:
            Problem: no URL, too many of them or of jobs, the disk fails, the service stops.
        """
        async with self._adding:
            self._check_room()
            try:
                return await self._add(urls, options, label, bare=bare)
            except (StoreError, OSError) as error:
                raise self._refusal(error) from error

    async def get(self, name: str) -> Job:
        """
        The job as it stands.

        Raises:
            Problem: there is no such job.
        """
        live = self._live(name)
        return self._shown(live) if live else shown(await self._stored(name))

    async def list(self, *, limit: int = 200) -> list[Job]:
        """The jobs, newest first."""
        jobs = await self._store.jobs(limit=limit)
        lives = ((self._lives.get(stored.number), stored) for stored in jobs)
        return [self._shown(live) if live else shown(stored) for live, stored in lives]

    async def find(self, label: str) -> Job | None:
        """The newest unfinished job of that label, if there is one."""
        stored = await self._store.find(label)
        return await self.get(str(stored.number)) if stored else None

    async def resume(self, name: str) -> Job:
        """
        Go on with a job that was left alone when the jobs were opened; any other stays as it is.

        Raises:
            Problem: there is no such job, or the disk fails.
        """
        stored = await self._stored(name)
        if stored.number not in self._lives and not shown(stored).finished:
            try:
                await self._take_up(stored)
            except StoreError as error:
                raise self._refusal(error) from error
        return await self.get(name)

    async def cancel(self, name: str) -> Job:
        """
        Fetch no more of the job; what has a result keeps it. A finished job stays as it is.

        When the disk fails the job comes back unfinished, with its trouble, and ends later.

        Raises:
            Problem: there is no such job, or the disk fails.
        """
        await self.resume(name)
        if live := self._live(name):
            await self._engine.drop(live)
            self._ledger.cancel(live)
            job = self._shown(live)
            while not job.finished and job.trouble is None:
                await live.news(job.version)
                job = self._shown(live)
        return await self.get(name)

    async def retry(self, name: str) -> Job:
        """
        Fetch anew what failed, and after a cancellation what was left.

        The old results leave database and file at once. A URL that is none stays as it is; a job
        of which nothing is to be done, too.

        Raises:
            Problem: there is no such job, it is unfinished, too many wait, or the disk fails.
        """
        stored = await self._stored(name)
        if stored.number in self._lives or not shown(stored).finished:
            raise Problem("job-unfinished", f"job {name} is not finished; wait, or cancel it first")
        self._check_room()
        try:
            if await self._store.retry(stored.number, but=HOPELESS):
                await self._take_up(await self._stored(name), retried=True)
        except StoreError as error:
            raise self._refusal(error) from error
        return await self.get(name)

    # --- what is told ----------------------------------------------------------------------------

    async def results(
        self,
        name: str,
        *,
        offset: int = 0,
        limit: int = 100,
        error: str | None = None,
        sort: Sort = Sort.POSITION,
        descending: bool = False,
    ) -> Page:
        """
        Some of a job's results; by default in the order of the URLs' first positions.

        *error*: a code, `any` for all that failed, `none` for the others; None is all.

        Raises:
            Problem: there is no such job.
        """
        number = (await self._stored(name)).number
        found = await self._store.page(
            number,
            upto=self._upto(number),
            offset=offset,
            limit=limit,
            error=error,
            sort=sort,
            descending=descending,
        )
        return Page(*found)

    async def stream(self, name: str) -> AsyncIterator[Sequence[Result]]:
        """
        All results in the order of the URLs' first positions, in lists.

        Between two lists nothing is open, so a slow reader costs nothing.

        Raises:
            Problem: there is no such job.
        """
        number = (await self._stored(name)).number
        async for results in self._store.results(number, upto=self._upto(number)):
            yield results

    async def news(self, name: str, after: int = 0, *, limit: int = 500) -> News:
        """
        The next results in order of completion, after those that ended with number *after*.

        Raises:
            Problem: there is no such job.
        """
        stored = await self._stored(name)
        lines = await self._store.lines(
            stored.number, after=after, upto=self._upto(stored.number), limit=limit
        )
        last = lines[-1].serial if lines else after
        return News([read_line(line.text) for line in lines], last, stored.round)

    async def changed(self, name: str, version: int) -> Job:
        """
        The job, once it differs from that version of it; at once if it can't change any more.

        Raises:
            Problem: there is no such job.
        """
        live = self._live(name)
        if live is None:
            return await self.get(name)
        if not self.closed:
            await live.news(version)
        return self._shown(live)

    async def wait(self, name: str, timeout_s: float | None = None) -> Job:
        """
        The job when it is finished, the time is up, or the service stops.

        Raises:
            Problem: there is no such job.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while (live := self._live(name)) and not self.closed:
                    await live.news(live.version)
        return await self.get(name)

    def file(self, name: str) -> Path:
        """Where the results of a job are, a line of JSON each."""
        return self._files.path(int(name))

    @property
    def trouble(self) -> str | None:
        """Why no job goes on, in one sentence; None when all is well."""
        return self._trouble.sentence

    @property
    def counts(self) -> Mapping[State, int]:
        """The unfinished jobs by state."""
        return {State.QUEUED: len(self._queue), State.RUNNING: len(self._running)}

    @property
    def under_way(self) -> int:
        """Pages that are being fetched."""
        return self._engine.under_way

    @property
    def tally(self) -> Mapping[str, int]:
        """Results since the start by code; without an error, by an empty one."""
        return self._ledger.tally

    def _live(self, name: str) -> Live | None:
        return self._lives.get(_number(name))

    def _shown(self, live: Live) -> Job:
        return live.job(self._clock.now(), self._trouble.sentence)

    async def _stored(self, name: str) -> StoredJob:
        stored = await self._store.job(_number(name))
        if stored is None:
            raise Problem("unknown-job", f"there is no job {quoted(name)}; see /titles for those")
        return stored

    def _upto(self, number: int) -> int:
        """The serial of the newest result that may be told."""
        live = self._lives.get(number)
        return live.serial if live else NEWEST

    # --- adding ----------------------------------------------------------------------------------

    def _check_room(self) -> None:
        if self.closed:
            raise Problem("shutting-down", "the server is stopping; try again when it is back")
        if len(self._queue) >= MOST_QUEUED:
            raise Problem(
                "too-many-jobs",
                f"{MOST_QUEUED} jobs wait for their turn already; try again later, or cancel one",
            )

    async def _add(self, urls: Iterable[str], options: Options, label: str, *, bare: bool) -> Job:
        number = await self._store.begin(label, options, self._clock.now())
        try:
            intake = await self._take_in(number, urls, Intake(bare=bare))
            await self._make_room(intake.urls)
            await self._files.mend(number, self._store.lines_by_serial(number))
            await self._store.opened(number, urls=intake.urls, repeats=intake.repeats)
            self._ledger.tally[Code.INVALID_URL] += intake.refused
            await self._take_up(await self._stored(str(number)))
        except BaseException:
            await asyncio.shield(self._give_up(number))
            raise
        return await self.get(str(number))

    async def _take_in(self, number: int, urls: Iterable[str], intake: Intake) -> Intake:
        texts = iter(urls)
        while some := [*islice(texts, AT_ONCE)]:
            entries = intake.read(some)
            if intake.urls > self._max_urls:
                raise Problem(
                    "too-many-urls",
                    f"a job of more than {self._max_urls} URLs (max_urls) is refused; make it "
                    "several jobs",
                    "urls",
                )
            await self._store.add(number, entries)
        if not intake.urls:
            raise Problem("no-urls", "there is no URL; send one or more", "urls")
        return intake

    async def _make_room(self, urls: int) -> None:
        """Let the oldest finished jobs leave, until so many URLs more can be kept."""
        while not self._fits(urls, *await self._store.size()):
            oldest = await self._store.oldest_finished()
            if oldest is None:
                raise Problem(
                    "too-many-jobs",
                    f"with {urls} URLs more, there would be more than the {self._kept_urls} that "
                    "are kept (kept_urls), and no job is finished; try again later, or cancel one",
                )
            await self._files.remove(oldest.number)
            await self._forget(oldest.number)

    def _fits(self, urls: int, jobs: int, kept: int) -> bool:
        return jobs < MOST_JOBS and kept + urls <= self._kept_urls

    async def _give_up(self, number: int) -> None:
        """A job that could not be added leaves no trace, after the next start at the latest."""
        with suppress(StoreError, OSError):
            await self._forget(number)
            await self._files.remove(number)

    async def _forget(self, number: int) -> None:
        await self._store.forget(number)
        self._sweeping.set()

    async def _sweep_on(self) -> None:
        """Give back the space of jobs that left, in steps."""
        while True:
            await self._sweeping.wait()
            self._sweeping.clear()
            with suppress(StoreError):  # the next job that leaves takes it along
                while await self._store.sweep():
                    pass

    def _refusal(self, error: Exception) -> Problem:
        return Problem("disk-trouble", self._trouble.explain(error))

    # --- running ---------------------------------------------------------------------------------

    async def _take_up(self, stored: StoredJob, *, retried: bool = False) -> None:
        """Let a job that is in the database run when its turn comes."""
        live = Live(stored, await self._store.last_serial(stored.number))
        condemned = await self._store.condemned(stored.number)
        self._lives[live.number] = live
        self._queue.append(live)
        try:
            await self._ledger.open(live, retried=retried)
        except BaseException:
            self._queue.remove(live)
            del self._lives[live.number]
            raise
        for item in condemned:
            error = Failure(Code.CRASHED, KILLER.format(MOST_CRASHES))
            self._ledger.note(item, Result(item.url, attempts=item.attempts, error=error))
        self._run_next()

    def _run_next(self) -> None:
        while self._queue and len(self._running) < self._max_jobs:
            live = self._queue.popleft()
            self._running.add(live.number)
            self._engine.run(live)

    def _written(self, due_ns: int | None) -> None:
        self._engine.written(due_ns)

    def _over(self, live: Live) -> None:
        """Everything of the job is in database and file."""
        self._engine.end(live)
        self._running.discard(live.number)
        if live in self._queue:
            self._queue.remove(live)
        self._finisher.add(live.number)
        self._run_next()

    def _filed(self, stored: StoredJob) -> None:
        """The job's file is whole: now it is over for everybody."""
        live = self._lives.pop(stored.number, None)
        if live is not None:
            live.end(stored)


KILLER = "the service died {} times while this page was fetched; the log may say why"


def _number(name: str) -> int:
    """The number of a job; 0, which none has, for what is no name of a job."""
    is_number = name.isascii() and name.isdigit() and len(name) <= LONGEST_NAME
    return int(name) if is_number and not name.startswith("0") else 0


@asynccontextmanager
async def open_jobs(
    folder: Path,
    fetch: Fetch,
    *,
    clock: Clock,
    random: Random,
    resume: bool = True,
    max_urls: int = 100_000,
    max_jobs: int = 4,
    kept_urls: int = 1_000_000,
) -> AsyncIterator[Jobs]:
    """
    The jobs of the data folder *folder*, for this process alone, as long as the context lasts.

    Unfinished ones go on, unless *resume* is false. Afterwards everything that has a result is on
    disk, and what was under way is fetched after the next start.

    Raises:
        Fatal: the folder can't be used; one sentence.
    """
    async with open_titles(folder / DATABASE) as store:
        jobs = Jobs(
            store,
            folder,
            fetch,
            clock=clock,
            random=random,
            max_urls=max_urls,
            max_jobs=max_jobs,
            kept_urls=kept_urls,
        )
        try:
            await jobs.start()
            if resume:
                await jobs.resume_all()
            yield jobs
        finally:
            await jobs.close()
