"""
The SQL of title jobs: their URLs, the state of each, and results; dataclasses in and out.

A URL is an item of its job. It is ready, leased by the process that is to fetch it, waiting for a
moment, a suspect, or done. Its result and its being done are written in one transaction, so at no
moment is a URL lost, or there twice.
"""

import json
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from app.database import Database, one_number, open_database
from app.titles import options
from app.titles.intake import Entry
from app.titles.job import Sort, State
from app.titles.options import Options
from app.titles.results import Result, from_record, record
from app.titles.schedule import Away, Item
from app.titles.window import Wish

READ_BATCH = 1_000  # results a read
CHUNK = 5_000  # rows removed in one transaction
NEWEST = (1 << 63) - 1  # a serial that none exceeds

# An item that was leased when the process died may be why. At first it is fetched again like any
# other. After ALONE such crashes it is a suspect: it waits for a while, twice as long each time,
# and but one suspect is under way at a time, so the guilty are told from those beside them and the
# service has time for the others. After MOST_CRASHES it has had its chances. An innocent page
# hardly gets there, even in a service that is killed again and again.
ALONE = 5
MOST_CRASHES = 8
SUSPICION_NS = 10 * options.SECOND  # the first wait

READY, LEASED, WAITING, SUSPECT, DONE = range(5)  # states of an item

# States of a job that no user sees: not yet whole, and being removed.
ADDING, LEAVING = "adding", "leaving"

# A row of `results` is a line of the file: JSON. `serial` is the order of completion; `code` is
# that of the error, empty without one. `host` is the position of the first URL of the same host.
MIGRATIONS: tuple[str, ...] = (
    f"""
    CREATE TABLE jobs (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        label TEXT NOT NULL,
        state TEXT NOT NULL,
        options TEXT NOT NULL,
        created_ns INTEGER NOT NULL,
        started_ns INTEGER,
        ended_ns INTEGER,
        urls INTEGER NOT NULL DEFAULT 0,
        repeats INTEGER NOT NULL DEFAULT 0,
        round INTEGER NOT NULL DEFAULT 0,
        filed INTEGER NOT NULL DEFAULT 0
    );

    CREATE TABLE items (
        job INTEGER NOT NULL,
        position INTEGER NOT NULL,
        url TEXT NOT NULL,
        host INTEGER NOT NULL,
        name TEXT NOT NULL,
        state INTEGER NOT NULL,
        attempts INTEGER NOT NULL DEFAULT 0,
        crashes INTEGER NOT NULL DEFAULT 0,
        due_ns INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY (job, position)
    ) WITHOUT ROWID;
    CREATE INDEX items_ready ON items (job, host, position) WHERE state = {READY};
    CREATE INDEX items_leased ON items (job) WHERE state = {LEASED};
    CREATE INDEX items_waiting ON items (due_ns) WHERE state = {WAITING};
    CREATE INDEX items_suspect ON items (job, due_ns) WHERE state = {SUSPECT};

    CREATE TABLE results (
        serial INTEGER PRIMARY KEY,
        job INTEGER NOT NULL,
        position INTEGER NOT NULL,
        code TEXT NOT NULL,
        line TEXT NOT NULL
    );
    CREATE UNIQUE INDEX results_by_position ON results (job, position);
    CREATE INDEX results_by_serial ON results (job, serial);
    CREATE INDEX results_by_code ON results (job, code, position);

    CREATE TABLE tallies (
        job INTEGER NOT NULL,
        code TEXT NOT NULL,
        count INTEGER NOT NULL,
        PRIMARY KEY (job, code)
    ) WITHOUT ROWID;
    """,
)

JOBS = """
    SELECT number, label, state, options, created_ns, started_ns, ended_ns, urls, repeats, round,
        filed, (SELECT json_group_object(code, count) FROM tallies WHERE job = number AND count)
    FROM jobs WHERE state NOT IN ('adding', 'leaving')
"""

