"""
A report and its spans as bars on one time axis, for pages. Pure.

Places are per cent of the axis, so that a drawing stretches with its page; the marks at the ends
of bars, which tell the outcomes apart, are the page's own and do not stretch.
"""

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from app import timeline
from app.grammar import decimal_text
from app.report import Curve, Report
from app.spans import Outcome, Span
from app.words import MICROSECOND, MILLISECOND, MINUTE, SECOND

MOST_TICKS = 6
FARTHEST = 2  # times the makespan: plans that reach beyond it would squeeze what did happen

# A reply whose status says no is complete all the same, so no outcome of its own, but looks so.
ERROR_STATUS = "error_status"
WORDS = {Outcome.COMPLETED.value: timeline.WORDS[Outcome.COMPLETED], ERROR_STATUS: "error status"}
WORDS |= {outcome.value: words for outcome, words in timeline.WORDS.items()}


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of the axis, in per cent of it."""

    begin: float
    width: float


@dataclass(frozen=True, slots=True)
class Bar:
    """
    One span on the axis: queued, waiting, replying, then the mark of how it ended.

    *unreached* is the rest of a wait that somebody cut short. *took_ns* is arrival to end, or to
    now. None: there is no such part.
    """

    span: Span
    mark: str
    end: float
    took_ns: int
    queued: Stretch | None
    waiting: Stretch | None
    replying: Stretch | None
    unreached: Stretch | None

    @property
    def words(self) -> str:
        """How it ended, in words."""
        return WORDS[self.mark]


@dataclass(frozen=True, slots=True)
class Tick:
    """A round moment of the axis, counted from the first arrival."""

    place: float
    label: str


@dataclass(frozen=True, slots=True)
class Level:
    """What was in flight when: an SVG path, a unit a request high and a unit a step wide."""

    path: str
    steps: float
    peak: int
    width: float  # per cent of the axis


@dataclass(frozen=True, slots=True)
class Count:
    """How many spans of the whole run ended with a mark, and what it means."""

    mark: str
    words: str
    count: int


@dataclass(frozen=True, slots=True)
class Chart:
    """The bars of a run's first spans, the axis and level above them, and the key to marks."""

    bars: tuple[Bar, ...]
    ticks: tuple[Tick, ...]
    level: Level | None
    counts: tuple[Count, ...]  # those that are not 0


@dataclass(frozen=True, slots=True)
class Axis:
    """Moments as per cent of what is shown; zero is the first arrival."""

    begin_ns: int
    length_ns: int

    def place(self, moment_ns: int) -> float:
        """The place of a moment, within the axis."""
        if not self.length_ns:
            return 0.0
        return round(min(max(100 * (moment_ns - self.begin_ns) / self.length_ns, 0), 100), 3)

    def stretch(self, begin_ns: int, end_ns: int) -> Stretch | None:
        """The part between two moments; None when there is nothing between them."""
        if end_ns <= begin_ns:
            return None
        begin = self.place(begin_ns)
        return Stretch(begin, round(self.place(end_ns) - begin, 3))


def chart(report: Report, spans: Sequence[Span], axis_ns: int | None = None) -> Chart:
    """
    The drawing of *spans*, in order of arrival; they may be fewer than the report counted.

    The axis is as long as they need, or *axis_ns*.
    """
    shown_ns = length_ns(report, spans) if axis_ns is None else axis_ns
    axis = Axis(report.first_arrival_ns or 0, shown_ns)
    return Chart(
        bars=tuple(bar(span, axis, report.now_ns) for span in spans),
        ticks=tuple(ticks(axis.length_ns)),
        level=_level(report, axis),
        counts=counts(report),
    )


def mark(outcome: Outcome, status: int | None) -> str:
    """The name of the mark for an end: its outcome's, or the one for a status of 400 and above."""
    refused = outcome is Outcome.COMPLETED and status is not None and status >= 400
    return ERROR_STATUS if refused else outcome.value


