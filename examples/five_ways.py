"""
The same five calls five ways: 29 seconds or 7.

The backend takes 5, 7, 5, 5 and 7 seconds. A client that waits for each before the next needs
their sum; one that overlaps them needs the longest. How they are overlapped (threads, gevent,
Tornado, asyncio) makes no difference to the picture, for nobody computes: everybody waits.

    python examples/five_ways.py

Output:

    one after another  29.0 s
    |--5--|
         |---7---|
                |--5--|
                     |--5--|
                          |---7---|
    threads  7.0 s
    |--5--|
    |---7---|
    |--5--|
    |--5--|
    |---7---|
    asyncio  7.0 s
    |--5--|
    |---7---|
    |--5--|
    |--5--|
    |---7---|
    Tornado  7.0 s
    |--5--|
    |---7---|
    |--5--|
    |--5--|
    |---7---|
    gevent  7.0 s
    |--5--|
    |---7---|
    |--5--|
    |--5--|
    |---7---|

In the timeline: a staircase of five, and then four blocks in which five bars begin together.
Dawdle says `connection_per_request`, for so it is with urllib and with Tornado's simple client,
and at a small scale `starved`, for each way waits until the one before has ended.
"""

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from urllib.request import Request, urlopen

import aiohttp

from _start import start

PATH = "/aio?delay=seq(5s,7s,5s,5s,7s)&n={}"  # the n-th of these, whoever arrives first
CALLS = range(5)

Bar = tuple[float, int]  # when it was asked, and the delay it was told


def call(base_url: str, run: str, n: int) -> Bar:
    """One call as everybody knows it: the thread waits."""
    asked = time.perf_counter()
    with urlopen(Request(base_url + PATH.format(n), headers={"X-Dawdle-Run": run})) as reply:
        return asked, json.load(reply)["delay"]


def in_sequence(base_url: str, run: str) -> list[Bar]:
    return [call(base_url, run, n) for n in CALLS]


def with_threads(base_url: str, run: str) -> list[Bar]:
    with ThreadPoolExecutor(len(CALLS)) as pool:
        return list(pool.map(partial(call, base_url, run), CALLS))


def with_asyncio(base_url: str, run: str) -> list[Bar]:
    async def ask(session: aiohttp.ClientSession, n: int) -> Bar:
        asked = time.perf_counter()
        async with session.get(PATH.format(n)) as reply:
            return asked, (await reply.json())["delay"]

    async def ask_all() -> list[Bar]:
        async with aiohttp.ClientSession(base_url, headers={"X-Dawdle-Run": run}) as session:
            return await asyncio.gather(*(ask(session, n) for n in CALLS))

    return asyncio.run(ask_all())


def with_tornado(base_url: str, run: str) -> list[Bar]:
    from tornado.httpclient import AsyncHTTPClient

    async def ask(n: int) -> Bar:
        asked = time.perf_counter()
        url = base_url + PATH.format(n)
        reply = await AsyncHTTPClient().fetch(url, headers={"X-Dawdle-Run": run})
        return asked, json.loads(reply.body)["delay"]

    async def ask_all() -> list[Bar]:
        return await asyncio.gather(*(ask(n) for n in CALLS))

    return asyncio.run(ask_all())  # since 2018 Tornado's loop is asyncio's


def with_gevent(base_url: str, run: str) -> list[Bar]:
    from gevent import joinall, monkey, spawn

    monkey.patch_socket()  # from now on whoever waits for a socket lets others go on: call() too
    jobs = [spawn(call, base_url, run, n) for n in CALLS]
    joinall(jobs)
    return [job.get() for job in jobs]


WAYS: dict[str, Callable[[str, str], list[Bar]]] = {
    "one after another": in_sequence,
    "threads": with_threads,
    "asyncio": with_asyncio,
    "Tornado": with_tornado,
    "gevent": with_gevent,  # the last, since it changes sockets for everybody
}


def main(base_url: str, run: str, scale: float) -> None:
    for name, way in WAYS.items():
        try:
            begun = time.perf_counter()
            bars = way(base_url, run)
            print(f"{name}  {time.perf_counter() - begun:.1f} s")
            draw(bars, scale)
        except ModuleNotFoundError as missing:
            print(f"{name}: {missing.name} is missing; pip install 'dawdle[examples]'")


def draw(bars: Sequence[Bar], scale: float) -> None:
    """A bar a call, a column a second."""
    for asked, delay in bars:
        begin = round((asked - bars[0][0]) / scale)
        print(" " * begin + "|" + str(delay).center(delay, "-") + "|")


if __name__ == "__main__":
    start(main)
