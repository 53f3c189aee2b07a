"""
How many names a second are looked up: by threads, as aiohttp does by default, and as we do.

    python -m bench.names   half a minute; prints a table

A stub on loopback answers every name after 50 ms, as servers far away do. This runs in a namespace
of its own, where the stub is the only name server and there is no other network; Linux only, and
`unshare`, `mount` and `ip` are needed.
"""

import asyncio
import os
import sys
import tempfile
import time
from multiprocessing import Process
from pathlib import Path
from typing import cast

from aiohttp.abc import AbstractResolver
from aiohttp.resolver import ThreadedResolver

from app.loops import loop_factory
from app.titles.names import Names

NAMES = 2_000
AT_ONCE = 200  # the most pages that a job has under way
AFTER_S = 0.05
PORT = 53

WITHIN = "WITHIN_NAMESPACE"
# With no address but loopback's, the system's own resolver would not ask for any.
SCRIPT = (
    "ip link set lo up && ip address add 192.0.2.1/32 dev lo && "
    'mount --bind "$0" /etc/resolv.conf && exec "$@"'
)

A = 1
ANSWER = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\x7f\0\0\1"  # the name asked for, A, IN, 60 s, 127.0.0.1


class Stub(asyncio.DatagramProtocol):
    """A name server: every name is 127.0.0.1, and has no address of IPv6."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        end = data.index(b"\0", 12) + 5  # of the question: RFC 1035, section 4.1.2
        answer = ANSWER if data[end - 3] == A else b""
        head = data[:2] + b"\x81\x80\0\1" + bytes((0, bool(answer))) + b"\0\0\0\0"
        reply = head + data[12:end] + answer
        asyncio.get_running_loop().call_later(AFTER_S, self._transport.sendto, reply, addr)


def answer() -> None:
    """Be the name server, until terminated."""

    async def listen() -> None:
        loop = asyncio.get_running_loop()
        await loop.create_datagram_endpoint(Stub, local_addr=("127.0.0.1", PORT))
        await asyncio.Event().wait()

    asyncio.run(listen())


async def look_up(kind: str, resolver: AbstractResolver) -> str:
    """The line of the table for one way to look names up."""
    names = iter([f"{kind[0]}{number}.example" for number in range(NAMES)])

    async def work() -> None:
        for name in names:
            await resolver.resolve(name, 80)

    begun_s, used_s = time.monotonic(), time.process_time()
    await asyncio.gather(*(work() for _ in range(AT_ONCE)))
    took_s, cpu_s = time.monotonic() - begun_s, time.process_time() - used_s
    await resolver.close()
    return f"| {kind} | {NAMES / took_s:,.0f} | {cpu_s / NAMES * 1e6:,.0f} |"


async def table() -> None:
    """Print it."""
    print(f"| {NAMES:,} names | names a second | CPU a name, us |\n| --- | ---: | ---: |")
    print(await look_up("threads", ThreadedResolver()))
    print(await look_up("names", Names(None)))


def enter_namespace() -> None:
    """Become this command within a namespace."""
    with tempfile.NamedTemporaryFile("w", suffix=".conf", delete=False) as configuration:
        configuration.write("nameserver 127.0.0.1\n")
    inside = (sys.executable, "-m", "bench.names")
    command = ("unshare", "-rnm", "sh", "-c", SCRIPT, configuration.name, *inside)
    os.execvpe("unshare", command, {**os.environ, WITHIN: configuration.name})


def main() -> None:
    """Measure, in a namespace."""
    if WITHIN not in os.environ:
        enter_namespace()
    Path(os.environ[WITHIN]).unlink()  # it stays mounted
    stub = Process(target=answer)
    stub.start()
    try:
        time.sleep(0.5)
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            runner.run(table())
    finally:
        stub.terminate()


if __name__ == "__main__":
    main()
