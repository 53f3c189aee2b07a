"""
A queue that is filled while it is emptied.

`asyncio.Queue` stands between who finds work and who does it. `maxsize` is the brake: a
producer who is faster has to wait at `put`, so memory stays bounded however long it goes on.
`join` returns when every item that was put has been reported done; then the consumers, who
wait for more, are cancelled.

    python examples/producer_consumer.py

Output:

    put 1, waiting in the queue: 1
    put 2, waiting in the queue: 2
    put 3, waiting in the queue: 1
    put 4, waiting in the queue: 2
    put 5, waiting in the queue: 1
    put 6, waiting in the queue: 2
    all 6 done

Before: without `maxsize` the producer runs ahead of everybody.

    put 1, waiting in the queue: 1
    put 2, waiting in the queue: 2
    put 3, waiting in the queue: 3
    put 4, waiting in the queue: 4
    put 5, waiting in the queue: 5
    put 6, waiting in the queue: 6
    all 6 done

In the timeline: two bars at a time, for there are two consumers. The queue's brake is on the
producer, so the picture is the same without it; what waits, waits in your memory.
"""

import asyncio

import aiohttp

from _start import start


async def produce(queue: asyncio.Queue[int]) -> None:
    for item in range(1, 7):
        await queue.put(item)
        print(f"put {item}, waiting in the queue: {queue.qsize()}")


async def consume(queue: asyncio.Queue[int], session: aiohttp.ClientSession) -> None:
    while True:
        item = await queue.get()
        async with session.get("/aio", params={"delay": "1s", "key": str(item)}) as reply:
            await reply.read()
        queue.task_done()


async def main(base_url: str, run: str) -> None:
    await feed(asyncio.Queue(maxsize=2), base_url, run)


async def before(base_url: str, run: str) -> None:
    await feed(asyncio.Queue(), base_url, run)


async def feed(queue: asyncio.Queue[int], base_url: str, run: str) -> None:
    async with aiohttp.ClientSession(base_url, headers={"X-Dawdle-Run": run}) as session:
        consumers = [asyncio.create_task(consume(queue, session)) for _ in range(2)]
        await produce(queue)
        await queue.join()
        print("all 6 done")
        for consumer in consumers:
            consumer.cancel()
        await asyncio.wait(consumers)


if __name__ == "__main__":
    start(main, before)
