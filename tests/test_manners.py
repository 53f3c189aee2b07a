from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app import manners
from app.errors import BadValue
from app.faults import Fault, StreamFault
from app.grammar import Rate
from app.manners import PLAIN, Line, Manner, Schedule, rate
from app.plan import RandomDraws
from tests.fakes import BEGIN, MILLISECOND, SECOND

MINUTE = 60 * SECOND
LONGEST = 300 * SECOND


def read(**texts: str) -> Manner:
    return manners.read(texts, max_delay_ns=LONGEST)


def schedule(time_scale: float = 1.0, **texts: str) -> Schedule:
    draws = RandomDraws(Random(1))
    return Schedule(read(**texts), draws, max_delay_ns=LONGEST, time_scale=time_scale)


def line(time_scale: float = 1.0, **texts: str) -> Line:
    return Line(schedule(time_scale, **texts))


# --- what is asked for ---------------------------------------------------------------------------


@pytest.mark.parametrize("texts", [{}, {"delay": "0"}, {"delay": "0ms"}])
def test_nothing_asked_for_is_plain(texts: dict[str, str]) -> None:
    """An echo that has nothing to do but to echo is a cheaper one."""
    assert read(**texts) == PLAIN
    assert read(**texts).is_plain


@pytest.mark.parametrize(
    ("texts", "field"),
    [({"delay": "1-2"}, "delay"), ({"rate": "1/s"}, "rate"), ({"fault": "empty"}, "fault")],
)
def test_anything_asked_for_is_not_plain(texts: dict[str, str], field: str) -> None:
    """Each knob sets its own field."""
    manner = read(**texts)

    assert not manner.is_plain
    assert [field] == [name for name in Manner._fields if getattr(manner, name) is not None]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1/s", Rate(1, SECOND)),
        ("500/s", Rate(500, SECOND)),
        ("10k/s", Rate(10_240, SECOND)),
        ("1m/s", Rate(1 << 20, SECOND)),
        ("1m/m", Rate(1 << 20, MINUTE)),
    ],
)
def test_rate_is_a_size_in_a_second_or_minute(text: str, expected: Rate) -> None:
    """The `m` before the stroke is mega, the one behind it a minute."""
    assert expected == rate(text)


@pytest.mark.parametrize(
    "text", ["", "/s", "10", "10k", "0/s", "0k/m", "10/h", "10k/s ", "-1/s", "1.5k/s", "10//s"]
)
def test_rate_of_any_other_form_is_refused(text: str) -> None:
    """And says what to write."""
    with pytest.raises(BadValue, match=r"(10k/s or 1m/m|not a size)"):
        rate(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("reset", StreamFault(Fault.RESET, 0)),
        ("empty@0", StreamFault(Fault.EMPTY, 0)),
        ("garbage@100", StreamFault(Fault.GARBAGE, 100)),
        ("hang@10k", StreamFault(Fault.HANG, 10_240)),
    ],
)
def test_fault_may_say_after_how_many_bytes(text: str, expected: StreamFault) -> None:
    """Without bytes it strikes before the first."""
    assert expected == read(fault=text).fault


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("delay", "nan"),
        ("delay", "301"),
        ("rate", "fast"),
        ("fault", "explode"),
        ("fault", "reset@"),
        ("fault", "reset@-1"),
        ("fault", "reset@1@2"),
        ("fault", ""),
    ],
)
def test_refusal_names_the_knob(name: str, text: str) -> None:
    """Whoever reads it knows where to look."""
    with pytest.raises(BadValue) as refusal:
        read(**{"delay": "1", name: text})

    assert name == refusal.value.parameter


# --- when pieces go back -------------------------------------------------------------------------


def test_pieces_wait_side_by_side() -> None:
    """Two that come together are due together: a delay is no rate."""
    both = schedule(delay="2s")

    assert (BEGIN + 2 * SECOND,) * 2 == both.place(10, BEGIN)
    assert (BEGIN + 2 * SECOND,) * 2 == both.place(10, BEGIN)


def test_piece_that_is_due_earlier_waits_for_the_one_before_it() -> None:
    """Order is kept whatever is drawn."""
    one = schedule(delay="seq(5s,1s,7s)")

    assert [5, 5, 7, 5 + 2] == [
        (one.place(1, BEGIN + after * SECOND)[0] - BEGIN) // SECOND for after in (0, 1, 0, 2)
    ]


