"""Tests of `app.turnstile`: whoever may go on does, whoever may not does not, and none is lost."""

from fractions import Fraction
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    rule,
)

from app.turnstile import Barrier, Bucket, Turnstile, Workers

SECOND = 1_000_000_000


# --- rate ----------------------------------------------------------------------------------------


def test_a_bucket_is_full_at_the_beginning() -> None:
    """`10/s` lets ten through at once, and refuses the eleventh."""
    bucket = Bucket()

    assert [0] * 10 == [bucket.take(10, SECOND, 77) for _ in range(10)]
    assert SECOND // 10 == bucket.take(10, SECOND, 77)


def test_who_is_refused_takes_nothing() -> None:
    """Else those who come back too early would keep the bucket empty for ever."""
    bucket = Bucket()
    bucket.take(1, SECOND, 0)

    assert [SECOND] * 5 == [bucket.take(1, SECOND, 0) for _ in range(5)]
    assert 0 == bucket.take(1, SECOND, SECOND)


def test_a_bucket_never_holds_more_than_its_size() -> None:
    """However long nobody came."""
    bucket = Bucket()
    bucket.take(3, SECOND, 0)

    assert [0, 0, 0] == [bucket.take(3, SECOND, 3_600 * SECOND) for _ in range(3)]
    assert 0 < bucket.take(3, SECOND, 3_600 * SECOND)


def test_a_bucket_that_fills_within_no_time_refuses_nobody() -> None:
    """A time scale of 0."""
    bucket = Bucket()

    assert [0] * 100 == [bucket.take(1, 0, 5) for _ in range(100)]


def test_another_rate_leaves_the_tokens_that_are_there() -> None:
    """Three of five stay three of a hundred; of ten a minute, only what has room."""
    bucket = Bucket()
    for _ in range(2):
        bucket.take(5, SECOND, 0)

    assert [0, 0, 0] == [bucket.take(100, SECOND, 0) for _ in range(3)]
    assert SECOND // 100 == bucket.take(100, SECOND, 0)

    assert 0 == bucket.take(1, 60 * SECOND, 10 * SECOND)
    assert 60 * SECOND == bucket.take(1, 60 * SECOND, 10 * SECOND)


steps_ns = st.one_of(st.integers(0, 50), st.integers(0, 3 * SECOND))


@given(
    st.integers(1, 50),
    st.sampled_from([1, 7, SECOND, 60 * SECOND]),
    st.lists(steps_ns, max_size=60),
)
def test_a_bucket_is_exact(tokens: int, period_ns: int, steps: list[int]) -> None:
    """The textbook bucket in fractions says the same, to the nanosecond."""
    bucket, now_ns, level = Bucket(), 0, Fraction(tokens)
    for step_ns in steps:
        now_ns += step_ns
        level = min(level + Fraction(step_ns * tokens, period_ns), Fraction(tokens))
        wait_ns = 0 if level >= 1 else ceil((1 - level) * period_ns / tokens)
        level -= level >= 1

        assert wait_ns == bucket.take(tokens, period_ns, now_ns)


rates = st.tuples(st.integers(1, 20), st.integers(1, 3 * SECOND))


@given(st.lists(st.tuples(rates, steps_ns), max_size=30), rates)
def test_the_next_token_comes_exactly_when_it_is_said_to(
    before: list[tuple[tuple[int, int], int]], rate: tuple[int, int]
) -> None:
    """Honest, whatever rates came before: then it is there, a nanosecond before it is not."""
    now_ns = 0
    early, timely = Bucket(), Bucket()
    for (tokens, period_ns), step_ns in before:
        now_ns += step_ns
        early.take(tokens, period_ns, now_ns)
        timely.take(tokens, period_ns, now_ns)
    wait_ns = early.take(*rate, now_ns)
    if wait_ns:
        assert wait_ns == timely.take(*rate, now_ns)
        assert 1 == early.take(*rate, now_ns + wait_ns - 1)
        assert 0 == timely.take(*rate, now_ns + wait_ns)


# --- capacity and queue --------------------------------------------------------------------------


def test_others_are_served_in_order_of_arrival() -> None:
    """One worker, three requests."""
    workers: Workers[str] = Workers()
    workers.resize(1)

    assert [["a"], [], []] == [workers.enter(one, None) for one in "abc"]
    assert [["b"], ["c"], []] == [workers.leave(one) for one in "abc"]


def test_who_leaves_the_queue_gives_its_place_up() -> None:
    """The next one behind moves up, and a place in the queue is free."""
    workers: Workers[str] = Workers()
    workers.resize(1)
    for one in "abc":
        workers.enter(one, 2)

    assert workers.enter("d", 2) is None
    assert [] == workers.leave("b")
    assert [] == workers.enter("d", 2)
    assert ["c"] == workers.leave("a")


