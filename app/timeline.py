"""
A report and its spans as plain text, for CI logs: figures, then a bar a line. Pure.

An outcome shows by its word and by the mark at the end of its bar; colour is put on afterwards, for
terminals. No line is longer than asked for, and nothing a client sent is printed raw.
"""

import itertools
import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from app.effects import Effects, Held
from app.findings import Finding, Severity
from app.grammar import decimal_text
from app.report import Curve, Report
from app.report import timeout as inferred
from app.retries import KeyRetries, Policy, PolicyName
from app.spans import Kind, Outcome, Span
from app.words import (
    JOINED,
    MICROSECOND,
    MILLISECOND,
    MINUTE,
    SECOND,
    TIMES,
    digits,
    length,
    plural,
    printable,
)

NARROWEST, WIDEST = 40, 400
MOST_ROWS = 60

QUEUED, WAITING, REPLYING, UNREACHED = "┄", "░", "█", "·"
MARKS = {
    Outcome.COMPLETED: REPLYING,
    Outcome.CLIENT_GONE: TIMES,
    Outcome.FAULTED: "!",
    Outcome.REJECTED: "◆",
    Outcome.ERROR: "■",
    Outcome.SHUTDOWN: "|",
    Outcome.IN_FLIGHT: ">",
}
WORDS = {
    Outcome.COMPLETED: "completed",
    Outcome.CLIENT_GONE: "client left",
    Outcome.FAULTED: "faulted",
    Outcome.REJECTED: "rejected",
    Outcome.ERROR: "our error",
    Outcome.SHUTDOWN: "cut by shutdown",
    Outcome.IN_FLIGHT: "in flight",
}
LEVELS = "▁▂▃▄▅▆▇█"
SEVERITIES = {Severity.WARN: "WARNING", Severity.NOTE: "note"}
DIM, RED, GREEN, YELLOW, MAGENTA, BOLD_RED = "2", "31", "32", "33", "35", "1;31"
COLOURS = {
    QUEUED: DIM,
    WAITING: DIM,
    UNREACHED: DIM,
    REPLYING: GREEN,
    TIMES: RED,
    "◆": YELLOW,
    "■": RED,
    "WARNING": BOLD_RED,
    "FAILED": BOLD_RED,
    "note": YELLOW,
}
_DRESSED = re.compile(
    rf"(?m)^(?:WARNING|note|FAILED)\b|([{QUEUED}{WAITING}{UNREACHED}{REPLYING}{TIMES}◆■])\1*"
)
# For terminals that know no more, such as a Windows console with a code page of its own.
ASCII = str.maketrans(f"┄░█·◆■▁▂▃▄▅▆▇─µ{TIMES}", "~-#.*E.:-=+*%_ux")

TICK_GAP = 8  # columns between ticks, at least
NAMES_FROM = 100  # columns from which there is room for keys and targets
LONGEST_NAME = 32


def text(
    report: Report,
    spans: Sequence[Span],
    found: Sequence[Finding] = (),
    *,
    width: int = 80,
    most: int = MOST_ROWS,
) -> str:
    """
    The report, what was *found* in it, then the first *most* of *spans* as bars on one time axis.

    *spans* are in order of arrival; they may be fewer than the report counted, which the text
    then says. *width* is kept within bounds, see `fitting`; no line is longer.
    """
    width = fitting(width)
    lines = list(_headline(report, spans[:most], width))
    for finding in found:
        lines += ["", *_finding(finding, width)]
    if report.requests:
        lines += ["", *_bars(report, spans[:most], width, report.makespan_ns)]
    return lines_text(lines)


def picture(
    report: Report, spans: Sequence[Span], *, width: int, length_ns: int, most: int = MOST_ROWS
) -> list[str]:
    """The lines of the bars alone, on an axis of *length_ns* from the first arrival."""
    return list(_bars(report, spans[:most], width, length_ns)) if report.requests else []


def lines_text(lines: Iterable[str]) -> str:
    """The lines as one text, no-break spaces made plain."""
    return "".join(f"{line.rstrip()}\n" for line in lines).replace(JOINED, " ")


def _finding(finding: Finding, width: int) -> Iterator[str]:
    head = f"{SEVERITIES[finding.severity]} {finding.code}: "
    yield from textwrap.wrap(
        head + finding.sentence, width, subsequent_indent="  ", break_on_hyphens=False
    )
    yield from textwrap.wrap(
        finding.remedy,
        width,
        initial_indent="  -> ",
        subsequent_indent="     ",
        break_on_hyphens=False,
    )


def fitting(width: int) -> int:
    """The nearest width, in columns, that there is a text for: 40 to 400."""
    return min(max(width, NARROWEST), WIDEST)


