"""Tests of `app.titles.retry`: when to try again."""

from email.utils import formatdate
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.titles.results import Code, Failure, Result
from app.titles.retry import LONGEST_ASKED_S, LONGEST_S, asked_for, wait_before_next

NOW_S = 1_700_000_000
NOW_NS = NOW_S * 10**9


def failed(*, temporary: bool = True, retry_after: float | None = None) -> Result:
    failure = Failure(Code.CONNECTION_ERROR, "it broke", temporary)
    return Result("http://h/", error=failure, retry_after=retry_after)


class Most(Random):
    """Draws the largest number there is."""

    def random(self) -> float:
        return 1.0


@pytest.mark.parametrize(
    ("attempt", "longest_s"), [(1, 0.5), (2, 1.0), (3, 2.0), (6, 16.0), (7, LONGEST_S), (99, 30.0)]
)
def test_the_longest_wait_doubles_up_to_a_bound(attempt: int, longest_s: float) -> None:
    """Half a second first, half a minute at last."""
    assert longest_s == wait_before_next(failed(), attempt, Most())


@given(st.integers(1, 2_000), st.randoms(use_true_random=False))
def test_a_wait_lies_between_nothing_and_the_longest(attempt: int, random: Random) -> None:
    """Full jitter: those who failed together do not come back together."""
    wait_s = wait_before_next(failed(), attempt, random)

    assert wait_s is not None
    assert 0 <= wait_s <= min(LONGEST_S, 0.5 * 2.0 ** min(attempt - 1, 10))


@given(st.floats(0, LONGEST_ASKED_S), st.randoms(use_true_random=False))
def test_nobody_comes_back_before_the_server_wants(asked_s: float, random: Random) -> None:
    """`Retry-After` is a least wait, and the jitter comes on top."""
    wait_s = wait_before_next(failed(retry_after=asked_s), 1, random)

    assert wait_s is not None
    assert asked_s <= wait_s <= asked_s + 0.5


def test_a_server_that_wants_to_be_left_alone_is() -> None:
    """To come back earlier would be rude, and to wait an hour pointless."""
    assert wait_before_next(failed(retry_after=LONGEST_ASKED_S + 1), 1, Random(1)) is None


def test_what_stays_as_it_is_is_not_tried_again() -> None:
    """A lasting failure lasts, and a success needs nothing."""
    assert wait_before_next(failed(temporary=False), 1, Random(1)) is None
    assert wait_before_next(Result("http://h/"), 1, Random(1)) is None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (None, None),
        ("", None),
        ("0", 0.0),
        (" 120 ", 120.0),
        ("-1", None),
        ("1.5", None),
        ("\u0661", None),
        ("9" * 10, None),
        ("soon", None),
        (formatdate(NOW_S + 90, usegmt=True), 90.0),
        (formatdate(NOW_S - 90, usegmt=True), 0.0),
        ("Tue, 14 Nov 2023 22:13:30", 10.0),
        ("Tue, 14 Nov 99999 22:13:30 GMT", None),
        ("Tue, 99 Nov 2023 22:13:30 GMT", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(text: str | None, seconds: float | None) -> None:
    """RFC 9110; a date that is over means now, and what says nothing is not asked for."""
    assert seconds == asked_for(text, NOW_NS)


@given(st.text())
def test_no_retry_after_is_too_odd(text: str) -> None:
    """A header comes from a stranger."""
    seconds = asked_for(text, NOW_NS)

    assert seconds is None or seconds >= 0
