"""
Run, TaskGroup, timeout: asyncio as it is meant since Python 3.11.

`asyncio.run` makes a loop and closes it. A TaskGroup owns its tasks: if one fails, the others
are cancelled, and all that went wrong comes out as one ExceptionGroup, which `except*` takes
apart. `asyncio.timeout` bounds a whole block, not only one call.

    python examples/modern_asyncio.py

Output:

    block: out of time after 2.0 s
    group: 503 after 1.0 s, and 2 others were cancelled

Before: `gather` hands on the first failure at once and forgets the others. They go on, and
nobody waits for them.

    gather: 503 after 1.0 s, and 2 others still run

In the timeline: above, a call that the timeout cut short. Below, where one call fails, the two
beside it end too (the client left); before, they go on to their end.
"""

import asyncio
import time

import aiohttp

from _start import start


async def call(session: aiohttp.ClientSession, **knobs: str) -> None:
    async with session.get("/aio", params=knobs) as reply:
        reply.raise_for_status()


async def main(base_url: str, run: str, scale: float) -> None:
    headers = {"X-Dawdle-Run": run}
    async with aiohttp.ClientSession(base_url, headers=headers) as session:
        begun = time.perf_counter()
        try:
            async with asyncio.timeout(2 * scale):
                await call(session, delay="1s")
                await call(session, delay="3s")
        except TimeoutError:
            print(f"block: out of time after {time.perf_counter() - begun:.1f} s")

        begun = time.perf_counter()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(call(session, delay="1s", status="503"))
                others = [group.create_task(call(session, delay="4s")) for _ in range(2)]
        except* aiohttp.ClientResponseError as failures:
            [failure] = failures.exceptions
            assert isinstance(failure, aiohttp.ClientResponseError)
            took, gone = time.perf_counter() - begun, sum(each.cancelled() for each in others)
            print(f"group: {failure.status} after {took:.1f} s, and {gone} others were cancelled")


async def before(base_url: str, run: str) -> None:
    async with aiohttp.ClientSession(base_url, headers={"X-Dawdle-Run": run}) as session:
        begun = time.perf_counter()
        failing = asyncio.create_task(call(session, delay="1s", status="503"))
        others = [asyncio.create_task(call(session, delay="4s")) for _ in range(2)]
        try:
            await asyncio.gather(failing, *others)
        except aiohttp.ClientResponseError as failure:
            took, going = time.perf_counter() - begun, sum(not each.done() for each in others)
            print(f"gather: {failure.status} after {took:.1f} s, and {going} others still run")
        await asyncio.wait(others)


if __name__ == "__main__":
    start(main, before)
