"""What findings are drawn from, by hand and against brute force."""

from itertools import pairwise
from random import Random
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app import evidence, report
from app.evidence import DurationFold, Plateau, variation
from app.report import Report, build
from app.spans import Outcome, Span, span_id
from tests.fakes import make_span
from tests.simulated import BEGIN, MILLISECOND, Request, gone, limited, report_of, spans_of


@st.composite
def _sets(draw: st.DrawFn) -> list[Span]:
    """Spans in order of arrival, each of some length."""
    drawn = draw(
        st.lists(st.tuples(st.integers(0, 60), st.integers(1, 25)), min_size=1, max_size=30)
    )
    return [
        make_span(
            number,
            arrival_ns=arrival,
            end_ns=arrival + length,
            outcome=Outcome.COMPLETED,
            status=200,
        )
        for number, (arrival, length) in enumerate(sorted(drawn), 1)
    ]


def of(spans: list[Span], batch: int = 1024) -> Report:
    with mock.patch.object(report, "SIZE", batch):
        return build(iter(spans), run="demo", now_ns=1_000)


def level(spans: list[Span], moment: int) -> int:
    return sum(span.arrival_ns <= moment < (span.end_ns or 0) for span in spans)


@given(_sets(), st.integers(1, 9))
def test_plateau_agrees_with_brute_force(spans: list[Span], batch: int) -> None:
    """Time at the peak, arrivals and time in flight between its first and its last moment."""
    found = of(spans, batch).evidence.plateau

    levels = [level(spans, moment) for moment in range(100)]
    peak = max(levels)
    full = [moment for moment, here in enumerate(levels) if here == peak]
    first, until = full[0], full[-1] + 1
    # At one instant several may arrive: the one that makes the level full is the last of them.
    arrivals = sum(first < span.arrival_ns < until for span in spans)
    assert (peak, len(full), until - first) == (found.level, found.full_ns, found.window_ns)
    assert sum(levels[first:until]) == found.held_ns
    assert arrivals == found.arrivals


