"""The pages and their JSON: plans to come, runs, exports, events, checks, probes."""

import asyncio
import csv
import io
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import Mock

import pytest
from aiohttp import ClientResponse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app import feed as feeds
from app import keys, svg, waterfall, web
from app.checks import NAMES
from app.spans import FIELDS
from app.web import RUNS_SHOWN
from tests.service import (
    BROWSER,
    CLOSE,
    LONG,
    Client,
    Start,
    app_of,
    parts,
    raw,
    spans,
    until_waiting,
)

LONG_S = 300.0  # longer than any test
JSON = {"Accept": "application/json"}


@pytest.fixture
async def patient(start: Start) -> Client:
    """A service in which delays are as long as they say."""
    return await start(time_scale="1")


@pytest.fixture
async def run(client: Client) -> str:
    """A run of three requests: one of them answered 503, one refused."""
    for query in ("delay=2", "delay=1&status=503", "delay=nan"):
        await client.get(f"/aio?run=ci&{query}")
    return "ci"


async def waits(client: Client, count: int, run: str = "ci") -> list[asyncio.Task[ClientResponse]]:
    """So many requests of a run that wait."""
    url = f"/aio?{LONG}&run={run}"
    tasks = [asyncio.create_task(client.get(url)) for _ in range(count)]
    await until_waiting(client, count)
    return tasks


# --- plans to come -------------------------------------------------------------------------------


async def test_plan_foretells_delays_and_how_soon_they_can_be_done(client: Client) -> None:
    """The lower bound is the longest delay, or the sum over the concurrency, in scaled time."""
    answer = await client.get("/plan?delay=seq(5s,7s,5s)&n=4&from=1&concurrency=2")

    assert {
        "plans": [
            {"n": 1, "delay": 7, "status": 200, "fault": None},
            {"n": 2, "delay": 5, "status": 200, "fault": None},
            {"n": 3, "delay": 5, "status": 200, "fault": None},
            {"n": 4, "delay": 7, "status": 200, "fault": None},
        ],
        "total_delay": 24,
        "longest_delay": 7,
        "time_scale": 0.001,
        "concurrency": 2,
        "lower_bound": 0.012,
    } == await answer.json()


async def test_plan_shows_twenty_from_the_first_unless_told(client: Client) -> None:
    """The defaults of `n` and `from`."""
    plans = (await (await client.get("/plan?seed=1")).json())["plans"]

    assert list(range(20)) == [plan["n"] for plan in plans]


async def test_plan_advances_nothing_and_records_nothing(client: Client) -> None:
    """Whoever looks ahead changes nothing by it."""
    first = await (await client.get("/plan?seed=1&n=3")).json()

    assert first == await (await client.get("/plan?seed=1&n=3")).json()
    assert 0 == (await (await client.get("/runs")).json())["total"]


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("delay=1-2", "seed"),
        ("status=200,503&delay=1", "seed"),
        ("seed=1&n=0", "n"),
        ("seed=1&n=1001", "n"),
        ("seed=1&n=x", "n"),
        ("seed=1&from=-1", "from"),
        ("seed=1&concurrency=0", "concurrency"),
        ("seed=1&delay=nan", "delay"),
        ("seed=1&sead=1", "sead"),
        ("seed=1&seed=1", "seed"),
        ("seed=%ff", "seed"),
    ],
)
async def test_plan_that_cannot_be_foretold_is_refused(
    client: Client, query: str, parameter: str
) -> None:
    """Random needs a seed; everything else is read as `/aio` reads it."""
    answer = await client.get(f"/plan?{query}")

    assert (400, parameter) == (answer.status, (await answer.json())["parameter"])


async def test_plan_writes_numbers_as_replies_do(client: Client) -> None:
    """A delay of ten microseconds has no exponent in either."""
    plan = await (await client.get("/plan?delay=0.00001&n=1")).text()
    reply = await (await client.get("/aio?delay=0.00001")).text()

    assert '{"delay": 0.00001}' == reply
    assert '"delay": 0.00001,' in plan
    assert not re.search(r"[0-9]e-", plan)


async def test_plan_says_which_methods_it_has(client: Client) -> None:
    """To `OPTIONS` that is no preflight: RFC 9110 section 9.3.7."""
    plain = await client.options("/plan")
    asked = {"Origin": "https://app.example", "Access-Control-Request-Method": "GET"}
    preflight = await client.options("/plan", headers=asked)

    assert (204, "GET, HEAD, OPTIONS") == (plain.status, plain.headers["Allow"])
    assert (204, "GET") == (preflight.status, preflight.headers["Access-Control-Allow-Methods"])


