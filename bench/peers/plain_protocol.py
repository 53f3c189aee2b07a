"""
The same wait by a bare `asyncio.Protocol` that parses nothing: no server, but a floor.

What it costs is the machine, the loop and the client that measures; nobody in Python gets below.
It trusts its caller blindly and may answer a little early.
"""

import asyncio
import socket
from typing import cast

from bench.peers.loops import new_loop

REPLY = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=utf-8\r\n"
    b'Content-Length: 12\r\n\r\n{"delay": 0}'
)


class Waiting(asyncio.Protocol):
    """One connection: one request at a time, whole in one read."""

    __slots__ = ("_loop", "_transport")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is not derived from it

    def data_received(self, data: bytes) -> None:
        begin = data.index(b"delay=") + len(b"delay=")
        delay = float(data[begin : data.index(b" ", begin)])
        if delay:
            self._loop.call_later(delay, self._transport.write, REPLY)
        else:
            self._transport.write(REPLY)


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    listener = socket.create_server(("127.0.0.1", 0))
    print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    server = await loop.create_server(lambda: Waiting(loop), sock=listener, backlog=4_096)
    await server.serve_forever()


def main() -> None:
    """Serve on a free port and announce it in the first line."""
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(_serve())


if __name__ == "__main__":
    main()