@pytest.mark.parametrize("queue", [0, 1, 2])
def test_at_most_so_many_queue(queue: int) -> None:
    """`queue=0` is no queue at all, and no matter to those who find a worker."""
    workers: Workers[int] = Workers()
    workers.resize(2)

    entered = [workers.enter(one, queue) is not None for one in range(6)]

    assert [True] * (2 + queue) + [False] * (4 - queue) == entered


def test_more_workers_serve_those_who_queue_at_once() -> None:
    """A later request with another capacity; with less, nobody loses a worker."""
    workers: Workers[int] = Workers()
    workers.resize(1)
    for one in range(5):
        workers.enter(one, None)

    assert [1, 2] == workers.resize(3)
    assert [] == workers.resize(1)
    assert [[], [], [3]] == [workers.leave(one) for one in range(3)]


def test_the_earliest_end_is_that_of_somebody_who_is_served() -> None:
    """Of those who left nothing is expected, nor of those who queue; a new end replaces the old."""
    workers: Workers[str] = Workers()
    workers.resize(2)
    for one in "abc":
        workers.enter(one, None)

    assert workers.earliest_end_ns() is None
    for one, end_ns in zip("abc", (30, 20, 10), strict=True):
        workers.expect(one, end_ns)
    assert 20 == workers.earliest_end_ns()
    workers.expect("b", 50)
    assert 30 == workers.earliest_end_ns()
    workers.leave("a")
    assert 50 == workers.earliest_end_ns()


class WorkersMachine(RuleBasedStateMachine):
    """Workers beside two plain lists."""

    ones = Bundle("ones")

    def __init__(self) -> None:
        super().__init__()
        self.workers: Workers[int] = Workers()
        self.capacity = 0
        self.serving: list[int] = []
        self.queue: list[int] = []
        self.ends: dict[int, int] = {}
        self.count = 0

    def called(self) -> list[int]:
        """Whom the lists let go on."""
        called = []
        while self.queue and len(self.serving) < self.capacity:
            called.append(self.queue.pop(0))
            self.serving.append(called[-1])
        return called

    @rule(capacity=st.integers(1, 4))
    def resize(self, capacity: int) -> None:
        self.capacity = capacity
        assert self.called() == self.workers.resize(capacity)

    @rule(target=ones, queue=st.none() | st.integers(0, 3))
    def enter(self, queue: int | None) -> object:
        self.count += 1
        free = max(self.capacity - len(self.serving), 0)
        is_full = not free and queue is not None and len(self.queue) >= queue
        if not is_full:
            self.queue.append(self.count)
        expected = None if is_full else self.called()
        assert expected == self.workers.enter(self.count, queue)
        return multiple() if is_full else self.count

    @rule(one=ones, end_ns=st.integers(0, 9))
    def expect(self, one: int, end_ns: int) -> None:
        if one in self.serving:
            self.ends[one] = end_ns
        self.workers.expect(one, end_ns)

    @rule(one=consumes(ones))
    def leave(self, one: int) -> None:
        for where in (self.serving, self.queue):
            if one in where:
                where.remove(one)
        self.ends.pop(one, None)
        assert self.called() == self.workers.leave(one)

    @invariant()
    def earliest_end_is_honest(self) -> None:
        assert min(self.ends.values(), default=None) == self.workers.earliest_end_ns()

    @invariant()
    def nobody_is_remembered_who_left(self) -> None:
        workers = self.workers
        assert self.serving == list(workers._serving)
        assert self.queue == list(workers._queue)
        assert len(workers._ends) <= 2 * len(self.serving)


TestWorkers = WorkersMachine.TestCase


# --- barrier -------------------------------------------------------------------------------------


def test_all_go_on_together_when_there_are_enough() -> None:
    """The third releases the three; the fourth waits for others."""
    barrier: Barrier[str] = Barrier()

    assert [[], [], ["a", "b", "c"], []] == [barrier.arrive(one, 3) for one in "abcd"]


def test_who_leaves_is_not_counted() -> None:
    """Only those who wait together are released together."""
    barrier: Barrier[str] = Barrier()
    barrier.arrive("a", 2)
    barrier.leave("a")

    assert [] == barrier.arrive("b", 2)
    assert ["b", "c"] == barrier.arrive("c", 2)


def test_the_newest_size_counts() -> None:
    """A smaller one releases those who waited for more."""
    barrier: Barrier[str] = Barrier()

    assert [[], [], ["a", "b", "c"]] == [
        barrier.arrive(one, size) for one, size in (("a", 9), ("b", 5), ("c", 3))
    ]


# --- all of them ---------------------------------------------------------------------------------