# --- making and listing runs ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "name"),
    [
        (b"", "run-1"),
        (b"{}", "run-1"),
        (b'{"name": "ci"}', "ci-1"),
        (b'{"name": "a.b_c~d-e"}', "a.b_c~d-e-1"),
        (b' {"name":\n"ci"}\n', "ci-1"),
        (b'{"name": "%s"}' % (b"x" * 57), f"{'x' * 57}-1"),
    ],
)
async def test_fresh_run_says_where_to_find_what(client: Client, body: bytes, name: str) -> None:
    """201, its name with the next number, and absolute URLs."""
    answer = await client.post("/runs", data=body)
    document = await answer.json()
    base = str(client.make_url(f"/runs/{name}"))

    assert (201, base) == (answer.status, answer.headers["Location"])
    assert {
        "name": name,
        "aio": str(client.make_url(f"/aio?run={name}")),
        "report": base,
        "spans": f"{base}/spans",
        "events": f"{base}/events",
        "check": f"{base}/check",
        "timeline": f"{base}.txt",
        "svg": f"{base}.svg",
        "har": f"{base}.har",
        "trace": f"{base}/trace.json",
    } == document


async def test_fresh_runs_are_numbered_by_name(client: Client) -> None:
    """Every name counts on its own, and past numbers that are taken."""
    await client.get("/aio?delay=0&run=ci-2")

    names = [
        (await (await client.post("/runs", json={"name": name})).json())["name"]
        for name in ("ci", "ci", "other", "ci")
    ]

    assert ["ci-1", "ci-3", "other-1", "ci-4"] == names


@pytest.mark.parametrize(
    ("body", "parameter"),
    [
        (b"no JSON", None),
        (b"\xff\xfe", None),
        (b"[" * 50_000, None),
        (b"null", "name"),
        (b'["ci"]', "name"),
        (b'{"name": 7}', "name"),
        (b'{"name": null}', "name"),
        (b'{"name": ""}', "name"),
        (b'{"name": ".ci"}', "name"),
        (b'{"name": "a b"}', "name"),
        (b'{"name": "a/b"}', "name"),
        (b'{"name": "%s"}' % (b"x" * 58), "name"),
        (b'{"name": "ci", "nmae": "x"}', "nmae"),
        (b'{"\\ud800": 1}', "?"),
    ],
)
async def test_body_that_names_no_run_is_refused(
    client: Client, body: bytes, parameter: str | None
) -> None:
    """400 that names the field; never a run of another name."""
    answer = await client.post("/runs", data=body)

    assert 400 == answer.status
    assert parameter == (await answer.json()).get("parameter")


@pytest.mark.parametrize("name", ["a b", "x" * 58])
async def test_name_that_no_run_can_have_is_shown_as_it_was_sent(client: Client, name: str) -> None:
    """With the limit that holds for it, and not for what we would make of it."""
    answer = await client.post("/runs", json={"name": name})

    assert (await answer.json())["detail"].startswith(
        f"name: '{name}' can't begin the name of a run; use 1 to 57 letters"
    )


async def test_body_in_no_known_charset_is_refused(client: Client) -> None:
    """Not our fault, and not a 500."""
    headers = {"Content-Type": "application/json; charset=klingon"}

    assert 400 == (await client.post("/runs", data=b"{}", headers=headers)).status


async def test_runs_are_listed_with_the_newest_arrival_first(client: Client) -> None:
    """A run that only was made has no arrival yet, and stands by the moment of its making."""
    await client.post("/runs", json={"name": "made"})
    for run in ("a", "b", "a"):
        await client.get(f"/aio?delay=0&run={run}")
    await client.post("/runs", json={"name": "made"})

    document = await (await client.get("/runs")).json()

    assert 4 == document["total"]
    assert [("made-2", 0), ("a", 2), ("b", 1), ("made-1", 0)] == [
        (run["name"], run["requests"]) for run in document["runs"]
    ]


async def test_page_of_runs_is_cut_and_says_so(client: Client) -> None:
    """The JSON has them all."""
    runs = app_of(client)[keys.RUNS]
    for _ in range(RUNS_SHOWN + 1):
        runs.fresh("made", 1)

    page = await (await client.get("/runs", headers=BROWSER)).text()
    document = await (await client.get("/runs")).json()

    assert RUNS_SHOWN == page.count('href="/runs/made-')
    assert f"The first {RUNS_SHOWN} of {RUNS_SHOWN + 1};" in page
    assert (RUNS_SHOWN + 1, RUNS_SHOWN + 1) == (document["total"], len(document["runs"]))


