"""Spans in the formats that other programs read, a piece at a time: nothing is held back."""

import csv
import io
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from app.har import Har
from app.spans import FIELDS, Span, record
from app.trace import Trace


class Writer(Protocol):
    """Writes the spans of a run in order of arrival: first the head, then spans, then the tail."""

    @property
    def head(self) -> str: ...

    @property
    def tail(self) -> str: ...

    def lines(self, spans: Iterable[Span]) -> str:
        """The next spans."""
        ...


class JsonLines:
    """A JSON object a line."""

    head = tail = ""

    def lines(self, spans: Iterable[Span]) -> str:
        return "".join(f"{json.dumps(record(span), ensure_ascii=False)}\n" for span in spans)


class Csv:
    """Comma-separated values (RFC 4180) below a line of names."""

    head, tail = f"{','.join(FIELDS)}\r\n", ""

    def lines(self, spans: Iterable[Span]) -> str:
        text = io.StringIO()
        csv.DictWriter(text, FIELDS).writerows(map(record, spans))
        return text.getvalue()


@dataclass(frozen=True, slots=True)
class Export:
    """A format: its media type, its suffix, and its writer for (origin, the present moment)."""

    content_type: str
    suffix: str
    writer: Callable[[str, int], Writer]


JSONL = Export("application/x-ndjson", ".jsonl", lambda _origin, _now_ns: JsonLines())
CSV = Export("text/csv", ".csv", lambda _origin, _now_ns: Csv())
HAR = Export("application/json", ".har", Har)
TRACE = Export("application/json", ".trace.json", lambda _origin, now_ns: Trace(now_ns))
