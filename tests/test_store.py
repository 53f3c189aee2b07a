import asyncio
import json
import os
import sqlite3
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app import store as store_module
from app.database import StoreError
from app.errors import Fatal
from app.spans import Kind, Outcome, Span, span_id
from app.store import BLOCK_BITS, MIGRATIONS, Loss, Store, StoredRun, open_store
from tests.fakes import as_spans


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "dawdle.db"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[Store]:
    store = await open_store(path)
    yield store
    await store.close()


def span(number: int, run: str = "ci-1", **values: object) -> Span:
    base = Span(number, run, Kind.HTTP, "GET", "/aio", arrival_ns=1_000 + number)
    return replace(base, **values)  # type: ignore[arg-type]


async def save_each(store: Store, *spans: Span) -> None:
    """Save each span in a page of its own."""
    for one in spans:
        await store.save([one])


async def read(store: Store, run: str = "ci-1", **options: int) -> list[Span]:
    return [span async for batch in as_spans(store.columns(run, **options)) for span in batch]


# --- opening -------------------------------------------------------------------------------------


async def test_each_opening_is_a_new_boot(path: Path) -> None:
    """The boot counts how often the data folder was opened, so span ids are never given twice."""
    boots = []
    for _ in range(3):
        store = await open_store(path)
        boots.append(store.boot)
        await store.close()

    assert [1, 2, 3] == boots


async def test_what_was_saved_is_there_after_reopening(path: Path) -> None:
    """A restart keeps runs and spans."""
    first = await open_store(path)
    await first.save([span(1)])
    await first.close()

    second = await open_store(path)
    kept = await read(second)
    await second.close()

    assert [span(1)] == kept


async def test_second_opener_is_refused_until_the_first_closes(path: Path) -> None:
    """Two servers on one data folder would give out the same ids."""
    first = await open_store(path)
    with pytest.raises(Fatal) as refusal:
        await open_store(path)
    await first.close()
    await (await open_store(path)).close()

    assert (
        f"the data folder {path.parent} is in use by another Dawdle; stop that one or choose "
        "another folder"
    ) == str(refusal.value)


async def test_another_process_holds_the_folder_until_it_is_killed(path: Path) -> None:
    """The system releases a killed server's folder: nobody has to remove a lock by hand."""
    program = (
        "import asyncio, pathlib, sys\n"
        "from app.store import open_store\n"
        "async def hold():\n"
        "    await open_store(pathlib.Path(sys.argv[1]))\n"
        "    print('open', flush=True)\n"
        "    await asyncio.Event().wait()\n"
        "asyncio.run(hold())\n"
    )
    root = Path(store_module.__file__).parent.parent
    holder = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        program,
        str(path),
        stdout=asyncio.subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(root)},
    )
    assert holder.stdout is not None
    assert b"open" == (await holder.stdout.readline()).strip()
    with pytest.raises(Fatal, match="in use by another Dawdle"):
        await open_store(path)
    holder.kill()
    await holder.wait()

    store = await open_store(path)
    await store.close()

    assert 2 == store.boot


async def test_newer_schema_is_refused_and_left_alone(path: Path) -> None:
    """A database of a newer Dawdle is not touched by an older one."""
    await (await open_store(path)).close()
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version = 99")

    with pytest.raises(Fatal) as refusal:
        await open_store(path)

    assert (
        f"{path} was made by a newer Dawdle (schema 99, this one knows {len(MIGRATIONS)}); "
        "update Dawdle or choose another data folder"
    ) == str(refusal.value)


def test_file_that_is_no_database_is_refused(path: Path) -> None:
    """Somebody's own file is named, not overwritten."""
    path.parent.mkdir()
    path.write_bytes(b"my precious notes " * 100)

    with pytest.raises(Fatal, match="can't be used as the database"):
        asyncio.run(open_store(path))

    assert path.read_bytes() == b"my precious notes " * 100


async def test_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    """An unwritable data folder is one sentence, not a traceback."""
    (tmp_path / "file").touch()

    with pytest.raises(Fatal, match="can't be written"):
        await open_store(tmp_path / "file" / "dawdle.db")


