"""
What findings are drawn from, beyond the figures: gathered while the spans go by. Pure.

Each fold looks for one habit of the client and keeps a bounded amount of what it saw: samples
where a sample says as much as all, sums else. Lengths are whole nanoseconds.
"""

import math
import statistics
from array import array
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import compress, islice, pairwise
from operator import attrgetter, sub
from typing import NamedTuple

from app.batch import Batch
from app.spans import Kind, Outcome

MILLISECOND = 1_000_000

SAMPLE = 2_000  # lags, gaps and durations; the median of so many is known to a few per cent
MOST_STALLS = 10_000
MOST_HANG_UPS = 10_000
MOST_AGENTS = 16
LOOKED_AT = 20_000  # spans whose connections are followed: what a pool does, it does at once

STALL_NS = 100 * MILLISECOND  # no arrival for so long may be a stall
BURST_NS = 30 * MILLISECOND  # what was held back arrives within this
# Less idle, and the client may not have noticed the end; more, and it may have given up on it:
# Ruby's net/http closes after 2 s, undici after 4.
IDLE_FROM_NS, IDLE_UNTIL_NS = 20 * MILLISECOND, 2_000 * MILLISECOND
RACE_NS = 12 * MILLISECOND  # a loser is cancelled within this after the winner's reply
LAST_NS = 200 * MILLISECOND  # hang-ups this close to the last one end the run, if nothing follows


@dataclass(frozen=True, slots=True)
class Plateau:
    """
    The run between the first and the last moment at its highest level.

    *arrivals* came after the first of these moments and no later than the last. *held_ns* is the
    time in flight in between, of all together. The samples are of the first arrivals: *lags_ns*
    from the end before to the arrival that made the level full, *gaps_ns* between arrivals.
    """

    level: int = 0
    arrivals: int = 0
    window_ns: int = 0
    full_ns: int = 0  # spent at the level
    held_ns: int = 0
    lags_ns: tuple[int, ...] = ()
    gaps_ns: tuple[int, ...] = ()

    @property
    def missed_chances(self) -> float:
        """How many arrivals should have gone beyond the level, had they not waited for an end."""
        return self.arrivals * self.full_ns / self.window_ns if self.window_ns else 0.0

    @property
    def occupancy(self) -> float:
        """The mean level in between, as a share of the level."""
        return self.held_ns / (self.window_ns * self.level) if self.window_ns else 0.0

    @property
    def lag_ns(self) -> int:
        """The median time from an end to the arrival that took its place."""
        return round(statistics.median(self.lags_ns)) if self.lags_ns else 0


@dataclass(frozen=True, slots=True)
class Stall:
    """A time without arrivals, up to the one that ended it."""

    length_ns: int
    left: int  # still in flight when it ended
    idle_ns: int  # with nothing in flight at all
    held_ns: int  # time in flight while it lasted, of all together
    burst: int  # arrivals within 30 ms from then on
    span: int  # the arrival that ended it


@dataclass(frozen=True, slots=True)
class HangUp:
    """A client that left before its reply was complete."""

    span: int
    arrival_ns: int
    end_ns: int
    raced: bool  # another reply had been completed a moment before

    @property
    def age_ns(self) -> int:
        return self.end_ns - self.arrival_ns


@dataclass(frozen=True, slots=True)
class HangUps:
    """
    The clients that left; *shown* are the first of them.

    The sums leave out the hang-ups with which the run ended: a client that stops is no waste.
    """

    shown: tuple[HangUp, ...] = ()
    counted: int = 0  # those the sums are of
    spent_ns: int = 0  # wait begun to end
    to_come_ns: int = 0  # what was still planned
    examples: tuple[int, ...] = ()  # of those counted
    after_first: int = 0  # arrivals after the first hang-up
    left: int = 0  # all, with those who gave up on a `hang` or `stall`


