"""
Real clients as people write them, well and badly: what each does, and what it is to be told.

Each takes a server's address and a run of its own, and sends it some requests within a few seconds.
"""

import asyncio
import concurrent.futures
import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import aiohttp
import httpx
import requests
import tenacity
import urllib3

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
PATIENCE_S = 45

Script = Callable[[str], None]  # is told the address of `/aio` with the run in it


@dataclass(frozen=True)
class Client:
    """A client, and the codes of what it is to be told, all of that severity."""

    words: str
    script: Script
    codes: tuple[str, ...] = ()
    severity: str = "warn"


def _urls(aio: str, count: int, delay: str) -> Iterator[str]:
    """So many requests, each with a target of its own."""
    return (f"{aio}&delay={delay}&_={number}" for number in range(count))


def _running(script: Callable[[str], Awaitable[object]]) -> Script:
    """An asynchronous client as a plain one."""

    async def whole(aio: str) -> None:
        await script(aio)

    return lambda aio: asyncio.run(whole(aio))


async def _read(session: aiohttp.ClientSession, url: str) -> None:
    async with session.get(url) as reply:
        await reply.read()


async def _bounded(
    ask: Callable[[str], Awaitable[object]], urls: Iterable[str], limit: int
) -> None:
    """No more than so many at a time."""
    slots = asyncio.Semaphore(limit)

    async def one(url: str) -> None:
        async with slots:
            await ask(url)

    await asyncio.gather(*map(one, urls))


# --- how many at a time --------------------------------------------------------------------------


async def _loop(aio: str) -> None:
    async with aiohttp.ClientSession() as session:
        for url in _urls(aio, 12, "100ms"):
            await _read(session, url)


async def _default_connector(aio: str) -> None:
    async with aiohttp.ClientSession() as session:
        await asyncio.gather(*(_read(session, url) for url in _urls(aio, 400, "200-500ms")))


async def _no_limit(aio: str) -> None:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        await asyncio.gather(*(_read(session, url) for url in _urls(aio, 150, "1s")))


async def _batches(aio: str) -> None:
    urls = list(_urls(aio, 50, "50-500ms"))
    async with aiohttp.ClientSession() as session:
        for start in range(0, len(urls), 10):
            await asyncio.gather(*(_read(session, url) for url in urls[start : start + 10]))


async def _blocked_loop(aio: str) -> None:
    async with aiohttp.ClientSession() as session:

        async def ask(url: str) -> None:
            await _read(session, url)
            if url.endswith("0"):
                time.sleep(0.3)  # noqa: ASYNC251  # what must not be done, is done

        await _bounded(ask, _urls(aio, 80, "50-250ms"), 12)


async def _httpx_limits(aio: str) -> None:
    async with httpx.AsyncClient(timeout=None) as session:
        await asyncio.gather(*(session.get(url) for url in _urls(aio, 220, "1200-2000ms")))


def _requests_in_threads(aio: str) -> None:
    with requests.Session() as session, concurrent.futures.ThreadPoolExecutor(10) as pool:
        list(pool.map(session.get, _urls(aio, 100, "50-150ms")))


def _curl_in_a_loop(aio: str) -> None:
    lines = 'for n in 1 2 3 4 5 6 7 8 9 10 11 12; do curl -s "$0&delay=100-300ms&_=$n"; done'
    subprocess.run(["/bin/sh", "-c", lines, aio], check=True, capture_output=True)