async def test_failed_migration_leaves_the_old_schema(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A migration happens whole or not at all."""
    await (await open_store(path)).close()
    broken = (*MIGRATIONS, "CREATE TABLE half (id); CREATE TABLE half (id);")
    monkeypatch.setattr(store_module, "MIGRATIONS", broken)
    with pytest.raises(Fatal, match="can't be used"):
        await open_store(path)

    repaired = (*MIGRATIONS, "CREATE TABLE half (id);")
    monkeypatch.setattr(store_module, "MIGRATIONS", repaired)
    store = await open_store(path)
    await store.close()

    assert 2 == store.boot


# --- spans ---------------------------------------------------------------------------------------


FULL = Span(
    span_id(7, 3), "ci-1", Kind.WEBSOCKET, "POST", "/aio?ключ=1", 1_700_000_000_000_000_000,
    "k", 2, 3, 4, "1.1", "curl", 5, 6, 7, 8, 0.01, 9, 10, 11, 12, 13, 503, "reset",
    Outcome.FAULTED, "client", 14, 2**40, 15, 16,
)  # fmt: skip


async def test_page_is_json_by_columns(store: Store, path: Path) -> None:
    """The form of a page is part of the schema: another one needs a migration."""
    await store.save([FULL, span(1, status=200), span(2, status=503)])

    with closing(sqlite3.connect(path)) as database:
        pages = database.execute("SELECT first_id, count, spans FROM pages").fetchall()

    expected = (
        '{"id":[7696581394435],"kind":"websocket","method":"POST",'
        '"target":"/aio?ключ=1","arrival_ns":1700000000000000000,'
        '"key":"k","attempt":2,"connection":3,"connection_request":4,"http_version":"1.1",'
        '"user_agent":"curl","in_flight":5,"queue_wait_ns":6,"barrier_wait_ns":7,"delay_ns":8,'
        '"time_scale":0.01,"drip":9,"wait_begun_ns":10,"first_byte_ns":11,"last_byte_ns":12,'
        '"end_ns":13,"status":503,"fault":"reset","outcome":"faulted","ended_by":"client",'
        '"bytes_in":14,"bytes_out":1099511627776,"messages":15,"retry_after_ns":16}'
    )
    assert [(FULL.id, 1, expected), (1, 2, mock.ANY)] == sorted(pages, reverse=True)
    columns = json.loads(min(pages)[2])
    assert ([1, 2], [200, 503], "GET") == (columns["id"], columns["status"], columns["method"])


async def test_field_that_a_page_does_not_know_has_its_default(store: Store, path: Path) -> None:
    """A page of before there was that field."""
    await store.save([span(1, status=200, bytes_in=5)])

    with closing(sqlite3.connect(path)) as database:
        database.execute("UPDATE pages SET spans = json_remove(spans, '$.bytes_in')")
        database.commit()

    assert [[span(1, status=200)]] == [batch async for batch in as_spans(store.columns("ci-1"))]


async def test_pages_can_be_searched_with_sql(store: Store, path: Path) -> None:
    """SQLite itself can look into a page."""
    await store.save([span(1, status=200), span(2, status=503)])
    await store.save([span(3, "other", status=200)])

    with closing(sqlite3.connect(path)) as database:
        found = database.execute(
            "SELECT runs.name, id.value AS id, json_extract(spans, "
            "CASE json_type(spans, '$.status') WHEN 'array' "
            "THEN '$.status[' || id.key || ']' ELSE '$.status' END) AS status "
            "FROM runs JOIN pages ON run_id = runs.id JOIN json_each(spans, '$.id') AS id "
            "WHERE status = 200 ORDER BY id"
        ).fetchall()

    assert [("ci-1", 1, 200), ("other", 3, 200)] == found


async def test_every_field_comes_back(store: Store) -> None:
    """A span reads back as it was, enums included."""
    await store.save([FULL])

    found = await read(store)

    assert [FULL] == found
    assert (Kind.WEBSOCKET, Outcome.FAULTED) == (found[0].kind, found[0].outcome)
    assert isinstance(found[0].outcome, Outcome)


@pytest.mark.parametrize("text", ["caf\udce9", "a\0b", '"\\', "\U0001f600", ""])
async def test_any_text_comes_back(store: Store, text: str) -> None:
    """Bytes of a header that were no UTF-8 spoil neither their span nor its page."""
    await store.save([span(1), span(2, user_agent=text)])

    assert [None, text] == [found.user_agent for found in await read(store)]


async def test_saving_a_batch_again_changes_nothing(store: Store) -> None:
    """A batch whose commit may have failed can be saved again, less a run deleted meanwhile."""
    batch = [span(5), span(2), span(3, "other"), span(1 << BLOCK_BITS)]
    await store.save(batch)
    await store.save([span(1), span(4)])

    new = [await store.save(batch), await store.save([one for one in batch if one.run == "ci-1"])]

    assert [0, 0] == new
    assert [1, 2, 4, 5, 1 << BLOCK_BITS] == [found.id for found in await read(store)]
    assert [5, 1] == [run.requests for run in await store.runs()]


async def test_batch_cancelled_when_it_was_stored_can_be_saved_again(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who is cancelled can't know what became of the commit, and need not."""
    commit = store._writer.commit

    async def commit_and_leave() -> None:
        await commit()
        raise asyncio.CancelledError

    with monkeypatch.context() as patch:
        patch.setattr(store._writer, "commit", commit_and_leave)
        with pytest.raises(asyncio.CancelledError):
            await store.save([span(1), span(2)])

    assert 0 == await store.save([span(1), span(2)])
    assert [span(1), span(2)] == await read(store)


@pytest.mark.parametrize("turns", range(0, 40, 3))
async def test_batch_cancelled_anywhere_can_be_saved_again(store: Store, turns: int) -> None:
    """Wherever a save is cancelled, it has happened whole or not at all."""
    saving = asyncio.create_task(store.save([span(1), span(2, "other")]))
    for _ in range(turns):
        await asyncio.sleep(0)
    saving.cancel()
    await asyncio.wait([saving])

    await store.save([span(1), span(2, "other")])

    assert [1] == [found.id for found in await read(store)]
    assert [("ci-1", 1), ("other", 1)] == [(run.name, run.requests) for run in await store.runs()]


@given(
    saves=st.lists(
        st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 9), st.integers(0, 3)))
    ),
    again=st.sets(st.integers(0, 9)),
    after_id=st.integers(-1, 4 << BLOCK_BITS),
    batch=st.integers(1, 50),
)
async def test_whatever_ended_when_is_read_in_order_and_once(
    tmp_path_factory: pytest.TempPathFactory,
    saves: list[list[tuple[str, int, int]]],
    again: set[int],
    after_id: int,
    batch: int,
) -> None:
    """Pages overlap as they like, in few blocks or many, and some are saved twice."""
    store = await open_store(tmp_path_factory.mktemp("data") / "dawdle.db")
    runs: dict[int, str] = {}
    for number, spans in enumerate(saves):
        ids = {(block << BLOCK_BITS) + place: run for run, place, block in spans}
        fresh = [span(one, run) for one, run in ids.items() if one not in runs]
        runs |= {one.id: one.run for one in fresh}
        for _ in range(2 if number in again else 1):
            await store.save(fresh)
    found = {
        run: [
            one.id
            async for part in as_spans(store.columns(run, after_id=after_id, batch=batch))
            for one in part
        ]
        for run in "ab"
    }
    counted = {run.name: run.requests for run in await store.runs()}
    await store.close()

    assert {
        run: sorted(one for one, of in runs.items() if of == run and one > after_id) for run in "ab"
    } == found
    assert Counter(runs.values()) == counted


