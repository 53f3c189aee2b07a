"""The service in the test's own process: how to start it, talk to it, and look inside."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from app import keys
from app.clock import Clock
from app.server import create_app
from app.settings import Settings

Client = TestClient[Any, Any]
Start = Callable[..., Awaitable[Client]]

HOST = b"Host: localhost\r\n"
CLOSE = HOST + b"Connection: close\r\n\r\n"
BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
LONG = "delay=300"  # with a time scale of 1, longer than any test


def quick_app(data: Path, *, clock: Clock | None = None, **changes: Any) -> web.Application:
    """The application, its delays a thousand times shorter; *changes* as one would write them."""
    given = {"data": str(data), "time_scale": "0.001"} | changes
    return create_app(Settings.model_validate(given), clock=clock, random=Random(1))


async def quick_server(app: web.Application) -> TestServer:
    """
    The application, listening.

    aiohttp's test server cancels the handlers of clients that leave, always; that the service
    asks for it is shown by tests with a real process.
    """
    server = TestServer(app)
    # Bodies are left as they are, as in the service; nobody is waited for at the end of a test.
    try:
        await server.start_server(auto_decompress=False, shutdown_timeout=0.1)
    except BaseException:  # else the database's thread would outlive the tests
        await server.close()
        raise
    return server


def app_of(client: Client) -> web.Application:
    """The application behind a client."""
    server = client.server
    assert isinstance(server, TestServer)
    return server.app


async def raw(client: Client, request: bytes) -> bytes:
    """What a plain socket gets for these bytes, until the server closes the connection."""
    reader, writer = await asyncio.open_connection(client.host, client.port)
    writer.write(request)
    try:
        async with asyncio.timeout(10):
            return await reader.read()
    finally:
        writer.close()


def parts(reply: bytes) -> tuple[int, dict[str, str], bytes]:
    """(status, headers, body) of a reply; names in lower case."""
    head, _, body = reply.partition(b"\r\n\r\n")
    status_line, *lines = head.decode("ascii").split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    return int(status_line.split()[1]), headers, body


async def spans(client: Client, run: str = "latest") -> list[dict[str, Any]]:
    """The spans of a run, as the export has them."""
    reply = await client.get(f"/runs/{run}/spans")
    return [json.loads(line) for line in (await reply.text()).splitlines()]


async def until_waiting(client: Client, count: int) -> None:
    """Return when so many requests wait."""
    desk, feed = app_of(client)[keys.DESK], app_of(client)[keys.FEED]
    while desk.waiting < count:
        await feed.wait(feed.position)


async def until_idle(client: Client) -> None:
    """Return when no span is in flight any more."""
    recorder, feed = app_of(client)[keys.RECORDER], app_of(client)[keys.FEED]
    while recorder.live:
        await feed.wait(feed.position)
