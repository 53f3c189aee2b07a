"""
Where coroutines come from: a generator that is sent values.

`yield` gives a value out and stops; `send` goes on and gives a value in. A function that can
stop and go on is all that a coroutine is. Whoever keeps a line of such functions and goes on
with each in turn is an event loop. It needs no backend; it prints its turns.

    python examples/generator_send.py

Output:

    the mean of 10 is 10.0
    the mean of 10 20 is 15.0
    the mean of 10 20 60 is 30.0
    tea: begins, and waits for 3 turns
    egg: begins, and waits for 1 turns
    egg: is ready
    tea: is ready

Notice: `yield 3` stands where you would write `await asyncio.sleep(3)`, and `run` is the loop.
"""

from collections import deque
from collections.abc import Generator
from contextlib import suppress

from _start import start


def mean() -> Generator[float, float, None]:
    """Each number that is sent in gives out the mean so far."""
    total, count, result = 0.0, 0, 0.0
    while True:
        total += yield result
        count += 1
        result = total / count


def cook(what: str, turns: int) -> Generator[int, None, None]:
    print(f"{what}: begins, and waits for {turns} turns")
    yield turns
    print(f"{what}: is ready")


def run(*tasks: Generator[int, None, None]) -> None:
    """An event loop in eight lines: go on with each whose turn has come, until all have ended."""
    line = deque((task, 0) for task in tasks)
    while line:
        task, turns = line.popleft()
        if turns > 0:
            line.append((task, turns - 1))
            continue
        with suppress(StopIteration):  # which says that it has ended
            line.append((task, next(task)))


def main() -> None:
    means = mean()
    next(means)  # on to the first yield
    numbers = [10, 20, 60]
    for count, number in enumerate(numbers, 1):
        print("the mean of", *numbers[:count], "is", means.send(number))

    run(cook("tea", 3), cook("egg", 1))


if __name__ == "__main__":
    start(main)
