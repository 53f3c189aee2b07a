"""
A loop in a thread of its own, fed from outside, ended by Ctrl-C.

Programs that are not asynchronous (a shell, a window, an old code base) can keep a loop in a
thread and hand it coroutines at any time: `run_coroutine_threadsafe` gives a future of
`concurrent.futures` for each. Nothing else of asyncio may be called from another thread. To
end, ask the loop itself to cancel what is left, wait, and only then close it.

    python examples/loop_in_thread.py

Output:

    handed over 5 calls, one by one
    {"delay": 1}
    {"delay": 2}
    Ctrl-C with 3 calls in flight
    3 of 5 were cancelled; the loop is closed

In the timeline: bars that begin one after another and overlap all the same; the client left
the last three (it sends the Ctrl-C itself, for the sake of the lesson).
"""

import asyncio
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import aiohttp

from _start import start


@contextmanager
def loop_in_a_thread() -> Iterator[asyncio.AbstractEventLoop]:
    """A loop that runs elsewhere; on leaving, what it still does is cancelled and awaited."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield loop
    finally:
        asyncio.run_coroutine_threadsafe(cancel_others(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def cancel_others() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


async def ask(base_url: str, run: str, delay: int) -> str:
    async with (
        aiohttp.ClientSession(base_url, headers={"X-Dawdle-Run": run}) as session,
        session.get("/aio", params={"delay": f"{delay}s"}) as reply,
    ):
        return await reply.text()


def main(base_url: str, run: str, scale: float) -> None:
    with loop_in_a_thread() as loop:
        calls = []
        for delay in (1, 2, 20, 20, 20):
            calls.append(asyncio.run_coroutine_threadsafe(ask(base_url, run, delay), loop))
            time.sleep(0.1 * scale)  # this thread has other things to do
        print(f"handed over {len(calls)} calls, one by one")
        try:
            for number, call in enumerate(calls):
                if number == 2:
                    signal.raise_signal(signal.SIGINT)  # as Ctrl-C does
                print(call.result())
        except KeyboardInterrupt:
            print(f"Ctrl-C with {sum(not call.done() for call in calls)} calls in flight")
    cancelled = sum(call.cancelled() for call in calls)
    print(f"{cancelled} of {len(calls)} were cancelled; the loop is", end=" ")
    print("closed" if loop.is_closed() else "open")


if __name__ == "__main__":
    start(main)
