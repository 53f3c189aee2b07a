"""
The SQL of runs and their ended spans; dataclasses in and out.

Spans lie in pages, one row for what was saved of a run at once: a row for each span would cost
three times as much to write, and more to read.

No read outlasts one batch, so a report never holds back a checkpoint.
"""

import json
import sqlite3
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import Any, TypeVar

import orjson

from app.columns import READ_BATCH, Column, Columns, joined
from app.database import Database, StoreError, one_number, open_database, unusable
from app.spans import FIELDS, Kind, Outcome, Span

CHUNK = 5_000  # spans removed in one transaction, or one page more; some 5 ms

MOST_PAGES = 256  # that one read looks at: of full ones two are enough, of a trickle's many

# Pages are filled in order of end and read in order of arrival. A page keeps to one block of ids,
# so a reader who puts them in order holds a block at most, however long single requests took.
BLOCK_BITS = 14

# MIGRATIONS[n] leads from schema n (PRAGMA user_version) to n + 1; a released one never changes.
# A run without a name was deleted; its spans are being swept away. Ids of runs are not reused.
#
# `spans` is a JSON object of columns: under the name of each of FIELDS but `run` an array with the
# value of every span, or that value alone where all have the same (never for `id`). A field that a
# page does not know has its default. Columns take half the bytes and time of rows. JSON, since
# every version of Python reads it, it can do nothing but be data, it escapes what is no Unicode
# (lone surrogates of a header), and SQLite can look into it:
#
#   SELECT runs.name, id.value AS id,
#          spans ->> (CASE json_type(spans, '$.status') WHEN 'array'
#                     THEN '$.status[' || id.key || ']' ELSE '$.status' END) AS status
#   FROM runs JOIN pages ON run_id = runs.id JOIN json_each(spans, '$.id') AS id ORDER BY id;
MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE boots (number INTEGER NOT NULL);
    INSERT INTO boots VALUES (0);

    CREATE TABLE runs (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        name TEXT UNIQUE,
        created_ns INTEGER NOT NULL,
        last_arrival_ns INTEGER,
        requests INTEGER NOT NULL DEFAULT 0,
        dropped INTEGER NOT NULL DEFAULT 0
    );

    CREATE TABLE pages (
        run_id INTEGER NOT NULL,
        first_id INTEGER NOT NULL,
        count INTEGER NOT NULL,
        spans TEXT NOT NULL,
        PRIMARY KEY (run_id, first_id, count)
    );

    CREATE TRIGGER page_saved AFTER INSERT ON pages BEGIN
        UPDATE runs SET requests = requests + new.count WHERE id = new.run_id;
    END;
    """,
)

RUNS = """
    SELECT name, created_ns, requests, dropped, last_arrival_ns
    FROM runs WHERE name IS NOT NULL ORDER BY id
"""

ADD_RUN = """
    INSERT INTO runs (name, created_ns, last_arrival_ns, dropped) VALUES (?, ?, ?, ?)
    ON CONFLICT (name) DO UPDATE SET dropped = dropped + excluded.dropped, last_arrival_ns =
        coalesce(max(last_arrival_ns, excluded.last_arrival_ns), excluded.last_arrival_ns,
                 last_arrival_ns)
"""

ADD_PAGE = """
    INSERT INTO pages SELECT id, ?, ?, ? FROM runs WHERE name = ? ON CONFLICT DO NOTHING
"""

# The next pages of a run, as few as hold so many spans, and at most so many. The key alone answers
# this, for it tells how many spans are in a page.
NEXT = """
    FROM (
        SELECT first_id, count, sum(count) OVER (ORDER BY first_id) - count AS before FROM pages
        WHERE run_id = :run AND first_id > :after ORDER BY first_id LIMIT :pages
    ) WHERE before < :spans
"""

NEXT_PAGES = f"""
    SELECT spans FROM pages
    WHERE run_id = :run AND first_id > :after AND first_id <= (SELECT max(first_id) {NEXT})
    ORDER BY first_id