@pytest.mark.parametrize(
    ("path", "headers", "content_type"),
    [
        ("/runs", {}, "application/json"),
        ("/runs", BROWSER, "text/html"),
        ("/runs.json", BROWSER, "application/json"),
        ("/runs.html", JSON, "text/html"),
        ("/runs/ci", {}, "application/json"),
        ("/runs/ci", JSON, "application/json"),
        ("/runs/ci", BROWSER, "text/html"),
        ("/runs/ci.json", BROWSER, "application/json"),
        ("/runs/ci.html", JSON, "text/html"),
        ("/runs/ci.txt", BROWSER, "text/plain"),
        ("/runs/latest", {}, "application/json"),
        ("/runs/latest.html", {}, "text/html"),
        ("/runs/latest.txt", {}, "text/plain"),
        ("/runs/ci/spans", {}, "application/x-ndjson"),
        ("/runs/ci/spans", {"Accept": "text/csv"}, "text/csv"),
        ("/runs/ci/spans.csv", JSON, "text/csv"),
        ("/runs/ci/spans.jsonl", {"Accept": "text/csv"}, "application/x-ndjson"),
        ("/", {}, "text/html"),
        ("/sign-in", {}, "text/html"),
    ],
)
@pytest.mark.usefixtures("run")
async def test_form_is_chosen_by_suffix_then_by_accept(
    client: Client, path: str, headers: dict[str, str], content_type: str
) -> None:
    """A suffix is for those who can't send headers, so it has the last word."""
    answer = await client.get(path, headers=headers)

    assert (200, content_type) == (answer.status, answer.content_type)


@pytest.mark.parametrize("path", ["/runs", "/runs/ci", "/runs/ci/spans", "/runs/ci.txt", "/"])
@pytest.mark.usefixtures("run")
async def test_head_has_no_body(client: Client, path: str) -> None:
    """RFC 9110 section 9.3.2."""
    status, _, body = parts(await raw(client, b"HEAD %s HTTP/1.1\r\n" % path.encode() + CLOSE))

    assert (200, b"") == (status, body)


@pytest.mark.parametrize("path", ["", ".json", ".html", ".txt", "/spans", "/spans.csv", "/events"])
async def test_unknown_run_is_not_found(client: Client, path: str) -> None:
    """Whatever is asked about it, but for `check`."""
    assert 404 == (await client.get(f"/runs/nobody{path}")).status


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".yaml", ".JSON", ".json.json"])
async def test_suffix_without_a_meaning_is_not_found(client: Client, run: str, suffix: str) -> None:
    """Nothing is guessed."""
    assert 404 == (await client.get(f"/runs/{run}{suffix}")).status


async def test_latest_is_the_run_with_the_newest_arrival(client: Client) -> None:
    """Nobody has to copy names about; before the first run there is none."""
    assert 404 == (await client.get("/runs/latest")).status
    for run in ("a", "b", "a"):
        await client.get(f"/aio?delay=0&run={run}")
    await client.post("/runs")

    assert "a" == (await (await client.get("/runs/latest")).json())["run"]


async def test_report_counts_what_the_run_did(client: Client, run: str) -> None:
    """By outcome and by status."""
    document = await (await client.get(f"/runs/{run}")).json()

    assert (3, 2, 1) == (
        document["figures"]["requests"],
        document["outcomes"]["completed"],
        document["outcomes"]["rejected"],
    )
    assert {"200": 1, "400": 1, "503": 1} == document["statuses"]
    assert str(client.make_url(f"/runs/{run}/spans")) == document["urls"]["spans"]


async def test_text_report_fits_its_width(client: Client, run: str) -> None:
    """For logs of every breadth."""
    text = await (await client.get(f"/runs/{run}.txt?width=40")).text()
    wide = await (await client.get(f"/runs/{run}.txt?width=120")).text()

    assert max(map(len, text.splitlines())) <= 40 < max(map(len, wide.splitlines()))


@pytest.mark.parametrize("width", ["39", "401", "x", "", "-1", "1e2"])
async def test_width_out_of_range_is_refused(client: Client, run: str, width: str) -> None:
    """40 to 400."""
    answer = await client.get(f"/runs/{run}.txt?width={width}")

    assert (400, "width") == (answer.status, (await answer.json())["parameter"])


@pytest.mark.parametrize("path", ["/", "/runs", "/runs/ci"])
async def test_page_names_the_run(client: Client, run: str, path: str) -> None:
    """As do the JSON and the text; a page is one more form of the same value."""
    assert run in await (await client.get(path, headers=BROWSER)).text()


# --- deleting ------------------------------------------------------------------------------------


async def test_deleting_a_run_answers_what_waits_in_it_and_forgets_it(patient: Client) -> None:
    """503 at once, however long the delay; other runs are not touched."""
    waiting = await waits(patient, 3)
    await patient.get("/aio?delay=0&run=other")

    answer = await patient.delete("/runs/ci")

    replies = await asyncio.gather(*waiting)
    assert (204, {503}) == (answer.status, {reply.status for reply in replies})
    assert {"urn:dawdle:problem:run-deleted"} == {(await reply.json())["type"] for reply in replies}
    assert 404 == (await patient.get("/runs/ci")).status
    assert 1 == len(await spans(patient, "other"))


