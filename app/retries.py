"""
Retries: the attempts of each key, the gaps between them and the policy behind the gaps. Pure.

Lengths are whole nanoseconds.
"""

import enum
import math
import statistics
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from heapq import nlargest

from app.spans import Span

MOST_KEYS = 100  # whose retries are shown, those with the most attempts
MOST_GAPS = 100  # kept of a key; no policy needs more to be seen

MILLISECOND = 1_000_000
AT_ONCE_NS = 22 * MILLISECOND  # a client that does not pause is back by then, turnaround included
GROWTH = 1.2  # a factor below this is a constant pause; the gentlest back-off in use is 1.5
UNSTEADY = 0.02  # relative error from which pauses count as jittered
UNSTEADY_NS = 30 * MILLISECOND  # and the deviation that timers and networks explain
CAPPED = 0.97  # of the longest gap: from here on a pause stands at its cap


class PolicyName(enum.StrEnum):
    """How a client paces its retries."""

    TOO_FEW = "too few"
    NONE = "none"
    CONSTANT = "constant"
    EXPONENTIAL = "exponential"


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """
    The pause before retry k that fits best: `first_ns` x `factor` ** (k - 1), at most `cap_ns`.

    *error* is the root mean square of gap / fitted pause - 1. *jitter* is None where the gaps are
    too few to tell. *first_at_once*: the first retry came without a pause and is no part of the
    fit, as urllib3 does it; k then counts from the second.
    """

    name: PolicyName
    first_ns: int | None = None
    factor: float | None = None
    cap_ns: int | None = None
    jitter: bool | None = None
    error: float | None = None
    first_at_once: bool = False


@dataclass(frozen=True, slots=True)
class KeyRetries:
    """The attempts of one key; a gap is negative where two attempts overlapped."""

    key: str
    attempts: int
    gaps_ns: tuple[int, ...]  # at most the first 100
    policy: Policy


@dataclass(frozen=True, slots=True)
class Retries:
    """Attempts beyond the first of their key."""

    count: int
    keys: int  # how many keys were tried more than once
    shown: tuple[KeyRetries, ...]  # at most 100 keys, the most attempts first
    spans: tuple[int, ...]


# --- the fold ------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Attempts:
    """What is remembered of one key."""

    end_ns: int
    count: int = 1
    gaps_ns: "array[int] | None" = None  # until there is a retry: most keys never have one


class RetryFold:
    """
    The attempts of each key; `summary` names the first *examples* spans.

    Without keys nothing is said, for load tools repeat their URLs.
    """

    def __init__(self, examples: int) -> None:
        self._examples = examples
        self._keys: dict[str, _Attempts] = {}
        self._count = 0
        self._spans: list[int] = []

    def add(self, spans: list[Span], ends: list[int]) -> None:
        """Take the next spans of the run, with the end of each."""
        keyed = [(i, span.key) for i, span in enumerate(spans) if span.key is not None]
        for place, key in keyed:
            if (attempts := self._keys.get(key)) is None:
                self._keys[key] = _Attempts(ends[place])
            else:
                self._again(attempts, spans[place], ends[place])

    def _again(self, attempts: _Attempts, span: Span, end_ns: int) -> None:
        if attempts.gaps_ns is None:
            attempts.gaps_ns = array("q")
        if len(attempts.gaps_ns) < MOST_GAPS:
            attempts.gaps_ns.append(span.arrival_ns - attempts.end_ns)
        attempts.end_ns = end_ns
        attempts.count += 1
        self._count += 1
        if len(self._spans) < self._examples:
            self._spans.append(span.id)

    def summary(self) -> Retries:
        """What they say together."""
        retried = [(key, attempts) for key, attempts in self._keys.items() if attempts.count > 1]
        most = nlargest(MOST_KEYS, retried, key=lambda item: item[1].count)
        shown = tuple(
            KeyRetries(key, attempts.count, gaps := tuple(attempts.gaps_ns or ()), fit(gaps))
            for key, attempts in most
        )
        return Retries(self._count, len(retried), shown, tuple(self._spans))


# --- the policy ----------------------------------------------------------------------------------


def fit(gaps_ns: Sequence[int]) -> Policy:
    """
    The policy behind the gaps between one key's attempts, in order.

    Growth is the slope of a straight line through the logarithms of the gaps, and counts only
    where it explains at least half of their spread: jitter alone makes slopes, too.
    """
    if len(gaps_ns) < 2:
        return Policy(name=PolicyName.TOO_FEW)
    if max(gaps_ns) <= AT_ONCE_NS:
        return Policy(name=PolicyName.NONE)
    at_once = gaps_ns[0] <= AT_ONCE_NS
    # A gap below a millisecond, or below zero, has no useful logarithm.
    pauses = [max(gap, MILLISECOND) for gap in gaps_ns[at_once:]]
    if len(pauses) < 2:
        return Policy(name=PolicyName.TOO_FEW, first_at_once=at_once)
    return _growing(pauses, at_once) or _constant(pauses, at_once)


def _growing(pauses_ns: list[int], at_once: bool) -> Policy | None:
    rising = _rising(pauses_ns)
    steps, logs = range(len(rising)), [math.log(pause) for pause in rising]
    slope, intercept = statistics.linear_regression(steps, logs)
    if slope < math.log(GROWTH) or statistics.correlation(steps, logs) ** 2 < 0.5:
        return None
    cap = max(pauses_ns) if len(rising) < len(pauses_ns) else math.inf
    fitted = [min(math.exp(intercept + slope * k), cap) for k in range(len(pauses_ns))]
    jitter, error = _unsteadiness(pauses_ns, fitted)
    return Policy(
        name=PolicyName.EXPONENTIAL,
        first_ns=round(fitted[0]),
        factor=math.exp(slope),
        cap_ns=None if cap == math.inf else round(cap),
        jitter=jitter if len(pauses_ns) > 2 else None,  # a line goes through any two points
        error=error,
        first_at_once=at_once,
    )


def _rising(pauses_ns: list[int]) -> list[int]:
    """The pauses before they stand at a cap; all, when they do not."""
    near = CAPPED * max(pauses_ns)
    rise = next(place for place, pause in enumerate(pauses_ns) if pause >= near)
    capped = rise >= 2 and len(pauses_ns) - rise >= 2 and min(pauses_ns[rise:]) >= near
    return pauses_ns[:rise] if capped else pauses_ns


def _constant(pauses_ns: list[int], at_once: bool) -> Policy:
    pause = statistics.fmean(pauses_ns)
    jitter, error = _unsteadiness(pauses_ns, [pause] * len(pauses_ns))
    return Policy(
        name=PolicyName.CONSTANT,
        first_ns=round(pause),
        factor=1.0,
        jitter=jitter,
        error=error,
        first_at_once=at_once,
    )


def _unsteadiness(pauses_ns: list[int], fitted_ns: list[float]) -> tuple[bool, float]:
    """Whether the pauses leave the fit by more than chance would, and the error of the fit."""
    deviations = [pause - fit for pause, fit in zip(pauses_ns, fitted_ns, strict=True)]
    relative = [deviation / fit for deviation, fit in zip(deviations, fitted_ns, strict=True)]
    error = math.sqrt(statistics.fmean(part * part for part in relative))
    return error >= UNSTEADY and max(map(abs, deviations)) >= UNSTEADY_NS, error
