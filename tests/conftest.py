"""What all tests share: how Hypothesis searches, and the service behind a client."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from pytest_aiohttp.plugin import AiohttpClient

from tests.service import Client, Start, quick_app, quick_server

# The same tree gives the same verdict, so a red run is never somebody else's luck; the examples
# change with the tests. To search further: `pytest --hypothesis-profile=explore`. No deadline,
# since the speed of a busy machine is no property of the code.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.register_profile("explore", max_examples=5_000, deadline=None)
settings.load_profile("repeatable")


@pytest.fixture
def start(aiohttp_client: AiohttpClient, tmp_path: Path) -> Start:
    """Starts the service on a data folder of the test's own, with *changes* to its settings."""

    async def start(**changes: Any) -> Client:
        server = await quick_server(quick_app(tmp_path / "data", **changes))
        return await aiohttp_client(server, auto_decompress=False)

    return start


@pytest.fixture
async def client(start: Start) -> Client:
    """A client of the service."""
    return await start()
