"""
The TCP echo (RFC 862): bytes come back unchanged and in order, at once unless asked otherwise.

A connection is an `asyncio.Protocol` without a task. What it holds is bounded, whatever its peer
sends: while the peer does not read, it is not read either.
"""

import asyncio
from typing import cast

from app import faults
from app.clock import SHORTEST_TIMER_NS, Alarm
from app.echoes import (
    BROKEN,
    DONE,
    HANGING,
    IDLE,
    LEFT,
    MOST_HELD,
    REFUSED,
    STOPPED,
    STUCK,
    Echoes,
    Ending,
)
from app.errors import Problem
from app.faults import GARBAGE, Fault
from app.manners import Line, Manner
from app.spans import Kind, Outcome

METHOD = "ECHO"  # of spans, where requests have theirs

HUNG = (Outcome.FAULTED, "cap")


class Door:
    """Where echo connections come in: *target* is the address, as spans have it."""

    def __init__(self, echoes: Echoes, manner: Manner, target: str = "") -> None:
        self.echoes = echoes
        self.manner = manner
        self.target = target  # known once it listens
        self.now = echoes.clock.now

    def echo(self) -> "Echo":
        """The protocol of a new connection."""
        return Echo(self) if self.manner.is_plain else SlowEcho(self)


class Echo(asyncio.Protocol):
    """One connection whose bytes go straight back."""

    __slots__ = ("_door", "_ending", "_seen_ns", "_transport", "_unsent", "run", "span")

    def __init__(self, door: Door) -> None:
        self._door = door
        self._ending: Ending = LEFT  # as it stands; the first reason to end it decides
        self._unsent = 0  # bytes that the peer had not taken at the last look

    # --- asyncio's side --------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, if there is room; else close at once, for an echo has no words of its own."""
        self._transport = cast("asyncio.Transport", transport)
        echoes = self._door.echoes
        now_ns = self._seen_ns = self._door.now()
        self.run = echoes.runs.unnamed(now_ns)
        self.span = echoes.recorder.open(
            self.run,
            Kind.ECHO,
            now_ns=now_ns,
            method=METHOD,
            target=self._door.target,
            connection=echoes.connections.open(echoes.connections.echo),
            connection_request=1,
        )
        try:
            echoes.check_room()
        except Problem as problem:
            self._end(STOPPED if problem.code == "shutting-down" else REFUSED)
        else:
            echoes.enter(self)

    def data_received(self, data: bytes) -> None:
        """Give it back; how much that is, is all that is kept of it."""
        self._transport.write(data)
        span = self.span
        span.bytes_in = span.bytes_out = span.bytes_out + len(data)
        span.last_byte_ns = now_ns = self._door.now()
        if span.first_byte_ns is None:
            span.first_byte_ns = now_ns

    def pause_writing(self) -> None:
        """Read no more from a peer that does not read."""
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        """Go on; the peer has read."""
        if not self._transport.is_closing():
            self._transport.resume_reading()

    def eof_received(self) -> bool:
        """The peer has said all: it gets the rest, and then the end."""
        self._ending = DONE
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """It is over."""
        if exc is not None and self._ending == DONE:  # the peer did not stay for the rest
            self._ending = LEFT
        self._door.echoes.leave(self, self._ending)

    # --- order -----------------------------------------------------------------------------------

    def look(self, now_ns: int, idle_ns: int) -> None:
        """End it if it is idle; a peer that takes what is sent, however slowly, is not."""
        unsent = self._transport.get_write_buffer_size()
        if unsent != self._unsent:
            self._unsent = unsent
            self._seen_ns = now_ns
        elif now_ns - max(self._seen_ns, self.span.last_byte_ns or 0) > idle_ns:
            self._expire(unsent)

    def _expire(self, unsent: int) -> None:
        if unsent:
            self.cut_off(STUCK)
        else:
            self._end(IDLE)

    def finish(self) -> None:
        """Give back what is on its way, and close."""
        self._end(self._finishing)

    @property
    def _finishing(self) -> Ending:
        """How it ends if the service stops now, but for what the peer does."""
        return DONE if self._ending == DONE else STOPPED

    def cut_off(self, ending: Ending) -> None:
        """Close now."""
        self._ending = ending
        self._transport.abort()

    def _end(self, ending: Ending) -> None:
        self._ending = ending
        self._transport.close()