def in_ascii(page: str) -> str:
    """The same text, sign for sign, for consoles that know ASCII alone."""
    return page.translate(ASCII).encode("ascii", "replace").decode()


def in_colour(page: str) -> str:
    """
    The same text in colours (ECMA-48 SGR), for terminals.

    Only marks of bars and the words of findings and verdicts are dressed, so that the text stays
    what it was, whatever a client called its requests.
    """
    return _DRESSED.sub(lambda found: _dressed(found[0]), page)


def _dressed(sign: str) -> str:
    return f"\x1b[{COLOURS[sign if sign in COLOURS else sign[0]]}m{sign}\x1b[0m"


# --- figures -------------------------------------------------------------------------------------


def _headline(report: Report, spans: Sequence[Span], width: int) -> Iterator[str]:
    yield from textwrap.wrap(_summary(report), width, subsequent_indent="  ")
    if not report.requests:
        return
    yield ""
    for name, sentence in _figures(report, spans):
        yield from textwrap.wrap(
            sentence,
            width,
            initial_indent=f"{name:<13}",
            subsequent_indent=" " * 13,
            break_on_hyphens=False,
        )


def _summary(report: Report) -> str:
    if not report.requests:
        return f"{report.run}: no requests yet"
    outcomes = ", ".join(
        f"{count:,} {WORDS[outcome]}" for outcome, count in report.outcomes.items() if count
    )
    statuses = ", ".join(f"{status} {TIMES}{count:,}" for status, count in report.statuses.items())
    return f"{report.run}: {plural(report.requests, 'request')} ({outcomes})" + (
        f"; status {statuses}" if statuses else ""
    )


def _figures(report: Report, spans: Sequence[Span]) -> Iterator[tuple[str, str]]:
    """The names and sentences of what there is to say."""
    yield "makespan", _makespan(report)
    if report.peak_at_ns is not None and report.first_arrival_ns is not None:
        at = length(report.peak_at_ns - report.first_arrival_ns)
        yield "in flight", f"peak {report.peak:,} at {at}, mean {_ratio(report.mean_in_flight)}"
    if report.connections:
        each = _ratio(report.requests_per_connection)
        yield "connections", f"{report.connections:,}, {each} requests each"
    if report.lateness.replies:
        late = report.lateness
        yield (
            "lateness",
            ", ".join(
                f"{name} {length(ns or 0)}"
                for name, ns in (("p50", late.p50_ns), ("p99", late.p99_ns), ("max", late.max_ns))
            ),
        )
    if report.cancellations.count:
        yield "cancelled", _cancelled(report)
    yield from _effects(report.effects)
    if report.retries.count:
        yield "retries", _retries(report)
    if report.dropped:
        yield "dropped", f"{plural(report.dropped, 'span')} not kept, so not counted here"
    if scales := sorted({span.time_scale for span in spans} - {1.0}):
        yield "time scale", f"{', '.join(f'{scale:g}' for scale in scales)} of the planned delays"


def _makespan(report: Report) -> str:
    if not report.makespan_ns:
        return "0 s"
    return (
        f"{length(report.makespan_ns)} for {length(report.busy_ns)} of waits: "
        f"speed-up {_ratio(report.speedup)}, efficiency {_ratio(report.efficiency)} "
        f"(at best {length(report.lower_bound.ns)} with {report.lower_bound.peak:,} in flight)"
    )


def _cancelled(report: Report) -> str:
    cancelled, timeout = report.cancellations, inferred(report)
    phases = {
        "in the queue": cancelled.queued,
        "during the delay": cancelled.delayed,
        "during the reply": cancelled.replying,
    }
    when = ", ".join(f"{count:,} {phase}" for phase, count in phases.items() if count)
    cause = f"; {timeout.cause} at {length(timeout.low_ns)}" if timeout and timeout.low_ns else ""
    return (
        f"{when}, after {length(cancelled.waited_ns)} of waiting where "
        f"{length(cancelled.planned_ns)} were planned; wasted {length(cancelled.wasted_ns)}{cause}"
    )


def _effects(effects: Effects) -> Iterator[tuple[str, str]]:
    """What faults and limits did, as far as they did."""
    for name, counts in (("on purpose", effects.faults), ("refused", effects.rejections)):
        if counts:
            yield name, ", ".join(f"{each} {TIMES}{count:,}" for each, count in counts.items())
    if effects.queue.spans:
        yield "queued", _held(effects.queue)
    if effects.barrier.spans:
        yield "at barrier", _held(effects.barrier)


def _held(held: Held) -> str:
    return (
        f"{plural(held.spans, 'request')} for {length(held.total_ns)}, "
        f"at most {length(held.longest_ns)}"
    )


