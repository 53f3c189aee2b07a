"""
A forgotten await: nothing happens, and hardly anybody says so.

Calling an `async def` function runs not one line of it; it makes a coroutine, which is a plan
to run. Python only warns when it throws the plan away ("was never awaited", on standard
error). `python -X dev` says where it was made, and mypy's unused-coroutine finds it before.

    python examples/forgotten_await.py

Output:

    save returned True
    the backend was asked once

Before: without `await`, what comes back is the coroutine. It is true, so the test passes.

    save returned a coroutine, which counts as True
    the backend was asked 0 times

In the timeline: one bar; before, none at all, for no request was ever sent.
"""

import aiohttp

from _start import start

asked: list[str] = []


async def save(session: aiohttp.ClientSession) -> bool:
    async with session.post("/aio", params={"delay": "1s"}, json={"name": "Ada"}) as reply:
        asked.append(str(reply.url))
        return reply.ok


async def main(base_url: str, run: str) -> None:
    async with aiohttp.ClientSession(base_url, headers={"X-Dawdle-Run": run}) as session:
        saved = await save(session)
        if saved:
            print("save returned", saved)
    print("the backend was asked", "once" if asked else "0 times")


async def before(base_url: str, run: str) -> None:
    async with aiohttp.ClientSession(base_url, headers={"X-Dawdle-Run": run}) as session:
        saved = save(session)  # the await is missing
        if saved:  # type: ignore[truthy-bool]  # just what mypy says
            print(f"save returned a {type(saved).__name__}, which counts as True")
    print("the backend was asked", "once" if asked else "0 times")


if __name__ == "__main__":
    start(main, before)
