"""
A run as an HTTP archive (HAR 1.2), which browsers' network panels and many tools open. Pure.

The format is that of http://www.softwareishard.com/blog/har-12-spec/. Headers and bodies are
empty, since they are not recorded; members that begin with `_` are ours, as it allows.
"""

import json
from collections.abc import Iterable
from urllib.parse import parse_qsl

from app import __version__
from app.clock import iso_text
from app.spans import Kind, Span
from app.words import MILLISECOND

NOT_KNOWN = -1  # as HAR has it, for sizes and times that do not apply


class Har:
    """Writes an archive whose requests went to *origin*; what is in flight lasts until *now_ns*."""

    def __init__(self, origin: str, now_ns: int) -> None:
        self._origin = origin
        self._now_ns = now_ns
        self._between = ""

    @property
    def head(self) -> str:
        creator = json.dumps({"name": "Dawdle", "version": __version__})
        return f'{{"log": {{"version": "1.2", "creator": {creator}, "pages": [], "entries": [\n'

    @property
    def tail(self) -> str:
        return "\n]}}\n"

    def lines(self, spans: Iterable[Span]) -> str:
        """An entry a line; none for TCP echoes, which speak no HTTP."""
        spoken = (span for span in spans if span.kind is not Kind.ECHO)
        entries = ",\n".join(json.dumps(self._entry(span)) for span in spoken)
        between, self._between = self._between, ",\n" if entries else self._between
        return between + entries if entries else ""

    def _entry(self, span: Span) -> dict[str, object]:
        timings = _timings(span, self._now_ns)
        return {
            "startedDateTime": iso_text(span.arrival_ns),
            "time": sum(time for time in timings.values() if time != NOT_KNOWN),
            "request": _request(span, self._origin),
            "response": _response(span),
            "cache": {},
            "timings": timings,
            "connection": str(span.connection),
            "_resourceType": "websocket" if span.kind is Kind.WEBSOCKET else "other",
            "_span": span.name,
            "_outcome": span.outcome.value,
            "_key": span.key,
            "_attempt": span.attempt,
            "_planned": None if span.delay_ns is None else span.delay_ns / MILLISECOND,
            "_fault": span.fault,
        }


def _request(span: Span, origin: str) -> dict[str, object]:
    is_absolute = span.target.startswith(("http://", "https://"))  # as proxies are sent it
    return {
        "method": span.method,
        "url": span.target if is_absolute else origin + span.target,
        "httpVersion": _version(span),
        "cookies": [],
        "headers": [],
        "queryString": [
            {"name": name, "value": value}
            for name, value in parse_qsl(span.target.partition("?")[2], keep_blank_values=True)
        ],
        "headersSize": NOT_KNOWN,
        "bodySize": span.bytes_in,
    }


def _response(span: Span) -> dict[str, object]:
    """A reply that never came has status 0, as browsers write it."""
    return {
        "status": span.status or 0,
        "statusText": "",
        "httpVersion": _version(span),
        "cookies": [],
        "headers": [],
        "content": {"size": span.bytes_out, "mimeType": "x-unknown"},
        "redirectURL": "",
        "headersSize": NOT_KNOWN,
        "bodySize": span.bytes_out,
    }


def _version(span: Span) -> str:
    return f"HTTP/{span.http_version}" if span.http_version else "unknown"


def _timings(span: Span, now_ns: int) -> dict[str, float]:
    """Queue and barrier are `blocked`; together they are arrival to end, in milliseconds."""
    end_ns = max(now_ns if span.end_ns is None else span.end_ns, span.arrival_ns)
    if span.kind is Kind.WEBSOCKET:  # answered at once, and then it is open
        return _lasting(0, 0, end_ns - span.arrival_ns)
    begun_ns = min(span.arrival_ns + span.queue_wait_ns + span.barrier_wait_ns, end_ns)
    if span.wait_begun_ns is None and span.first_byte_ns is None:
        begun_ns = end_ns  # it never came to the delay
    byte_ns = min(max(span.first_byte_ns or end_ns, begun_ns), end_ns)
    return _lasting(begun_ns - span.arrival_ns, byte_ns - begun_ns, end_ns - byte_ns)


def _lasting(blocked_ns: int, wait_ns: int, receive_ns: int) -> dict[str, float]:
    return {
        "blocked": blocked_ns / MILLISECOND,
        "dns": NOT_KNOWN,
        "connect": NOT_KNOWN,
        "send": 0,
        "wait": wait_ns / MILLISECOND,
        "receive": receive_ns / MILLISECOND,
        "ssl": NOT_KNOWN,
    }
