"""
The same queue in Tornado, who had coroutines years before Python.

Its queue, its HTTP client and its `gen.multi` came first, with `yield` in place of `await`;
asyncio learned from them. Since 2018 Tornado's loop is asyncio's, so both may be mixed in one
program.

    python examples/tornado_queue.py

Output:

    worker 1 has page 1
    worker 2 has page 2
    worker 2 has page 4
    worker 1 has page 3
    all 4 pages are there

In the timeline: two bars at a time. Tornado's simple client opens a connection for each
request, which here is not the program's fault.
"""

import asyncio
import sys
from datetime import timedelta

from _start import start

try:
    from tornado.httpclient import AsyncHTTPClient
    from tornado.queues import Queue
except ModuleNotFoundError:
    sys.exit("this example needs Tornado: pip install 'dawdle[examples]'")

DELAYS = {1: 1, 2: 2, 3: 4, 4: 1}


async def work(number: int, queue: Queue[int], base_url: str, run: str) -> None:
    client = AsyncHTTPClient()
    async for page in queue:
        url = f"{base_url}/aio?delay={DELAYS[page]}s&key=page-{page}"
        await client.fetch(url, headers={"X-Dawdle-Run": run})
        print(f"worker {number} has page {page}")
        queue.task_done()


async def main(base_url: str, run: str) -> None:
    queue: Queue[int] = Queue(maxsize=2)
    workers = [asyncio.create_task(work(n, queue, base_url, run)) for n in (1, 2)]
    for page in DELAYS:
        await queue.put(page)  # waits while two are in the queue
    await queue.join(timeout=timedelta(seconds=60))
    print("all 4 pages are there")
    for worker in workers:
        worker.cancel()
    await asyncio.wait(workers)


if __name__ == "__main__":
    start(main)
