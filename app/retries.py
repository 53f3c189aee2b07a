"""
Retries: the attempts of each request, the gaps between them and the policy behind the gaps. Pure.

Attempts of one request have its key. Requests without a key are told apart by method and target,
and only where nothing else explains it: the one before had failed and was over. That is a guess,
and the report says for how many retries it was made.

Lengths are whole nanoseconds.
"""

import enum
import math
import statistics
from array import array
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from heapq import nlargest
from itertools import islice
from typing import NamedTuple

from app.batch import Batch
from app.spans import Outcome

MOST_KEYS = 100  # whose retries are shown, those with the most attempts
MOST_GAPS = 100  # kept of a key; no policy needs more to be seen
MOST_SAMPLED = 20_000  # retries that findings look at
MOST_TARGETS = 100_000  # that have failed without a key and may come again

MILLISECOND = 1_000_000
AT_ONCE_NS = 22 * MILLISECOND  # a client that does not pause is back by then, turnaround included
GROWTH = 1.2  # a factor below this is a constant pause; the gentlest back-off in use is 1.5
UNSTEADY = 0.02  # relative error from which pauses count as jittered
UNSTEADY_NS = 30 * MILLISECOND  # and the deviation that timers and networks explain
CAPPED = 0.97  # of the longest gap: from here on a pause stands at its cap
FEWEST_KEYS = 3  # that were tried again, for the policy of a whole run

