"""The picture of a run: well-formed, self-contained, and as much in it as can be seen."""

import re
from itertools import pairwise
from random import Random
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app import svg
from app.columns import Columns
from app.findings import Reading, reading
from app.report import build
from app.spans import Outcome, Span
from app.svg import Density, Panel, drawing
from tests.fakes import make_span
from tests.simulated import BEGIN, Request, fan_out, gone, limited, spans_of

SPACE = "{http://www.w3.org/2000/svg}"


def read(spans: list[Span], run: str = "demo") -> Reading:
    last = max((span.end_ns or 0 for span in spans), default=0)
    return reading(build(iter(spans), run=run, now_ns=last), spans)


def drawn(*readings: Reading) -> ET.Element:
    return ET.fromstring(drawing([Panel(one) for one in readings]))


def of_class(picture: ET.Element, name: str) -> list[ET.Element]:
    return [one for one in picture.iter() if name in one.get("class", "").split()]


def five_calls(*, overlapped: bool) -> list[Span]:
    moment, requests = 0.0, []
    for delay in (5, 7, 5, 5, 7):
        requests.append(Request(moment, moment + delay))
        moment = 0 if overlapped else moment + delay
    return spans_of(requests)


def test_picture_of_the_tutorial_is_recognised_at_once() -> None:
    """Sequential calls end to end above, overlapping ones below, on one time axis."""
    picture = drawn(
        read(five_calls(overlapped=False), "one after another"),
        read(five_calls(overlapped=True), "overlapped"),
    )

    waits = [
        (float(one.attrib["x"]), float(one.attrib["width"])) for one in of_class(picture, "wait")
    ]
    sequential, overlapped = waits[:5], waits[5:]
    for (left, wide), (begin, _) in pairwise(sequential):
        assert left + wide == pytest.approx(begin, abs=0.2)
    assert [svg.LEFT] * 5 == [left for left, _ in overlapped]
    # 29 s take the whole width, so 7 s take 7/29 of it.
    assert svg.PLOT == pytest.approx(sum(wide for _, wide in sequential), abs=1)
    assert svg.PLOT * 7 / 29 == pytest.approx(max(wide for _, wide in overlapped), abs=0.2)
    rows = [float(one.attrib["y"]) for one in of_class(picture, "wait")]
    assert max(rows[:5]) < min(rows[5:])


def test_ten_requests_have_a_row_and_a_label_each() -> None:
    """And each says what it is when it is pointed at."""
    rng = Random(1)
    picture = drawn(read(spans_of(limited(rng, count=10, limit=3, delay=lambda: 1))))

    rows = {one.attrib["y"] for one in of_class(picture, "wait")}
    titles = [one.text or "" for one in picture.iter(f"{SPACE}title")]
    labels = [one.text or "" for one in picture.iter(f"{SPACE}text")]
    assert 10 == len(rows)
    assert sum("/aio?page=" in title for title in titles) == 10
    assert "1 · 200 · 1 s" in labels


def test_longest_label_has_room_beside_the_bars() -> None:
    """A label of the longest fault and a wait of minutes is not cut off at the edge."""
    request = Request(0, 270, {"outcome": Outcome.FAULTED, "fault": "short_length"})
    picture = drawn(read(spans_of([request] * svg.MOST_ROWS)))

    labels = {one.text or "" for one in picture.iter(f"{SPACE}text")}
    longest = "60 · short_length · 4:30 min"
    assert longest in labels
    assert len(longest) * 6.2 < svg.LEFT - 10  # as wide as browsers draw them, 12 pixels high


def test_many_requests_are_packed_into_as_many_lanes_as_overlap() -> None:
    """Four hundred, forty at a time: forty lanes."""
    rng = Random(1)
    picture = drawn(read(spans_of(limited(rng, count=400, limit=40, delay=rng.random))))

    waits = of_class(picture, "wait")
    assert 400 == len(waits)
    assert 40 == len({one.attrib["y"] for one in waits})


def test_five_thousand_requests_are_still_drawn_one_by_one_in_little_space() -> None:
    """A path for all that ended alike."""
    rng = Random(1)
    requests = limited(rng, count=5_000, limit=100, delay=lambda: rng.uniform(0.3, 2))
    text = drawing([Panel(read(spans_of(requests)))])

    [path] = of_class(ET.fromstring(text), "wait")
    assert 5_000 == path.attrib["d"].count("M")
    assert len(text) < 250_000


@pytest.mark.parametrize("count", [300, 5_001])
def test_too_many_at_once_are_an_area_by_outcome(count: int) -> None:
    """Whether too many lanes, or too many requests."""
    rng = Random(1)
    spans = spans_of(fan_out(rng, count=count, delay=lambda: rng.uniform(1, 3)))
    for span in spans[::5]:
        span.outcome, span.status = Outcome.CLIENT_GONE, None
    density = Density(read(spans).report)
    density.add(Columns.of(spans))
    panel = Panel(read(spans[: svg.MOST_BARS]) if count < 5_000 else read(spans), density)

    picture = ET.fromstring(drawing([panel]))

    assert [["completed", "area"], ["client_gone", "area"]] == [
        one.attrib["class"].split() for one in of_class(picture, "area")
    ]
    assert [] == of_class(picture, "wait")


