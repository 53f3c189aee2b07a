"""The SQL of title jobs: leases in turns, results with their states, what a crash leaves."""

import sqlite3
from collections.abc import AsyncIterator, Iterable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from app.errors import Fatal
from app.titles.intake import Entry
from app.titles.job import Sort, State
from app.titles.options import Options
from app.titles.results import Code, Failure, Result
from app.titles.schedule import Away, Item
from app.titles.store import (
    ALONE,
    DONE,
    LEASED,
    MOST_CRASHES,
    NEWEST,
    READY,
    SUSPECT,
    SUSPICION_NS,
    WAITING,
    Outcome,
    StoredJob,
    TitleStore,
    open_titles,
)
from app.titles.window import Wish

EVERYTHING = Wish(after=-1, room=1_000, each=1_000, without=[])
CREATED_NS = 1_700_000_000_000_000_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "titles.sqlite3"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[TitleStore]:
    async with open_titles(path) as store:
        yield store


async def add(store: TitleStore, *hosts: str, label: str = "") -> int:
    """A job with a URL of each of these hosts, in this order."""
    job = await store.begin(label, Options(), CREATED_NS)
    first: dict[str, int] = {}
    entries = [
        Entry(position, f"http://{host}/{position}", host, first.setdefault(host, position))
        for position, host in enumerate(hosts)
    ]
    await store.add(job, entries)
    await store.opened(job, urls=len(entries), repeats=0)
    return job


def result(item: Item, code: Code | None = None, **changes: object) -> tuple[Item, Result]:
    error = Failure(code, "why") if code else None
    return item, replace(Result(item.url, title=f"page {item.position}", error=error), **changes)  # type: ignore[arg-type]


async def save(store: TitleStore, items: Iterable[Item], code: Code | None = None) -> None:
    await store.save(Outcome([result(item, code) for item in items]))


def positions(items: Iterable[Item]) -> list[int]:
    return [item.position for item in items]


# --- jobs ----------------------------------------------------------------------------------------


async def test_a_job_is_seen_when_it_is_whole(store: TitleStore) -> None:
    """A client that was told nothing finds nothing."""
    job = await store.begin("", Options(), CREATED_NS)
    await store.add(job, [Entry(0, "http://a/", "a", 0)])
    assert await store.job(job) is None

    await store.opened(job, urls=1, repeats=3)

    stored = await store.job(job)
    assert stored is not None
    assert (State.QUEUED, 1, 3, {}) == (stored.state, stored.urls, stored.repeats, stored.tally)


async def test_numbers_are_never_given_twice(store: TitleStore) -> None:
    """A bookmark of a job that left never shows another."""
    first = await add(store, "a")
    await store.forget(first)
    while await store.sweep():
        pass

    assert first + 1 == await add(store, "a")


async def test_options_and_label_are_kept(store: TitleStore) -> None:
    """A job goes on after a restart as it was ordered."""
    options = Options(concurrency=3, per_host=1, timeout_ns=250_000_000, retries=0)
    job = await store.begin("mine", options, CREATED_NS)
    await store.opened(job, urls=0, repeats=0)

    stored = await store.find("mine")

    assert stored is not None
    assert (job, options, CREATED_NS) == (stored.number, stored.options, stored.created_ns)
    assert await store.find("other") is None


async def test_newest_job_comes_first(store: TitleStore) -> None:
    """As people look for it."""
    numbers = [await add(store, "a") for _ in range(3)]

    assert numbers[:0:-1] == [job.number for job in await store.jobs(limit=2)]
    assert (3, 3) == await store.size()


async def test_what_left_is_swept_in_steps(store: TitleStore, path: Path) -> None:
    """Nobody sees it from the first moment on; at the end no row is left."""
    job = await add(store, *["a"] * 10)
    await save(store, await store.lease(job, EVERYTHING))
    await store.forget(job)
    assert (None, (0, 0)) == (await store.job(job), await store.size())

    while await store.sweep():
        pass

    with closing(sqlite3.connect(path)) as database:
        for table in ("jobs", "items", "results", "tallies"):
            assert [(0,)] == database.execute(f"SELECT count(*) FROM {table}").fetchall()


# --- leases --------------------------------------------------------------------------------------


async def test_leases_take_some_of_each_host_in_turn(store: TitleStore) -> None:
    """Not the first in the list: those may all be of one host."""
    job = await add(store, *"aaaaaabbc")

    leased = await store.lease(job, Wish(-1, room=10, each=2, without=[]))

    assert [0, 1, 6, 7, 8] == positions(leased)
    assert ("http://a/1", "a", 0) == (leased[1].url, leased[1].host, leased[1].host_number)


