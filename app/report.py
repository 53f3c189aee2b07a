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
from collections.abc import Iterable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from heapq import heappush, heappushpop
from itertools import compress, islice

from app import timeouts
from app.batch import SIZE, Batch, End
from app.columns import Columns
from app.effects import EffectFold, Effects
from app.evidence import AgentFold, DurationFold, Evidence, HangUpFold, LevelFold, ReuseFold
from app.retries import Retries, RetryFold
from app.spans import Kind, Outcome, Span
from app.timeouts import Timeout

EXAMPLES = 20  # spans named for a figure
MOST_STEPS = 256  # of the curve of what was in flight
SAMPLE, SPREAD = 2_000, 100  # values that tell where a percentile lies: 4 standard errors at least

REJECTED, SHUTDOWN = Outcome.REJECTED, Outcome.SHUTDOWN  # answered before their time, on purpose


# --- the report ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Reply:
    """The spans that ended alike: how many, and the first of their ids."""

    kind: Kind
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


@dataclass(frozen=True, slots=True)
class Requests:
    """
    The requests of a run without its echoes, whose connections are open as long as they like.

    Where there are no echoes, the same as the report's own figures.
    """

    count: int
    first_arrival_ns: int | None
    makespan_ns: int
    in_flight_ns: int
    active_ns: int
    peak: int
    peak_at_ns: int | None
    peak_spans: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """
    What the spans of a run say together; pages, JSON and the terminal show this one value.

    Names ending in `_ns` are nanoseconds: moments since the Unix epoch or lengths, never negative
    but for a retry's gap. In flight is half-open, arrival to end: at one instant ends come before
    arrivals, and a span of no length is never in flight. What has not ended counts up to now.
    A ratio to nothing is None.

    Counts, connections and what is in flight are of all spans, echoes included. Waits, and what is
    made of them (speed-up, efficiency, lateness, retries, cancellations, evidence), are of
    requests: an echo waits for nobody.
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
    alone: Requests
    evidence: Evidence
    effects: Effects

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
        """Busy / makespan of the requests: how many times faster than one after another."""
        return _ratio(self.busy_ns, self.alone.makespan_ns)

    @property
    def efficiency(self) -> float | None:
        """Lower bound / makespan of the requests: 1 is as fast as delays allow at this peak."""
        return _ratio(self.lower_bound.ns, self.alone.makespan_ns)

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


def ranked(values: "array[int]", percent: int) -> int:
    """
    The same percentile of values in any order, without sorting them all.

    A sample of them shows between which two it must lie; where it does not, they are sorted.
    """
    sample = sorted(values[:: max(len(values) // SAMPLE, 1)])
    place, last = len(sample) * percent // 100, len(sample) - 1
    low, high = sample[max(place - SPREAD, 0)], sample[min(place + SPREAD, last)]
    near = sorted(value for value in values if low <= value <= high)
    rank = max(-(-percent * len(values) // 100), 1) - 1 - sum(map(low.__gt__, values))
    return near[rank] if 0 <= rank < len(near) else percentile(sorted(values), percent)


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def timeout(report: Report) -> Timeout | None:
    """What is behind the hang-ups; None when there are fewer than three."""
    answered = (
        reply.count
        for reply in report.replies
        if reply.kind is Kind.HTTP and reply.outcome is Outcome.COMPLETED
    )
    return timeouts.infer(
        report.evidence, completed=sum(answered), active_ns=report.alone.active_ns
    )


# --- the fold ------------------------------------------------------------------------------------


class Fold:
    """
    The report of spans that come in lists, in ascending order of id: `add` them, then `report`.

    A clock that was set between two starts of the service makes lengths zero, never negative.
    """

    def __init__(self, run: str, *, now_ns: int) -> None:
        self._run = run
        self._now_ns = now_ns
        self._tally, self._level = _Tally(), _Level()
        self._requests = self._level  # of the requests alone: another, once there is an echo
        self._waits, self._retries = _Waits(), RetryFold(EXAMPLES)
        self._connections, self._cancellations = _Connections(), _Cancellations()
        self._durations, self._agents = DurationFold(), AgentFold()
        self._hang_ups, self._reuse = HangUpFold(EXAMPLES), ReuseFold(EXAMPLES)
        self._first: list[int] = []
        self._effects = EffectFold()

    def add(self, columns: Columns) -> None:
        """Take the next spans of the run."""
        for boot in columns.boots():
            for some in boot.pieces(SIZE):
                self._add(Batch(some, self._now_ns))

    def _add(self, batch: Batch) -> None:
        requests = batch.requests()
        if requests is not batch and self._requests is self._level:
            self._requests = deepcopy(self._level)
        self._tally.add(batch)
        self._effects.add(batch)
        self._level.add(batch)
        self._connections.add(batch)
        self._reuse.add(batch)
        if requests:
            self._judge(requests)

    def _judge(self, requests: Batch) -> None:
        """What there is to be said of requests, and not of echoes."""
        if self._requests is not self._level:
            self._requests.add(requests)
        self._waits.add(requests)
        self._retries.add(requests)
        self._agents.add(requests)
        self._durations.add(requests.of(Outcome.COMPLETED, requests.durations))
        self._hang_ups.add(requests)
        self._cancellations.add(requests)
        self._first += requests.ids[: EXAMPLES - len(self._first)]

    def report(self, *, dropped: int = 0) -> Report:
        """What they say together; *dropped* is how many spans of the run were not kept."""
        level, waits, connections = self._level, self._waits, self._connections
        level.drain()
        self._requests.drain()
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
            lower_bound=LowerBound(waits.longest_ns, waits.total_ns, self._requests.peak),
            lateness=waits.lateness(),
            retries=self._retries.summary(),
            cancellations=self._cancellations.summary(),
            effects=self._effects.summary(),
            alone=self._requests.alone(),
            evidence=self._evidence(),
        )

    def _evidence(self) -> Evidence:
        return Evidence(
            plateau=self._requests.evidence.plateau(),
            stalls=self._requests.evidence.stalls(),
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
    stream = iter(spans)
    while some := list(islice(stream, SIZE)):
        fold.add(Columns.of(some))
    return fold.report(dropped=dropped)


class _Tally:
    """How spans ended."""

    def __init__(self) -> None:
        self.requests = 0
        self._counts: Counter[End] = Counter()
        self._examples: dict[End, list[int]] = {}

    def add(self, batch: Batch) -> None:
        self.requests += len(batch)
        self._counts.update(batch.replies)
        for reply in batch.replies:
            examples = self._examples.setdefault(reply, [])
            if len(examples) < EXAMPLES:
                examples += islice(batch.alike(reply), EXAMPLES - len(examples))

    def replies(self) -> tuple[Reply, ...]:
        return tuple(
            Reply(*end, count, tuple(self._examples[end])) for end, count in self._counts.items()
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
        self._count = 0
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

    def alone(self) -> Requests:
        return Requests(
            self._count,
            self.first_ns,
            self.makespan_ns,
            self.in_flight_ns,
            self.active_ns,
            self.peak,
            self.peak_at_ns,
            self.peak_spans,
        )

    def curve(self) -> Curve:
        return Curve(self._steps.step_ns, tuple(self._steps.levels))

    def add(self, batch: Batch) -> None:
        arrivals, ends = batch.arrivals, batch.ends
        self.in_flight_ns += sum(batch.durations)
        self._frame(batch)
        if (boot := batch.boot) != self._boot:
            self.drain()
            self._boot, self._seen_ns, self._reach_ns = boot, arrivals[0], arrivals[0]
        # Those of no length are never in flight.
        self._arrivals += compress(arrivals, batch.durations)
        self._ends += compress(ends, batch.durations)
        self._numbers += compress(batch.ids, batch.durations)
        # As many at once as are open, so that going through these stays cheap whatever the peak.
        if len(self._arrivals) > max(SIZE, len(self._open)):
            self._sweep()

    def drain(self) -> None:
        """Let everything open end; what follows is of another boot, or nothing."""
        self._sweep()
        if ends := self._open_ends:
            self._steps.add([], [], ends, since=self._seen_ns, until=ends[-1])
            self.evidence.over(ends)
        self._open, self._open_ends = [], []

    def _frame(self, batch: Batch) -> None:
        self._count += len(batch)
        first, last = min(batch.arrivals), max(batch.ends)
        if self.first_ns is None or first < self.first_ns:
            self.first_ns = first
        if self.last_ns is None or last > self.last_ns:
            self.last_ns, self.last_span = last, batch.ids[batch.ends.index(last)]

    def _sweep(self) -> None:
        if not self._arrivals:
            return
        arrivals, fresh_ends, numbers = self._arrivals, self._ends, self._numbers
        # The ends left open ascend already, so sorting is little more than merging.
        ends = sorted(self._open_ends + fresh_ends)
        self._arrivals, self._ends, self._numbers = [], [], []
        levels = _levels(arrivals, ends)
        self._count_active(arrivals, levels, ends)
        seen = max(arrivals[-1], self._seen_ns)
        if max(levels) > self.peak:
            fresh = zip(arrivals, fresh_ends, numbers, strict=True)
            self._rise(arrivals, levels, [*self._open, *fresh])
        self._open = [span for span in self._open if span[1] > seen]
        late = [place for place, end in enumerate(fresh_ends) if end > seen]
        self._open += [(arrivals[place], fresh_ends[place], numbers[place]) for place in late]
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
        alone = [place for place, level in enumerate(levels) if level == 1] if 1 in levels else []
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

    def add(self, batch: Batch) -> None:
        busy = longest = total = 0
        late = self._lateness.append
        columns = (batch.begun, batch.ends, batch.planned, _due_bytes(batch), batch.outcomes)
        # Here a call of `min` or `max` costs more than anything else: hence the exceptions.
        for number, begun, end, planned, byte, outcome in zip(batch.ids, *columns, strict=True):
            if begun is None:
                continue
            spent = end - begun if end > begun else 0
            busy += spent
            if planned is None:
                continue
            # As `Span.lateness_ns`.
            if byte is not None and outcome is not REJECTED and outcome is not SHUTDOWN:
                lateness = byte - begun - planned
                late(lateness if lateness > 0 else 0)  # noqa: FURB136
                if lateness > self._least_ns:
                    self._keep(lateness, number)
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
        late = self._lateness
        p50, p99 = ranked(late, 50), ranked(late, 99)
        worst = tuple(-negative for _, negative in sorted(self._worst, reverse=True))
        return Lateness(len(late), p50, p99, max(late), worst)


def _due_bytes(batch: Batch) -> list[int | None]:
    """When the byte went out that was not to be early: the first, or the last that dripped."""
    firsts: list[int | None] = batch["first_byte_ns"]
    if batch.columns.is_all("drip", None):
        return firsts
    columns = zip(firsts, batch["last_byte_ns"], batch["drip"], strict=True)
    return [first if drip is None else last for first, last, drip in columns]


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

    def add(self, batch: Batch) -> None:
        if (boot := batch.boot) != self._boot:
            self._earlier, self._boot, self._numbers = self.count, boot, set()
        self._numbers.update(batch["connection"])
        self._numbers.discard(0)  # not known
        ordinals = batch["connection_request"]
        self.reused += len([ordinal for ordinal in ordinals if ordinal > 1])
        if len(self.opening) < EXAMPLES:
            opening = compress(batch.ids, [ordinal == 1 for ordinal in ordinals])
            self.opening += islice(opening, EXAMPLES - len(self.opening))


class _Cancellations:
    """The clients that left."""

    def __init__(self) -> None:
        self._count = self._waited_ns = self._planned_ns = self._wasted_ns = 0
        self._queued = self._replying = 0
        self._shown: list[Cancellation] = []

    def add(self, batch: Batch) -> None:
        places = batch.places(Outcome.CLIENT_GONE)
        first_bytes = batch["first_byte_ns"] if places else []
        for place in places:
            self._take(batch, place, replying=first_bytes[place] is not None)

    def _take(self, batch: Batch, place: int, *, replying: bool) -> None:
        begun_ns, planned_ns = batch.begun[place], batch.planned[place]
        self._count += 1
        self._waited_ns += batch.durations[place]
        self._planned_ns += planned_ns or 0
        if begun_ns is None:
            self._queued += 1
        else:
            self._wasted_ns += max(batch.ends[place] - begun_ns, 0)
            self._replying += replying
        if len(self._shown) < EXAMPLES:
            shown = Cancellation(batch.ids[place], batch.durations[place], planned_ns)
            self._shown.append(shown)

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
