"""Jobs from their adding to their end: progress, failures of hosts and disks, and restarts."""

import asyncio
import json
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import pytest

from app.database import StoreError
from app.errors import Fatal, Problem
from app.titles import jobs as jobs_module
from app.titles.breaker import PAUSES_NS
from app.titles.files import Files
from app.titles.job import Job, Sort, State
from app.titles.jobs import Jobs, open_jobs
from app.titles.options import SECOND, Options
from app.titles.results import Code, Failure, Result
from app.titles.store import MOST_CRASHES, TitleStore
from tests.fakes import ManualClock

Script = Callable[[str, int], Awaitable[Result] | Result]


def page(url: str, **changes: Any) -> Result:
    """A page with a title."""
    return Result(url, final_url=url, status=200, title=f"Title of {url}", **changes)


def failed(url: str, code: Code, *, temporary: bool = False, **changes: Any) -> Result:
    """A page that failed."""
    return Result(url, error=Failure(code, "it failed", temporary=temporary), **changes)


@dataclass
class Web:
    """The pages there are: by *script* (URL, attempt), else each has a title."""

    script: Script = lambda url, _: page(url)
    asked: list[str] = field(default_factory=list)
    under_way: int = 0
    peak: int = 0
    timeouts: set[float] = field(default_factory=set)

    async def fetch(self, url: str, *, timeout_s: float) -> Result:
        self.asked.append(url)
        self.timeouts.add(timeout_s)
        self.under_way += 1
        self.peak = max(self.peak, self.under_way)
        try:
            await asyncio.sleep(0)
            result = self.script(url, self.asked.count(url))
            return result if isinstance(result, Result) else await result
        finally:
            self.under_way -= 1


@dataclass
class House:
    """Jobs on a data folder of the test's own, which can be closed and opened again."""

    folder: Path
    web: Web = field(default_factory=Web)
    clock: ManualClock = field(default_factory=ManualClock)
    pace_ns: int = SECOND // 10  # that pass within a millisecond

    @asynccontextmanager
    async def open(self, **how: Any) -> AsyncIterator[Jobs]:
        async with (
            self.ticking(),
            open_jobs(
                self.folder, self.web.fetch, clock=self.clock, random=Random(1), **how
            ) as jobs,
        ):
            yield jobs

    @asynccontextmanager
    async def ticking(self) -> AsyncIterator[None]:
        """Time passes, much faster than in the tests."""

        async def tick() -> None:
            while True:
                await asyncio.sleep(0.001)
                self.clock.advance(self.pace_ns)

        ticker = asyncio.create_task(tick())
        try:
            yield
        finally:
            ticker.cancel()

    def lines(self, job: Job) -> list[dict[str, Any]]:
        """The results in the job's file."""
        text = (self.folder / "titles" / f"{job.name}.jsonl").read_text(encoding="utf-8")
        assert text == "" or text.endswith("\n")
        return [json.loads(line) for line in text.splitlines()]


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path / "data")


@pytest.fixture
async def jobs(house: House) -> AsyncIterator[Jobs]:
    async with house.open() as jobs:
        yield jobs


def urls(count: int, hosts: int = 1) -> list[str]:
    return [f"http://h{number % hosts}.test/{number}" for number in range(count)]


async def finished(jobs: Jobs, job: Job) -> Job:
    """The job at its end, which comes in good time."""
    async with asyncio.timeout(30):
        return await jobs.wait(job.name)


async def run(jobs: Jobs, *texts: str, **options: int) -> Job:
    """The end of a job with these URLs."""
    return await finished(jobs, await jobs.add(texts, Options(**options)))


async def results(jobs: Jobs, job: Job, **how: Any) -> list[Result]:
    return (await jobs.results(job.name, **how)).results


async def until(condition: Callable[[], bool]) -> None:
    """Return once it holds."""
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - nobody tells when
            await asyncio.sleep(0.001)


# --- a job ---------------------------------------------------------------------------------------


