"""What the figures of a report are, checked by hand and against brute force."""

import json
from array import array
from collections.abc import Iterator
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app import report, retries
from app.figures import document, figures
from app.report import Cancellation, Report, build, percentile
from app.retries import PolicyName
from app.spans import Kind, Outcome, Span, span_id, span_name

SECOND = 1_000_000_000
MILLISECOND = 1_000_000
NOW = 100


def make(sequence: int, arrival_ns: int, end_ns: int | None, **changes: object) -> Span:
    """A span that waited all its time; completed when it ended."""
    values: dict[str, object] = {
        "id": span_id(1, sequence),
        "run": "demo",
        "kind": Kind.HTTP,
        "method": "GET",
        "target": "/aio",
        "arrival_ns": arrival_ns,
        "wait_begun_ns": arrival_ns,
        "end_ns": end_ns,
        "outcome": Outcome.IN_FLIGHT if end_ns is None else Outcome.COMPLETED,
        "status": None if end_ns is None else 200,
    }
    return Span(**(values | changes))  # type: ignore[arg-type]  # fields of several types


def many(*intervals: tuple[int, int | None]) -> list[Span]:
    """Spans from arrival to end, numbered in the order given."""
    return [make(number, *interval) for number, interval in enumerate(intervals, 1)]


def of(spans: list[Span], now_ns: int = NOW) -> Report:
    return build(iter(spans), run="demo", now_ns=now_ns)


def attempts(*gaps_ns: int) -> Iterator[Span]:
    """Attempts of one key, each a second long, so far apart."""
    moment = 0
    for number, gap in enumerate((0, *gaps_ns), 1):
        moment += gap
        yield make(number, moment, moment + SECOND, key="order-17", attempt=number)
        moment += SECOND


# --- nothing, and the five calls -----------------------------------------------------------------


def test_run_without_spans_has_zeros_and_no_ratios() -> None:
    """A ratio to nothing is None; a count or a length of nothing is 0."""
    nothing = of([])

    zeros = dict.fromkeys(
        (
            *("requests", "completed", "cancelled", "faulted", "rejected", "errors", "peak"),
            *("connections", "retries", "dropped", "makespan", "busy", "wasted"),
        ),
        0,
    )
    nones = dict.fromkeys(
        ("mean_in_flight", "speedup", "efficiency", "reuse", "lateness_p99", "lateness_max")
    )
    assert zeros | nones == figures(nothing)
    assert (None, None, None, None) == (
        nothing.first_arrival_ns,
        nothing.last_end_ns,
        nothing.peak_at_ns,
        nothing.requests_per_connection,
    )
    assert () == nothing.curve.levels


def five_calls(*, overlapped: bool) -> list[Span]:
    arrival, spans = 0, []
    for number, delay in enumerate((5, 7, 5, 5, 7), 1):
        end = arrival + delay
        spans.append(make(number, arrival, end, delay_ns=delay, first_byte_ns=end))
        arrival = 0 if overlapped else end
    return spans


def test_five_calls_in_sequence_take_the_sum_of_their_delays() -> None:
    """One after another: peak 1, speed-up 1, 29 seconds."""
    sequential = of(five_calls(overlapped=False))

    assert (29, 29, 29, 1, 0) == (
        sequential.makespan_ns,
        sequential.busy_ns,
        sequential.active_ns,
        sequential.peak,
        sequential.peak_at_ns,
    )
    assert (1.0, 1.0, 1.0) == (
        sequential.mean_in_flight,
        sequential.speedup,
        sequential.efficiency,
    )


def test_five_overlapping_calls_take_as_long_as_the_longest() -> None:
    """All at once: peak 5, as fast as these delays allow."""
    overlapped = of(five_calls(overlapped=True))

    assert (7, 29, 5, 29 / 7, 1.0) == (
        overlapped.makespan_ns,
        overlapped.busy_ns,
        overlapped.peak,
        overlapped.speedup,
        overlapped.efficiency,
    )
    assert tuple(span_id(1, number) for number in range(1, 6)) == overlapped.peak_spans


# --- in flight, against brute force --------------------------------------------------------------


