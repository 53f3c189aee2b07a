"""
Many requests at once, and three ways to hear of their ends.

A done-callback is called for each task as it ends. `gather` gives all results in the order of
the calls, with `return_exceptions` also those that failed. `wait` with a timeout gives what is
done by then and what is not: it cancels nothing, that is for you to do.

    python examples/concurrent_get.py

Output:

    callbacks: 1 2 3 4
    gather: 200 503 200
    wait: 2 done, 2 not yet
    11 calls of 31 s in all took 8.0 s

Before: one `await` after another in a loop, as if there were no asyncio. Dawdle says
`sequential`.

    11 calls of 31 s in all took 31.0 s

In the timeline: three blocks of overlapping bars, two of which the client left; before, a
staircase.
"""

import asyncio
import time

import aiohttp

from _start import start


async def ask(session: aiohttp.ClientSession, seconds: int) -> int:
    async with session.get("/aio", params={"delay": f"{seconds}s"}) as reply:
        await reply.read()
        return seconds


async def failing(session: aiohttp.ClientSession) -> int:
    async with session.get("/aio", params={"delay": "1s", "status": "503"}) as reply:
        reply.raise_for_status()
        return reply.status


async def main(base_url: str, run: str, scale: float) -> None:
    async with aiohttp.ClientSession(base_url, headers={"X-Dawdle-Run": run}) as session:
        begun = time.perf_counter()
        ended: list[str] = []
        tasks = [asyncio.create_task(ask(session, seconds)) for seconds in (2, 4, 1, 3)]
        for task in tasks:
            task.add_done_callback(lambda each: ended.append(str(each.result())))
        await asyncio.gather(*tasks)
        print("callbacks:", *ended)

        calls = ask(session, 1), failing(session), ask(session, 1)
        results = await asyncio.gather(*calls, return_exceptions=True)
        print("gather:", *(getattr(each, "status", 200) for each in results))

        tasks = [asyncio.create_task(ask(session, seconds)) for seconds in (1, 1, 8, 8)]
        done, pending = await asyncio.wait(tasks, timeout=3 * scale)
        print(f"wait: {len(done)} done, {len(pending)} not yet")
        for task in pending:
            task.cancel()
        await asyncio.wait(pending)
        print(f"11 calls of 31 s in all took {time.perf_counter() - begun:.1f} s")


async def before(base_url: str, run: str) -> None:
    async with aiohttp.ClientSession(base_url, headers={"X-Dawdle-Run": run}) as session:
        begun = time.perf_counter()
        for seconds in (2, 4, 1, 3, 1, 1, 1, 1, 1, 8, 8):
            await ask(session, seconds)
        print(f"11 calls of 31 s in all took {time.perf_counter() - begun:.1f} s")


if __name__ == "__main__":
    start(main, before)
