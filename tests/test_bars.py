from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app import bars, report
from app.bars import Axis, Count, Stretch, Tick
from app.report import Report
from app.spans import Kind, Outcome, Span, span_id

SECOND = 10**9
AXIS = Axis(0, 10 * SECOND)


def span(begin: float = 0, end: float | None = None, number: int = 1, **values: object) -> Span:
    """A span from *begin* to *end* seconds; it waits from its arrival."""
    ends = {} if end is None else {"end_ns": round(end * SECOND)}
    arrival = round(begin * SECOND)
    base = Span(span_id(1, number), "ci-1", Kind.HTTP, "GET", "/aio", arrival)
    base.wait_begun_ns = arrival
    return replace(base, **(ends | values))  # type: ignore[arg-type]


def build(*spans: Span, now: int = 60) -> Report:
    return report.build(spans, run="ci-1", now_ns=now * SECOND)


def seconds(number: float) -> int:
    return round(number * SECOND)


# --- one bar -------------------------------------------------------------------------------------


def test_answered_request_waits_then_replies() -> None:
    """The wait ends with the first byte, the reply with the end."""
    one = span(1, 6, first_byte_ns=seconds(5), status=200, outcome=Outcome.COMPLETED)

    bar = bars.bar(one, AXIS, now_ns=0)

    assert (None, Stretch(10, 40), Stretch(50, 10), None) == (
        bar.queued,
        bar.waiting,
        bar.replying,
        bar.unreached,
    )
    assert ("completed", 60, 5 * SECOND) == (bar.mark, bar.end, bar.took_ns)


def test_queued_request_waits_only_after_its_turn() -> None:
    """Queue and barrier come before the wait."""
    one = span(0, 8, queue_wait_ns=seconds(2), barrier_wait_ns=seconds(1))

    bar = bars.bar(one, AXIS, now_ns=0)

    assert (Stretch(0, 30), Stretch(30, 50)) == (bar.queued, bar.waiting)


def test_request_whose_turn_never_came_only_queued() -> None:
    """It left, or is still there: in either case it has not begun to wait."""
    one = span(0, 8, wait_begun_ns=None)

    bar = bars.bar(one, AXIS, now_ns=0)

    assert (Stretch(0, 80), None) == (bar.queued, bar.waiting)


def test_client_that_left_leaves_the_rest_of_the_wait_unreached() -> None:
    """What was planned goes on from where the client left to the moment the reply was due."""
    one = span(1, 3, delay_ns=seconds(4), outcome=Outcome.CLIENT_GONE)

    bar = bars.bar(one, AXIS, now_ns=0)

    assert (Stretch(10, 20), Stretch(30, 20)) == (bar.waiting, bar.unreached)


def test_scaled_delay_is_due_in_real_time() -> None:
    """The axis is real time, so the time scale counts."""
    one = span(0, 1, delay_ns=seconds(8), time_scale=0.5, outcome=Outcome.CLIENT_GONE)

    assert Stretch(10, 30) == bars.bar(one, AXIS, now_ns=0).unreached


def test_dripped_reply_cut_short_was_due_with_its_last_byte() -> None:
    """With drip the first byte goes out at once; the last one is what was promised."""
    one = span(0, 2, delay_ns=seconds(6), drip=3, first_byte_ns=0, outcome=Outcome.CLIENT_GONE)

    bar = bars.bar(one, AXIS, now_ns=0)

    assert (None, Stretch(0, 20), Stretch(20, 40)) == (bar.waiting, bar.replying, bar.unreached)


def test_request_in_flight_lasts_until_now() -> None:
    """An open span is drawn as far as time has come, and shows when it is due."""
    bar = bars.bar(span(1, delay_ns=seconds(7)), AXIS, now_ns=seconds(4))

    assert ("in_flight", Stretch(10, 30), Stretch(40, 40)) == (
        bar.mark,
        bar.waiting,
        bar.unreached,
    )


def test_refused_request_is_a_mark_alone() -> None:
    """What ends as it arrives has no length."""
    one = span(5, 5, wait_begun_ns=None, status=400, outcome=Outcome.REJECTED)

    bar = bars.bar(one, AXIS, now_ns=0)

    assert (None, None, None, None, 50) == (
        bar.queued,
        bar.waiting,
        bar.replying,
        bar.unreached,
        bar.end,
    )
    assert "rejected" == bar.words


def test_end_before_the_arrival_is_no_length() -> None:
    """A clock that was set between two starts makes lengths zero, never negative."""
    bar = bars.bar(span(5, 2), AXIS, now_ns=0)

    assert (0, None, 50) == (bar.took_ns, bar.waiting, bar.end)


@pytest.mark.parametrize("outcome", Outcome)
def test_every_outcome_has_a_mark_and_words(outcome: Outcome) -> None:
    """No way to end is without a name."""
    assert bars.WORDS[bars.mark(outcome, 200)]


@pytest.mark.parametrize(
    ("status", "expected"),
    [(None, "completed"), (200, "completed"), (399, "completed"), (400, "error_status")],
)
def test_complete_reply_looks_as_its_status_does(status: int | None, expected: str) -> None:
    """400 and above is told apart, though the reply went out whole."""
    assert expected == bars.mark(Outcome.COMPLETED, status)


