from dataclasses import replace

import pytest

from app import formats, report
from app.clock import iso_text
from app.formats import Headline, headline
from app.report import Report
from app.spans import Kind, Outcome, Span, span_id

SECOND = 10**9
MILLISECOND = 10**6
DASH, TIMES = "\N{EN DASH}", "\N{MULTIPLICATION SIGN}"
NOON = 1_795_003_200 * SECOND


def span(number: int, begin: float, end: float | None, **values: object) -> Span:
    """A span that waited from *begin* to *end*, in seconds; None: it still does."""
    arrival = round(begin * SECOND)
    base = Span(span_id(1, number), "ci-1", Kind.HTTP, "GET", "/aio", arrival)
    base.wait_begun_ns = arrival
    if end is not None:
        base.end_ns = base.first_byte_ns = base.last_byte_ns = round(end * SECOND)
        base.delay_ns = base.end_ns - arrival
        base.outcome, base.status = Outcome.COMPLETED, 200
    return replace(base, **values)  # type: ignore[arg-type]


def build(*spans: Span, now: int = 60, dropped: int = 0) -> Report:
    return report.build(spans, run="ci-1", now_ns=now * SECOND, dropped=dropped)


@pytest.mark.parametrize(
    ("ns", "expected"),
    [
        (None, DASH),
        (0, "0\xa0s"),
        (7 * SECOND, "7\xa0s"),
        (250 * MILLISECOND, "250\xa0ms"),
        (1_200_000, "1.2\xa0ms"),
        (125 * SECOND, "2:05\xa0min"),
    ],
)
def test_length_is_written_as_people_say_it(ns: int | None, expected: str) -> None:
    """Few digits and a unit that is not torn off; a dash where there is nothing to tell."""
    assert expected == formats.length_text(ns)


def test_moment_is_utc_in_both_forms() -> None:
    """People and programs read the same moment; nobody has to guess the zone."""
    moment = NOON + 123_999_999

    assert "2026-11-18 12:00:00 UTC" == formats.moment_text(moment)
    assert "2026-11-18T12:00:00.123Z" == iso_text(moment)


@pytest.mark.parametrize(("ns", "expected"), [(0, "1970-01-01"), (-1, "1969-12-31")])
def test_moments_about_the_epoch_have_a_day(ns: int, expected: str) -> None:
    """A clock that is wrong gives a wrong date, never an error page."""
    assert formats.moment_text(ns).startswith(expected)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("thousands", 18204, "18,204"),
        ("thousands", 0, "0"),
        ("thousands", None, DASH),
        ("times", 7.84, f"7.8{TIMES}"),
        ("times", 1234.5, f"1,234{TIMES}"),
        ("times", None, DASH),
        ("per_cent", 0.714, "71\xa0%"),
        ("per_cent", None, DASH),
    ],
)
def test_number_is_written_for_reading(name: str, value: float | None, expected: str) -> None:
    """Counts in thousands, ratios as multiples or whole per cent, a dash for a ratio to nothing."""
    assert expected == formats.FILTERS[name](value)


FIVE = (5, 7, 5, 5, 7)
STARTS = (0, 5, 12, 17, 22)


@pytest.mark.parametrize(
    ("spans", "expected"),
    [
        ([], Headline("No requests yet.")),
        ([span(1, 0, 0)], Headline("1 request, and none had to wait.")),
        ([span(1, 0, 7)], Headline("One request, 7\xa0s from arrival to end.")),
        (
            [span(i, at, at + FIVE[i]) for i, at in enumerate(STARTS)],
            Headline(
                "5 requests, one after another: 29\xa0s.", "Overlapped they would take 7\xa0s."
            ),
        ),
        (
            [span(i, 0, seconds) for i, seconds in enumerate(FIVE)],
            Headline("29\xa0s of waiting done in 7\xa0s, up to 5 requests at a time."),
        ),
        (
            [span(1, 0, 4), span(2, 4, 8), span(3, 8, 12)],
            Headline(
                "3 requests, one after another: 12\xa0s.", "Overlapped they would take 4\xa0s."
            ),
        ),
        (
            [span(1, 0, 5), span(2, 5, 10)],
            Headline("2 requests, one after another: 10\xa0s."),
        ),
        (
            [span(1, 0, 20), span(2, 20, 20.1)],
            Headline("2 requests, one after another: 20.1\xa0s."),
        ),
    ],
)
def test_headline_says_what_the_run_comes_to(spans: list[Span], expected: Headline) -> None:
    """One after another is told from overlapped; what that would save only where it is half."""
    assert expected == headline(build(*spans))


def test_headline_adds_who_left_and_what_is_not_over() -> None:
    """Clients that left, requests in flight and spans that were lost are said at once."""
    spans = (span(1, 0, 5, outcome=Outcome.CLIENT_GONE), span(2, 0, None))

    aside = headline(build(*spans, dropped=3)).aside

    assert (
        "1 client left before the reply was complete. 1 still in flight. 3 spans could not be kept."
    ) == aside
