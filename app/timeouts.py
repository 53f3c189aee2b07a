"""The timeout behind hang-ups, where they have one in common. Pure; lengths in nanoseconds."""

import enum
import math
from collections.abc import Sequence
from dataclasses import dataclass

from app.evidence import MILLISECOND, RACE_NS, Evidence, HangUp

FEWEST = 3  # hang-ups, to say anything
SHARE = 0.8  # of the hang-ups share what they are said to share
SECOND = 1_000 * MILLISECOND
# aiohttp rounds deadlines of more than 5 s up to a whole second of its loop's clock.
ROUNDED_FROM_NS, ROUNDED_NS = 5 * SECOND, 1_050 * MILLISECOND
INSTANT_NS = 20 * MILLISECOND
OUTLIVED = 0.02  # of the completed requests may have taken longer, and no more
# Timeouts that people and libraries choose; named when the hang-ups come that close.
USUAL_S = (0.5, 1, 2, 3, 5, 6, 8, 10, 15, 20, 30, 60, 100, 120, 180, 300, 900)


class Cause(enum.StrEnum):
    """Why the clients left."""

    TIMEOUT = "timeout"
    TIMEOUT_OR_STOPPED = "timeout or stopped"  # they began together, and nothing came after
    STOPPED = "stopped"  # all at one instant
    RACE = "race"  # another reply had just been completed, and the losers are cancelled
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Timeout:
    """
    What the hang-ups have in common.

    *low_ns* to *high_ns* is the narrowest window of ages that holds four in five of them; of a
    timeout, the lower edge is the best estimate, for hang-ups are noticed late and never early.
    """

    cause: Cause
    low_ns: int = 0
    high_ns: int = 0

    @property
    def is_timeout(self) -> bool:
        return self.cause in (Cause.TIMEOUT, Cause.TIMEOUT_OR_STOPPED)

    @property
    def usual_s(self) -> float | None:
        """The round number of seconds that was meant; None when there is none so near."""
        near = max(min(0.1, self.low_ns / SECOND / 10), 0.02 * self.low_ns / SECOND)
        first, last = self.low_ns / SECOND - near, self.low_ns / SECOND + near
        return next((usual for usual in USUAL_S if first <= usual <= last), None)


def infer(evidence: Evidence, *, completed: int, active_ns: int) -> Timeout | None:
    """
    What is behind the hang-ups of a run; None when there are fewer than three.

    Ages tell a timeout, instants a client that stopped. In order: all at one instant though they
    had begun at different times; just after another reply was completed, more often than by
    chance; of the same age. Ages count as the same within 75 ms (a seventh of the age where that
    is less) or 2 %, or a second where aiohttp rounds, and only if hardly any request was allowed
    to take longer.
    """
    hang_ups = evidence.hang_ups.shown
    if len(hang_ups) < FEWEST:
        return None
    arrivals, ends = (sorted(values) for values in zip(*map(_moments, hang_ups), strict=True))
    if _width(ends) <= INSTANT_NS and _width(arrivals) > 5 * INSTANT_NS:
        return Timeout(Cause.STOPPED)
    if _is_race(hang_ups, completed / active_ns if active_ns else 0.0):
        return Timeout(Cause.RACE)
    low, high = _ages(sorted(one.age_ns for one in hang_ups))
    if not _is_narrow(low, high) or _outlived(evidence.durations_ns, high) > OUTLIVED:
        return Timeout(Cause.UNKNOWN)
    together = _spread(arrivals) <= max(200 * MILLISECOND, 3 * (high - low))
    is_end = evidence.hang_ups.after_first < 2 and (together or _width(ends) <= INSTANT_NS)
    return Timeout(Cause.TIMEOUT_OR_STOPPED if is_end else Cause.TIMEOUT, low, high)


def _moments(hang_up: HangUp) -> tuple[int, int]:
    return hang_up.arrival_ns, hang_up.end_ns


def _window(ascending: Sequence[int]) -> tuple[int, int]:
    """The narrowest window that holds four in five."""
    many = max(math.ceil(SHARE * len(ascending)), 1)
    windows = zip(ascending, ascending[many - 1 :], strict=False)
    return min(windows, key=lambda ends: ends[1] - ends[0])


def _ages(ascending: Sequence[int]) -> tuple[int, int]:
    """That window; where ages may be rounded up, with those below that belong to it."""
    low, high = _window(ascending)
    if low >= ROUNDED_FROM_NS and high - low > low // 50:
        low = min(age for age in ascending if age >= high - ROUNDED_NS)
    return low, high


def _width(ascending: Sequence[int]) -> int:
    low, high = _window(ascending)
    return high - low


def _spread(ascending: Sequence[int]) -> int:
    """From the tenth in a hundred to the ninetieth."""
    last = len(ascending) - 1
    return ascending[round(0.9 * last)] - ascending[round(0.1 * last)]


def _is_race(hang_ups: Sequence[HangUp], completed_per_ns: float) -> bool:
    by_chance = 1 - math.exp(-completed_per_ns * RACE_NS)
    return by_chance < 0.5 and sum(one.raced for one in hang_ups) >= 0.7 * len(hang_ups)


def _is_narrow(low_ns: int, high_ns: int) -> bool:
    least = min(75 * MILLISECOND, 5 * MILLISECOND + low_ns // 7)
    rounded = ROUNDED_NS if low_ns >= ROUNDED_FROM_NS else 0
    return high_ns - low_ns <= max(least, low_ns // 50, rounded)


def _outlived(durations_ns: Sequence[int], high_ns: int) -> float:
    """The share of completed requests that were waited for longer."""
    longer = sum(duration > high_ns for duration in durations_ns)
    return longer / len(durations_ns) if durations_ns else 0.0