@st.composite
def _sets(draw: st.DrawFn, *, longest: int = 40) -> list[Span]:
    """Spans in order of arrival, some of no length, some at one instant, some in flight."""
    moments = st.integers(0, longest)
    lengths = st.one_of(st.none(), st.integers(0, 12), st.integers(0, longest))
    drawn = draw(st.lists(st.tuples(moments, lengths, st.integers(0, 8)), max_size=25))
    return [
        make(
            number,
            arrival,
            None if length is None else arrival + length,
            wait_begun_ns=arrival + (late if length is None else min(late, length)),
            delay_ns=late * 2,
        )
        for number, (arrival, length, late) in enumerate(sorted(drawn, key=lambda one: one[0]))
    ]


def level(spans: list[Span], moment: int) -> int:
    """How many are in flight at a moment, by the definition."""
    return sum(s.arrival_ns <= moment < (NOW if s.end_ns is None else s.end_ns) for s in spans)


@given(_sets(), st.integers(1, 9))
def test_figures_agree_with_brute_force(spans: list[Span], batch: int) -> None:
    """Peak, its moment, mean, active, busy and makespan follow from the definitions alone."""
    with mock.patch.object(report, "SIZE", batch):
        found = of(spans)

    ends = [NOW if span.end_ns is None else span.end_ns for span in spans]
    levels = [level(spans, moment) for moment in range(NOW + 1)]
    peak = max(levels)
    active = sum(one > 0 for one in levels)
    assert peak == found.peak
    assert (levels.index(peak) if peak else None) == found.peak_at_ns
    assert active == found.active_ns
    assert (sum(levels) / active if active else None) == found.mean_in_flight
    assert sum(e - (s.wait_begun_ns or 0) for s, e in zip(spans, ends, strict=True)) == (
        found.busy_ns
    )
    makespan = max(ends) - min(span.arrival_ns for span in spans) if spans else 0
    assert makespan == found.makespan_ns


@given(_sets(), st.integers(1, 9))
def test_spans_at_the_peak_are_those_in_flight_then(spans: list[Span], batch: int) -> None:
    """The examples of the peak are in flight at its moment, the first to arrive first."""
    with mock.patch.object(report, "SIZE", batch):
        found = of(spans)

    at = found.peak_at_ns
    there = [span.id for span in spans if at is not None and level([span], at)]
    assert tuple(there[: report.EXAMPLES]) == found.peak_spans


@given(_sets(), st.integers(1, 9), st.sampled_from([4, 16, 256]))
def test_curve_has_the_most_in_flight_of_each_step(
    spans: list[Span], batch: int, steps: int
) -> None:
    """Whatever the step, each level is the maximum over its instants, and all steps cover all."""
    with mock.patch.multiple(report, SIZE=batch, MOST_STEPS=steps):
        curve = of(spans).curve

    lasting = [span for span in spans if level([span], span.arrival_ns)]
    begin = spans[0].arrival_ns if lasting else 0
    expected = [
        max(level(spans, begin + place * curve.step_ns + i) for i in range(curve.step_ns))
        for place in range(len(curve.levels))
    ]
    assert expected == list(curve.levels)
    last = max((NOW if span.end_ns is None else span.end_ns for span in lasting), default=0)
    assert not lasting or len(curve.levels) * curve.step_ns >= last - begin
    assert len(curve.levels) <= steps


@given(_sets())
def test_efficiency_never_exceeds_one(spans: list[Span]) -> None:
    """No client is faster than the lower bound, whatever was cut short."""
    efficiency = of(spans).efficiency

    assert efficiency is None or 0 <= efficiency <= 1


@given(_sets(longest=60), st.randoms(use_true_random=False), st.integers(-50, 200))
def test_nonsense_from_a_set_clock_makes_no_figure_negative(
    spans: list[Span], random: object, now_ns: int
) -> None:
    """Spans out of order, ends before arrivals, a present in the past: nothing below 0."""
    random.shuffle(spans)  # type: ignore[attr-defined]
    for place, span in enumerate(spans):
        span.id = span_id(place % 3, place)
        span.first_byte_ns = span.wait_begun_ns
        if place % 4 == 1 and span.end_ns is not None:
            span.end_ns -= 30
    with mock.patch.object(report, "SIZE", 3):
        found = of(spans, now_ns)

    assert all(value is None or value >= 0 for value in figures(found).values())
    assert found.active_ns >= 0
    assert all(one >= 0 for one in found.curve.levels)