async def test_name_of_a_deleted_run_begins_anew(client: Client, run: str) -> None:
    """Nothing of the old one comes back: counts, attempts, spans."""
    await client.get(f"/aio?delay=0&run={run}&key=k")
    await client.delete(f"/runs/{run}")

    await client.get(f"/aio?delay=0&run={run}&key=k")

    assert [("k", 1)] == [(span["key"], span["attempt"]) for span in await spans(client, run)]
    assert 1 == (await (await client.get(f"/runs/{run}")).json())["figures"]["requests"]


async def test_unknown_run_cannot_be_deleted(client: Client) -> None:
    """404: whoever mistypes a name is told."""
    assert 404 == (await client.delete("/runs/nobody")).status


# --- exports -------------------------------------------------------------------------------------


async def test_json_lines_and_csv_tell_the_same(client: Client, run: str) -> None:
    """Every field by its name, in both."""
    lines = await spans(client, run)
    text = await (await client.get(f"/runs/{run}/spans.csv")).text()
    rows = list(csv.DictReader(io.StringIO(text, newline="")))

    assert [list(FIELDS)] * 3 == [list(line) for line in lines]
    assert rows == [
        {name: "" if value is None else str(value) for name, value in line.items()}
        for line in lines
    ]


@pytest.mark.usefixtures("run")
async def test_export_is_offered_as_a_file(client: Client) -> None:
    """Under the name of the run."""
    answer = await client.get("/runs/latest/spans.csv")

    assert 'attachment; filename="ci.csv"' == answer.headers["Content-Disposition"]


async def test_empty_run_exports_its_columns(client: Client) -> None:
    """A table without rows still has its head."""
    await client.post("/runs")

    assert [] == await spans(client, "run-1")
    assert ",".join(FIELDS) + "\r\n" == await (await client.get("/runs/run-1/spans.csv")).text()


async def test_what_is_in_flight_is_exported_too(patient: Client) -> None:
    """A span is visible from its arrival."""
    waiting = await waits(patient, 2)

    assert ["in_flight", "in_flight"] == [span["outcome"] for span in await spans(patient, "ci")]
    await patient.delete("/runs/ci")
    await asyncio.gather(*waiting)


# --- pictures ------------------------------------------------------------------------------------


async def picture(client: Client, query: str = "") -> list[dict[str, Any]]:
    """The lines of what the page draws."""
    answer = await client.get(f"/runs/ci/waterfall{query}")
    assert (200, "application/x-ndjson") == (answer.status, answer.content_type)
    return [json.loads(line) for line in (await answer.text()).splitlines()]


async def test_picture_has_every_span_and_where_the_events_go_on(client: Client) -> None:
    """Ended or in flight; what changes later is to be heard of, once."""
    for _ in range(3):
        await client.get("/aio?run=ci&delay=1")

    head, body = await picture(client)

    here = (await (await client.get("/runs/ci")).json())["events_after"]
    assert (3, here) == (head["count"], head["events_after"])
    assert [span["id"] for span in await spans(client, "ci")] == body["spans"]["id"]


async def test_picture_of_a_part(client: Client) -> None:
    """By ids, or by a window in microseconds since the first arrival."""
    for _ in range(2):
        await client.get("/aio?run=ci&delay=1")
    first, last = [span["id"] for span in await spans(client, "ci")]

    _, by_id = await picture(client, f"?ids={last}")
    _, by_time = await picture(client, "?from=0&to=1")

    assert ([last], [first]) == (by_id["spans"]["id"], by_time["spans"]["id"])