# The hosts that have something ready, from one on, by a step of the index each; then the next
# items of each of them. Nothing else of a job is looked at, however large it is.
WISHED = f"""
    WITH RECURSIVE hosts (host) AS (
        SELECT (SELECT min(host) FROM items INDEXED BY items_ready
                WHERE job = ?1 AND state = {READY} AND host > ?2)
        UNION ALL
        SELECT (SELECT min(items.host) FROM items INDEXED BY items_ready
                WHERE job = ?1 AND state = {READY} AND items.host > hosts.host)
        FROM hosts WHERE hosts.host IS NOT NULL
    ), turns (host) AS (
        SELECT host FROM hosts
        WHERE host <= ?3 AND host NOT IN (SELECT value FROM json_each(?6)) LIMIT ?4
    )
    SELECT job, position, url, name, items.host, attempts
    FROM turns CROSS JOIN items ON job = ?1 AND position IN (
        SELECT position FROM items AS next INDEXED BY items_ready
        WHERE next.job = ?1 AND next.host = turns.host AND next.state = {READY}
        ORDER BY position LIMIT ?5
    ) LIMIT ?4
"""  # noqa: S608 - our own words

SUSPECTS = f"""
    SELECT job, position, url, name, host, attempts, 1 FROM items
    WHERE state = {SUSPECT} AND job = ?
"""  # noqa: S608 - our own words

SUSPECT_AGAIN = f"""
    UPDATE items SET state = {SUSPECT}, due_ns = ? + ({SUSPICION_NS} << (crashes - {ALONE}))
    WHERE state = {LEASED} AND crashes >= {ALONE}
"""  # noqa: S608 - our own words

NEXT_DUE = f"""
    SELECT min(due_ns) FROM (
        SELECT min(due_ns) AS due_ns FROM items WHERE state = {WAITING} AND due_ns > ?1
        UNION ALL SELECT min(due_ns) FROM items WHERE state = {SUSPECT} AND due_ns > ?1
    )
"""  # noqa: S608 - our own words

ADD_ITEM = "INSERT INTO items (job, position, url, host, name, state) VALUES (?, ?, ?, ?, ?, ?)"
ADD_RESULT = "INSERT INTO results (job, position, code, line) VALUES (?, ?, ?, ?)"
SET_STATE = "UPDATE items SET state = ? WHERE job = ? AND position = ?"
PARK = (
    f"UPDATE items SET state = {WAITING}, due_ns = ?, attempts = ? WHERE job = ? AND position = ?"  # noqa: S608 - our own words
)
TALLY = """
    INSERT INTO tallies VALUES (?, ?, ?)
    ON CONFLICT (job, code) DO UPDATE SET count = count + excluded.count
"""

ORDERS = {
    Sort.POSITION: "position",
    Sort.URL: "json_extract(line, '$.url')",
    Sort.STATUS: "json_extract(line, '$.status')",
    Sort.TITLE: "json_extract(line, '$.title') COLLATE NOCASE",
    Sort.ELAPSED: "json_extract(line, '$.elapsed')",
    Sort.BYTES: "json_extract(line, '$.bytes_read')",
    Sort.ERROR: "code",
}

_json = json.JSONEncoder(check_circular=False, ensure_ascii=False).encode


@dataclass(frozen=True, slots=True)
class StoredJob:
    """A job as it stands on disk; moments are nanoseconds since the Unix epoch."""

    number: int
    label: str
    state: State
    options: Options
    created_ns: int
    started_ns: int | None
    ended_ns: int | None
    urls: int
    repeats: int
    round: int  # how often it was retried
    filed: bool  # its file is whole, and in the order of positions
    tally: Mapping[str, int]  # code -> results; without an error: empty


@dataclass(slots=True)
class Outcome:
    """What became of leased items: results, and those that wait for a moment."""

    results: list[tuple[Item, Result]] = field(default_factory=list)
    waiting: list[Away] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.results) + len(self.waiting)

    def items(self) -> Iterator[Item]:
        """All it is about."""
        yield from (item for item, _ in self.results)
        yield from (away.item for away in self.waiting)


class Line(NamedTuple):
    """A result as it stands in database and file, and its number in the order of completion."""

    serial: int
    code: str  # of the error; empty without one
    text: str  # JSON, without the end of the line


