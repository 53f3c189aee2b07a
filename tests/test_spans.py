"""Tests of `app.spans`: names, figures of one span, and its record."""

import json
import re
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.spans import (
    FIELDS,
    Kind,
    Outcome,
    Span,
    arrival_order,
    record,
    span_id,
    span_name,
    span_number,
)

MS = 1_000_000
SPAN = Span(
    id=span_id(3, 17), run="ci-1", kind=Kind.HTTP, method="GET", target="/aio", arrival_ns=5
)

boots = st.integers(0, 1 << 20)
sequences = st.integers(0, (1 << 40) - 1)


@given(boots, sequences)
def test_a_span_is_named_by_boot_and_sequence(boot: int, sequence: int) -> None:
    """`BOOT-SEQ`, both in decimal."""
    assert f"{boot}-{sequence}" == span_name(span_id(boot, sequence))


@given(st.tuples(boots, sequences), st.tuples(boots, sequences))
def test_ids_ascend_in_order_of_arrival(first: tuple[int, int], second: tuple[int, int]) -> None:
    """A later boot is later, then a later arrival."""
    assert (first < second) == (span_id(*first) < span_id(*second))


def test_a_new_span_is_in_flight() -> None:
    """Nothing has happened to it yet but its arrival."""
    assert Outcome.IN_FLIGHT is SPAN.outcome
    assert "3-17" == SPAN.name
    assert [None] * 3 == [SPAN.end_ns, SPAN.lateness_ns, SPAN.scaled_delay_ns]


@pytest.mark.parametrize(
    ("delay_ns", "time_scale", "scaled_ns"),
    [
        (0, 1.0, 0),
        (7, 1.0, 7),
        (1_000 * MS, 0.01, 10 * MS),
        (5, 0.0, 0),
        (5, 10.0, 50),
        (None, 2.0, None),
    ],
)
def test_the_plan_times_the_time_scale_is_what_is_waited(
    delay_ns: int | None, time_scale: float, scaled_ns: int | None
) -> None:
    """`delay_ns` itself stays as planned."""
    assert scaled_ns == replace(SPAN, delay_ns=delay_ns, time_scale=time_scale).scaled_delay_ns


REPLIED = replace(
    SPAN,
    queue_wait_ns=50 * MS,
    delay_ns=100 * MS,
    time_scale=0.5,
    wait_begun_ns=60 * MS,
    first_byte_ns=112 * MS,
    last_byte_ns=115 * MS,
)


@pytest.mark.parametrize(
    ("span", "lateness_ns"),
    [
        (REPLIED, 2 * MS),
        (replace(REPLIED, drip=4), 5 * MS),
        (replace(REPLIED, drip=4, last_byte_ns=None), None),
        (replace(REPLIED, last_byte_ns=None), 2 * MS),
        (replace(REPLIED, first_byte_ns=110 * MS), 0),
        (replace(REPLIED, first_byte_ns=None), None),
        (replace(REPLIED, wait_begun_ns=None), None),
        (replace(REPLIED, delay_ns=None), None),
        (replace(REPLIED, outcome=Outcome.REJECTED), None),
        (replace(REPLIED, outcome=Outcome.SHUTDOWN), None),
        (replace(REPLIED, outcome=Outcome.CLIENT_GONE), 2 * MS),
    ],
)
def test_lateness_counts_from_the_beginning_of_the_wait(
    span: Span, lateness_ns: int | None
) -> None:
    """To the first byte, with drip to the last; queueing is no lateness."""
    assert lateness_ns == span.lateness_ns


def test_a_record_has_every_field_by_its_own_name() -> None:
    """The id as clients saw it; the rest as JSON can say it."""
    shown = json.loads(json.dumps(record(replace(REPLIED, outcome=Outcome.CLIENT_GONE))))

    assert list(FIELDS) == list(shown)
    assert ("3-17", "http", "client_gone", "GET", 5, None) == tuple(
        shown[name] for name in ("id", "kind", "outcome", "method", "arrival_ns", "key")
    )


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 99)), unique_by=lambda pair: pair[1]))
def test_arrivals_are_ordered_by_time_then_by_id(pairs: list[tuple[int, int]]) -> None:
    """The clock can't tell two of the same nanosecond apart; ids can."""
    spans = [replace(SPAN, arrival_ns=arrival, id=number) for arrival, number in sorted(pairs)]
    shuffled = Random(0).sample(spans, len(spans))

    assert spans == arrival_order(shuffled)


def test_the_outcomes_are_those_of_the_reference() -> None:
    """Stored and exported by these texts; renaming one breaks old data."""
    assert [
        "in_flight",
        "completed",
        "client_gone",
        "faulted",
        "rejected",
        "error",
        "shutdown",
    ] == [str(outcome) for outcome in Outcome]
    assert ["http", "echo", "websocket"] == [str(kind) for kind in Kind]


@given(boots, sequences)
def test_name_of_a_span_leads_back_to_its_number(boot: int, sequence: int) -> None:
    """What clients are shown can be asked for."""
    number = span_id(boot, sequence)

    assert number == span_number(span_name(number))


@pytest.mark.parametrize(
    "name", ["", "1", "1-", "-1", "1-2-3", "a-1", "1-٣", " 1-2", "1-2\n", f"1-{1 << 40}"]
)
def test_what_is_no_name_of_a_span_is_refused(name: str) -> None:
    """Nothing is guessed."""
    with pytest.raises(ValueError, match=f"^{re.escape(name)}$"):
        span_number(name)
