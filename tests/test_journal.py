import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app import journal as journal_module
from app.columns import Columns
from app.database import StoreError
from app.journal import Journal
from app.spans import Kind, Outcome, Span
from app.store import Loss, Store, StoredRun, open_store
from tests.fakes import as_spans


def span(number: int, run: str = "ci-1", **values: object) -> Span:
    base = Span(number, run, Kind.HTTP, "GET", "/aio", arrival_ns=number)
    return replace(base, **values)  # type: ignore[arg-type]


async def never() -> None:
    """A pause without end: nothing is written but by `flush` below."""
    await asyncio.Event().wait()


async def at_once() -> None:
    """A pause of one turn of the loop."""
    await asyncio.sleep(0)


async def a_while() -> None:
    """As many turns of the loop as anything here needs."""
    for _ in range(50):
        await asyncio.sleep(0)


def always(_run: str) -> bool:
    return True


class FakeStore:
    """Spans in memory; a disk that can fail, and that can be held in the middle of a write."""

    boot = 0

    def __init__(self) -> None:
        self.saved: dict[int, Span] = {}
        self.dropped: dict[str, int] = {}
        self.saves = 0
        self.fails = False
        self.on_save: asyncio.Event | None = None
        self.go_on = asyncio.Event()
        self.go_on.set()

    async def save(self, spans: Iterable[Span], *, losses: Iterable[Loss] = ()) -> int:
        self.saves += 1
        if self.on_save is not None:
            self.on_save.set()
        await self.go_on.wait()
        if self.fails:
            raise StoreError("disk I/O error")
        before = len(self.saved)
        for one in spans:
            self.saved.setdefault(one.id, replace(one))
        for loss in losses:
            self.dropped[loss.run] = self.dropped.get(loss.run, 0) + loss.count
        return len(self.saved) - before

    async def runs(self) -> list[StoredRun]:
        return []

    async def sweep(self) -> bool:
        return False

    async def delete_run(self, run: str) -> int:
        gone = [one.id for one in self.saved.values() if one.run == run]
        for number in gone:
            del self.saved[number]
        return len(gone)

    async def columns(self, run: str) -> AsyncIterator[Columns]:
        """Two at a time, each read when it is asked for."""
        after = 0
        while found := self._after(run, after)[:2]:
            yield Columns.of(found)
            after = found[-1].id

    def _after(self, run: str, after: int) -> list[Span]:
        return [
            one for number, one in sorted(self.saved.items()) if number > after and one.run == run
        ]


def journal_on(
    store: FakeStore,
    *,
    pause: Callable[[], Awaitable[None]] = never,
    most_pending: int = 100,
    limit: int = 1_000,
) -> Journal:
    return Journal(
        cast("Store", store),
        limit=limit,
        is_finished=always,
        pause=pause,
        most_pending=most_pending,
    )


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    store = await open_store(tmp_path / "dawdle.db")
    yield store
    await store.close()


async def flush(journal: Journal) -> None:
    """Let the writer have its turns until the disk has taken all that waits."""
    while not await journal._round():
        await journal._pause()


async def read(journal: Journal, run: str = "ci-1", live: Iterable[Span] = ()) -> list[Span]:
    return [one async for found in as_spans(journal.columns(run, lambda: live)) for one in found]


async def ids(journal: Journal, run: str = "ci-1", live: Iterable[Span] = ()) -> list[int]:
    return [one.id for one in await read(journal, run, live)]


# --- writing -------------------------------------------------------------------------------------


async def test_writer_stores_by_itself_after_a_pause() -> None:
    """Nobody has to flush: a span is written once the interval since it ended is over."""
    store, over = FakeStore(), asyncio.Event()

    async def interval() -> None:
        await over.wait()

    journal = journal_on(store, pause=interval)
    await journal.start()
    journal.add(span(1))
    await a_while()
    before = list(store.saved)
    over.set()
    await a_while()
    journal.add(span(2))
    await a_while()
    after = list(store.saved)
    await journal.close()

    assert [] == before
    assert [1, 2] == after