def test_end_comes_before_an_arrival_at_the_same_instant() -> None:
    """In flight is half-open: who arrives as another ends does not overlap it."""
    assert 1 == of(many((0, 5), (5, 9))).peak


def test_span_that_ends_at_the_moment_of_the_peak_is_not_part_of_it() -> None:
    """Who is named for the peak was in flight at it."""
    found = of(many((0, 5), (1, 9), (5, 9), (5, 8)))

    assert (3, 5) == (found.peak, found.peak_at_ns)
    assert tuple(span_id(1, number) for number in (2, 3, 4)) == found.peak_spans


def test_span_of_no_length_is_never_in_flight() -> None:
    """[3, 3) is empty, even inside another span."""
    found = of(many((0, 5), (3, 3), (3, 3)))

    assert (1, 3, 5) == (found.peak, found.requests, found.in_flight_ns)


def test_spans_of_no_length_alone_have_no_peak_and_no_ratio() -> None:
    """Nothing was ever in flight, so there is no moment of a peak and nothing to divide by."""
    found = of(many((3, 3), (3, 3)))

    assert (2, 0, None, 0) == (found.requests, found.peak, found.peak_at_ns, found.makespan_ns)
    assert (None, None, None) == (found.mean_in_flight, found.speedup, found.efficiency)


def test_span_in_flight_counts_up_to_now() -> None:
    """What has not ended is as long as it has lasted."""
    found = of(many((90, None)))

    assert (10, 10, NOW, 1) == (
        found.makespan_ns,
        found.busy_ns,
        found.last_end_ns,
        found.count(Outcome.IN_FLIGHT),
    )


def test_idle_time_between_spans_is_not_active() -> None:
    """Active leaves out the time with nothing in flight, makespan does not."""
    found = of(many((0, 5), (20, 25), (22, 30)))

    assert (15, 30, 18 / 15) == (found.active_ns, found.makespan_ns, found.mean_in_flight)


def test_shortest_pause_is_not_active() -> None:
    """A nanosecond with nothing in flight is idle; none at all is not."""
    assert (8, 9) == (of(many((0, 5), (6, 9))).active_ns, of(many((0, 5), (5, 9))).active_ns)


def test_spans_of_an_earlier_boot_never_overlap_those_of_the_next() -> None:
    """A clock set back between two starts does not make two processes run at once."""
    earlier, later = make(1, 50, 60), make(2, 40, 55)
    later.id = span_id(2, 1)

    found = of([earlier, later])

    assert (1, 25, 20, (earlier.id,)) == (
        found.peak,
        found.active_ns,
        found.makespan_ns,
        found.peak_spans,
    )


def test_wait_begun_after_the_end_is_no_busy_time() -> None:
    """A length is never negative."""
    assert 0 == of([make(1, 0, 5, wait_begun_ns=9)]).busy_ns


def test_span_that_never_began_to_wait_is_not_busy() -> None:
    """A refused request costs no waiting."""
    assert 0 == of([make(1, 0, 5, wait_begun_ns=None, delay_ns=7)]).busy_ns


def test_last_span_is_the_one_that_ended_last() -> None:
    """The makespan ends with it."""
    assert span_id(1, 2) == of(many((0, 5), (1, 9), (2, 9))).last_span


# --- lower bound, lateness -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expected", "longest", "total", "concurrency"),
    [(7, 7, 29, 5), (29, 7, 29, 1), (10, 7, 29, 3), (0, 0, 0, 0), (7, 7, 7, 0)],
)
def test_lower_bound_is_the_longest_or_the_even_share(
    expected: int, longest: int, total: int, concurrency: int
) -> None:
    """Whichever is longer, the share rounded up to whole nanoseconds."""
    assert expected == report.lower_bound_ns(longest, total, concurrency)


