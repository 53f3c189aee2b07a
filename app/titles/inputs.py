"""
What stands on the command line -> URLs: addresses themselves, files of them, standard input.

A file has a URL a line, or is a table (CSV) of which one column is read.
"""

import csv
import io
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from app.errors import Fatal
from app.grammar import quoted
from app.titles.orders import lines

STANDARD_INPUT = "-"
SEPARATORS = ",;\t"
TABLES = (".csv", ".tsv")
# How names of lists end; as a URL such a name would be a host that there is not.
LISTS = (*TABLES, ".txt", ".list", ".lst", ".urls")


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table: by the name at its head, or by its number from 1."""

    text: str

    @property
    def number(self) -> int | None:
        return int(self.text) if re.fullmatch(r"[1-9][0-9]{0,3}", self.text, re.ASCII) else None


def read(arguments: Sequence[str], column: str | None = None) -> list[str]:
    """
    The URLs that *arguments* are or lead to, in their order.

    Raises:
        Fatal: a file can't be read, or its column is not there.
    """
    wanted = None if column is None else Column(column)
    urls = [url for argument in arguments for url in _urls(argument, wanted)]
    if not urls:
        raise Fatal("there is no URL in what was given; name one, or a file that has some")
    return urls


def _urls(argument: str, column: Column | None) -> Iterable[str]:
    if argument == STANDARD_INPUT:
        return _content(sys.stdin.buffer.read(), "standard input", column)
    path = Path(argument)
    if "://" in argument or not _is_there(path):
        return [_address(argument)]
    return _content(_bytes(path), argument, column)


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # too long for a name of a file, or with a NUL in it
        return False


def _address(argument: str) -> str:
    if "://" not in argument and argument.lower().endswith(LISTS):
        raise Fatal(f"there is no file {quoted(argument)}; name one that exists, or a URL")
    return argument


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        reason = error.strerror or str(error)
        raise Fatal(f"{path}: can't be read ({reason}); name a readable file") from None


def _content(data: bytes, name: str, column: Column | None) -> Iterable[str]:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise Fatal(f"{name}: is not UTF-8; save it in that encoding") from None
    if column is not None:
        return [cell for cell in _cells(text, name, column) if cell]
    if name.lower().endswith(TABLES):
        raise Fatal(f"{name}: is a table; say with --column which of its columns has the URLs")
    return lines(text)


# --- tables --------------------------------------------------------------------------------------


def _cells(text: str, name: str, column: Column) -> Iterator[str]:
    """What stands in that column, row by row; short rows have nothing there."""
    rows = _rows(text, name)
    place = _place(next(rows, []), name, column) if column.number is None else column.number - 1
    found = False
    for row in rows:
        found = found or len(row) > place
        yield row[place].strip() if len(row) > place else ""
    if not found and column.number is not None:
        raise Fatal(f"{name}: there is no column {column.number}; count from 1, or give its name")


def _rows(text: str, name: str) -> Iterator[list[str]]:
    head = text.partition("\n")[0]
    separator = max(SEPARATORS, key=head.count)
    try:
        yield from csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    except csv.Error as error:
        raise Fatal(f"{name}: is no table ({error}); give one such as CSV") from None


def _place(head: Sequence[str], name: str, column: Column) -> int:
    """Where that name stands in the first row."""
    names = [each.strip() for each in head]
    if column.text not in names:
        there = ", ".join(map(quoted, names[:20])) or "nothing"
        raise Fatal(f"{name}: no column is called {quoted(column.text)}; its first row has {there}")
    return names.index(column.text)
