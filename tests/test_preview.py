"""Tests of `app.preview`: a look ahead shows what requests will meet."""

import heapq
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import Problem
from app.plan import Asked, Limits, Ordinal, Plan, Planner, SeededDraws, draw
from app.preview import Preview, json_text, preview

SECOND = 1_000_000_000
LIMITS = Limits(max_delay_ns=300 * SECOND, max_size=1 << 20)


@pytest.fixture
def planner() -> Planner:
    return Planner(LIMITS, profiles={"slow": {"delay": "2"}})


def test_a_preview_is_what_requests_meet(planner: Planner) -> None:
    """The same draws as those of requests with that seed, in order of arrival."""
    ahead = preview(planner, "seed=7&status=200,503&n=50&from=3&concurrency=5", time_scale=1)

    knobs = planner.read(Asked("seed=7&status=200,503"))
    met = tuple(draw(knobs, SeededDraws(7, number), number, LIMITS) for number in range(3, 53))
    assert Preview(first=3, concurrency=5, time_scale=1, plans=met) == ahead


def test_a_preview_with_a_key_is_what_its_attempts_meet(planner: Planner) -> None:
    """The first plan is that of attempt 1."""
    ahead = preview(planner, "seed=7&key=pay&n=4", time_scale=1)

    knobs = planner.read(Asked("seed=7"))
    attempts: list[Ordinal] = [("pay", number) for number in range(1, 5)]
    assert (
        tuple(draw(knobs, SeededDraws(7, each), each, LIMITS) for each in attempts) == ahead.plans
    )


def test_a_preview_shows_what_is_broken_and_what_fails(planner: Planner) -> None:
    """As `X-Dawdle-Fault` would name it; some faults leave the client no status."""
    query = "delay=0&seed=3&fault=reset:0.3,stall:0.3&fail=2:429&n=12"
    document = json.loads(json_text(preview(planner, query, time_scale=1)))

    plans = [(plan["status"], plan["fault"]) for plan in document["plans"]]
    assert [(429, "fail")] * 2 == plans[:2]
    assert {(200, None), (None, "reset"), (200, "stall")} == set(plans[2:])


def test_a_preview_of_a_barrier_foretells_no_wait(planner: Planner) -> None:
    """How long it takes is up to the others."""
    ahead = preview(planner, "barrier=3&delay=5&n=2", time_scale=1)

    assert [0, 0] == [plan.delay_ns for plan in ahead.plans]


def test_twenty_plans_from_the_first_on_one_at_a_time(planner: Planner) -> None:
    """What is shown unless asked otherwise."""
    ahead = preview(planner, "seed=1&_=cachebuster", time_scale=1)

    assert (0, 1, 20) == (ahead.first, ahead.concurrency, len(ahead.plans))