@dataclass(frozen=True, slots=True)
class Reuse:
    """
    Of the first spans: arrivals while some connection had been idle for 20 ms to 2 s.

    *taken* of them came on a connection that was there; *opened* are some that did not.
    """

    chances: int = 0
    taken: int = 0
    opened: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What is known of a run beyond its figures; empty for a run without spans."""

    plateau: Plateau = Plateau()
    stalls: tuple[Stall, ...] = ()
    durations_ns: tuple[int, ...] = ()  # arrival to end of completed requests: a sample, ascending
    longest_ns: int = 0  # of all completed requests
    first: tuple[int, ...] = ()  # spans
    hang_ups: HangUps = HangUps()
    reuse: Reuse = Reuse()
    agents: tuple[str | None, ...] = ()  # user agents, the most frequent first

    @property
    def median_ns(self) -> int:
        """The median duration of completed requests; 0 when there are none."""
        return round(statistics.median(self.durations_ns)) if self.durations_ns else 0

    @property
    def agent(self) -> str | None:
        """The one user agent of the whole run; None when there are several, or none."""
        return self.agents[0] if len(self.agents) == 1 else None


def variation(values: Sequence[int]) -> float:
    """Standard deviation / mean: 0 for values all alike, 1 for an exponential distribution."""
    mean = statistics.fmean(values) if values else 0
    return statistics.pstdev(values, mean) / mean if mean else 0.0


# --- the level -----------------------------------------------------------------------------------


class LevelFold:
    """
    The plateau and the stalls, told what was in flight at each arrival.

    *ends* ascend and are those of the arrivals and of all that was open before the first of them;
    at an arrival that makes level n, all but n of those that had begun are over.
    """

    def __init__(self) -> None:
        self._level = 0
        self._seen = 0  # arrivals so far, and the moments and ends among them, summed
        self._arrived_ns = self._ended_ns = 0
        self._first = self._last = 0  # the arrivals at the level: their numbers
        self._first_ns = self._until_ns = self._full_ns = 0
        self._held_first_ns = self._held_until_ns = 0
        self._lags: list[int] = []
        self._gaps: list[int] = []
        self._stalls: list[Stall] = []
        self._before_ns: int | None = None  # the arrival before

    def add(
        self, arrivals: list[int], levels: list[int], ends: list[int], numbers: list[int]
    ) -> None:
        """Take the next arrivals."""
        carried = len(ends) - len(arrivals)
        self._stall(arrivals, levels, ends, numbers)
        if (top := max(levels)) >= self._level:
            if top > self._level:
                self._begin(top, levels.index(top), arrivals, ends)
            self._extend(arrivals, levels, ends, carried)
        self._seen += len(arrivals)
        self._arrived_ns += sum(arrivals)
        self._before_ns = arrivals[-1]

    def over(self, ends: list[int]) -> None:
        """Those ended, and no later arrival will count them as open."""
        self._ended_ns += sum(ends)

    def _begin(self, level: int, place: int, arrivals: list[int], ends: list[int]) -> None:
        """A level never reached before: what was seen of lower ones says nothing."""
        self._level, self._first, self._first_ns = level, self._seen + place, arrivals[place]
        self._full_ns = 0
        self._lags, self._gaps = [], []
        self._held_first_ns = self._held(place, arrivals[place], arrivals, ends)

    def _extend(
        self, arrivals: list[int], levels: list[int], ends: list[int], carried: int
    ) -> None:
        full = [level == self._level for level in levels]
        over = carried + 1 - self._level  # ends that had come at arrival 0, were it at the level
        last = len(full) - 1 - full[::-1].index(True)
        first = full.index(True)
        # Nothing can arrive at the highest level without going beyond it: it lasts to the next end.
        self._full_ns += sum(compress(ends[over + first :], full[first:]))
        self._full_ns -= sum(compress(arrivals, full))
        if len(self._lags) < SAMPLE:
            places = compress(range(len(full)), full)
            lags = (arrivals[i] - ends[over + i - 1] for i in places if over + i > 0)
            self._lags += islice(lags, SAMPLE)
            self._gaps += [b - a for a, b in pairwise(arrivals[first : last + 1])]
        self._last, self._until_ns = self._seen + last, ends[over + last]
        self._held_until_ns = self._held(last, self._until_ns, arrivals, ends)

    def _held(self, place: int, moment_ns: int, arrivals: list[int], ends: list[int]) -> int:
        """Time in flight up to a moment at the level, after arrival *place* and before the next."""
        carried = len(ends) - len(arrivals)
        over = carried + place + 1 - self._level
        ended_ns = self._ended_ns + sum(ends[:over])
        return ended_ns + self._level * moment_ns - self._arrived_ns - sum(arrivals[: place + 1])

    def _stall(
        self, arrivals: list[int], levels: list[int], ends: list[int], numbers: list[int]
    ) -> None:
        earlier = arrivals[0] if self._before_ns is None else self._before_ns
        befores = [earlier, *arrivals[:-1]]
        if max(map(sub, arrivals, befores)) <= STALL_NS or len(self._stalls) >= MOST_STALLS:
            return
        for place, before in enumerate(befores):
            if arrivals[place] - before > STALL_NS:
                self._stalls.append(
                    _stalled(
                        arrivals,
                        place,
                        before_ns=before,
                        left=levels[place] - 1,
                        ends=ends,
                        span=numbers[place],
                    )
                )

    def plateau(self) -> Plateau:
        """The highest level, and how it was kept."""
        return Plateau(
            self._level,
            self._last - self._first,
            self._until_ns - self._first_ns,
            self._full_ns,
            self._held_until_ns - self._held_first_ns,
            tuple(self._lags[:SAMPLE]),
            tuple(self._gaps[:SAMPLE]),
        )

    def stalls(self) -> tuple[Stall, ...]:
        """The first of the times without arrivals."""
        return tuple(self._stalls[:MOST_STALLS])


def _stalled(
    arrivals: list[int], place: int, *, before_ns: int, left: int, ends: list[int], span: int
) -> Stall:
    moment_ns = arrivals[place]
    # Those that ended in between had begun before it, so they held their slots from its beginning.
    between = ends[bisect_right(ends, before_ns) : bisect_right(ends, moment_ns)]
    length_ns = moment_ns - before_ns
    return Stall(
        length_ns,
        left,
        0 if left else moment_ns - max(between, default=before_ns),
        sum(between) - len(between) * before_ns + left * length_ns,
        bisect_right(arrivals, moment_ns + BURST_NS) - place,
        span,
    )


# --- durations and user agents -------------------------------------------------------------------


class DurationFold:
    """How long completed requests took: the longest, and an evenly spread sample."""

    def __init__(self) -> None:
        self.longest_ns = 0
        self._sample = array("q")
        self._stride = 1
        self._skip = 0

    def add(self, durations_ns: list[int]) -> None:
        """Take the durations of the next completed requests."""
        if not durations_ns:
            return
        self.longest_ns = max(self.longest_ns, *durations_ns)
        self._sample.extend(durations_ns[self._skip :: self._stride])
        self._skip = (self._skip - len(durations_ns)) % self._stride
        while len(self._sample) > 2 * SAMPLE:
            # Of those that come, the next to keep is then the one an even place would have had.
            self._skip += self._stride * (len(self._sample) % 2)
            self._sample = self._sample[::2]
            self._stride *= 2

    def sample(self) -> tuple[int, ...]:
        """At most 4,000 of them, ascending."""
        return tuple(sorted(self._sample))


class AgentFold:
    """Which programs there were."""

    def __init__(self) -> None:
        self._counts: Counter[str | None] = Counter()

    def add(self, batch: Batch) -> None:
        """Take the next requests."""
        for agent, count in batch.columns.counts("user_agent").items():
            if agent in self._counts or len(self._counts) < MOST_AGENTS:
                self._counts[agent] += count

    def agents(self) -> tuple[str | None, ...]:
        """The most frequent first."""
        return tuple(agent for agent, _ in self._counts.most_common())


# --- hang-ups ------------------------------------------------------------------------------------


class _Left(NamedTuple):
    """A client that left, what was done for it and what was still planned."""

    end_ns: int
    arrival_ns: int
    span: int
    spent_ns: int
    to_come_ns: int


class HangUpFold:
    """The clients that left, and what it cost; *examples* spans are named."""

    def __init__(self, examples: int) -> None:
        self._examples = examples
        self._shown: list[HangUp] = []
        self._recent: list[_Left] = []  # nothing has arrived after these yet
        self._left = self._counted = self._spent_ns = self._to_come_ns = 0
        self._named: list[int] = []
        self._first_ns = math.inf
        self._after_first = 0
        self._before: Batch | None = None
        self._completed: tuple[Batch | None, list[int]] = (None, [])

    def add(self, batch: Batch) -> None:
        """Take the next requests of the run."""
        gone = [_left(batch, place) for place in batch.places(Outcome.CLIENT_GONE)]
        given_up = [_left(batch, place) for place in _given_up(batch)]
        if gone or given_up:
            self._recent += gone
            self._show(sorted(gone + given_up, key=attrgetter("span")), batch)
        if self._first_ns != math.inf:
            arrivals = batch.arrivals
            self._after_first += len(arrivals) - bisect_right(arrivals, self._first_ns)
        if self._recent:
            self._settle(batch.arrivals[-1])
        self._before = batch

    def _show(self, left: list[_Left], batch: Batch) -> None:
        self._left += len(left)
        self._first_ns = min(self._first_ns, *(one.end_ns for one in left))
        if len(self._shown) >= MOST_HANG_UPS:
            return
        before = self._completed_ends(self._before) if self._before else []
        completed = (before, self._completed_ends(batch))
        self._shown += [
            HangUp(one.span, one.arrival_ns, one.end_ns, _raced(one.end_ns, completed))
            for one in left
        ]

    def _completed_ends(self, batch: Batch) -> list[int]:
        """When its replies were completed, ascending; the newest answer is remembered."""
        if self._completed[0] is not batch:
            self._completed = batch, sorted(batch.of(Outcome.COMPLETED, batch.ends))
        return self._completed[1]

    def _settle(self, arrival_ns: int) -> None:
        """Count those after which something arrived."""
        self._count([one for one in self._recent if one.end_ns < arrival_ns])
        self._recent = [one for one in self._recent if one.end_ns >= arrival_ns]

    def _count(self, left: list[_Left]) -> None:
        for one in left:
            self._counted += 1
            self._spent_ns += one.spent_ns
            self._to_come_ns += one.to_come_ns
            if len(self._named) < self._examples:
                self._named.append(one.span)

    def hang_ups(self) -> HangUps:
        """What they say together. Asked once, when all spans are in."""
        last_ns = max((one.end_ns for one in self._recent), default=0)
        self._count([one for one in self._recent if one.end_ns < last_ns - LAST_NS])
        return HangUps(
            tuple(self._shown[:MOST_HANG_UPS]),
            self._counted,
            self._spent_ns,
            self._to_come_ns,
            tuple(self._named),
            self._after_first,
            self._left,
        )


def _given_up(batch: Batch) -> list[int]:
    """Where those are that met a silence made on purpose, and hung up: an age, but no waste."""
    places = batch.places(Outcome.FAULTED)
    ended_by = batch["ended_by"] if places else []
    return [place for place in places if ended_by[place] == "client"]


def _left(batch: Batch, place: int) -> _Left:
    end_ns, begun_ns = batch.ends[place], batch.begun[place]
    due_ns = end_ns if begun_ns is None else begun_ns + (batch.planned[place] or 0)
    spent_ns = 0 if begun_ns is None else max(end_ns - begun_ns, 0)  # a queue is no work
    to_come_ns = max(due_ns - end_ns, 0)
    return _Left(end_ns, batch.arrivals[place], batch.ids[place], spent_ns, to_come_ns)


def _raced(end_ns: int, completed: Iterable[list[int]]) -> bool:
    """Whether another reply was completed a moment before; their ends ascend in each list."""
    return any(
        bisect_left(ends, end_ns - RACE_NS) < bisect_right(ends, end_ns) for ends in completed
    )


# --- connections ---------------------------------------------------------------------------------


class _Visit(NamedTuple):
    """A span, as its connection has it."""

    span: int
    arrival_ns: int
    end_ns: int
    connection: int
    ordinal: int
    is_request: bool
    leaves_open: bool  # the connection, for the next


def _visits(batch: Batch) -> Iterator[_Visit]:
    requests = [kind is Kind.HTTP for kind in batch["kind"]]
    open_after = (
        is_request and outcome is Outcome.COMPLETED and not fault and version == "1.1"
        for is_request, outcome, fault, version in zip(
            requests, batch.outcomes, batch["fault"], batch["http_version"], strict=True
        )
    )
    return map(
        _Visit,
        batch.ids,
        batch.arrivals,
        batch.ends,
        batch["connection"],
        batch["connection_request"],
        requests,
        open_after,
    )


class ReuseFold:
    """
    Whether idle connections are used again, of the first 20,000 spans.

    Connections after which the server hung up, or that could carry but one request (HTTP/1.0), are
    no chance. That a client closed one is not seen, and is what this is to find.
    """

    def __init__(self, examples: int) -> None:
        self._examples = examples
        self._left = LOOKED_AT
        self._ending: list[tuple[int, int]] = []  # a heap of (end, connection)
        self._idle: dict[int, int] = {}  # connection -> since when; the longest idle first
        self._newest: dict[int, int] = {}  # connection -> end of its newest request
        self._chances = self._taken = 0
        self._opened: list[int] = []

    def add(self, batch: Batch) -> None:
        """Take the next spans of the run, echoes too: they hold their connections."""
        if not self._left:
            return
        for visit in islice(_visits(batch), self._left):
            if visit.connection:
                if visit.is_request:
                    self._arrive(visit)
                self._occupy(visit)
        self._left = max(self._left - len(batch), 0)

    def _arrive(self, visit: _Visit) -> None:
        now_ns = visit.arrival_ns
        while self._ending and self._ending[0][0] <= now_ns - IDLE_FROM_NS:
            end, connection = heappop(self._ending)
            if self._newest.get(connection) == end:
                self._idle[connection] = end
        while self._idle and next(iter(self._idle.values())) < now_ns - IDLE_UNTIL_NS:
            del self._idle[next(iter(self._idle))]
        if self._idle:
            self._chances += 1
            if visit.ordinal > 1:
                self._taken += 1
            elif len(self._opened) < self._examples:
                self._opened.append(visit.span)

    def _occupy(self, visit: _Visit) -> None:
        self._idle.pop(visit.connection, None)
        if visit.leaves_open:
            self._newest[visit.connection] = visit.end_ns
            heappush(self._ending, (visit.end_ns, visit.connection))
        else:
            self._newest.pop(visit.connection, None)

    def reuse(self) -> Reuse:
        """How many chances there were, and how many were taken."""
        return Reuse(self._chances, self._taken, tuple(self._opened))
