"""Lanes: one at a time in each, and never more of them than overlap."""

from hypothesis import given
from hypothesis import strategies as st

from app.lanes import Lanes


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(1, 20)), max_size=40))
def test_no_lane_holds_two_at_once_and_there_are_as_few_as_can_be(
    drawn: list[tuple[int, int]],
) -> None:
    """As many lanes as the most that overlap."""
    intervals = [(begin, begin + length) for begin, length in sorted(drawn)]
    lanes = Lanes()

    placed = [lanes.place(*interval) for interval in intervals]

    ends: dict[int, int] = {}
    for lane, (begin, end) in zip(placed, intervals, strict=True):
        assert begin >= ends.get(lane, 0)
        ends[lane] = end
    peak = max(
        (sum(begin <= at < end for begin, end in intervals) for at, _ in intervals), default=0
    )
    assert peak == lanes.count


def test_the_first_free_lane_is_taken() -> None:
    """So that the picture is full at its top."""
    lanes = Lanes()

    assert [0, 1, 2, 0, 1] == [
        lanes.place(*one) for one in ((0, 5), (1, 6), (2, 9), (6, 9), (7, 9))
    ]
