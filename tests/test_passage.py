"""Tests of `app.passage`: the order of the limits, what is noted, and what the refused are told."""

from collections.abc import Callable

import pytest

from app.errors import Problem
from app.passage import Passage
from app.plan import Asked, Limits, Planner
from app.spans import Span
from app.turnstile import Turnstile
from tests.fakes import MILLISECOND, SECOND, ManualClock, make_span

PLANNER = Planner(Limits(max_delay_ns=300 * SECOND, max_size=1 << 20))


class Room:
    """A turnstile with the requests that come to it, on a clock that stands still."""

    passed: list[str]  # names, in order
    refused: dict[str, Problem]

    def __init__(self, *, time_scale: float = 1.0) -> None:
        self.clock = ManualClock()
        self.turnstile = Turnstile()
        self.time_scale = time_scale
        self.passed = []
        self.refused = {}

    def come(self, name: str, query: str, on_passed: Callable[[], None] | None = None) -> "Guest":
        """A request of that name, with those knobs."""
        return Guest(self, name, query, on_passed)


class Guest:
    """One request."""

    span: Span

    def __init__(
        self, room: Room, name: str, query: str, on_passed: Callable[[], None] | None
    ) -> None:
        def passed() -> None:
            room.passed.append(name)
            if on_passed is not None:
                on_passed()

        self.span = make_span(time_scale=room.time_scale)
        self.passage = Passage(
            room.turnstile,
            PLANNER.read(Asked(query)),
            self.span,
            room.clock,
            on_passed=passed,
            on_refused=lambda problem: room.refused.update({name: problem}),
        )
        self.passage.begin()

    @property
    def waits(self) -> tuple[int, int]:
        """Milliseconds in the queue and at the barrier."""
        return self.span.queue_wait_ns // MILLISECOND, self.span.barrier_wait_ns // MILLISECOND


@pytest.fixture
def room() -> Room:
    return Room()


# --- rate ----------------------------------------------------------------------------------------


