"""
Echoes: what all echo connections of a service share, whatever they speak.

How many there may be, their spans, the sweep that ends idle ones, and their end with the service.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from random import Random
from typing import Protocol

from app.clock import SECOND_NS, Clock
from app.connections import Connections
from app.errors import Problem
from app.manners import Manner, Schedule
from app.plan import RandomDraws
from app.recorder import Recorder
from app.runs import Run, Runs
from app.spans import Outcome, Span

SWEEP_EVERY_S = 5.0
SWEEPS = 4  # within the idle limit, at least

MOST_HELD = 65_536  # bytes that wait in a connection for their turn, and then it is not read

# How an echo ended: the outcome of its span, and by whom.
Ending = tuple[Outcome, str | None]

DONE: Ending = (Outcome.COMPLETED, None)  # the peer closed, and everything had gone back
LEFT: Ending = (Outcome.CLIENT_GONE, "client")
IDLE: Ending = (Outcome.COMPLETED, "cap")  # everything had gone back, and no more came
STUCK: Ending = (Outcome.REJECTED, "cap")  # the peer did not take what was its
STOPPED: Ending = (Outcome.SHUTDOWN, "shutdown")
DELETED: Ending = (Outcome.REJECTED, "deleted")
REFUSED: Ending = (Outcome.REJECTED, None)
BROKEN: Ending = (Outcome.FAULTED, None)
HANGING: Ending = (Outcome.FAULTED, "client")  # unless something else ends it
FAILED: Ending = (Outcome.ERROR, None)


class Open(Protocol):
    """An echo that is open."""

    @property
    def run(self) -> Run:
        """The run that it belongs to."""

    @property
    def span(self) -> Span:
        """What is recorded of it."""

    def look(self, now_ns: int, idle_ns: int) -> None:
        """End it if nothing came or went for so long."""

    def finish(self) -> None:
        """Read no more, give back what is still to go, and end: the service stops."""

    def cut_off(self, ending: Ending) -> None:
        """End now, whatever is still to go."""


class Echoes:
    """
    All echoes of a service; *most* may be open at once, *has_room* says whether files are left.

    An echo on which nothing came or went for *idle_ns* ends. *random* is asked for delays that
    vary, up to *max_delay_ns*; *time_scale* multiplies them and the periods of rates.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        runs: Runs,
        recorder: Recorder,
        connections: Connections,
        random: Random,
        max_delay_ns: int,
        time_scale: float,
        most: float,
        idle_ns: int,
        has_room: Callable[[], bool] = lambda: True,
    ) -> None:
        self.clock = clock
        self.runs = runs
        self.recorder = recorder
        self.connections = connections
        self.max_delay_ns = max_delay_ns
        self.stopping = False
        self.has_room = has_room
        self._open: dict[Open, None] = {}
        self._draws = RandomDraws(random)
        self._time_scale = time_scale
        self._most = most
        self._idle_ns = idle_ns
        self._on_empty: Callable[[], None] = lambda: None

    def __len__(self) -> int:
        return len(self._open)

    def check_room(self) -> None:
        """
        Whether a further echo may begin.

        Raises:
            Problem: the service stops, or has as many as it may.
        """
        if self.stopping:
            raise Problem("shutting-down", "this server is stopping; try again when it is back")
        if len(self._open) >= self._most or not self.has_room():
            raise Problem(
                "too-many-echoes",
                f"{len(self._open)} echo connections are open already, as many as may "
                "(max_echo_connections); close some first",
            )

    def schedule(self, manner: Manner) -> Schedule:
        """When the pieces of one connection go back."""
        return Schedule(
            manner, self._draws, max_delay_ns=self.max_delay_ns, time_scale=self._time_scale
        )

    def enter(self, echo: Open) -> None:
        """The echo is open; those who watch hear of it."""
        self._open[echo] = None
        self.recorder.changed(echo.span)

    def leave(self, echo: Open, ending: Ending) -> None:
        """The echo is over; saying so again changes nothing."""
        self.recorder.close(echo.run, echo.span, *ending)
        self._open.pop(echo, None)
        if not self._open:
            self._on_empty()

    # --- order -----------------------------------------------------------------------------------

    async def sweep(self) -> None:
        """End idle echoes, for ever; one look at all of them at a time."""
        pause_s = min(SWEEP_EVERY_S, self._idle_ns / SECOND_NS / SWEEPS)
        while True:
            await asyncio.sleep(pause_s)
            self.look()

    def look(self) -> None:
        """End the echoes that are idle now."""
        now_ns = self.clock.now()
        for echo in list(self._open):
            echo.look(now_ns, self._idle_ns)

    def forget(self, run: Run) -> None:
        """End the echoes of a run that was deleted."""
        for echo in list(self._open):
            if echo.run is run:
                echo.cut_off(DELETED)

    def stop(self, on_empty: Callable[[], None] = lambda: None) -> None:
        """Let no more begin and finish those that are open; *on_empty*: when none is any more."""
        self.stopping = True
        self._on_empty = on_empty
        for echo in list(self._open):
            echo.finish()
        if not self._open:
            on_empty()

    async def close(self) -> None:
        """Cut off what is open, and return when all of it is over."""
        empty = asyncio.Event()
        self.stopping = True
        self._on_empty = empty.set
        for echo in list(self._open):
            echo.cut_off(STOPPED)
        if self._open:
            with suppress(TimeoutError):
                await asyncio.wait_for(empty.wait(), 1)
