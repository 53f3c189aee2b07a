"""Titles over HTTP: orders, jobs, results, exports, events, and the pages for people."""

import asyncio
import csv
import html
import io
import json
import re
from collections.abc import Iterator
from typing import Any

import aiohttp
import pytest
from aiohttp import FormData, MultipartWriter
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app import keys
from app.site import PAGES
from app.titles import web
from tests.peer import Peer, peer
from tests.service import BROWSER, CLOSE, Client, Start, app_of, parts, raw

OURSELVES = "127.0.0.0/8"  # where the tests' own pages are
FOREIGN = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}


@pytest.fixture
def pages() -> Iterator[Peer]:
    with peer() as running:
        yield running


@pytest.fixture
async def client(start: Start) -> Client:
    """A service that may fetch from this machine."""
    return await start(allow_networks=OURSELVES)


async def order(client: Client, *urls: str, **options: Any) -> dict[str, Any]:
    """The job that these URLs became."""
    answer = await client.post("/titles", json={"urls": urls, **options})
    assert 202 == answer.status, await answer.text()
    job: dict[str, Any] = await answer.json()
    return job


async def done(client: Client, *urls: str, **options: Any) -> dict[str, Any]:
    """The job, once it is finished, with its results."""
    job = await order(client, *urls, **options)
    await app_of(client)[keys.JOBS].wait(job["job"])
    return await shown(client, job["job"])


async def shown(client: Client, job: str, query: str = "") -> dict[str, Any]:
    document: dict[str, Any] = await (await client.get(f"/titles/{job}{query}")).json()
    return document


def origin(client: Client) -> str:
    return str(client.make_url("/").origin())


def titles(document: dict[str, Any]) -> list[str | None]:
    return [result["title"] for result in document["results"]]


async def problem(answer: aiohttp.ClientResponse) -> tuple[int, str, str | None]:
    """(status, code, parameter) of a refusal."""
    document = await answer.json()
    return answer.status, document["type"].rpartition(":")[2], document.get("parameter")


# --- orders --------------------------------------------------------------------------------------


async def test_order_in_json_begins_a_job(client: Client, pages: Peer) -> None:
    """202, where to find it, and how it will fetch."""
    answer = await client.post(
        "/titles", json={"urls": pages.urls(1, 2, 1), "concurrency": 5, "timeout": "3s"}
    )

    job = await answer.json()
    assert (202, "/titles/1") == (answer.status, answer.headers["Location"])
    assert "1" == job["job"]
    assert {"concurrency": 5, "per_host": 6, "timeout": "3s", "retries": 2} == job["options"]
    assert (2, 1) == (job["counts"]["urls"], job["counts"]["repeats"])
    assert str(client.make_url("/titles/1/events")) == job["urls"]["events"]


@pytest.mark.parametrize("content_type", ["text/plain", "text/plain; charset=latin-1", None])
async def test_order_in_text_has_a_url_a_line(
    client: Client, pages: Peer, content_type: str | None
) -> None:
    """Its options stand in the query; curl's `--data-binary` may say no type at all."""
    headers = {"Content-Type": content_type} if content_type else None
    text = "\n".join(["# mine", *pages.urls(1, 2), ""])

    answer = await client.post(
        "/titles?retries=0",
        data=text.encode(),
        headers=headers,
        skip_auto_headers=["Content-Type"],
    )

    assert (202, 0) == (answer.status, (await answer.json())["options"]["retries"])


@pytest.mark.parametrize("multipart", [True, False])
async def test_order_of_the_form_begins_a_job(client: Client, pages: Peer, multipart: bool) -> None:
    """As browsers send it; a program gets 202, too."""
    form = FormData(default_to_multipart=multipart)
    form.add_field("urls", "\r\n".join(pages.urls(1, 2)))
    form.add_field("timeout", "4s")
    form.add_field("retries", "")

    answer = await client.post("/titles", data=form)

    job = await answer.json()
    assert (202, 2, "4s") == (answer.status, job["counts"]["urls"], job["options"]["timeout"])


async def test_order_of_a_file_begins_a_job(client: Client, pages: Peer) -> None:
    """Uploaded with the form, after what was typed."""
    form = FormData()
    form.add_field("urls", pages.url(1))
    form.add_field("file", ("\ufeff" + pages.url(2)).encode(), filename="urls.txt")

    job = (await (await client.post("/titles", data=form)).json())["job"]
    await app_of(client)[keys.JOBS].wait(job)

    assert ["Page 1", "Page 2"] == titles(await shown(client, job))


