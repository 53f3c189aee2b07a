"""Two runs side by side: what changed, and both on one axis."""

from random import Random

import pytest

from app import compare
from app.compare import document, rows, text
from app.findings import Reading, reading
from app.report import build
from app.words import TIMES
from tests.simulated import Request, limited, spans_of


def read(requests: list[Request], run: str, *, pooled: bool = True) -> Reading:
    spans = spans_of(requests, pooled=pooled)
    last = max((span.end_ns or 0 for span in spans), default=0)
    return reading(build(iter(spans), run=run, now_ns=last), spans)


def five_calls(*, overlapped: bool) -> list[Request]:
    moment, requests = 0.0, []
    for delay in (5, 7, 5, 5, 7):
        requests.append(Request(moment, moment + delay))
        moment = 0 if overlapped else moment + delay
    return requests


BEFORE = read(five_calls(overlapped=False), "before")
AFTER = read(five_calls(overlapped=True), "after")

TUTORIAL = """\
                before  after
requests             5      5
peak                 1      5    5.0x
connections          1      5    5.0x
mean_in_flight    1.00   4.14    4.1x
speedup           1.00   4.14    4.1x
reuse             0.80   0.00  -100 %
makespan          29 s    7 s   -76 %
new: unbounded (note)
gone: sequential (note)

before
#  reply  plan
1    200   5 s  ░░░░░░░░░░█
2    200   7 s             ░░░░░░░░░░░░░░█
3    200   5 s                            ░░░░░░░░░░█
4    200   5 s                                       ░░░░░░░░░░█
5    200   7 s                                                  ░░░░░░░░░░░░░░░█
in flight       1111111111111111111111111111111111111111111111111111111111111111
seconds         0──────────5──────────10─────────15─────────20─────────25───────
░ waiting  █ reply

after
#  reply  plan
1    200   5 s  ░░░░░░░░░░█
2    200   7 s  ░░░░░░░░░░░░░░█
3    200   5 s  ░░░░░░░░░░█
4    200   5 s  ░░░░░░░░░░█
5    200   7 s  ░░░░░░░░░░░░░░█
in flight       5555555555552222
seconds         0──────────5──────────10─────────15─────────20─────────25───────
░ waiting  █ reply
"""


def test_picture_of_the_tutorial_is_recognised_at_once() -> None:
    """Sequential calls end to end above, overlapping ones below: 29 s against 7."""
    assert TUTORIAL == text(BEFORE, AFTER, width=80).replace(TIMES, "x")


@pytest.mark.parametrize("width", [40, 57, 80, 140])
def test_no_line_of_the_pictures_is_longer_than_asked_for(width: int) -> None:
    """So that a log does not break them."""
    assert max(map(len, text(BEFORE, AFTER, width=width).splitlines())) <= max(width, 40)


def test_run_compared_with_itself_has_not_changed() -> None:
    """And that is said."""
    page = text(BEFORE, BEFORE, width=80)

    assert "no figure differs" in page
    assert "new:" not in page
    assert "gone:" not in page
    assert not [row for row in rows(BEFORE.report, BEFORE.report) if row.changed]


def test_runs_without_requests_can_be_compared() -> None:
    """There is nothing to compare."""
    empty = read([], "empty")

    assert "no figure differs" in text(empty, empty, width=80)
    assert "makespan" in text(empty, AFTER, width=80)


def test_status_that_one_run_never_had_was_had_0_times() -> None:
    """A figure that one report lacks."""
    failed = read([Request(0, 1, {"status": 503})], "failed")

    found = {row.name: (row.before, row.after) for row in rows(AFTER.report, failed.report)}

    assert ((5, 0), (0, 1)) == (found["status.200"], found["status.503"])


def test_document_has_all_figures_and_what_came_and_went() -> None:
    """For programs."""
    one = read(limited(Random(1), count=20, limit=1, delay=lambda: 0.1), "one")
    many = read(limited(Random(1), count=20, limit=5, delay=lambda: 0.1), "many")

    compared = document(one, many)

    assert ["one", "many"] == compared["runs"]
    assert {"before": 1, "after": 5, "changed": True} == compared["figures"]["peak"]  # type: ignore[index]
    assert ["sequential"] == [
        finding["code"]
        for finding in compared["findings"]["vanished"]  # type: ignore[index]
    ]


def test_note_that_became_a_warning_has_appeared() -> None:
    """And a warning that became a note is gone."""
    few = read(limited(Random(1), count=9, limit=1, delay=lambda: 0.1), "few").found
    more = read(limited(Random(1), count=30, limit=1, delay=lambda: 0.1), "more").found

    assert ["sequential"] == [one.code for one in compare.appeared(few, more)]
    assert [] == compare.appeared(more, few)
