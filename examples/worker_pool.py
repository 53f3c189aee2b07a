"""
Three workers who share one iterator: a pool without a library.

A semaphore bounds how many tasks go on; it doesn't bound how many there are. Workers who take
the next item from one shared iterator bound both, and the iterator may be endless. Taking is
safe without a lock: between two awaits nobody else runs.

    python examples/worker_pool.py

Output:

    worker 1 did 2 calls
    worker 2 did 6 calls
    worker 3 did 4 calls
    12 calls by 3 tasks in 6.0 s

Before: a task for each call, and a semaphore before which most of them stand.

    12 calls by 12 tasks in 6.0 s

In the timeline: who has a long call does fewer. Both ways draw the same picture; what differs
is how much waits in the client.
"""

import asyncio
import time
from collections.abc import Iterator

import aiohttp

from _start import start

DELAYS = [3, 1, 2, 1, 2, 1, 3, 1, 1, 1, 1, 1]


async def ask(session: aiohttp.ClientSession, seconds: int) -> None:
    async with session.get("/aio", params={"delay": f"{seconds}s"}) as reply:
        await reply.read()


async def work(session: aiohttp.ClientSession, calls: Iterator[int]) -> int:
    done = 0
    for seconds in calls:  # each worker takes from the same iterator
        await ask(session, seconds)
        done += 1
    return done


async def main(base_url: str, run: str) -> None:
    async with aiohttp.ClientSession(base_url, headers={"X-Dawdle-Run": run}) as session:
        begun, calls = time.perf_counter(), iter(DELAYS)
        async with asyncio.TaskGroup() as group:
            workers = [group.create_task(work(session, calls)) for _ in range(3)]
        for number, worker in enumerate(workers, 1):
            print(f"worker {number} did {worker.result()} calls")
        took = time.perf_counter() - begun
        print(f"{len(DELAYS)} calls by {len(workers)} tasks in {took:.1f} s")


async def before(base_url: str, run: str) -> None:
    slots = asyncio.Semaphore(3)

    async def ask_in_turn(session: aiohttp.ClientSession, seconds: int) -> None:
        async with slots:
            await ask(session, seconds)

    async with aiohttp.ClientSession(base_url, headers={"X-Dawdle-Run": run}) as session:
        begun = time.perf_counter()
        tasks = [asyncio.create_task(ask_in_turn(session, seconds)) for seconds in DELAYS]
        await asyncio.gather(*tasks)
        took = time.perf_counter() - begun
        print(f"{len(DELAYS)} calls by {len(tasks)} tasks in {took:.1f} s")


if __name__ == "__main__":
    start(main, before)
