"""Results in the formats that other programs read, a piece at a time. Pure."""

import csv
import io
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from app.titles.results import FIELDS, Result, record

# The first characters by which spreadsheets take a text for a formula
# (https://owasp.org/www-community/attacks/CSV_Injection).
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")

NESTED = ("hops", "error")  # fields that are more than one cell
COLUMNS = (*(name for name in FIELDS if name not in NESTED), "redirects", "error", "detail")


@dataclass(frozen=True, slots=True)
class Export:
    """A format: its media type, how it begins, and the lines of some results."""

    content_type: str
    head: str
    lines: Callable[[Iterable[Result]], str]


def json_lines(results: Iterable[Result]) -> str:
    """A line of JSON a result."""
    return "".join(f"{json.dumps(record(each), ensure_ascii=False)}\n" for each in results)


def csv_lines(results: Iterable[Result]) -> str:
    """A line of CSV a result (RFC 4180), which no spreadsheet takes for a formula."""
    text = io.StringIO()
    csv.writer(text).writerows(map(_cells, results))
    return text.getvalue()


def _cells(result: Result) -> list[Any]:
    own = [getattr(result, name) for name in COLUMNS if name in FIELDS and name not in NESTED]
    error = result.error
    ends = [len(result.hops), error and str(error.code), error and error.detail]
    return [_harmless(cell) for cell in (*own, *ends)]


def _harmless(cell: object) -> object:
    """The cell with an apostrophe before what would else be a formula."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA) else cell


EXPORTS = {
    ".jsonl": Export("application/x-ndjson", "", json_lines),
    ".csv": Export("text/csv", f"{','.join(COLUMNS)}\r\n", csv_lines),
}