def bar(span: Span, axis: Axis, now_ns: int) -> Bar:
    """The span on the axis; it lasts until now when it has not ended."""
    end_ns = max(now_ns if span.end_ns is None else span.end_ns, span.arrival_ns)
    begun_ns = min(_begun_ns(span, end_ns), end_ns)
    replied_ns = end_ns if span.first_byte_ns is None else span.first_byte_ns
    return Bar(
        span=span,
        mark=mark(span.outcome, span.status),
        end=axis.place(end_ns),
        took_ns=end_ns - span.arrival_ns,
        queued=axis.stretch(span.arrival_ns, begun_ns),
        waiting=axis.stretch(begun_ns, replied_ns),
        replying=axis.stretch(replied_ns, end_ns),
        unreached=axis.stretch(end_ns, _due_ns(span) or 0),
    )


def _begun_ns(span: Span, end_ns: int) -> int:
    """When nothing held the span any more; what never came so far was held to its end."""
    if span.wait_begun_ns is None:
        return end_ns
    return span.arrival_ns + span.queue_wait_ns + span.barrier_wait_ns


def ticks(length_ns: int) -> Iterator[Tick]:
    """Round moments, at most six steps apart, all in the unit that suits the whole axis."""
    if not length_ns:
        return
    step_ns = next(step for step in _steps() if step * MOST_TICKS >= length_ns)
    for moment_ns in range(0, length_ns + 1, step_ns):
        yield Tick(round(100 * moment_ns / length_ns, 3), _label(moment_ns, length_ns))


def _steps() -> Iterator[int]:
    """1, 2 and 5 x 10^n nanoseconds up to 50 s, then as many minutes, so that `m:ss` reads well."""
    yield from (digit * 10**n for n in range(11) for digit in (1, 2, 5))
    yield from (digit * 10**n * MINUTE for n in itertools.count() for digit in (1, 2, 5))


def _label(moment_ns: int, length_ns: int) -> str:
    if length_ns >= 2 * MINUTE:
        return f"{moment_ns // MINUTE}:{moment_ns % MINUTE // SECOND:02d}"
    units = ((SECOND, "s"), (MILLISECOND, "ms"), (MICROSECOND, "µs"), (1, "ns"))
    unit_ns, name = next(unit for unit in units if length_ns >= unit[0])
    return f"{decimal_text(moment_ns, unit_ns)} {name}"


def _due_ns(span: Span) -> int | None:
    """When the byte that a span still owed (with drip: the last one) was meant to go out."""
    planned_ns = span.scaled_delay_ns
    byte_ns = span.first_byte_ns if span.drip is None else span.last_byte_ns
    if byte_ns is not None or span.wait_begun_ns is None or planned_ns is None:
        return None
    return span.wait_begun_ns + planned_ns


def length_ns(report: Report, spans: Sequence[Span]) -> int:
    """Long enough for what happened, and for what was planned as far as that makes sense."""
    begin_ns, makespan_ns = report.first_arrival_ns or 0, report.makespan_ns
    due_ns = max((due for due in map(_due_ns, spans) if due is not None), default=begin_ns)
    return min(max(makespan_ns, due_ns - begin_ns), FARTHEST * makespan_ns)


def _level(report: Report, axis: Axis) -> Level | None:
    if not report.peak:
        return None
    return Level(
        path=_path(report.curve),
        steps=round(report.makespan_ns / report.curve.step_ns, 3),
        peak=report.peak,
        width=axis.place(axis.begin_ns + report.makespan_ns),
    )


def _path(curve: Curve) -> str:
    """Up and down from the ground and back to it; heights are negative, for SVG counts downward."""
    path, before = "M0 0", 0
    for step, level in enumerate(curve.levels):
        if level != before:
            path, before = f"{path}H{step}V{-level}", level
    return f"{path}H{len(curve.levels)}V0"


def counts(report: Report) -> tuple[Count, ...]:
    """How all spans of the run ended; what did not happen is left out."""
    ended: Counter[str] = Counter()
    for reply in report.replies:
        ended[mark(reply.outcome, reply.status)] += reply.count
    return tuple(Count(name, words, ended[name]) for name, words in WORDS.items() if ended[name])
