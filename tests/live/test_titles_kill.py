"""
Title jobs and `kill -9`: at any moment, and every URL has one result in the end.

Five kills by default. `TITLE_KILLS=50 TITLE_KILLS_SEED=7 ./test tests/live/test_titles_kill.py`
makes more of them, at other moments, and prints what it found with `-s`.
"""

import asyncio
import json
import os
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest

from tests.live.conftest import Start
from tests.live.process import HOST, Dawdle, until

pytestmark = pytest.mark.live

KILLS = int(os.environ.get("TITLE_KILLS", "5"))
SEED = int(os.environ.get("TITLE_KILLS_SEED", "20261120"))
PAGES = 2_000
PORTS = 4  # of the site, each a host of its own
PER_HOST = 10
SHORTEST_LIFE_S, LONGEST_LIFE_S = 0.05, 0.5  # of a server, from its listening to its end


class Page(asyncio.Protocol):
    """A connection to a site whose every page has a title, after a while."""

    def __init__(self, site: "Site") -> None:
        self._site = site

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._site.connections.add(transport)

    def connection_lost(self, _: Exception | None) -> None:
        self._site.connections.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        path = data.split(b" ", 2)[1]
        self._site.asked[path] += 1
        loop = asyncio.get_running_loop()
        loop.call_later(self._site.after_s, self._answer, b"<title>Page %s</title>" % path)

    def _answer(self, body: bytes) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n"
        self._transport.write(head % len(body) + body)


@dataclass
class Site:
    """Such a site on several ports, in a thread of its own."""

    after_s: float
    asked: Counter[bytes] = field(default_factory=Counter)
    ports: list[int] = field(default_factory=list)
    connections: set[asyncio.Transport] = field(default_factory=set)
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)

    def serve(self) -> None:
        """Until the loop is stopped."""
        servers = [self._loop.run_until_complete(self._listen()) for _ in range(PORTS)]
        self.ports = [server.sockets[0].getsockname()[1] for server in servers]
        self._loop.run_forever()
        for server in servers:
            server.close()
        for connection in list(self.connections):
            connection.abort()
        self._loop.run_until_complete(asyncio.sleep(0.01))
        self._loop.close()

    async def _listen(self) -> asyncio.Server:
        return await self._loop.create_server(lambda: Page(self), HOST, 0)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)

    def urls(self) -> list[str]:
        """All its pages, over all its ports."""
        return [f"http://{HOST}:{self.ports[n % PORTS]}/{n}" for n in range(PAGES)]


@pytest.fixture
def site() -> Iterator[Site]:
    """One that would take about as long as all lives of the servers together."""
    alive_s = KILLS * (SHORTEST_LIFE_S + LONGEST_LIFE_S) / 2
    site = Site(after_s=alive_s * PORTS * PER_HOST / PAGES)
    thread = threading.Thread(target=site.serve)
    thread.start()
    until(lambda: len(site.ports) == PORTS, "the site")
    yield site
    site.stop()
    thread.join()


def order(server: Dawdle, urls: list[str]) -> None:
    """Begin a job with these URLs; the answer promises that none is lost."""
    body = json.dumps({"urls": urls, "concurrency": 40, "per_host": PER_HOST}).encode()
    answer = server.get("/titles", "Content-Type: application/json", method="POST", body=body)
    assert (202, "/titles/1") == (answer.status, answer.headers["location"]), answer


def in_file(server: Dawdle) -> list[dict[str, Any]]:
    """The whole lines of the job's file."""
    lines = (server.data / "titles" / "1.jsonl").read_bytes().splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith(b"\n")]


def in_database(server: Dawdle) -> list[dict[str, Any]]:
    """The results in the database, in the order of the URLs."""
    with closing(sqlite3.connect(server.data / "titles.sqlite3")) as database:
        assert [("ok",)] == database.execute("PRAGMA integrity_check").fetchall()
        return [json.loads(line) for (line,) in database.execute(ROWS)]


ROWS = "SELECT line FROM items JOIN results USING (job, position) WHERE job = 1 ORDER BY position"


def counts(server: Dawdle) -> dict[str, Any]:
    """How far the job is, as the server tells."""
    return dict(server.json("/titles/1.json?limit=1")["counts"])


def live_for_a_while(server: Dawdle, random: Random) -> int:
    """Let the server work for a random time, kill it, and tell how many results it had told of."""
    end = time.monotonic() + random.uniform(SHORTEST_LIFE_S, LONGEST_LIFE_S)
    told = 0
    while time.monotonic() < end:
        told = counts(server)["done"]
        time.sleep(0.01)
    server.kill()
    return told


@pytest.mark.timeout(60 + 6 * KILLS)
def test_kill_at_any_moment_loses_no_url_and_doubles_none(start: Start, site: Site) -> None:
    """What was told of is in database and file; in the end everything is in both, once."""
    urls = site.urls()
    random = Random(SEED)
    server = start("--allow-networks", HOST)
    order(server, urls)
    for _ in range(KILLS):
        done = live_for_a_while(server, random)
        database, file = in_database(server), in_file(server)
        assert done <= len(file) <= len(database)
        assert len(file) == len({line["url"] for line in file})
        server = start("--allow-networks", HOST)

    told = end_of_job(server)
    database, file = in_database(server), in_file(server)
    print(f"{KILLS} kills, {site.asked.total()} requests for {PAGES} pages: {told}")
    assert ({}, PAGES) == (told["errors"], told["done"])
    assert urls == [line["url"] for line in database]
    assert urls == [line["url"] for line in file]
    assert [f"Page /{n}" for n in range(PAGES)] == [line["title"] for line in file]
    assert "Traceback" not in server.log


def end_of_job(server: Dawdle) -> dict[str, Any]:
    """The counts of the job, once it is done."""
    until(lambda: not counts(server)["left"], "the last result")
    until(lambda: server.json("/titles/1.json?limit=1")["state"] == "done", "the end of the job")
    return counts(server)


def test_a_stopped_server_goes_on_after_its_next_start(start: Start, site: Site) -> None:
    """SIGTERM breaks off what is under way, quickly; nothing counts as a crash."""
    urls = site.urls()
    server = start("--allow-networks", HOST)
    order(server, urls)
    until(lambda: counts(server)["done"], "the first results")
    began = time.monotonic()
    server.process.terminate()
    assert 0 == server.ended()
    assert time.monotonic() - began < 10
    assert len(in_database(server)) == len(in_file(server)) < PAGES

    server = start("--allow-networks", HOST)
    end_of_job(server)

    assert urls == [line["url"] for line in in_file(server)]