def browser() -> str | None:
    """The browser of this machine, if there is one."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


def _browser(aio: str) -> None:
    """A page whose script fetches thirty addresses at once; done when all are answered."""
    found = browser()
    assert found is not None
    urls = json.dumps(list(_urls(aio, 30, "100-300ms")))
    script = f"Promise.all({urls}.map(url => fetch(url).then(reply => reply.text())))"
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        page = Path(folder, "page.html")
        page.write_text(f"<!doctype html><script>{script}</script>", encoding="utf-8")
        options = ("--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", "--no-first-run")
        # Time in the page stands still while it waits for a reply, and then the budget is spent.
        patient = ("--virtual-time-budget=20000", f"--user-data-dir={folder}/profile")
        subprocess.run(
            [found, *options, *patient, page.as_uri()],
            check=True,
            capture_output=True,
            timeout=PATIENCE_S,
        )


# --- connections, timeouts, doubles --------------------------------------------------------------


async def _session_per_url(aio: str) -> None:
    async def ask(url: str) -> None:
        async with aiohttp.ClientSession() as session:
            await _read(session, url)

    await _bounded(ask, _urls(aio, 60, "50-150ms"), 10)


async def _timeout(aio: str) -> None:
    """`asyncio.timeout(5)` at a tenth of the time, around each call."""
    async with aiohttp.ClientSession() as session:

        async def ask(url: str) -> None:
            with suppress(TimeoutError):
                async with asyncio.timeout(0.5):
                    await _read(session, url)

        await _bounded(ask, _urls(aio, 60, "100-900ms"), 15)


async def _hedge(aio: str) -> None:
    """A second attempt for whoever is slow, and the first one goes on."""
    async with aiohttp.ClientSession() as session:

        async def ask(url: str) -> None:
            first = asyncio.create_task(_read(session, url))
            await asyncio.wait([first], timeout=0.2)
            if not first.done():
                await asyncio.gather(first, _read(session, url))

        keyed = (f"{url}&key=order-{n}" for n, url in enumerate(_urls(aio, 8, "900ms")))
        await asyncio.gather(*map(ask, keyed))


# --- retries -------------------------------------------------------------------------------------


FAILING = "delay=50ms&status=503"


async def _retrying(
    aio: str, *, keys: int, attempts: int, backend: str = FAILING, **policy: object
) -> None:
    """Each key is tried by tenacity until it is served, and no more than so often."""
    async with aiohttp.ClientSession(raise_for_status=True) as session:

        async def ask(url: str) -> None:
            retry = tenacity.AsyncRetrying(
                stop=tenacity.stop_after_attempt(attempts),
                **policy,  # type: ignore[arg-type]  # settings of several types
            )
            with suppress(tenacity.RetryError):
                await retry(_read, session, url)

        urls = (f"{aio}&{backend}&key=order-{n}" for n in range(keys))
        await asyncio.gather(*map(ask, urls))


_at_once = partial(_retrying, keys=3, attempts=6)
_in_step = partial(
    _retrying, keys=12, attempts=3, wait=tenacity.wait_exponential(multiplier=0.4, min=0)
)
_jittered = partial(
    _retrying, keys=12, attempts=4, wait=tenacity.wait_random_exponential(multiplier=0.3)
)

# Jitter and all, but never a look at the header.
_deaf = partial(
    _retrying, keys=8, attempts=3, wait=tenacity.wait_random_exponential(multiplier=0.2, max=0.5)
)
_deaf_to_fail = partial(_deaf, backend="delay=50ms&fail=2:429&retry_after=1")
_deaf_to_rate = partial(_deaf, backend="delay=50ms&rate=4/s")
_deaf_to_queue = partial(_deaf, backend="delay=200ms&capacity=1&queue=2")


def _urllib3_retry(aio: str) -> None:
    """Eight orders at a time, each tried again when `Retry-After` says."""
    policy = urllib3.Retry(total=3, status_forcelist=[429, 503], backoff_factor=0.2)
    pool = urllib3.PoolManager(maxsize=8, retries=policy)

    def ask(number: int) -> int:
        return pool.request("GET", f"{aio}&delay=50ms&rate=4/s&key=order-{number}").status

    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        assert {200} == set(threads.map(ask, range(8)))


# --- those who behave ----------------------------------------------------------------------------


async def _semaphore(aio: str) -> None:
    async with aiohttp.ClientSession() as session:
        await _bounded(partial(_read, session), _urls(aio, 100, "50-250ms"), 20)


async def _kept_waiting(aio: str, *, delay: str, backend: str) -> None:
    """A semaphore of eight, and a backend that is the slower of the two."""
    async with aiohttp.ClientSession() as session:
        urls = (f"{url}&{backend}" for url in _urls(aio, 40, delay))
        await _bounded(partial(_read, session), urls, 8)


_queued = partial(_kept_waiting, delay="20-80ms", backend="capacity=2")
_held = partial(_kept_waiting, delay="5s", backend="barrier=4")


async def _httpx_bounded(aio: str) -> None:
    async with httpx.AsyncClient(timeout=None) as session:
        await _bounded(session.get, _urls(aio, 60, "50-150ms"), 8)


async def _httpx_at_once(aio: str) -> None:
    async with httpx.AsyncClient(timeout=None) as session:
        await asyncio.gather(*(session.get(url) for url in _urls(aio, 30, "100-500ms")))


BAD = (
    Client("aiohttp, one await after another", _running(_loop), ("sequential",)),
    Client("curl in a shell loop", _curl_in_a_loop, ("sequential",)),
    Client(
        "aiohttp, gather over its default connector",
        _running(_default_connector),
        ("concurrency_plateau",),
    ),
    Client(
        "httpx, gather over its default limits", _running(_httpx_limits), ("concurrency_plateau",)
    ),
    Client(
        "requests in a thread pool of 10", _requests_in_threads, ("concurrency_plateau",), "note"
    ),
    Client("a browser with 30 URLs", _browser, ("concurrency_plateau",), "note"),
    Client("aiohttp with limit=0", _running(_no_limit), ("unbounded",)),
    Client("aiohttp, gather in batches of 10", _running(_batches), ("starved",)),
    Client("aiohttp, 0.3 s of blocking work now and then", _running(_blocked_loop), ("starved",)),
    Client("aiohttp, a session per URL", _running(_session_per_url), ("connection_per_request",)),
    Client("asyncio.timeout around calls", _running(_timeout), ("client_timeout", "wasted_work")),
    Client("tenacity without a wait", _running(_at_once), ("retry_without_backoff",)),
    Client("tenacity, exponential without jitter", _running(_in_step), ("retry_in_lockstep",)),
    Client(
        "tenacity, deaf to the Retry-After of fail",
        _running(_deaf_to_fail),
        ("retry_after_ignored",),
    ),
    Client(
        "tenacity, deaf to the Retry-After of rate",
        _running(_deaf_to_rate),
        ("retry_after_ignored",),
    ),
    Client(
        "tenacity, deaf to the Retry-After of a full queue",
        _running(_deaf_to_queue),
        ("retry_after_ignored",),
    ),
    Client("a second attempt beside the first", _running(_hedge), ("duplicate_in_flight",)),
)

GOOD = (
    Client("aiohttp, a semaphore of 20", _running(_semaphore)),
    Client("httpx, eight at a time", _running(_httpx_bounded)),
    Client("httpx, thirty at once", _running(_httpx_at_once)),
    Client("tenacity, exponential with full jitter", _running(_jittered)),
    Client("urllib3's Retry, at a rate that is too fast", _urllib3_retry),
    Client("a semaphore of 8 before a queue", _running(_queued)),
    Client("a semaphore of 8 before a barrier", _running(_held)),
)