async def test_browser_is_sent_to_the_page_of_the_job(client: Client, pages: Peer) -> None:
    """So that a reload orders nothing again."""
    answer = await client.post(
        "/titles", data={"urls": pages.url(1)}, headers=BROWSER, allow_redirects=False
    )

    assert (303, "/titles/1") == (answer.status, answer.headers["Location"])


async def test_who_prefers_to_wait_gets_the_results(client: Client, pages: Peer) -> None:
    """200 at once when it is done, with what was granted (RFC 7240)."""
    for prefer in ("wait=30", "respond-async, wait = 30", 'foo; bar="x", Wait="30"'):
        answer = await client.post(
            "/titles", json={"urls": pages.urls(1, 2)}, headers={"Prefer": prefer}
        )

        document = await answer.json()
        assert (200, "wait=30") == (answer.status, answer.headers["Preference-Applied"])
        assert ("done", ["Page 1", "Page 2"]) == (document["state"], titles(document))


async def test_who_waited_in_vain_is_told_where_to_look(client: Client, pages: Peer) -> None:
    """202, as without the wish."""
    answer = await client.post(
        "/titles", json={"urls": [pages.url("late/1")]}, headers={"Prefer": "wait=0"}
    )

    assert (202, "wait=0", "/titles/1") == (
        answer.status,
        answer.headers["Preference-Applied"],
        answer.headers["Location"],
    )


async def test_wish_that_cannot_be_read_is_none(client: Client, pages: Peer) -> None:
    """As RFC 7240 has it; nothing claims to have heeded it."""
    for prefer in ("wait=soon", "wait", "waiting=3", "wait=-1", "foo; wait=1"):
        answer = await client.post(
            "/titles", json={"urls": [pages.url(1)]}, headers={"Prefer": prefer}
        )

        assert 202 == answer.status
        assert "Preference-Applied" not in answer.headers


