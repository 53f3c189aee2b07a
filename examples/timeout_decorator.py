"""
A time limit as a decorator.

`asyncio.timeout` cancels what is inside it and raises TimeoutError outside. Wrapped once in a
decorator it reads as a property of the function. The cancelled request is really given up: its
connection is closed, and the backend can stop working for nobody.

    python examples/timeout_decorator.py

Output:

    1 s: {"delay": 1}
    2 s: {"delay": 2}
    8 s: gave up after 4.0 s
    9 s: gave up after 4.0 s

Before: `wait` with a timeout stops waiting, but not the work.

    1 s: {"delay": 1}
    2 s: {"delay": 2}
    8 s: gave up after 4.0 s, still running
    9 s: gave up after 4.0 s, still running

In the timeline: two bars end at 4 s with a cross, and dots show how long they would have gone
on; before, all four go on to their end, and two of them for nobody.
"""

import asyncio
import functools
import time
from collections.abc import Awaitable, Callable
from typing import ParamSpec, TypeVar

import aiohttp

from _start import start

P = ParamSpec("P")
T = TypeVar("T")


def within(seconds: float) -> Callable[[Callable[P, Awaitable[T]]], Callable[P, Awaitable[T]]]:
    """Let the function take so many seconds at most."""

    def decorate(function: Callable[P, Awaitable[T]]) -> Callable[P, Awaitable[T]]:
        @functools.wraps(function)
        async def bounded(*args: P.args, **kwargs: P.kwargs) -> T:
            async with asyncio.timeout(seconds):
                return await function(*args, **kwargs)

        return bounded

    return decorate


async def ask(session: aiohttp.ClientSession, delay: int) -> str:
    async with session.get("/aio", params={"delay": f"{delay}s"}) as reply:
        return await reply.text()


async def main(base_url: str, run: str, scale: float) -> None:
    @within(4 * scale)
    async def ask_in_time(session: aiohttp.ClientSession, delay: int) -> str:
        return await ask(session, delay)

    async def report(session: aiohttp.ClientSession, delay: int) -> str:
        begun = time.perf_counter()
        try:
            return await ask_in_time(session, delay)
        except TimeoutError:
            return f"gave up after {time.perf_counter() - begun:.1f} s"

    async with aiohttp.ClientSession(base_url, headers={"X-Dawdle-Run": run}) as session:
        delays = (1, 2, 8, 9)
        ends = await asyncio.gather(*(report(session, delay) for delay in delays))
        for delay, end in zip(delays, ends, strict=True):
            print(f"{delay} s: {end}")


async def before(base_url: str, run: str, scale: float) -> None:
    async with aiohttp.ClientSession(base_url, headers={"X-Dawdle-Run": run}) as session:
        begun = time.perf_counter()
        tasks = {delay: asyncio.create_task(ask(session, delay)) for delay in (1, 2, 8, 9)}
        done, pending = await asyncio.wait(tasks.values(), timeout=4 * scale)
        given_up = f"gave up after {time.perf_counter() - begun:.1f} s, still running"
        for delay, task in tasks.items():
            print(f"{delay} s:", task.result() if task in done else given_up)
        await asyncio.wait(pending)  # else they would be cut off where the program ends


if __name__ == "__main__":
    start(main, before)
