"""
Which page is fetched next: a ready queue for each host, round robin over jobs and hosts. Pure.

Bounds are counted over all jobs. A host never gets more at once than the politest job with pages
of it allows; a host that asks for patience, or gives no answer, is held, and what was ready of it
goes back to where it came from. So nothing that can't begin takes the place of what can.
"""

from collections import Counter, defaultdict, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import NamedTuple

from app.titles.breaker import Breaker, Phase
from app.titles.options import MOST_AT_ONCE, SECOND, Options
from app.titles.results import Failure

MOST_HOSTS = 10_000  # that are remembered though nothing of them is ready or under way
WHILE_TRYING_NS = 5 * SECOND  # a host that is tried with one page gets another after that


@dataclass(frozen=True, slots=True)
class Item:
    """One URL of a job, leased from the database."""

    job: int
    position: int  # in the job's input
    url: str
    host: str
    host_number: int  # the position of the first URL of this host in the job
    attempts: int = 0  # made so far
    suspect: bool = False  # it was under way at several crashes


class Away(NamedTuple):
    """An item that can't begin now: until when, or how it fails since its host is given up."""

    item: Item
    until_ns: int
    failure: Failure | None = None


@dataclass(slots=True, eq=False)
class _Host:
    """What is known of a host; jobs are those with items of it."""

    name: str
    ready: defaultdict[int, deque[Item]] = field(default_factory=partial(defaultdict, deque))
    in_turn: set[int] = field(default_factory=set)  # jobs in whose `turns` it stands
    under_way: Counter[int] = field(default_factory=Counter)  # by job
    breaker: Breaker = field(default_factory=Breaker)
    held_until_ns: int = 0

    def is_idle(self) -> bool:
        return not self.ready and not self.under_way

    def is_dull(self, now_ns: int) -> bool:
        """Whether nothing is lost when it is forgotten."""
        return self.is_idle() and not self.breaker.failures and now_ns >= self.held_until_ns


@dataclass(slots=True)
class _Lane:
    """A job that runs, and the hosts whose turn it is, in order."""

    options: Options
    under_way: int = 0
    turns: deque[_Host] = field(default_factory=deque)


