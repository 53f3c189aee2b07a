"""How pages write what they show: lengths, moments, counts, and a run in one sentence. Pure."""

from collections.abc import Callable
from dataclasses import dataclass

from app import __version__, timeline, words
from app.clock import iso_text, utc
from app.plain import plain
from app.report import Report
from app.spans import Outcome, span_name

NONE = "\N{EN DASH}"


def length_text(ns: int | None) -> str:
    """A length in nanoseconds as people say it, such as 7 s, 250 ms or 1.2 ms; a dash for None."""
    return NONE if ns is None else words.length(ns)


def moment_text(ns: int) -> str:
    """A moment in nanoseconds since the Unix epoch, to the second, in UTC."""
    return utc(ns).strftime("%Y-%m-%d %H:%M:%S UTC")


def count_text(count: int | None) -> str:
    """A count with its thousands apart: 18,204."""
    return NONE if count is None else f"{count:,}"


def times_text(ratio: float | None) -> str:
    """A ratio as a multiple, with no decimals from a hundred on."""
    return NONE if ratio is None else f"{ratio:,.{0 if ratio >= 100 else 1}f}{words.TIMES}"


def percent_text(ratio: float | None) -> str:
    """A ratio as per cent, in whole numbers."""
    return NONE if ratio is None else f"{100 * ratio:.0f}\xa0%"


# --- a run in one sentence -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Headline:
    """What a run comes to: the claim, and what else is worth knowing at once."""

    claim: str
    aside: str = ""


def headline(report: Report) -> Headline:
    """The first thing to read about a run."""
    return Headline(_claim(report), " ".join(_asides(report)))


def _claim(report: Report) -> str:
    if not report.requests:
        return "No requests yet."
    if not report.peak:  # all were over as soon as they arrived
        return f"{words.plural(report.requests, 'request')}, and none had to wait."
    busy, makespan = length_text(report.busy_ns), length_text(report.makespan_ns)
    if report.requests == 1:
        return f"One request, {makespan} from arrival to end."
    if report.peak == 1:
        return f"{count_text(report.requests)} requests, one after another: {makespan}."
    peak = count_text(report.peak)
    return f"{busy} of waiting done in {makespan}, up to {peak} requests at a time."


def _asides(report: Report) -> list[str]:
    longest_ns, gone = report.lower_bound.longest_ns, report.count(Outcome.CLIENT_GONE)
    now, dropped = report.count(Outcome.IN_FLIGHT), report.dropped
    asides = []
    if report.peak == 1 and report.requests > 1 and not now and 2 * longest_ns < report.makespan_ns:
        asides.append(f"Overlapped they would take {length_text(longest_ns)}.")
    if gone:
        asides.append(f"{words.plural(gone, 'client')} left before the reply was complete.")
    if now:
        asides.append(f"{count_text(now)} still in flight.")
    if dropped:
        asides.append(f"{words.plural(dropped, 'span')} could not be kept.")
    return asides


# What templates may use beside what their handlers hand them; `length` and `count` are jinja's own.
FILTERS: dict[str, Callable[..., str]] = {
    "duration": length_text,
    "moment": moment_text,
    "iso": iso_text,
    "thousands": count_text,
    "times": times_text,
    "per_cent": percent_text,
    "span_name": span_name,
    "policy": timeline.pauses,
    "plain": plain,
}
GLOBALS: dict[str, object] = {"version": __version__}