class Visitor:
    """A request on its way: through the workers, perhaps to the barrier, perhaps out at once."""

    def __init__(
        self, machine: "TurnstileMachine", queue: int | None, barrier: int | None, hurries: bool
    ) -> None:
        self.machine = machine
        self.queue = queue
        self.barrier = barrier
        self.hurries = hurries
        self.place = "outside"

    def enter(self, capacity: int) -> None:
        self.place = "queue"
        if not self.machine.turnstile.enter(self, capacity, self.queue):
            self.place = "away"

    def go_on(self) -> None:
        if self.place == "queue":
            self.machine.served(self)
            self.place = "served"
            if self.barrier is not None:
                self.place = "barrier"
                self.machine.turnstile.hold(self, self.barrier)
                return
        elif self.place == "barrier":
            self.place = "served"
        if self.place == "served" and self.hurries:
            self.leave()

    def leave(self) -> None:
        self.place = "gone"
        self.machine.turnstile.leave(self)


class TurnstileMachine(RuleBasedStateMachine):
    """Many at once, some of whom end as soon as they are let on."""

    visitors = Bundle("visitors")

    def __init__(self) -> None:
        super().__init__()
        self.turnstile = Turnstile()
        self.capacity = 0
        self.all: list[Visitor] = []
        self.depth = 0

    def at(self, *places: str) -> list[Visitor]:
        return [visitor for visitor in self.all if visitor.place in places]

    def served(self, visitor: Visitor) -> None:
        """A worker takes the visitor."""
        assert visitor is self.at("queue")[0], "not in order of arrival"
        assert len(self.at("served", "barrier")) < self.capacity, "more than capacity"

    @rule(
        target=visitors,
        capacity=st.integers(1, 4),
        queue=st.none() | st.integers(0, 3),
        barrier=st.none() | st.integers(2, 4),
        hurries=st.booleans(),
    )
    def arrive(
        self, capacity: int, queue: int | None, barrier: int | None, hurries: bool
    ) -> Visitor:
        self.capacity = capacity
        visitor = Visitor(self, queue, barrier, hurries)
        self.all.append(visitor)
        visitor.enter(capacity)
        if visitor.place == "away":
            assert len(self.at("queue")) >= (queue or 0)
            assert len(self.at("served", "barrier")) >= capacity
        elif visitor.barrier is not None:
            assert visitor.place == "queue" or len(self.at("barrier")) < visitor.barrier
        return visitor

    @rule(visitor=consumes(visitors))
    def leave(self, visitor: Visitor) -> None:
        if visitor.place not in ("away", "gone"):
            visitor.leave()

    @rule()
    def close(self) -> None:
        self.turnstile.close()
        for visitor in self.at("queue", "barrier", "served"):
            visitor.leave()
            assert [] == self.at("outside")
        self.all.clear()
        self.capacity = 0

    @invariant()
    def nobody_is_forgotten(self) -> None:
        assert not self.at("queue") or len(self.at("served", "barrier")) >= self.capacity

    @invariant()
    def nothing_is_left_of_those_who_left(self) -> None:
        here = self.at("queue", "served", "barrier")
        turnstile = self.turnstile
        kept = {*turnstile._workers._queue, *turnstile._workers._serving}
        assert kept == set(here)
        assert set(turnstile._barrier._held) == set(self.at("barrier"))
        assert not turnstile._called
        assert not turnstile._is_calling


TestTurnstile = TurnstileMachine.TestCase


def test_a_long_queue_of_short_requests_needs_no_deep_stack() -> None:
    """Each ends as soon as it is served, and so has the next one served."""
    machine = TurnstileMachine()
    machine.capacity = 1
    machine.all = [Visitor(machine, None, None, hurries=False)]
    first = machine.all[0]
    first.enter(1)
    left: list[int] = []

    class Hurried:
        def __init__(self, number: int) -> None:
            self.number = number

        def go_on(self) -> None:
            left.append(self.number)
            machine.turnstile.leave(self)

    for number in range(20_000):
        machine.turnstile.enter(Hurried(number), 1, None)
    first.leave()

    assert list(range(20_000)) == left


def test_after_closing_nobody_goes_on() -> None:
    """Neither who queued nor who stood at the barrier; and leaving is still allowed."""
    turnstile = Turnstile()
    called: list[str] = []

    class Named:
        def __init__(self, name: str) -> None:
            self.name = name

        def go_on(self) -> None:
            called.append(self.name)

    first, second, third = map(Named, "abc")
    turnstile.enter(first, 1, None)
    turnstile.enter(second, 1, None)
    turnstile.hold(third, 2)
    turnstile.close()
    for one in (first, second, third):
        turnstile.leave(one)
    turnstile.hold(Named("d"), 2)

    assert ["a"] == called