def test_past_the_rate_a_request_is_refused_with_the_honest_time(room: Room) -> None:
    """Two at once, the third after half a second."""
    for name in "abc":
        room.come(name, "rate=2/s")

    assert ["a", "b"] == room.passed
    problem = room.refused["c"]
    assert ("rate-exceeded", 429, "rate") == (problem.code, problem.status, problem.parameter)
    assert problem.detail.startswith("rate=2/s lets no more through now; come back after")
    assert SECOND // 2 == problem.retry_after_ns

    room.clock.advance(SECOND // 2)
    room.come("d", "rate=2/s")
    assert ["a", "b", "d"] == room.passed


def test_the_time_scale_shortens_the_refill() -> None:
    """A suite for a slow backend runs a hundred times as fast, with the same refusals."""
    room = Room(time_scale=0.01)
    for name in "ab":
        room.come(name, "rate=1/m")

    assert 600 * MILLISECOND == room.refused["b"].retry_after_ns


def test_who_is_refused_by_the_rate_takes_no_worker(room: Room) -> None:
    """The rate comes first."""
    first = room.come("a", "rate=1/s&capacity=1")
    room.come("b", "rate=1/s&capacity=1")
    first.passage.leave()
    room.come("c", "capacity=1")

    assert ["a", "c"] == room.passed


# --- capacity and queue --------------------------------------------------------------------------


def test_who_finds_no_worker_queues_and_the_queue_s_time_is_noted(room: Room) -> None:
    """Apart from all else; who is served at once has waited for nothing."""
    guests = [room.come(name, "capacity=1") for name in "abc"]
    room.clock.advance(250 * MILLISECOND)
    guests[0].passage.leave()
    room.clock.advance(250 * MILLISECOND)
    guests[1].passage.leave()

    assert ["a", "b", "c"] == room.passed
    assert [(0, 0), (250, 0), (500, 0)] == [guest.waits for guest in guests]


def test_who_leaves_the_queue_has_waited_until_then(room: Room) -> None:
    """And the one behind moves up."""
    guests = [room.come(name, "capacity=1") for name in "abc"]
    room.clock.advance(100 * MILLISECOND)
    guests[1].passage.leave()
    guests[0].passage.leave()

    assert ["a", "c"] == room.passed
    assert [(0, 0), (100, 0), (100, 0)] == [guest.waits for guest in guests]


def test_a_full_queue_refuses_with_the_earliest_planned_end(room: Room) -> None:
    """Two are served, for 3 s and for 2 s; half a second later the first will be free in 1.5 s."""
    for name, seconds in (("a", 3), ("b", 2)):
        room.come(name, "capacity=2&queue=0").passage.expect(seconds * SECOND)
    room.clock.advance(SECOND // 2)
    room.come("c", "capacity=2&queue=0")

    problem = room.refused["c"]
    assert ("queue-full", 503, "queue") == (problem.code, problem.status, problem.parameter)
    assert problem.detail.startswith("capacity=2 is in use and queue=0 is full; come back later")
    assert 3 * SECOND // 2 == problem.retry_after_ns


def test_an_end_that_is_overdue_is_now(room: Room) -> None:
    """Never a negative time."""
    room.come("a", "capacity=1&queue=0").passage.expect(SECOND)
    room.clock.advance(2 * SECOND)
    room.come("b", "capacity=1&queue=0")

    assert 0 == room.refused["b"].retry_after_ns


def test_where_nothing_is_expected_nothing_is_promised(room: Room) -> None:
    """No `Retry-After` is better than a wrong one."""
    room.come("a", "capacity=1&queue=0")
    room.come("b", "capacity=1&queue=0")

    assert room.refused["b"].retry_after_ns is None


def test_without_capacity_nobody_is_expected(room: Room) -> None:
    """There is no worker who could be free."""
    room.come("a", "rate=9/s").passage.expect(SECOND)

    assert room.turnstile.earliest_end_ns() is None


# --- barrier -------------------------------------------------------------------------------------


def test_the_last_one_releases_all(room: Room) -> None:
    """In order of arrival, each with the time it was held."""
    guests = []
    for name in "abc":
        room.clock.advance(10 * MILLISECOND)
        guests.append(room.come(name, "barrier=3"))

    assert ["a", "b", "c"] == room.passed
    assert [(0, 20), (0, 10), (0, 0)] == [guest.waits for guest in guests]
    assert [] == room.clock.alarms


def test_who_waits_too_long_at_the_barrier_is_refused(room: Room) -> None:
    """With 504, and without a time to come back: that is up to the others."""
    guest = room.come("a", "barrier=2&delay=5")
    room.clock.advance(5 * SECOND)

    problem = room.refused["a"]
    assert ("barrier-timeout", 504, "barrier") == (problem.code, problem.status, problem.parameter)
    assert problem.detail.startswith("barrier=2 was not reached within 5s; send that many at once")
    assert problem.retry_after_ns is None
    assert (0, 5_000) == guest.waits

    room.come("b", "barrier=2")
    assert [] == room.passed


def test_a_barrier_waits_30_seconds_unless_told_otherwise(room: Room) -> None:
    """Not a nanosecond less."""
    room.come("a", "barrier=2")

    room.clock.advance(30 * SECOND - 1)
    assert {} == room.refused
    room.clock.advance(1)
    assert {"a"} == set(room.refused)


def test_the_time_scale_shortens_the_wait_at_the_barrier() -> None:
    """The sentence names what was asked for."""
    room = Room(time_scale=0.01)
    room.come("a", "barrier=2&delay=5")
    room.clock.advance(50 * MILLISECOND)

    assert "not reached within 5s" in room.refused["a"].detail


def test_who_leaves_the_barrier_is_missing_there(room: Room) -> None:
    """Whoever comes later finds one less; no alarm is left behind."""
    guest = room.come("a", "barrier=2")
    room.clock.advance(40 * MILLISECOND)
    guest.passage.leave()
    room.come("b", "barrier=2")

    assert (0, 40) == guest.waits
    assert [] == room.passed
    assert 1 == len(room.clock.alarms)


# --- together ------------------------------------------------------------------------------------


def test_workers_come_before_the_barrier(room: Room) -> None:
    """Two may stand there; the third queues until one is done, and has not been there yet."""
    guests = [room.come(name, "capacity=2&barrier=2") for name in "abc"]
    assert ["a", "b"] == room.passed

    room.clock.advance(100 * MILLISECOND)
    guests[0].passage.leave()
    room.clock.advance(70 * MILLISECOND)
    guests[1].passage.leave()
    room.come("d", "capacity=2&barrier=2")

    assert ["a", "b", "c", "d"] == room.passed
    assert [(0, 0), (0, 0), (100, 70)] == [guest.waits for guest in guests]


def test_who_stands_at_the_barrier_is_expected_to_wait_as_long_as_it_may(room: Room) -> None:
    """So who finds the queue full is told when it is over at the latest."""
    for name in "abc":
        room.come(name, "capacity=2&queue=0&barrier=2&delay=9" if name == "a" else "capacity=1")
    room.clock.advance(2 * SECOND)
    room.come("d", "capacity=1&queue=0")

    assert 7 * SECOND == room.refused["d"].retry_after_ns


def test_who_loses_patience_gives_its_worker_up_at_once(room: Room) -> None:
    """Not only when its client has read the refusal."""
    room.come("a", "capacity=2&barrier=2&delay=1")
    room.come("b", "capacity=1")
    room.clock.advance(SECOND)

    assert {"a"} == set(room.refused)
    assert ["b"] == room.passed


def test_leaving_twice_is_leaving_once(room: Room) -> None:
    """A refused request leaves at once, and its owner says so again at the end."""
    guests = [room.come(name, "capacity=1") for name in "abc"]
    for _ in range(2):
        guests[0].passage.leave()

    assert ["a", "b"] == room.passed


def test_who_is_called_after_leaving_stays_away(room: Room) -> None:
    """Both may happen in one moment."""
    guest = room.come("a", "capacity=1")
    guest.passage.leave()
    guest.passage.go_on()

    assert ["a"] == room.passed


def test_one_that_ends_at_once_lets_the_next_go_on(room: Room) -> None:
    """A delay of 0 in the lane: the whole queue empties from within one call."""
    first = room.come("first", "capacity=1")
    guests: list[Guest] = []
    for number in range(5_000):
        guests.append(
            room.come(str(number), "capacity=1", lambda n=number: guests[n].passage.leave())  # type: ignore[misc]
        )
    first.passage.leave()

    assert ["first", *map(str, range(5_000))] == room.passed