async def test_picture_of_too_many_is_counts(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also of a window that has too many still, which shows only as they are read."""
    monkeypatch.setattr(waterfall, "MOST", 1)
    for _ in range(3):
        await client.get("/aio?run=ci&delay=1&status=503")

    for query in ("", "?from=0&to=60000000"):
        head, body = await picture(client, query)
        assert 3 == head["count"]
        assert 3 == sum(body["crowd"]["ends"]["error_status"])


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("since=5", "since"),
        ("from=5", "to"),
        ("to=5", "from"),
        ("from=-1&to=5", "from"),
        ("from=5&to=5", "to"),
        ("ids=1", "ids"),
        ("ids=1-2-3", "ids"),
        (f"ids={','.join(f'1-{number}' for number in range(101))}", "ids"),
    ],
)
async def test_picture_of_what_makes_no_sense_is_refused(
    client: Client, run: str, query: str, parameter: str
) -> None:
    """With the parameter that it is about."""
    answer = await client.get(f"/runs/{run}/waterfall?{query}")

    assert (400, parameter) == (answer.status, (await answer.json(content_type=None))["parameter"])


# --- events --------------------------------------------------------------------------------------


@dataclass
class Event:
    """One server-sent event."""

    name: str
    id: str
    data: Any


@asynccontextmanager
async def watching(
    client: Client, path: str, **headers: str
) -> AsyncIterator[AsyncIterator[Event]]:
    """The events of a run, as they come."""
    async with client.get(path, headers=headers) as answer:
        assert (200, "text/event-stream") == (answer.status, answer.content_type)
        yield events_of(answer)


async def events_of(answer: ClientResponse) -> AsyncIterator[Event]:
    fields: dict[str, str] = {}
    async for line in answer.content:
        name, _, value = line.decode().strip().partition(": ")
        if name:
            fields[name] = value
        elif "data" in fields:
            yield Event(fields["event"], fields["id"], json.loads(fields["data"]))
            fields = {}


async def until_ended(events: AsyncIterator[Event]) -> tuple[list[str], str]:
    """The phases that the one span of a run is seen in until it has ended, and the last id."""
    seen: list[str] = []
    async for event in events:
        assert "spans" == event.name
        seen += [span["outcome"] for span in event.data]
        if seen[-1] != "in_flight":
            return seen, event.id
    return seen, ""


async def test_viewer_gets_the_present_state_and_then_what_changes(patient: Client) -> None:
    """Nothing between the two is missed."""
    waiting = await waits(patient, 1)

    async with watching(patient, "/runs/ci/events") as events:
        first = await anext(events)
        await patient.get("/aio?run=ci&delay=0")
        second = await anext(events)

    assert ("reset", ["in_flight"]) == (
        first.name,
        [span["outcome"] for span in first.data["in_flight"]],
    )
    assert 1 == first.data["report"]["figures"]["requests"]
    assert ("spans", {"/aio?run=ci&delay=0"}) == (
        second.name,
        {span["target"] for span in second.data},
    )
    await patient.delete("/runs/ci")
    await asyncio.gather(*waiting)


@pytest.mark.parametrize("by_header", [True, False])
async def test_viewer_resumes_where_it_was(client: Client, by_header: bool) -> None:
    """By `Last-Event-ID`, as browsers do, or by `?after=`; ids are `BOOT-SEQ`."""
    await client.post("/runs", json={"name": "ci"})
    here = (await (await client.get("/runs/ci-1")).json())["events_after"]
    await client.get("/aio?run=ci-1&delay=0")

    after = "" if by_header else f"?after={here}"
    headers = {"Last-Event-ID": here} if by_header else {}
    async with watching(client, f"/runs/ci-1/events{after}", **headers) as events:
        seen, last = await until_ended(events)

    assert "completed" == seen[-1]
    boot, _, position = last.partition("-")
    assert (here.partition("-")[0], True) == (boot, int(position) > int(here.partition("-")[2]))


@pytest.mark.parametrize("position", ["", "1", "x-y", "99-1", "1-999999", "1--1", "1-٣", "0-0"])
async def test_foreign_position_gets_the_present_state(
    client: Client, run: str, position: str
) -> None:
    """Of another boot, from the future, or none at all: what was missed is unknown."""
    async with watching(client, f"/runs/{run}/events?after={position}") as events:
        assert "reset" == (await anext(events)).name


async def test_position_that_is_too_old_gets_the_present_state(client: Client, run: str) -> None:
    """The last 10,000 changes are kept."""
    feed = app_of(client)[keys.FEED]
    span = next(iter(feed.since(0, run).spans))
    for _ in range(feeds.KEPT):
        feed.publish(span)

    async with watching(client, f"/runs/{run}/events?after=1-1") as events:
        assert "reset" == (await anext(events)).name


async def test_viewer_sees_no_other_run(client: Client, run: str) -> None:
    """Nor is it woken for nothing."""
    here = (await (await client.get(f"/runs/{run}")).json())["events_after"]

    async with watching(client, f"/runs/{run}/events?after={here}") as events:
        await client.get("/aio?run=other&delay=0")
        await client.get(f"/aio?run={run}&delay=0")
        event = await anext(events)

    assert {run} == {span["run"] for span in event.data}


async def test_viewers_past_the_limit_are_refused(start: Start) -> None:
    """503 with the name of the limit; a place that is left is free again."""
    client = await start(viewers="1")
    await client.post("/runs")

    async with watching(client, "/runs/run-1/events") as events:
        await anext(events)
        refused = await client.get("/runs/run-1/events")
        assert 1 == app_of(client)[keys.FEED].viewers

    assert 503 == refused.status
    assert "(viewers)" in (await refused.json())["detail"]


async def test_event_stream_tells_how_a_deleted_run_ended_and_ends(patient: Client) -> None:
    """Nothing more can come; what waited is seen to be answered."""
    waiting = await waits(patient, 2)

    async with watching(patient, "/runs/ci/events") as events:
        await anext(events)
        await patient.delete("/runs/ci")
        rest = [event async for event in events]

    last = {span["id"]: span["outcome"] for event in rest for span in event.data}
    assert ["rejected", "rejected"] == list(last.values())
    await asyncio.gather(*waiting)


async def test_event_stream_of_a_deleted_run_in_which_nothing_waits_ends(client: Client) -> None:
    """Although none of its spans changes by that."""
    await client.post("/runs")

    async with watching(client, "/runs/run-1/events") as events:
        await anext(events)
        await client.delete("/runs/run-1")

        assert [] == [event async for event in events]


async def test_event_stream_of_a_run_that_made_room_ends(client: Client) -> None:
    """With the next that happens anywhere."""
    await client.post("/runs")

    async with watching(client, "/runs/run-1/events") as events:
        await anext(events)
        app_of(client)[keys.RUNS].forget("run-1")
        await client.get("/aio?delay=0&run=other")

        assert [] == [event async for event in events]


async def test_viewer_of_a_quiet_run_is_woken_seldom(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However busy the others are: it rests after each look, not only after each message."""
    monkeypatch.setattr(web, "MESSAGES_APART_S", LONG_S)
    feed = app_of(client)[keys.FEED]
    await client.post("/runs")
    since = Mock(wraps=feed.since)
    monkeypatch.setattr(feed, "since", since)

    here = feed.here
    async with watching(client, f"/runs/run-1/events?after={here}"):
        for _ in range(20):
            await client.get("/aio?delay=0&run=other")

        assert 1 == since.call_count


@pytest.mark.parametrize("method", ["HEAD", "POST"])
async def test_events_can_only_be_had(client: Client, method: str) -> None:
    """Also the head alone would never end; a refusal says what there is, and nothing else."""
    await client.post("/runs")

    answer = await client.request(method, "/runs/run-1/events")

    assert (405, "GET") == (answer.status, answer.headers["Allow"])


async def test_event_stream_ends_when_the_service_stops(client: Client) -> None:
    """Else every open page would hold up the exit."""
    await client.post("/runs")

    async with watching(client, "/runs/run-1/events") as events:
        await anext(events)
        await app_of(client).shutdown()

        assert [] == [event async for event in events]


# --- check ---------------------------------------------------------------------------------------

FIGURES = [name for name in NAMES if name not in ("status.NNN", "wait")]


@pytest.mark.parametrize("name", [*FIGURES, "status.200"])
async def test_every_figure_can_be_checked(client: Client, run: str, name: str) -> None:
    """Each with its value and its bound."""
    bound = "none" if name == "findings" else "0.."
    answer = await client.get(f"/runs/{run}/check?{name}={bound}")
    (result,) = (await answer.json())["checks"]

    assert answer.status in (200, 409)
    assert (name, bound, answer.status == 200) == (
        result["name"],
        result["bound"],
        result["passed"],
    )


async def test_check_that_holds_is_200_and_one_that_fails_409(client: Client, run: str) -> None:
    """The verdict is the status; the offenders are named."""
    good = await client.get(f"/runs/{run}/check?requests=3&rejected=..1&status.503=1")
    bad = await client.get(f"/runs/{run}/check?requests=3&rejected=0")

    assert (200, True) == (good.status, (await good.json())["passed"])
    document = await bad.json()
    assert (409, False, False) == (bad.status, document["passed"], document["timed_out"])
    assert [True, False] == [check["passed"] for check in document["checks"]]
    assert [(await spans(client, run))[2]["id"]] == document["checks"][1]["spans"]


async def test_lengths_are_checked_against_scaled_bounds(client: Client, run: str) -> None:
    """And the answer shows both."""
    answer = await client.get(f"/runs/{run}/check?makespan=..300s")
    (check,) = (await answer.json())["checks"]

    assert ("..300s", "..300ms") == (check["bound"], check["scaled_bound"])


async def test_unknown_run_is_checked_as_an_empty_one(client: Client) -> None:
    """Of nothing nothing has gone wrong; neither has anything happened."""
    assert 200 == (await client.get("/runs/nobody/check?requests=0&cancelled=0")).status
    assert 409 == (await client.get("/runs/nobody/check?requests=1..")).status


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("request=1", "request"),
        ("status.600=1", "status.600"),
        ("requests=", "requests"),
        ("requests=5..3", "requests"),
        ("requests=..", "requests"),
        ("requests=1&requests=2", "requests"),
        ("makespan=nan", "makespan"),
        ("wait=301", "wait"),
        ("wait=1h", "wait"),
        ("peak=%ff", "peak"),
    ],
)
async def test_check_that_is_none_is_refused(client: Client, query: str, parameter: str) -> None:
    """A mistyped check must not pass."""
    answer = await client.get(f"/runs/nobody/check?{query}")

    assert (400, parameter) == (answer.status, (await answer.json())["parameter"])