async def test_a_job_has_a_result_for_each_url(house: House, jobs: Jobs) -> None:
    """In database and file, in the order of the URLs."""
    texts = urls(300, hosts=7)

    job = await run(jobs, *texts)

    assert (State.DONE, 300, 300, 0, {}) == (job.state, job.urls, job.done, job.failed, job.errors)
    assert texts == [each.url for each in await results(jobs, job, limit=1_000)]
    assert texts == [line["url"] for line in house.lines(job)]
    assert [page(url) for url in texts] == [
        each async for some in jobs.stream(job.name) for each in some
    ]


async def test_repeats_are_fetched_once(house: House, jobs: Jobs) -> None:
    """And the job says how many there were."""
    job = await run(jobs, "http://a.test/", "http://A.test/#x", "http://b.test/", "http://a.test")

    assert (2, 2, 2) == (job.urls, job.repeats, job.done)
    assert ["http://a.test/", "http://b.test/"] == house.web.asked


async def test_what_is_no_url_is_a_result(house: House, jobs: Jobs) -> None:
    """In its place, without anybody being asked."""
    job = await run(jobs, "nonsense", "http://a.test/")

    first, second = await results(jobs, job)
    assert first.error is not None
    assert (Code.INVALID_URL, "nonsense") == (first.error.code, first.url)
    assert page("http://a.test/") == second
    assert ["nonsense", "http://a.test/"] == [line["url"] for line in house.lines(job)]
    assert ["http://a.test/"] == house.web.asked


async def test_a_job_of_nonsense_alone_is_done(house: House, jobs: Jobs) -> None:
    """Nothing is left to do."""
    job = await run(jobs, "nonsense", "more nonsense")

    assert (State.DONE, {"invalid_url": 2}) == (job.state, job.errors)
    assert 2 == len(house.lines(job))


async def test_names_count_up(jobs: Jobs) -> None:
    """Short enough to be typed: /titles/2."""
    assert ["1", "2"] == [(await run(jobs, url)).name for url in urls(2)]


