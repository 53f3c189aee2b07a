"""A run in the formats of other programs: valid by schema, and opened by readers of others."""

import csv
import io
import json
from collections.abc import Iterable, Iterator
from random import Random
from typing import Any

import pytest
from haralyzer import HarParser
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from app import exports
from app.exports import Export
from app.spans import FIELDS, Kind, Outcome, Span
from tests.fakes import BEGIN, SECOND, make_span
from tests.schemas import HAR, TRACE
from tests.simulated import limited, spans_of

ORIGIN = "http://127.0.0.1:3000"
NOW = BEGIN + 60 * SECOND
ALL = (exports.JSONL, exports.CSV, exports.HAR, exports.TRACE)


def text(export: Export, *batches: Iterable[Span]) -> str:
    """The whole export of spans that come in so many batches."""
    writer = export.writer(ORIGIN, NOW)
    return writer.head + "".join(map(writer.lines, batches)) + writer.tail


def archive(*spans: Span) -> dict[str, Any]:
    """The archive of these spans, which keeps to the schema."""
    read: dict[str, Any] = json.loads(text(exports.HAR, spans))
    Draft202012Validator(HAR).validate(read)
    return read


def events(*spans: Span) -> list[dict[str, Any]]:
    """The trace events of these spans, which keep to the schema."""
    read = json.loads(text(exports.TRACE, spans))
    Draft202012Validator(TRACE).validate(read)
    found: list[dict[str, Any]] = read["traceEvents"]
    return found


def ended(sequence: int = 1, seconds: float = 5.0, **changes: object) -> Span:
    """A span that was answered after so long."""
    end = BEGIN + round(seconds * SECOND)
    values: dict[str, object] = {
        "wait_begun_ns": BEGIN,
        "first_byte_ns": end,
        "last_byte_ns": end,
        "end_ns": end,
        "status": 200,
        "outcome": Outcome.COMPLETED,
        "bytes_out": 12,
        "connection": 3,
    }
    return make_span(sequence, **(values | changes))  # type: ignore[arg-type]  # several types


@st.composite
def _spans(draw: st.DrawFn) -> list[Span]:
    """Spans in every state, with whatever a client may have sent."""
    moments = st.one_of(st.none(), st.integers(0, 20))

    def one(number: int, arrival: int) -> Span:
        begun, byte, end = (draw(moments) for _ in range(3))
        queued = draw(st.integers(0, 5))
        return make_span(
            number,
            arrival_ns=BEGIN + arrival,
            target="/aio?" + draw(st.text(max_size=8)),
            method=draw(st.text(max_size=5)),
            key=draw(st.one_of(st.none(), st.text(max_size=5))),
            queue_wait_ns=queued,
            wait_begun_ns=None if begun is None else BEGIN + arrival + queued + begun,
            first_byte_ns=None if byte is None else BEGIN + arrival + byte,
            end_ns=None if end is None else BEGIN + arrival + end,
            outcome=draw(st.sampled_from(Outcome)),
            status=draw(st.one_of(st.none(), st.integers(200, 599))),
        )

    arrivals = sorted(draw(st.lists(st.integers(0, 40), max_size=12)))
    return [one(number, arrival) for number, arrival in enumerate(arrivals, 1)]


@given(_spans(), st.integers(1, 4))
def test_any_spans_make_a_valid_archive_and_valid_events(spans: list[Span], size: int) -> None:
    """Whatever came, in however many pieces."""
    batches = [spans[start : start + size] for start in range(0, len(spans), size)]

    for export, schema in ((exports.HAR, HAR), (exports.TRACE, TRACE)):
        whole = text(export, spans)
        Draft202012Validator(schema).validate(json.loads(whole))
        assert whole == text(export, *batches)
        assert whole.isascii()


@pytest.mark.parametrize("export", ALL)
def test_run_without_spans_is_a_whole_document(export: Export) -> None:
    """Nothing in it, and nothing wrong with it."""
    empty = text(export)

    if export.content_type == "application/json":
        assert isinstance(json.loads(empty), dict)
    assert text(export, []) == empty


def test_json_lines_and_csv_have_every_field() -> None:
    """As the reference names them."""
    spans = [ended(number) for number in (1, 2)]

    lines = [json.loads(line) for line in text(exports.JSONL, spans).splitlines()]
    rows = list(csv.DictReader(io.StringIO(text(exports.CSV, spans))))

    assert [FIELDS, FIELDS] == [tuple(line) for line in lines]
    assert [FIELDS, FIELDS] == [tuple(row) for row in rows]


# --- HTTP archive --------------------------------------------------------------------------------


def test_archive_is_opened_by_a_reader_that_nobody_here_wrote() -> None:
    """It finds the requests, their statuses and their times."""
    rng = Random(1)
    spans = spans_of(limited(rng, count=30, limit=5, delay=lambda: rng.uniform(0.1, 1)))

    parser = HarParser(archive(*spans))

    entries = [entry for page in parser.pages for entry in page.entries]
    assert 30 == len(entries)
    assert {200} == {entry.response.status for entry in entries}
    assert spans[0].end_ns is not None
    assert (spans[0].end_ns - spans[0].arrival_ns) / 1e6 == pytest.approx(entries[0].time)
    assert f"{ORIGIN}/aio?page=1" == entries[0].request.url


