"""
A run as trace events, for Perfetto (https://ui.perfetto.dev) and chrome://tracing. Pure.

The JSON object format of the Trace Event Format: complete events ("X") in microseconds since the
first arrival, one thread a lane, with the phases of a request nested in it.
"""

import json
from collections.abc import Iterable, Iterator

from app.lanes import Lanes
from app.spans import Kind, Span
from app.words import MICROSECOND, printable

PROCESS = 1
LONGEST_NAME = 80
TOLD = ("status", "fault", "key", "attempt", "delay_ns", "in_flight", "connection", "ended_by")

Event = dict[str, object]


class Trace:
    """Writes the events of spans; what is in flight lasts until *now_ns*."""

    def __init__(self, now_ns: int) -> None:
        self._now_ns = now_ns
        self._begin_ns: int | None = None
        self._lanes = Lanes()

    @property
    def head(self) -> str:
        name = json.dumps(_metadata("process_name", 0, "Dawdle"))
        return f'{{"displayTimeUnit": "ms", "traceEvents": [\n{name}'

    @property
    def tail(self) -> str:
        return "\n]}\n"

    def lines(self, spans: Iterable[Span]) -> str:
        """Some events a span, each on its line."""
        return "".join(f",\n{json.dumps(one)}" for span in spans for one in self._events(span))

    def _events(self, span: Span) -> Iterator[Event]:
        if self._begin_ns is None:
            self._begin_ns = span.arrival_ns
        end_ns = max(self._now_ns if span.end_ns is None else span.end_ns, span.arrival_ns)
        known = self._lanes.count
        thread = self._lanes.place(span.arrival_ns, end_ns) + 1
        if thread > known:
            yield _metadata("thread_name", thread, f"slot {thread}")
        name = printable(f"{span.method} {span.target}", LONGEST_NAME)
        yield self._event(name, thread, span.arrival_ns, end_ns) | {"args": _told(span)}
        phases = list(_phases(span, end_ns))
        if len(phases) > 1:  # a single one is as long as the request
            for phase, begun_ns, over_ns in phases:
                yield self._event(phase, thread, begun_ns, over_ns)

    def _event(self, name: str, thread: int, begun_ns: int, over_ns: int) -> Event:
        return {
            "name": name,
            "cat": "dawdle",
            "ph": "X",
            "ts": (begun_ns - (self._begin_ns or 0)) / MICROSECOND,
            "dur": (over_ns - begun_ns) / MICROSECOND,
            "pid": PROCESS,
            "tid": thread,
        }


def _metadata(name: str, thread: int, value: str) -> Event:
    return {"name": name, "ph": "M", "pid": PROCESS, "tid": thread, "args": {"name": value}}


def _told(span: Span) -> dict[str, object]:
    """What a viewer shows of a request that was chosen."""
    return {"span": span.name, "outcome": span.outcome.value} | {
        name: value for name in TOLD if (value := getattr(span, name)) is not None
    }


def _phases(span: Span, end_ns: int) -> Iterator[tuple[str, int, int]]:
    """(name, begin, end) of what a request went through, as far as that lasted; none of echoes."""
    if span.kind is not Kind.HTTP:
        return
    queued_ns = min(span.arrival_ns + span.queue_wait_ns, end_ns)
    met_ns = min(queued_ns + span.barrier_wait_ns, end_ns)
    if span.end_ns is None and span.wait_begun_ns is None:
        met_ns = end_ns  # past the queue, if there was one, and still at the barrier
    replied_ns = min(max(span.first_byte_ns or end_ns, met_ns), end_ns)
    moments = (span.arrival_ns, queued_ns, met_ns, replied_ns, end_ns)
    for name, begun_ns, over_ns in zip(
        ("queue", "barrier", "delay", "reply"), moments, moments[1:], strict=False
    ):
        if over_ns > begun_ns:
            yield name, begun_ns, over_ns
