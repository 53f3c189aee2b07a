"""
How it was before `async` and `await`: generators that yield from one another.

From Python 3.4 a coroutine was a generator with a decorator, and `yield from` handed on to the
inner one until it had a result. `asyncio.coroutine` is gone since 3.11, but `types.coroutine`
still makes one, and awaits mix with it: under the hood nothing has changed.

    python examples/legacy_coroutine.py

Output:

    ask is a coroutine: {"delay": 1} and {"delay": 2}
    both after 2.0 s

Before: the same, as it was written in 2014.

    ask is a generator: {"delay": 1} and {"delay": 2}
    both after 2.0 s

In the timeline: the same two bars. Only the spelling has changed, and who may use it by mistake.
"""

import asyncio
import time
import types
from collections.abc import Callable, Generator
from typing import Any

import aiohttp

from _start import start

Ask = Callable[[aiohttp.ClientSession, int], Any]


async def ask(session: aiohttp.ClientSession, delay: int) -> str:
    async with session.get("/aio", params={"delay": f"{delay}s"}) as reply:
        return await reply.text()


@types.coroutine
def ask_in_2014(session: aiohttp.ClientSession, delay: int) -> Generator[Any, Any, str]:
    reply = yield from session.get("/aio", params={"delay": f"{delay}s"}).__await__()
    try:
        return (yield from reply.text().__await__())
    finally:
        reply.release()


async def main(base_url: str, run: str) -> None:
    await ask_twice(ask, base_url, run)


async def before(base_url: str, run: str) -> None:
    await ask_twice(ask_in_2014, base_url, run)


async def ask_twice(ask: Ask, base_url: str, run: str) -> None:
    async with aiohttp.ClientSession(base_url, headers={"X-Dawdle-Run": run}) as session:
        begun = time.perf_counter()
        one, two = ask(session, 1), ask(session, 2)
        print(f"ask is a {type(one).__name__}:", end=" ")
        print(" and ".join(await asyncio.gather(one, two)))
        print(f"both after {time.perf_counter() - begun:.1f} s")


if __name__ == "__main__":
    start(main, before)
