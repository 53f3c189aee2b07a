"""
A lock, and the race it prevents.

One thread is no protection: at every `await` others run. Who reads a value, awaits, and writes
back what follows from it, overwrites what was written meanwhile. `asyncio.Lock` lets one in at
a time; hold it from the reading to the writing, and no longer.

    python examples/lock.py

Output:

    5 deposits of 10: the balance is 50

Before: all five read 0, wait for the bank, and write 10.

    5 deposits of 10: the balance is 10

In the timeline: one bar at a time. That is what a lock costs; before, five at once, and wrong.
"""

import asyncio
from contextlib import AbstractAsyncContextManager, nullcontext

import aiohttp

from _start import start

Lock = AbstractAsyncContextManager[object]
balance = {"Ada": 0}


async def deposit(session: aiohttp.ClientSession, lock: Lock, amount: int) -> None:
    async with lock:
        present = balance["Ada"]
        async with session.post("/aio", params={"delay": "1s"}) as reply:  # the bank agrees
            await reply.read()
        balance["Ada"] = present + amount


async def main(base_url: str, run: str) -> None:
    await deposit_all(asyncio.Lock(), base_url, run)


async def before(base_url: str, run: str) -> None:
    await deposit_all(nullcontext(), base_url, run)


async def deposit_all(lock: Lock, base_url: str, run: str) -> None:
    async with aiohttp.ClientSession(base_url, headers={"X-Dawdle-Run": run}) as session:
        await asyncio.gather(*(deposit(session, lock, 10) for _ in range(5)))
    print(f"5 deposits of 10: the balance is {balance['Ada']}")


if __name__ == "__main__":
    start(main, before)