async def test_idle_journal_does_not_wake() -> None:
    """With nothing to write the writer waits without a timer."""
    store, pauses = FakeStore(), 0

    async def pause() -> None:
        nonlocal pauses
        pauses += 1

    journal = journal_on(store, pause=pause)
    await journal.start()
    await a_while()
    first = pauses
    await a_while()
    await journal.close()

    assert first == pauses


async def test_one_turn_stores_all_that_waits(store: Store) -> None:
    """After its turn of writing everything added before is on disk, in however many batches."""
    journal = Journal(store, limit=10_000, is_finished=always, pause=never)
    for number in range(1, 2 * journal_module.BATCH + 2):
        journal.add(span(number))

    await flush(journal)

    assert [2 * journal_module.BATCH + 1] == [run.requests for run in await store.runs()]


async def test_turn_without_anything_to_write_leaves_the_disk_alone() -> None:
    """Nothing to write is no transaction."""
    store = FakeStore()

    await flush(journal_on(store))

    assert 0 == store.saves


async def test_close_stores_what_waits() -> None:
    """A clean stop loses nothing."""
    store = FakeStore()
    journal = journal_on(store)
    await journal.start()
    journal.add(span(1))

    await journal.close()

    assert [1] == list(store.saved)


async def test_cancelled_write_loses_nothing() -> None:
    """A loop that ends in the middle of a write takes no span with it: closing writes again."""
    store = FakeStore()
    store.on_save = asyncio.Event()
    store.go_on.clear()
    journal = journal_on(store)
    journal.add(span(1))
    writing = asyncio.create_task(flush(journal))
    await store.on_save.wait()
    writing.cancel()
    await asyncio.wait([writing])

    store.go_on.set()
    await journal.close()

    assert [1] == list(store.saved)