moments = st.integers(0, 20 * SECOND)
maybe = st.none() | moments
spans = st.builds(
    span,
    st.floats(0, 20),
    st.none() | st.floats(0, 20),
    wait_begun_ns=maybe,
    first_byte_ns=maybe,
    last_byte_ns=maybe,
    delay_ns=maybe,
    queue_wait_ns=moments,
    barrier_wait_ns=moments,
    drip=st.none() | st.just(3),
    outcome=st.sampled_from(Outcome),
)


@given(spans, st.integers(0, 30 * SECOND))
def test_bar_never_leaves_the_axis(one: Span, now_ns: int) -> None:
    """Whatever the clock did, every part lies between 0 and 100 per cent and has a length."""
    bar = bars.bar(one, AXIS, now_ns)

    parts = [bar.queued, bar.waiting, bar.replying, bar.unreached]
    for part in [part for part in parts if part]:
        assert part.begin >= 0
        assert part.width >= 0
        assert part.begin + part.width <= 100.001
    assert 0 <= bar.end <= 100


# --- the axis ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("length_ns", "expected"),
    [
        (0, []),
        (seconds(29), ["0 s", "5 s", "10 s", "15 s", "20 s", "25 s"]),
        (seconds(1), ["0 s", "0.2 s", "0.4 s", "0.6 s", "0.8 s", "1 s"]),
        (seconds(0.09), ["0 ms", "20 ms", "40 ms", "60 ms", "80 ms"]),
        (30_000, ["0 µs", "5 µs", "10 µs", "15 µs", "20 µs", "25 µs", "30 µs"]),
        (3, ["0 ns", "1 ns", "2 ns", "3 ns"]),
        (seconds(240), ["0:00", "0:50", "1:40", "2:30", "3:20"]),
        (seconds(600), ["0:00", "2:00", "4:00", "6:00", "8:00", "10:00"]),
    ],
)
def test_ticks_are_round_and_share_a_unit(length_ns: int, expected: list[str]) -> None:
    """Steps of 1, 2 or 5, few enough to read, never two units on one axis."""
    assert expected == [tick.label for tick in bars.ticks(length_ns)]


def test_tick_stands_where_its_moment_does() -> None:
    """A label belongs to its place."""
    assert Tick(60, "6 s") in list(bars.ticks(seconds(10)))


def test_axis_reaches_to_what_was_planned() -> None:
    """A client that left after 5 of 8 seconds is shown with the 3 it did not wait."""
    one = span(0, 5, delay_ns=seconds(8), outcome=Outcome.CLIENT_GONE)

    bar = bars.chart(build(one), [one]).bars[0]

    assert (Stretch(0, 62.5), Stretch(62.5, 37.5)) == (bar.waiting, bar.unreached)


def test_plan_far_beyond_the_run_does_not_squeeze_it() -> None:
    """However late a reply was due, what did happen takes half of the axis."""
    one = span(0, 1, delay_ns=seconds(300), outcome=Outcome.CLIENT_GONE)

    bar = bars.chart(build(one), [one]).bars[0]

    assert (Stretch(0, 50), Stretch(50, 50)) == (bar.waiting, bar.unreached)


# --- the chart -----------------------------------------------------------------------------------


def test_run_without_requests_draws_nothing() -> None:
    """There is nothing to see, and no error in saying so."""
    empty = bars.chart(build(), [])

    assert ((), (), None, ()) == (empty.bars, empty.ticks, empty.level, empty.counts)


def test_run_of_no_length_has_marks_but_no_level() -> None:
    """Requests that end as they arrive are never in flight."""
    one = span(1, 1, wait_begun_ns=None, status=400, outcome=Outcome.REJECTED)

    drawn = bars.chart(build(one), [one])

    assert (0, None) == (drawn.bars[0].end, drawn.level)
    assert (Count("rejected", "rejected", 1),) == drawn.counts


def test_level_follows_what_was_in_flight() -> None:
    """One, then two, then one: up and down in steps, over as much of the axis as the run took."""
    done = {"outcome": Outcome.COMPLETED, "status": 200}
    pair = [span(0, 3, 1, **done), span(1, 2, 2, delay_ns=seconds(1), **done)]
    built = build(*pair)

    level = bars.chart(built, pair).level

    assert level is not None
    assert (2, 100) == (level.peak, level.width)
    assert ["V-1", "V-2", "V-1", "V0"] == [
        f"V{part}" for part in level.path.replace("H", "V").split("V")[2::2]
    ]
    assert built.makespan_ns == pytest.approx(level.steps * built.curve.step_ns, rel=0.01)


def test_counts_are_of_the_whole_run() -> None:
    """The key counts what the report did, also spans that are not drawn, errors by status apart."""
    done = {"outcome": Outcome.COMPLETED}
    many = [span(0, 1, 1, status=200, **done), span(0, 1, 2, status=503, **done), span(0, None, 3)]

    drawn = bars.chart(build(*many), many[:1])

    assert [("completed", 1), ("error_status", 1), ("in_flight", 1)] == [
        (count.mark, count.count) for count in drawn.counts
    ]
    assert 1 == len(drawn.bars)