async def test_wait_is_granted_up_to_a_limit(
    client: Client, pages: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the answer says how much."""
    monkeypatch.setattr(web, "LONGEST_WAIT_S", 1)

    answer = await client.post(
        "/titles", json={"urls": [pages.url(1)]}, headers={"Prefer": "wait=999999999"}
    )

    assert "wait=1" == answer.headers["Preference-Applied"]


REFUSED = [
    ("application/json", b"{", (400, "bad-body", None)),
    ("application/json", b"\xff", (400, "bad-body", None)),
    ("application/json; charset=klingon", b"{}", (400, "bad-body", None)),
    ("application/json", b'{"urls": []}', (400, "no-urls", "urls")),
    ("application/json", b'{"urls": ["a"], "retries": 11}', (400, "bad-body", "retries")),
    ("application/merge-patch+json", b"{}", (400, "bad-body", "urls")),
    ("text/plain", b"", (400, "no-urls", "urls")),
    ("text/plain", b"\xff", (400, "bad-body", None)),
    ("image/png", b"", (400, "bad-body", None)),
    ("application/x-www-form-urlencoded", b"", (400, "no-urls", "urls")),
    ("application/x-www-form-urlencoded", b"urls=a&hosts=1", (400, "bad-body", "hosts")),
    ("application/x-www-form-urlencoded", b"https://a/\nhttps://b/", (400, "bad-body", None)),
    ("multipart/form-data", b"", (400, "bad-body", None)),
    ("multipart/form-data; boundary=x", b"rubbish", (400, "bad-body", None)),
]


async def test_order_that_cannot_be_read_is_refused(client: Client) -> None:
    """With the member or field at fault, and never with a 500."""
    for content_type, body, expected in REFUSED:
        answer = await client.post("/titles", data=body, headers={"Content-Type": content_type})

        assert expected == await problem(answer), (content_type, body)


async def test_options_in_the_query_are_for_texts_alone(client: Client, pages: Peer) -> None:
    """JSON and forms have a place for them, and one of the two would be ignored."""
    answer = await client.post("/titles?retries=1", json={"urls": [pages.url(1)]})

    assert (400, "bad-query", None) == await problem(answer)


async def test_file_that_is_no_text_is_refused(client: Client) -> None:
    """By the name of its field."""
    form = FormData()
    form.add_field("file", b"\xff\xfe\x00", filename="urls.bin")

    assert (400, "bad-body", "file") == await problem(await client.post("/titles", data=form))


@pytest.mark.parametrize("kind", ["application/json", "multipart/form-data", "text/plain"])
async def test_order_that_is_too_large_is_refused(
    client: Client, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """With the limit that holds here."""
    monkeypatch.setattr(web, "LARGEST_ORDER", 100)
    with MultipartWriter("form-data") as form:
        part = form.append("x" * 1_000)
        part.set_content_disposition("form-data", name="urls")
    headers = {} if kind.startswith("multi") else {"Content-Type": kind}

    data = form if kind.startswith("multi") else b"x" * 1_000
    answer = await client.post("/titles", data=data, headers=headers)

    assert (413, "body-too-large", None) == await problem(answer)
    assert "larger than 100 bytes" in await answer.text()


async def test_order_may_be_larger_than_other_bodies(client: Client) -> None:
    """A hundred thousand URLs have room; other pages keep to 64 KiB."""
    urls = [f"http://127.0.0.1:1/{'x' * 100}/{number}" for number in range(1_000)]

    job = await order(client, *urls, retries=0)

    assert 1_000 == job["counts"]["urls"]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    body=st.binary(max_size=200),
    kind=st.sampled_from(
        ["application/json", "text/plain", *web.FORMS, "multipart/form-data; boundary=b"]
    ),
    framed=st.booleans(),
)
async def test_no_body_is_a_surprise(client: Client, body: bytes, kind: str, framed: bool) -> None:
    """Whatever comes is a job or refused."""
    if framed:
        body = b"--b\r\n" + body + b"\r\n--b--\r\n"

    answer = await client.post("/titles", data=body, headers={"Content-Type": kind})

    assert answer.status in (202, 400)


# --- a few titles at once ------------------------------------------------------------------------


async def test_get_with_urls_waits_and_answers(client: Client, pages: Peer) -> None:
    """In one request, with options beside."""
    one, two = pages.urls(1, 2)

    answer = await client.get("/titles", params=[("url", one), ("url", two), ("retries", "0")])

    document = await answer.json()
    assert (200, "done") == (answer.status, document["state"])
    assert ["Page 1", "Page 2"] == titles(document)


async def test_get_with_urls_is_a_page_for_people(client: Client, pages: Peer) -> None:
    """With the titles in it."""
    answer = await client.get("/titles", params={"url": pages.url(1)}, headers=BROWSER)

    assert "Page 1" in await answer.text()


async def test_get_that_cannot_be_read_is_refused(client: Client) -> None:
    """At most twenty, and nothing unknown."""
    for query, expected in {
        "url=" + "&url=".join(["a"] * 21): (400, "bad-query", "url"),
        "url=a&fast=1": (400, "bad-query", "fast"),
        "url=%ff": (400, "bad-query", None),
        "retries=1": (400, "no-urls", "urls"),
    }.items():
        assert expected == await problem(await client.get(f"/titles?{query}")), query


async def test_link_from_elsewhere_fetches_nothing(client: Client, pages: Peer) -> None:
    """It would be another site that orders."""
    headers = FOREIGN | {"Sec-Fetch-Dest": "document"}

    answer = await client.get("/titles", params={"url": pages.url(1)}, headers=headers)

    assert (403, "foreign-origin", None) == await problem(answer)
    assert 200 == (await client.get("/titles", headers=headers)).status
    assert [] == pages.asked


# --- jobs ----------------------------------------------------------------------------------------


async def test_job_tells_where_it_stands_and_what_it_found(client: Client, pages: Peer) -> None:
    """State, counts, results in order of the input."""
    document = await done(client, pages.url(2), pages.url("missing/1"), "x:y", retries=0)

    assert "done" == document["state"]
    assert {
        "urls": 3,
        "repeats": 0,
        "done": 3,
        "succeeded": 1,
        "failed": 2,
        "left": 0,
        "errors": {"http_error": 1, "invalid_url": 1},
    } == document["counts"]
    assert ["Page 2", "Page 1", None] == titles(document)
    codes = [result["error"] and result["error"]["code"] for result in document["results"]]
    assert [None, "http_error", "invalid_url"] == codes


async def test_results_can_be_paged_sorted_and_filtered(client: Client, pages: Peer) -> None:
    """By the query, which each page hands on to the next."""
    job = (await done(client, *pages.urls(3, 1, 2), pages.url("missing/9"), retries=0))["job"]

    first = await shown(client, job, "?sort=title&error=none&limit=2")
    second = await (await client.get(first["page"]["next"].removeprefix(origin(client)))).json()

    assert ["Page 1", "Page 2"] == titles(first)
    assert ["Page 3"] == titles(second)
    assert ["Page 9"] == titles(await shown(client, job, "?error=http_error"))
    assert ["Page 9", "Page 3"] == titles(await shown(client, job, "?sort=-title&limit=2"))


async def test_view_that_cannot_be_read_is_refused(client: Client, pages: Peer) -> None:
    """By the name at fault."""
    job = (await order(client, pages.url(1)))["job"]

    for query in ("limit=0", "sort=age", "error=none&error=any", "offset=x"):
        answer = await client.get(f"/titles/{job}?{query}")

        assert (400, "bad-query", query.partition("=")[0]) == await problem(answer)


async def test_unknown_job_is_told(client: Client) -> None:
    """Whatever is asked of it."""
    for method, path in (
        ("GET", "/titles/9"),
        ("GET", "/titles/abc.json"),
        ("GET", "/titles/9.csv"),
        ("GET", "/titles/9/events"),
        ("DELETE", "/titles/9"),
        ("POST", "/titles/9/cancel"),
        ("POST", "/titles/9/retry"),
    ):
        answer = await client.request(method, path)

        assert (404, "unknown-job", None) == await problem(answer), path


async def test_jobs_are_listed_newest_first(client: Client, pages: Peer) -> None:
    """As JSON and as a page."""
    await order(client, pages.url(1))
    await order(client, pages.url(2))

    jobs = (await (await client.get("/titles")).json())["jobs"]
    text = await (await client.get("/titles", headers=BROWSER)).text()

    assert ["2", "1"] == [job["job"] for job in jobs]
    assert text.index('href="/titles/2"') < text.index('href="/titles/1"')


async def test_cancelled_job_keeps_what_is_done(client: Client, pages: Peer) -> None:
    """And fetches no more."""
    job = (await order(client, *pages.urls(1, "late/2"), retries=0))["job"]
    await until_done(client, job, 1)

    answer = await client.delete(f"/titles/{job}")

    assert (200, "cancelled") == (answer.status, (await answer.json())["state"])
    assert ["Page 1"] == titles(await shown(client, job))


async def until_done(client: Client, job: str, count: int) -> None:
    """Return when so many results are there."""
    jobs = app_of(client)[keys.JOBS]
    snapshot = await jobs.get(job)
    while snapshot.done < count:
        snapshot = await jobs.changed(job, snapshot.version)


async def test_retry_fetches_what_failed(client: Client, pages: Peer) -> None:
    """And nothing else; the answer is that of an order."""
    job = (await done(client, *pages.urls(1, "missing/2"), retries=0))["job"]

    answer = await client.post(f"/titles/{job}/retry", headers={"Prefer": "wait=30"})

    assert (200, "done") == (answer.status, (await answer.json())["state"])
    assert (1, 2) == (pages.times(1), pages.times("missing/2"))


async def test_retry_of_a_job_under_way_is_refused(client: Client, pages: Peer) -> None:
    """It has not failed yet."""
    job = (await order(client, pages.url("late/1")))["job"]

    answer = await client.post(f"/titles/{job}/retry")

    assert (409, "job-unfinished", None) == await problem(answer)


@pytest.mark.parametrize("what", ["cancel", "retry"])
async def test_buttons_lead_back_to_the_page(client: Client, pages: Peer, what: str) -> None:
    """Without a script."""
    job = (await done(client, pages.url(1)))["job"]

    answer = await client.post(f"/titles/{job}/{what}", headers=BROWSER, allow_redirects=False)

    assert (303, f"/titles/{job}") == (answer.status, answer.headers["Location"])


# --- exports -------------------------------------------------------------------------------------


async def test_results_are_exported_as_json_lines(client: Client, pages: Peer) -> None:
    """The same as in the job."""
    document = await done(client, *pages.urls(2, 1))

    answer = await client.get(f"/titles/{document['job']}.jsonl")

    lines = [json.loads(line) for line in (await answer.text()).splitlines()]
    assert document["results"] == lines
    assert "application/x-ndjson" == answer.content_type
    assert 'filename="titles-1.jsonl"' in answer.headers["Content-Disposition"]


async def test_results_are_exported_as_csv(client: Client, pages: Peer) -> None:
    """With a head, and the error in two cells."""
    job = (await done(client, pages.url(1), "x:y", retries=0))["job"]

    text = await (await client.get(f"/titles/{job}.csv")).text()

    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert [("Page 1", ""), ("", "invalid_url")] == [(row["title"], row["error"]) for row in rows]


async def test_head_gets_no_body(client: Client, pages: Peer) -> None:
    """Only what would come with it."""
    await done(client, pages.url(1))

    for path in ("/titles", "/titles/1", "/titles/1.csv"):
        status, _, body = parts(await raw(client, f"HEAD {path} HTTP/1.1\r\n".encode() + CLOSE))

        assert (200, b"") == (status, body)


# --- events --------------------------------------------------------------------------------------


def events(text: str) -> list[tuple[str, str, dict[str, Any]]]:
    """(event, id, data) of each message of a stream."""
    found = []
    for message in text.replace("\r\n", "\n").split("\n\n"):
        fields = dict(re.findall(r"(?m)^(\w+): (.*)$", message))
        if "event" in fields:
            found.append((fields["event"], fields["id"], json.loads(fields["data"])))
    return found


async def test_events_tell_all_results_and_the_end(client: Client, pages: Peer) -> None:
    """Who comes without a position starts afresh."""
    job = (await done(client, *pages.urls(1, 2)))["job"]

    told = events(await (await client.get(f"/titles/{job}/events")).text())

    assert "reset" == told[0][0]
    assert ["Page 1", "Page 2"] == sorted(
        result["title"] for _, _, data in told for result in data["results"]
    )
    assert "done" == told[-1][2]["job"]["state"]


async def test_events_come_while_it_runs(client: Client, pages: Peer) -> None:
    """The first before the last is fetched; the stream ends with the job."""
    job = (await order(client, *pages.urls(1, "late/2"), retries=0))["job"]
    answer = await client.get(f"/titles/{job}/events")

    text = ""
    while "Page 1" not in text:
        text += (await answer.content.readany()).decode()
    pages.gate.set()
    text += (await answer.content.read()).decode()

    assert ["Page 1", "Page 2"] == [
        result["title"] for _, _, data in events(text) for result in data["results"]
    ]


async def test_events_go_on_after_the_last_one_seen(client: Client, pages: Peer) -> None:
    """And who has seen all is told to ask no more."""
    job = (await done(client, *pages.urls(1, 2), concurrency=1))["job"]
    path = f"/titles/{job}/events"
    *_, (_, last, _) = events(await (await client.get(path)).text())

    first = events(await (await client.get(f"{path}?after=0-1")).text())
    seen_all = await client.get(path, headers={"Last-Event-ID": last})

    assert [("news", ["Page 2"])] == [
        (event, [result["title"] for result in data["results"]]) for event, _, data in first
    ]
    assert 204 == seen_all.status


async def test_retry_makes_viewers_start_afresh(client: Client, pages: Peer) -> None:
    """Some of what they have seen was replaced."""
    job = (await done(client, *pages.urls(1, "missing/2"), retries=0))["job"]
    path = f"/titles/{job}/events"
    *_, (_, last, _) = events(await (await client.get(path)).text())
    await client.post(f"/titles/{job}/retry", headers={"Prefer": "wait=30"})

    told = events(await (await client.get(path, headers={"Last-Event-ID": last})).text())

    assert "reset" == told[0][0]
    assert 2 == len([result for _, _, data in told for result in data["results"]])


async def test_position_that_is_none_of_ours_starts_afresh(client: Client, pages: Peer) -> None:
    """Rather than with an error that no browser would show."""
    job = (await done(client, pages.url(1)))["job"]

    for after in ("x", "1", "-", "9-9-9", "1-" + "9" * 30):
        told = events(await (await client.get(f"/titles/{job}/events?after={after}")).text())

        assert "reset" == told[0][0]


async def test_long_list_comes_in_several_messages(
    client: Client, pages: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None of which is too long."""
    monkeypatch.setattr(web, "NEWS_AT_ONCE", 2)
    monkeypatch.setattr(web, "MESSAGES_APART_S", 0)
    job = (await done(client, *pages.urls(1, 2, 3)))["job"]

    told = events(await (await client.get(f"/titles/{job}/events")).text())

    assert [2, 1] == [len(data["results"]) for _, _, data in told]


async def test_stopping_service_lets_viewers_go(client: Client, pages: Peer) -> None:
    """Else they would hold up the end."""
    job = (await order(client, pages.url("late/1"), retries=0))["job"]
    answer = await client.get(f"/titles/{job}/events")
    await answer.content.readany()

    app_of(client)[keys.JOBS].stop()

    async with asyncio.timeout(10):
        await answer.content.read()


async def test_viewers_are_counted(start: Start, pages: Peer) -> None:
    """With those of runs, for a stream costs the same."""
    client = await start(allow_networks=OURSELVES, viewers="0")
    job = (await order(client, pages.url(1)))["job"]

    answer = await client.get(f"/titles/{job}/events")

    assert (503, "too-many-viewers", None) == await problem(answer)


# --- for people ----------------------------------------------------------------------------------


async def test_form_that_was_refused_comes_back_filled_in(client: Client) -> None:
    """With what is wrong, at the field it is about."""
    answer = await client.post(
        "/titles", data={"urls": "a.example <b>", "timeout": "soon"}, headers=BROWSER
    )

    text = await answer.text()
    assert 400 == answer.status
    assert "timeout: &#39;soon&#39; is not a duration" in text
    assert "a.example &lt;b&gt;</textarea>" in text
    assert re.search(r'name="timeout" value="soon" aria-invalid="true"', text)


async def test_page_of_a_job_under_way_asks_again_by_itself(client: Client, pages: Peer) -> None:
    """Until it is finished; not while somebody looks at a part of it."""
    job = (await order(client, *pages.urls(1, "late/2"), retries=0))["job"]
    await until_done(client, job, 1)

    running = await (await client.get(f"/titles/{job}", headers=BROWSER)).text()
    part = await (await client.get(f"/titles/{job}?sort=url", headers=BROWSER)).text()
    await client.delete(f"/titles/{job}")
    finished = await (await client.get(f"/titles/{job}", headers=BROWSER)).text()

    assert [True, False, False] == [
        'http-equiv="refresh"' in text for text in (running, part, finished)
    ]


async def test_page_and_json_tell_the_same(client: Client, pages: Peer) -> None:
    """By suffix or by what is accepted."""
    job = (await done(client, *pages.urls(1, "missing/2"), retries=0))["job"]

    text = html.unescape(await (await client.get(f"/titles/{job}.html")).text())

    for result in (await shown(client, job))["results"]:
        assert result["title"] in text
        assert result["url"] in text
    assert "1 of 2 pages have a title." in text


# --- who may -------------------------------------------------------------------------------------


async def test_other_sites_may_not(client: Client) -> None:
    """Neither order nor look."""
    for method, path in (
        ("GET", "/titles"),
        ("POST", "/titles"),
        ("DELETE", "/titles/1"),
        ("POST", "/titles/1/retry"),
    ):
        for headers, code in (
            ({"Origin": "https://evil.example"}, "foreign-origin"),
            ({"Sec-Fetch-Site": "cross-site"}, "foreign-origin"),
            ({"Host": "evil.example"}, "foreign-host"),
        ):
            answer = await client.request(method, path, headers=headers)

            assert (403, code, None) == await problem(answer)


async def test_token_is_asked_for(start: Start) -> None:
    """As on every control page."""
    client = await start(token="secret-enough")

    answer = await client.get("/titles")
    shown = await client.get("/titles", headers={"Authorization": "Bearer secret-enough"})

    assert (401, 200) == (answer.status, shown.status)


async def test_button_of_the_demonstration_site_orders_all_of_it(client: Client) -> None:
    """What its form sends is a job of fifty."""
    text = await (await client.get("/site", headers=BROWSER)).text()
    [value] = re.findall(r'(?s)name="urls" value="(.*?)"', text)

    answer = await client.post("/titles", data={"urls": html.unescape(value), "retries": "0"})

    assert len(PAGES) == (await answer.json())["counts"]["urls"]
