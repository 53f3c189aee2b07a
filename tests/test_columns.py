"""Spans by column, held against the same spans in a list."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.columns import Columns, joined
from app.spans import Kind, Outcome, Span, span_id
from tests.fakes import make_span


@st.composite
def _spans(draw: st.DrawFn) -> list[Span]:
    """Some that have much in common, of two boots, in order of arrival."""
    numbers = draw(st.lists(st.tuples(st.integers(1, 2), st.integers(1, 40)), unique=True))
    return [
        replace(
            make_span(),
            id=span_id(*number),
            kind=draw(st.sampled_from([Kind.HTTP, Kind.ECHO])),
            outcome=draw(st.sampled_from([Outcome.COMPLETED, Outcome.IN_FLIGHT])),
            status=draw(st.sampled_from([None, 200])),
        )
        for number in sorted(numbers)
    ]


@given(_spans())
def test_spans_come_back_as_they_were(spans: list[Span]) -> None:
    """Whatever they have in common."""
    columns = Columns.of(spans)

    assert spans == columns.spans()
    assert [span.outcome for span in spans] == columns["outcome"]
    assert len(spans) == len(columns)


@given(_spans(), st.lists(st.integers(0, 4), min_size=80, max_size=80))
def test_parts_in_any_order_are_joined_by_arrival(spans: list[Span], parts: list[int]) -> None:
    """Pages overlap: each has what ended together."""
    dealt = [
        Columns.of([span for span, part in zip(spans, parts, strict=False) if part == which])
        for which in range(5)
    ]

    assert spans == joined(dealt).spans()


def test_nothing_joined_is_nothing() -> None:
    """A run without spans."""
    assert [] == joined([]).spans()


@given(_spans())
def test_those_with_a_value_are_chosen(spans: list[Span]) -> None:
    """And where all have it, nothing is copied."""
    columns = Columns.of(spans)

    chosen = columns.where("kind", Kind.HTTP)

    assert [span for span in spans if span.kind is Kind.HTTP] == chosen.spans()
    assert chosen.where("kind", Kind.HTTP).spans() == chosen.spans()


@given(_spans(), st.integers(1, 7))
def test_pieces_and_boots_lose_nothing(spans: list[Span], size: int) -> None:
    """No piece is larger than asked, and none has spans of two boots."""
    boots = list(Columns.of(spans).boots())
    pieces = [piece for boot in boots for piece in boot.pieces(size)]

    assert spans == [span for piece in pieces for span in piece.spans()]
    assert all(len(piece) <= size for piece in pieces)
    assert sorted({span.id >> 40 for span in spans}) == [boot.ids[0] >> 40 for boot in boots]


@pytest.mark.parametrize(("count", "expected"), [(-1, 0), (0, 0), (1, 1), (2, 2), (3, 2)])
def test_first_are_at_most_so_many(count: int, expected: int) -> None:
    """A reader who has enough asks for less than nothing."""
    columns = Columns.of([make_span(1), make_span(2)])

    assert expected == len(columns.first(count))


def test_values_are_counted() -> None:
    """Also where there is but one."""
    columns = Columns.of([make_span(1, method="GET"), make_span(2, method="PUT")])

    assert ({"GET": 1, "PUT": 1}, {"1.1": 2}) == (
        columns.counts("method"),
        columns.counts("http_version"),
    )