def _retries(report: Report) -> str:
    retries = report.retries
    shown = "; ".join(_key(one) for one in retries.shown[:3])
    more = "; ..." if retries.keys > 3 else ""
    told = f" ({retries.guessed:,} told by method and target alone)" if retries.guessed else ""
    return f"{retries.count:,} for {plural(retries.keys, 'key')}{told}: {shown}{more}" + "".join(
        f"; {part}" for part in _all_retries(report)
    )


def _all_retries(report: Report) -> Iterator[str]:
    """What the retries of all keys have in common."""
    retries = report.retries
    if retries.policy is not None:
        yield f"all together {pauses(retries.policy)}"
    if asked := retries.obeyed + retries.early_count:
        yield f"Retry-After obeyed {retries.obeyed:,} of {plural(asked, 'time')}"


def _key(one: KeyRetries) -> str:
    name, error = printable(one.key, LONGEST_NAME), one.policy.error
    fit = "" if error is None else f" (error {100 * error:.0f} %)"
    return f"{name} {one.attempts:,} attempts, {pauses(one.policy)}{fit}"


def pauses(policy: Policy) -> str:
    """How a client paces its retries, in words."""
    match policy.name:
        case PolicyName.TOO_FEW:
            return "too few to tell the pauses"
        case PolicyName.NONE:
            return "no pause"
        case PolicyName.CONSTANT:
            pause = f"a pause of {length(policy.first_ns or 0)}"
        case _:  # exponential
            first, factor = length(policy.first_ns or 0), policy.factor or 1
            pause = f"pauses from {first}, each {digits(factor)}{TIMES} the last"
    cap = "" if policy.cap_ns is None else f", up to {length(policy.cap_ns)}"
    return pause + cap + {None: "", True: ", with jitter", False: ", no jitter"}[policy.jitter]


def _ratio(value: float | None) -> str:
    return "-" if value is None else f"{value:,.2f}"


# --- bars ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Axis:
    """Moments of the run as columns; zero is the first arrival."""

    begin_ns: int
    length_ns: int
    columns: int

    def column(self, moment_ns: int) -> int:
        """The column of a moment, within the axis; `columns` itself for its end and beyond."""
        if not self.length_ns:
            return 0
        column = (moment_ns - self.begin_ns) * self.columns // self.length_ns
        return min(max(column, 0), self.columns)

    def ticks(self) -> Iterator[int]:
        """Lengths from the beginning, a round step apart and none too close to the next."""
        closest = self.length_ns * TICK_GAP // self.columns
        step = next(step for step in _steps() if step > closest)
        yield from range(0, self.length_ns + 1, step)


def _steps() -> Iterator[int]:
    """1, 2 and 5 x 10^n nanoseconds up to 50 s, then as many minutes, so that `m:ss` reads well."""
    yield from (digit * 10**n for n in range(11) for digit in (1, 2, 5))
    yield from (digit * 10**n * MINUTE for n in itertools.count() for digit in (1, 2, 5))


def _bars(report: Report, spans: Sequence[Span], width: int, length_ns: int) -> Iterator[str]:
    """A bar a span, how many more there are, the level over time, the axis and the key to marks."""
    rows = _labels(spans)
    widths = [max(map(len, cells)) for cells in zip(*rows, strict=True)]
    left = max(sum(widths) + 2 * len(widths), len("in flight") + 2)
    right = LONGEST_NAME + 2 if spans and width >= NAMES_FROM else 0
    axis = _Axis(report.first_arrival_ns or 0, length_ns, width - left - right)
    if spans:
        yield _cells(rows[0], widths)
    for labels, span in zip(rows[1:], spans, strict=True):
        bar = _bar(span, axis, report.now_ns)
        yield _cells(labels, widths).ljust(left) + bar + (f"  {_name(span)}" if right else "")
    if (rest := report.requests - len(spans)) > 0:
        yield f"... {rest:,} more"
    yield "in flight".ljust(left) + _curve(report.curve, report.peak, axis)
    yield _unit(axis)[1].ljust(left) + _scale(axis)
    yield from _legend("".join(_bar(span, axis, report.now_ns) for span in spans), width)


def _labels(spans: Sequence[Span]) -> list[tuple[str, ...]]:
    """What stands left of the bars, the heads first; `try` only where there is a second one."""
    rows = [("#", "reply", "plan")]
    for place, span in enumerate(spans, 1):
        plan = "-" if span.delay_ns is None else length(span.delay_ns)
        rows.append((str(place), reply(span), plan))
    if not any((span.attempt or 1) > 1 for span in spans):
        return [*rows]
    tries = ["try", *(str(span.attempt or "") for span in spans)]
    return [(*row, attempt) for row, attempt in zip(rows, tries, strict=True)]


