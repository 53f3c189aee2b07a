"""
What a run means: spans -> `Report`, a fold over a stream in one pass. Pure.

Spans come in order of arrival, in small batches, and each fold below looks at a batch for one
thing only. Memory is bounded by the peak in flight, the distinct keys and connections, and eight
bytes a span for its lateness.

Lengths are whole nanoseconds throughout; `figures` and `document` turn them into seconds.
"""

from array import array
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from heapq import heappush, heappushpop
from itertools import compress, groupby, islice
from operator import attrgetter, lt, sub

from app import timeouts
from app.effects import EffectFold, Effects, Held
from app.evidence import AgentFold, DurationFold, Evidence, HangUpFold, LevelFold, ReuseFold
from app.retries import Policy, Retries, Retry, RetryFold, failed
from app.spans import SEQUENCE_BITS, Outcome, Span, span_name
from app.timeouts import Timeout

BATCH = 1024  # spans looked at together: enough to work in C, few enough for the processor's cache
EXAMPLES = 20  # spans named for a figure
MOST_STEPS = 256  # of the curve of what was in flight

REJECTED, SHUTDOWN = Outcome.REJECTED, Outcome.SHUTDOWN  # answered before their time, on purpose

SECOND = 1_000_000_000


# --- the report ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Reply:
    """The spans that ended alike: how many, and the first of their ids."""

    outcome: Outcome
    status: int | None
    count: int
    spans: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Curve:
    """The most in flight in each step of *step_ns* since the first arrival."""

    step_ns: int
    levels: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class LowerBound:
    """The shortest time in which these delays fit, never more than the peak of them at once."""

    longest_ns: int
    total_ns: int
    peak: int

    @property
    def shared_ns(self) -> int:
        """The sum of the delays, spread evenly over the peak."""
        return -(-self.total_ns // max(self.peak, 1))

    @property
    def ns(self) -> int:
        return lower_bound_ns(self.longest_ns, self.total_ns, self.peak)


@dataclass(frozen=True, slots=True)
class Lateness:
    """How much later than planned the replies came; None where no reply was due."""

    replies: int
    p50_ns: int | None
    p99_ns: int | None
    max_ns: int | None
    worst: tuple[int, ...]  # ids, the latest first


@dataclass(frozen=True, slots=True)
class Cancellation:
    """One client that left: how long it waited, of what was planned (x time scale)."""

    span: int
    waited_ns: int
    planned_ns: int | None


@dataclass(frozen=True, slots=True)
class Cancellations:
    """
    The clients that left, and what they cost.

    *waited_ns* is theirs, arrival to end; *wasted_ns* is ours, from wait begun to end. They left
    in the queue or at the barrier, while the delay ran, or when part of the reply was out.
    """

    count: int
    waited_ns: int
    planned_ns: int
    wasted_ns: int
    queued: int
    replying: int
    shown: tuple[Cancellation, ...]  # the first of them

    @property
    def delayed(self) -> int:
        """How many left while the delay ran."""
        return self.count - self.queued - self.replying


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """
    What the spans of a run say together; pages, JSON and the terminal show this one value.

    Names ending in `_ns` are nanoseconds: moments since the Unix epoch or lengths, never negative
    but for a retry's gap. In flight is half-open, arrival to end: at one instant ends come before
    arrivals, and a span of no length is never in flight. What has not ended counts up to now.
    A ratio to nothing is None.
    """

    run: str
    now_ns: int
    requests: int
    replies: tuple[Reply, ...]
    dropped: int
    first_arrival_ns: int | None
    last_end_ns: int | None
    last_span: int | None  # the one that ended last
    makespan_ns: int  # first arrival to last end
    busy_ns: int  # the sum of wait begun to end
    in_flight_ns: int  # the sum of arrival to end
    active_ns: int  # with something in flight
    peak: int
    peak_at_ns: int | None  # the first moment of the peak
    peak_spans: tuple[int, ...]
    curve: Curve
    connections: int
    reused: int  # requests on a connection that had carried one before
    opening_spans: tuple[int, ...]  # the first requests of their connections
    lower_bound: LowerBound
    lateness: Lateness
    retries: Retries
    cancellations: Cancellations
    effects: Effects
    evidence: Evidence

    @property
    def outcomes(self) -> dict[Outcome, int]:
        """How many spans had each outcome; all are named, also those that did not happen."""
        return {outcome: self.count(outcome) for outcome in Outcome}

    @property
    def statuses(self) -> dict[int, int]:
        """How many spans had each status, ascending."""
        counts: Counter[int] = Counter()
        for reply in self.replies:
            if reply.status is not None:
                counts[reply.status] += reply.count
        return dict(sorted(counts.items()))

    def count(self, outcome: Outcome) -> int:
        """How many spans had this outcome."""
        return sum(reply.count for reply in self.replies if reply.outcome is outcome)

    @property
    def mean_in_flight(self) -> float | None:
        """In-flight time / active time."""
        return _ratio(self.in_flight_ns, self.active_ns)

    @property
    def speedup(self) -> float | None:
        """Busy / makespan: how many times faster than one after another."""
        return _ratio(self.busy_ns, self.makespan_ns)

    @property
    def efficiency(self) -> float | None:
        """Lower bound / makespan: 1 is as fast as these delays allow at this peak."""
        return _ratio(self.lower_bound.ns, self.makespan_ns)

    @property
    def reuse(self) -> float | None:
        """The share of requests on a connection that had carried one before."""
        return _ratio(self.reused, self.requests)

    @property
    def requests_per_connection(self) -> float | None:
        """Requests / connections."""
        return _ratio(self.requests, self.connections)


def lower_bound_ns(longest_ns: int, total_ns: int, concurrency: int) -> int:
    """
    The shortest makespan of delays whose longest and sum are known, *concurrency* at a time.

    R. L. Graham, Bounds on Multiprocessing Timing Anomalies (1969): no schedule is shorter than
    the longest job, nor than the sum of all spread evenly.
    """
    return max(longest_ns, -(-total_ns // max(concurrency, 1)))


def percentile(ordered: Sequence[int], percent: int) -> int:
    """
    The nearest-rank percentile of ascending values: the least that *percent* % do not exceed.

    Always a value that occurred. Hyndman and Fan, Sample Quantiles in Statistical Packages
    (1996), definition 1.
    """
    return ordered[max(-(-percent * len(ordered) // 100), 1) - 1]


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None


# --- the fold ------------------------------------------------------------------------------------


class Batch:
    """Some spans of one boot, in order of arrival, and what is asked of them most as columns."""

    __slots__ = (
        "any_failed",
        "any_left",
        "arrivals",
        "durations",
        "ends",
        "outcomes",
        "replies",
        "spans",
    )

    def __init__(self, spans: list[Span], now_ns: int) -> None:
        self.spans = spans
        self.arrivals = [span.arrival_ns for span in spans]
        self.ends = [now_ns if (end := span.end_ns) is None else end for span in spans]
        if any(map(lt, self.ends, self.arrivals)):  # a clock was set
            self.ends = list(map(max, self.ends, self.arrivals))
        self.durations = list(map(sub, self.ends, self.arrivals))
        self.outcomes = [span.outcome for span in spans]
        statuses = [span.status for span in spans]
        self.replies = Counter(zip(self.outcomes, statuses, strict=True))
        self.any_failed = any(failed(*reply) for reply in self.replies)
        self.any_left = any(outcome is Outcome.CLIENT_GONE for outcome, _ in self.replies)


class Fold:
    """
    The report of spans that come in lists, in ascending order of id: `add` them, then `report`.

    A clock that was set between two starts of the service makes lengths zero, never negative.
    """

    def __init__(self, run: str, *, now_ns: int) -> None:
        self._run = run
        self._now_ns = now_ns
        self._tally, self._level = _Tally(), _Level()
        self._waits, self._retries = _Waits(), RetryFold(EXAMPLES)
        self._connections, self._cancellations = _Connections(), _Cancellations()
        self._effects = EffectFold()
        self._durations, self._agents = DurationFold(), AgentFold()
        self._hang_ups, self._reuse = HangUpFold(EXAMPLES), ReuseFold(EXAMPLES)
        self._first: list[int] = []

    def add(self, spans: Iterable[Span]) -> None:
        """Take the next spans of the run."""
        for some in _batches(spans):
            batch = Batch(some, self._now_ns)
            self._tally.add(batch)
            self._level.add(batch)
            self._waits.add(some, batch.ends)
            self._connections.add(some)
            self._retries.add(some, batch.ends, any_failed=batch.any_failed)
            self._agents.add(some)
            self._reuse.add(some, batch.ends)
            self._durations.add(_completed_ns(batch))
            self._hang_ups.add(some, batch.ends, any_left=batch.any_left)
            if batch.any_left:
                self._cancellations.add(some, batch.ends)
            self._first += [span.id for span in some[: EXAMPLES - len(self._first)]]
            self._effects.add(some)

    def report(self, *, dropped: int = 0) -> Report:
        """What they say together; *dropped* is how many spans of the run were not kept."""
        level, waits, connections = self._level, self._waits, self._connections
        level.drain()
        return Report(
            run=self._run,
            now_ns=self._now_ns,
            requests=self._tally.requests,
            replies=self._tally.replies(),
            dropped=dropped,
            first_arrival_ns=level.first_ns,
            last_end_ns=level.last_ns,
            last_span=level.last_span,
            makespan_ns=level.makespan_ns,
            busy_ns=waits.busy_ns,
            in_flight_ns=level.in_flight_ns,
            active_ns=level.active_ns,
            peak=level.peak,
            peak_at_ns=level.peak_at_ns,
            peak_spans=level.peak_spans,
            curve=level.curve(),
            connections=connections.count,
            reused=connections.reused,
            opening_spans=tuple(connections.opening),
            lower_bound=LowerBound(waits.longest_ns, waits.total_ns, level.peak),
            lateness=waits.lateness(),
            retries=self._retries.summary(),
            cancellations=self._cancellations.summary(),
            effects=self._effects.summary(),
            evidence=self._evidence(),
        )

    def _evidence(self) -> Evidence:
        return Evidence(
            plateau=self._level.evidence.plateau(),
            stalls=self._level.evidence.stalls(),
            durations_ns=self._durations.sample(),
            longest_ns=self._durations.longest_ns,
            first=tuple(self._first),
            hang_ups=self._hang_ups.hang_ups(),
            reuse=self._reuse.reuse(),
            agents=self._agents.agents(),
        )


def build(spans: Iterable[Span], *, run: str, now_ns: int, dropped: int = 0) -> Report:
    """The report of *spans*, which come in ascending order of id and are read once."""
    fold = Fold(run, now_ns=now_ns)
    fold.add(spans)
    return fold.report(dropped=dropped)


def _batches(spans: Iterable[Span]) -> Iterator[list[Span]]:
    """Some spans at a time, never of two boots."""
    stream = iter(spans)
    while batch := list(islice(stream, BATCH)):
        if _boot(batch[0]) == _boot(batch[-1]):
            yield batch
        else:
            yield from (list(part) for _, part in groupby(batch, _boot))


def _boot(span: Span) -> int:
    return span.id >> SEQUENCE_BITS


def _completed_ns(batch: Batch) -> list[int]:
    """Arrival to end of those that were answered in full."""
    completed = Outcome.COMPLETED
    return list(compress(batch.durations, [outcome is completed for outcome in batch.outcomes]))


class _Tally:
    """How spans ended."""

    def __init__(self) -> None:
        self.requests = 0
        self._counts: Counter[tuple[Outcome, int | None]] = Counter()
        self._examples: dict[tuple[Outcome, int | None], list[int]] = {}

    def add(self, batch: Batch) -> None:
        self.requests += len(batch.spans)
        for reply, times in batch.replies.items():
            examples = self._examples.setdefault(reply, [])
            if len(examples) < EXAMPLES:
                alike = (span.id for span in batch.spans if (span.outcome, span.status) == reply)
                examples += islice(alike, EXAMPLES - len(examples))
            self._counts[reply] += times

    def replies(self) -> tuple[Reply, ...]:
        return tuple(
            Reply(outcome, status, count, tuple(self._examples[outcome, status]))
            for (outcome, status), count in self._counts.items()
        )


class _Level:
    """
    What was in flight when.

    The level only rises at arrivals, so it is worked out there: those that arrived, minus those
    whose end has come. Every end that has come belongs to this batch or to a span left open by
    the last, for ends follow arrivals. A boot leaves nothing open to the next.
    """

    def __init__(self) -> None:
        self.first_ns: int | None = None
        self.last_ns: int | None = None
        self.last_span: int | None = None
        self.in_flight_ns = self.active_ns = 0
        self.peak = 0
        self.peak_at_ns: int | None = None
        self.peak_spans: tuple[int, ...] = ()
        self._boot = -1
        self._open: list[tuple[int, int, int]] = []  # arrival, end, id
        self._open_ends: list[int] = []  # of those, ascending
        self._arrivals: list[int] = []  # not yet swept, and their ends and ids
        self._ends: list[int] = []
        self._numbers: list[int] = []
        self._seen_ns = 0  # the last arrival
        self._reach_ns = 0  # the last end of all that was swept
        self._steps = _Steps()
        self.evidence = LevelFold()

    @property
    def makespan_ns(self) -> int:
        if self.first_ns is None or self.last_ns is None:
            return 0
        return self.last_ns - self.first_ns

    def curve(self) -> Curve:
        return Curve(self._steps.step_ns, tuple(self._steps.levels))

    def add(self, batch: Batch) -> None:
        arrivals, ends = batch.arrivals, batch.ends
        self.in_flight_ns += sum(batch.durations)
        self._frame(batch.spans, arrivals, ends)
        if (boot := _boot(batch.spans[0])) != self._boot:
            self.drain()
            self._boot, self._seen_ns, self._reach_ns = boot, arrivals[0], arrivals[0]
        # Those of no length are never in flight.
        self._arrivals += compress(arrivals, batch.durations)
        self._ends += compress(ends, batch.durations)
        self._numbers += compress([span.id for span in batch.spans], batch.durations)
        # As many at once as are open, so that going through these stays cheap whatever the peak.
        if len(self._arrivals) > max(BATCH, len(self._open)):
            self._sweep()

    def drain(self) -> None:
        """Let everything open end; what follows is of another boot, or nothing."""
        self._sweep()
        if ends := self._open_ends:
            self._steps.add([], [], ends, since=self._seen_ns, until=ends[-1])
            self.evidence.over(ends)
        self._open, self._open_ends = [], []

    def _frame(self, spans: list[Span], arrivals: list[int], ends: list[int]) -> None:
        first, last = min(arrivals), max(ends)
        if self.first_ns is None or first < self.first_ns:
            self.first_ns = first
        if self.last_ns is None or last > self.last_ns:
            self.last_ns, self.last_span = last, spans[ends.index(last)].id

    def _sweep(self) -> None:
        if not self._arrivals:
            return
        arrivals, numbers = self._arrivals, self._numbers
        # The ends left open ascend already, so sorting is little more than merging.
        ends = sorted(self._open_ends + self._ends)
        fresh = zip(arrivals, self._ends, numbers, strict=True)
        self._arrivals, self._ends, self._numbers = [], [], []
        levels = _levels(arrivals, ends)
        self._count_active(arrivals, levels, ends)
        seen = max(arrivals[-1], self._seen_ns)
        if max(levels) > self.peak:
            present = [*self._open, *fresh]
            self._rise(arrivals, levels, present)
            self._open = [span for span in present if span[1] > seen]
        else:
            self._open = [span for span in self._open if span[1] > seen]
            self._open += [span for span in fresh if span[1] > seen]
        self.evidence.add(arrivals, levels, ends, numbers)
        self._steps.add(arrivals, levels, ends, since=self._seen_ns, until=seen)
        self._seen_ns = seen
        ended = bisect_right(ends, seen)
        self.evidence.over(ends[:ended])
        self._open_ends = ends[ended:]

    def _rise(
        self, arrivals: list[int], levels: list[int], present: list[tuple[int, int, int]]
    ) -> None:
        """Note a higher peak: when, and who was there."""
        self.peak = max(levels)
        self.peak_at_ns = at = arrivals[levels.index(self.peak)]
        there = (number for arrival, end, number in present if arrival <= at < end)
        self.peak_spans = tuple(islice(there, EXAMPLES))

    def _count_active(self, arrivals: list[int], levels: list[int], ends: list[int]) -> None:
        """Add the time up to the last end, less the pauses before those that found nobody there."""
        carried = len(ends) - len(arrivals)
        alone = [place for place, level in enumerate(levels) if level == 1]
        for place in alone:
            over = carried + place
            self.active_ns -= arrivals[place] - (ends[over - 1] if over else self._reach_ns)
        reach_ns = max(self._reach_ns, ends[-1])
        self.active_ns += reach_ns - self._reach_ns
        self._reach_ns = reach_ns


def _levels(arrivals: list[int], ends: list[int]) -> list[int]:
    """How many were in flight at each arrival, itself included, of those whose *ends* ascend."""
    levels = []
    over = 0
    for arrived, arrival in enumerate(arrivals, len(ends) - len(arrivals) + 1):
        while ends[over] <= arrival:
            over += 1
        levels.append(arrived - over)
    return levels


class _Steps:
    """The curve of what was in flight; when the steps run out, each becomes twice as long."""

    def __init__(self) -> None:
        self.step_ns = 1
        self.levels: list[int] = []
        self._origin_ns: int | None = None

    def add(
        self, arrivals: list[int], levels: list[int], ends: list[int], *, since: int, until: int
    ) -> None:
        """
        Take in *arrivals* with the *levels* they made, all after *since* and none after *until*.

        *ends* ascend and are those of *arrivals* and of all that was open at *since*.
        """
        if self._origin_ns is None:
            self._origin_ns = since
        self._make_room(max(until - self._origin_ns, 0))
        carried = len(ends) - len(arrivals)
        for place in range(self._place(since), self._place(until) + 1):
            begin = self._origin_ns + place * self.step_ns
            # Before *since* nothing arrived or ended: what was carried is the level at *since*.
            at_begin = carried + bisect_left(arrivals, begin) - bisect_right(ends, begin)
            here = slice(bisect_left(arrivals, begin), bisect_left(arrivals, begin + self.step_ns))
            self.levels[place] = max(self.levels[place], at_begin, *levels[here])

    def _place(self, moment_ns: int) -> int:
        # Before the origin only when the clock was set back between two boots.
        return max(moment_ns - (self._origin_ns or 0), 0) // self.step_ns

    def _make_room(self, length_ns: int) -> None:
        while length_ns // self.step_ns >= MOST_STEPS:
            self.levels = [max(self.levels[i : i + 2]) for i in range(0, len(self.levels), 2)]
            self.step_ns *= 2
        self.levels += [0] * (length_ns // self.step_ns + 1 - len(self.levels))


class _Waits:
    """How long the waits were, were to be, and how late the replies came."""

    def __init__(self) -> None:
        self.busy_ns = self.longest_ns = self.total_ns = 0
        self._lateness = array("q")
        self._worst: list[tuple[int, int]] = []  # a heap of (lateness, -id)
        self._least_ns = 0  # of the worst, once there are enough of them

    def add(self, spans: list[Span], ends: list[int]) -> None:
        busy = longest = total = 0
        late = self._lateness.append
        # Here a call of `min` or `max` costs more than anything else: hence the exceptions.
        for span, end in zip(spans, ends, strict=True):
            if (begun := span.wait_begun_ns) is None:
                continue
            spent = end - begun if end > begun else 0
            busy += spent
            if (planned := span.delay_ns) is None:
                continue
            if span.time_scale != 1:
                planned = round(planned * span.time_scale)
            # `Span.lateness_ns`, without the cost of the call.
            byte = span.first_byte_ns if span.drip is None else span.last_byte_ns
            outcome = span.outcome
            if byte is not None and outcome is not REJECTED and outcome is not SHUTDOWN:
                lateness = byte - begun - planned
                late(lateness if lateness > 0 else 0)  # noqa: FURB136
                if lateness > self._least_ns:
                    self._keep(lateness, span.id)
            # Who left early is no proof that the whole delay had to fit.
            delay = planned if planned < spent else spent  # noqa: FURB136
            total += delay
            if delay > longest:  # noqa: PLR1730
                longest = delay
        self.busy_ns += busy
        self.total_ns += total
        self.longest_ns = max(self.longest_ns, longest)

    def _keep(self, lateness_ns: int, number: int) -> None:
        if len(self._worst) < EXAMPLES:
            heappush(self._worst, (lateness_ns, -number))
        else:
            heappushpop(self._worst, (lateness_ns, -number))
            self._least_ns = self._worst[0][0]

    def lateness(self) -> Lateness:
        if not self._lateness:
            return Lateness(0, None, None, None, ())
        ordered = sorted(self._lateness)
        p50, p99, most = (percentile(ordered, percent) for percent in (50, 99, 100))
        worst = tuple(-negative for _, negative in sorted(self._worst, reverse=True))
        return Lateness(len(ordered), p50, p99, most, worst)


class _Connections:
    """How many connections carried the requests; their numbers begin anew with each boot."""

    def __init__(self) -> None:
        self.reused = 0
        self.opening: list[int] = []
        self._boot = -1
        self._earlier = 0
        self._numbers: set[int] = set()

    @property
    def count(self) -> int:
        return self._earlier + len(self._numbers)

    def add(self, spans: list[Span]) -> None:
        if (boot := _boot(spans[0])) != self._boot:
            self._earlier, self._boot, self._numbers = self.count, boot, set()
        self._numbers.update(map(attrgetter("connection"), spans))
        self._numbers.discard(0)  # not known
        self.reused += len([span for span in spans if span.connection_request > 1])
        if len(self.opening) < EXAMPLES:
            opening = (span.id for span in spans if span.connection_request == 1)
            self.opening += islice(opening, EXAMPLES - len(self.opening))


class _Cancellations:
    """The clients that left."""

    def __init__(self) -> None:
        self._count = self._waited_ns = self._planned_ns = self._wasted_ns = 0
        self._queued = self._replying = 0
        self._shown: list[Cancellation] = []

    def add(self, spans: list[Span], ends: list[int]) -> None:
        gone = Outcome.CLIENT_GONE  # looking it up costs as much as the rest of the loop
        for place in [i for i, span in enumerate(spans) if span.outcome is gone]:
            self._take(spans[place], ends[place])

    def _take(self, span: Span, end_ns: int) -> None:
        waited, planned = end_ns - span.arrival_ns, span.scaled_delay_ns
        self._count += 1
        self._waited_ns += waited
        self._planned_ns += planned or 0
        if span.wait_begun_ns is None:
            self._queued += 1
        else:
            self._wasted_ns += max(end_ns - span.wait_begun_ns, 0)
            self._replying += span.first_byte_ns is not None
        if len(self._shown) < EXAMPLES:
            self._shown.append(Cancellation(span.id, waited, planned))

    def summary(self) -> Cancellations:
        return Cancellations(
            self._count,
            self._waited_ns,
            self._planned_ns,
            self._wasted_ns,
            self._queued,
            self._replying,
            tuple(self._shown),
        )


# --- presentation --------------------------------------------------------------------------------


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


def timeout(report: Report) -> Timeout | None:
    """What is behind the hang-ups; None when there are fewer than three."""
    return timeouts.infer(
        report.evidence, completed=report.count(Outcome.COMPLETED), active_ns=report.active_ns
    )


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


def _held_document(held: Held) -> dict[str, object]:
    return {
        "spans": held.spans,
        "total": _seconds(held.total_ns),
        "longest": _seconds(held.longest_ns),
    }


def _seconds(ns: int | None) -> float | None:
    return None if ns is None else ns / SECOND


def _names(numbers: Iterable[int]) -> list[str]:
    return [span_name(number) for number in numbers]
