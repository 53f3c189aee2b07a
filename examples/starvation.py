"""
A loop that computes starves everybody else, and the cure.

Between two awaits nothing else runs: no reply is read, no request sent, no timeout noticed.
`asyncio.to_thread` gives the work to a thread; the interpreter then changes between the two a
few hundred times a second. Pure Python that computes for long is better off in another process
(see process_pool).

    python examples/starvation.py

Output:

    24 calls of 2 s, 6 at a time, while something computes
    the loop was held up for 0.02 s at the worst

Before: the same computation in a coroutine. Dawdle says `starved`.

    24 calls of 2 s, 6 at a time, while something computes
    the loop was held up for 2.50 s at the worst

In the timeline: six lanes without a gap; before, all six wait for the computation to pause, and
start again all at once.
"""

import asyncio
import time

import aiohttp

from _start import start


def compute(seconds: float) -> None:
    """Keep a core busy."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        sum(range(1_000))


async def ask_often(session: aiohttp.ClientSession) -> None:
    for _ in range(4):
        async with session.get("/aio", params={"delay": "2s"}) as reply:
            await reply.read()


async def watch(holds: list[float]) -> None:
    """How late the loop wakes us: the longest time that nobody else could run."""
    while True:
        asleep = time.perf_counter()
        await asyncio.sleep(0.01)
        holds.append(time.perf_counter() - asleep - 0.01)


async def main(base_url: str, run: str, scale: float) -> None:
    await ask_while(base_url, run, 2.5 * scale, in_a_thread=True)


async def before(base_url: str, run: str, scale: float) -> None:
    await ask_while(base_url, run, 2.5 * scale, in_a_thread=False)


async def ask_while(base_url: str, run: str, seconds: float, *, in_a_thread: bool) -> None:
    holds: list[float] = []
    async with aiohttp.ClientSession(base_url, headers={"X-Dawdle-Run": run}) as session:
        print("24 calls of 2 s, 6 at a time, while something computes")
        watching = asyncio.create_task(watch(holds))
        asking = [asyncio.create_task(ask_often(session)) for _ in range(6)]
        while not all(task.done() for task in asking):
            if in_a_thread:
                await asyncio.to_thread(compute, seconds)
            else:
                compute(seconds)
            await asyncio.sleep(0.02)  # let the others have a word
        watching.cancel()
    print(f"the loop was held up for {max(holds):.2f} s at the worst")


if __name__ == "__main__":
    start(main, before)
