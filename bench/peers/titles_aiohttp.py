"""Titles as one writes it with aiohttp, a few workers and an expression."""

import asyncio
from collections.abc import Iterator

from aiohttp import ClientSession, TCPConnector

from bench.peers.expression import addresses, tell
from bench.peers.loops import new_loop

AT_ONCE = 64


async def work(session: ClientSession, urls: Iterator[str]) -> None:
    """Fetch one page after the other."""
    for url in urls:
        async with session.get(url) as response:
            tell(url, await response.read())


async def main() -> None:
    """Fetch all of them."""
    urls = iter(addresses())
    async with ClientSession(connector=TCPConnector(limit=AT_ONCE)) as session:
        await asyncio.gather(*(work(session, urls) for _ in range(AT_ONCE)))


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(main())
