"""Names to addresses: without a thread a name, and within a bounded time."""

import socket

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import AsyncResolver

from app.titles.guard import Forbidden, Guard

# c-ares: how long each of the tries waits for each name server; together they take about 6 s.
TIMEOUT_S = 2.0
TRIES = 2


class Names(AbstractResolver):
    """
    Looks names up, as many at once as there are askers.

    Of several addresses those that the guard closes are left out here already, so that a page is
    `blocked` only when all of them are; the guard itself stands where connections are opened.
    """

    def __init__(self, guard: Guard | None) -> None:
        self._guard = guard
        self._resolver = AsyncResolver(timeout=TIMEOUT_S, tries=TRIES)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """
        The addresses of *host* that may be connected to.

        Raises:
            Forbidden: it has addresses, all closed.
            OSError: it has none, or nobody could tell.
        """
        found = await self._resolver.resolve(host, port, family)
        guard = self._guard
        if guard is None:
            return found
        admitted = [one for one in found if guard.admits(one["host"], one["port"])]
        if not admitted:
            raise Forbidden
        return admitted

    async def close(self) -> None:
        await self._resolver.close()
