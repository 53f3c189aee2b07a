"""
Ten million coroutines at once are a bad idea: what breaks first.

Not the CPU: they only wait. First memory, since each waiting task keeps its frames. Then the
client: aiohttp lets 100 through at once and the others stand in line inside it, where their
timeouts tick. Take that limit away and the next wall is the number of open files, then that of
ports, about 28,000 to one address. Then the backend. The cure is to choose a number.

    python examples/too_many.py

Output:

    a waiting task takes 1.2 kB; ten million take 12 GB before a byte is sent
    300 calls, 50 at a time: 12.1 s

Before: all at once, and aiohttp's own limit taken away. Dawdle says `unbounded`.

    a waiting task takes 1.2 kB; ten million take 12 GB before a byte is sent
    300 calls, all at once: 2.2 s

In the timeline: 50 in flight from begin to end; before, a wall of 300, and a connection each.
"""

import asyncio
import time
import tracemalloc

import aiohttp

from _start import start

CALLS = 300


async def ask(session: aiohttp.ClientSession) -> None:
    async with session.get("/aio", params={"delay": "2s"}) as reply:
        await reply.read()


async def weigh() -> None:
    """What it takes to wait, with nothing but a sleep to wait for."""
    tracemalloc.start()
    tasks = [asyncio.create_task(asyncio.sleep(60)) for _ in range(1_000)]
    await asyncio.sleep(0)  # now each of them waits
    each, _ = (total / 1_000 for total in tracemalloc.get_traced_memory())
    tracemalloc.stop()
    for task in tasks:
        task.cancel()
    cost = f"{each / 1e3:.1f} kB; ten million take {each * 1e7 / 1e9:.0f} GB"
    print(f"a waiting task takes {cost} before a byte is sent")


async def main(base_url: str, run: str) -> None:
    await weigh()
    calls = iter(range(CALLS))

    async def work(session: aiohttp.ClientSession) -> None:
        for _ in calls:
            await ask(session)

    async with aiohttp.ClientSession(base_url, headers={"X-Dawdle-Run": run}) as session:
        begun = time.perf_counter()
        await asyncio.gather(*(work(session) for _ in range(50)))
        print(f"{CALLS} calls, 50 at a time: {time.perf_counter() - begun:.1f} s")


async def before(base_url: str, run: str) -> None:
    await weigh()
    async with aiohttp.ClientSession(
        base_url, headers={"X-Dawdle-Run": run}, connector=aiohttp.TCPConnector(limit=0)
    ) as session:
        begun = time.perf_counter()
        await asyncio.gather(*(ask(session) for _ in range(CALLS)))
        print(f"{CALLS} calls, all at once: {time.perf_counter() - begun:.1f} s")


if __name__ == "__main__":
    start(main, before)
