"""A job in JSON and in words, and which of its results are wanted."""

from dataclasses import replace
from typing import Any

import pytest

from app.errors import BadValue
from app.titles import view
from app.titles.job import Job, Page, Sort, State
from app.titles.options import Options
from app.titles.results import Code, Result
from app.titles.view import PLAIN, View

SECOND = 1_000_000_000
MADE = 1_795_003_200 * SECOND  # Wed, 18 Nov 2026 12:00:00 GMT
JOB = Job(
    name="7",
    label="",
    state=State.RUNNING,
    options=Options(),
    created_ns=MADE,
    started_ns=MADE + SECOND,
    ended_ns=None,
    urls=50,
    repeats=3,
    errors={"timeout": 1, "http_error": 2},
    done=20,
    rate=4.00044,
    left_s=7.4,
)
URLS = {"job": "http://127.0.0.1:3000/titles/7"}


# --- which results -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("", View()),
        ("offset=100&limit=10", View(offset=100, limit=10)),
        ("sort=elapsed&error=timeout", View(sort="elapsed", error="timeout")),
        ("sort=-title&error=any", View(sort="-title", error="any")),
        ("error=none", View(error="none")),
    ],
)
def test_query_says_which_results(query: str, wanted: View) -> None:
    """And the other way round."""
    assert wanted == view.read(query)
    assert wanted == view.read(wanted.query.removeprefix("?"))


def test_what_goes_without_saying_is_not_said() -> None:
    """So that addresses stay short."""
    assert ("", "?limit=10") == (PLAIN.query, View(limit=10).query)


@pytest.mark.parametrize("sort", ["elapsed", "-elapsed"])
def test_minus_sorts_the_other_way_round(sort: str) -> None:
    """By the same."""
    assert (Sort.ELAPSED, sort == "-elapsed") == (View(sort=sort).by, View(sort=sort).descending)


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("offset=-1", "offset"),
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=x", "limit"),
        ("sort=age", "sort"),
        ("sort=--url", "sort"),
        ("error=boredom", "error"),
        ("page=2", "page"),
        ("limit=1&limit=1", "limit"),
    ],
)
def test_bad_query_is_refused(query: str, parameter: str) -> None:
    """By the name at fault."""
    with pytest.raises(BadValue) as refusal:
        view.read(query)

    assert parameter == refusal.value.parameter


# --- for programs --------------------------------------------------------------------------------


def test_document_says_where_the_job_stands() -> None:
    """Moments as RFC 3339, lengths in seconds, counts together."""
    assert {
        "job": "7",
        "state": "running",
        "options": {"concurrency": 50, "per_host": 6, "timeout": "10s", "retries": 2},
        "created_at": "2026-11-18T12:00:00.000Z",
        "started_at": "2026-11-18T12:00:01.000Z",
        "ended_at": None,
        "counts": {
            "urls": 50,
            "repeats": 3,
            "done": 20,
            "succeeded": 17,
            "failed": 3,
            "left": 30,
            "errors": {"timeout": 1, "http_error": 2},
        },
        "rate": 4.0,
        "time_left": 7.4,
        "trouble": None,
    } == view.document(JOB)


def paged(offset: int, total: int, **wanted: Any) -> dict[str, Any]:
    results = [Result(f"https://{n}.example/") for n in range(offset, min(total, offset + 10))]
    document = view.with_results(
        JOB, Page(results, total), View(offset=offset, limit=10, **wanted), URLS
    )
    page: dict[str, Any] = document["page"]
    return page


def test_results_come_in_pages_with_the_way_to_the_next() -> None:
    """What was asked for stays asked for."""
    assert {
        "offset": 0,
        "limit": 10,
        "sort": "-url",
        "error": "none",
        "total": 25,
        "next": "http://127.0.0.1:3000/titles/7?offset=10&limit=10&sort=-url&error=none",
    } == paged(0, 25, sort="-url", error="none")
    assert paged(10, 25)["next"] == "http://127.0.0.1:3000/titles/7?offset=20&limit=10"
    assert paged(20, 25)["next"] is None
    assert paged(0, 0)["next"] is None


# --- for people ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "claim", "aside"),
    [
        ({}, "20 of 50 pages fetched.", "3 failed. About 7\xa0s to go. 3 repeats left out."),
        ({"left_s": 0.2, "errors": {}, "repeats": 1}, "20 of 50 pages fetched.",
         "About 1\xa0s to go. 1 repeat left out."),
        ({"state": State.QUEUED, "done": 0, "errors": {}, "left_s": None, "repeats": 0},
         "50 pages to fetch, when the turn comes.", ""),
        ({"state": State.CANCELLED, "repeats": 0}, "Cancelled after 20 of 50 pages.", "3 failed."),
        ({"state": State.DONE, "done": 50, "repeats": 0}, "47 of 50 pages have a title.",
         "3 failed."),
        ({"state": State.DONE, "urls": 1, "done": 1, "errors": {}, "repeats": 0},
         "The page has a title.", ""),
        ({"state": State.DONE, "urls": 1, "done": 1, "errors": {"timeout": 1}, "repeats": 0},
         "The page has no title to show.", ""),
    ],
)  # fmt: skip
def test_headline_says_what_the_job_comes_to(
    changes: dict[str, Any], claim: str, aside: str
) -> None:
    """In one sentence, and what else is worth knowing."""
    headline = view.headline(replace(JOB, **changes))

    assert (claim, aside) == (headline.claim, headline.aside)


def test_filters_count_what_they_lead_to() -> None:
    """All, the titles, the failures, and each code; from the first result on."""
    links = view.filters(JOB, View(offset=100, error="any"))

    assert [
        ("All", 20, "", False),
        ("Titles", 17, "?error=none", False),
        ("Failed", 3, "?error=any", True),
        ("timeout", 1, "?error=timeout", False),
        ("http_error", 2, "?error=http_error", False),
    ] == [(link.words, link.count, link.query, link.is_current) for link in links]


@pytest.mark.parametrize(
    ("sort", "after", "order"),
    [
        ("position", "?sort=-elapsed", None),
        ("-elapsed", "?sort=elapsed", "descending"),
        ("elapsed", "", "ascending"),
    ],
)
def test_head_sorts_then_turns_round_then_lets_go(sort: str, after: str, order: str | None) -> None:
    """The slowest first, for that is what one looks for."""
    column = view.columns(View(sort=sort, offset=100))["elapsed"]

    assert (after, order) == (column.query, column.order)


def test_text_sorts_from_its_beginning() -> None:
    """A to Z at the first click."""
    assert "?sort=title" == view.columns(PLAIN)["title"].query


@pytest.mark.parametrize(
    ("offset", "total", "expected"),
    [
        (0, 10, []),
        (0, 11, [("Further", "?offset=10&limit=10")]),
        (5, 15, [("Earlier", "?limit=10")]),
        (
            20,
            50,
            [("Earlier", "?offset=10&limit=10"), ("Further", "?offset=30&limit=10")],
        ),
    ],
)
def test_pages_lead_on_and_back(offset: int, total: int, expected: list[tuple[str, str]]) -> None:
    """Where there is anything."""
    links = view.pages(View(offset=offset, limit=10), total)

    assert expected == [(link.words, link.query) for link in links]


def test_every_code_can_be_filtered_by() -> None:
    """And no other word but any and none."""
    assert {"any", "none", *Code} == set(view.ERRORS)