async def test_wait_is_over_when_the_run_is_complete(patient: Client) -> None:
    """Nothing in flight, and as many requests as the lower bound says."""
    checking = asyncio.create_task(patient.get("/runs/ci/check?requests=2..&wait=300s"))
    for _ in range(2):
        assert 200 == (await patient.get("/aio?run=ci&delay=0")).status

    answer = await checking

    document = await answer.json()
    assert (200, True, False) == (answer.status, document["passed"], document["timed_out"])


async def test_wait_goes_on_while_something_is_in_flight(patient: Client) -> None:
    """Time up: 409 with `timed_out`, even if every bound holds."""
    waiting = await waits(patient, 1)

    answer = await patient.get("/runs/ci/check?requests=1&wait=1ms")

    document = await answer.json()
    assert (409, True) == (answer.status, document["timed_out"])
    assert [True] == [check["passed"] for check in document["checks"]]
    await patient.delete("/runs/ci")
    await asyncio.gather(*waiting)


async def test_wait_for_an_unknown_run_is_for_its_first_request(client: Client) -> None:
    """So a test can begin to wait before its client has begun."""
    checking = asyncio.create_task(client.get("/runs/soon/check?rejected=0&wait=300s"))
    await client.get("/aio?run=soon&delay=0")

    assert 200 == (await checking).status