async def test_long_request_does_not_make_readers_hold_what_came_after_it(
    store: Store, path: Path
) -> None:
    """A page keeps to a block of ids, so who reads in order holds no more than a block."""
    late = 5 << BLOCK_BITS
    await store.save([span(1), span(late), span(late + 1)])

    with closing(sqlite3.connect(path)) as database:
        pages = database.execute("SELECT first_id, count FROM pages ORDER BY first_id").fetchall()

    assert [(1, 1), (late, 2)] == pages


async def test_runs_in_one_batch_are_kept_apart(store: Store) -> None:
    """A batch holds whatever ended; each span is in its own run."""
    await store.save([span(1, "a"), span(2, "b"), span(3, "a")])

    assert [1, 3] == [found.id for found in await read(store, "a")]
    assert [2] == [found.id for found in await read(store, "b")]


async def test_spans_come_in_order_of_arrival_whatever_ended_first(store: Store) -> None:
    """Order of arrival is order of ids, not of saving."""
    await store.save([span(3)])
    await store.save([span(1)])
    await store.save([span(2)])

    assert [1, 2, 3] == [found.id for found in await read(store)]


@pytest.mark.parametrize("batch", [1, 2, 3, 4, 100])
async def test_lists_are_bounded_and_lose_nothing(store: Store, batch: int) -> None:
    """Reading goes in lists of at most *batch*, also when the last one is full."""
    await store.save([span(number) for number in (1, 3, 4)])
    await store.save([span(2)])

    lists = [found async for found in as_spans(store.columns("ci-1", batch=batch))]

    assert max(map(len, lists)) <= batch
    assert [1, 2, 3, 4] == [one.id for found in lists for one in found]