class SlowEcho(Echo):
    """One connection whose bytes stand in line: late, slow, or broken off on purpose."""

    __slots__ = ("_alarm", "_has_said_all", "_is_blocked", "_line", "_struck")

    def __init__(self, door: Door) -> None:
        super().__init__(door)
        self._alarm: Alarm | None = None
        self._has_said_all = False  # nothing more comes, or is wanted
        self._is_blocked = False  # the kernel takes no more
        self._struck: Fault | None = None
        self._line = Line(door.echoes.schedule(door.manner))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin; a fault after no bytes is here at once."""
        super().connection_made(transport)
        # So that `resume_writing` says when the kernel has everything.
        self._transport.set_write_buffer_limits(0)
        self._move()

    def data_received(self, data: bytes) -> None:
        """Let it stand in line."""
        self.span.bytes_in += len(data)
        if self._struck is None:
            self._line.add(data, self._door.now())
            self._move()

    def pause_writing(self) -> None:
        """Give back no more until the peer has read."""
        self._is_blocked = True

    def resume_writing(self) -> None:
        """Go on; the kernel has everything."""
        self._is_blocked = False
        self._move()

    def eof_received(self) -> bool:
        """The peer has said all: it gets the rest when that is due, and then the end."""
        if self._struck is None:
            self._ending = DONE
        self._has_said_all = True
        return not self._is_over

    @property
    def _is_over(self) -> bool:
        """Whether nothing is left to do; who hangs is told nothing, not even that."""
        return self._has_said_all and not self._line.held and self._struck is not Fault.HANG

    def connection_lost(self, exc: Exception | None) -> None:
        """It is over."""
        self._set_alarm(None)
        self._line.clear()
        super().connection_lost(exc)

    # --- what is due -----------------------------------------------------------------------------

    def _move(self) -> None:
        """Give back what is due, as far as it is taken, and come again for the rest."""
        fault = self._door.manner.fault
        while self._may_write():
            room = None if fault is None else fault.room(self.span.bytes_out)
            if fault is not None and not room:
                self._strike(fault.fault)
            elif data := self._line.take(self._door.now(), room):
                self._write(data)
            else:
                break
        self._set_alarm(self._line.next_ns if self._may_write() else None)
        self._read_on()
        if self._is_over and not self._is_blocked:
            self._transport.close()

    def _may_write(self) -> bool:
        is_broken = self._struck is not None
        return not (self._is_blocked or is_broken or self._transport.is_closing())

    def _write(self, data: bytes) -> None:
        span = self.span
        span.last_byte_ns = self._door.now()
        if span.first_byte_ns is None:
            span.first_byte_ns = span.last_byte_ns
        span.bytes_out += len(data)
        self._transport.write(data)

    def _set_alarm(self, due_ns: int | None) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if due_ns is not None:
            clock = self._door.echoes.clock
            soon_ns = clock.now() + SHORTEST_TIMER_NS
            self._alarm = clock.call_at(max(due_ns, soon_ns), self._move)

    def _read_on(self) -> None:
        """Read only as long as what is held is little; whoever has said all is not read."""
        if self._transport.is_closing() or self._has_said_all:
            return
        if self._line.held > MOST_HELD:
            self._transport.pause_reading()
        elif self._line.held <= MOST_HELD // 2:
            self._transport.resume_reading()

    # --- the fault -------------------------------------------------------------------------------

    def _strike(self, fault: Fault) -> None:
        """Break it off: the kernel has all bytes before the fault."""
        self.span.fault = fault.value
        self._struck = fault
        self._ending = HANGING if fault is Fault.HANG else BROKEN
        self._seen_ns = self._door.now()
        self._line.clear()
        self._door.echoes.recorder.changed(self.span)
        if fault is Fault.GARBAGE:
            self._write(GARBAGE)
        if fault is Fault.RESET:
            faults.reset(self._transport)
        elif fault is not Fault.HANG:
            faults.hang_up(self._transport)

    # --- order -----------------------------------------------------------------------------------

    def look(self, now_ns: int, idle_ns: int) -> None:
        """End it if it is idle; who waits for what is not yet due is not."""
        if self._line.held and not self._is_blocked:
            self._seen_ns = now_ns
        super().look(now_ns, idle_ns)

    def _expire(self, unsent: int) -> None:
        if self._struck is Fault.HANG:
            self._ending = HUNG
            faults.reset(self._transport)
        elif self._struck is not None:  # and the peer has not closed its side
            self.cut_off(BROKEN)
        else:
            super()._expire(unsent + self._line.held)

    def finish(self) -> None:
        """Give back what stands in line when it is due, and close; read no more."""
        if self._struck is not None:
            self.cut_off(STOPPED)
            return
        self._ending = self._finishing
        self._has_said_all = True
        if not self._transport.is_closing():
            self._transport.pause_reading()
        self._move()

    def cut_off(self, ending: Ending) -> None:
        """Close now; what a fault began stays faulted, whoever ended it."""
        super().cut_off(ending if self._struck is None else (Outcome.FAULTED, ending[1]))