async def test_options_reach_the_fetching(house: House, jobs: Jobs) -> None:
    """Time for each attempt, and how many are under way."""
    await run(jobs, *urls(60, hosts=30), concurrency=5, timeout_ns=SECOND // 4)

    assert ({0.25}, 5) == (house.web.timeouts, house.web.peak)


async def test_progress_is_told_as_it_goes(house: House, jobs: Jobs) -> None:
    """Counts, errors by code, rate and time left; the version tells that something changed."""
    gate = asyncio.Event()

    async def half(url: str) -> Result:
        if int(url.rpartition("/")[2]) >= 30:
            await gate.wait()
        return failed(url, Code.NO_TITLE) if url.endswith("0") else page(url)

    house.web.script = lambda url, _: half(url)
    job = await jobs.add(urls(60, hosts=30))
    seen = job
    async with asyncio.timeout(30):
        while seen.done < 30:
            later = await jobs.changed(job.name, seen.version)
            assert later.version != seen.version
            seen = later
    gate.set()
    last = await finished(jobs, job)

    assert (State.RUNNING, 30, {"no_title": 3}, 3) == (
        seen.state, seen.done, seen.errors, seen.failed,
    )  # fmt: skip
    assert seen.rate is not None
    assert seen.left_s is not None
    assert abs(seen.left_s * seen.rate - 30) < 1e-6
    assert (60, None) == (last.done, last.left_s)
    assert last.rate is not None


async def test_news_come_in_order_of_completion_and_go_on_where_one_left(jobs: Jobs) -> None:
    """A viewer that reads slowly, or comes back after a restart, misses nothing."""
    job = await run(jobs, *urls(25, hosts=5))
    seen: list[str] = []
    after = 0
    while (news := await jobs.news(job.name, after, limit=10)).results:
        seen += [each.url for each in news.results]
        after = news.last

    assert sorted(urls(25, hosts=5)) == sorted(seen)
    assert 0 == news.round


async def test_pages_can_be_asked_for_by_error_and_order(house: House, jobs: Jobs) -> None:
    """As the table of a page shows them."""
    house.web.script = lambda url, _: failed(url, Code.NO_TITLE) if "3" in url else page(url)
    job = await run(jobs, *urls(5))

    found = await jobs.results(job.name, error="none", sort=Sort.URL, descending=True, limit=2)

    assert (["http://h0.test/4", "http://h0.test/2"], 4) == (
        [r.url for r in found.results],
        found.total,
    )


async def test_unknown_job_is_a_problem_everywhere(jobs: Jobs) -> None:
    """Whatever stands in the address."""
    for name in ("7", "0", "-1", "01", "latest", "9" * 30, "\u0661"):
        for asking in (
            jobs.get(name),
            jobs.cancel(name),
            jobs.retry(name),
            jobs.results(name),
            jobs.news(name),
            jobs.changed(name, 0),
            jobs.wait(name),
        ):
            with pytest.raises(Problem) as problem:
                await asking
            assert "unknown-job" == problem.value.code


# --- hosts that fail -----------------------------------------------------------------------------


async def test_what_may_still_succeed_is_tried_again(house: House, jobs: Jobs) -> None:
    """As often as the job says, and the result says how often it was."""

    def third_time(url: str, attempt: int) -> Result:
        return page(url) if attempt == 3 else failed(url, Code.TIMEOUT, temporary=True)

    house.web.script = third_time
    job = await run(jobs, *urls(3), retries=2)

    assert (0, [3, 3, 3]) == (job.failed, [r.attempts for r in await results(jobs, job)])


async def test_retries_end(house: House, jobs: Jobs) -> None:
    """And then the failure is the result."""
    house.web.script = lambda url, _: failed(url, Code.TIMEOUT, temporary=True)
    job = await run(jobs, *urls(2), retries=1)

    assert ({"timeout": 2}, [2, 2]) == (
        job.errors, [r.attempts for r in await results(jobs, job)],
    )  # fmt: skip


async def test_what_cannot_succeed_is_not_tried_again(house: House, jobs: Jobs) -> None:
    """It would only cost time."""
    house.web.script = lambda url, _: failed(url, Code.NOT_HTML)
    await run(jobs, *urls(2), retries=5)

    assert 2 == len(house.web.asked)


async def test_a_host_that_asks_for_patience_gets_it_for_all_its_pages(house: House) -> None:
    """Retry-After is about the client, not about one page; other hosts go on."""
    asked: defaultdict[str, list[int]] = defaultdict(list)

    def busy(url: str, attempt: int) -> Result:
        asked[url].append(house.clock.now())
        if "h0" in url and len(asked) and attempt == 1 and url.endswith("/0"):
            return failed(url, Code.HTTP_ERROR, temporary=True, status=503, retry_after=20.0)
        return page(url)

    house.web.script = busy
    async with house.open() as jobs:
        await run(jobs, *urls(40, hosts=2), concurrency=1, per_host=1)

    first = asked["http://h0.test/0"][0]
    others = [moments[0] - first for url, moments in asked.items() if "h0" in url][1:]
    assert all(wait >= 20 * SECOND for wait in others)
    assert min(moments[0] for url, moments in asked.items() if "h1" in url) - first < 20 * SECOND


async def test_a_dead_host_is_given_up_and_says_so(house: House, jobs: Jobs) -> None:
    """Its pages are failures with a reason, none is skipped, and nobody else suffers."""

    def script(url: str, _: int) -> Result:
        if "h0" in url:
            return failed(url, Code.CONNECTION_ERROR, temporary=True)
        return page(url)

    house.web.script = script
    job = await run(jobs, *urls(600, hosts=2))

    dead = [each for each in await results(jobs, job, limit=1_000) if "h0" in each.url]
    assert {"connection_error": 300} == job.errors
    details = [each.error.detail for each in dead if each.error]
    assert sum(detail.startswith("not fetched, for h0.test") for detail in details) > 200
    assert len(dead) == len(details)
    assert len([url for url in house.web.asked if "h0" in url]) < 60


async def test_a_host_that_was_down_for_a_while_loses_nothing(house: House, jobs: Jobs) -> None:
    """Left alone for a moment, it is tried again and found well."""
    back_ns = house.clock.now() + PAUSES_NS[0] + SECOND

    def script(url: str, _: int) -> Result:
        if house.clock.now() < back_ns:
            return failed(url, Code.CONNECTION_ERROR, temporary=True)
        return page(url)

    house.web.script = script
    job = await run(jobs, *urls(100), retries=10)

    assert (100, {}) == (job.done, job.errors)


async def test_a_page_we_cannot_cope_with_fails_alone(
    house: House, jobs: Jobs, caplog: pytest.LogCaptureFixture
) -> None:
    """A fault of ours is a result too, and the log has the rest."""

    def script(url: str, _: int) -> Result:
        if url.endswith("/3"):
            raise RuntimeError("a bug")
        return page(url)

    house.web.script = script
    job = await run(jobs, *urls(5))

    assert {"crashed": 1} == job.errors
    assert "fetching http://h0.test/3 failed" in caplog.text


# --- several jobs --------------------------------------------------------------------------------


async def test_jobs_past_the_limit_wait_for_their_turn(house: House) -> None:
    """In the order of their coming."""
    gate = asyncio.Event()

    async def wait(url: str) -> Result:
        await gate.wait()
        return page(url)

    house.web.script = lambda url, _: wait(url)
    async with house.open(max_jobs=2) as jobs:
        added = [await jobs.add([url]) for url in urls(4, hosts=4)]
        await until(lambda: len(house.web.asked) == 2)
        states = [job.state for job in await jobs.list()]
        assert {State.QUEUED: 2, State.RUNNING: 2} == jobs.counts
        gate.set()
        for job in added:
            assert State.DONE == (await finished(jobs, job)).state

    assert [State.QUEUED, State.QUEUED, State.RUNNING, State.RUNNING] == states
    assert urls(4, hosts=4) == house.web.asked


async def test_too_many_jobs_are_refused(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Past the queue there is a sentence."""
    monkeypatch.setattr(jobs_module, "MOST_QUEUED", 2)
    house.web.script = lambda url, _: asyncio.Event().wait()  # type: ignore[assignment,return-value]
    async with house.open(max_jobs=1) as jobs:
        for url in urls(3):
            await jobs.add([url])
        with pytest.raises(Problem) as problem:
            await jobs.add(urls(1))

    assert "too-many-jobs" == problem.value.code
    assert "2 jobs wait for their turn already; try again later, or cancel one" == str(
        problem.value
    )


@pytest.mark.parametrize(("texts", "code"), [([], "no-urls"), (urls(11), "too-many-urls")])
async def test_a_refused_job_leaves_no_trace(house: House, texts: list[str], code: str) -> None:
    """Neither in the list nor in the folder; repeats do not count."""
    async with house.open(max_urls=10) as jobs:
        with pytest.raises(Problem) as problem:
            await jobs.add(texts)
        assert code == problem.value.code
        assert [] == await jobs.list()
        assert [] == list((house.folder / "titles").iterdir())
        assert 10 == (await run(jobs, *urls(10), *urls(10))).done


async def test_the_oldest_finished_job_makes_room(house: House) -> None:
    """With its file; those that run stay."""
    async with house.open(kept_urls=10) as jobs:
        for _ in range(3):
            assert 4 == (await run(jobs, *urls(4))).done
        kept = [each.name for each in await jobs.list()]

        assert ["3", "2"] == kept
        assert not jobs.file("1").exists()
        with pytest.raises(Problem) as problem:
            await jobs.add(urls(11))
    assert "too-many-jobs" == problem.value.code


# --- cancelling and retrying ---------------------------------------------------------------------


async def test_cancelling_keeps_what_is_done(house: House, jobs: Jobs) -> None:
    """What was under way is broken off, the rest is not fetched."""

    async def script(url: str) -> Result:
        if int(url.rpartition("/")[2]) >= 10:
            await asyncio.Event().wait()
        return page(url)

    house.web.script = lambda url, _: script(url)
    job = await jobs.add(urls(500, hosts=50))
    async with asyncio.timeout(30):
        while (seen := await jobs.get(job.name)).done < 10:
            await jobs.changed(job.name, seen.version)

    cancelled = await jobs.cancel(job.name)

    assert (State.CANCELLED, 10, 500) == (cancelled.state, cancelled.done, cancelled.urls)
    assert 0 == house.web.under_way == jobs.under_way
    assert [page(url) for url in urls(10, hosts=50)] == await results(jobs, job)
    assert urls(10, hosts=50) == [line["url"] for line in house.lines(job)]


async def test_cancelling_a_queued_job_lets_others_pass(house: House) -> None:
    """It never runs."""
    house.web.script = lambda url, _: asyncio.Event().wait()  # type: ignore[assignment,return-value]
    async with house.open(max_jobs=1) as jobs:
        first, second = [await jobs.add([url]) for url in urls(2)]

        assert State.CANCELLED == (await jobs.cancel(second.name)).state
        assert State.CANCELLED == (await jobs.cancel(first.name)).state
        assert {State.QUEUED: 0, State.RUNNING: 0} == jobs.counts
    assert urls(1) == house.web.asked


async def test_a_finished_job_cannot_be_cancelled(jobs: Jobs) -> None:
    """It stays as it is."""
    job = await run(jobs, *urls(1))

    assert State.DONE == (await jobs.cancel(job.name)).state


async def test_retry_does_the_failed_again_and_replaces_their_results(
    house: House, jobs: Jobs
) -> None:
    """In database and file; what succeeded is not asked for again."""
    house.web.script = lambda url, _: failed(url, Code.NO_TITLE) if "7" in url else page(url)
    job = await run(jobs, "nonsense", *urls(20))
    assert {"invalid_url": 1, "no_title": 2} == job.errors
    house.web.script = lambda url, _: page(url)
    del house.web.asked[:]

    again = await jobs.retry(job.name)
    last = await finished(jobs, job)

    assert (1, 1) == (again.round, last.round)
    assert ["http://h0.test/7", "http://h0.test/17"] == house.web.asked
    assert (State.DONE, 21, {"invalid_url": 1}) == (last.state, last.done, last.errors)
    assert ["nonsense", *urls(20)] == [line["url"] for line in house.lines(job)]
    assert ["nonsense", *urls(20)] == [r.url for r in await results(jobs, job)]


async def test_retry_removes_old_results_at_once(house: House, jobs: Jobs) -> None:
    """While they are fetched anew there is no result, neither here nor there."""
    house.web.script = lambda url, _: failed(url, Code.NO_TITLE) if "7" in url else page(url)
    job = await run(jobs, *urls(20))
    house.web.script = lambda url, _: asyncio.Event().wait()  # type: ignore[assignment,return-value]

    again = await jobs.retry(job.name)

    assert (18, {}) == (again.done, again.errors)
    assert 18 == len(house.lines(job)) == len(await results(jobs, job))


async def test_retry_of_a_cancelled_job_goes_on(house: House, jobs: Jobs) -> None:
    """With what was left."""
    house.web.script = lambda url, _: asyncio.Event().wait()  # type: ignore[assignment,return-value]
    job = await jobs.add(urls(30))
    await jobs.cancel(job.name)
    house.web.script = lambda url, _: page(url)

    await jobs.retry(job.name)

    assert (State.DONE, 30) == ((last := await finished(jobs, job)).state, last.done)
    assert 30 == len(house.lines(job))


async def test_retry_with_nothing_to_do_changes_nothing(house: House, jobs: Jobs) -> None:
    """No new round, and nobody is asked."""
    job = await run(jobs, "nonsense", *urls(2))
    del house.web.asked[:]

    assert (State.DONE, 0) == ((again := await jobs.retry(job.name)).state, again.round)
    assert [] == house.web.asked


async def test_an_unfinished_job_cannot_be_retried(house: House, jobs: Jobs) -> None:
    """It is at it already."""
    house.web.script = lambda url, _: asyncio.Event().wait()  # type: ignore[assignment,return-value]
    job = await jobs.add(urls(1))

    with pytest.raises(Problem) as problem:
        await jobs.retry(job.name)

    assert ("job-unfinished", 409) == (problem.value.code, problem.value.status)


# --- restarts ------------------------------------------------------------------------------------


async def test_a_stopped_service_goes_on_with_its_jobs(house: House) -> None:
    """What was done is not fetched again, and what was under way is no crash."""
    gate = 0

    async def script(url: str) -> Result:
        if int(url.rpartition("/")[2]) >= gate:
            await asyncio.Event().wait()
        return page(url)

    house.web.script = lambda url, _: script(url)
    async with house.open() as jobs:
        job = await jobs.add(urls(100, hosts=20))
    for gate in (20, 40, 60, 80, 99, 100):
        async with house.open() as jobs:
            await until_done(jobs, job, gate)

    async with house.open() as jobs:
        last = await jobs.get(job.name)
        assert (State.DONE, 100, {}) == (last.state, last.done, last.errors)
        assert 100 == (await jobs.results(job.name)).total
    assert urls(100, hosts=20) == [line["url"] for line in house.lines(job)]


async def until_done(jobs: Jobs, job: Job, count: int) -> None:
    """Return when so many results are reported."""
    async with asyncio.timeout(30):
        seen = await jobs.get(job.name)
        while seen.done < count:
            seen = await jobs.changed(job.name, seen.version)


async def test_jobs_can_be_left_alone_until_they_are_asked_for(house: House) -> None:
    """A command at a terminal resumes only what it is told to."""
    house.web.script = lambda url, _: asyncio.Event().wait()  # type: ignore[assignment,return-value]
    async with house.open() as jobs:
        await jobs.add(urls(3), label="mine")
        await jobs.add(urls(3), label="other")
    house.web.script = lambda url, _: page(url)
    del house.web.asked[:]

    async with house.open(resume=False) as jobs:
        found = await jobs.find("mine")
        assert found is not None
        assert (State.QUEUED, []) == (found.state, house.web.asked)
        assert await jobs.find("nobody's") is None
        await jobs.resume(found.name)
        assert State.DONE == (await finished(jobs, found)).state
        assert State.QUEUED == (await jobs.wait("2")).state
        assert State.CANCELLED == (await jobs.cancel("2")).state
    assert urls(3) == house.web.asked


async def test_a_page_that_was_under_way_at_every_crash_is_given_up(house: House) -> None:
    """So one poisonous page does not kill the service for ever."""
    died = 0
    house.pace_ns = 5 * SECOND
    house.web.script = lambda url, _: asyncio.Event().wait()  # type: ignore[assignment,return-value]
    async with house.open() as jobs:
        job = await jobs.add(["http://a.test/poison"])
    while died < MOST_CRASHES:
        async with dying(house) as jobs:
            await until(lambda: jobs.under_way == 1)
        died += 1

    async with house.open() as jobs:
        last = await finished(jobs, job)
        [result] = await results(jobs, job)

    assert {"crashed": 1} == last.errors
    assert result.error is not None
    assert f"the service died {MOST_CRASHES} times while" in result.error.detail


@asynccontextmanager
async def dying(house: House) -> AsyncIterator[Jobs]:
    """Jobs of a process that never gets to say goodbye."""
    with pytest.MonkeyPatch.context() as patch:

        async def forget(_: TitleStore) -> None:
            pass

        patch.setattr(TitleStore, "release_all", forget)
        async with house.open() as jobs:
            yield jobs


async def test_a_damaged_file_is_mended_at_the_start(house: House) -> None:
    """From the database, which is always first."""
    texts = urls(20)

    async def script(url: str) -> Result:
        if url in texts[10:]:
            await asyncio.Event().wait()
        return page(url)

    house.web.script = lambda url, _: script(url)
    async with house.open() as jobs:
        job = await jobs.add(texts, Options(concurrency=10, per_host=10))
        await until_done(jobs, job, 10)
    path = house.folder / "titles" / "1.jsonl"
    path.write_bytes(path.read_bytes()[:-7])

    async with house.open() as jobs:
        assert texts[:10] == sorted(line["url"] for line in house.lines(job))
        house.web.script = lambda url, _: page(url)
        await jobs.cancel(job.name)
    assert texts[:10] == [line["url"] for line in house.lines(job)]


async def test_a_stopping_service_takes_no_jobs_and_lets_go_who_waits(house: House) -> None:
    """What it can't finish, it does not promise."""
    house.web.script = lambda url, _: asyncio.Event().wait()  # type: ignore[assignment,return-value]
    async with house.open() as jobs:
        job = await jobs.add(urls(1))
        waiting = asyncio.create_task(jobs.wait(job.name))
        changing = asyncio.create_task(jobs.changed(job.name, (await jobs.get(job.name)).version))
        await asyncio.sleep(0.01)
        jobs.stop()
        async with asyncio.timeout(30):
            assert not (await waiting).finished
            assert not (await changing).finished
        with pytest.raises(Problem) as problem:
            await jobs.add(urls(1))
    assert "shutting-down" == problem.value.code


async def test_waiting_ends_when_the_time_is_up(house: House, jobs: Jobs) -> None:
    """With the job as it then is."""
    house.web.script = lambda url, _: asyncio.Event().wait()  # type: ignore[assignment,return-value]
    job = await jobs.add(urls(1))

    assert not (await jobs.wait(job.name, 0.01)).finished


# --- disks that fail -----------------------------------------------------------------------------

FULL = OSError(28, "No space left on device")


@dataclass
class Disk:
    """Fails in one place for a while, as a full one does."""

    patch: pytest.MonkeyPatch
    fails: bool = False

    def guard(self, owner: type, method: str, error: Exception, *, late: bool = False) -> None:
        """Let the method fail while the disk does; *late*: having done it."""
        original = getattr(owner, method)

        async def fail(this: Any, *arguments: Any, **more: Any) -> Any:
            if self.fails and not late:
                raise error
            value = await original(this, *arguments, **more)
            if self.fails:
                raise error
            return value

        self.patch.setattr(owner, method, fail)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


SENTENCE = "the disk of {} is full; make room, then titles go on by themselves"


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize(
    ("owner", "method", "error"),
    [
        (TitleStore, "save", StoreError("database or disk is full")),
        (TitleStore, "lease", StoreError("database or disk is full")),
        (TitleStore, "filed", StoreError("database or disk is full")),
        (Files, "append", FULL),
        (Files, "rewrite", FULL),
    ],
)
async def test_a_full_disk_is_told_and_nothing_is_lost(
    house: House, disk: Disk, owner: type, method: str, error: Exception, *, late: bool
) -> None:
    """What is not on disk is not reported; when there is room again, all goes on by itself."""
    disk.guard(owner, method, error, late=late)
    texts = urls(120, hosts=12)
    async with house.open() as jobs:
        disk.fails = True
        job = await jobs.add(texts)
        await until(lambda: jobs.trouble is not None)
        stuck = await jobs.get(job.name)
        assert SENTENCE.format(house.folder) == stuck.trouble
        assert not stuck.finished
        assert stuck.done <= len(house.lines(job))
        disk.fails = False
        last = await finished(jobs, job)
        assert (State.DONE, 120, None, None) == (last.state, last.done, last.trouble, jobs.trouble)
        assert 120 == (await jobs.results(job.name)).total
    assert texts == [line["url"] for line in house.lines(job)]
    assert Counter(texts) >= Counter(dict.fromkeys(texts, 1))


async def test_a_torn_line_is_mended_when_there_is_room_again(house: House, disk: Disk) -> None:
    """A full disk takes the beginning of a write."""
    torn = AsyncExitStack()

    async def half(self: Files, job: int, lines: Any) -> None:
        if disk.fails:
            with self.path(job).open("ab") as file:
                file.write("".join(lines).encode()[:50])
            raise FULL
        await append(self, job, lines)

    append = Files.append
    disk.patch.setattr(Files, "append", half)
    async with torn, house.open() as jobs:
        disk.fails = True
        job = await jobs.add(urls(30))
        await until(lambda: jobs.trouble is not None)
        assert 0 == (await jobs.get(job.name)).done
        assert 0 == (await jobs.results(job.name)).total
        disk.fails = False
        await finished(jobs, job)
    assert urls(30) == [line["url"] for line in house.lines(job)]


@pytest.mark.parametrize("method", ["begin", "add", "opened"])
async def test_a_job_the_disk_does_not_take_is_refused(
    house: House, disk: Disk, method: str
) -> None:
    """Clearly, and without leaving half of it behind."""
    disk.guard(TitleStore, method, StoreError("database or disk is full"))
    async with house.open() as jobs:
        disk.fails = True
        with pytest.raises(Problem) as problem:
            await jobs.add(urls(3))
        disk.fails = False
        assert ("disk-trouble", 507) == (problem.value.code, problem.value.status)
        assert SENTENCE.format(house.folder) == str(problem.value)
        assert [] == await jobs.list()


async def test_what_the_disk_refuses_to_the_end_is_fetched_after_the_next_start(
    house: House, disk: Disk, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing was reported, so nothing was promised."""
    disk.guard(TitleStore, "save", StoreError("disk I/O error"))
    async with house.open() as jobs:
        disk.fails = True
        job = await jobs.add(urls(5))
        await until(lambda: jobs.trouble is not None)
    assert "5 results have to be fetched again: the disk failed to the end" in caplog.text
    disk.fails = False

    async with house.open() as jobs:
        assert 5 == (await finished(jobs, job)).done


async def test_cancelling_while_the_disk_fails_is_done_later(house: House, disk: Disk) -> None:
    """The job says what the trouble is, and ends when that is over."""
    disk.guard(TitleStore, "cancel", StoreError("database or disk is full"))
    house.web.script = lambda url, _: asyncio.Event().wait()  # type: ignore[assignment,return-value]
    async with house.open() as jobs:
        job = await jobs.add(urls(3))
        disk.fails = True
        async with asyncio.timeout(30):
            stuck = await jobs.cancel(job.name)
        assert (False, SENTENCE.format(house.folder)) == (stuck.finished, stuck.trouble)
        disk.fails = False
        assert State.CANCELLED == (await finished(jobs, job)).state


async def test_an_unusable_folder_is_fatal(tmp_path: Path) -> None:
    """One sentence instead of a traceback."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "titles").write_text("somebody's own file")

    with pytest.raises(Fatal, match="can't be used for titles") as refusal:
        async with House(tmp_path / "data").open():
            pass

    assert "make it writable or choose another folder" in str(refusal.value)


# --- memory --------------------------------------------------------------------------------------


async def test_a_job_is_held_in_a_window_however_many_urls_it_has(house: House) -> None:
    """No task, no item and no result for each of them."""
    house.clock = ManualClock()
    most = 0

    def script(url: str, _: int) -> Result:
        nonlocal most
        held = sum(len(q) for h in engine._schedule._hosts.values() for q in h.ready.values())
        most = max(most, held + engine._ledger.size + len(engine._tasks))
        return page(url)

    house.web.script = script
    async with house.open() as jobs:
        engine = jobs._engine
        job = await run(jobs, *urls(5_000, hosts=3), concurrency=10, per_host=5)
    assert 5_000 == job.done
    assert most < 2_500
