"""
The file of a job: a line of JSON for each result, as the database has them.

While the job runs, lines are appended in order of completion; of a finished one they are in the
order of the input. The database is always first, so it can put right whatever happens to a file.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from functools import wraps
from itertools import takewhile
from pathlib import Path
from typing import Any, ParamSpec

import aiofiles
import aiofiles.os

Lines = AsyncIterator[list[str]]  # without their ends, in the order of the file

P = ParamSpec("P")


def _to_the_end(
    method: Callable[P, Coroutine[Any, Any, None]],
) -> Callable[P, Coroutine[Any, Any, None]]:
    """
    Let nobody interrupt the method: whoever is cancelled waits for it first.

    A file that is being opened in a thread just then would stay open for good.
    """

    @wraps(method)
    async def to_the_end(*arguments: P.args, **more: P.kwargs) -> None:
        task = asyncio.create_task(method(*arguments, **more))
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            await asyncio.wait([task])
            raise

    return to_the_end


class Files:
    """
    The files of a folder, one for each job: `7.jsonl`.

    Every method raises `OSError` when the disk fails. What was being appended then may stand there
    in part, until `mend`; what was being rewritten stands there as before.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, job: int) -> Path:
        """Where the file of the job is."""
        return self._folder / f"{job}.jsonl"

    def prepare(self) -> None:
        """Make the folder; remove what a process that died was about to put in place."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for part in self._folder.glob("*.part"):
            part.unlink()

    @_to_the_end
    async def append(self, job: int, lines: Iterable[str]) -> None:
        """Add lines at the end."""
        async with aiofiles.open(self.path(job), "ab") as file:
            await file.write(_bytes(lines))

    @_to_the_end
    async def mend(self, job: int, lines: Lines) -> None:
        """
        Make the file hold exactly these lines, keeping what of its beginning is right.

        So a torn last line is cut, missing ones are added, and those that are none of ours leave.
        """
        right, whole = 0, True  # so many bytes are right so far, and whether all were
        async with aiofiles.open(self.path(job), "a+b") as file:
            await file.seek(0)
            async for some in lines:
                expected = _bytes(some)
                if whole:
                    kept = _same_lines(expected, await file.read(len(expected)))
                    right += kept
                    whole = kept == len(expected)
                    if not whole:
                        await file.truncate(right)
                        expected = expected[kept:]
                if not whole:
                    await file.write(expected)
            if whole:
                await file.truncate(right)

    @_to_the_end
    async def rewrite(self, job: int, lines: Lines) -> None:
        """Put a file with these lines in the place of the old one, at one stroke."""
        path = self.path(job)
        part = path.with_suffix(".part")
        async with aiofiles.open(part, "wb") as file:
            async for some in lines:
                await file.write(_bytes(some))
            await file.flush()
            await asyncio.to_thread(os.fsync, file.fileno())
        await aiofiles.os.replace(part, path)

    @_to_the_end
    async def remove(self, job: int) -> None:
        """The job has no file any more."""
        if await aiofiles.os.path.exists(self.path(job)):
            await aiofiles.os.remove(self.path(job))


def _bytes(lines: Iterable[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()


def _same_lines(expected: bytes, found: bytes) -> int:
    """How many bytes of whole lines both begin with."""
    if expected == found:
        return len(expected)
    pairs = zip(expected.splitlines(keepends=True), found.splitlines(keepends=True), strict=False)
    return sum(len(ours) for ours, theirs in takewhile(lambda pair: pair[0] == pair[1], pairs))
