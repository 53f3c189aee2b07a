"""
Awaits in sequence against tasks, or when the second one begins.

A coroutine does nothing until somebody awaits it. Awaiting one after another is an ordinary
program, line by line. A task begins at the next occasion by itself; a TaskGroup ends when all
of its tasks have, so nothing is left behind.

    python examples/say_after.py

Output:

    hello
    world
    both said after 2.0 s, the longer of 1 s and 2 s

Before: the same two calls, each awaited where it is made.

    hello
    world
    both said after 3.0 s, the sum of 1 s and 2 s

In the timeline: two bars that begin together; before, the second begins where the first ends.
"""

import asyncio
import time

import aiohttp

from _start import start


async def say_after(session: aiohttp.ClientSession, delay: str, word: str) -> None:
    async with session.get("/aio", params={"delay": delay}) as reply:
        await reply.read()
    print(word)


async def main(base_url: str, run: str) -> None:
    async with aiohttp.ClientSession(base_url, headers={"X-Dawdle-Run": run}) as session:
        begun = time.perf_counter()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(say_after(session, "1s", "hello"))
            tasks.create_task(say_after(session, "2s", "world"))
        took = time.perf_counter() - begun
        print(f"both said after {took:.1f} s, the longer of 1 s and 2 s")


async def before(base_url: str, run: str) -> None:
    async with aiohttp.ClientSession(base_url, headers={"X-Dawdle-Run": run}) as session:
        begun = time.perf_counter()
        await say_after(session, "1s", "hello")
        await say_after(session, "2s", "world")
        took = time.perf_counter() - begun
        print(f"both said after {took:.1f} s, the sum of 1 s and 2 s")


if __name__ == "__main__":
    start(main, before)
