"""
The smallest slow backend: what Dawdle is at heart.

A handler that awaits its delay leaves the loop free for everybody else, so three clients who
wait one, two and three seconds are served in three. It needs no Dawdle: it is the server, asks
itself, and prints what happened when.

    python examples/minimal_server.py

Output:

    0.0 s  A asks
    0.0 s  B asks
    0.0 s  C asks
    1.0 s  A has {"delay": 1}
    2.0 s  B has {"delay": 2}
    3.0 s  C has {"delay": 3}

Before: `time.sleep` in a handler stops the whole server, and here the clients too, for they
share its loop: even A hears nothing until all the sleeping is over.

    0.0 s  A asks
    0.0 s  B asks
    0.0 s  C asks
    6.0 s  A has {"delay": 1}
    6.0 s  B has {"delay": 2}
    6.0 s  C has {"delay": 3}

Notice: no line of the server knows how many clients there are; the loop does the overlapping.
"""

import asyncio
import random
import time

import aiohttp
from aiohttp import web
from aiohttp.typedefs import Handler

from _start import start

SCALE = web.AppKey("scale", float)


async def slow(request: web.Request) -> web.Response:
    delay = float(request.query.get("delay", random.randint(1, 30)))
    await asyncio.sleep(delay * request.app[SCALE])
    return web.json_response({"delay": round(delay)})


def server(handler: Handler, scale: float) -> web.Application:
    """With `web.run_app(server(slow, 1), port=3000)` it would serve until it is stopped."""
    app = web.Application()
    app[SCALE] = scale
    app.add_routes([web.get("/aio", handler)])
    return app


# That was the server. What follows is the wrong handler, and three clients.


async def slow_for_all(request: web.Request) -> web.Response:
    delay = float(request.query.get("delay", random.randint(1, 30)))
    time.sleep(delay * request.app[SCALE])  # nobody else is served meanwhile
    return web.json_response({"delay": round(delay)})


async def main(scale: float) -> None:
    await serve_and_ask(slow, scale)


async def before(scale: float) -> None:
    await serve_and_ask(slow_for_all, scale)


async def serve_and_ask(handler: Handler, scale: float) -> None:
    runner = web.AppRunner(server(handler, scale))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port, *_ = runner.addresses[0]
    async with aiohttp.ClientSession(f"http://{host}:{port}") as session:
        begun = time.perf_counter()

        async def ask(name: str, delay: int) -> None:
            print(f"{time.perf_counter() - begun:.1f} s  {name} asks")
            async with session.get(f"/aio?delay={delay}") as reply:
                text = await reply.text()
            print(f"{time.perf_counter() - begun:.1f} s  {name} has {text}")

        await asyncio.gather(ask("A", 1), ask("B", 2), ask("C", 3))
    await runner.cleanup()


if __name__ == "__main__":
    start(main, before)
