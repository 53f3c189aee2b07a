"""Results in a file of the user's choice: as they come, and in the end in order of the input."""

import json
import os
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TextIO

from app.errors import Fatal
from app.grammar import quoted
from app.titles.exports import EXPORTS
from app.titles.results import Result, record

ARRAY = ".json"  # one value, so it can't be written before its end
FORMATS = (*EXPORTS, ARRAY)


class Output:
    """
    The file *path*, whose format its name tells.

    Raises, as its methods do:
        Fatal: the format is unknown, or the file can't be written.
    """

    _file: TextIO

    def __init__(self, path: Path) -> None:
        if path.suffix.lower() not in FORMATS:
            raise Fatal(
                f"--output: {quoted(str(path))} says no format; end the name in .jsonl, .csv or "
                ".json"
            )
        place = path if path.exists() else path.parent
        if path.is_dir() or not os.access(place, os.W_OK):
            raise Fatal(f"--output: {path} can't be written; name a file in a folder of yours")
        self._path = path
        self._export = EXPORTS.get(path.suffix.lower())

    def open(self) -> None:
        """Begin the file; what was in it is gone."""
        try:
            self._file = self._path.open("w", encoding="utf-8", errors="replace", newline="")
        except OSError as error:
            raise self._fatal(error) from None
        self._write(self._head)

    @property
    def _head(self) -> str:
        return self._export.head if self._export else ""

    def add(self, results: Iterable[Result]) -> None:
        """Write what has come, unless the format has to wait for the end."""
        if self._export:
            self._write(self._export.lines(results))

    async def finish(self, stream: AsyncIterator[Sequence[Result]]) -> None:
        """Write all results anew, in the order in which *stream* has them, and close the file."""
        if self._export is None:
            await self._finish_array(stream)
        elif self._file.seekable():  # else who reads it has had them all
            self._begin_again()
            async for results in stream:
                self._write(self._export.lines(results))
        self._close()

    def _begin_again(self) -> None:
        self._file.seek(0)
        self._file.truncate()
        self._write(self._head)

    async def _finish_array(self, stream: AsyncIterator[Sequence[Result]]) -> None:
        before = "[\n"
        async for results in stream:
            for result in results:
                self._write(before + json.dumps(record(result), ensure_ascii=False))
                before = ",\n"
        self._write("\n]\n" if before == ",\n" else "[]\n")

    def _close(self) -> None:
        try:
            self._file.close()
        except OSError as error:
            raise self._fatal(error) from None

    def _write(self, text: str) -> None:
        try:
            self._file.write(text)
            self._file.flush()
        except OSError as error:
            with suppress(OSError):
                self._file.close()
            raise self._fatal(error) from None

    def _fatal(self, error: OSError) -> Fatal:
        reason = error.strerror or str(error)
        return Fatal(f"--output: {self._path} can't be written ({reason}); name another file")
