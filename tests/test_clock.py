"""Tests of `app.clock`: a wait never ends early, whatever the timers of the loop do."""

import asyncio
from collections.abc import Callable
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.clock import SHORTEST_TIMER_NS, SystemClock

SECOND = 1_000_000_000
EPOCH = 1_700_000_000 * SECOND


class Timer:
    """A timer of a loop that keeps bad time, but keeps its promise about `cancel`."""

    def __init__(self, due_ns: int, callback: Callable[[], None]) -> None:
        self.due_ns = due_ns
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        self.callback = None


class Machine:
    """A loop, a monotonic clock and a wall clock, all of them hostile."""

    def __init__(self, wall_steps: tuple[int, ...] = (0,)) -> None:
        self.monotonic_ns = 5 * SECOND
        self.asked_s: list[float] = []
        self.timers: list[Timer] = []
        self._walls = count()
        self._wall_steps = wall_steps

    def call_later(self, delay: float, callback: Callable[[], None]) -> Timer:
        self.asked_s.append(delay)
        self.timers.append(Timer(self.monotonic_ns + round(delay * SECOND), callback))
        return self.timers[-1]

    def wall_ns(self) -> int:
        """Another time of day whenever it is asked."""
        return EPOCH + self._wall_steps[next(self._walls) % len(self._wall_steps)]

    def clock(self) -> SystemClock:
        return SystemClock(self, lambda: self.monotonic_ns, self.wall_ns)

    def fire(self, error_ns: int) -> bool:
        """Let time pass and the newest timer fire, off by *error_ns*; False when none is left."""
        timer = self.timers.pop() if self.timers else None
        if timer is None or timer.callback is None:
            return False
        self.monotonic_ns = max(self.monotonic_ns, timer.due_ns + error_ns)
        timer.callback()
        return True

    def settle(self, error_ns: int = 0) -> None:
        """Fire what there is, and what that starts; a wait that never ends is a failure."""
        for _ in range(100):
            if not self.fire(error_ns):
                return
        pytest.fail("the timers of one wait never end")


# As early as at once, as late as ten seconds, or uvloop's usual millisecond.
errors = st.one_of(
    st.integers(-10 * SECOND, 10 * SECOND), st.integers(-1_400_000, 1_400_000), st.integers(-9, 9)
)


@given(
    st.integers(-SECOND, 300 * SECOND),
    st.lists(errors, max_size=30),
    st.tuples(st.integers(-(10**18), 10**18), st.integers(-(10**18), 10**18)),
)
def test_a_callback_runs_once_and_never_early(
    wait_ns: int, mistakes: list[int], wall_steps: tuple[int, int]
) -> None:
    """However early or late timers fire, and wherever the wall clock jumps."""
    machine = Machine(wall_steps)
    clock = machine.clock()
    due_ns = clock.now() + wait_ns
    ran_at_ns: list[int] = []

    clock.call_at(due_ns, lambda: ran_at_ns.append(clock.now()))
    for mistake in mistakes:
        machine.fire(mistake)
    machine.settle()

    assert 1 == len(ran_at_ns)
    assert due_ns <= ran_at_ns[0]


@given(st.integers(0, 300 * SECOND), st.lists(errors, max_size=30))
def test_a_wait_does_not_spin(wait_ns: int, mistakes: list[int]) -> None:
    """After the first timer none is shorter than a millisecond, or than what is left to wait."""
    machine = Machine()
    clock = machine.clock()
    due_ns = clock.now() + wait_ns
    clock.call_at(due_ns, lambda: None)

    for mistake in mistakes:
        again = len(machine.asked_s)
        machine.fire(mistake)
        rest_ns = due_ns - clock.now()
        for asked_s in machine.asked_s[again:]:
            assert max(SHORTEST_TIMER_NS, rest_ns) == round(asked_s * SECOND)


@given(st.integers(1, 300 * SECOND), st.lists(errors, max_size=10), st.integers(0, 10))
def test_a_cancelled_wait_calls_nobody(wait_ns: int, mistakes: list[int], when: int) -> None:
    """Cancelled before the first timer or between two; cancelling again is harmless."""
    machine = Machine()
    clock = machine.clock()
    due_ns = clock.now() + wait_ns
    ran_at_ns: list[int] = []
    alarm = clock.call_at(due_ns, lambda: ran_at_ns.append(clock.now()))

    for mistake in mistakes[:when]:
        machine.fire(mistake)
    before = list(ran_at_ns)
    alarm.cancel()
    alarm.cancel()
    machine.settle(SECOND)

    assert before == ran_at_ns


@pytest.mark.parametrize("late_ns", [0, 1, SECOND])
def test_what_is_due_already_is_called_by_the_next_round(late_ns: int) -> None:
    """Not from within `call_at`: its caller has no alarm yet."""
    machine = Machine()
    clock = machine.clock()
    ran: list[bool] = []

    clock.call_at(clock.now() - late_ns, lambda: ran.append(True))
    assert [] == ran
    machine.fire(0)

    assert [True] == ran
    assert [0.0] == machine.asked_s


@given(st.lists(st.integers(1, 60), min_size=1, max_size=9), st.integers(0, 300))
def test_an_alarm_set_from_a_callback_keeps_nobody_waiting(
    waits_s: list[int], another_s: int
) -> None:
    """Whatever its time: a drip sets one alarm after another."""
    machine = Machine()
    clock = machine.clock()
    begun_ns = clock.now()
    called_s = []

    def call(again: bool) -> None:
        called_s.append((clock.now() - begun_ns) // SECOND)
        if again:
            clock.call_at(clock.now() + another_s * SECOND, lambda: call(again=False))

    for wait_s in waits_s:
        clock.call_at(begun_ns + wait_s * SECOND, lambda: call(again=True))
    machine.settle()

    assert sorted([*waits_s, *(wait_s + another_s for wait_s in waits_s)]) == called_s


def test_the_wall_clock_is_asked_once() -> None:
    """Later it may step as it likes: moments stay in order, and differences stay lengths."""
    machine = Machine(wall_steps=(0, -SECOND, 10 * SECOND))
    clock = machine.clock()
    first = clock.now()
    machine.monotonic_ns += 7

    assert EPOCH == first
    assert EPOCH + 7 == clock.now()


async def test_a_clock_finds_the_loop_that_runs() -> None:
    """Made before the loop, as `serve` makes it, with the machine's own clocks."""
    clock = SystemClock()
    rang = asyncio.Event()
    due_ns = clock.now()

    clock.call_at(due_ns, rang.set)
    await rang.wait()

    assert due_ns <= clock.now()