# Statuses after which clients try again; 408 425 429 and 5xx as RFC 9110 and RFC 8470 mean them.
PASSING = frozenset({408, 413, 425, 429, 500, 502, 503, 504})
EARLY = 0.98  # of Retry-After, and 20 ms less: below that no rounding or clock explains the gap
EARLY_NS = 20 * MILLISECOND
OVERLAP_NS = 250 * MILLISECOND  # less, and the end before was only noticed late


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
    fit, as urllib3 does it; k then counts from the second. *spread* is that of the policy of many
    keys: the standard deviation of their pauses before the same retry / the mean, in the median
    (0.58 for full jitter, 0.19 for equal jitter, 0.12 for +-20 %).
    """

    name: PolicyName
    first_ns: int | None = None
    factor: float | None = None
    cap_ns: int | None = None
    jitter: bool | None = None
    error: float | None = None
    first_at_once: bool = False
    spread: float | None = None


@dataclass(frozen=True, slots=True)
class KeyRetries:
    """The attempts of one key; a gap is negative where two attempts overlapped."""

    key: str
    attempts: int
    gaps_ns: tuple[int, ...]  # at most the first 100
    policy: Policy


@dataclass(frozen=True, slots=True)
class Retry:
    """One attempt that followed a failed one."""

    span: int
    number: int  # 1 for the first retry
    gap_ns: int  # from the end of the attempt before; negative where they overlapped
    failed_ns: int  # when that was
    asked_ns: int | None  # how long its Retry-After asked to wait
    guessed: bool  # told by method and target

    @property
    def early_ns(self) -> int:
        """How much earlier than asked it came; 0 when it did not."""
        if self.asked_ns is None or self.gap_ns >= EARLY * self.asked_ns - EARLY_NS:
            return 0
        return self.asked_ns - self.gap_ns


@dataclass(frozen=True, slots=True)
class Duplicate:
    """Two attempts of one key, both in flight for longer than a late hang-up explains."""

    key: str
    span: int  # the later
    after_ns: int  # from the arrival of one to that of the other
    overlap_ns: int


@dataclass(frozen=True, slots=True)
class Duplicates:
    """Keys with two attempts in flight; *shown* has the first of each, 20 at most."""

    keys: int = 0
    lost_ns: int = 0  # the time both were in flight, of all
    shown: tuple[Duplicate, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Retries:
    """Attempts beyond the first of their request."""

    count: int = 0
    guessed: int = 0  # of these, told by method and target alone
    keys: int = 0  # how many keys, or targets, were tried more than once
    single: int = 0  # how many keys were tried once
    shown: tuple[KeyRetries, ...] = ()  # at most 100 keys, the most attempts first
    spans: tuple[int, ...] = ()
    policy: Policy | None = None  # of all together; None with fewer than three keys
    sample: tuple[Retry, ...] = ()  # the first 20,000 that followed a failure
    obeyed: int = 0  # Retry-After was
    early: tuple[Retry, ...] = ()  # it was not: the first of them
    early_count: int = 0
    duplicates: Duplicates = Duplicates()


# --- the fold ------------------------------------------------------------------------------------


class _Attempt(NamedTuple):
    """One request, as the next attempt has to know it."""

    span: int
    arrival_ns: int
    end_ns: int
    failed: bool
    asked_ns: int | None  # None as well where it was asked to wait no time


@dataclass(slots=True)
class _Attempts:
    """What is remembered of one request."""

    newest: _Attempt
    count: int = 1
    gaps_ns: "array[int] | None" = None  # until there is a retry: most requests never have one
    doubled: bool = False


class RetryFold:
    """The attempts of each request; `summary` names the first *examples* spans of everything."""

    def __init__(self, examples: int) -> None:
        self._examples = examples
        self._keys: dict[str, _Attempts] = {}
        self._targets: dict[tuple[str, str], _Attempts | None] = {}  # None: several at a time
        self._suspects: set[str] = set()  # targets of which one may have failed
        self._retried_targets: list[tuple[str, _Attempts]] = []
        self._count = self._guessed = self._obeyed = self._early_count = 0
        self._spans: list[int] = []
        self._sample: list[Retry] = []
        self._early: list[Retry] = []
        self._doubled = self._lost_ns = 0
        self._duplicates: list[Duplicate] = []

    def add(self, batch: Batch) -> None:
        """Take the next requests of the run."""
        keys, methods, targets = batch["key"], batch["method"], batch["target"]
        asked = batch["retry_after_ns"]
        for place in self._places(batch, targets):
            attempt = _Attempt(
                batch.ids[place],
                batch.arrivals[place],
                batch.ends[place],
                failed(batch.outcomes[place], batch.statuses[place]),
                asked[place] or None,
            )
            if (key := keys[place]) is None:
                self._keyless(attempt, (methods[place], targets[place]))
            else:
                self._keyed(attempt, key)

    def _places(self, batch: Batch, targets: list[str]) -> Sequence[int]:
        """Those worth a look: without a key only what has failed, or is like what has."""
        if not batch.columns.is_all("key", None):
            return range(len(batch))
        if any(failed(*reply[1:]) for reply in batch.replies):
            self._suspect(batch, targets)
        elif self._suspects.isdisjoint(targets):
            return ()
        return [place for place, target in enumerate(targets) if target in self._suspects]

    def _suspect(self, batch: Batch, targets: list[str]) -> None:
        completed = Outcome.COMPLETED
        new = {
            target
            for target, outcome, status in zip(targets, batch.outcomes, batch.statuses, strict=True)
            if status in PASSING or outcome is not completed
        }
        new -= self._suspects
        self._suspects.update(islice(new, MOST_TARGETS - len(self._suspects)))

    def _keyed(self, attempt: _Attempt, key: str) -> None:
        if (attempts := self._keys.get(key)) is None:
            self._keys[key] = _Attempts(attempt)
        else:
            self._overlap(attempts, attempt, key)
            self._again(attempts, attempt, guessed=False)

    def _keyless(self, attempt: _Attempt, target: tuple[str, str]) -> None:
        """Follow what failed, as long as there is but one of that method and target at a time."""
        attempts = self._targets.get(target)
        if attempts is None:
            is_new = target not in self._targets
            if is_new and attempt.failed and len(self._targets) < MOST_TARGETS:
                self._targets[target] = _Attempts(attempt)
        elif attempts.newest.end_ns > attempt.arrival_ns:
            self._targets[target] = None
        else:
            if attempts.count == 1:
                self._retried_targets.append((" ".join(target), attempts))
            self._again(attempts, attempt, guessed=True)
            if not attempt.failed:
                del self._targets[target]

    def _again(self, attempts: _Attempts, attempt: _Attempt, *, guessed: bool) -> None:
        before = attempts.newest
        gap_ns = attempt.arrival_ns - before.end_ns
        if attempts.gaps_ns is None:
            attempts.gaps_ns = array("q")
        if len(attempts.gaps_ns) < MOST_GAPS:
            attempts.gaps_ns.append(gap_ns)
        if before.failed:
            number, failed_ns = attempts.count, before.end_ns
            self._judge(Retry(attempt.span, number, gap_ns, failed_ns, before.asked_ns, guessed))
        attempts.newest = attempt
        attempts.count += 1
        self._count += 1
        self._guessed += guessed
        if len(self._spans) < self._examples:
            self._spans.append(attempt.span)

    def _judge(self, retry: Retry) -> None:
        if len(self._sample) < MOST_SAMPLED:
            self._sample.append(retry)
        if retry.early_ns:
            self._early_count += 1
            if len(self._early) < self._examples:
                self._early.append(retry)
        elif retry.asked_ns:
            self._obeyed += 1

    def _overlap(self, attempts: _Attempts, attempt: _Attempt, key: str) -> None:
        before = attempts.newest
        overlap_ns = min(before.end_ns, attempt.end_ns) - attempt.arrival_ns
        # Of an attempt that is over at once, as a refused one, only the earlier was worked on.
        if overlap_ns <= OVERLAP_NS:
            return
        self._lost_ns += overlap_ns
        if not attempts.doubled:
            attempts.doubled = True
            self._doubled += 1
            if len(self._duplicates) < self._examples:
                after_ns = attempt.arrival_ns - before.arrival_ns
                self._duplicates.append(Duplicate(key, attempt.span, after_ns, overlap_ns))

    def summary(self) -> Retries:
        """What they say together."""
        retried = [(key, attempts) for key, attempts in self._keys.items() if attempts.count > 1]
        single = len(self._keys) - len(retried)
        retried += self._retried_targets
        most = nlargest(MOST_KEYS, retried, key=lambda item: item[1].count)
        shown = tuple(
            KeyRetries(key, attempts.count, gaps := tuple(attempts.gaps_ns or ()), fit(gaps))
            for key, attempts in most
        )
        return Retries(
            count=self._count,
            guessed=self._guessed,
            keys=len(retried),
            single=single,
            shown=shown,
            spans=tuple(self._spans),
            policy=fit_all(self._sample) if len(retried) >= FEWEST_KEYS else None,
            sample=tuple(self._sample),
            obeyed=self._obeyed,
            early=tuple(self._early),
            early_count=self._early_count,
            duplicates=Duplicates(self._doubled, self._lost_ns, tuple(self._duplicates)),
        )


def failed(outcome: Outcome, status: int | None) -> bool:
    """Whether a client has reason to send it again: no reply, half a one, or a passing refusal."""
    if outcome is Outcome.COMPLETED or outcome is Outcome.REJECTED:
        return status in PASSING
    return outcome is not Outcome.IN_FLIGHT


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


def fit_all(retries: Iterable[Retry]) -> Policy | None:
    """
    The policy behind the retries of many keys: growth from the means of each retry's pauses.

    Pauses of which Retry-After decided are left out. Jitter shows as the spread of the pauses
    before the same retry, which is a better witness than the error of a fit. None: too few.
    """
    pauses: defaultdict[int, list[int]] = defaultdict(list)
    for retry in retries:
        if retry.asked_ns is None:
            pauses[retry.number].append(max(retry.gap_ns, 0))
    groups = [pauses[k] for k in sorted(pauses) if len(pauses[k]) >= FEWEST_KEYS]
    policy = fit([round(statistics.fmean(group)) for group in groups])
    if policy.name is PolicyName.TOO_FEW or not groups:
        return None
    spreads = [_spread(group) for group in groups[policy.first_at_once :]]
    spread = statistics.median(spreads)
    steady = policy.name is PolicyName.NONE or spread < UNSTEADY
    return replace(policy, jitter=not steady, spread=spread)


def _spread(pauses_ns: list[int]) -> float:
    """Standard deviation / mean; 0 where it is no more than timers and networks explain."""
    deviation = statistics.pstdev(pauses_ns)
    return 0.0 if deviation < UNSTEADY_NS / 2 else deviation / statistics.fmean(pauses_ns)


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
