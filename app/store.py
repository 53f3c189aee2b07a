"""
All SQL: runs and their ended spans in one SQLite file; dataclasses in and out.

One connection writes and another reads (WAL), so a report never blocks the writer. No read
outlasts one batch, so a slow reader never holds back a checkpoint.
"""

import asyncio
import sqlite3
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import cache
from itertools import chain
from operator import attrgetter
from pathlib import Path
from typing import Any, TypeVar, cast

import aiosqlite

from app.errors import Fatal
from app.spans import FIELDS, Kind, Outcome, Span

StoreError = sqlite3.Error  # what every method here may raise when the disk fails

READ_BATCH = 2_000  # spans a list; rows become spans in the reader's thread
CHUNK = 5_000  # spans removed in one transaction, some 5 ms
BUSY_TIMEOUT_S = 5.0

# How many rows one INSERT may carry. Every statement gives the interpreter lock away once and has
# to win it back from a busy event loop: with `executemany`, a statement a row, a span took 3 to 5
# times as long to store. The few sizes keep the prepared statements few. SQLite binds at most
# 32,766 values a statement, before 3.32 it was 999 (sqlite.org/limits.html).
_MOST_VALUES = 32_766 if sqlite3.sqlite_version_info >= (3, 32) else 999
INSERT_SIZES = tuple(size for size in (256, 32, 4, 1) if size * len(FIELDS) <= _MOST_VALUES)

# MIGRATIONS[n] leads from schema n (PRAGMA user_version) to n + 1; a released one never changes.
# A run without a name was deleted; its spans are being swept away. Ids of runs are not reused.
MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE boots (number INTEGER NOT NULL);
    INSERT INTO boots VALUES (0);

    CREATE TABLE runs (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        name TEXT UNIQUE,
        created_ns INTEGER NOT NULL,
        requests INTEGER NOT NULL DEFAULT 0,
        dropped INTEGER NOT NULL DEFAULT 0
    );

    CREATE TABLE spans (
        run_id INTEGER NOT NULL,
        id INTEGER NOT NULL,
        kind TEXT NOT NULL,
        method TEXT NOT NULL,
        target TEXT NOT NULL,
        arrival_ns INTEGER NOT NULL,
        key TEXT,
        attempt INTEGER,
        connection INTEGER NOT NULL,
        connection_request INTEGER NOT NULL,
        http_version TEXT,
        user_agent TEXT,
        in_flight INTEGER NOT NULL,
        queue_wait_ns INTEGER NOT NULL,
        barrier_wait_ns INTEGER NOT NULL,
        delay_ns INTEGER,
        time_scale REAL NOT NULL,
        drip INTEGER,
        wait_begun_ns INTEGER,
        first_byte_ns INTEGER,
        last_byte_ns INTEGER,
        end_ns INTEGER,
        status INTEGER,
        fault TEXT,
        outcome TEXT NOT NULL,
        ended_by TEXT,
        bytes_in INTEGER NOT NULL,
        bytes_out INTEGER NOT NULL,
        PRIMARY KEY (run_id, id)
    ) WITHOUT ROWID;
    """,
)

RUNS = """
    SELECT name, created_ns, requests, dropped,
           (SELECT arrival_ns FROM spans WHERE run_id = runs.id ORDER BY id LIMIT 1),
           (SELECT arrival_ns FROM spans WHERE run_id = runs.id ORDER BY id DESC LIMIT 1)
    FROM runs WHERE name IS NOT NULL ORDER BY id
"""

ADD_RUN = """
    INSERT INTO runs (name, created_ns, dropped) VALUES (?, ?, ?)
    ON CONFLICT (name) DO UPDATE SET dropped = dropped + excluded.dropped
"""

REMOVE_OLDEST = """
    DELETE FROM spans WHERE run_id = ? AND id <= (
        SELECT max(id) FROM (SELECT id FROM spans WHERE run_id = ? ORDER BY id LIMIT ?)
    )
