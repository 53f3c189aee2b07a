"""
What real clients make of each fault: the table in docs/faults.md.

`python -m tests.live.faulted` starts a server, drives the clients against it, and writes the table
into the document. A test does the same and compares.
"""

import asyncio
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import aiohttp
import httpx
import requests

from app.faults import SILENT, Fault
from tests.live.process import Dawdle, environment

# The timeouts of the clients; against silence, which would last, and for what comes for sure.
BRIEF_S, LONG_S = 0.5, 45.0
DOCUMENT = Path(__file__).parents[2] / "docs" / "faults.md"
HEADING = "## What your client sees"


def whole(received: bytes, status: int) -> str:
    """What a client says that has noticed nothing."""
    return f"no error: {status}, {len(received)} bytes"


def named(error: BaseException) -> str:
    """What a client raises."""
    return f"`{type(error).__name__}`"


def by_aiohttp(url: str, patience_s: float) -> str:
    """A session of its own, as for one request."""

    async def ask() -> str:
        timeout = aiohttp.ClientTimeout(total=patience_s)
        async with aiohttp.ClientSession(timeout=timeout) as session, session.get(url) as reply:
            return whole(await reply.read(), reply.status)

    try:
        return asyncio.run(ask())
    except (aiohttp.ClientError, TimeoutError) as error:
        return named(error)


def by_httpx(url: str, patience_s: float) -> str:
    """The function for one request."""
    try:
        reply = httpx.get(url, timeout=patience_s)
    except httpx.HTTPError as error:
        return named(error)
    return whole(reply.content, reply.status_code)


def by_requests(url: str, patience_s: float) -> str:
    """The function for one request; urllib3 is below it."""
    try:
        reply = requests.get(url, timeout=patience_s)
    except requests.RequestException as error:
        return named(error)
    return whole(reply.content, reply.status_code)


def by_curl(url: str, patience_s: float) -> str:
    """The command, and its exit status."""
    program = shutil.which("curl")
    assert program is not None
    line = [program, "-sS", "-m", str(patience_s), "-o", "-", "-w", "%{stderr}%{http_code}", url]
    ended = subprocess.run(line, capture_output=True, check=False)
    if ended.returncode:
        return f"exit status {ended.returncode}"
    return whole(ended.stdout, int(ended.stderr))


CLIENTS: dict[str, Callable[[str, float], str]] = {
    "aiohttp": by_aiohttp,
    "httpx": by_httpx,
    "requests": by_requests,
    "curl": by_curl,
}


def outcomes(server: Dawdle, clients: Iterable[str]) -> dict[Fault, list[str]]:
    """What each of the clients makes of each fault, all at once."""
    with ThreadPoolExecutor() as pool:
        asked = {
            fault: [pool.submit(outcome, server, client, fault) for client in clients]
            for fault in Fault
        }
        return {fault: [one.result() for one in row] for fault, row in asked.items()}


def outcome(server: Dawdle, client: str, fault: Fault) -> str:
    """What it says, and how often it asked if that was more than once."""
    run = f"{client}-{fault}"
    url = f"{server.url}/aio?run={run}&delay=10ms&size=100&fault={fault}"
    said = CLIENTS[client](url, BRIEF_S if fault in SILENT else LONG_S)
    times = len(server.settled(run))
    return said if times == 1 else f"{said}, having asked {times} times"


def table(rows: dict[Fault, list[str]], clients: Iterable[str]) -> str:
    """The same in Markdown."""
    lines = [["fault", *clients], ["---"] * (1 + len([*clients]))]
    lines += [[f"`{fault}`", *row] for fault, row in rows.items()]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def written() -> str:
    """The table as the document has it."""
    text = DOCUMENT.read_text(encoding="utf-8").partition(f"{HEADING}\n")[2]
    return "".join(re.findall(r"(?m)^\|.*\n", text.partition("\n## ")[0]))


def main() -> None:
    """Write the table anew."""
    with (
        tempfile.TemporaryDirectory() as folder,
        Dawdle(Path(folder), environ=environment()) as server,
    ):
        rows = outcomes(server.listening(), CLIENTS)
    text = DOCUMENT.read_text(encoding="utf-8")
    DOCUMENT.write_text(text.replace(written(), table(rows, CLIENTS)), encoding="utf-8")


if __name__ == "__main__":
    main()