async def test_a_lease_is_nobody_elses(store: TitleStore) -> None:
    """A second one takes what comes next."""
    job = await add(store, *"aaab")
    wish = Wish(-1, room=10, each=1, without=[])

    taken = [positions(await store.lease(job, wish)) for _ in range(4)]

    assert [[0, 3], [1], [2], []] == taken


async def test_a_lease_goes_on_after_a_host_and_round(store: TitleStore) -> None:
    """So every host has its turn, wherever the last lease ended."""
    job = await add(store, *"abcd")

    assert [2, 3, 0] == positions(await store.lease(job, Wish(1, room=3, each=1, without=[])))


async def test_hosts_can_be_left_out(store: TitleStore) -> None:
    """They have enough, or are held."""
    job = await add(store, *"aabbc")

    leased = await store.lease(job, Wish(-1, room=10, each=10, without=[0, 4]))

    assert [2, 3] == positions(leased)


async def test_a_lease_keeps_to_its_job(store: TitleStore) -> None:
    """The same host may be in another."""
    first, second = await add(store, *"ab"), await add(store, *"ab")

    leased = await store.lease(second, EVERYTHING)

    assert {second} == {item.job for item in leased}
    assert 2 == (await store.counts(first))[READY]


async def test_large_host_is_not_walked_through(store: TitleStore) -> None:
    """The plan of the query touches the index only where something is to be taken."""
    job = await add(store, *["a"] * 3_000, "b")
    steps = 0

    def count() -> None:
        nonlocal steps
        steps += 1

    await store._writer.set_progress_handler(count, 10)
    leased = await store.lease(job, Wish(-1, room=4, each=2, without=[]))
    await store._writer.set_progress_handler(None, 0)  # type: ignore[arg-type]

    assert [0, 1, 3_000] == positions(leased)
    assert steps < 100  # of 10 instructions each


async def test_waiting_items_come_back_when_they_are_due(store: TitleStore) -> None:
    """With the attempts that were made, and not a moment earlier."""
    job = await add(store, *"ab")
    items = await store.lease(job, EVERYTHING)
    waiting = [Away(replace(items[0], attempts=2), 500), Away(items[1], 900)]
    await store.save(Outcome(waiting=waiting))
    assert {WAITING: 2} == await store.counts(job)

    assert 500 == await store.next_due_ns(0)
    assert {} == await store.wake(499)
    assert {job: 1} == await store.wake(500)
    assert 900 == await store.next_due_ns(0)
    [item] = await store.lease(job, EVERYTHING)
    assert (0, 2) == (item.position, item.attempts)


# --- results -------------------------------------------------------------------------------------


async def test_results_states_and_counts_change_together(store: TitleStore) -> None:
    """One transaction: whatever a reader sees of it, it sees all."""
    job = await add(store, *"abc")
    first, second, _ = await store.lease(job, EVERYTHING)

    lines = await store.save(Outcome([result(first), result(second, Code.TIMEOUT)]))

    assert {DONE: 2, LEASED: 1} == await store.counts(job)
    assert {"": 1, "timeout": 1} == (await stored(store, job)).tally
    assert ["", "timeout"] == [line.code for line in lines[job]]
    assert [line.serial for line in lines[job]] == [
        line.serial for line in await store.lines(job, upto=NEWEST)
    ]


async def stored(store: TitleStore, number: int) -> StoredJob:
    found = await store.job(number)
    assert found is not None
    return found


async def test_a_second_result_is_refused_and_changes_nothing(store: TitleStore) -> None:
    """The database itself sees to it that a URL has one result."""
    job = await add(store, *"ab")
    first, second = await store.lease(job, EVERYTHING)
    await save(store, [first])

    with pytest.raises(sqlite3.IntegrityError):
        await save(store, [second, first])

    assert {DONE: 1, LEASED: 1} == await store.counts(job)
    assert 1 == (await stored(store, job)).tally[""]


async def test_last_result_and_the_end_of_the_job_are_one(store: TitleStore) -> None:
    """No moment between them, so no job is complete and unfinished."""
    job = await add(store, "a")
    items = await store.lease(job, EVERYTHING)
    await store.started(job, 5)

    await store.save(Outcome([result(items[0])]), done=[job], ended_ns=9)

    found = await stored(store, job)
    assert (State.DONE, 5, 9, False) == (
        found.state, found.started_ns, found.ended_ns, found.filed,
    )  # fmt: skip