"""  # noqa: S608 - our own words

NEXT_PLACE = f"SELECT max(first_id), total(count) {NEXT}"

RUN_ID = "SELECT id FROM runs WHERE name = ?"

T = TypeVar("T")

_COLUMNS = tuple(name for name in FIELDS if name != "run")
_DEFAULTS = {field.name: field.default for field in fields(Span)}
_by_id = attrgetter("id")

_KINDS = {kind.value: kind for kind in Kind}
_OUTCOMES = {outcome.value: outcome for outcome in Outcome}

# Without spaces, and without looking for values that hold themselves: there are none.
_json = json.JSONEncoder(check_circular=False, separators=(",", ":")).encode


@dataclass(frozen=True, slots=True)
class StoredRun:
    """A run as it stands on disk; moments are nanoseconds since the Unix epoch."""

    name: str
    created_ns: int
    requests: int  # spans that are stored
    dropped: int  # spans that were not kept
    last_arrival_ns: int | None  # of all that were ever stored; None without any


@dataclass(slots=True)
class Loss:
    """Spans of a run that nobody will see again, for a limit was reached."""

    run: str
    first_arrival_ns: int
    count: int = 0


@dataclass(frozen=True, slots=True)
class Page:
    """What is saved of a run at once and lies within one block of ids, in order of arrival."""

    run: str
    first_id: int
    count: int
    first_arrival_ns: int
    last_arrival_ns: int
    spans: str  # JSON


class Store:
    """
    What outlives the process. Made by `open_store`; one a data folder.

    Every method raises `StoreError` when the disk fails, and then has changed nothing.
    """

    def __init__(self, database: Database, *, boot: int) -> None:
        self.boot = boot  # how often this data folder was opened, this time included
        self._database = database
        self._writer = database.writer

    async def close(self) -> None:
        """Close the database and let another process have the data folder."""
        await self._database.close()

    # --- writing ---------------------------------------------------------------------------------

    async def save(self, spans: Sequence[Span], *, losses: Iterable[Loss] = ()) -> int:
        """
        Store ended spans and count lost ones, in one transaction; how many spans were new.

        Runs are made as needed. A span is saved in one batch only; after an error, which may have
        come when it was stored already, that batch can be saved again, runs left out or not.
        """
        pages = _pages(spans)
        new = 0
        async with self._database.transaction():
            await self._writer.executemany(ADD_RUN, _runs(pages, losses))
            for page in pages:
                row = (page.first_id, page.count, page.spans, page.run)
                new += page.count * (await self._writer.execute(ADD_PAGE, row)).rowcount
        return new

    async def add_run(self, name: str, created_ns: int) -> None:
        """Make a run without spans; one that exists stays as it is."""
        async with self._database.transaction():
            await self._writer.execute(ADD_RUN, (name, created_ns, None, 0))

    async def delete_run(self, name: str) -> int:
        """
        Forget a run at once, however large; how many spans it had. The name is free again.

        `sweep` gives the space back afterwards, in steps.
        """
        async with self._database.transaction():
            requests = await one_number(
                self._writer, "SELECT requests FROM runs WHERE name = ?", (name,)
            )
            await self._writer.execute("UPDATE runs SET name = NULL WHERE name = ?", (name,))
        return requests or 0

    async def sweep(self) -> bool:
        """Remove one chunk of what deleted runs left behind; whether there may be more."""
        async with self._database.transaction():
            left = await one_number(self._writer, "SELECT id FROM runs WHERE name IS NULL LIMIT 1")
            if left is None:
                return False
            if await self._remove_oldest(left, CHUNK) < CHUNK:
                await self._writer.execute("DELETE FROM runs WHERE id = ?", (left,))
        return True

    async def trim(self, run: str, count: int) -> int:
        """
        Remove the oldest spans of a run and count them as dropped; how many.

        They leave by the page: at least *count*, if there are so many, and less than a page more.
        """
        removed = 0
        while removed < count and (chunk := await self._trim(run, min(count - removed, CHUNK))):
            removed += chunk
        return removed

    async def _trim(self, run: str, count: int) -> int:
        async with self._database.transaction():
            number = await one_number(self._writer, RUN_ID, (run,))
            if number is None:
                return 0
            removed = await self._remove_oldest(number, count)
            await self._writer.execute(
                "UPDATE runs SET requests = requests - ?, dropped = dropped + ? WHERE id = ?",
                (removed, removed, number),
            )
        return removed

    async def _remove_oldest(self, number: int, count: int) -> int:
        which = {"run": number, "after": -1, "spans": count, "pages": count}
        [(newest, removed)] = await self._writer.execute_fetchall(NEXT_PLACE, which)
        await self._writer.execute(
            "DELETE FROM pages WHERE run_id = ? AND first_id <= ?", (number, newest)
        )
        return int(removed)

    # --- reading ---------------------------------------------------------------------------------

    async def runs(self) -> list[StoredRun]:
        """Every run, in the order they were made."""
        return await self._database.read(RUNS, (), lambda _cursor, row: StoredRun(*row))

    async def columns(
        self, run: str, *, after_id: int = 0, batch: int = READ_BATCH
    ) -> AsyncIterator[Columns]:
        """
        The stored spans of a run in order of arrival, at most *batch* at a time.

        Read as they are asked for: in between nothing is open, so a slow consumer costs
        nothing and one that leaves need not say so. Spans removed meanwhile may be left out, and
        so may those that are saved meanwhile.
        """
        number = await one_number(self._database.reader, RUN_ID, (run,))
        after = _before_block(after_id)
        which = {"run": number, "after": after, "spans": batch, "pages": MOST_PAGES}
        waiting: list[Columns] = []  # a page that is still to be read may come in between
        while pages := await self._database.read(NEXT_PAGES, which, partial(_columns, run)):
            last = pages.pop()
            which["after"] = newest = last.ids[0]
            found = joined([*waiting, *pages])
            ready = bisect_left(found.ids, newest)
            for piece in _after(after_id, found.part(0, ready)).pieces(batch):
                yield piece
            waiting = [found.part(ready), last]
        for piece in _after(after_id, joined(waiting)).pieces(batch):
            yield piece


def _pages(spans: Iterable[Span]) -> list[Page]:
    by_page: defaultdict[tuple[str, int], list[Span]] = defaultdict(list)
    for span in spans:
        by_page[span.run, span.id >> BLOCK_BITS].append(span)
    return [_page(run, its) for (run, _), its in by_page.items()]


def _page(run: str, spans: list[Span]) -> Page:
    spans.sort(key=_by_id)
    first, last = spans[0], spans[-1]
    columns = Columns.of(spans).fields
    text = _written({name: columns[name] for name in _COLUMNS})
    return Page(run, first.id, len(spans), first.arrival_ns, last.arrival_ns, text)


def _written(page: dict[str, Any]) -> str:
    try:
        return orjson.dumps(page).decode()
    except orjson.JSONEncodeError:  # what is no Unicode: see above
        return _json(page)


def _runs(
    pages: Iterable[Page], losses: Iterable[Loss]
) -> Iterator[tuple[str, int, int | None, int]]:
    """What `ADD_RUN` needs to know."""
    for page in pages:
        yield page.run, page.first_arrival_ns, page.last_arrival_ns, 0
    for loss in losses:
        yield loss.run, loss.first_arrival_ns, None, loss.count


def _columns(run: str, _cursor: sqlite3.Cursor, row: tuple[str]) -> Columns:
    """The spans of a page."""
    page = _DEFAULTS | _read(row[0]) | {"run": run}
    page["kind"] = _named(page["kind"], _KINDS)
    page["outcome"] = _named(page["outcome"], _OUTCOMES)
    return Columns(page)


def _read(text: str) -> dict[str, Any]:
    try:
        page: dict[str, Any] = orjson.loads(text)
    except orjson.JSONDecodeError:  # what is no Unicode: see above
        page = json.loads(text)
    return page


def _named(values: Column, members: Mapping[str, T]) -> list[T] | T:
    """The members of an enumeration for a column of their names."""
    if isinstance(values, list):
        return list(map(members.__getitem__, values))
    return members[values]


def _before_block(number: int) -> int:
    """The greatest id in the blocks before that of *number*."""
    return (number >> BLOCK_BITS << BLOCK_BITS) - 1


def _after(number: int, columns: Columns) -> Columns:
    """Those after that id."""
    start = bisect_right(columns.ids, number)
    return columns.part(start) if start else columns


# --- opening -------------------------------------------------------------------------------------


async def open_store(path: Path) -> Store:
    """
    Open the database at *path*, making it and its folder as needed, for this process alone.

    Raises:
        Fatal: see `open_database`.
    """
    # Our pages are large: half the time to fetch them.
    database = await open_database(path, MIGRATIONS, page_size=16_384)
    try:
        return Store(database, boot=await _count_boot(database))
    except StoreError as error:
        await database.close()
        raise unusable(path, error) from error


async def _count_boot(database: Database) -> int:
    async with database.transaction():
        await database.writer.execute("UPDATE boots SET number = number + 1")
        return await one_number(database.writer, "SELECT number FROM boots") or 0
