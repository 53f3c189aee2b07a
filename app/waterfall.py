"""
What the picture of a run is drawn from: each field of its spans; of too many, how they ended. Pure.

Spans go by columns, a value that all of a batch have in common standing alone: half the bytes of
objects. Moments are nanoseconds since the run's first arrival, which a script's numbers can hold;
nanoseconds since the Unix epoch they can't.
"""

import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from app import bars
from app.report import Report
from app.spans import FIELDS, Span, span_name

MOST = 20_000  # spans that are drawn one by one
COLUMNS = 1_000  # of the others' ends

MOMENTS = ("arrival_ns", "wait_begun_ns", "first_byte_ns", "last_byte_ns", "end_ns")


@dataclass(frozen=True, slots=True)
class Window:
    """From when to when, in nanoseconds since the run's first arrival."""

    begin_ns: int
    end_ns: int


class Selection:
    """
    The spans to be drawn, encoded as they are added; the first one begins the run.

    Those that overlap *window* and whose id is in *ids*, as far as these are given. Past *most* of
    them it *is_crowded*, and keeps none.
    """

    def __init__(
        self,
        *,
        now_ns: int,
        window: Window | None = None,
        ids: Collection[int] = (),
        most: int,
    ) -> None:
        self.begin_ns: int | None = None
        self.count = 0
        self._lines: list[str] = []
        self._now_ns, self._window, self._ids, self._most = now_ns, window, ids, most

    def add(self, spans: Sequence[Span]) -> None:
        """Take the next spans of the run, at least one."""
        if self.begin_ns is None:
            self.begin_ns = spans[0].arrival_ns
        wanted = [span for span in spans if self._wants(span, self.begin_ns)]
        self.count += len(wanted)
        if self.is_crowded:
            self._lines.clear()
        elif wanted:
            self._lines.append(json.dumps({"spans": columns(wanted, self.begin_ns)}))

    @property
    def is_crowded(self) -> bool:
        """Whether there are more than can be told apart."""
        return self.count > self._most

    def lines(self, position: str) -> Iterable[str]:
        """JSON: first what they are of, with the *position* among the events, then the spans."""
        yield _head(self.begin_ns, self._now_ns, position, count=self.count)
        yield from self._lines

    def _wants(self, span: Span, begin_ns: int) -> bool:
        if self._ids and span.id not in self._ids:
            return False
        if self._window is None:
            return True
        end_ns = (self._now_ns if span.end_ns is None else span.end_ns) - begin_ns
        return span.arrival_ns - begin_ns <= self._window.end_ns and end_ns >= self._window.begin_ns


def columns(spans: Sequence[Span], begin_ns: int) -> dict[str, object]:
    """The spans by field, at least one of them; a value that all have in common stands alone."""
    table = {name: [getattr(span, name) for span in spans] for name in FIELDS}
    for name in MOMENTS:
        table[name] = [None if each is None else each - begin_ns for each in table[name]]
    shared = {name: _shared(values) for name, values in table.items()}
    return shared | {"id": [span_name(span.id) for span in spans]}


def _shared(values: list[object]) -> object:
    first = values[0]
    return first if all(each == first for each in values) else values


class Crowd:
    """How the spans of a window ended, and when: counts in columns of equal length."""

    def __init__(self, report: Report, window: Window | None = None, most: int = COLUMNS) -> None:
        self._report = report
        self._window = window or Window(0, max(report.makespan_ns, 1))
        self._begin_ns = (report.first_arrival_ns or 0) + self._window.begin_ns
        length_ns = max(self._window.end_ns - self._window.begin_ns, 1)
        self._column_ns = -(-length_ns // most)
        self._count = -(-length_ns // self._column_ns)
        self._ends: dict[str, list[int]] = {}

    def add(self, spans: Iterable[Span]) -> None:
        """Take the next spans of the run; what has not ended counts as of now."""
        now_ns, begin_ns, column_ns = self._report.now_ns, self._begin_ns, self._column_ns
        for span in spans:
            column = ((now_ns if span.end_ns is None else span.end_ns) - begin_ns) // column_ns
            if column == self._count:  # the very last moment
                column -= 1
            if 0 <= column < self._count:
                mark = bars.mark(span.outcome, span.status)
                self._ends.setdefault(mark, [0] * self._count)[column] += 1

    def lines(self, position: str) -> Iterable[str]:
        """JSON: first what it is of, with the *position* among the events, then the counts."""
        report = self._report
        yield _head(report.first_arrival_ns, report.now_ns, position, count=report.requests)
        yield json.dumps(
            {
                "crowd": {
                    "begin_ns": self._window.begin_ns,
                    "column_ns": self._column_ns,
                    "columns": self._count,
                    "ends": self._ends,
                },
                "curve": {"step_ns": report.curve.step_ns, "levels": report.curve.levels},
            }
        )


def _head(begin_ns: int | None, now_ns: int, position: str, *, count: int) -> str:
    """
    The first line. *begin_us* places the run in time, in microseconds since the Unix epoch.
    """
    begin_ns = now_ns if begin_ns is None else begin_ns
    return json.dumps(
        {
            "begin_us": begin_ns / 1_000,
            "now_ns": now_ns - begin_ns,
            "events_after": position,
            "count": count,
            "most": MOST,
        }
    )
