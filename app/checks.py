"""Assertions over a report: `requests=100&peak=..10&makespan=..12s` -> a verdict. Pure."""

import difflib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from heapq import nsmallest
from typing import TypeVar

from app import figures, findings
from app.errors import BadValue, Problem
from app.findings import Finding, Severity, worst
from app.grammar import Bounds, bounds, decimal, duration, duration_text, integer, quoted
from app.report import EXAMPLES, Reply, Report
from app.spans import Outcome, span_name

LONGEST_WAIT_NS = 300_000_000_000

OUTCOMES: Mapping[str, Outcome] = {
    "completed": Outcome.COMPLETED,
    "cancelled": Outcome.CLIENT_GONE,
    "faulted": Outcome.FAULTED,
    "rejected": Outcome.REJECTED,
    "errors": Outcome.ERROR,
}
COUNTS = ("requests", *OUTCOMES, "peak", "connections", "retries", "dropped")
RATIOS = ("mean_in_flight", "speedup", "efficiency", "reuse")
LENGTHS = ("makespan", "busy", "lateness_p99", "lateness_max", "wasted")
FINDINGS = "findings"
GRAVITY = {None: 0, Severity.NOTE: 1, Severity.WARN: 2}
GRAVITIES = ("none", *(severity.value for severity in Severity))
READERS: Mapping[str, Callable[[str], float]] = (
    dict.fromkeys(COUNTS, integer)
    | dict.fromkeys(RATIOS, decimal)
    | dict.fromkeys(LENGTHS, duration)
)
NAMES = (*READERS, FINDINGS, "status.NNN", "wait")

Value = TypeVar("Value")

