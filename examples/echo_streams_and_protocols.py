"""
An echo twice more: with streams, and with a protocol.

`start_server` gives you a reader and a writer to await; each connection is a task. Beneath it
is `create_server`, whose protocol is called when bytes have come. It never waits, so it needs
no task: streams read well, protocols are fast. It needs no backend, since it is one.

    python examples/echo_streams_and_protocols.py

Output:

    streams
    server: a client came
    client: sent ping, got ping
    client: sent pong, got pong
    server: a client left
    protocol
    server: a client came
    client: sent ping, got ping
    client: sent pong, got pong
    server: a client left

Notice: `await writer.drain()` is where a stream server slows down with a client that does not
read; a protocol is told by `pause_writing`, and then has to stop reading by itself.
"""

import asyncio
from typing import cast

from _start import start


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    print("server: a client came")
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()  # without it, a slow client's bytes pile up here
    writer.close()
    print("server: a client left")


class Echo(asyncio.Protocol):
    """One object a connection, called by the loop."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        print("server: a client came")

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)

    def pause_writing(self) -> None:
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        self.transport.resume_reading()

    def connection_lost(self, error: Exception | None) -> None:
        print("server: a client left")


async def main() -> None:
    print("streams")
    await talk_to(await asyncio.start_server(echo, "127.0.0.1", 0))
    print("protocol")
    await talk_to(await asyncio.get_running_loop().create_server(Echo, "127.0.0.1", 0))


async def talk_to(server: asyncio.Server) -> None:
    serving = asyncio.create_task(server.serve_forever())  # until it is cancelled
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    for word in (b"ping", b"pong"):
        writer.write(word)
        answer = await reader.readexactly(len(word))
        print(f"client: sent {word.decode()}, got {answer.decode()}")
    writer.write_eof()
    await reader.read()  # to the server's own end
    writer.close()
    await writer.wait_closed()
    serving.cancel()
    await asyncio.wait([serving])


if __name__ == "__main__":
    start(main)
