"""
The way of one request past the limits of its run: rate, workers and their queue, barrier.

Synchronous, like all that decides. How long it was held is noted in its span, apart from the delay.
"""

import enum
from collections.abc import Callable

from app.clock import Alarm, Clock
from app.delays import Fixed
from app.errors import Problem
from app.grammar import duration_text
from app.plan import Knobs
from app.spans import Span
from app.turnstile import Turnstile


class Hold(enum.Enum):
    """What a request waits for before its delay."""

    WORKER = enum.auto()
    BARRIER = enum.auto()


class Passage:
    """
    One request before the limits that its *knobs* name.

    *on_passed* is called when nothing holds it back any more, or *on_refused* with the problem,
    one of them once; unless it left before. Whoever makes one calls `leave` at the end of the
    request, so that another may have its place.
    """

    __slots__ = (
        "_alarm", "_clock", "_hold", "_knobs", "_on_passed", "_on_refused", "_since_ns", "_span",
        "_turnstile",
    )  # fmt: skip

    def __init__(
        self,
        turnstile: Turnstile,
        knobs: Knobs,
        span: Span,
        clock: Clock,
        *,
        on_passed: Callable[[], None],
        on_refused: Callable[[Problem], None],
    ) -> None:
        self._turnstile = turnstile
        self._knobs = knobs
        self._span = span
        self._clock = clock
        self._on_passed = on_passed
        self._on_refused = on_refused
        self._hold: Hold | None = None
        self._since_ns = 0  # the moment from which on it really holds
        self._alarm: Alarm | None = None

    def begin(self) -> None:
        """Come before the first limit."""
        wait_ns = self._token()
        if wait_ns:
            self._refuse(too_fast(self._knobs, wait_ns))
        else:
            self._queue()

    def expect(self, wait_ns: int) -> None:
        """Say how long the request is going to take from now on, for those who are refused."""
        if self._knobs.capacity is not None:
            self._turnstile.expect(self, self._clock.now() + wait_ns)

    def go_on(self) -> None:
        """Pass what held us: a worker is free, or the barrier is full."""
        held = self.release()
        if held is Hold.WORKER:
            self._approach()
        elif held is Hold.BARRIER:
            self._on_passed()

    def release(self) -> Hold | None:
        """Hold on no longer, and note how long it was; what held us, if anything did."""
        held, self._hold = self._hold, None
        held_ns = self._clock.now() - self._since_ns if self._since_ns else 0
        self._since_ns = 0
        if held is Hold.WORKER:
            self._span.queue_wait_ns = held_ns
        elif held is Hold.BARRIER:
            self._span.barrier_wait_ns = held_ns
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        return held

    def leave(self) -> None:
        """Give the place up, wherever it is."""
        self.release()
        self._turnstile.leave(self)

    # --- one limit after another -----------------------------------------------------------------

    def _token(self) -> int:
        """0 when `rate` lets the request through, else nanoseconds until it would."""
        rate = self._knobs.rate
        if rate is None:
            return 0
        return self._turnstile.take(rate.count, self._scaled(rate.period_ns), self._clock.now())

    def _queue(self) -> None:
        capacity, queue = self._knobs.capacity, self._knobs.queue
        if capacity is None:
            self._approach()
            return
        self._hold = Hold.WORKER
        if not self._turnstile.enter(self, capacity, queue):
            self._refuse(too_many(self._knobs, self._rest_ns()))
        elif self._hold is Hold.WORKER:
            self._since_ns = self._clock.now()

    def _rest_ns(self) -> int | None:
        """How long the first worker still needs, by plan."""
        end_ns = self._turnstile.earliest_end_ns()
        return None if end_ns is None else max(end_ns - self._clock.now(), 0)

    def _approach(self) -> None:
        size = self._knobs.barrier
        if size is None:
            self._on_passed()
            return
        patience_ns = self._patience_ns()
        self.expect(patience_ns)
        self._hold = Hold.BARRIER
        self._turnstile.hold(self, size)
        if self._hold is Hold.BARRIER:
            self._since_ns = self._clock.now()
            self._alarm = self._clock.call_at(self._since_ns + patience_ns, self._lose_patience)

    def _patience_ns(self) -> int:
        delay = self._knobs.delay
        assert isinstance(delay, Fixed)  # else the combination was refused
        return self._scaled(delay.ns)

    def _lose_patience(self) -> None:
        self._refuse(too_few(self._knobs))

    def _refuse(self, problem: Problem) -> None:
        self.leave()
        self._on_refused(problem)

    def _scaled(self, ns: int) -> int:
        return round(ns * self._span.time_scale)


# --- refusals ------------------------------------------------------------------------------------


def too_fast(knobs: Knobs, wait_ns: int) -> Problem:
    """No token is left, and the next comes after *wait_ns*."""
    return Problem(
        "rate-exceeded",
        f"rate={knobs.rate} lets no more through now; come back after Retry-After, or send less",
        "rate",
        wait_ns,
    )


def too_many(knobs: Knobs, wait_ns: int | None) -> Problem:
    """All workers are busy, and as many queue as may; the first will be free after *wait_ns*."""
    return Problem(
        "queue-full",
        f"capacity={knobs.capacity} is in use and queue={knobs.queue} is full; "
        "come back later, or send fewer at once",
        "queue",
        wait_ns,
    )


def too_few(knobs: Knobs) -> Problem:
    """Not enough came to the barrier."""
    assert isinstance(knobs.delay, Fixed)
    return Problem(
        "barrier-timeout",
        f"barrier={knobs.barrier} was not reached within {duration_text(knobs.delay.ns)}; "
        "send that many at once, or give them more time with delay",
        "barrier",
    )
