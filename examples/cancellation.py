"""
Cancelling: a task is asked to stop, where it awaits.

`cancel` makes the `await` at which the task stands raise CancelledError. The task may tidy up
in `finally`, and should let the error pass. `shield` keeps one call from being cancelled with
its caller: a payment that is under way had better end.

    python examples/cancellation.py

Output:

    reader: tidying up
    reader: cancelled after 1.0 s
    payer: cancelled after 1.0 s
    payment: {"delay": 3} after 3.0 s

Before: a task that catches CancelledError can't be cancelled. It thinks it was an error of the
backend, and tries again.

    reader: that went wrong, once more
    reader: done after 4.0 s

In the timeline: one bar ends at 1 s, where the client left, the payment goes on; before, a new
bar begins at 1 s, sent by a task that everybody believed to be gone.
"""

import asyncio
import time

import aiohttp

from _start import start


async def ask(session: aiohttp.ClientSession) -> str:
    async with session.get("/aio", params={"delay": "3s"}) as reply:
        return await reply.text()


async def main(base_url: str, run: str, scale: float) -> None:
    async with aiohttp.ClientSession(base_url, headers={"X-Dawdle-Run": run}) as session:
        begun = time.perf_counter()

        async def read() -> None:
            try:
                await ask(session)
            finally:
                print("reader: tidying up")

        payment = asyncio.create_task(ask(session))

        async def pay() -> None:
            await asyncio.shield(payment)

        tasks = {"reader": asyncio.create_task(read()), "payer": asyncio.create_task(pay())}
        await asyncio.sleep(1 * scale)
        for name, task in tasks.items():
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled()
            print(f"{name}: cancelled after {time.perf_counter() - begun:.1f} s")
        print(f"payment: {await payment} after {time.perf_counter() - begun:.1f} s")


async def before(base_url: str, run: str, scale: float) -> None:
    async with aiohttp.ClientSession(base_url, headers={"X-Dawdle-Run": run}) as session:
        begun = time.perf_counter()

        async def read() -> str:
            while True:
                try:
                    return await ask(session)
                except BaseException:  # which CancelledError is
                    print("reader: that went wrong, once more")

        task = asyncio.create_task(read())
        await asyncio.sleep(1 * scale)
        task.cancel()
        await asyncio.wait([task])
        end = "cancelled" if task.cancelled() else "done"
        print(f"reader: {end} after {time.perf_counter() - begun:.1f} s")


if __name__ == "__main__":
    start(main, before)
