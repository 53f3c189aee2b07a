"""
Tasks and futures: states, results, exceptions.

A Future is a promise: pending, then done with a result or an exception, or cancelled. A Task is
a Future that drives a coroutine. Asking `result` too early raises InvalidStateError; asking it
of a failed task raises what the task raised.

    python examples/factorials.py

Output:

    A: 2! = 2
    C: 4! = 24
    D: pending, then cancelled
    E: ValueError: no factorial of -1
    answer: pending, then finished with 26

In the timeline: a bar a multiplication, by three tasks at a time; in each task one waits for the
one before.
"""

import asyncio

import aiohttp

from _start import start


async def factorial(session: aiohttp.ClientSession, number: int) -> int:
    if number < 0:
        raise ValueError(f"no factorial of {number}")
    product = 1
    for factor in range(2, number + 1):
        async with session.get("/aio", params={"delay": "1s"}) as reply:
            await reply.read()  # somebody slow multiplies
        product *= factor
    return product


def state(future: asyncio.Future[int]) -> str:
    if future.cancelled():
        return "cancelled"
    return "finished" if future.done() else "pending"


async def main(base_url: str, run: str) -> None:
    async with aiohttp.ClientSession(base_url, headers={"X-Dawdle-Run": run}) as session:
        numbers = {"A": 2, "C": 4, "D": 9, "E": -1}
        tasks = {
            name: asyncio.create_task(factorial(session, number), name=name)
            for name, number in numbers.items()
        }
        answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        first = state(answer)
        tasks["C"].add_done_callback(
            lambda _: answer.set_result(tasks["A"].result() + tasks["C"].result())
        )

        for name in "AC":
            print(f"{name}: {numbers[name]}! = {await tasks[name]}")
        early = state(tasks["D"])
        tasks["D"].cancel()
        await asyncio.wait(tasks.values())
        print(f"D: {early}, then {state(tasks['D'])}")
        print(f"E: ValueError: {tasks['E'].exception()}")
        print(f"answer: {first}, then {state(answer)} with {await answer}")


if __name__ == "__main__":
    start(main)