_STATUS = re.compile(r"status\.([2-5][0-9]{2})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Check:
    """
    One figure and its bounds: of a length, in nanoseconds before the time scale; of `findings`,
    from 0 for none over 1 for notes to 2 for warnings.
    """

    name: str
    text: str  # the bounds as given
    bounds: Bounds


@dataclass(frozen=True, slots=True)
class Checks:
    """What is asserted, and how long to wait for the run to be complete; None is not at all."""

    checks: tuple[Check, ...]
    wait_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """
    One check against one report.

    *value* is None when the figure has none, as a ratio to nothing or the lateness of no reply;
    that meets no bound, for what was not seen can't be vouched for. *scaled* is the bounds times
    the time scale, for lengths where that differs. *spans* are the ids of at most 20 offenders
    of a failed check, as far as single spans can be blamed; *findings* those that it fails for.
    """

    check: Check
    value: int | float | None
    passed: bool
    scaled: str | None
    spans: tuple[int, ...]
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """Every check's result; *timed_out*: the wait was over before the run was complete."""

    results: tuple[Result, ...]
    timed_out: bool
    time_scale: float  # by which bounds of lengths were multiplied

    @property
    def passed(self) -> bool:
        """Whether the run was complete in time and met every bound."""
        return not self.timed_out and all(result.passed for result in self.results)


# --- reading -------------------------------------------------------------------------------------


def parse(pairs: Iterable[tuple[str, str]]) -> Checks:
    """
    The checks in decoded (name, value) pairs, in their order; `wait` is one of the names.

    Raises:
        Problem: a name is unknown or given twice, or a value is no bound for it.
    """
    checks: list[Check] = []
    wait_ns: int | None = None
    seen: set[str] = set()
    for name, value in pairs:
        if name in seen:
            raise Problem("bad-knob", f"{quoted(name)} is given twice; once is enough", name)
        seen.add(name)
        if name == "wait":
            wait_ns = _read(name, value, _wait)
        else:
            checks.append(_check(name, value))
    return Checks(tuple(checks), wait_ns)


def missing_requests(checks: Checks) -> int:
    """
    How many requests `wait` waits for: the lower bound of `requests`, 1 when there is none.

    Never more than its upper bound, so that `requests=..0` does not wait for one.
    """
    for check in checks.checks:
        if check.name == "requests":
            least, most = check.bounds.least, check.bounds.most
            return int(min(1, most or 0) if least is None else least)
    return 1


def _check(name: str, value: str) -> Check:
    if name == FINDINGS:
        return Check(name, value, _read(name, value, _gravest))
    reader = integer if _STATUS.fullmatch(name) else READERS.get(name)
    if reader is None:
        raise Problem("unknown-knob", _unknown(name), name)
    return Check(name, value, _read(name, value, lambda text: bounds(text, reader)))


def _read(name: str, value: str, reader: Callable[[str], Value]) -> Value:
    try:
        return reader(value)
    except BadValue as error:
        raise Problem("bad-knob", f"{name}: {error}", name) from None


def _gravest(text: str) -> Bounds:
    """What is the gravest that may be found."""
    most = {"none": Severity.NOTE, "..note": Severity.NOTE, "..warn": Severity.WARN}.get(text)
    if most is None:
        raise BadValue(
            f"{quoted(text)} is no bound of findings; write none (no warning) or ..note, or ..warn "
            "to see them and never fail"
        )
    return Bounds(None, GRAVITY[most])


def _wait(text: str) -> int:
    wait_ns = duration(text)
    if wait_ns > LONGEST_WAIT_NS:
        raise BadValue(
            f"{quoted(text)} is too long to wait; write at most {duration_text(LONGEST_WAIT_NS)}"
        )
    return wait_ns


def _unknown(name: str) -> str:
    if name.startswith("status."):
        return f"{quoted(name)} is no figure to check; write a status from status.200 to status.599"
    nearest = difflib.get_close_matches(name, NAMES, n=1)
    remedy = f"did you mean {nearest[0]}?" if nearest else f"use one of {', '.join(NAMES)}"
    return f"{quoted(name)} is no figure to check; {remedy}"


# --- judging -------------------------------------------------------------------------------------


def evaluate(
    checks: Checks,
    report: Report,
    found: Sequence[Finding] = (),
    *,
    time_scale: float = 1.0,
    timed_out: bool = False,
) -> Verdict:
    """
    The verdict on *report* and what was *found* in it.

    Bounds of lengths are multiplied by the server's *time_scale*.
    """
    values = _values(report)
    results = (
        _found(check, found)
        if check.name == FINDINGS
        else _result(check, report, values, time_scale)
        for check in checks.checks
    )
    return Verdict(tuple(results), timed_out, time_scale)


def _found(check: Check, found: Sequence[Finding]) -> Result:
    gravity = GRAVITY[worst(found)]
    most = check.bounds.most or 0
    offending = tuple(one for one in found if GRAVITY[one.severity] > most)
    spans = nsmallest(EXAMPLES, {span for one in offending for span in one.spans})
    return Result(check, gravity, gravity <= most, None, tuple(spans), offending)


def _values(report: Report) -> dict[str, int | float | None]:
    """The figures by name, lengths in nanoseconds: bounds are compared exactly."""
    return {**figures.counts(report), **figures.ratios(report), **figures.lengths_ns(report)}


def _result(
    check: Check, report: Report, values: Mapping[str, int | float | None], time_scale: float
) -> Result:
    # A status that never came is no figure of the report, and happened 0 times.
    value = values.get(check.name, 0)
    scaled = _scaled(check.bounds, time_scale) if check.name in LENGTHS else check.bounds
    passed = value is not None and scaled.admits(value)
    return Result(
        check,
        value,
        passed,
        None if scaled == check.bounds else _length_bounds(scaled),
        () if passed else _offenders(check.name, value, scaled, report),
    )


def _scaled(limits: Bounds, time_scale: float) -> Bounds:
    least, most = (
        None if end is None else round(end * time_scale) for end in (limits.least, limits.most)
    )
    return Bounds(least, most)


def _length_bounds(limits: Bounds) -> str:
    """Bounds of a length as one would write them."""
    least, most = (
        "" if end is None else duration_text(int(end)) for end in (limits.least, limits.most)
    )
    return least if least == most else f"{least}..{most}"


def _offenders(name: str, value: float | None, limits: Bounds, report: Report) -> tuple[int, ...]:
    """
    The spans behind a broken bound, the first 20 of them.

    Of an outcome or a status: too many are those that had it, too few those that had another.
    """
    high = value is not None and limits.most is not None and value > limits.most
    if name in OUTCOMES or name.startswith("status."):
        return _ended(name, high, report)
    if name == "reuse":
        return () if high else report.opening_spans
    return _too_much(name, report) if high else ()


def _too_much(name: str, report: Report) -> tuple[int, ...]:
    """The spans to blame when a figure is too large; none where it is the work of all."""
    last = () if report.last_span is None else (report.last_span,)
    gone = tuple(one.span for one in report.cancellations.shown)
    blamed = {
        "peak": report.peak_spans,
        "mean_in_flight": report.peak_spans,
        "connections": report.opening_spans,
        "retries": report.retries.spans,
        "makespan": last,
        "lateness_p99": report.lateness.worst,
        "lateness_max": report.lateness.worst,
        "wasted": gone,
    }
    return blamed.get(name, ())


def _ended(name: str, high: bool, report: Report) -> tuple[int, ...]:
    """The first spans that ended as *name* says, or, when there were too few, otherwise."""
    spans = (
        span for reply in report.replies if _named(name, reply) == high for span in reply.spans
    )
    return tuple(nsmallest(EXAMPLES, spans))


def _named(name: str, reply: Reply) -> bool:
    if name in OUTCOMES:
        return reply.outcome is OUTCOMES[name]
    return name == f"status.{reply.status}"


# --- presentation --------------------------------------------------------------------------------


def document(verdict: Verdict) -> dict[str, object]:
    """The verdict as JSON shows it, checks in the order they were given; lengths in seconds."""
    return {
        "passed": verdict.passed,
        "timed_out": verdict.timed_out,
        "time_scale": verdict.time_scale,
        "checks": [_result_document(result) for result in verdict.results],
    }


def _result_document(result: Result) -> dict[str, object]:
    members: dict[str, object] = {
        "name": result.check.name,
        "bound": result.check.text,
        "value": _value(result),
        "passed": result.passed,
        "spans": [span_name(number) for number in result.spans],
    }
    if result.scaled is not None:
        members["scaled_bound"] = result.scaled
    if result.check.name == FINDINGS:
        members["findings"] = findings.document(result.findings)
    return members


def _value(result: Result) -> float | str | None:
    value = result.value
    if value is None:
        return None
    if result.check.name == FINDINGS:
        return GRAVITIES[int(value)]
    return value / figures.SECOND if result.check.name in LENGTHS else value
