# mypy: disable-error-code="import-not-found"
# (Httpx lives in the peers' own virtual environment and in no lock of ours.)
"""Titles as one writes it with httpx, a few workers and an expression."""

import asyncio
from collections.abc import Iterator

from httpx import AsyncClient, Limits

from bench.peers.expression import addresses, tell
from bench.peers.loops import new_loop

AT_ONCE = 64


async def work(client: AsyncClient, urls: Iterator[str]) -> None:
    """Fetch one page after the other."""
    for url in urls:
        tell(url, (await client.get(url)).content)


async def main() -> None:
    """Fetch all of them."""
    urls = iter(addresses())
    limits = Limits(max_connections=AT_ONCE, max_keepalive_connections=AT_ONCE)
    async with AsyncClient(limits=limits, timeout=30) as client:
        await asyncio.gather(*(work(client, urls) for _ in range(AT_ONCE)))


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(main())
