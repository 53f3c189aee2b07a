"""
What a loop is underneath: callbacks, now, later, at a time, and from another thread.

Tasks, futures and timeouts all come down to these four. `call_soon` is for the next turn, in
order; `call_later` and `call_at` are for a moment of the loop's own clock, which is not that on
the wall; `call_soon_threadsafe` is the only one that another thread may use, for it also wakes
the loop. It needs no backend; it prints when each was called.

    python examples/loop_callbacks.py

Output:

    0.0 s  now (no callback yet: the loop has to have a turn first)
    0.0 s  soon: one
    0.0 s  soon: two
    1.0 s  from a thread
    2.0 s  at a time
    3.0 s  later

Before: `call_soon` from a thread. It is put in line, but nobody wakes the loop, which sleeps on
until something else does. (In debug mode it raises RuntimeError.)

    0.0 s  now (no callback yet: the loop has to have a turn first)
    0.0 s  soon: one
    0.0 s  soon: two
    2.0 s  from a thread
    2.0 s  at a time
    3.0 s  later

Notice: the thread calls after one second both times; before, it is heard a second late.
"""

import asyncio
import threading
import time
from collections.abc import Callable

from _start import start


async def main(scale: float) -> None:
    await call_all(scale, asyncio.get_running_loop().call_soon_threadsafe)


async def before(scale: float) -> None:
    await call_all(scale, asyncio.get_running_loop().call_soon)


async def call_all(scale: float, call_from_thread: Callable[..., object]) -> None:
    loop = asyncio.get_running_loop()
    begun, over = loop.time(), asyncio.Event()

    def say(words: str) -> None:
        print(f"{loop.time() - begun:.1f} s  {words}")

    def elsewhere() -> None:
        time.sleep(1 * scale)
        call_from_thread(say, "from a thread")

    loop.call_soon(say, "soon: one")
    loop.call_soon(say, "soon: two")
    loop.call_later(3 * scale, say, "later")
    loop.call_later(3 * scale, over.set)
    loop.call_at(begun + 2 * scale, say, "at a time")
    thread = threading.Thread(target=elsewhere)
    thread.start()
    say("now (no callback yet: the loop has to have a turn first)")
    await over.wait()
    thread.join()


if __name__ == "__main__":
    start(main, before)