async def test_run_that_never_comes_times_out(client: Client) -> None:
    """`wait` wants one request at least."""
    answer = await client.get("/runs/nobody/check?wait=1ms")

    assert (409, True) == (answer.status, (await answer.json())["timed_out"])


async def test_wait_ends_when_the_service_stops(client: Client) -> None:
    """Nothing will come any more."""
    checking = asyncio.create_task(client.get("/runs/nobody/check?wait=300s"))
    await client.get("/healthz")  # on a connection of its own, after the check has arrived
    app_of(client)[keys.FEED].close()

    assert 409 == (await checking).status


# --- for machines --------------------------------------------------------------------------------


async def test_probes_answer(client: Client) -> None:
    """We live, and take requests."""
    assert [(200, "ok\n"), (200, "ready\n")] == [
        (answer.status, await answer.text())
        for answer in [await client.get("/healthz"), await client.get("/readyz")]
    ]


async def test_stopping_service_lives_but_is_not_ready(client: Client) -> None:
    """So that nobody sends new requests while old ones have their replies."""
    app_of(client)[keys.DESK].stop(on_idle=lambda: None)

    assert [200, 503, 503] == [
        (await client.get(path)).status for path in ("/healthz", "/readyz", "/aio")
    ]


async def test_static_files_have_their_types(client: Client) -> None:
    """`nosniff` forbids browsers to guess."""
    answer = await client.get("/static/app.css")

    assert (200, "text/css") == (answer.status, answer.content_type)


@pytest.mark.parametrize(
    "path",
    ["../app/web.py", "%2e%2e/app/web.py", "..%2fapp%2fweb.py", "/etc/passwd", "%00", "a" * 5000],
)
async def test_nothing_but_static_files_is_served_as_such(client: Client, path: str) -> None:
    """No path leads out of the folder."""
    request = b"GET /static/%s HTTP/1.1\r\n" % path.encode()

    assert 404 == parts(await raw(client, request + CLOSE))[0]


# --- anything ------------------------------------------------------------------------------------

_PATHS = ["/", "/plan", "/runs", "/runs/ci", "/runs/ci.txt", "/runs/ci/spans", "/runs/ci/check"]
_values = st.binary(max_size=20).map(lambda value: bytes(set(value) - set(range(0x20)) - {0x7F}))
_queries = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=20)


@given(
    method=st.sampled_from(["GET", "HEAD", "POST", "DELETE", "OPTIONS"]),
    path=st.sampled_from(_PATHS),
    query=_queries,
    headers=st.dictionaries(
        st.sampled_from(["Origin", "Accept", "Cookie", "Authorization", "Sec-Fetch-Site"]),
        _values,
        max_size=3,
    ),
    host=_values | st.sampled_from([b"localhost", b"[::1]:3000", b"127.0.0.1:80"]),
)
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_whatever_is_asked_of_a_page_never_fails(
    client: Client, *, method: str, path: str, query: str, headers: dict[str, bytes], host: bytes
) -> None:
    """Never a 500."""
    lines = b"".join(b"%s: %s\r\n" % item for item in [(b"Host", host), *_bytes(headers)])
    target = f"{path}?{query}".encode()

    request = b"%s %s HTTP/1.1\r\n" % (method.encode(), target) + lines

    answer = await raw(client, request + b"Connection: close\r\n\r\n")

    assert parts(answer)[0] < 500