def test_short_requests_are_in_the_area_too() -> None:
    """Those that begin and end within a column, and a run that brings no sums of its own."""
    rng = Random(1)
    requests = fan_out(rng, count=300, delay=lambda: 0.0001) + [Request(0, 60), Request(1, 2)] * 125

    picture = drawn(read(spans_of(requests)))

    assert 1 == len(of_class(picture, "area"))


def test_reply_that_takes_its_time_is_drawn_as_such() -> None:
    """From the first byte on, in full colour."""
    slow = Request(0, 4, {"first_byte_ns": BEGIN + 10**9})

    picture = drawn(read(spans_of([slow])))

    [body] = of_class(picture, "body")
    assert svg.PLOT * 3 / 4 == pytest.approx(float(body.attrib["width"]), abs=0.2)


def test_area_of_what_is_drawn_is_the_time_in_flight() -> None:
    """The mean in flight of each column, times its length, is all there was."""
    rng = Random(1)
    spans = spans_of(fan_out(rng, count=500, delay=lambda: rng.uniform(0.001, 3)))
    for span in spans[::3]:
        span.outcome, span.status = Outcome.CLIENT_GONE, None
    report = read(spans).report
    density = Density(report)
    density.add(Columns.of(spans[:200]))
    density.add(Columns.of(spans[200:]))

    total = sum(map(sum, density.levels().values())) * report.makespan_ns / density.columns

    assert report.in_flight_ns == pytest.approx(total)
    assert max(density.levels()["completed"]) <= report.peak


def test_drawing_needs_nothing_else_and_has_both_schemes() -> None:
    """No address but the name of the format; colours for light and dark inside."""
    text = drawing([Panel(read(five_calls(overlapped=True)))])

    assert {"http://www.w3.org/2000/svg"} == set(re.findall(r"https?://[^\"'<> )]+", text))
    assert "<script" not in text
    assert "prefers-color-scheme:dark" in text


def test_drawing_is_told_to_those_who_can_not_see_it() -> None:
    """A title, and a description with the figures and what was found."""
    picture = drawn(read(five_calls(overlapped=False)))

    assert ("img", "title desc") == (picture.get("role"), picture.get("aria-labelledby"))
    title, description = picture[0], picture[1]
    assert ("title", "desc") == (title.get("id"), description.get("id"))
    assert "demo" in (title.text or "")
    assert "5 requests, one after another: 29 s." in (description.text or "")
    assert "never two at once" in (description.text or "")


def test_findings_stand_below_the_bars() -> None:
    """In full, the warnings first."""
    rng = Random(1)
    picture = drawn(
        read(spans_of(limited(rng, count=50, limit=1, delay=lambda: 0.1), pooled=False))
    )

    words = " ".join(one.text or "" for one in picture.iter(f"{SPACE}text"))
    assert "warning: sequential" in words
    assert "never two at once" in words
    assert "warning: connection_per_request" in words


def test_every_outcome_has_its_mark_and_colours() -> None:
    """In both schemes."""
    spans = five_calls(overlapped=True)
    for span, outcome in zip(spans, list(Outcome)[1:], strict=False):
        span.outcome = outcome

    picture = drawn(read(spans))

    assert (
        set(svg.MARKS)
        == set(svg.LIGHT) - {"bg", "ink", "ink2", "line"}
        == set(svg.DARK)
        - {
            "bg",
            "ink",
            "ink2",
            "line",
        }
    )
    assert {"completed", "client_gone", "faulted", "rejected", "error"} <= {
        one.attrib["class"].split()[0] for one in of_class(picture, "mark")
    }


def test_queue_and_what_was_not_reached_are_drawn() -> None:
    """A line for the queue, dashes for what was planned and never came."""
    requests = [
        Request(0, 4, {"queue_wait_ns": 10**9, "wait_begun_ns": BEGIN + 10**9}),
        Request(0, 2, gone(delay_ns=5 * 10**9, first_byte_ns=None)),
    ]
    picture = drawn(read(spans_of(requests)))

    assert (1, 1) == (len(of_class(picture, "queue")), len(of_class(picture, "ghost")))


def test_run_without_requests_is_a_picture_as_well() -> None:
    """With its name, and that there is nothing yet."""
    words = [one.text for one in drawn(read([], "empty")).iter(f"{SPACE}text")]

    assert ["empty", "No requests yet."] == words


@given(st.text(max_size=40), st.text(max_size=20))
def test_whatever_a_client_sends_the_picture_is_well_formed(target: str, key: str) -> None:
    """Control characters, angle brackets, lone surrogates."""
    span = make_span(1, target=target, key=key or None, end_ns=BEGIN + 10, arrival_ns=BEGIN)

    text = drawing([Panel(read([span], "demo"))])

    assert ET.fromstring(text.encode()).tag == f"{SPACE}svg"
