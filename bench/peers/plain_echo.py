"""
The TCP echo as one writes it with asyncio and nothing else: no limits, no record of anything.

    python -m bench.peers.plain_echo protocol|buffered|streams
"""

import asyncio
import socket
import sys
from collections.abc import Awaitable, Callable
from typing import cast

from bench.peers.loops import new_loop

BUFFER = 65_536


class Straight(asyncio.Protocol):
    """One connection, by a `Protocol`."""

    __slots__ = ("_transport",)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is not derived from it

    def data_received(self, data: bytes) -> None:
        self._transport.write(data)


class Buffered(asyncio.BufferedProtocol):
    """One connection, by a `BufferedProtocol`; each read has a buffer of its own."""

    __slots__ = ("_buffer", "_transport")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def get_buffer(self, sizehint: int) -> bytearray:
        self._buffer = bytearray(BUFFER)
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        self._transport.write(memoryview(self._buffer)[:nbytes])


async def stream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One connection, by streams."""
    while data := await reader.read(BUFFER):
        writer.write(data)
        await writer.drain()
    writer.close()


async def _by(
    protocol: Callable[[], asyncio.BaseProtocol], listener: socket.socket
) -> asyncio.Server:
    loop = asyncio.get_running_loop()
    return await loop.create_server(protocol, sock=listener, backlog=4_096)


KINDS: dict[str, Callable[[socket.socket], Awaitable[asyncio.Server]]] = {
    "protocol": lambda listener: _by(Straight, listener),
    "buffered": lambda listener: _by(Buffered, listener),
    "streams": lambda listener: asyncio.start_server(stream, sock=listener, backlog=4_096),
}


async def _serve(kind: str) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    print(f"echo 127.0.0.1:{listener.getsockname()[1]}", flush=True)
    server = await KINDS[kind](listener)
    await server.serve_forever()


def main() -> None:
    """Serve on a free port and announce it in the first line."""
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(_serve(sys.argv[1]))


if __name__ == "__main__":
    main()
