"""Tests of `app.pacing`: bytes are due when the contract says, never before."""

from dataclasses import replace
from fractions import Fraction
from math import floor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.pacing import Drip

SECOND = 1_000_000_000

drips = st.builds(
    Drip,
    length=st.one_of(st.integers(1, 40), st.integers(1, 16 << 20)),
    steps=st.one_of(st.integers(1, 40), st.integers(1, 10**18)),
    total_ns=st.one_of(st.integers(1, 40), st.integers(1, 3_000 * SECOND)),
)
parts = st.fractions(0, 1)


def due(drip: Drip, passed_ns: int) -> int:
    """The contract's words, by search: the bytes up to floor(i x L / k) after i x T / k."""
    step = floor(Fraction(passed_ns * drip.steps, drip.total_ns))
    assert Fraction(step * drip.total_ns, drip.steps) <= passed_ns
    assert passed_ns < Fraction((step + 1) * drip.total_ns, drip.steps)
    return floor(Fraction(min(step, drip.steps) * drip.length, drip.steps))


@given(drips, parts)
def test_the_bytes_that_are_due_follow_the_formula(drip: Drip, part: Fraction) -> None:
    """After i x T / k, the bytes up to floor(i x L / k)."""
    passed_ns = floor(part * drip.total_ns)

    assert due(drip, passed_ns) == drip.due_bytes(passed_ns)


@given(drips, parts, parts)
def test_no_byte_is_taken_back(drip: Drip, first: Fraction, second: Fraction) -> None:
    """More time, no fewer bytes."""
    sooner, later = sorted(floor(part * drip.total_ns) for part in (first, second))

    assert 0 <= drip.due_bytes(sooner) <= drip.due_bytes(later) <= drip.length


@given(drips, st.integers(0, 3_000 * SECOND))
def test_the_last_byte_is_due_at_the_end_and_not_before(drip: Drip, late_ns: int) -> None:
    """Never early."""
    assert drip.length > drip.due_bytes(drip.total_ns - 1)
    assert drip.length == drip.due_bytes(drip.total_ns + late_ns)


@given(drips, parts)
def test_the_next_byte_is_due_exactly_when_it_is_said_to_be(drip: Drip, part: Fraction) -> None:
    """At `next_due_ns` it is there, a nanosecond before it is not."""
    sent = min(floor(part * drip.length), drip.length - 1)

    due_ns = drip.next_due_ns(sent)

    assert 0 < due_ns <= drip.total_ns
    assert drip.due_bytes(due_ns - 1) <= sent < drip.due_bytes(due_ns)


@given(st.builds(Drip, st.integers(1, 50), st.integers(1, 50), st.integers(50, 3_000 * SECOND)))
def test_a_drip_has_as_many_writes_as_steps_or_bytes(drip: Drip) -> None:
    """From one due time to the next, nothing is missed and the end comes, at the end."""
    writes, sent = [], 0
    while sent < drip.length:
        writes.append(drip.next_due_ns(sent))
        sent = drip.due_bytes(writes[-1])

    assert min(drip.steps, drip.length) == len(writes)
    assert drip.total_ns == writes[-1]


def test_a_body_of_ten_bytes_in_four_steps() -> None:
    """2, 5, 7 and 10 bytes after a quarter, a half, three quarters and the whole time."""
    drip = Drip(length=10, steps=4, total_ns=8 * SECOND)

    assert [0, 0, 2, 2, 5, 5, 7, 7, 10] == [drip.due_bytes(i * SECOND) for i in range(9)]
    assert [2, 2, 4, 4, 4, 6, 6, 8, 8, 8] == [drip.next_due_ns(i) // SECOND for i in range(10)]


@pytest.mark.parametrize("passed_ns", [0, 1])
def test_without_a_delay_everything_is_due_at_once(passed_ns: int) -> None:
    """`delay=0&drip=5`, or a time scale of 0."""
    assert 10 == Drip(length=10, steps=5, total_ns=0).due_bytes(passed_ns)


# --- breaking off --------------------------------------------------------------------------------


@given(drips, parts)
def test_a_halved_drip_is_like_a_whole_one_until_it_breaks_off(drip: Drip, part: Fraction) -> None:
    """After half the steps, rounded down, nothing more comes, however long one waits."""
    halved = replace(drip, halved=True)
    half = drip.steps // 2
    passed_ns = floor(part * 2 * drip.total_ns)
    most = floor(Fraction(half * drip.length, drip.steps))

    assert min(drip.due_bytes(passed_ns), most) == halved.due_bytes(passed_ns)
    assert (
        Fraction(half * drip.total_ns, drip.steps)
        <= halved.end_ns
        < (Fraction(half * drip.total_ns, drip.steps) + 1)
    )


@given(drips, parts)
def test_the_next_event_of_a_halved_drip_is_a_byte_or_its_end(drip: Drip, part: Fraction) -> None:
    """Whoever asks when to come back is never told a moment after the end."""
    halved = replace(drip, halved=True)
    sent = floor(part * halved.due_bytes(halved.end_ns))

    assert halved.next_due_ns(sent) <= halved.end_ns
    assert sent < halved.due_bytes(halved.next_due_ns(sent)) or (
        halved.next_due_ns(sent) == halved.end_ns
    )


@pytest.mark.parametrize(
    ("steps", "cut", "end"), [(1, 0, 0), (2, 5, 4), (4, 5, 4), (5, 4, 3.2), (3, 3, 8 / 3)]
)
def test_where_ten_bytes_break_off(steps: int, cut: int, end: float) -> None:
    """In one step there is no half; in five, two are half."""
    drip = Drip(length=10, steps=steps, total_ns=8 * SECOND, halved=True)

    assert cut == drip.due_bytes(drip.end_ns) == drip.due_bytes(99 * SECOND)
    assert end * SECOND == pytest.approx(drip.end_ns, abs=1)
