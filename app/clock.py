"""
Time, injectable: one wall clock that never steps back, and a wait that never ends early.

Other modules take a `Clock` and never ask the operating system for the time themselves.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Protocol

# A timer shorter than the loop's resolution (uvloop: 1 ms) rounds to zero and spins.
SHORTEST_TIMER_NS = 1_000_000
SECOND_NS = 1_000_000_000


class Alarm(Protocol):
    """A wait under way."""

    def cancel(self) -> None:
        """End the wait; the callback is not called any more."""


class Clock(Protocol):
    """What the rest of the house knows of time."""

    def now(self) -> int:
        """Nanoseconds since the Unix epoch; anchored once, never going back."""

    def call_at(self, due_ns: int, callback: Callable[[], None]) -> Alarm:
        """Call *callback* once, when `now()` has reached *due_ns* and not before."""


class Timers(Protocol):
    """The part of an event loop that a wait needs."""

    def call_later(self, delay: float, callback: Callable[[], None]) -> Alarm:
        """Call *callback* in about *delay* seconds; loops differ in how much 'about' is."""


class SystemClock:
    """
    The real clock: the wall time of its making, advanced by the monotonic clock.

    So moments can be shown to people and subtracted from each other, whatever happens to the
    machine's wall clock meanwhile.
    """

    def __init__(
        self,
        timers: Timers | None = None,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
        wall_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._timers = timers
        self._monotonic_ns = monotonic_ns
        self._anchor_ns = wall_ns() - monotonic_ns()

    def now(self) -> int:
        return self._monotonic_ns() + self._anchor_ns

    def call_at(self, due_ns: int, callback: Callable[[], None]) -> Alarm:
        return _Wait(self, self._timers or asyncio.get_running_loop(), due_ns, callback)


class _Wait:
    """
    Timers of an event loop, repeated until the clock agrees that it is time.

    uvloop fires up to 1.4 ms early (libuv rounds to whole milliseconds against a cached clock),
    so each timer is only a hint: the clock decides, and the rest is waited for again.
    """

    __slots__ = ("_callback", "_clock", "_due_ns", "_timer", "_timers")

    def __init__(
        self, clock: SystemClock, timers: Timers, due_ns: int, callback: Callable[[], None]
    ) -> None:
        self._clock = clock
        self._timers = timers
        self._due_ns = due_ns
        self._callback = callback
        self._timer = timers.call_later(max(0, due_ns - clock.now()) / SECOND_NS, self._ring)

    def _ring(self) -> None:
        rest_ns = self._due_ns - self._clock.now()
        if rest_ns <= 0:
            self._callback()
        else:
            again_s = max(rest_ns, SHORTEST_TIMER_NS) / SECOND_NS
            self._timer = self._timers.call_later(again_s, self._ring)

    def cancel(self) -> None:
        self._timer.cancel()