async def test_batch_that_was_stored_when_its_write_was_cancelled_is_not_stored_twice(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is written again as it was, whatever waits by then, so the store knows it."""
    commit = store._writer.commit

    async def commit_and_leave() -> None:
        await commit()
        raise asyncio.CancelledError

    journal = Journal(store, limit=100, is_finished=always, pause=never)
    journal.add(span(2))
    journal.add(span(3, "other"))
    with monkeypatch.context() as patch:
        patch.setattr(store._writer, "commit", commit_and_leave)
        with pytest.raises(asyncio.CancelledError):
            await flush(journal)
    journal.add(span(1))
    before = await ids(journal)
    await flush(journal)

    assert [1, 2] == before
    assert [1, 2] == await ids(journal)
    assert [("ci-1", 2), ("other", 1)] == [(run.name, run.requests) for run in await store.runs()]


# --- a failing disk ------------------------------------------------------------------------------


async def test_failing_disk_is_told_once_and_nothing_is_lost(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """An episode is one line in the log, however long; then everything is stored in order."""
    caplog.set_level(logging.INFO)
    store, rounds = FakeStore(), 0

    async def pause() -> None:
        nonlocal rounds
        rounds += 1
        store.fails = rounds < 5
        await asyncio.sleep(0)

    store.fails = True
    journal = journal_on(store, pause=pause)
    journal.add(span(1))
    journal.add(span(2))
    await flush(journal)

    assert [1, 2] == list(store.saved)
    assert 5 == store.saves - 1
    assert [
        "the disk fails (disk I/O error): up to 100 spans wait in memory",
        "the disk works again",
    ] == caplog.messages


async def test_writer_survives_a_failing_disk() -> None:
    """The writer tries again for as long as it takes."""
    store = FakeStore()
    store.fails = True
    journal = journal_on(store, pause=at_once)
    await journal.start()
    journal.add(span(1))
    await a_while()
    store.fails = False
    await a_while()
    await journal.close()

    assert [1] == list(store.saved)


async def test_close_with_a_failing_disk_ends_and_tells_the_loss(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A broken disk does not keep the service from stopping."""
    store = FakeStore()
    store.fails = True
    journal = journal_on(store, limit=10)
    journal.add(span(1))
    journal.add(span(2))

    await journal.close()

    assert "2 spans are lost: the disk failed to the end" == caplog.messages[-1]


async def test_spans_past_the_pending_limit_are_counted_per_run() -> None:
    """Memory is bounded: what finds no room is counted, and the count is stored."""
    store = FakeStore()
    store.fails = True
    journal = journal_on(store, pause=at_once, most_pending=2)
    for number, run in enumerate(["a", "b", "a", "b", "b"], start=1):
        journal.add(span(number, run))
    flushing = asyncio.create_task(flush(journal))
    await a_while()
    journal.add(span(6, "b"))
    store.fails = False
    await flushing

    assert [1, 2] == list(store.saved)
    assert {"a": 1, "b": 3} == store.dropped
    assert 4 == journal.dropped


async def test_losses_during_a_failing_write_add_up() -> None:
    """A count whose writing fails and what is lost meanwhile are one count."""
    store = FakeStore()
    store.fails = True
    store.on_save = asyncio.Event()
    store.go_on.clear()
    journal = journal_on(store, pause=at_once, most_pending=0)
    journal.add(span(1))
    flushing = asyncio.create_task(flush(journal))
    await store.on_save.wait()
    journal.add(span(2))
    journal.add(span(3, "b"))
    store.go_on.set()
    await a_while()
    store.fails = False
    await flushing

    assert {"ci-1": 2, "b": 1} == store.dropped


# --- the limit -----------------------------------------------------------------------------------


async def kept_after(store: Store, journal: Journal) -> dict[str, tuple[int, int]]:
    await flush(journal)
    return {run.name: (run.requests, run.dropped) for run in await store.runs()}


async def test_runs_with_the_oldest_arrival_leave_first_and_whole(store: Store) -> None:
    """What counts is a run's last arrival, not when it was made."""
    removed: list[str] = []
    journal = Journal(store, limit=5, is_finished=always, on_removed=removed.append, pause=never)
    for number, run in enumerate(["a", "b", "b", "a", "c", "c"], start=1):
        journal.add(span(number, run))

    kept = await kept_after(store, journal)

    assert ["b"] == removed
    assert {"a": (2, 0), "c": (2, 0)} == kept


async def test_at_the_limit_nothing_leaves(store: Store) -> None:
    """The limit itself still fits."""
    journal = Journal(store, limit=2, is_finished=always, pause=never)
    journal.add(span(1, "a"))
    journal.add(span(2, "b"))

    assert {"a": (1, 0), "b": (1, 0)} == await kept_after(store, journal)


async def test_unfinished_run_is_passed_over(store: Store) -> None:
    """A run with something in flight does not vanish under its client."""
    journal = Journal(store, limit=2, is_finished=lambda run: run != "a", pause=never)
    for number, run in enumerate(["a", "b", "c"], start=1):
        journal.add(span(number, run))

    assert {"a": (1, 0), "c": (1, 0)} == await kept_after(store, journal)


async def test_largest_unfinished_run_loses_its_oldest_spans(store: Store) -> None:
    """One endless run keeps its newest spans and counts the others."""
    dropped: list[tuple[str, int]] = []
    journal = Journal(
        store,
        limit=3,
        is_finished=lambda _run: False,
        on_dropped=lambda run, count: dropped.append((run, count)),
        pause=never,
    )
    for number, run in enumerate(["a", "b", "b", "b", "b"], start=1):
        journal.add(span(number, run))

    assert {"a": (1, 0), "b": (2, 2)} == await kept_after(store, journal)
    assert [4, 5] == await ids(journal, "b")
    assert [("b", 2)] == dropped
    assert 2 == journal.dropped


async def test_newest_run_is_trimmed_even_if_finished(store: Store) -> None:
    """A run larger than the limit that pauses between two requests is not thrown away."""
    journal = Journal(store, limit=2, is_finished=always, pause=never)
    for number in range(1, 4):
        journal.add(span(number))

    assert {"ci-1": (2, 1)} == await kept_after(store, journal)


async def test_limit_holds_for_what_an_earlier_start_stored(store: Store) -> None:
    """A lowered limit and old runs count from the start."""
    await store.save([span(1, "old"), span(2, "older")])
    journal = Journal(store, limit=2, is_finished=always, pause=never)
    await journal.start()
    journal.add(span(3, "new"))

    kept = await kept_after(store, journal)
    await journal.close()

    assert {"older": (1, 0), "new": (1, 0)} == kept


async def test_trimming_leaves_nine_tenths_of_the_limit(store: Store) -> None:
    """The oldest leave by the page, so pages are small where the limit is."""
    journal = Journal(store, limit=1_000, is_finished=lambda _run: False, pause=never)
    for number in range(1, 1_002):
        journal.add(span(number))

    assert {"ci-1": (901, 100)} == await kept_after(store, journal)


@given(
    runs=st.lists(st.sampled_from("abcd"), min_size=1, max_size=30),
    finished=st.sets(st.sampled_from("abcd")),
    limit=st.integers(1, 10),
)
async def test_limit_always_holds(
    tmp_path_factory: pytest.TempPathFactory, runs: list[str], finished: set[str], limit: int
) -> None:
    """Never more than *limit* spans, never fewer than fit, and none lost uncounted but by run."""
    store = await open_store(tmp_path_factory.mktemp("data") / "dawdle.db")
    removed: list[str] = []
    journal = Journal(
        store,
        limit=limit,
        is_finished=finished.__contains__,
        on_removed=removed.append,
        pause=never,
    )
    for number, run in enumerate(runs, start=1):
        journal.add(span(number, run))
    kept = await kept_after(store, journal)
    await store.close()

    total = sum(requests for requests, _ in kept.values())
    assert total <= limit
    assert set(removed) <= finished - {runs[-1]}
    assert all(sum(counts) == runs.count(run) for run, counts in kept.items())
    assert set(kept) == set(runs) - set(removed)


# --- forgetting ----------------------------------------------------------------------------------


async def test_forgotten_run_is_gone_stored_and_pending(store: Store) -> None:
    """Deleting takes what is on disk and what would have come there; others stay."""
    journal = Journal(store, limit=100, is_finished=always, pause=never)
    journal.add(span(1))
    await flush(journal)
    journal.add(span(2))
    journal.add(span(3, "other"))

    await journal.forget("ci-1")
    await flush(journal)

    assert [] == await ids(journal)
    assert [3] == await ids(journal, "other")
    assert ["other"] == [run.name for run in await store.runs()]


async def test_removed_run_is_gone_after_the_next_round_and_its_name_is_free(store: Store) -> None:
    """What is added after the call belongs to a new run of that name."""
    journal = Journal(store, limit=100, is_finished=always, pause=never)
    journal.add(span(1))
    await flush(journal)
    journal.add(span(2))

    journal.remove("ci-1")
    journal.add(span(3))
    await flush(journal)

    assert [3] == await ids(journal)
    assert [("ci-1", 1)] == [(run.name, run.requests) for run in await store.runs()]


@pytest.mark.parametrize("fails", [False, True])
async def test_batch_on_its_way_does_not_bring_a_forgotten_run_back(fails: bool) -> None:
    """What is being written when the run is deleted is deleted too; what comes later is new."""
    store = FakeStore()
    store.on_save = asyncio.Event()
    store.go_on.clear()
    journal = journal_on(store, pause=at_once)
    journal.add(span(1))
    journal.add(span(2, "other"))
    flushing = asyncio.create_task(flush(journal))
    await store.on_save.wait()
    journal.add(span(3))
    store.fails = fails
    forgetting = asyncio.create_task(journal.forget("ci-1"))
    await asyncio.sleep(0)
    journal.add(span(4))
    store.go_on.set()
    await forgetting
    store.fails = False
    await flushing
    await flush(journal)

    assert [2, 4] == sorted(store.saved)


async def test_losses_of_a_forgotten_run_are_forgotten() -> None:
    """A deleted run is not made again for the sake of its count."""
    store = FakeStore()
    journal = journal_on(store, most_pending=0)
    journal.add(span(1))

    await journal.forget("ci-1")
    await flush(journal)

    assert {} == store.dropped


async def test_deleted_run_is_swept_by_and_by(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A large deleted run does not hold the writer up: a few chunks a round."""
    monkeypatch.setattr("app.store.CHUNK", 1)
    monkeypatch.setattr(journal_module, "SWEEPS", 2)
    journal = Journal(store, limit=100, is_finished=always, pause=never)
    for number in range(1, 6):
        journal.add(span(number))
        await flush(journal)
    await journal.forget("ci-1")

    rounds = 0
    while journal._has_work():
        await flush(journal)
        rounds += 1

    assert 4 == rounds
    assert not await store.sweep()


# --- reading -------------------------------------------------------------------------------------


async def test_stored_pending_and_live_spans_come_in_order_of_arrival(store: Store) -> None:
    """One run, three places, one order."""
    journal = Journal(store, limit=100, is_finished=always, pause=never)
    for number in (1, 4, 6):
        journal.add(span(number))
    await flush(journal)
    for number in (2, 7):
        journal.add(span(number))

    assert [1, 2, 3, 4, 5, 6, 7, 8] == await ids(
        journal, live=[span(number) for number in (3, 5, 8)]
    )


async def test_other_runs_are_left_out(store: Store) -> None:
    """A run's spans are its own, wherever they are."""
    journal = Journal(store, limit=100, is_finished=always, pause=never)
    journal.add(span(1, "other"))
    await flush(journal)
    journal.add(span(2, "other"))

    assert [] == await ids(journal)


async def test_span_being_written_is_read_once() -> None:
    """Between memory and disk a span is neither missing nor double."""
    store = FakeStore()
    store.on_save = asyncio.Event()
    store.go_on.clear()
    journal = journal_on(store)
    journal.add(span(1))
    flushing = asyncio.create_task(flush(journal))
    await store.on_save.wait()

    during = await ids(journal)
    store.go_on.set()
    await flushing

    assert [1] == during
    assert [1] == await ids(journal)


async def test_what_arrives_after_the_call_is_left_out() -> None:
    """A report is of one moment: not half of what came while it was read."""
    journal = journal_on(FakeStore())
    journal.add(span(1))
    journal.add(span(2))
    await flush(journal)
    reading = as_spans(journal.columns("ci-1"))
    journal.add(span(3))
    await flush(journal)

    assert [[1, 2]] == [[one.id for one in found] async for found in reading]


async def test_waiting_spans_come_in_bounded_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also what is in memory is handed out in lists of limited length."""
    monkeypatch.setattr(journal_module, "READ_BATCH", 2)
    journal = journal_on(FakeStore())
    for number in range(1, 6):
        journal.add(span(number))

    lists = [[one.id for one in found] async for found in as_spans(journal.columns("ci-1"))]

    assert [[1, 2], [3, 4], [5]] == lists


STEPS = st.lists(st.sampled_from(["arrive", "end", "end late", "write", "read"]), max_size=40)


@given(before=STEPS, during=STEPS)
async def test_every_arrival_comes_exactly_once_in_its_newest_state(
    before: list[str], during: list[str]
) -> None:
    """Whatever ends, is written or arrives while a run is read: all of it, in order, once."""
    store = FakeStore()
    journal = journal_on(store)
    arrived: list[Span] = []
    in_flight: dict[int, Span] = {}

    async def step(action: str) -> None:
        if action == "arrive":
            arrived.append(span(len(arrived) + 1))
            in_flight[arrived[-1].id] = arrived[-1]
        elif action.startswith("end") and in_flight:
            ended = in_flight.pop(min(in_flight) if action == "end" else max(in_flight))
            ended.outcome = Outcome.COMPLETED
            journal.add(ended)
        elif action == "write":
            await flush(journal)

    for action in before:
        await step(action)
    expected = [one.id for one in arrived]
    reading = as_spans(journal.columns("ci-1", in_flight.values))
    found: list[tuple[int, Outcome]] = []
    newest: list[tuple[int, Outcome]] = []

    async def take() -> bool:
        part: list[Span] = await anext(reading, [])
        found.extend((one.id, one.outcome) for one in part)
        newest.extend((one.id, arrived[one.id - 1].outcome) for one in part)
        return bool(part)

    for action in during:
        await (take() if action == "read" else step(action))
    while await take():
        pass

    assert expected == [number for number, _ in found]
    assert newest == found
