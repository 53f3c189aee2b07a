"""Connections: numbered in order of their first request, and the requests on each counted."""

from dataclasses import dataclass
from typing import Protocol

FEWEST_SWEPT = 1_024


class Transport(Protocol):
    """What is asked of a connection's transport."""

    def is_closing(self) -> bool:
        """Whether the connection is over, or about to be."""


@dataclass(slots=True)
class Traffic:
    """What one of those who read from connections has seen."""

    connections: int = 0  # whose first request it read, or all of it
    requests: int = 0


class Connections:
    """
    Numbers for connections, from 1 within the boot.

    The transport is the key: it lives exactly as long as its connection, while frameworks reuse
    and replace the protocols on it. Not every loop's transports allow weak references, so those
    of ended connections are swept out whenever the table has doubled.
    """

    def __init__(self) -> None:
        self.opened = 0
        self.lane = Traffic()
        self.aiohttp = Traffic()
        self.echo = Traffic()
        self._requests: dict[Transport, tuple[int, int]] = {}
        self._sweep_at = FEWEST_SWEPT

    def request(self, transport: Transport) -> tuple[int, int]:
        """(connection, which request on it) of a request that aiohttp read on *transport*."""
        number, count = self._requests.get(transport) or (self.open(self.aiohttp), 0)
        self.aiohttp.requests += 1
        self.carry(transport, number, count + 1)
        return number, count + 1

    def open(self, reader: Traffic) -> int:
        """The number of a connection that brings its first request to that *reader*."""
        self.opened += 1
        reader.connections += 1
        return self.opened

    def carry(self, transport: Transport, number: int, requests: int) -> None:
        """Go on counting on *transport*, which is connection *number*."""
        if len(self._requests) >= self._sweep_at:
            self._sweep()
        self._requests[transport] = number, requests

    def _sweep(self) -> None:
        open_ones = {
            transport: seen
            for transport, seen in self._requests.items()
            if not transport.is_closing()
        }
        self._requests = open_ones
        self._sweep_at = max(FEWEST_SWEPT, 2 * len(open_ones))