@pytest.mark.parametrize("after_id", [0, 1, 2, 3, 4, 1 << BLOCK_BITS])
async def test_reading_can_begin_after_an_id(store: Store, after_id: int) -> None:
    """A reader goes on where it was, also in the middle of a page."""
    ids = [1, 2, 3, (1 << BLOCK_BITS) - 1, 1 << BLOCK_BITS, (1 << BLOCK_BITS) + 1]
    await store.save([span(number) for number in ids])

    found = [found.id for found in await read(store, after_id=after_id)]

    assert [number for number in ids if number > after_id] == found


async def test_small_pages_are_read_many_at_once(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slow trickle leaves a page for each span; reading it does not take a read for each."""
    await save_each(store, *(span(number) for number in range(1, 10)))
    reads = 0
    read_pages = store._database.read

    async def count(*arguments: Any) -> list[Any]:
        nonlocal reads
        reads += 1
        return await read_pages(*arguments)

    monkeypatch.setattr(store._database, "read", count)
    found = [one.id async for part in as_spans(store.columns("ci-1", batch=4)) for one in part]

    assert list(range(1, 10)) == found
    assert 4 == reads  # 4, 4, 1 and nothing more


async def test_unknown_run_has_no_spans(store: Store) -> None:
    """Nothing is stored of a run nobody used."""
    assert [] == await read(store, "nobody")


async def test_slow_reader_holds_no_snapshot(store: Store, path: Path) -> None:
    """Between two lists nothing is open, so the log can be checkpointed whole and cut."""
    await store.save([span(number) for number in range(1, 5)])
    reading = as_spans(store.columns("ci-1", batch=2))
    await anext(reading)
    await store.save([span(5)])

    with closing(sqlite3.connect(path)) as database:
        busy, _, _ = database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()

    assert 0 == busy
    assert [3, 4] == [found.id for found in await anext(reading)]


# --- runs ----------------------------------------------------------------------------------------


async def test_runs_tell_counts_and_last_arrival(store: Store) -> None:
    """A run made by name is empty; one made by its spans was created with the first of them."""
    await store.add_run("empty", 50)
    await store.save([span(3), span(2)])
    await store.save([span(1)], losses=[Loss("ci-1", 7)])

    assert [
        StoredRun("empty", 50, 0, 0, None),
        StoredRun("ci-1", 1_002, 3, 0, 1_003),
    ] == await store.runs()


async def test_first_span_of_an_empty_run_is_its_last_arrival(store: Store) -> None:
    """What was made by name or by a loss learns of arrivals by and by."""
    await store.save([], losses=[Loss("ci-1", 7, count=2)])
    await store.save([span(1)])

    assert [StoredRun("ci-1", 7, 1, 2, 1_001)] == await store.runs()


async def test_adding_a_run_again_keeps_it(store: Store) -> None:
    """A run is created once."""
    await store.add_run("ci-1", 50)
    await store.add_run("ci-1", 60)

    assert [50] == [run.created_ns for run in await store.runs()]


async def test_losses_add_up(store: Store) -> None:
    """Spans that could not be kept are counted, even when a run has no other."""
    await store.save([span(1)], losses=[Loss("ci-1", 7, count=2), Loss("b", 9, count=1)])
    await store.save([], losses=[Loss("ci-1", 8, count=3)])

    assert [("ci-1", 5, 1_001), ("b", 1, 9)] == [
        (run.name, run.dropped, run.created_ns) for run in await store.runs()
    ]


@pytest.mark.parametrize(("count", "left"), [(0, 5), (1, 4), (4, 1), (5, 0), (6, 0)])
async def test_trim_removes_the_oldest_and_counts_them(
    store: Store, monkeypatch: pytest.MonkeyPatch, count: int, left: int
) -> None:
    """The oldest spans leave, over as many chunks as it takes, and are counted as dropped."""
    monkeypatch.setattr(store_module, "CHUNK", 2)
    await save_each(store, *(span(number) for number in range(1, 6)))

    trimmed = await store.trim("ci-1", count)

    assert 5 - left == trimmed
    assert list(range(6 - left, 6)) == [found.id for found in await read(store)]
    assert [(left, 5 - left)] == [(run.requests, run.dropped) for run in await store.runs()]


async def test_trimmed_spans_leave_by_the_page(store: Store) -> None:
    """A page is removed whole: less than one more than was asked for, and truly counted."""
    await store.save([span(1), span(4)])
    await store.save([span(2), span(3)])
    await store.save([span(5)])

    trimmed = await store.trim("ci-1", 3)

    assert 4 == trimmed
    assert [5] == [found.id for found in await read(store)]
    assert [(1, 4, 1_005)] == [
        (run.requests, run.dropped, run.last_arrival_ns) for run in await store.runs()
    ]


async def test_trimming_an_unknown_run_removes_nothing(store: Store) -> None:
    """A run that was deleted meanwhile has nothing to trim."""
    assert 0 == await store.trim("nobody", 5)


async def test_deleted_run_is_gone_at_once_and_its_name_is_free(store: Store) -> None:
    """A run of the same name begins empty although the old one is not yet swept."""
    await store.save([span(1), span(2)])

    had = await store.delete_run("ci-1")
    await store.save([span(3)])

    assert 2 == had
    assert [3] == [found.id for found in await read(store)]
    assert [1] == [run.requests for run in await store.runs()]


async def test_deleting_an_unknown_run_is_nothing(store: Store) -> None:
    """Deleting twice is deleting once."""
    assert 0 == await store.delete_run("nobody")


async def test_sweep_takes_what_is_deleted_in_chunks_and_nothing_else(
    store: Store, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A large run leaves in small transactions, between which others write."""
    monkeypatch.setattr(store_module, "CHUNK", 2)
    await save_each(store, *(span(number) for number in range(1, 6)), span(6, "other"))
    await store.delete_run("ci-1")

    left = []
    while await store.sweep():
        with closing(sqlite3.connect(path)) as database:
            left += database.execute("SELECT count(*) FROM pages").fetchone()

    assert [4, 2, 1] == left
    assert ["other"] == [run.name for run in await store.runs()]


async def test_reader_of_a_deleted_run_never_sees_its_namesake(store: Store) -> None:
    """A list read before and one read after a deletion are not of two different runs."""
    await save_each(store, *(span(number) for number in range(1, 6)))
    reading = as_spans(store.columns("ci-1", batch=1))
    first = await anext(reading)
    await store.delete_run("ci-1")
    while await store.sweep():
        pass
    await store.save([span(6)])

    assert [span(1)] == first
    assert [[span(2)]] == [found async for found in reading]  # it was read with the first


async def test_reader_sees_what_a_trim_leaves(store: Store) -> None:
    """What leaves while it is read comes or not; the rest comes in order, once."""
    await save_each(store, *(span(number) for number in range(1, 7)))
    reading = as_spans(store.columns("ci-1", batch=1))
    await anext(reading)
    await store.trim("ci-1", 4)

    assert [2, 5, 6] == [one.id async for found in reading for one in found]


async def test_page_saved_while_reading_does_not_disturb_the_order(store: Store) -> None:
    """What is saved meanwhile comes in its place or not at all."""
    await save_each(store, span(10), span(20), span(30))
    reading = as_spans(store.columns("ci-1", batch=1))
    first = await anext(reading)
    await store.save([span(5), span(40)])
    await store.save([span(25), span(35)])

    assert [10] == [one.id for one in first]
    assert [20, 25, 30, 35] == [one.id async for found in reading for one in found]


async def test_failed_batch_is_stored_not_at_all(store: Store, path: Path) -> None:
    """A batch is one transaction; after a failure the next one works."""
    with closing(sqlite3.connect(path)) as database:
        database.execute(
            "CREATE TRIGGER full BEFORE INSERT ON pages WHEN new.first_id = 2 "
            "BEGIN SELECT raise(ABORT, 'full'); END"
        )
    with pytest.raises(StoreError):
        await store.save([span(1, "a"), span(2, "b")])

    await store.save([span(3)])

    assert [3] == [found.id for found in await read(store)]