def _bytes(headers: dict[str, bytes]) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value) for name, value in headers.items()]


# --- findings, pictures, archives, comparisons ---------------------------------------------------


async def one_after_another(client: Client, run: str, count: int = 12) -> None:
    for _ in range(count):
        await client.get(f"/aio?run={run}&delay=100&_=1")


async def test_findings_stand_in_the_report_the_text_and_the_page(client: Client) -> None:
    """One value, in every form."""
    await one_after_another(client, "loop")

    document = await (await client.get("/runs/loop.json")).json()
    text = await (await client.get("/runs/loop.txt")).text()
    page = await (await client.get("/runs/loop", headers=BROWSER)).text()

    [finding] = document["findings"]
    assert ("sequential", "warn") == (finding["code"], finding["severity"])
    assert 12 == len(finding["spans"])
    assert "WARNING sequential: 12 requests came one after another" in text
    assert "12 requests came one after another" in page
    assert "start them together" in page


@pytest.mark.parametrize(("bound", "status"), [("none", 409), ("..note", 409), ("..warn", 200)])
async def test_findings_can_be_checked(client: Client, bound: str, status: int) -> None:
    """A failing check names the findings and the spans."""
    await one_after_another(client, "loop")

    answer = await client.get(f"/runs/loop/check?findings={bound}")

    [result] = (await answer.json())["checks"]
    assert (status, "warn") == (answer.status, result["value"])
    failed = ["sequential"] if status == 409 else []
    assert failed == [finding["code"] for finding in result["findings"]]
    assert bool(failed) == bool(result["spans"])


async def test_run_without_warnings_passes_the_check(client: Client, run: str) -> None:
    """Notes are no warnings; an unknown run has neither."""
    for name in (run, "nobody"):
        answer = await client.get(f"/runs/{name}/check?findings=none")
        assert 200 == answer.status


@pytest.mark.parametrize(
    ("path", "content_type", "begin"),
    [
        (".svg", "image/svg+xml", "<svg "),
        (".har", "application/json", '{"log": '),
        ("/trace.json", "application/json", '{"displayTimeUnit"'),
        ("/compare/other", "text/plain", " "),
        ("/compare/other.txt", "text/plain", " "),
        ("/compare/other.json", "application/json", "{"),
        ("/compare/other.svg", "image/svg+xml", "<svg "),
    ],
)
async def test_run_has_other_forms(
    client: Client, run: str, path: str, content_type: str, begin: str
) -> None:
    """Each with its media type, and for no cache to keep."""
    await client.get("/aio?delay=1&run=other")

    answer = await client.get(f"/runs/{run}{path}")

    assert (200, content_type, "no-store") == (
        answer.status,
        answer.content_type,
        answer.headers["Cache-Control"],
    )
    assert (await answer.text()).startswith(begin)
    head = await client.head(f"/runs/{run}{path}")
    assert (200, b"") == (head.status, await head.read())


@pytest.mark.parametrize(
    "path",
    [
        "nobody.svg",
        "nobody.har",
        "nobody/trace.json",
        "nobody/compare/{run}",
        "{run}/compare/nobody",
    ],
)
async def test_forms_of_an_unknown_run_are_not_there(client: Client, run: str, path: str) -> None:
    """404, as for the report."""
    assert 404 == (await client.get(f"/runs/{path.format(run=run)}")).status


async def test_crowded_run_is_drawn_from_all_its_spans(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when they are more than are drawn one by one."""
    monkeypatch.setattr(svg, "MOST_BARS", 5)
    await asyncio.gather(*(client.get("/aio?delay=100&run=crowd") for _ in range(9)))

    picture = await (await client.get("/runs/crowd.svg")).text()

    assert 'class="completed area"' in picture
    assert "completed 9" in picture


async def test_comparison_says_what_came_and_went(client: Client) -> None:
    """The findings of the one that the other has not."""
    await one_after_another(client, "loop")
    await asyncio.gather(*(client.get("/aio?delay=100&run=gather") for _ in range(12)))

    compared = await (await client.get("/runs/loop/compare/gather.json")).json()

    assert ["loop", "gather"] == compared["runs"]
    assert ["sequential"] == [one["code"] for one in compared["findings"]["vanished"]]


async def test_width_of_a_comparison_is_held_within_bounds(client: Client, run: str) -> None:
    """As that of a timeline is."""
    answer = await client.get(f"/runs/{run}/compare/{run}?width=39")

    assert 400 == answer.status
