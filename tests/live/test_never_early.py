"""A reply is never early: real loops, real sockets, the client's own clock."""

import asyncio
import random
import subprocess
import sys
import time
from typing import NamedTuple

import aiohttp
import pytest

from tests.live.process import Dawdle, on_each_loop

pytestmark = [pytest.mark.live, on_each_loop]

REQUESTS = 400
MICROSECOND_NS = 1_000


class Timed(NamedTuple):
    """One request: what it asked for, and how long a client waited for it."""

    planned_ns: int
    waited_ns: int


async def timed(session: aiohttp.ClientSession, url: str, delay_us: int) -> Timed:
    """Wait for a reply whose delay is *delay_us*, down to its last byte."""
    begun_ns = time.monotonic_ns()
    async with session.get(f"{url}&delay={delay_us / 1000}ms") as reply:
        await reply.read()
        assert reply.status == 200
    return Timed(delay_us * MICROSECOND_NS, time.monotonic_ns() - begun_ns)


def test_server_runs_on_the_loop_that_is_meant(environ: dict[str, str], server_loop: str) -> None:
    """Else half of these tests would test the other half's loop."""
    show = "from app.loops import loop_factory; print(loop_factory())"

    shown = subprocess.check_output([sys.executable, "-c", show], env=environ, text=True)

    assert (server_loop == "asyncio") == (shown == "None\n")


@pytest.mark.parametrize("knobs", ["", "&drip=3&size=3000"], ids=["at once", "dripping"])
async def test_no_reply_is_early(server: Dawdle, run: str, knobs: str) -> None:
    """Neither by the client's clock nor by the server's; a dripping one not with its last byte."""
    delays_us = [random.randint(1_000, 40_000) for _ in range(REQUESTS)]
    url = f"{server.url}/aio?run={run}{knobs}"

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=50)) as session:
        measured = await asyncio.gather(*(timed(session, url, delay) for delay in delays_us))

    spans = server.settled(run, REQUESTS)
    assert [] == [each for each in measured if each.waited_ns < each.planned_ns]
    assert [] == [span for span in spans if lateness_ns(span) < 0]


def lateness_ns(span: dict[str, int]) -> int:
    """By the last byte, which a reply that does not drip sends with the first."""
    return span["last_byte_ns"] - span["wait_begun_ns"] - span["delay_ns"]