def test_what_is_certain_needs_no_seed(planner: Planner) -> None:
    """`seq` is known beforehand, and so are profiles with fixed delays."""
    ahead = preview(planner, "delay=seq(5s,7s,5s)&n=5", time_scale=1)

    assert [5, 7, 5, 5, 7] == [plan.delay_ns // SECOND for plan in ahead.plans]
    assert Plan(2 * SECOND) == preview(planner, "profile=slow&n=1", time_scale=1).plans[0]


def test_what_is_drawn_anew_is_refused(planner: Planner) -> None:
    """A preview of it would be fiction; the remedy is a seed."""
    with pytest.raises(Problem, match="add seed=1 here and to the requests") as refused:
        preview(planner, "delay=1-3", time_scale=1)

    assert "seed" == refused.value.parameter


@pytest.mark.parametrize(
    ("query", "code", "parameter", "sentence"),
    [
        ("n=0", "bad-knob", "n", "n: 0 is out of range; use 1 to 1000"),
        ("n=1001", "bad-knob", "n", "n: 1001 is out of range; use 1 to 1000"),
        ("n=x", "bad-knob", "n", "n: 'x' is not a whole number"),
        ("from=-1", "bad-knob", "from", "from: '-1' is not a whole number"),
        (
            "concurrency=0",
            "bad-knob",
            "concurrency",
            "concurrency: 0 is out of range; use 1 or more",
        ),
        ("concurrency=1.5", "bad-knob", "concurrency", "'1.5' is not a whole number"),
        ("n=1&n=2", "bad-query", "n", "in the query, 'n' is given twice"),
        ("seed=%ff", "bad-query", "seed", "in the query, '%ff' is not UTF-8"),
        ("deley=1", "unknown-knob", "deley", "the nearest is delay"),
        ("delay=nan", "bad-knob", "delay", "delay: 'nan' is not a duration"),
        ("drip=2&status=204", "impossible-combination", "drip", "a 204 has none"),
    ],
)
def test_a_bad_query_is_refused(
    planner: Planner, query: str, code: str, parameter: str, sentence: str
) -> None:
    """As `/aio` would, with its own three names judged alike."""
    with pytest.raises(Problem) as refused:
        preview(planner, query, time_scale=1)

    assert (code, parameter) == (refused.value.code, refused.value.parameter)
    assert sentence in refused.value.detail


@pytest.mark.parametrize("query", ["n=1000&delay=0", "delay=0&from=999999999999999999&n=2"])
def test_the_largest_previews(planner: Planner, query: str) -> None:
    """The limits themselves are allowed."""
    assert preview(planner, query, time_scale=1).plans


def makespan(delays: list[int], concurrency: int) -> int:
    """What a client needs that sends in order, as soon as a slot is free."""
    slots = [0] * concurrency
    for delay in delays:
        heapq.heapreplace(slots, slots[0] + delay)
    return max(slots)


@given(
    st.lists(st.integers(0, 300 * 10**6), min_size=1, max_size=30),
    st.integers(1, 40),
    st.sampled_from([0.0, 0.01, 1.0, 2.5, 10.0]),
)
def test_no_schedule_beats_the_lower_bound(
    microseconds: list[int], concurrency: int, time_scale: float
) -> None:
    """And one at a time, or all at once, it is exact."""
    plans = tuple(Plan(each * 1_000) for each in microseconds)
    real = [round(plan.delay_ns * time_scale) for plan in plans]

    bound = Preview(0, concurrency, time_scale, plans).lower_bound_ns

    assert max(real) <= bound <= makespan(real, concurrency)
    assert sum(real) == Preview(0, 1, time_scale, plans).lower_bound_ns
    assert max(real) == Preview(0, len(plans), time_scale, plans).lower_bound_ns


@pytest.mark.parametrize(
    ("query", "bound_s"),
    [
        ("concurrency=4", 5),
        ("concurrency=4&capacity=2", 10),
        ("concurrency=2&capacity=4", 10),
        ("capacity=4", 20),
    ],
)
def test_no_more_are_served_at_once_than_there_are_workers(
    planner: Planner, query: str, bound_s: int
) -> None:
    """However many a client sends."""
    ahead = preview(planner, f"delay=5&n=4&{query}", time_scale=1)

    assert bound_s * 10**9 == ahead.lower_bound_ns


def test_a_preview_as_json(planner: Planner) -> None:
    """Delays as in the replies, before the time scale; the lower bound after it."""
    ahead = preview(
        planner, "delay=seq(5,7.5,5)&status=503&n=3&from=1&concurrency=2", time_scale=0.1
    )

    assert {
        "plans": [
            {"n": 1, "delay": 7.5, "status": 503, "fault": "status"},
            {"n": 2, "delay": 5, "status": 503, "fault": "status"},
            {"n": 3, "delay": 5, "status": 503, "fault": "status"},
        ],
        "total_delay": 17.5,
        "longest_delay": 7.5,
        "time_scale": 0.1,
        "concurrency": 2,
        "lower_bound": 0.875,
    } == json.loads(json_text(ahead))


def test_a_preview_writes_numbers_as_replies_do(planner: Planner) -> None:
    """Exact, an int when whole, never with an exponent: `{"delay": 0.00001}`."""
    ahead = preview(planner, "delay=seq(0.01ms,3s)&n=2&concurrency=2", time_scale=0.00001)

    assert """{
  "plans": [
    {"n": 0, "delay": 0.00001, "status": 200, "fault": null},
    {"n": 1, "delay": 3, "status": 200, "fault": null}
  ],
  "total_delay": 3.00001,
  "longest_delay": 3,
  "time_scale": 0.00001,
  "concurrency": 2,
  "lower_bound": 0.00003
}
""" == json_text(ahead)


@given(st.lists(st.integers(0, 300 * 10**6), min_size=1, max_size=5), st.floats(0, 10))
def test_any_preview_is_json(microseconds: list[int], time_scale: float) -> None:
    """Its numbers read back as what they were."""
    plans = tuple(Plan(each * 1_000) for each in microseconds)

    document = json.loads(json_text(Preview(7, 3, time_scale, plans)))

    assert time_scale == document["time_scale"]
    assert [(7 + place, each / 10**6) for place, each in enumerate(microseconds)] == [
        (plan["n"], plan["delay"]) for plan in document["plans"]
    ]