class TitleStore:
    """
    Jobs that outlive the process. Made by `open_titles`; one a data folder.

    Every method raises `StoreError` when the disk fails, and then has changed nothing.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._writer = database.writer

    # --- jobs ------------------------------------------------------------------------------------

    async def jobs(self, *, limit: int) -> list[StoredJob]:
        """The jobs, newest first."""
        return await self._jobs(f"{JOBS} ORDER BY number DESC LIMIT ?", (limit,))

    async def find(self, label: str) -> StoredJob | None:
        """The newest unfinished job of that label, if there is one."""
        sql = (
            f"{JOBS} AND label = ? AND state IN ('queued', 'running') ORDER BY number DESC LIMIT 1"
        )
        return next(iter(await self._jobs(sql, (label,))), None)

    async def job(self, number: int) -> StoredJob | None:
        """The job of that number, if there is one."""
        return next(iter(await self._jobs(f"{JOBS} AND number = ?", (number,))), None)

    async def unfiled(self) -> list[StoredJob]:
        """The jobs whose file may differ from the database."""
        return await self._jobs(f"{JOBS} AND NOT filed ORDER BY number", ())

    async def oldest_finished(self) -> StoredJob | None:
        """The first job that may leave, if one may."""
        sql = f"{JOBS} AND filed ORDER BY number LIMIT 1"
        return next(iter(await self._jobs(sql, ())), None)

    async def _jobs(self, sql: str, parameters: Sequence[object]) -> list[StoredJob]:
        return await self._database.read(sql, parameters, _stored_job)

    async def size(self) -> tuple[int, int]:
        """(jobs, URLs) in all."""
        sql = "SELECT count(*), total(urls) FROM jobs WHERE state NOT IN ('adding', 'leaving')"
        [(jobs, urls)] = await self._database.read(sql, (), lambda _, row: row)
        return jobs, int(urls)

    async def begin(self, label: str, chosen: Options, created_ns: int) -> int:
        """The number of a new job, which nobody sees until it is `opened`."""
        async with self._database.transaction():
            row = await self._writer.execute(
                "INSERT INTO jobs (label, state, options, created_ns) VALUES (?, ?, ?, ?)",
                (label, ADDING, _json(options.document(chosen)), created_ns),
            )
        return row.lastrowid or 0

    async def add(self, job: int, entries: Sequence[Entry]) -> None:
        """Add URLs to a new job."""
        done = [(entry, entry.result) for entry in entries if entry.result]
        async with self._database.transaction():
            await self._writer.executemany(ADD_ITEM, [_item_row(job, entry) for entry in entries])
            await self._add_results((job, entry.position, result) for entry, result in done)

    async def opened(self, job: int, *, urls: int, repeats: int) -> None:
        """The new job is whole, and queued."""
        async with self._database.transaction():
            await self._writer.execute(
                "UPDATE jobs SET state = ?, urls = ?, repeats = ? WHERE number = ?",
                (State.QUEUED, urls, repeats, job),
            )

    async def started(self, job: int, started_ns: int) -> None:
        """The job runs."""
        async with self._database.transaction():
            await self._writer.execute(
                "UPDATE jobs SET state = ?, started_ns = coalesce(started_ns, ?) WHERE number = ?",
                (State.RUNNING, started_ns, job),
            )

    async def filed(self, job: int) -> None:
        """The file of the finished job is whole."""
        async with self._database.transaction():
            await self._writer.execute("UPDATE jobs SET filed = 1 WHERE number = ?", (job,))

    async def cancel(self, job: int, ended_ns: int) -> None:
        """The rest of the job is not fetched."""
        async with self._database.transaction():
            await self._end(job, State.CANCELLED, ended_ns)
            await self._release(job)

    async def _end(self, job: int, state: State, ended_ns: int) -> None:
        await self._writer.execute(
            "UPDATE jobs SET state = ?, ended_ns = ?, started_ns = coalesce(started_ns, ?), "
            "filed = 0 WHERE number = ?",
            (state, ended_ns, ended_ns, job),
        )

    async def retry(self, job: int, *, but: Iterable[str]) -> int:
        """
        Queue anew what failed, save with these codes, and what was not fetched; how many.

        The old results are gone with the same transaction.
        """
        failed = f"job = ? AND code <> '' AND code NOT IN ({', '.join(map(repr, map(str, but)))})"
        async with self._database.transaction():
            await self._writer.execute(
                f"UPDATE items SET state = {READY}, attempts = 0, crashes = 0 WHERE job = ? AND ("  # noqa: S608
                f"state <> {DONE} OR position IN (SELECT position FROM results WHERE {failed}))",
                (job, job),
            )
            await self._writer.execute(f"DELETE FROM results WHERE {failed}", (job,))  # noqa: S608
            await self._writer.execute("DELETE FROM tallies WHERE job = ?", (job,))
            await self._writer.execute(
                "INSERT INTO tallies SELECT job, code, count(*) FROM results WHERE job = ? "
                "GROUP BY code",
                (job,),
            )
            count = await self._count(job, READY)
            if count:
                await self._writer.execute(
                    "UPDATE jobs SET state = ?, round = round + 1, filed = 0, started_ns = NULL, "
                    "ended_ns = NULL WHERE number = ?",
                    (State.QUEUED, job),
                )
        return count

    async def forget(self, job: int) -> None:
        """Nobody sees the job any more; `sweep` gives the space back, in steps."""
        async with self._database.transaction():
            await self._writer.execute("UPDATE jobs SET state = ? WHERE number = ?", (LEAVING, job))

    async def sweep(self) -> bool:
        """Remove one chunk of what forgotten jobs left behind; whether there may be more."""
        async with self._database.transaction():
            found = await self._writer.execute_fetchall(
                "SELECT number FROM jobs WHERE state = ? LIMIT 1", (LEAVING,)
            )
            for (job,) in found:
                await self._sweep(job)
            return bool(found)

    async def _sweep(self, job: int) -> None:
        removed = 0
        for table, key in (("results", "position"), ("items", "position"), ("tallies", "code")):
            rows = await self._writer.execute(
                f"DELETE FROM {table} WHERE job = ? AND {key} IN "  # noqa: S608 - our own words
                f"(SELECT {key} FROM {table} WHERE job = ? LIMIT {CHUNK})",
                (job, job),
            )
            removed += rows.rowcount
        if not removed:
            await self._writer.execute("DELETE FROM jobs WHERE number = ?", (job,))

    # --- items -----------------------------------------------------------------------------------

    async def recover(self, now_ns: int) -> None:
        """
        Put right what a process that died left behind: new jobs that are not whole, and leases.

        To be called once, before anything is leased.
        """
        async with self._database.transaction():
            for before, after in ((ADDING, LEAVING), (State.RUNNING, State.QUEUED)):
                await self._writer.execute(
                    "UPDATE jobs SET state = ? WHERE state = ?", (after, before)
                )
            await self._writer.execute(
                f"UPDATE items SET crashes = crashes + 1 WHERE state = {LEASED}"  # noqa: S608
            )
            await self._writer.execute(SUSPECT_AGAIN, (now_ns,))
            await self._release(None)

    async def condemned(self, job: int) -> list[Item]:
        """The items that were under way at too many crashes."""
        return await self._database.read(f"{SUSPECTS} AND crashes >= {MOST_CRASHES}", (job,), _item)

    async def counts(self, job: int) -> Mapping[int, int]:
        """How many items of the job are in each state."""
        sql = "SELECT state, count(*) FROM items WHERE job = ? GROUP BY state"
        return Counter(dict(await self._database.read(sql, (job,), lambda _, row: row)))

    async def _count(self, job: int, state: int) -> int:
        sql = "SELECT count(*) FROM items WHERE job = ? AND state = ?"
        return await one_number(self._writer, sql, (job, state)) or 0

    async def lease(self, job: int, wish: Wish) -> list[Item]:
        """The items that the wish is for, in turns of hosts; they are leased until released."""
        leased: list[Item] = []
        async with self._database.transaction():
            for after, upto in ((wish.after, NEWEST), (-1, wish.after)):
                room = wish.room - len(leased)
                if room and after < upto:
                    which = (job, after, upto, room, wish.each, _json(wish.without))
                    rows = await self._writer.execute_fetchall(WISHED, which)
                    leased += [Item(*row) for row in rows]
            await self._set_state(LEASED, leased)
        return leased

    async def lease_suspect(self, job: int, now_ns: int) -> Item | None:
        """One of the job's suspects that have waited long enough, leased; None if there is none."""
        due = f"{SUSPECTS} AND crashes < {MOST_CRASHES} AND due_ns <= ? ORDER BY due_ns LIMIT 1"
        async with self._database.transaction():
            rows = await self._writer.execute_fetchall(due, (job, now_ns))
            suspects = [_item(None, row) for row in rows]
            await self._set_state(LEASED, suspects)
        return next(iter(suspects), None)

    async def release(self, job: int) -> None:
        """Nothing of the job is under way."""
        async with self._database.transaction():
            await self._release(job)

    async def release_all(self) -> None:
        """Nothing is under way any more."""
        async with self._database.transaction():
            await self._release(None)

    async def _release(self, job: int | None) -> None:
        await self._writer.execute(
            f"UPDATE items SET state = {READY} WHERE state = {LEASED} AND job = coalesce(?, job)",  # noqa: S608
            (job,),
        )

    async def _set_state(self, state: int, items: Iterable[Item]) -> None:
        rows = [(state, item.job, item.position) for item in items]
        await self._writer.executemany(SET_STATE, rows)

    async def wake(self, now_ns: int) -> Mapping[int, int]:
        """Make ready what was to wait until now; how many of which job."""
        async with self._database.transaction():
            woken = await self._writer.execute_fetchall(
                f"UPDATE items SET state = {READY} WHERE state = {WAITING} AND due_ns <= ? "  # noqa: S608
                "RETURNING job",
                (now_ns,),
            )
        return Counter(job for (job,) in woken)

    async def next_due_ns(self, now_ns: int) -> int | None:
        """The first moment after now that an item waits for; None when none does."""
        return await one_number(self._writer, NEXT_DUE, (now_ns,))

    # --- results ---------------------------------------------------------------------------------

    async def save(
        self, outcome: Outcome, *, done: Iterable[int] = (), ended_ns: int = 0
    ) -> Mapping[int, list[Line]]:
        """
        Store what became of items, and which jobs are done by it, in one transaction.

        The lines of each job, for its file.
        """
        async with self._database.transaction():
            lines = await self._add_results(
                (item.job, item.position, result) for item, result in outcome.results
            )
            await self._set_state(DONE, (item for item, _ in outcome.results))
            await self._writer.executemany(PARK, list(map(_parked, outcome.waiting)))
            for job in done:
                await self._end(job, State.DONE, ended_ns)
        return lines

    async def _add_results(
        self, results: Iterable[tuple[int, int, Result]]
    ) -> Mapping[int, list[Line]]:
        rows = [(job, position, _code(result), _line(result)) for job, position, result in results]
        [(last,)] = await self._writer.execute_fetchall("SELECT max(serial) FROM results")
        await self._writer.executemany(ADD_RESULT, rows)
        tally = Counter((job, code) for job, _, code, _ in rows)
        await self._writer.executemany(TALLY, [(*key, count) for key, count in tally.items()])
        lines: dict[int, list[Line]] = {}
        for serial, (job, _, code, text) in enumerate(rows, start=(last or 0) + 1):
            lines.setdefault(job, []).append(Line(serial, code, text))
        return lines

    async def unsaved(self, outcome: Outcome) -> Outcome:
        """What of an outcome is not stored yet, when nobody knows whether `save` did it."""
        async with self._database.transaction():
            results = [each for each in outcome.results if not await self._has(each[0])]
        return Outcome(results, outcome.waiting)

    async def _has(self, item: Item) -> bool:
        sql = "SELECT count(*) FROM results WHERE job = ? AND position = ?"
        return bool(await one_number(self._writer, sql, (item.job, item.position)))

    async def page(
        self,
        job: int,
        *,
        upto: int,
        offset: int,
        limit: int,
        error: str | None,
        sort: Sort,
        descending: bool,
    ) -> tuple[list[Result], int]:
        """
        Some of the results up to the serial *upto*, and how many match.

        *error* is a code, `any`, or `none`; None is all of them.
        """
        where = f"job = :job AND serial <= :upto AND {_matching(error)}"
        which = {"job": job, "upto": upto, "code": error, "offset": offset, "limit": limit}
        direction = "DESC" if descending else "ASC"
        rows = await self._database.read(
            f"SELECT line FROM results WHERE {where} ORDER BY {ORDERS[sort]} {direction}, "  # noqa: S608
            "position LIMIT :limit OFFSET :offset",
            which,
            _result,
        )
        sql = f"SELECT count(*) FROM results WHERE {where}"  # noqa: S608 - our own words
        [(total,)] = await self._database.read(sql, which, lambda _, row: row)
        return rows, total

    async def results(self, job: int, *, upto: int) -> AsyncIterator[list[Result]]:
        """
        The results up to the serial *upto* in the order of positions, in lists.

        Between two lists nothing is open, so a slow reader costs nothing.
        """
        async for lines in self.lines_by_position(job, upto=upto):
            yield [read_line(line) for line in lines]

    async def lines_by_position(self, job: int, *, upto: int) -> AsyncIterator[list[str]]:
        """As `results`, but as they are stored."""
        after = -1
        sql = (
            "SELECT position, line FROM results WHERE job = ? AND position > ? AND serial <= ? "
            "ORDER BY position LIMIT ?"
        )
        while rows := await self._database.read(
            sql, (job, after, upto, READ_BATCH), lambda _, row: row
        ):
            after = rows[-1][0]
            yield [line for _, line in rows]

    async def lines(
        self, job: int, *, after: int = 0, upto: int, limit: int = READ_BATCH
    ) -> list[Line]:
        """The next lines after the serial *after*, up to the serial *upto*."""
        sql = (
            "SELECT serial, code, line FROM results INDEXED BY results_by_serial "
            "WHERE job = ? AND serial > ? AND serial <= ? ORDER BY serial LIMIT ?"
        )
        which = (job, after, upto, limit)
        return await self._database.read(sql, which, lambda _, row: Line(*row))

    async def lines_by_serial(self, job: int) -> AsyncIterator[list[str]]:
        """All lines in order of completion, as they are stored, in lists."""
        after = 0
        while lines := await self.lines(job, after=after, upto=NEWEST):
            after = lines[-1].serial
            yield [line.text for line in lines]

    async def last_serial(self, job: int) -> int:
        """The serial of the job's newest result; 0 without any."""
        sql = "SELECT coalesce(max(serial), 0) FROM results WHERE job = ?"
        [(serial,)] = await self._database.read(sql, (job,), lambda _, row: row)
        return int(serial)


