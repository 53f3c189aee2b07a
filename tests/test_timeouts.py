"""What is behind hang-ups: their ages, their instants, and what others were answered meanwhile."""

import pytest

from app.evidence import Evidence, HangUp, HangUps
from app.timeouts import Cause, Timeout, infer

SECOND = 1_000_000_000


def hang_ups(*moments: tuple[float, float], raced: bool = False) -> HangUps:
    """Hang-ups from arrival to end, in seconds; others arrived later."""
    shown = tuple(
        HangUp(number, round(arrival * SECOND), round(end * SECOND), raced)
        for number, (arrival, end) in enumerate(moments, 1)
    )
    return HangUps(shown=shown, after_first=len(shown))


def cause(
    found: HangUps, *, durations: tuple[float, ...] = (), completed: int = 0
) -> Timeout | None:
    lasted = tuple(sorted(round(one * SECOND) for one in durations))
    known = Evidence(hang_ups=found, durations_ns=lasted)
    return infer(known, completed=completed, active_ns=60 * SECOND)


@pytest.mark.parametrize("count", [0, 1, 2])
def test_fewer_than_three_hang_ups_say_nothing(count: int) -> None:
    """Two may agree by chance."""
    assert cause(hang_ups(*[(n, n + 5) for n in range(count)])) is None


@pytest.mark.parametrize(
    ("ages", "usual"),
    [
        ((5.0, 5.01, 5.02, 5.003), 5),
        ((0.5, 0.502, 0.51), 0.5),
        ((29.9, 30.0, 30.05), 30),
        ((0.05, 0.051, 0.052), None),
        ((7.0, 7.02, 7.05), None),
        ((6.02, 6.3, 6.6, 6.9, 6.98), 6),
        ((300.0, 300.4, 300.9), 300),
    ],
)
def test_one_age_is_a_timeout_and_round_ones_are_named(
    ages: tuple[float, ...], usual: float | None
) -> None:
    """The lower edge is the estimate: hang-ups are noticed late, never early."""
    found = cause(hang_ups(*[(3.0 * n, 3.0 * n + age) for n, age in enumerate(ages)]))

    assert found is not None
    assert (Cause.TIMEOUT, usual) == (found.cause, found.usual_s)
    assert round(min(ages) * SECOND) == found.low_ns


def test_stragglers_do_not_hide_the_age_of_the_rest() -> None:
    """Four in five are enough."""
    ages = [2.0, 2.01, 2.0, 2.02, 0.7]

    found = cause(hang_ups(*[(n, n + age) for n, age in enumerate(ages)]))

    assert found is not None
    assert (Cause.TIMEOUT, 2) == (found.cause, found.usual_s)


@pytest.mark.parametrize("ages", [(1, 2, 3, 4), (0.5, 0.7, 0.9), (0.01, 0.02, 0.03)])
def test_ages_that_differ_are_no_timeout(ages: tuple[float, ...]) -> None:
    """People, and chance."""
    found = cause(hang_ups(*[(3 * n, 3 * n + age) for n, age in enumerate(ages)]))

    assert Timeout(Cause.UNKNOWN) == found


def test_all_gone_at_one_instant_were_stopped() -> None:
    """Though they had begun at different times."""
    found = cause(hang_ups(*[(n, 9.0 + n / 1000) for n in range(5)]))

    assert Timeout(Cause.STOPPED) == found


def test_losers_of_a_race_are_told_from_a_timeout() -> None:
    """Unless replies are so many that one has always just come."""
    ages = hang_ups(*[(3 * n, 3 * n + 1) for n in range(5)], raced=True)

    few, many = cause(ages, completed=60), cause(ages, completed=60_000)

    assert few is not None
    assert many is not None
    assert (Cause.RACE, Cause.TIMEOUT) == (few.cause, many.cause)
    assert (False, True) == (few.is_timeout, many.is_timeout)


def test_age_that_many_outlived_is_no_timeout() -> None:
    """A timeout spares nobody."""
    ages = hang_ups(*[(3 * n, 3 * n + 1) for n in range(5)])

    spared = cause(ages, durations=(0.5,) * 95 + (2.0,) * 5)
    rarely = cause(ages, durations=(0.5,) * 99 + (2.0,))

    assert spared is not None
    assert rarely is not None
    assert (Cause.UNKNOWN, Cause.TIMEOUT) == (spared.cause, rarely.cause)


def test_what_began_together_and_ended_the_run_may_have_been_stopped() -> None:
    """That can't be told from a timeout."""
    shown = hang_ups(*[(n / 1000, 5.0) for n in range(9)]).shown

    found = cause(HangUps(shown=shown, after_first=0))

    assert found is not None
    assert (Cause.TIMEOUT_OR_STOPPED, True) == (found.cause, found.is_timeout)
