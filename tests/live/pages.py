"""A site whose every page has a title, a job about it, and what is on disk of that."""

import asyncio
import json
import sqlite3
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.live.process import HOST, Dawdle, until

PAGES = 2_000
PORTS = 4  # of the site, each a host of its own
PER_HOST = 2


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


@contextmanager
def serving(after_s: float) -> Iterator[Site]:
    """A site that answers after so many seconds."""
    site = Site(after_s)
    thread = threading.Thread(target=site.serve)
    thread.start()
    until(lambda: len(site.ports) == PORTS, "the site")
    try:
        yield site
    finally:
        site.stop()
        thread.join()


def order(server: Dawdle, urls: list[str]) -> None:
    """Begin a job with these URLs; the answer promises that none is lost."""
    ordered = {"urls": urls, "concurrency": PORTS * PER_HOST, "per_host": PER_HOST}
    body = json.dumps(ordered).encode()
    answer = server.get("/titles", "Content-Type: application/json", method="POST", body=body)
    assert (202, "/titles/1") == (answer.status, answer.headers["location"]), answer


def in_file(data: Path) -> list[dict[str, Any]]:
    """The whole lines of the job's file."""
    lines = (data / "titles" / "1.jsonl").read_bytes().splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith(b"\n")]


def in_database(data: Path) -> list[dict[str, Any]]:
    """The results in the database, in the order of the URLs."""
    with closing(sqlite3.connect(data / "titles.sqlite3")) as database:
        assert [("ok",)] == database.execute("PRAGMA integrity_check").fetchall()
        return [json.loads(line) for (line,) in database.execute(ROWS)]


ROWS = "SELECT line FROM items JOIN results USING (job, position) WHERE job = 1 ORDER BY position"


def counts(server: Dawdle) -> dict[str, Any]:
    """How far the job is, as the server tells."""
    return dict(server.json("/titles/1.json?limit=1")["counts"])


def end_of_job(server: Dawdle) -> dict[str, Any]:
    """The counts of the job, once it is done."""
    until(lambda: not counts(server)["left"], "the last result")
    until(lambda: server.json("/titles/1.json?limit=1")["state"] == "done", "the end of the job")
    return counts(server)