def _stored_job(_: sqlite3.Cursor, row: Sequence[Any]) -> StoredJob:
    values = list(row)
    values[2] = State(row[2])
    values[3] = options.read({name: str(value) for name, value in json.loads(row[3]).items()})
    values[-2:] = bool(row[-2]), json.loads(row[-1])
    return StoredJob(*values)


def _item(_: sqlite3.Cursor | None, row: Sequence[Any]) -> Item:
    values = list(row)
    values[6] = bool(row[6])
    return Item(*values)


def _item_row(job: int, entry: Entry) -> tuple[object, ...]:
    state = DONE if entry.result else READY
    return (job, entry.position, entry.url, entry.host_number, entry.host, state)


def _parked(away: Away) -> tuple[object, ...]:
    item = away.item
    return (away.until_ns, item.attempts, item.job, item.position)


def _code(result: Result) -> str:
    return result.error.code if result.error else ""


def _line(result: Result) -> str:
    """The result as a line of JSON; `?` for a lone surrogate, which no UTF-8 can hold."""
    return _json(record(result)).encode("utf-8", "replace").decode()


def _result(_: sqlite3.Cursor, row: Sequence[Any]) -> Result:
    return read_line(row[0])


def read_line(text: str) -> Result:
    """The result that a line holds."""
    return from_record(json.loads(text))


def _matching(error: str | None) -> str:
    """The condition on the code."""
    return {None: "1", "any": "code <> ''", "none": "code = ''"}.get(error, "code = :code")


@asynccontextmanager
async def open_titles(path: Path) -> AsyncIterator[TitleStore]:
    """
    The database of jobs at *path*, open as long as the context lasts.

    Raises:
        Fatal: see `open_database`.
    """
    database = await open_database(path, MIGRATIONS)
    try:
        yield TitleStore(database)
    finally:
        await database.close()
