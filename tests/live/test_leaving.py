"""Clients that leave before their reply: `client_gone`, whatever way they take."""

import asyncio
import shutil
import subprocess
import time
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest

from tests.live.process import Dawdle, Wire, on_each_loop, request, until

pytestmark = [pytest.mark.live, on_each_loop]

ENDLESS = "30s"  # longer than any test waits
FIVE_MB = 5_000_000
SECOND_NS = 1_000_000_000

WAYS = {"FIN": Wire.close, "only a FIN": Wire.half_close, "RST": Wire.reset}
ways_to_leave = pytest.mark.parametrize("leave", WAYS.values(), ids=WAYS.keys())


def gone(server: Dawdle, run: str) -> dict[str, Any]:
    """The one span of the run, which must be that of a client that left unanswered."""
    [span] = server.settled(run)
    assert ("client_gone", "client", None) == (span["outcome"], span["ended_by"], span["status"])
    return span


def waited_ns(span: dict[str, Any]) -> int:
    return int(span["end_ns"] - span["arrival_ns"])


@ways_to_leave
def test_client_that_leaves_is_gone_with_the_time_it_waited(
    server: Dawdle, run: str, leave: Callable[[Wire], None]
) -> None:
    """A client's leaving ends its span at that moment, be it a FIN, half of one, or a RST."""
    wire = server.connect()

    before_ns = time.monotonic_ns()
    wire.ask(f"/aio?run={run}&delay={ENDLESS}")
    server.await_in_flight(run, 1)
    waiting_ns = time.monotonic_ns()
    time.sleep(0.05)  # so that there is a time to be right about
    leaving_ns = time.monotonic_ns()
    leave(wire)
    span = gone(server, run)
    noticed_ns = time.monotonic_ns()

    assert leaving_ns - waiting_ns <= waited_ns(span) <= noticed_ns - before_ns
    cancellations = server.report(run)["cancellations"]
    assert cancellations["waited"] * SECOND_NS == pytest.approx(waited_ns(span), abs=1_000)
    assert cancellations["planned"] == 30


@ways_to_leave
def test_client_that_leaves_while_its_reply_drips_is_gone(
    server: Dawdle, run: str, leave: Callable[[Wire], None]
) -> None:
    """A reply that has begun is not a reply that is complete."""
    wire = server.connect()

    wire.ask(f"/aio?run={run}&drip=4&size=4000&delay={ENDLESS}")
    assert wire.socket.recv(5) == b"HTTP/"
    leave(wire)

    [span] = server.settled(run)
    assert (span["outcome"], span["ended_by"]) == ("client_gone", "client")
    assert span["bytes_out"] < 4_000
    assert span["last_byte_ns"] is None


def test_curl_that_gives_up_is_gone(server: Dawdle, run: str) -> None:
    """`curl -m` waits as long as it was told, and then it has left."""
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("there is no curl here")

    url = f"{server.url}/aio?run={run}&delay={ENDLESS}"
    status = subprocess.run([curl, "-s", "-m", "0.2", url], check=False).returncode

    assert status == 28  # curl's own: the time is over
    assert waited_ns(gone(server, run)) < 30 * SECOND_NS


async def test_aiohttp_client_with_a_timeout_is_gone(server: Dawdle, run: str) -> None:
    """A client whose timeout strikes has left."""
    timeout = aiohttp.ClientTimeout(total=0.2)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        with pytest.raises(asyncio.TimeoutError):
            await session.get(f"{server.url}/aio?run={run}&delay={ENDLESS}")

    assert waited_ns(gone(server, run)) < 30 * SECOND_NS


@ways_to_leave
@pytest.mark.parametrize("sent", [FIVE_MB // 2, FIVE_MB], ids=["in mid-body", "after the body"])
def test_client_that_leaves_a_large_body_behind_is_gone(
    server: Dawdle, run: str, leave: Callable[[Wire], None], sent: int
) -> None:
    """Bodies are read while their requests wait, else nobody notices that the client left."""
    wire = server.connect()

    whole = request(f"/aio?run={run}&delay={ENDLESS}", method="POST", body=bytes(FIVE_MB))
    wire.send(whole[: len(whole) - FIVE_MB + sent])
    until(lambda: [sent] == [span["bytes_in"] for span in server.spans(run)], "the body")
    leave(wire)

    assert gone(server, run)["bytes_in"] == sent


@ways_to_leave
def test_client_that_leaves_pipelined_requests_behind_leaks_no_span(
    server: Dawdle, run: str, leave: Callable[[Wire], None]
) -> None:
    """However many requests wait behind each other: every span that began has ended."""
    wire = server.connect()

    wire.send(request(f"/aio?run={run}&delay=2ms") * 300)
    until(lambda: server.spans(run), "the first of them")
    leave(wire)

    ended = {"completed", "client_gone"}
    until(lambda: {span["outcome"] for span in server.spans(run)} <= ended, "the end of each span")
    until(lambda: server.figure("dawdle_in_flight") == 0, "the end of all")
    assert server.get("/aio?delay=0").status == 200
    assert "Traceback" not in server.log
