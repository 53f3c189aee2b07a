"""
The feed: the newest changes of spans, for those who watch.

One ring for all: a viewer holds only a position in it. Who falls behind the ring has missed
something and starts afresh from the present state, so a slow viewer costs nothing.
"""

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from app.errors import Problem
from app.spans import Span

KEPT = 10_000  # changes


class Missed(Exception):
    """The changes after that position are no longer here."""


@dataclass(frozen=True, slots=True)
class Batch:
    """The spans of a run that changed, each once, and the position after them."""

    spans: tuple[Span, ...]
    position: int


class Feed:
    """
    A ring of the last 10,000 changes, numbered from 1 within the boot.

    It is empty while nobody can ask for any of them, for no position was given since: spans that
    nobody will look at are not kept from their memory. At most *most_viewers* may watch at once.
    """

    def __init__(self, boot: int, *, most_viewers: int, kept: int = KEPT) -> None:
        self.boot = boot
        self.viewers = 0
        self.position = 0
        self.closed = False
        self._changes: deque[Span | None] = deque(maxlen=kept)  # None: not of a span
        self._kept = kept
        self._wanted = kept  # the last change that a position given so far can reach
        self._news = asyncio.Event()
        self._most_viewers = most_viewers

    @contextmanager
    def watching(self) -> Iterator[None]:
        """
        Take one of the places for viewers, for as long as the context lasts.

        Raises:
            Problem: none is free.
        """
        if self.viewers >= self._most_viewers:
            raise Problem(
                "too-many-viewers",
                f"this view would be one more than the limit of {self._most_viewers} (viewers); "
                "close another, or raise the limit",
            )
        self.viewers += 1
        try:
            yield
        finally:
            self.viewers -= 1

    def publish(self, span: Span | None) -> None:
        """Add a change, None if not of a span; cheap, because every request does."""
        self.position += 1
        if self.position <= self._wanted:
            self._changes.append(span)
        elif self._changes:
            self._changes.clear()
        if not self._news.is_set():
            self._news.set()

    def wake(self) -> None:
        """Let everybody look again although no span changed: a run is gone."""
        self.publish(None)

    def since(self, position: int, run: str) -> Batch:
        """
        What changed in *run* after *position*.

        Raises:
            Missed: some of it is no longer kept, or the position was never given.
        """
        behind = self.position - position
        if not 0 <= behind <= len(self._changes):
            raise Missed
        changed = {span.id: span for span in self._newest(behind) if span and span.run == run}
        return Batch(tuple(changed.values()), self.position)

    def _newest(self, count: int) -> list[Span | None]:
        newest = [span for span, _ in zip(reversed(self._changes), range(count), strict=False)]
        return newest[::-1]

    async def wait(self, position: int) -> None:
        """Return once something changed after *position*, or the feed was closed."""
        while self.position == position and not self.closed:
            self._news.clear()
            await self._news.wait()

    def close(self) -> None:
        """Wake everybody, for good: the service stops."""
        self.closed = True
        self._news.set()

    @property
    def here(self) -> str:
        """The present position as an event id."""
        return self.name(self.position)

    # --- positions as event ids ------------------------------------------------------------------

    def name(self, position: int) -> str:
        """The position as an event id, `BOOT-SEQ`; the changes after it are kept from now on."""
        self._wanted = max(self._wanted, position + self._kept)
        return f"{self.boot}-{position}"

    def find(self, name: str) -> int:
        """
        The position of an event id.

        Raises:
            Missed: it is of another boot, or not ours at all.
        """
        boot, dash, position = name.partition("-")
        if not dash or boot != str(self.boot) or not (position.isascii() and position.isdigit()):
            raise Missed
        return int(position[:18])
