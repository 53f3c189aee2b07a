"""Spans in the formats that other programs read, a piece at a time."""

import csv
import io
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from app.spans import FIELDS, Span, record


@dataclass(frozen=True, slots=True)
class Export:
    """A format: its media type, how it begins, and the lines of some spans."""

    content_type: str
    head: str
    lines: Callable[[Iterable[Span]], str]


def _json_lines(spans: Iterable[Span]) -> str:
    return "".join(f"{json.dumps(record(span), ensure_ascii=False)}\n" for span in spans)


def _csv_lines(spans: Iterable[Span]) -> str:
    text = io.StringIO()
    csv.DictWriter(text, FIELDS).writerows(map(record, spans))
    return text.getvalue()


EXPORTS = {
    ".jsonl": Export("application/x-ndjson", "", _json_lines),
    ".csv": Export("text/csv", f"{','.join(FIELDS)}\r\n", _csv_lines),  # RFC 4180
}
