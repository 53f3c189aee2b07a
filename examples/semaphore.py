"""
At most three at a time, with a semaphore.

`asyncio.Semaphore(3)` is a bowl with three tokens: whoever enters takes one, whoever leaves
puts it back, and who finds none waits in line. The tasks all exist from the start; only the
part inside `async with` is bounded. Put the call into it, and nothing else.

    python examples/semaphore.py

Output:

    12 calls of 2 s each, 3 at a time: 8.0 s

Before: without a bound all twelve go at once. Twelve are no harm; the twelve thousand of next
year are. (See too_many.)

    12 calls of 2 s each, all at once: 2.0 s

In the timeline: never more than three bars above each other, four times; a slot that gets free
is taken at once.
"""

import asyncio
import time

import aiohttp

from _start import start


async def ask(session: aiohttp.ClientSession) -> None:
    async with session.get("/aio", params={"delay": "2s"}) as reply:
        await reply.read()


async def main(base_url: str, run: str) -> None:
    slots = asyncio.Semaphore(3)

    async def ask_in_turn(session: aiohttp.ClientSession) -> None:
        async with slots:
            await ask(session)

    async with aiohttp.ClientSession(base_url, headers={"X-Dawdle-Run": run}) as session:
        begun = time.perf_counter()
        await asyncio.gather(*(ask_in_turn(session) for _ in range(12)))
        print(f"12 calls of 2 s each, 3 at a time: {time.perf_counter() - begun:.1f} s")


async def before(base_url: str, run: str) -> None:
    async with aiohttp.ClientSession(base_url, headers={"X-Dawdle-Run": run}) as session:
        begun = time.perf_counter()
        await asyncio.gather(*(ask(session) for _ in range(12)))
        print(f"12 calls of 2 s each, all at once: {time.perf_counter() - begun:.1f} s")


if __name__ == "__main__":
    start(main, before)