def test_lower_bound_uses_delays_times_the_time_scale() -> None:
    """Efficiency compares real time with scaled plans."""
    found = of([make(1, 0, 5, delay_ns=50, time_scale=0.1), make(2, 5, 8, delay_ns=30)])

    assert (5, 8, 8, 8) == (
        found.lower_bound.longest_ns,
        found.lower_bound.total_ns,
        found.lower_bound.shared_ns,
        found.lower_bound.ns,
    )


def test_delay_of_a_client_that_left_counts_as_far_as_it_was_waited() -> None:
    """Nobody need fit thirty seconds of which only one was asked for."""
    gone = make(1, 0, 1, delay_ns=30, outcome=Outcome.CLIENT_GONE, status=None)

    assert (1, 1.0) == (of([gone]).lower_bound.ns, of([gone]).efficiency)


@pytest.mark.parametrize(
    ("percent", "expected"), [(0, 15), (5, 15), (30, 20), (40, 20), (50, 35), (99, 50), (100, 50)]
)
def test_percentile_is_the_nearest_rank(percent: int, expected: int) -> None:
    """Always a value that occurred; the textbook example of five scores."""
    assert expected == report.percentile([15, 20, 35, 40, 50], percent)


@given(
    st.lists(st.integers(-5, 10_000), min_size=1, max_size=60),
    st.sampled_from([None, 4]),
    st.data(),
)
def test_lateness_is_what_the_spans_say_and_never_negative(
    offsets: list[int], drip: int | None, data: st.DataObject
) -> None:
    """The percentiles are over `Span.lateness_ns`, clamped at 0."""
    scale = data.draw(st.sampled_from([1.0, 0.5, 0.0]))
    spans = [
        make(
            number,
            number,
            30_000,
            delay_ns=100,
            time_scale=scale,
            drip=drip,
            first_byte_ns=number + (0 if drip else round(100 * scale) + offset),
            last_byte_ns=number + round(100 * scale) + offset,
        )
        for number, offset in enumerate(offsets)
    ]
    found = of(spans).lateness

    ordered = sorted(max(span.lateness_ns or 0, 0) for span in spans)
    assert (len(spans), ordered[-1], ordered[(len(spans) - 1) // 2]) == (
        found.replies,
        found.max_ns,
        found.p50_ns,
    )
    by_id = {span.id: span.lateness_ns for span in spans}
    late = [one for one in reversed(ordered) if one > 0]
    assert late[: report.EXAMPLES] == [by_id[number] for number in found.worst]


@given(
    st.lists(st.integers(0, 50) | st.integers(0, 2**40), min_size=1, max_size=200),
    st.integers(0, 100),
    st.integers(1, 20),
)
def test_percentile_of_what_is_in_no_order_is_that_of_all_sorted(
    values: list[int], percent: int, spread: int
) -> None:
    """Also where the sample misleads."""
    with mock.patch.multiple(report, SAMPLE=10, SPREAD=spread):
        found = report.ranked(array("q", values), percent)

    assert percentile(sorted(values), percent) == found


def test_worst_are_the_latest_of_all() -> None:
    """Twenty ids, the latest first, also when the lateness grows to the end."""
    spans = [make(n, 0, 50, delay_ns=0, first_byte_ns=n) for n in range(1, 31)]

    assert tuple(span_id(1, n) for n in range(30, 10, -1)) == of(spans).lateness.worst


def test_lateness_is_unknown_where_no_reply_was_due() -> None:
    """A span without a plan, or without a byte, says nothing of our lateness."""
    found = of([make(1, 0, 5), make(2, 0, 5, delay_ns=9)])

    assert (0, None, None, None, ()) == (
        found.lateness.replies,
        found.lateness.p50_ns,
        found.lateness.p99_ns,
        found.lateness.max_ns,
        found.lateness.worst,
    )


# --- outcomes, connections, cancellations --------------------------------------------------------


def test_every_outcome_and_status_is_counted() -> None:
    """Figures by outcome and by status; outcomes that did not happen are 0."""
    spans = [
        make(1, 0, 1),
        make(2, 0, 1, status=503),
        make(3, 0, 1, status=None, outcome=Outcome.CLIENT_GONE),
        make(4, 0, 1, status=503, outcome=Outcome.REJECTED),
        make(5, 0, 1, status=500, outcome=Outcome.ERROR),
        make(6, 0, 1, status=None, outcome=Outcome.FAULTED),
    ]

    found = figures(of(spans))

    assert (6, 2, 1, 1, 1, 1) == tuple(
        found[name]
        for name in ("requests", "completed", "cancelled", "faulted", "rejected", "errors")
    )
    assert {200: 1, 500: 1, 503: 2} == of(spans).statuses
    assert [200, 500, 503] == list(of(spans).statuses)
    assert 2 == found["status.503"]
    assert set(Outcome) == set(of(spans).outcomes)
    assert 0 == of(spans).outcomes[Outcome.SHUTDOWN]


def test_examples_of_an_outcome_are_the_first_across_batches() -> None:
    """At most 20 ids are kept of those that ended alike, however the stream was cut."""
    with mock.patch.object(report, "SIZE", 7):
        found = of(many(*[(number, number + 1) for number in range(50)]))

    assert tuple(span_id(1, number) for number in range(1, 21)) == found.replies[0].spans
    assert 50 == found.replies[0].count


def test_connections_are_counted_once_in_each_boot() -> None:
    """Their numbers begin anew with a boot; number 0 is not known."""
    spans = [
        make(1, 0, 1, connection=1, connection_request=1),
        make(2, 1, 2, connection=1, connection_request=2),
        make(3, 2, 3, connection=2, connection_request=1),
        make(4, 3, 4, connection=1, connection_request=1, id=span_id(2, 1)),
        make(5, 4, 5, id=span_id(2, 2)),
    ]

    found = of(spans)

    assert (3, 1, 5 / 3, 1 / 5) == (
        found.connections,
        found.reused,
        found.requests_per_connection,
        found.reuse,
    )
    assert (span_id(1, 1), span_id(1, 3), span_id(2, 1)) == found.opening_spans


def test_only_so_many_opening_requests_are_shown() -> None:
    """The examples are bounded, the connections are not."""
    spans = [make(n, n, n + 1, connection=n + 1, connection_request=1) for n in range(30)]

    with mock.patch.object(report, "SIZE", 25):
        found = of(spans)

    assert (30, 20, span_id(1, 19)) == (
        found.connections,
        len(found.opening_spans),
        found.opening_spans[-1],
    )


def test_cancellations_say_how_long_was_waited_of_what_was_planned() -> None:
    """Waited counts from arrival, wasted from wait begun, planned is scaled."""
    gone = {"outcome": Outcome.CLIENT_GONE, "status": None}
    spans = [
        make(1, 0, 10, wait_begun_ns=4, delay_ns=40, time_scale=0.5, **gone),
        make(2, 0, 3, wait_begun_ns=None, **gone),
        make(3, 0, 9, delay_ns=9),
    ]

    found = of(spans).cancellations

    assert (2, 13, 20, 6) == (found.count, found.waited_ns, found.planned_ns, found.wasted_ns)
    assert (
        Cancellation(span_id(1, 1), 10, 20),
        Cancellation(span_id(1, 2), 3, None),
    ) == found.shown


def test_only_so_many_cancellations_are_shown() -> None:
    """The examples are bounded, the figures are not."""
    spans = many(*[(number, number + 1) for number in range(30)])
    for span in spans:
        span.outcome = Outcome.CLIENT_GONE

    found = of(spans).cancellations

    assert (30, 20) == (found.count, len(found.shown))


# --- retries -------------------------------------------------------------------------------------


def test_retries_are_the_attempts_beyond_the_first_of_a_key() -> None:
    """Keys tried once are no retries, nor are requests without a key."""
    spans = [
        make(1, 0, 5, key="a"),
        make(2, 1, 6, key="b"),
        make(3, 2, 7),
        make(4, 8, 9, key="a"),
        make(5, 8, 9),
    ]

    found = of(spans).retries

    assert (1, 1, (span_id(1, 4),)) == (found.count, found.keys, found.spans)
    assert [("a", 2, (3,), PolicyName.TOO_FEW)] == [
        (one.key, one.attempts, one.gaps_ns, one.policy.name) for one in found.shown
    ]


def test_gap_of_overlapping_attempts_is_negative() -> None:
    """The next attempt came before the last one ended."""
    found = of([make(1, 0, 50, key="a"), make(2, 10, None, key="a"), make(3, 20, 30, key="a")])

    assert (-40, 20 - NOW) == found.retries.shown[0].gaps_ns


def test_keys_with_the_most_attempts_are_shown() -> None:
    """Keys and gaps are bounded; the count is of all."""
    numbers = iter(range(1_000_000))
    spans = [
        make(next(numbers), 0, 1, key=f"key-{place}")
        for place in range(120)
        for _ in range(2 if place < 119 else 150)
    ]

    found = of(spans).retries

    assert (119 + 149, 120, 100, 20) == (
        found.count,
        found.keys,
        len(found.shown),
        len(found.spans),
    )
    assert ("key-119", 150, retries.MOST_GAPS) == (
        found.shown[0].key,
        found.shown[0].attempts,
        len(found.shown[0].gaps_ns),
    )


def test_gaps_are_from_end_to_next_arrival() -> None:
    """The pause of the client, not the time between arrivals."""
    found = of(list(attempts(SECOND, 2 * SECOND, 4 * SECOND)), now_ns=99 * SECOND)

    one = found.retries.shown[0]
    assert (SECOND, 2 * SECOND, 4 * SECOND) == one.gaps_ns
    assert (PolicyName.EXPONENTIAL, SECOND, False) == (
        one.policy.name,
        one.policy.first_ns,
        one.policy.jitter,
    )


# --- presentation --------------------------------------------------------------------------------


def test_document_is_json_in_seconds_in_a_fixed_order() -> None:
    """Lengths are seconds, counts integers, sections in one order."""
    spans = list(attempts(SECOND, 2 * SECOND))
    spans[-1].outcome = Outcome.CLIENT_GONE
    found = build(spans, run="demo", now_ns=99 * SECOND, dropped=4)

    shown = document(found)

    assert [
        "run",
        "figures",
        "outcomes",
        "statuses",
        "time",
        "in_flight",
        "lower_bound",
        "connections",
        "lateness",
        "retries",
        "cancellations",
        "faults",
        "rejections",
        "queue",
        "barrier",
    ] == list(shown)
    read = json.loads(json.dumps(shown, allow_nan=False))
    assert (6.0, 4, 2, 1.0) == tuple(
        read["figures"][name] for name in ("makespan", "dropped", "retries", "wasted")
    )
    assert [1.0, 2.0] == read["retries"]["shown"][0]["gaps"]
    assert {"span": "1-3", "waited": 1.0, "planned": None} == read["cancellations"]["shown"][0]
    assert [span_name(number) for number in found.peak_spans] == read["in_flight"]["peak_spans"]
    assert (0, 0.0) == (read["in_flight"]["now"], read["in_flight"]["peak_at"])


def test_document_tells_what_faults_and_limits_did() -> None:
    """Counts by name, held time in seconds."""
    spans = [
        make(1, 0, 9, fault="reset", outcome=Outcome.FAULTED, queue_wait_ns=3 * SECOND),
        make(2, 0, 9, fault="rate", outcome=Outcome.REJECTED, status=429),
    ]

    shown = document(of(spans))

    assert {
        "faults": {"rate": 1, "reset": 1},
        "rejections": {"rate": 1},
        "queue": {"spans": 1, "total": 3.0, "longest": 3.0},
        "barrier": {"spans": 0, "total": 0.0, "longest": 0.0},
    } == {name: shown[name] for name in ("faults", "rejections", "queue", "barrier")}


def test_document_of_an_empty_run_is_json() -> None:
    """What does not exist is null, not an error."""
    read = json.loads(json.dumps(document(of([])), allow_nan=False))

    assert (None, None, 0.0) == (
        read["time"]["first_arrival"],
        read["in_flight"]["peak_at"],
        read["time"]["makespan"],
    )


def test_stream_is_read_once_and_a_batch_at_a_time() -> None:
    """A million spans need no list: what was read is let go of."""
    read: list[int] = []

    def stream() -> Iterator[Span]:
        for number in range(10):
            read.append(number)
            yield make(number, number, number + 1)

    with mock.patch.object(report, "SIZE", 2):
        found = build(stream(), run="demo", now_ns=NOW)

    assert (list(range(10)), 10) == (read, found.requests)
