import asyncio
import os
import sqlite3
import sys
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app import store as store_module
from app.errors import Fatal
from app.spans import FIELDS, Kind, Outcome, Span, span_id
from app.store import INSERT_SIZES, MIGRATIONS, Loss, Store, StoredRun, StoreError, open_store


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


async def read(store: Store, run: str = "ci-1", **options: int) -> list[Span]:
    return [span async for batch in store.spans(run, **options) for span in batch]


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


def test_columns_are_the_fields_of_a_span() -> None:
    """Rows become spans by position, so the order of the columns is that of the fields."""
    with closing(sqlite3.connect(":memory:")) as database:
        for migration in MIGRATIONS:
            database.executescript(migration)
        columns = [column[1] for column in database.execute("PRAGMA table_info(spans)")]

    assert ["run_id", *(name for name in FIELDS if name != "run")] == columns


async def test_every_field_comes_back(store: Store) -> None:
    """A span reads back as it was, enums included."""
    full = Span(
        span_id(7, 3), "ci-1", Kind.WEBSOCKET, "POST", "/aio?ключ=1", 1_700_000_000_000_000_000,
        "k", 2, 3, 4, "1.1", "curl", 5, 6, 7, 8, 0.01, 9, 10, 11, 12, 13, 503, "reset",
        Outcome.FAULTED, "client", 14, 2**40,
    )  # fmt: skip

    await store.save([full])

    assert [full] == await read(store)


async def test_text_that_is_no_unicode_is_stored_with_question_marks(store: Store) -> None:
    """Bytes of a header that were no UTF-8 spoil neither their span nor its batch."""
    await store.save([span(1), span(2, user_agent="caf\udce9")])

    assert [None, "caf?"] == [found.user_agent for found in await read(store)]


@pytest.mark.parametrize("count", [0, 1, 3, 4, 5, 31, 33, *(size + 1 for size in INSERT_SIZES)])
async def test_batch_of_any_size_is_stored_whole(store: Store, count: int) -> None:
    """Rows go in pieces of a few sizes; nothing is left over."""
    spans = [span(number) for number in range(1, count + 1)]

    new = await store.save(spans)

    assert count == new
    assert spans == await read(store)


async def test_saving_again_changes_nothing(store: Store) -> None:
    """A batch whose commit may have failed can be saved again."""
    await store.save([span(1), span(2)])

    new = await store.save([span(2, status=500), span(3)])

    assert 1 == new
    assert [span(1), span(2), span(3)] == await read(store)
    assert 3 == (await store.runs())[0].requests


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
    await store.save([span(number) for number in range(1, 5)])

    lists = [found async for found in store.spans("ci-1", batch=batch)]

    assert max(map(len, lists)) <= batch
    assert [1, 2, 3, 4] == [one.id for found in lists for one in found]


async def test_reading_can_begin_after_an_id(store: Store) -> None:
    """A reader goes on where it was."""
    await store.save([span(1), span(2), span(3)])

    assert [3] == [found.id for found in await read(store, after_id=2)]


async def test_unknown_run_has_no_spans(store: Store) -> None:
    """Nothing is stored of a run nobody used."""
    assert [] == await read(store, "nobody")


async def test_slow_reader_holds_no_snapshot(store: Store, path: Path) -> None:
    """Between two lists nothing is open, so the log can be checkpointed whole and cut."""
    await store.save([span(number) for number in range(1, 5)])
    reading = store.spans("ci-1", batch=2)
    await anext(reading)
    await store.save([span(5)])

    with closing(sqlite3.connect(path)) as database:
        busy, _, _ = database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()

    assert 0 == busy
    assert [3, 4] == [found.id for found in await anext(reading)]


# --- runs ----------------------------------------------------------------------------------------


async def test_runs_tell_counts_and_arrivals(store: Store) -> None:
    """A run made by name is empty; one made by its spans was created with the first of them."""
    await store.add_run("empty", 50)
    await store.save([span(1), span(2), span(3)])

    assert [
        StoredRun("empty", 50, 0, 0, None, None),
        StoredRun("ci-1", 1_001, 3, 0, 1_001, 1_003),
    ] == await store.runs()


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
    await store.save([span(number) for number in range(1, 6)])

    trimmed = await store.trim("ci-1", count)

    assert 5 - left == trimmed
    assert list(range(6 - left, 6)) == [found.id for found in await read(store)]
    assert [(left, 5 - left)] == [(run.requests, run.dropped) for run in await store.runs()]


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
    await store.save([*(span(number) for number in range(1, 6)), span(6, "other")])
    await store.delete_run("ci-1")

    left = []
    while await store.sweep():
        with closing(sqlite3.connect(path)) as database:
            left += database.execute("SELECT count(*) FROM spans").fetchone()

    assert [4, 2, 1] == left
    assert ["other"] == [run.name for run in await store.runs()]


async def test_reader_of_a_deleted_run_never_sees_its_namesake(store: Store) -> None:
    """A list read before and one read after a deletion are not of two different runs."""
    await store.save([span(1), span(2)])
    reading = store.spans("ci-1", batch=1)
    await anext(reading)
    await store.delete_run("ci-1")
    while await store.sweep():
        pass
    await store.save([span(3)])

    assert [] == [found async for found in reading]


async def test_failed_batch_is_stored_not_at_all(store: Store) -> None:
    """A batch is one transaction; after a failure the next one works."""
    bad = span(2, method=None)
    with pytest.raises(StoreError):
        await store.save([span(1), bad])

    await store.save([span(3)])

    assert [3] == [found.id for found in await read(store)]


@given(
    batches=st.lists(
        st.lists(st.tuples(st.sampled_from("ab"), st.integers(1, 30)), max_size=8), max_size=6
    )
)
async def test_counts_are_those_of_the_spans(
    tmp_path_factory: pytest.TempPathFactory, batches: list[list[tuple[str, int]]]
) -> None:
    """The count kept with a run is that of its spans, whatever was saved twice."""
    store = await open_store(tmp_path_factory.mktemp("data") / "dawdle.db")
    for batch in batches:
        await store.save([span(number, run) for run, number in batch])

    expected = {
        run: sorted({number for batch in batches for name, number in batch if name == run})
        for run in "ab"
    }
    found = {run: [one.id for one in await read(store, run)] for run in "ab"}
    counted = {run.name: run.requests for run in await store.runs()}
    await store.close()

    assert expected == found
    assert {run: len(ids) for run, ids in expected.items() if ids} == counted