async def test_what_an_unsure_save_left_is_found_out(store: TitleStore) -> None:
    """An error may come when all was stored."""
    job = await add(store, *"ab")
    first, second = await store.lease(job, EVERYTHING)
    await save(store, [first])
    waiting = [Away(second, 1)]

    left = await store.unsaved(Outcome([result(first), result(second)], waiting))

    assert [result(second)] == left.results
    assert waiting == left.waiting


async def read(store: TitleStore, job: int, **how: object) -> list[int | None]:
    """Positions, by titles."""
    values: dict[str, object] = {
        "upto": NEWEST,
        "offset": 0,
        "limit": 100,
        "error": None,
        "descending": False,
    }
    values |= {"sort": Sort.POSITION} | how
    results, total = await store.page(job, **values)  # type: ignore[arg-type]
    assert "limit" in how or total == len(results)
    return [int((each.title or "page -1").split()[1]) for each in results]


async def test_pages_are_in_the_order_of_positions(store: TitleStore) -> None:
    """Whatever was done first."""
    job = await add(store, *"abcde")
    for item in reversed(await store.lease(job, EVERYTHING)):
        await save(store, [item])

    assert [0, 1, 2, 3, 4] == await read(store, job)
    assert [2, 3] == await read(store, job, offset=2, limit=2)
    assert [4, 3, 2, 1, 0] == await read(store, job, descending=True)


async def test_results_can_be_chosen_by_error(store: TitleStore) -> None:
    """One code, all that failed, all that did not."""
    job = await add(store, *"abcd")
    items = await store.lease(job, EVERYTHING)
    codes = [None, Code.TIMEOUT, Code.NO_TITLE, Code.TIMEOUT]
    pairs = zip(items, codes, strict=True)
    await store.save(Outcome([result(item, code) for item, code in pairs]))

    assert [1, 3] == await read(store, job, error="timeout")
    assert [1, 2, 3] == await read(store, job, error="any")
    assert [0] == await read(store, job, error="none")
    assert [] == await read(store, job, error="blocked")


@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        (Sort.URL, [0, 1, 2]),
        (Sort.STATUS, [2, 0, 1]),
        (Sort.TITLE, [0, 1, 2]),
        (Sort.ELAPSED, [1, 2, 0]),
        (Sort.BYTES, [0, 2, 1]),
        (Sort.ERROR, [1, 2, 0]),
    ],
)
async def test_results_can_be_sorted(store: TitleStore, sort: Sort, expected: list[int]) -> None:
    """By what a table shows, numbers as numbers."""
    job = await add(store, *"abc")
    first, second, third = await store.lease(job, EVERYTHING)
    await store.save(
        Outcome(
            [
                result(first, Code.TIMEOUT, status=200, elapsed=10.0, bytes_read=9),
                result(second, status=404, elapsed=0.5, bytes_read=1_000),
                result(third, Code.NO_TITLE, status=None, elapsed=2.0, bytes_read=10),
            ]
        )
    )

    assert expected == await read(store, job, sort=sort)


async def test_readers_see_only_what_was_reported(store: TitleStore) -> None:
    """What is not in the file yet is not told, whatever way one reads."""
    job = await add(store, *"ab")
    first, second = await store.lease(job, EVERYTHING)
    lines = await store.save(Outcome([result(second)]))
    await save(store, [first])
    upto = lines[job][0].serial

    assert [1] == await read(store, job, upto=upto)
    assert [[result(second)[1]]] == [some async for some in store.results(job, upto=upto)]
    assert lines[job] == await store.lines(job, upto=upto)


async def test_lines_survive_odd_text(store: TitleStore) -> None:
    """A lone surrogate has no UTF-8; everything else comes back as it was."""
    job = await add(store, *"ab")
    first, second = await store.lease(job, EVERYTHING)
    await store.save(
        Outcome([result(first, title="新浪\n\x00 😀"), result(second, title="\ud800")])
    )

    [results] = [some async for some in store.results(job, upto=NEWEST)]

    assert ["新浪\n\x00 😀", "?"] == [each.title for each in results]


# --- again ---------------------------------------------------------------------------------------