def test_rate_spreads_the_bytes_of_a_piece() -> None:
    """The first is due after its own time, and the last after that of all."""
    one = line(rate="4/s")
    one.add(b"abcdefgh", BEGIN)

    taken = [one.take(BEGIN + quarter * SECOND // 4) for quarter in range(9)]

    assert [b"", b"a", b"b", b"c", b"d", b"e", b"f", b"g", b"h"] == taken


def test_rate_counts_from_the_end_of_the_delay() -> None:
    """First late, then slow."""
    one = line(rate="4/s", delay="1s")
    one.add(b"ab", BEGIN)

    assert BEGIN + SECOND + SECOND // 4 == one.next_ns
    assert b"" == one.take(BEGIN + SECOND)
    assert b"a" == one.take(BEGIN + SECOND + SECOND // 4)
    assert BEGIN + SECOND + SECOND // 2 == one.next_ns


def test_time_scale_shortens_delays_and_quickens_rates() -> None:
    """A tenth of the time for both."""
    assert (BEGIN + 200 * MILLISECOND,) * 2 == schedule(0.1, delay="2s").place(9, BEGIN)
    assert (BEGIN, BEGIN + 100 * MILLISECOND) == schedule(0.1, rate="10/s").place(10, BEGIN)


def test_time_scale_of_zero_leaves_no_wait() -> None:
    """And divides by nothing."""
    assert (BEGIN, BEGIN) == schedule(0, delay="2s", rate="10/s").place(10, BEGIN)


# --- the line ------------------------------------------------------------------------------------

MANNERS = st.fixed_dictionaries(
    {},
    optional={
        "delay": st.sampled_from(["250ms", "seq(1s,10ms,0)", "0-100ms", "exponential(50ms)"]),
        "rate": st.sampled_from(["1/s", "7/s", "999/s", "10k/s", "1m/m", "16m/s"]),
    },
)
PIECES = st.lists(
    st.tuples(st.integers(0, 2 * SECOND), st.binary(min_size=1, max_size=40)), max_size=12
)


@given(MANNERS, PIECES, st.integers(1, 50))
def test_bytes_come_back_unchanged_and_none_before_it_is_due(
    texts: dict[str, str], pieces: list[tuple[int, bytes]], most: int
) -> None:
    """Whoever comes when `next_ns` says gets something each time, and in the end everything."""
    one, now_ns = Line(Schedule(read(**texts), RandomDraws(Random(1)), max_delay_ns=LONGEST)), BEGIN
    for gap_ns, data in pieces:
        now_ns += gap_ns
        one.add(data, now_ns)
    taken = bytearray()

    while (due_ns := one.next_ns) is not None:
        now_ns = max(now_ns, due_ns)
        if due_ns == now_ns:
            assert b"" == one.take(due_ns - 1)
        part = one.take(now_ns, most)
        assert 0 < len(part) <= most
        taken += part

    assert b"".join(data for _, data in pieces) == taken
    assert 0 == one.held


@given(st.integers(1, 10_000), st.lists(st.integers(1, 5_000), min_size=1, max_size=8))
def test_rate_is_never_exceeded(size: int, lengths: list[int]) -> None:
    """From the first byte on, no more than the rate allows; and no less, when it is full."""
    one = line(rate=f"{size}/s")
    for length in lengths:
        one.add(bytes(length), BEGIN)
    total, sent = sum(lengths), 0

    moments = [BEGIN + step * total * SECOND // size // 7 for step in range(9)]
    for now_ns in moments:
        sent += len(one.take(now_ns))
        allowed = (now_ns - BEGIN) * size // SECOND
        assert min(total, allowed) - len(lengths) <= sent <= min(total, allowed)

    assert total == sent or one.next_ns is not None


def test_cleared_line_is_empty() -> None:
    """Nobody wants it any more."""
    one = line(delay="1s")
    one.add(b"abc", BEGIN)

    one.clear()

    assert (0, None, b"") == (one.held, one.next_ns, one.take(BEGIN + MINUTE))


def test_held_counts_what_stands_in_line() -> None:
    """Up to the byte."""
    one = line(rate="1/s")
    one.add(b"abc", BEGIN)
    one.add(b"de", BEGIN)
    one.take(BEGIN + 4 * SECOND)

    assert 1 == one.held


def test_pieces_are_placed_in_order() -> None:
    """Ends never go back in time."""
    one = schedule(delay="0-2s", rate="100/s")
    places = [one.place(size, BEGIN + size) for size in range(1, 50)]

    assert all(end <= begin for (_, end), (begin, _) in pairwise(places))
