"""Clients as people use them, and as many at once as a machine allows."""

import asyncio
import resource
import shutil
import subprocess
from collections.abc import Iterator

import aiohttp
import pytest

from tests.live.conftest import Start
from tests.live.process import PATIENCE_S, Dawdle, on_each_loop, stored, until

pytestmark = pytest.mark.live

MANY = 2_000


@pytest.fixture
def curl() -> str:
    found = shutil.which("curl")
    if found is None:
        pytest.skip("there is no curl here")
    return found


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ('"$URL/aio?delay=1ms"', '{"delay": 0.001}200'),
        ('"$URL/aio?delay=1-3ms&status=503&seed=1"', "503"),
        ('-d hello "$URL/aio?delay=1ms&status=201"', "201"),
        ('-H "X-Dawdle: delay=1ms&status=202" "$URL/aio?delay=30s"', "202"),
        ('-I "$URL/aio?delay=1ms"', "200"),
        ('-X DELETE "$URL/aio?delay=1ms&status=204"', "204"),
        ('-0 "$URL/aio?delay=1ms"', "200"),
        ('"$URL/aio?delay=20ms&drip=4&size=400"', "200"),
        ('-T - "$URL/aio?delay=1ms" < /dev/null', "200"),
        ('"$URL/aio?delay=nan"', "400"),
        ('"$URL/aio?delay=0" "$URL/aio?delay=0"', "200"),
    ],
)
def test_curl_line_works_when_pasted(
    server: Dawdle, run: str, curl: str, line: str, shown: str
) -> None:
    """In a shell, quoted, it prints what the server says; each request is one span."""
    written = f'"{curl}" -sS -m {PATIENCE_S:g} -H "X-Dawdle-Run: {run}" -w "%{{http_code}}" {line}'

    ended = subprocess.run(
        ["/bin/sh", "-c", written],
        env={"URL": server.url},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (0, "") == (ended.returncode, ended.stderr)
    assert ended.stdout.endswith(shown)
    spans = server.settled(run)
    assert line.count("$URL") == len(spans)
    assert {int(shown[-3:])} == {span["status"] for span in spans}


def test_curl_keeps_its_connection(server: Dawdle, run: str, curl: str) -> None:
    """Two addresses in one line are two requests on one connection."""
    url = f"{server.url}/aio?run={run}&delay=1ms"

    subprocess.run([curl, "-sS", url, url], check=True, capture_output=True)

    assert [1, 2] == [span["connection_request"] for span in server.settled(run, 2)]
    assert 1 == server.report(run)["figures"]["connections"]


@on_each_loop
async def test_semaphore_of_ten_is_a_peak_of_ten(server: Dawdle, run: str) -> None:
    """The report finds the bound that a client keeps: not nine, not eleven."""
    slots = asyncio.Semaphore(10)

    async def ask(session: aiohttp.ClientSession) -> None:
        async with slots, session.get(f"{server.url}/aio?run={run}&delay=10-30ms") as reply:
            await reply.read()

    async with aiohttp.ClientSession() as session:
        await asyncio.gather(*(ask(session) for _ in range(200)))

    server.settled(run, 200)
    figures = server.report(run)["figures"]
    assert (200, 200, 10) == (figures["requests"], figures["completed"], figures["peak"])
    assert 10 == figures["connections"]


@pytest.fixture
def _many_files() -> Iterator[None]:
    """Leave to open a socket for each connection, here and in the server."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 2 * MANY:
        pytest.skip(f"no more than {hard} files may be open here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2 * MANY), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("_many_files")
@on_each_loop
async def test_every_span_of_two_thousand_connections_is_recorded(start: Start) -> None:
    """As many connections at once as requests: each is answered, and each is on disk."""
    server = start()
    connector = aiohttp.TCPConnector(limit=0, force_close=True)

    async def status(session: aiohttp.ClientSession) -> int:
        async with session.get(f"{server.url}/aio?run=r&delay=1s") as reply:
            return reply.status

    async with aiohttp.ClientSession(connector=connector) as session:
        answers = await asyncio.gather(*(status(session) for _ in range(MANY)))

    assert [200] * MANY == answers
    server.settled("r", MANY)
    figures = server.report("r")["figures"]
    assert (MANY, MANY, MANY) == (
        figures["requests"],
        figures["completed"],
        figures["connections"],
    )
    until(lambda: len(stored(server.data)) == MANY, "all spans on disk")
    assert "Traceback" not in server.log