async def test_retry_queues_what_failed_and_removes_its_results(store: TitleStore) -> None:
    """At once; what succeeded stays, and so does what is hopeless."""
    job = await add(store, *"abc")
    good, bad, hopeless = await store.lease(job, EVERYTHING)
    outcome = Outcome([result(good), result(bad, Code.TIMEOUT), result(hopeless, Code.INVALID_URL)])
    await store.save(outcome, done=[job], ended_ns=9)

    assert 1 == await store.retry(job, but=[Code.INVALID_URL])

    found = await stored(store, job)
    assert {"": 1, "invalid_url": 1} == found.tally
    assert (State.QUEUED, 1, None) == (found.state, found.round, found.ended_ns)
    assert [bad.position] == positions(await store.lease(job, EVERYTHING))


async def test_retry_of_a_cancelled_job_queues_what_was_left(store: TitleStore) -> None:
    """Also what was under way when it was cancelled."""
    job = await add(store, *"abc")
    items = await store.lease(job, Wish(-1, room=2, each=1, without=[]))
    await save(store, items[:1])
    await store.cancel(job, 9)
    assert State.CANCELLED == (await stored(store, job)).state

    assert 2 == await store.retry(job, but=[])
    assert [1, 2] == positions(await store.lease(job, EVERYTHING))


async def test_retry_of_a_job_without_failures_changes_nothing(store: TitleStore) -> None:
    """There is nothing to do."""
    job = await add(store, "a")
    await store.save(
        Outcome([result(item) for item in await store.lease(job, EVERYTHING)]),
        done=[job],
        ended_ns=9,
    )
    before = await store.job(job)

    assert 0 == await store.retry(job, but=[])
    assert before == await store.job(job)


# --- crashes -------------------------------------------------------------------------------------


async def crash(store: TitleStore, job: int) -> None:
    """Lease everything there is, and die."""
    await store.lease(job, EVERYTHING)
    while await store.lease_suspect(job, NEWEST):
        pass
    await store.recover(0)


async def test_leases_of_a_process_that_died_are_void(store: TitleStore) -> None:
    """Others fetch what it had."""
    job = await add(store, *"ab")
    await crash(store, job)

    assert [0, 1] == positions(await store.lease(job, EVERYTHING))


async def test_after_several_crashes_an_item_is_a_suspect(store: TitleStore) -> None:
    """It is fetched alone, so that the guilty can be told from those beside it."""
    job = await add(store, *"ab")
    for _ in range(ALONE):
        await crash(store, job)

    assert [] == await store.lease(job, EVERYTHING)
    suspect = await store.lease_suspect(job, NEWEST)
    assert suspect is not None
    assert (0, True) == (suspect.position, suspect.suspect)
    assert {SUSPECT: 1, LEASED: 1} == await store.counts(job)


async def test_a_suspect_waits_twice_as_long_after_each_crash(store: TitleStore) -> None:
    """So a service that is killed again and again rarely meets it, and has time for the others."""
    job = await add(store, "a")
    waits = []
    for crashes in range(1, MOST_CRASHES):
        await crash(store, job)
        if crashes >= ALONE:
            waits.append(await store.next_due_ns(0) or 0)
            assert await store.lease_suspect(job, waits[-1] - 1) is None

    assert [SUSPICION_NS << n for n in range(MOST_CRASHES - ALONE)] == waits


async def test_after_too_many_crashes_an_item_is_condemned(store: TitleStore) -> None:
    """It is leased no more."""
    job = await add(store, "a")
    for _ in range(MOST_CRASHES):
        assert [] == await store.condemned(job)
        await crash(store, job)

    assert [0] == positions(await store.condemned(job))
    assert await store.lease_suspect(job, NEWEST) is None


async def test_an_orderly_end_is_no_crash(store: TitleStore) -> None:
    """However often a service is restarted."""
    job = await add(store, "a")
    for _ in range(MOST_CRASHES + 1):
        await store.lease(job, EVERYTHING)
        await store.release_all()
        await store.recover(0)

    assert {READY: 1} == await store.counts(job)
    assert [] == await store.condemned(job)


async def test_a_job_that_was_not_whole_leaves(store: TitleStore, path: Path) -> None:
    """Nobody was told of it."""
    job = await store.begin("", Options(), CREATED_NS)
    await store.add(job, [Entry(0, "http://a/", "a", 0)])
    await store.recover(0)
    while await store.sweep():
        pass

    with closing(sqlite3.connect(path)) as database:
        assert [(0,)] == database.execute("SELECT count(*) FROM items").fetchall()


@pytest.mark.usefixtures("store")
async def test_a_folder_in_use_is_refused(path: Path) -> None:
    """Two processes would fetch everything twice."""
    with pytest.raises(Fatal, match="in use by another Dawdle"):
        async with open_titles(path):
            pass