def reply(span: Span) -> str:
    """The status the client got, or the word for getting none."""
    match span.outcome:
        case Outcome.IN_FLIGHT:
            return "-"
        case Outcome.CLIENT_GONE:
            return "left"
        case Outcome.FAULTED:
            return span.fault or "fault"
        case _:
            return str(span.status or "-")


def _cells(labels: tuple[str, ...], widths: list[int]) -> str:
    return "".join(label.rjust(width) + "  " for label, width in zip(labels, widths, strict=True))


def _name(span: Span) -> str:
    return printable(span.key or f"{span.method} {span.target}", LONGEST_NAME)


def _bar(span: Span, axis: _Axis, now_ns: int) -> str:
    """
    Queued, waiting, replying, then the mark of the outcome, at least a column in all.

    What was planned but never reached goes on in dots.
    """
    end_ns = now_ns if span.end_ns is None else span.end_ns
    begin = min(axis.column(span.arrival_ns), axis.columns - 1)
    end = max(axis.column(end_ns), begin + 1)
    cells = [" "] * axis.columns
    cells[begin:end] = WAITING * (end - begin)
    queued = min(max(_queued_until(span, axis, begin, end), begin), end)
    cells[begin:queued] = QUEUED * (queued - begin)
    if span.first_byte_ns is not None:
        replying = min(max(axis.column(span.first_byte_ns), begin), end)
        cells[replying:end] = REPLYING * (end - replying)
    cells[end - 1] = MARKS[span.outcome]
    due = max(_due(span, axis), end)
    cells[end:due] = UNREACHED * (due - end)
    return "".join(cells)


def _queued_until(span: Span, axis: _Axis, begin: int, end: int) -> int:
    if span.kind is not Kind.HTTP:
        return begin  # an echo never queues
    if span.wait_begun_ns is None:
        return end
    # Not simply the column of wait begun: a microsecond before it may lie a column to its left.
    queued_ns = span.queue_wait_ns + span.barrier_wait_ns
    return axis.column(span.arrival_ns + queued_ns) if queued_ns else begin


def _due(span: Span, axis: _Axis) -> int:
    """The column up to which a span without a first byte was meant to wait."""
    planned = span.scaled_delay_ns
    if span.first_byte_ns is not None or span.wait_begun_ns is None or planned is None:
        return 0
    return axis.column(span.wait_begun_ns + planned)


def _curve(curve: Curve, peak: int, axis: _Axis) -> str:
    """The most in flight in each column: as a digit while one will do, else as a level."""
    return "".join(
        _level(max(curve.levels[first:last], default=0), peak)
        for first, last in (_here(curve, axis, column) for column in range(axis.columns))
    )


def _here(curve: Curve, axis: _Axis, column: int) -> tuple[int, int]:
    """The steps of the curve that a column covers, at least one."""
    first = column * axis.length_ns // axis.columns // curve.step_ns
    last = ((column + 1) * axis.length_ns - 1) // axis.columns // curve.step_ns
    return first, max(first, last) + 1


def _level(level: int, peak: int) -> str:
    if not level:
        return " "
    return str(level) if peak <= 9 else LEVELS[-(-level * len(LEVELS) // peak) - 1]


def _unit(axis: _Axis) -> tuple[int, str]:
    """The unit of the whole axis, and its name."""
    if axis.length_ns >= 2 * MINUTE:
        return MINUTE, "min:s"
    if axis.length_ns >= SECOND or not axis.length_ns:
        return SECOND, "seconds"
    return (MILLISECOND, "ms") if axis.length_ns >= MILLISECOND else (MICROSECOND, "µs")


def _scale(axis: _Axis) -> str:
    """The axis: each label begins at its moment."""
    unit, _ = _unit(axis)
    line = ""
    for tick in axis.ticks():
        label = _tick(tick, unit)
        column = axis.column(axis.begin_ns + tick)
        if column + len(label) <= axis.columns:
            line = line.ljust(column, "─") + label
    return line.ljust(axis.columns, "─")


def _tick(tick_ns: int, unit_ns: int) -> str:
    if unit_ns == MINUTE:
        return f"{tick_ns // MINUTE}:{tick_ns % MINUTE // SECOND:02d}"
    return decimal_text(tick_ns, unit_ns)


def _legend(bars: str, width: int) -> Iterator[str]:
    """The key to the marks that occur."""
    names = {QUEUED: "queued", WAITING: "waiting", REPLYING: "reply", UNREACHED: "not reached"}
    names |= {mark: WORDS[outcome] for outcome, mark in MARKS.items() if mark != REPLYING}
    shown = (f"{mark} {name}" for mark, name in names.items() if mark in bars)
    yield from textwrap.wrap("  ".join(one.replace(" ", JOINED) for one in shown), width)
