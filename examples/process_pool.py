"""
Computing on all cores: processes, and why threads are no help.

Python code of one process runs on one core at a time, in however many threads. The processes
of a ProcessPoolExecutor have a Python each; arguments and results travel between them, and the
loop stays free. It needs no backend; it prints who did what.

    python examples/process_pool.py

Output:

    process 1 counted 283146 primes
    process 2 counted 283146 primes
    process 1 counted 283146 primes
    process 2 counted 283146 primes
    2.3 s of computing in 1.3 s; the loop had 240 turns meanwhile

Before: in threads, by `asyncio.to_thread`. The loop waits for its turns among them, and the other
core has a rest.

    this process counted 283146 primes
    this process counted 283146 primes
    this process counted 283146 primes
    this process counted 283146 primes
    2.7 s of computing in 2.8 s; the loop had 94 turns meanwhile

Notice: the time of computing, and the time by the clock. With two cores it is half, for free.
"""

import asyncio
import os
import time
from collections.abc import Awaitable, Iterable
from concurrent.futures import ProcessPoolExecutor
from typing import NamedTuple

from _start import start

MOST = 4_000_000


class Count(NamedTuple):
    primes: int
    process: int
    cpu_s: float


def count_primes(most: int) -> Count:
    begun = time.thread_time()
    is_prime = bytearray([1]) * (most + 1)
    for number in range(2, most + 1):
        if is_prime[number]:
            for multiple in range(2 * number, most + 1, number):
                is_prime[multiple] = 0
    return Count(sum(is_prime) - 2, os.getpid(), time.thread_time() - begun)


async def main(scale: float) -> None:
    loop = asyncio.get_running_loop()
    with ProcessPoolExecutor(2) as pool:
        most = int(MOST * scale)
        await tell(loop.run_in_executor(pool, count_primes, most) for _ in range(4))


async def before(scale: float) -> None:
    await tell(asyncio.to_thread(count_primes, int(MOST * scale)) for _ in range(4))


async def tell(counting: Iterable[Awaitable[Count]]) -> None:
    begun, turns = time.perf_counter(), 0
    waiting = asyncio.gather(*counting)
    while not waiting.done():
        await asyncio.sleep(0.005)
        turns += 1
    names = {os.getpid(): "this process"}
    for count in await waiting:
        name = names.setdefault(count.process, f"process {len(names)}")
        print(f"{name} counted {count.primes} primes")
    cpu_s, took = sum(count.cpu_s for count in await waiting), time.perf_counter() - begun
    print(f"{cpu_s:.1f} s of computing in {took:.1f} s; the loop had {turns} turns meanwhile")


if __name__ == "__main__":
    start(main, before)
