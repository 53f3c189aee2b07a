"""A report as JSON and checks know it: figures by name, lengths in seconds. Pure."""

from collections.abc import Iterable

from app.effects import Held
from app.report import Report, timeout
from app.retries import Policy, Retries, Retry
from app.spans import Outcome, span_name

SECOND = 1_000_000_000


def lengths_ns(report: Report) -> dict[str, int | None]:
    """The figures that are lengths, by the names `check` knows, in nanoseconds."""
    return {
        "makespan": report.makespan_ns,
        "busy": report.busy_ns,
        "lateness_p99": report.lateness.p99_ns,
        "lateness_max": report.lateness.max_ns,
        "wasted": report.cancellations.wasted_ns,
    }


def ratios(report: Report) -> dict[str, float | None]:
    """The figures that are ratios, by the names `check` knows; None is a ratio to nothing."""
    return {
        "mean_in_flight": report.mean_in_flight,
        "speedup": report.speedup,
        "efficiency": report.efficiency,
        "reuse": report.reuse,
    }


def counts(report: Report) -> dict[str, int]:
    """The figures that are counts, by the names `check` knows, `status.NNN` where there is one."""
    return {
        "requests": report.requests,
        "completed": report.count(Outcome.COMPLETED),
        "cancelled": report.count(Outcome.CLIENT_GONE),
        "faulted": report.count(Outcome.FAULTED),
        "rejected": report.count(Outcome.REJECTED),
        "errors": report.count(Outcome.ERROR),
        "peak": report.peak,
        "connections": report.connections,
        "retries": report.retries.count,
        "dropped": report.dropped,
    } | {f"status.{status}": count for status, count in report.statuses.items()}


def figures(report: Report) -> dict[str, int | float | None]:
    """Every figure by the name `check` knows: counts, ratios, and lengths in seconds."""
    seconds = {name: _seconds(ns) for name, ns in lengths_ns(report).items()}
    return {**counts(report), **ratios(report), **seconds}


def document(report: Report) -> dict[str, object]:
    """
    The report as JSON shows it, in a fixed order: counts are integers, lengths are seconds.

    `first_arrival` and `last_end` are seconds since the Unix epoch, `peak_at` since the first
    arrival.
    """
    return {
        "run": report.run,
        "figures": figures(report),
        "outcomes": {outcome.value: count for outcome, count in report.outcomes.items()},
        "statuses": {str(status): count for status, count in report.statuses.items()},
        "time": _time_document(report),
        "in_flight": _in_flight_document(report),
        "lower_bound": {
            "seconds": _seconds(report.lower_bound.ns),
            "longest_delay": _seconds(report.lower_bound.longest_ns),
            "sum_of_delays_by_peak": _seconds(report.lower_bound.shared_ns),
        },
        "connections": {
            "count": report.connections,
            "requests_per_connection": report.requests_per_connection,
            "reuse": report.reuse,
        },
        "lateness": {
            "replies": report.lateness.replies,
            "p50": _seconds(report.lateness.p50_ns),
            "p99": _seconds(report.lateness.p99_ns),
            "max": _seconds(report.lateness.max_ns),
            "worst": _names(report.lateness.worst),
        },
        "retries": _retries_document(report.retries),
        "cancellations": _cancellations_document(report),
        "faults": report.effects.faults,
        "rejections": report.effects.rejections,
        "queue": _held_document(report.effects.queue),
        "barrier": _held_document(report.effects.barrier),
    }


def _time_document(report: Report) -> dict[str, object]:
    return {
        "first_arrival": _seconds(report.first_arrival_ns),
        "last_end": _seconds(report.last_end_ns),
        "makespan": _seconds(report.makespan_ns),
        "busy": _seconds(report.busy_ns),
        "active": _seconds(report.active_ns),
    }


def _in_flight_document(report: Report) -> dict[str, object]:
    at_ns = report.peak_at_ns
    return {
        "now": report.count(Outcome.IN_FLIGHT),
        "peak": report.peak,
        "peak_at": None if at_ns is None else _seconds(at_ns - (report.first_arrival_ns or 0)),
        "peak_spans": _names(report.peak_spans),
        "mean": report.mean_in_flight,
        "step": _seconds(report.curve.step_ns),
        "levels": list(report.curve.levels),
    }


def _retries_document(retries: Retries) -> dict[str, object]:
    return {
        "count": retries.count,
        "guessed": retries.guessed,
        "keys": retries.keys,
        "policy": None if retries.policy is None else _policy_document(retries.policy),
        "retry_after": {
            "obeyed": retries.obeyed,
            "early": retries.early_count,
            "shown": [_early_document(one) for one in retries.early],
        },
        "duplicates": {
            "keys": retries.duplicates.keys,
            "shown": [
                {
                    "key": one.key,
                    "span": span_name(one.span),
                    "after": _seconds(one.after_ns),
                    "overlap": _seconds(one.overlap_ns),
                }
                for one in retries.duplicates.shown
            ],
        },
        "shown": [
            {
                "key": one.key,
                "attempts": one.attempts,
                "gaps": [_seconds(gap) for gap in one.gaps_ns],
                "policy": _policy_document(one.policy),
            }
            for one in retries.shown
        ],
    }


def _early_document(retry: Retry) -> dict[str, object]:
    return {
        "span": span_name(retry.span),
        "asked": _seconds(retry.asked_ns),
        "gap": _seconds(retry.gap_ns),
        "early_by": _seconds(retry.early_ns),
    }


def _policy_document(policy: Policy) -> dict[str, object]:
    return {
        "name": policy.name.value,
        "first": _seconds(policy.first_ns),
        "factor": policy.factor,
        "cap": _seconds(policy.cap_ns),
        "jitter": policy.jitter,
        "error": policy.error,
        "first_at_once": policy.first_at_once,
        "spread": policy.spread,
    }


def _cancellations_document(report: Report) -> dict[str, object]:
    cancellations, found = report.cancellations, timeout(report)
    return {
        "count": cancellations.count,
        "waited": _seconds(cancellations.waited_ns),
        "planned": _seconds(cancellations.planned_ns),
        "wasted": _seconds(cancellations.wasted_ns),
        "phases": {
            "queue": cancellations.queued,
            "delay": cancellations.delayed,
            "reply": cancellations.replying,
        },
        "cause": None if found is None else found.cause.value,
        "timeout": _seconds(found.low_ns) if found and found.is_timeout else None,
        "shown": [
            {
                "span": span_name(one.span),
                "waited": _seconds(one.waited_ns),
                "planned": _seconds(one.planned_ns),
            }
            for one in cancellations.shown
        ],
    }


def _seconds(ns: int | None) -> float | None:
    return None if ns is None else ns / SECOND


def _names(numbers: Iterable[int]) -> list[str]:
    return [span_name(number) for number in numbers]


def _held_document(held: Held) -> dict[str, object]:
    return {
        "spans": held.spans,
        "total": _seconds(held.total_ns),
        "longest": _seconds(held.longest_ns),
    }
