"""
An SQLite file for this process alone: claimed, up to date, written in whole transactions.

One connection writes and another reads (WAL), so a reader never blocks the writer. What is asked
of them in SQL stands in a `store`, one for each database.
"""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar, cast

import aiosqlite

from app.errors import Fatal

StoreError = sqlite3.Error  # what every use of a database may raise when the disk fails

BUSY_TIMEOUT_S = 5.0

T = TypeVar("T")
Parameters = Sequence[object] | Mapping[str, object]


class Database:
    """
    An open database. Made by `open_database`; one a file.

    Every method raises `StoreError` when the disk fails.
    """

    def __init__(
        self,
        writer: aiosqlite.Connection,
        reader: aiosqlite.Connection,
        resources: AsyncExitStack,
    ) -> None:
        self.writer = writer  # to be used inside `transaction`
        self.reader = reader
        self._resources = resources
        self._writing = asyncio.Lock()

    async def close(self) -> None:
        """Close the database and let another process have it."""
        async with self._writing:
            await self._resources.aclose()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        """
        All or nothing. IMMEDIATE: a deferred transaction that reads first fails when it writes.

        The roll-back is shielded, for it has to reach the connection even when the caller is
        cancelled; the connection does one thing after the other, so nothing overtakes it.
        """
        async with self._writing:
            try:
                await self.writer.execute("BEGIN IMMEDIATE")
                yield
                await self.writer.commit()
            except BaseException:
                await asyncio.shield(self.writer.rollback())
                raise

    async def read(
        self, sql: str, parameters: Parameters, make: Callable[[sqlite3.Cursor, Any], T]
    ) -> list[T]:
        """The rows, each made into a value in the reader's own thread."""
        async with self.reader.cursor() as cursor:
            cursor.row_factory = make  # type: ignore[assignment]  # declared too narrowly
            await cursor.execute(sql, parameters)
            return cast("list[T]", await cursor.fetchall())


async def one_number(
    connection: aiosqlite.Connection, sql: str, parameters: Parameters = ()
) -> int | None:
    """The one number that *sql* selects; None when there is no row, or nothing in it."""
    rows = await connection.execute_fetchall(sql, parameters)
    return next((int(number) for (number,) in rows if number is not None), None)


# --- opening -------------------------------------------------------------------------------------


async def open_database(
    path: Path, migrations: Sequence[str], *, page_size: int = 4_096
) -> Database:
    """
    Open the database at *path*, making it and its folder as needed, for this process alone.

    *migrations*[n] leads from schema n (PRAGMA user_version) to n + 1. *page_size* is for one that
    is made now.

    Raises:
        Fatal: the folder can't be written, another process has it, the file is no database of
            ours, or a newer Dawdle made it.
    """
    async with AsyncExitStack() as resources:
        resources.callback(_claim(path).close)
        try:
            writer = await resources.enter_async_context(_connect(path))
            await writer.execute(f"PRAGMA page_size = {page_size}")
            await _prepare(writer, path, migrations)
            reader = await resources.enter_async_context(_connect(path))
            await reader.execute("PRAGMA query_only = ON")
        except StoreError as error:
            raise unusable(path, error) from error
        return Database(writer, reader, resources.pop_all())


def unusable(path: Path, error: Exception) -> Fatal:
    """The sentence for a file that is no database of ours, or damaged."""
    return Fatal(
        f"{path} can't be used as the database ({error}); move it away or choose another data "
        "folder"
    )


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


async def _prepare(writer: aiosqlite.Connection, path: Path, migrations: Sequence[str]) -> None:
    """Set the connection up and bring the schema up to date, all of it or nothing."""
    await writer.execute("PRAGMA journal_mode = WAL")
    await writer.execute("PRAGMA synchronous = NORMAL")  # WAL: a power cut never damages the file
    version = await one_number(writer, "PRAGMA user_version") or 0
    if version > len(migrations):
        raise Fatal(
            f"{path} was made by a newer Dawdle (schema {version}, this one knows "
            f"{len(migrations)}); update Dawdle or choose another data folder"
        )
    for reached, migration in enumerate(migrations[version:], start=version + 1):
        await writer.executescript(
            f"BEGIN IMMEDIATE; {migration}; PRAGMA user_version = {reached}; COMMIT;"
        )
