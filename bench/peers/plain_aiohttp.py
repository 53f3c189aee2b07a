"""The same service as one writes it with aiohttp and nothing else: what Dawdle is compared with."""

import asyncio
import socket

from aiohttp import web

from bench.peers.loops import new_loop


async def aio(request: web.Request) -> web.Response:
    """Wait for `?delay=SECONDS`, then say so."""
    delay = float(request.query["delay"])
    await asyncio.sleep(delay)
    return web.json_response({"delay": delay})


def main() -> None:
    """Serve on a free port and announce it in the first line."""
    app = web.Application()
    app.add_routes([web.get("/aio", aio)])
    listener = socket.create_server(("127.0.0.1", 0))
    print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    web.run_app(app, sock=listener, backlog=4_096, access_log=None, print=None, loop=new_loop())


if __name__ == "__main__":
    main()
