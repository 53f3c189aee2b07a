"""
Time, injectable: one wall clock that never steps back, and a wait that never ends early.

Other modules take a `Clock` and never ask the operating system for the time themselves.
"""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from heapq import heapify, heappop, heappush
from itertools import count
from typing import Any, Protocol

# A timer shorter than the loop's resolution (uvloop: 1 ms) rounds to zero and spins.
SHORTEST_TIMER_NS = 1_000_000
SECOND_NS = 1_000_000_000
FEWEST_SWEPT = 1_024  # cancelled alarms that are worth a sweep


def utc(ns: int) -> datetime:
    """A moment in nanoseconds since the Unix epoch, cut to the microsecond."""
    seconds, rest = divmod(ns, SECOND_NS)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest // 1_000)


def iso_text(ns: int) -> str:
    """The same moment to the millisecond, as programs write it (RFC 3339)."""
    return utc(ns).isoformat(timespec="milliseconds").replace("+00:00", "Z")


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


async def until(clock: Clock, due_ns: int) -> None:
    """Return when that moment has come, and not before."""
    if due_ns <= clock.now():
        return
    rung = asyncio.Event()
    alarm = clock.call_at(due_ns, rung.set)
    try:
        await rung.wait()
    finally:
        alarm.cancel()


class Timers(Protocol):
    """The part of an event loop that a wait needs."""

    def call_later(self, delay: float, callback: Callable[[], None]) -> Alarm:
        """Call *callback* in about *delay* seconds; loops differ in how much 'about' is."""


class SystemClock:
    """
    The real clock: the wall time of its making, advanced by the monotonic clock.

    So moments can be shown to people and subtracted from each other, whatever happens to the
    machine's wall clock meanwhile.

    All alarms share one timer of the event loop, set to the earliest. uvloop fires up to 1.4 ms
    early (libuv rounds to whole milliseconds against a cached clock), so the timer is only a hint:
    the clock decides who is due, and the rest is waited for again.
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
        self._alarms: list[_Alarm] = []  # a heap
        self._numbers = count()
        self._cancelled = 0  # of them
        self._timer: Alarm | None = None
        self._timer_due_ns = 0

    def now(self) -> int:
        return self._monotonic_ns() + self._anchor_ns

    def call_at(self, due_ns: int, callback: Callable[[], None]) -> Alarm:
        alarm = _Alarm((due_ns, next(self._numbers), callback, self._let_go))
        heappush(self._alarms, alarm)
        if self._timer is None or due_ns < self._timer_due_ns:
            self._set_timer(due_ns, due_ns - self.now())
        return alarm

    def _set_timer(self, due_ns: int, rest_ns: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
        timers = self._timers or asyncio.get_running_loop()
        self._timer_due_ns = due_ns
        self._timer = timers.call_later(max(0, rest_ns) / SECOND_NS, self._ring)

    def _ring(self) -> None:
        """Call whoever is due; one that fails does not keep the others waiting."""
        self._timer = None
        alarms, now_ns = self._alarms, self.now()
        try:
            while alarms and alarms[0][DUE] <= now_ns:
                self._call(heappop(alarms))
        finally:
            if alarms:
                self._await(alarms[0][DUE])

    def _await(self, due_ns: int) -> None:
        """Set the timer; whoever was called just now may have set it beyond the earliest alarm."""
        if self._timer is None or due_ns < self._timer_due_ns:
            self._set_timer(due_ns, max(due_ns - self.now(), SHORTEST_TIMER_NS))

    def _call(self, alarm: "_Alarm") -> None:
        callback, alarm[CALLBACK] = alarm[CALLBACK], None
        if callback is None:
            self._cancelled -= 1
        else:
            callback()

    def _let_go(self) -> None:
        """Sweep cancelled alarms out once they are half of all: their time may be far away."""
        self._cancelled += 1
        if self._cancelled > max(FEWEST_SWEPT, len(self._alarms) // 2):
            self._alarms[:] = [alarm for alarm in self._alarms if alarm[CALLBACK] is not None]
            heapify(self._alarms)
            self._cancelled = 0


DUE, _, CALLBACK, CANCELLED = range(4)


class _Alarm(list[Any]):
    """[due_ns, number, callback, on_cancel]: a list, because a heap compares lists in C."""

    __slots__ = ()

    def cancel(self) -> None:
        if self[CALLBACK] is not None:
            self[CALLBACK] = None
            self[CANCELLED]()
