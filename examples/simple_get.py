"""
One request, and what `await` means.

`session.get` sends and returns as soon as the headers are there; `reply.text()` waits for the
rest. At each `await` the program says: I have nothing to do until then, let others go on. Here
is no other, so one request alone is no faster than without asyncio.

    python examples/simple_get.py

Output:

    asking
    200 application/json after 2.0 s
    the first 15 of 100 characters: {"delay": 2, "p

In the timeline: one bar, two seconds long, and the client did nothing in any of them.
"""

import time

import aiohttp

from _start import start


async def main(base_url: str, run: str) -> None:
    async with aiohttp.ClientSession(base_url, headers={"X-Dawdle-Run": run}) as session:
        begun = time.perf_counter()
        print("asking")
        async with session.get("/aio", params={"delay": "2s", "size": "100"}) as reply:
            print(reply.status, reply.content_type, f"after {time.perf_counter() - begun:.1f} s")
            text = await reply.text()
        print(f"the first 15 of {len(text)} characters: {text[:15]}")


if __name__ == "__main__":
    start(main)
