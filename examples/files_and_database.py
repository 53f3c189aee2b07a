"""
Ten thousand files and rows, a bounded number at a time.

The operating system has no asynchronous files, so aiofiles asks a pool of threads, and
aiosqlite has one thread for the database. Awaiting them keeps the loop free, it makes no disk
faster. Two bounds matter: how many files are open (a process may have about a thousand), and
how many rows share a commit, for it is the commit that costs.

    python examples/files_and_database.py

Output:

    10000 files written, at most 50 open at once
    10000 rows stored in 20 commits
    the rows are what the files say

Before: everything at once, and a commit for each row. With 10,000 files the process may run
out of descriptors; here it stops at a tenth of them.

    1000 files written, at most 990 open at once
    1000 rows stored in 1000 commits
    the rows are what the files say

Notice: it needs no backend, only a folder that is gone afterwards. Compare how long both take.
"""

import asyncio
import itertools
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import aiofiles
import aiosqlite

from _start import start

INSERT = "INSERT INTO pages VALUES (?, ?)"


async def main(scale: float) -> None:
    await write_all(int(10_000 * scale), most_open=50, rows_a_commit=500)


async def before(scale: float) -> None:
    count = int(1_000 * scale)
    await write_all(count, most_open=count, rows_a_commit=1)


async def write_all(count: int, *, most_open: int, rows_a_commit: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        peak = await write_files(folder, count, most_open)
        print(f"{count} files written, at most {peak} open at once")
        async with aiosqlite.connect(folder / "pages.sqlite3") as database:
            await database.execute("CREATE TABLE pages (number INTEGER PRIMARY KEY, text TEXT)")
            commits = 0
            for rows in batches(folder, count, rows_a_commit):
                await database.executemany(INSERT, rows)
                await database.commit()
                commits += 1
            print(f"{count} rows stored in {commits} commits")
            [stored] = await database.execute_fetchall("SELECT count(*), max(text) FROM pages")
        same = tuple(stored) == (count, f"page {count - 1:05}")
        print("the rows are", "what the files say" if same else "not what the files say")


async def write_files(folder: Path, count: int, most_open: int) -> int:
    """Write them all; how many were open at once at most."""
    slots, now_open, peak = asyncio.Semaphore(most_open), 0, 0

    async def write(number: int) -> None:
        nonlocal now_open, peak
        async with slots, aiofiles.open(folder / f"{number}.txt", "w") as file:
            now_open += 1
            peak = max(peak, now_open)
            await file.write(f"page {number:05}")
            now_open -= 1

    await asyncio.gather(*(write(number) for number in range(count)))
    return peak


def batches(folder: Path, count: int, size: int) -> Iterator[Sequence[tuple[int, str]]]:
    rows = ((number, (folder / f"{number}.txt").read_text()) for number in range(count))
    while batch := list(itertools.islice(rows, size)):
        yield batch


if __name__ == "__main__":
    start(main, before)
