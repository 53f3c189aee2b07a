"""The time of one attempt: a whole, and a limit for each phase, on one timer of the event loop."""

import asyncio

from app.grammar import number_text


class Deadline:
    """
    When the attempt ends if nothing happens, and what that would mean.

    The attempt runs within `timeout`, which is `asyncio.timeout` and acts as it does.
    """

    def __init__(self, timeout_s: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._timeout_s = timeout_s
        self._end = self._loop.time() + timeout_s
        self._phase = "nothing happened"
        self._limit_s: float | None = None  # of that phase; None: only the whole bounds it
        self.timeout = asyncio.timeout_at(self._end)

    def allow(self, seconds: float, phase: str) -> None:
        """Let the attempt end after *seconds*, for the reason *phase*, unless it ends before."""
        when = self._loop.time() + seconds
        self._phase = phase
        self._limit_s = seconds if when < self._end else None
        when = min(when, self._end)
        if when != self.timeout.when():
            self.timeout.reschedule(when)

    def sentence(self) -> str:
        """What did not happen in time."""
        if self._limit_s is not None:
            return f"{self._phase} for {number_text(self._limit_s)} s; try again later"
        return (
            f"{self._phase} before the {number_text(self._timeout_s)} s of the attempt were over; "
            "allow it more, or try again later"
        )