"""

RUN_ID = "SELECT id FROM runs WHERE name = ?"

_COLUMNS = tuple(name for name in FIELDS if name != "run")
SPANS = f"""
    SELECT {", ".join("?" if name == "run" else name for name in FIELDS)}
    FROM spans WHERE run_id = ? AND id > ? ORDER BY id LIMIT ?
"""  # noqa: S608 - our own names

T = TypeVar("T")

_PLACES = f"({', '.join('?' * len(FIELDS))})"
_KINDS = {kind.value: kind for kind in Kind}
_OUTCOMES = {outcome.value: outcome for outcome in Outcome}

# An enum's `value` is a property written in Python, three times as slow as its own attribute.
_PLAIN = {"kind": "kind._value_", "outcome": "outcome._value_"}
_values: Callable[[Span], tuple[Any, ...]] = attrgetter(*(_PLAIN.get(c, c) for c in _COLUMNS))


@dataclass(frozen=True, slots=True)
class StoredRun:
    """A run as it stands on disk; moments are nanoseconds since the Unix epoch."""

    name: str
    created_ns: int
    requests: int  # spans that are stored
    dropped: int  # spans that were not kept
    first_arrival_ns: int | None  # of the stored spans; None without any
    last_arrival_ns: int | None


@dataclass(slots=True)
class Loss:
    """Spans of a run that nobody will see again, for a limit was reached."""

    run: str
    first_arrival_ns: int
    count: int = 0


class Store:
    """
    What outlives the process. Made by `open_store`; one a data folder.

    Every method raises `StoreError` when the disk fails, and then has changed nothing.
    """

    def __init__(
        self,
        writer: aiosqlite.Connection,
        reader: aiosqlite.Connection,
        resources: AsyncExitStack,
        *,
        boot: int,
    ) -> None:
        self.boot = boot  # how often this data folder was opened, this time included
        self._writer = writer
        self._reader = reader
        self._resources = resources
        self._writing = asyncio.Lock()

    async def close(self) -> None:
        """Close the database and let another process have the data folder."""
        async with self._writing:
            await self._resources.aclose()

    # --- writing ---------------------------------------------------------------------------------

    async def save(self, spans: Sequence[Span], *, losses: Iterable[Loss] = ()) -> int:
        """
        Store ended spans and count lost ones, in one transaction; how many spans were new.

        Runs are made as needed. A span already stored stays as it is, so saving again what may
        have been saved is harmless. Text that is no Unicode (lone surrogates) is stored with `?`.
        """
        by_run: defaultdict[str, list[Span]] = defaultdict(list)
        for span in spans:
            by_run[span.run].append(span)
        async with self._transaction():
            new = 0
            for run, group in by_run.items():
                new += await self._insert(await self._run(run, group[0].arrival_ns), group)
            for loss in losses:
                await self._run(loss.run, loss.first_arrival_ns, dropped=loss.count)
        return new

    async def add_run(self, name: str, created_ns: int) -> None:
        """Make a run without spans; one that exists stays as it is."""
        async with self._transaction():
            await self._run(name, created_ns)

    async def delete_run(self, name: str) -> int:
        """
        Forget a run at once, however large; how many spans it had. The name is free again.

        `sweep` gives the space back afterwards, in steps.
        """
        async with self._transaction():
            requests = await _number(
                self._writer, "SELECT requests FROM runs WHERE name = ?", (name,)
            )
            await self._writer.execute("UPDATE runs SET name = NULL WHERE name = ?", (name,))
        return requests or 0

    async def sweep(self) -> bool:
        """Remove one chunk of what deleted runs left behind; whether there may be more."""
        async with self._transaction():
            number = await _number(self._writer, "SELECT id FROM runs WHERE name IS NULL LIMIT 1")
            if number is None:
                return False
            if await self._remove_oldest(number, CHUNK) < CHUNK:
                await self._writer.execute("DELETE FROM runs WHERE id = ?", (number,))
        return True

    async def trim(self, run: str, count: int) -> int:
        """Remove the *count* oldest spans of a run and count them as dropped; how many it had."""
        removed = 0
        while removed < count and (chunk := await self._trim(run, min(count - removed, CHUNK))):
            removed += chunk
        return removed

    async def _trim(self, run: str, count: int) -> int:
        async with self._transaction():
            number = await _number(self._writer, RUN_ID, (run,))
            if number is None:
                return 0
            removed = await self._remove_oldest(number, count)
            await self._writer.execute(
                "UPDATE runs SET requests = requests - ?, dropped = dropped + ? WHERE id = ?",
                (removed, removed, number),
            )
        return removed

    async def _remove_oldest(self, number: int, count: int) -> int:
        return (await self._writer.execute(REMOVE_OLDEST, (number, number, count))).rowcount

    async def _run(self, name: str, created_ns: int, *, dropped: int = 0) -> int | None:
        """The number of the run of that name, made if need be."""
        await self._writer.execute(ADD_RUN, (name, created_ns, dropped))
        return await _number(self._writer, RUN_ID, (name,))

    async def _insert(self, number: int | None, spans: Sequence[Span]) -> int:
        new = 0
        for part in _parts(spans, INSERT_SIZES):
            cells = chain.from_iterable((number, *_values(span)) for span in part)
            new += await self._insert_rows(len(part), tuple(cells))
        await self._writer.execute(
            "UPDATE runs SET requests = requests + ? WHERE id = ?", (new, number)
        )
        return new

    async def _insert_rows(self, count: int, cells: tuple[object, ...]) -> int:
        try:
            return (await self._writer.execute(_insert_sql(count), cells)).rowcount
        except UnicodeEncodeError:
            repaired = tuple(map(_encodable, cells))
            return (await self._writer.execute(_insert_sql(count), repaired)).rowcount

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[None]:
        """
        All or nothing. IMMEDIATE: a deferred transaction that reads first fails when it writes.

        The roll-back is shielded, for it has to reach the connection even when the caller is
        cancelled; the connection does one thing after the other, so nothing overtakes it.
        """
        async with self._writing:
            try:
                await self._writer.execute("BEGIN IMMEDIATE")
                yield
                await self._writer.commit()
            except BaseException:
                await asyncio.shield(self._writer.rollback())
                raise

    # --- reading ---------------------------------------------------------------------------------

    async def runs(self) -> list[StoredRun]:
        """Every run, in the order they were made."""
        return await self._read(RUNS, (), lambda _cursor, row: StoredRun(*row))

    async def spans(
        self, run: str, *, after_id: int = 0, batch: int = READ_BATCH
    ) -> AsyncIterator[list[Span]]:
        """
        The stored spans of a run in order of arrival, in lists of at most *batch*.

        Read as they are asked for: between two lists nothing is open, so a slow consumer costs
        nothing and one that leaves need not say so. Spans removed meanwhile are left out.
        """
        number = await _number(self._reader, RUN_ID, (run,))
        while found := await self._read(SPANS, (run, number, after_id, batch), _span):
            yield found
            after_id = found[-1].id

    async def _read(
        self, sql: str, parameters: Sequence[object], make: Callable[[sqlite3.Cursor, Any], T]
    ) -> list[T]:
        """The rows, each made into a value in the reader's own thread."""
        async with self._reader.cursor() as cursor:
            cursor.row_factory = make  # type: ignore[assignment]  # declared too narrowly
            await cursor.execute(sql, parameters)
            return cast("list[T]", await cursor.fetchall())