def test_lags_and_gaps_are_those_of_the_arrivals_at_the_level() -> None:
    """From the end before to the arrival that took its place."""
    requests = [Request(0, 1), Request(0.5, 1.5), Request(1.2, 2), Request(1.7, 3), Request(5, 6)]

    plateau = report_of(requests).evidence.plateau

    assert (2, 2) == (plateau.level, plateau.arrivals)
    assert [200, 200] == [lag // MILLISECOND for lag in plateau.lags_ns]
    assert [700, 500] == [gap // MILLISECOND for gap in plateau.gaps_ns]
    assert 200 == plateau.lag_ns // MILLISECOND


def test_missed_chances_are_the_arrivals_that_should_have_gone_beyond() -> None:
    """Arrival rate times the time spent at the level: 8 of 10 when it was full for 8 of 10 s."""
    plateau = Plateau(level=4, arrivals=10, window_ns=10, full_ns=8, held_ns=36)

    assert (8.0, 0.9) == (plateau.missed_chances, plateau.occupancy)
    assert (0.0, 0.0, 0) == (Plateau().missed_chances, Plateau().occupancy, Plateau().lag_ns)


def test_stall_knows_what_was_left_and_what_came_at_once() -> None:
    """Ten slots, of which two go on through half a second in which nothing arrives."""
    held = [Request(0, 2), Request(0, 2)] + [Request(0.01 * n, 0.2) for n in range(1, 9)]
    late = [Request(0.7 + 0.001 * n, 2) for n in range(8)]

    [stall] = report_of(held + late).evidence.stalls

    length = 0.7 - 0.08
    assert (2, 8, 0) == (stall.left, stall.burst, stall.idle_ns)
    assert length == pytest.approx(stall.length_ns / 1e9)
    assert 2 * length + 8 * 0.12 == pytest.approx(stall.held_ns / 1e9)


def test_stall_in_which_all_ended_knows_how_long_nothing_went_on() -> None:
    """A person, rather than a client."""
    [stall] = report_of([Request(0, 1), Request(4, 5)]).evidence.stalls

    assert (0, 3.0) == (stall.left, stall.idle_ns / 1e9)


def test_stall_over_the_edge_of_two_batches_is_seen() -> None:
    """As one within a batch is."""
    rng = Random(1)
    requests = limited(rng, count=50, limit=5, delay=lambda: 0.05)
    later = [Request(one.arrival + 3, one.end + 3) for one in requests]

    whole = report_of(requests + later).evidence.stalls
    with mock.patch.object(report, "SIZE", 10):
        cut = report_of(requests + later).evidence.stalls

    assert whole[0].length_ns == cut[0].length_ns
    assert len(whole) == len(cut) == 1


@given(st.lists(st.integers(0, 10**6), max_size=300), st.integers(1, 40))
def test_durations_are_an_even_sample_with_the_longest(durations: list[int], size: int) -> None:
    """Bounded, in order, and in equal steps of what there was."""
    with mock.patch.object(evidence, "SAMPLE", 10):
        fold = DurationFold()
        for start in range(0, len(durations), size):
            fold.add(durations[start : start + size])

    sample = fold.sample()
    assert len(sample) <= 20
    assert list(sample) == sorted(sample)
    assert max(durations, default=0) == fold.longest_ns
    stride = next(n for n in (1, 2, 4, 8, 16, 32, 64) if len(durations) <= 20 * n)
    assert sorted(durations[::stride]) == list(sample)


@pytest.mark.parametrize(("values", "expected"), [([], 0), ([5, 5], 0), ([0, 0], 0), ([1, 3], 0.5)])
def test_variation_is_the_spread_in_units_of_the_mean(values: list[int], expected: float) -> None:
    """0 for values all alike, whatever they are."""
    assert expected == variation(values)


def test_user_agents_are_the_most_frequent_first() -> None:
    """And a single one is the client's."""
    agents = ["curl/8", "aiohttp/3", "aiohttp/3", None]
    spans = [make_span(n, user_agent=agent, end_ns=BEGIN) for n, agent in enumerate(agents, 1)]

    assert ("aiohttp/3", "curl/8", None) == of(spans).evidence.agents
    assert of(spans).evidence.agent is None
    assert "aiohttp/3" == of(spans[1:3]).evidence.agent


def test_at_most_so_many_user_agents_are_told_apart() -> None:
    """A client that makes them up takes no memory."""
    spans = [make_span(n, user_agent=f"agent-{n}", end_ns=BEGIN) for n in range(1, 99)]

    assert evidence.MOST_AGENTS == len(of(spans).evidence.agents)


def test_hang_up_just_after_a_reply_has_raced() -> None:
    """Within 12 ms; the reply may be of an earlier batch."""
    requests = [
        Request(0, 1),
        Request(0.1, 1.005, gone()),
        Request(0.2, 1.5, gone()),
        Request(2, 3),
    ]
    for size in (1, 10):
        with mock.patch.object(report, "SIZE", size):
            hang_ups = report_of(requests).evidence.hang_ups

        assert [True, False] == [one.raced for one in hang_ups.shown]


def test_hang_ups_at_the_end_of_a_run_are_not_counted() -> None:
    """Those of its last 0.2 s, after which nothing arrives; earlier ones are."""
    plan = {"delay_ns": 4 * 10**9}
    requests = [
        Request(0, 1, gone(**plan)),
        Request(0, 5, gone(**plan)),
        Request(3, 5.1, gone(**plan)),
    ]

    hang_ups = report_of(requests).evidence.hang_ups

    assert (3, 1, 1.0, 3.0, 1) == (
        len(hang_ups.shown),
        hang_ups.counted,
        hang_ups.spent_ns / 1e9,
        hang_ups.to_come_ns / 1e9,
        hang_ups.after_first,
    )
    assert (span_id(1, 1),) == hang_ups.examples


def test_time_in_a_queue_is_no_work_that_was_wasted() -> None:
    """A second of the wait counts, and none of the one who had not begun it."""
    second = 10**9
    requests = [
        Request(0, 3, gone(wait_begun_ns=BEGIN + 2 * second)),
        Request(0, 3, gone(wait_begun_ns=None)),
        Request(4, 5),
    ]

    hang_ups = report_of(requests).evidence.hang_ups

    assert (2, second) == (hang_ups.counted, hang_ups.spent_ns)


def test_connections_are_followed_at_the_beginning_of_a_run_alone() -> None:
    """What a pool does, it does at once."""
    rng = Random(1)
    spans = spans_of(limited(rng, count=100, limit=1, delay=lambda: 0.05), pooled=False)

    with mock.patch.object(evidence, "LOOKED_AT", 40):
        reuse = of(spans).evidence.reuse

    assert 30 < reuse.chances < 40
    assert 0 == reuse.taken


def test_samples_are_bounded() -> None:
    """However long the run."""
    rng = Random(1)
    requests = limited(rng, count=300, limit=3, delay=lambda: rng.uniform(0.2, 0.9))
    with mock.patch.object(evidence, "SAMPLE", 20), mock.patch.object(evidence, "MOST_STALLS", 5):
        found = report_of(requests).evidence

    assert (20, 20) == (len(found.plateau.lags_ns), len(found.plateau.gaps_ns))
    assert len(found.stalls) <= 5
    assert len(found.durations_ns) <= 40
    assert all(one <= other for one, other in pairwise(found.durations_ns))
