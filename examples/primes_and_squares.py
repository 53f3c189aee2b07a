"""
Two tasks take turns, and three ways to wait for both.

Nothing interrupts a task: it runs to its next `await`, and there the loop takes whoever is
next. So the order is the same each time, unlike that of threads. It needs no backend: its
trace is what it prints.

    python examples/primes_and_squares.py

Output:

    gather:             2 0 3 1 5 4 7 9 11 16
    wait:               2 0 3 1 5 4 7 9 11 16
    run_until_complete: 2 0 3 1 5 4 7 9 11 16

Before: two coroutines that never await. Both are `async`, and yet one runs after the other.

    gather:             2 3 5 7 11 0 1 4 9 16

Notice: `async` in front of `def` makes nothing concurrent; only an `await` gives up the turn.
"""

import asyncio

from _start import start

shown: list[int] = []


async def primes(*, in_turn: bool) -> None:
    for number in range(2, 12):
        if all(number % smaller for smaller in range(2, number)):
            shown.append(number)
            if in_turn:
                await asyncio.sleep(0)  # nothing to wait for, only: who is next?


async def squares(*, in_turn: bool) -> None:
    for number in range(5):
        shown.append(number * number)
        if in_turn:
            await asyncio.sleep(0)


def show(way: str) -> None:
    print(f"{way + ':':<19}", *shown)
    shown.clear()


async def with_gather(*, in_turn: bool) -> None:
    await asyncio.gather(primes(in_turn=in_turn), squares(in_turn=in_turn))


async def with_wait() -> None:
    coroutines = primes(in_turn=True), squares(in_turn=True)
    await asyncio.wait([asyncio.create_task(each) for each in coroutines])  # tasks, since 3.11


def main() -> None:
    asyncio.run(with_gather(in_turn=True))
    show("gather")
    asyncio.run(with_wait())
    show("wait")

    loop = asyncio.new_event_loop()  # what `asyncio.run` does for you
    try:
        loop.run_until_complete(with_gather(in_turn=True))
    finally:
        loop.close()
    show("run_until_complete")


def before() -> None:
    asyncio.run(with_gather(in_turn=False))
    show("gather")


if __name__ == "__main__":
    start(main, before)
