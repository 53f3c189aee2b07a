"""
The circuit breaker of a host: when to leave it alone, and when to give it up. Pure.

A host that fails again and again is left alone for a while, then tried with a single page. When
that fails time after time, it is given up for a while: its pages fail at once, and say so.
"""

import enum

from app.titles.options import SECOND
from app.titles.results import Code, Failure

FAILURES = 10  # in a row, until a host is left alone for the first time
PAUSES_NS = (5 * SECOND, 15 * SECOND, 30 * SECOND)  # before the first try, the second, the third
GIVEN_UP_NS = 60 * SECOND  # until it is tried again


class Phase(enum.Enum):
    """What may be asked of a host."""

    CLOSED = enum.auto()  # all is well: as much as the bounds allow
    PAUSED = enum.auto()  # nothing, until a moment
    TRYING = enum.auto()  # one page
    GIVEN_UP = enum.auto()  # nothing, and what was to be asked fails


class Breaker:
    """The breaker of one host. Moments are nanoseconds of the clock."""

    __slots__ = ("_given_up", "_pauses", "failures", "until_ns", "why")

    def __init__(self) -> None:
        self.failures = 0  # in a row
        self.why = Failure(Code.CONNECTION_ERROR, "")  # the last of them
        self.until_ns = 0  # the end of the pause, or of being given up
        self._pauses = 0  # in a row
        self._given_up = False

    def phase(self, now_ns: int) -> Phase:
        """What may be asked now."""
        if not self._pauses:
            return Phase.CLOSED
        if now_ns >= self.until_ns:
            return Phase.TRYING
        return Phase.GIVEN_UP if self._given_up else Phase.PAUSED

    def answered(self) -> None:
        """The host works: all is well."""
        self.failures = self._pauses = self.until_ns = 0
        self._given_up = False

    def failed(self, why: Failure, now_ns: int) -> None:
        """The host failed. Those who were under way when it was left alone change nothing."""
        self.failures += 1
        self.why = why
        phase = self.phase(now_ns)
        if phase is Phase.TRYING or (phase is Phase.CLOSED and self.failures >= FAILURES):
            self._leave_alone(now_ns)

    def _leave_alone(self, now_ns: int) -> None:
        self._given_up = self._pauses >= len(PAUSES_NS)
        pause_ns = GIVEN_UP_NS if self._given_up else PAUSES_NS[self._pauses]
        self._pauses = min(self._pauses + 1, len(PAUSES_NS))
        self.until_ns = now_ns + pause_ns
