"""What the picture of a run is drawn from."""

import json
from typing import Any

import pytest

from app import report
from app.spans import FIELDS, Kind, Outcome, Span, span_id, span_name
from app.waterfall import Crowd, Selection, Window

BEGIN = 1_795_003_200 * 10**9
NOW = BEGIN + 1_000


def span(number: int, begin: int, end: int | None, **changes: Any) -> Span:
    """A span that many nanoseconds into the run."""
    end_ns = None if end is None else BEGIN + end
    made = Span(span_id(1, number), "ci", Kind.HTTP, "GET", "/aio", BEGIN + begin, end_ns=end_ns)
    made.outcome = Outcome.IN_FLIGHT if end is None else Outcome.COMPLETED
    for name, value in changes.items():
        setattr(made, name, value)
    return made


SPANS = [span(1, 0, 10, status=200), span(2, 5, 30, status=503), span(3, 20, None)]


def selected(**limits: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """(head, columns of each batch) of what is selected from `SPANS`."""
    selection = Selection(now_ns=NOW, most=3, **limits)
    selection.add(SPANS)
    head, *batches = map(json.loads, selection.lines("1-7"))
    return head, [batch["spans"] for batch in batches]


def test_spans_go_by_columns_with_moments_since_the_first_arrival() -> None:
    """All fields there are, however many; what all have in common stands alone."""
    head, [columns] = selected()

    assert {
        "begin_us": BEGIN / 1_000, "now_ns": 1_000, "events_after": "1-7", "count": 3,
        "most": 20_000,
    } == head  # fmt: skip
    assert set(FIELDS) == set(columns)
    assert ["1-1", "1-2", "1-3"] == columns["id"]
    assert ([0, 5, 20], [10, 30, None]) == (columns["arrival_ns"], columns["end_ns"])
    assert ("GET", [200, 503, None]) == (columns["method"], columns["status"])


@pytest.mark.parametrize(
    ("begin", "end", "expected"),
    [
        (0, 4, ["1-1"]),
        (10, 19, ["1-1", "1-2"]),
        (11, 19, ["1-2"]),
        (31, 40, ["1-3"]),  # in flight: it lasts until now
        (1_001, 2_000, []),
    ],
)
def test_window_has_what_overlaps_it(begin: int, end: int, expected: list[str]) -> None:
    """Also what began before and ends after."""
    head, batches = selected(window=Window(begin, end))

    assert len(expected) == head["count"]
    assert expected == [name for batch in batches for name in batch["id"]]


def test_ids_are_picked_out() -> None:
    """Of those that a finding points at."""
    _, [columns] = selected(ids={span_id(1, 2)})

    assert ["1-2"] == columns["id"]


def test_too_many_are_not_kept() -> None:
    """Nobody could tell them apart, and they would fill the memory."""
    selection = Selection(now_ns=NOW, most=2)
    selection.add(SPANS[:2])
    before = selection.is_crowded

    selection.add(SPANS[2:])

    assert (False, True) == (before, selection.is_crowded)
    assert 1 == len(list(selection.lines("1-7")))


def test_run_without_spans_begins_now() -> None:
    """The page waits for the first."""
    [head] = map(json.loads, Selection(now_ns=NOW, most=1).lines("1-7"))

    assert (NOW / 1_000, 0, 0) == (head["begin_us"], head["now_ns"], head["count"])


def counted(spans: list[Span], window: Window | None = None, most: int = 10) -> dict[str, Any]:
    crowd = Crowd(report.build(spans, run="ci", now_ns=NOW), window, most)
    crowd.add(spans)
    head, body = map(json.loads, crowd.lines("1-7"))
    assert len(spans) == head["count"]
    return dict(body)


def test_crowd_counts_ends_by_how_and_when() -> None:
    """Columns of equal length from the first arrival to the last end, which is in the last."""
    spans = [*SPANS[:2], span(3, 20, 25, outcome=Outcome.CLIENT_GONE)]

    crowd = counted(spans)["crowd"]

    assert (0, 3, 10) == (crowd["begin_ns"], crowd["column_ns"], crowd["columns"])
    assert {
        "completed": [0, 0, 0, 1, 0, 0, 0, 0, 0, 0],
        "client_gone": [0, 0, 0, 0, 0, 0, 0, 0, 1, 0],
        "error_status": [0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
    } == crowd["ends"]


def test_crowd_of_a_window_leaves_out_what_ended_elsewhere() -> None:
    """Before it or after it; its curve is that of the whole run."""
    body = counted(SPANS, Window(20, 40), most=2)

    assert ({"error_status": [0, 1]}, 10) == (body["crowd"]["ends"], body["crowd"]["column_ns"])
    assert 2 == max(body["curve"]["levels"])


def test_span_in_flight_counts_as_of_now() -> None:
    """It is part of the picture."""
    assert [0, 1] == counted(SPANS, most=2)["crowd"]["ends"]["in_flight"]


def test_all_over_at_once_is_a_crowd_of_one_column() -> None:
    """Nothing is divided by nothing."""
    assert {"completed": [1]} == counted([span(1, 0, 0)])["crowd"]["ends"]


def test_names_of_spans_lead_back_to_their_numbers() -> None:
    """The picture and the findings speak of the same ones."""
    _, [columns] = selected()

    assert [span_name(one.id) for one in SPANS] == columns["id"]
