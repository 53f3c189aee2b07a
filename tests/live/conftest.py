"""Servers in processes of their own, on uvloop and on asyncio's own loop."""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest

from tests.live.process import Dawdle, environment

if TYPE_CHECKING:
    from playwright.sync_api import Browser


class Start(Protocol):
    """How tests start a server."""

    def __call__(self, *options: str, name: str = "data") -> Dawdle:
        """One that listens, with these options and its data in the folder *name*."""


@pytest.fixture(scope="module")
def server_loop() -> str:
    """The event loop of servers: the best there is, unless `on_each_loop` asks for both."""
    return "best"


@pytest.fixture(scope="module")
def environ(server_loop: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of servers: one without uvloop where asyncio's own loop is meant."""
    surroundings = environment()
    if server_loop == "uvloop":
        pytest.importorskip("uvloop")
    if server_loop == "asyncio":
        hidden = tmp_path_factory.mktemp("hidden")
        (hidden / "uvloop.py").write_text("raise ImportError('hidden by a test')\n")
        surroundings["PYTHONPATH"] = f"{hidden}{os.pathsep}{surroundings['PYTHONPATH']}"
    return surroundings


@pytest.fixture
def start(tmp_path: Path, environ: dict[str, str]) -> Iterator[Start]:
    """Start servers, for tests that end them; they end with the test at the latest."""
    with ExitStack() as running:

        def start_one(*options: str, name: str = "data") -> Dawdle:
            server = Dawdle(tmp_path, *options, environ=environ, name=name)
            return running.enter_context(server).listening()

        yield start_one


@pytest.fixture(scope="module")
def server(environ: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dawdle]:
    """The server that all tests of a module share: starting one takes longer than most of them."""
    with Dawdle(tmp_path_factory.mktemp("shared"), "--max-body", "8m", environ=environ) as shared:
        yield shared.listening()


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    """Chromium, for all tests of a module."""
    from tests.live.browsers import chromium  # which few of the live tests need

    with chromium() as browser:
        yield browser


@pytest.fixture
def run(server: Dawdle) -> str:
    """A fresh run for this test alone."""
    return server.make_run()
