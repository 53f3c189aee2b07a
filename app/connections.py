"""Connections: numbered in order of their first request, and the requests on each counted."""

from typing import Protocol

FEWEST_SWEPT = 1_024


class Transport(Protocol):
    """What is asked of a connection's transport."""

    def is_closing(self) -> bool:
        """Whether the connection is over, or about to be."""


class Connections:
    """
    Numbers for connections, from 1 within the boot.

    The transport is the key: it lives exactly as long as its connection, while frameworks reuse
    and replace the protocols on it. Not every loop's transports allow weak references, so those
    of ended connections are swept out whenever the table has doubled.
    """

    def __init__(self) -> None:
        self.opened = 0
        self._requests: dict[Transport, tuple[int, int]] = {}
        self._sweep_at = FEWEST_SWEPT

    def request(self, transport: Transport) -> tuple[int, int]:
        """(connection, which request on it) of a request that arrived on *transport*."""
        number, count = self._requests.get(transport) or (self.open(), 0)
        self.carry(transport, number, count + 1)
        return number, count + 1

    def open(self) -> int:
        """The number of a connection that brings its first request."""
        self.opened += 1
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
