"""Tests of `app.titles.body`: readers that wait for a page whose connection has ended."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import ClientPayloadError, StreamReader
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http_exceptions import HttpProcessingError

from app.titles.body import _Ending

STUMBLED = HttpProcessingError(message="Invalid character in chunk size")


def response(*, closed: "asyncio.Future[None] | None", error: Exception | None) -> Any:
    """As much of a response as knows how its connection is."""
    protocol = SimpleNamespace(closed=closed, exception=lambda: error)
    content = StreamReader(BaseProtocol(asyncio.get_running_loop()), 1)
    return SimpleNamespace(content=content, connection=SimpleNamespace(protocol=protocol))


async def test_a_connection_that_ended_over_rubbish_is_told_before_anybody_waits() -> None:
    """Nobody would be woken any more."""
    page = response(closed=None, error=STUMBLED)

    with pytest.raises(ClientPayloadError, match="Invalid character"), _Ending(page):
        await page.content.readany()


async def test_a_connection_that_ends_over_rubbish_wakes_who_waits() -> None:
    """The parser's words become the reader's error."""
    closed = asyncio.get_running_loop().create_future()
    page = response(closed=closed, error=STUMBLED)

    with _Ending(page):
        closed.set_result(None)
        await asyncio.sleep(0)

    assert STUMBLED is page.content.exception().__cause__


async def test_a_connection_that_just_ends_is_left_to_aiohttp() -> None:
    """It may have more of the page in store."""
    closed = asyncio.get_running_loop().create_future()
    page = response(closed=closed, error=None)

    with _Ending(page):
        closed.set_result(None)
        await asyncio.sleep(0)

    assert page.content.exception() is None


async def test_a_kept_connection_remembers_one_look_and_not_every_reader() -> None:
    """It may serve thousands of pages."""
    closed = asyncio.get_running_loop().create_future()
    for _ in range(3):
        with _Ending(response(closed=closed, error=None)):
            pass

    assert 1 == len(closed._callbacks)
    closed.set_exception(ConnectionResetError())
    await asyncio.sleep(0)  # and asyncio does not complain that nobody looked


async def test_a_response_without_a_connection_has_nothing_to_wait_for() -> None:
    """All of it came at once."""
    page = SimpleNamespace(content=None, connection=None)

    with _Ending(page):  # type: ignore[arg-type]  # as much of a response as there is
        pass
