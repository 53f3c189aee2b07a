"""
Blocking calls in a pool of threads.

A library that knows no asyncio blocks its thread, and if that is the loop's, then everybody.
`run_in_executor` has a thread of a pool wait instead; `asyncio.to_thread` does the same with a
pool that is already there. The size of the pool is the bound.

    python examples/thread_pool.py

Output:

    10 calls of 1 s by 5 threads: 2.0 s, and the loop turned meanwhile

Before: the same call, made in a coroutine. Ten tasks, and yet one after another. Dawdle says
`sequential`.

    10 calls of 1 s by 1 thread: 10.0 s, and the loop stood still meanwhile

In the timeline: two blocks of five; before, a staircase.
"""

import asyncio
import threading
import time
from collections.abc import Awaitable, Iterable
from concurrent.futures import ThreadPoolExecutor
from urllib.request import Request, urlopen

from _start import start

CALLS = 10
threads: set[int] = set()


def ask(base_url: str, run: str) -> None:
    threads.add(threading.get_ident())
    with urlopen(Request(f"{base_url}/aio?delay=1s", headers={"X-Dawdle-Run": run})) as reply:
        reply.read()


async def main(base_url: str, run: str) -> None:
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(5) as pool:
        await tell(loop.run_in_executor(pool, ask, base_url, run) for _ in range(CALLS))


async def before(base_url: str, run: str) -> None:
    async def ask_here() -> None:
        ask(base_url, run)  # no await, so nobody else has a turn

    await tell(ask_here() for _ in range(CALLS))


async def tell(calls: Iterable[Awaitable[None]]) -> None:
    begun, turns = time.perf_counter(), 0
    waiting = asyncio.gather(*calls)
    while not waiting.done():
        await asyncio.sleep(0.005)
        turns += 1
    took, turned = time.perf_counter() - begun, "turned" if turns > 2 else "stood still"
    many = "1 thread" if len(threads) == 1 else f"{len(threads)} threads"
    print(f"{CALLS} calls of 1 s by {many}: {took:.1f} s, and the loop {turned} meanwhile")


if __name__ == "__main__":
    start(main, before)