class Schedule:
    """
    The pages that are ready and under way, of all jobs that run.

    At most *most* are under way at once. Every item that is added comes out once: from `take`,
    as `Away` from the call that found it can't begin, or from `end`. Moments are the caller's.
    """

    def __init__(self, *, most: int = MOST_AT_ONCE) -> None:
        self.under_way = 0
        self._most = most
        self._lanes: dict[int, _Lane] = {}
        self._order: deque[int] = deque()  # jobs: the next to be asked comes first
        self._hosts: dict[str, _Host] = {}

    # --- jobs ------------------------------------------------------------------------------------

    def begin(self, job: int, options: Options) -> None:
        """A job runs from now on."""
        self._lanes[job] = _Lane(options)
        self._order.append(job)

    def end(self, job: int, now_ns: int) -> list[Item]:
        """A job no longer runs; its items that were ready. Those under way have yet to settle."""
        ready: list[Item] = []
        for host in list(self._hosts.values()):
            ready += host.ready.pop(job, ())
            host.in_turn.discard(job)
            self._give_turns(host)  # the politest job may be gone
            self._forget(host, now_ns)
        del self._lanes[job]
        self._order.remove(job)
        return ready

    # --- items -----------------------------------------------------------------------------------

    def add(self, items: Iterable[Item], now_ns: int) -> list[Away]:
        """Let items of running jobs take their turns; those that can't, because of their host."""
        return [away for item in items if (away := self._add(item, now_ns))]

    def _add(self, item: Item, now_ns: int) -> Away | None:
        host = self._host(item.host, now_ns)
        if away := _turned_away(host, item, now_ns):
            return away
        host.ready[item.job].append(item)
        self._give_turn(item.job, host)
        return None

    def take(self, now_ns: int) -> Item | None:
        """The next item to begin, if there is one within the bounds; it is under way then."""
        if self.under_way >= self._most:
            return None
        for _ in range(len(self._order)):
            job = self._order[0]
            self._order.rotate(-1)  # whoever was served last is asked last
            if item := self._take(job, now_ns):
                return item
        return None

    def _take(self, job: int, now_ns: int) -> Item | None:
        lane = self._lanes[job]
        while lane.turns and lane.under_way < lane.options.concurrency:
            host = lane.turns.popleft()
            host.in_turn.discard(job)
            if job in host.ready and host.under_way.total() < self._bound(host, now_ns):
                return self._start(job, lane, host)
        return None  # who was passed over gets a turn again when its host has room

    def _bound(self, host: _Host, now_ns: int) -> int:
        """How many may be under way at the host at once."""
        if host.breaker.phase(now_ns) is not Phase.CLOSED:
            return 1
        jobs = self._lanes.keys() & (host.ready.keys() | host.under_way.keys())
        return min(self._lanes[job].options.per_host for job in jobs)

    def _start(self, job: int, lane: _Lane, host: _Host) -> Item:
        ready = host.ready[job]
        item = ready.popleft()
        if ready:
            self._give_turn(job, host)
        else:
            del host.ready[job]
        host.under_way[job] += 1
        lane.under_way += 1
        self.under_way += 1
        return item

    def _give_turn(self, job: int, host: _Host) -> None:
        if job not in host.in_turn:
            host.in_turn.add(job)
            self._lanes[job].turns.append(host)

    def _give_turns(self, host: _Host) -> None:
        for job in host.ready:
            self._give_turn(job, host)

    def settle(self, item: Item, now_ns: int, failure: Failure | None = None) -> list[Away]:
        """
        An item was fetched; those of its host that can't begin for that reason.

        *failure*: how the host as a whole failed, if it did.
        """
        breaker = self._hosts[item.host].breaker
        if failure is None:
            breaker.answered()
        else:
            breaker.failed(failure, now_ns)
        return self.abandon(item, now_ns)

    def abandon(self, item: Item, now_ns: int) -> list[Away]:
        """As `settle`, for an item that was not fetched to the end: its host tells us nothing."""
        host = self._hosts[item.host]
        self._land(item, host)
        away = self._sent_away(host, now_ns)
        self._give_turns(host)
        self._forget(host, now_ns)
        return away

    def _land(self, item: Item, host: _Host) -> None:
        self.under_way -= 1
        host.under_way[item.job] -= 1
        if not host.under_way[item.job]:
            del host.under_way[item.job]
        if lane := self._lanes.get(item.job):
            lane.under_way -= 1

    def hold(self, name: str, until_ns: int, now_ns: int) -> list[Away]:
        """Ask nothing of the host before that moment; what was ready of it."""
        host = self._host(name, now_ns)
        host.held_until_ns = max(host.held_until_ns, until_ns)
        return self._sent_away(host, now_ns)

    def _sent_away(self, host: _Host, now_ns: int) -> list[Away]:
        """What was ready of a host and can't begin any more."""
        if host.breaker.phase(now_ns) is Phase.CLOSED and now_ns >= host.held_until_ns:
            return []
        ready = [item for items in host.ready.values() for item in items]
        host.ready.clear()
        return self.add(ready, now_ns)

    # --- hosts -----------------------------------------------------------------------------------

    def _host(self, name: str, now_ns: int) -> _Host:
        host = self._hosts.get(name)
        if host is None:
            self._make_room(now_ns)
            host = self._hosts[name] = _Host(name)
        return host

    def _make_room(self, now_ns: int) -> None:
        """Of too many hosts that are but remembered, forget those met first."""
        if len(self._hosts) >= MOST_HOSTS:
            idle = (name for name, host in self._hosts.items() if host.is_idle())
            for name in list(islice(idle, MOST_HOSTS // 10)):
                del self._hosts[name]

    def _forget(self, host: _Host, now_ns: int) -> None:
        if host.is_dull(now_ns):
            self._hosts.pop(host.name, None)


def _turned_away(host: _Host, item: Item, now_ns: int) -> Away | None:
    """Why an item of the host can't take its turn, if it can't."""
    phase = host.breaker.phase(now_ns)
    if phase is Phase.GIVEN_UP:
        return Away(item, now_ns, _given_up(host))
    if phase is Phase.PAUSED:
        return Away(item, max(host.breaker.until_ns, host.held_until_ns))
    if now_ns < host.held_until_ns:
        return Away(item, host.held_until_ns)
    if phase is Phase.TRYING and not host.is_idle():
        return Away(item, now_ns + WHILE_TRYING_NS)
    return None


def _given_up(host: _Host) -> Failure:
    last, failures = host.breaker.why, host.breaker.failures
    return Failure(
        last.code,
        f"not fetched, for {host.name} failed {failures} times in a row, at last: {last.detail}; "
        "retry when it is well again",
    )