async def _number(
    connection: aiosqlite.Connection, sql: str, parameters: Sequence[object] = ()
) -> int | None:
    """The one number that *sql* selects; None when there is no row."""
    rows = await connection.execute_fetchall(sql, parameters)
    return next((int(number) for (number,) in rows), None)


def _span(_cursor: sqlite3.Cursor, row: Sequence[Any]) -> Span:
    """Built by position and then put right: a third less time for a read than by keywords."""
    span = Span(*row)
    span.kind = _KINDS[span.kind]
    span.outcome = _OUTCOMES[span.outcome]
    return span


def _encodable(value: object) -> object:
    """The value with `?` for what UTF-8 can't say: bytes of a header that were no text."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value


def _parts(spans: Sequence[Span], sizes: tuple[int, ...]) -> Iterator[Sequence[Span]]:
    """The spans in pieces of the given sizes, the largest first; the last size is 1."""
    start = 0
    for size in sizes:
        while len(spans) - start >= size:
            yield spans[start : start + size]
            start += size


@cache
def _insert_sql(count: int) -> str:
    places = ", ".join([_PLACES] * count)
    return f"INSERT INTO spans VALUES {places} ON CONFLICT DO NOTHING"  # noqa: S608 - only `?`


# --- opening -------------------------------------------------------------------------------------


async def open_store(path: Path) -> Store:
    """
    Open the database at *path*, making it and its folder as needed, for this process alone.

    Raises:
        Fatal: the folder can't be written, another process has it, the file is no database of
            ours, or a newer Dawdle made it.
    """
    async with AsyncExitStack() as resources:
        resources.callback(_claim(path).close)
        try:
            writer = await resources.enter_async_context(_connect(path))
            await _prepare(writer, path)
            reader = await resources.enter_async_context(_connect(path))
            await reader.execute("PRAGMA query_only = ON")
            boot = await _count_boot(writer)
        except StoreError as error:
            raise Fatal(
                f"{path} can't be used as the database ({error}); move it away or choose another "
                "data folder"
            ) from error
        return Store(writer, reader, resources.pop_all(), boot=boot)


def _connect(path: Path) -> aiosqlite.Connection:
    return aiosqlite.connect(path, isolation_level=None, timeout=BUSY_TIMEOUT_S)


def _claim(path: Path) -> sqlite3.Connection:
    """
    The data folder, for as long as the connection is open and the process lives.

    An exclusive transaction on an empty database beside the real one: SQLite knows how to lock a
    file on every system, and the system releases it whatever becomes of the process.
    """
    claim: sqlite3.Connection | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        claim = sqlite3.connect(path.with_suffix(".lock"), isolation_level=None, timeout=0)
        claim.execute("BEGIN EXCLUSIVE")
    except (OSError, StoreError) as error:
        if claim is not None:
            claim.close()
        raise Fatal(_refusal(path.parent, error)) from error
    return claim


def _refusal(folder: Path, error: Exception) -> str:
    if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY:
        return (
            f"the data folder {folder} is in use by another Dawdle; stop that one or choose "
            "another folder"
        )
    return (
        f"the data folder {folder} can't be written ({error}); make it writable or choose "
        "another folder"
    )


async def _prepare(writer: aiosqlite.Connection, path: Path) -> None:
    """Set the connection up and bring the schema up to date, all of it or nothing."""
    await writer.execute("PRAGMA journal_mode = WAL")
    await writer.execute("PRAGMA synchronous = NORMAL")  # WAL: a power cut never damages the file
    version = await _number(writer, "PRAGMA user_version") or 0
    if version > len(MIGRATIONS):
        raise Fatal(
            f"{path} was made by a newer Dawdle (schema {version}, this one knows "
            f"{len(MIGRATIONS)}); update Dawdle or choose another data folder"
        )
    for number, migration in enumerate(MIGRATIONS[version:], start=version + 1):
        await writer.executescript(
            f"BEGIN IMMEDIATE; {migration}; PRAGMA user_version = {number}; COMMIT;"
        )


async def _count_boot(writer: aiosqlite.Connection) -> int:
    await writer.execute("UPDATE boots SET number = number + 1")
    return await _number(writer, "SELECT number FROM boots") or 0
