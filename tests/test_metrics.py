"""What Prometheus scrapes: every figure there, and no text of a client's."""

import asyncio
from contextlib import suppress

from aiohttp import ClientPayloadError
from prometheus_client.parser import text_string_to_metric_families

from app import __version__, keys
from app.faults import Fault
from app.spans import Outcome
from app.titles.results import Code
from tests.service import LONG, Client, Start, app_of, until_waiting


async def scrape(client: Client) -> dict[tuple[str, str], float]:
    """The samples by (name, its label's value)."""
    answer = await client.get("/metrics")
    assert "text/plain; version=0.0.4; charset=utf-8" == answer.headers["Content-Type"]
    return {
        (sample.name, next(iter(sample.labels.values()), "")): sample.value
        for family in text_string_to_metric_families(await answer.text())
        for sample in family.samples
    }


async def test_metrics_count_spans_by_outcome(client: Client) -> None:
    """Every outcome has its sample from the start, so that rates can be taken of it."""
    for query in ("delay=0", "delay=0", "delay=nan"):
        await client.get(f"/aio?{query}")

    samples = await scrape(client)

    expected = dict.fromkeys(set(Outcome) - {Outcome.IN_FLIGHT}, 0.0)
    expected |= {Outcome.COMPLETED: 2.0, Outcome.REJECTED: 1.0}
    assert expected == {
        Outcome(label): value
        for (name, label), value in samples.items()
        if name == "dawdle_spans_total"
    }
    assert [0, 1] == [samples["dawdle_connections_total", who] for who in ("lane", "aiohttp")]
    assert [0, 3] == [samples["dawdle_requests_total", who] for who in ("lane", "aiohttp")]
    assert 0 == samples["dawdle_spans_dropped_total", ""]
    assert 1 == samples["dawdle_build_info", __version__]


async def test_metrics_count_what_was_done_on_purpose(client: Client) -> None:
    """By the names of `X-Dawdle-Fault`, each there from the start."""
    for query in ("", "status=503", "fail=1", "fault=truncate", "rate=1/m", "rate=1/m"):
        with suppress(ClientPayloadError):
            await (await client.get(f"/aio?delay=0&run=a&{query}")).read()

    samples = await scrape(client)

    done = {
        label: value for (name, label), value in samples.items() if name == "dawdle_faults_total"
    }
    assert {"status", "fail", "rate", "queue", "barrier", *Fault} == set(done)
    assert {"status": 1, "fail": 1, "truncate": 1, "rate": 1} == {
        label: value for label, value in done.items() if value
    }


async def test_metrics_show_what_goes_on_now(start: Start) -> None:
    """Requests that wait, runs that are known, views that are open."""
    client = await start(time_scale="1")
    waiting = asyncio.create_task(client.get(f"/aio?{LONG}&run=ci"))
    await until_waiting(client, 1)

    with app_of(client)[keys.FEED].watching():
        samples = await scrape(client)

    assert [1, 1, 1, 1] == [
        samples[f"dawdle_{name}", ""] for name in ("in_flight", "waiting", "runs", "viewers")
    ]
    await client.delete("/runs/ci")
    await waiting


async def test_metrics_count_pages_by_error(client: Client) -> None:
    """Every code has its sample from the start; jobs by state, and what is under way."""
    jobs = app_of(client)[keys.JOBS]
    job = await jobs.add(["nonsense", "http://127.0.0.1:9/"])
    await jobs.wait(job.name)

    samples = await scrape(client)

    expected = dict.fromkeys(["none", *Code], 0.0) | {"invalid_url": 1.0, "blocked": 1.0}
    assert expected == {
        label: value for (name, label), value in samples.items() if name == "dawdle_titles_total"
    }
    assert [0, 0, 0, 0] == [
        samples["dawdle_title_jobs", "queued"],
        samples["dawdle_title_jobs", "running"],
        samples["dawdle_pages_in_flight", ""],
        samples["dawdle_titles_stuck", ""],
    ]


async def test_metrics_hold_no_text_of_a_client(client: Client) -> None:
    """Names of runs and keys would make one series each, and be read by whom they don't concern."""
    await client.get("/aio?delay=0&run=private&key=private", headers={"User-Agent": "private"})
    await client.get("/private")

    assert "private" not in await (await client.get("/metrics")).text()
