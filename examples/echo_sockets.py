"""
An echo from bare sockets: what the loop does for one.

`sock_accept`, `sock_recv` and `sock_sendall` each try, and where a blocking call would wait, the
loop waits for it and lets others go on. The sockets themselves must not block. It needs no
backend, since it is one; it prints what server and clients see.

    python examples/echo_sockets.py

Output:

    server: a client came
    server: a client came
    client 1 sent ping, got ping
    client 2 sent pong, got pong
    server: a client left
    server: a client left

Before: a server that serves one client to its end before it accepts the next. Client 1 keeps
its connection open, and client 2 is accepted when it has long given up.

    server: a client came
    client 1 sent ping, got ping
    client 2 gave up after 2.0 s
    server: a client left
    server: a client came
    server: a client left

Notice: a task for each connection makes the difference. `dawdle echo` talks to such a server.
"""

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable

from _start import start

Serve = Callable[[socket.socket], Awaitable[None]]


async def echo(connection: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    print("server: a client came")
    with connection:
        while data := await loop.sock_recv(connection, 4096):
            await loop.sock_sendall(connection, data)
    print("server: a client left")


async def serve_each_in_a_task(listener: socket.socket) -> None:
    async with asyncio.TaskGroup() as group:
        while True:
            connection, _ = await asyncio.get_running_loop().sock_accept(listener)
            group.create_task(echo(connection))


async def serve_one_by_one(listener: socket.socket) -> None:
    while True:
        connection, _ = await asyncio.get_running_loop().sock_accept(listener)
        await echo(connection)


async def client(number: int, word: str, address: tuple[str, int], patience: float) -> None:
    loop = asyncio.get_running_loop()
    with socket.socket() as connection:
        connection.setblocking(False)
        await loop.sock_connect(connection, address)
        begun = time.perf_counter()
        await loop.sock_sendall(connection, word.encode())
        try:
            answer = await asyncio.wait_for(loop.sock_recv(connection, 4096), patience)
            print(f"client {number} sent {word}, got {answer.decode()}")
            await asyncio.sleep(2 * patience)  # it may want to say more
        except TimeoutError:
            print(f"client {number} gave up after {time.perf_counter() - begun:.1f} s")


async def main(scale: float) -> None:
    await serve_and_ask(serve_each_in_a_task, scale)


async def before(scale: float) -> None:
    await serve_and_ask(serve_one_by_one, scale)


async def serve_and_ask(serve: Serve, scale: float) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        server = asyncio.ensure_future(serve(listener))
        address, patience = listener.getsockname(), 2 * scale
        clients = client(1, "ping", address, patience), client(2, "pong", address, patience)
        await asyncio.gather(*clients)
        await asyncio.sleep(0.5 * scale)  # for the server to see them leave
        server.cancel()
        await asyncio.wait([server])


if __name__ == "__main__":
    start(main, before)