def test_phases_become_timings_that_add_up() -> None:
    """The queue and the barrier block, the delay is waited for, the rest is received."""
    span = ended(
        seconds=5,
        queue_wait_ns=SECOND,
        barrier_wait_ns=SECOND // 2,
        wait_begun_ns=BEGIN + 3 * SECOND // 2,
        first_byte_ns=BEGIN + 4 * SECOND,
    )

    [entry] = archive(span)["log"]["entries"]

    timings = entry["timings"]
    assert (1500, 2500, 1000) == (timings["blocked"], timings["wait"], timings["receive"])
    assert 5000 == entry["time"]
    assert "2023-11-14T22:13:20.000Z" == entry["startedDateTime"]


def test_query_is_listed_in_the_archive() -> None:
    """Blank values too."""
    [entry] = archive(ended(target="/aio?delay=5s&_=&x=%C3%BC"))["log"]["entries"]

    pairs = [(pair["name"], pair["value"]) for pair in entry["request"]["queryString"]]
    assert [("delay", "5s"), ("_", ""), ("x", "ü")] == pairs


@pytest.mark.parametrize(
    ("changes", "status", "milliseconds"),
    [
        ({"outcome": Outcome.CLIENT_GONE, "status": None, "first_byte_ns": None}, 0, 5000),
        ({"outcome": Outcome.IN_FLIGHT, "status": None, "end_ns": None}, 0, 60_000),
        ({"outcome": Outcome.REJECTED, "status": 429}, 429, 5000),
    ],
)
def test_reply_that_never_came_has_status_0(
    changes: dict[str, object], status: int, milliseconds: int
) -> None:
    """As browsers write it; what is in flight lasts until now."""
    [entry] = archive(ended(1, 5, **changes))["log"]["entries"]

    assert (status, milliseconds) == (entry["response"]["status"], entry["time"])


def test_websocket_is_an_entry_that_is_received_as_long_as_it_is_open() -> None:
    """As browsers write it; a TCP echo speaks no HTTP and is none."""
    websocket = ended(1, 3, kind=Kind.WEBSOCKET, target="/websocket/echo", status=101)
    echo = ended(2, 3, kind=Kind.ECHO, method="ECHO", target="127.0.0.1:7777")

    [entry] = archive(websocket, echo)["log"]["entries"]

    assert ("websocket", 101) == (entry["_resourceType"], entry["response"]["status"])
    assert (0, 0, 3_000) == tuple(entry["timings"][name] for name in ("blocked", "wait", "receive"))


def test_echo_has_no_phases_of_a_request() -> None:
    """It neither queues nor is delayed: it is open."""
    echo = ended(1, 3, kind=Kind.ECHO, method="ECHO", target="127.0.0.1:7777")
    echo.first_byte_ns = echo.arrival_ns + SECOND

    assert ["ECHO 127.0.0.1:7777"] == [one["name"] for one in complete(events(echo))]


def test_target_in_absolute_form_stays_as_it_is() -> None:
    """As proxies are sent it (RFC 9112 section 3.2.2)."""
    [entry] = archive(ended(target="http://other:3000/aio?delay=1"))["log"]["entries"]

    assert "http://other:3000/aio?delay=1" == entry["request"]["url"]


# --- trace events --------------------------------------------------------------------------------


def complete(found: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    return (event for event in found if event["ph"] == "X")


def test_requests_that_overlap_are_in_different_threads() -> None:
    """What shares a thread must be nested, and requests are not."""
    rng = Random(1)
    spans = spans_of(limited(rng, count=60, limit=7, delay=lambda: rng.uniform(0.1, 1)))

    found = [event for event in complete(events(*spans)) if event["name"].startswith("GET")]

    ends: dict[int, float] = {}
    for event in found:
        assert event["ts"] >= ends.get(event["tid"], 0) - 0.001
        ends[event["tid"]] = event["ts"] + event["dur"]
    assert set(range(1, 8)) == ends.keys()


def test_phases_are_nested_in_their_request() -> None:
    """Queue, barrier, delay and reply follow each other within it."""
    span = ended(
        queue_wait_ns=SECOND,
        barrier_wait_ns=SECOND,
        wait_begun_ns=BEGIN + 2 * SECOND,
        first_byte_ns=BEGIN + 4 * SECOND,
    )

    request, *phases = complete(events(span))

    assert (0, 5e6) == (request["ts"], request["dur"])
    assert [("queue", 0, 1e6), ("barrier", 1e6, 1e6), ("delay", 2e6, 2e6), ("reply", 4e6, 1e6)] == [
        (phase["name"], phase["ts"], phase["dur"]) for phase in phases
    ]


def test_who_is_still_at_the_barrier_has_no_delay_yet() -> None:
    """What holds a request that is past the queue and does not wait yet is the barrier."""
    span = make_span(1, arrival_ns=BEGIN, queue_wait_ns=SECOND)

    _, *phases = complete(events(span))

    assert [("queue", 0, 1e6), ("barrier", 1e6, 59e6)] == [
        (phase["name"], phase["ts"], phase["dur"]) for phase in phases
    ]


def test_threads_and_the_process_have_names() -> None:
    """So that a reader of the trace knows what a lane is."""
    names = [event["args"]["name"] for event in events(ended()) if event["ph"] == "M"]

    assert ["Dawdle", "slot 1"] == names
