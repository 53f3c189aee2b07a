"""
Manners of an echo: what is asked for in texts, and which bytes are due back when. Pure.

Bytes come back in order, each piece after its delay, all of them together at a rate.
"""

import re
from collections import deque
from collections.abc import Callable, Mapping
from typing import NamedTuple

from app import delays, faults, grammar
from app.delays import Delay, Draws, Fixed
from app.errors import BadValue
from app.faults import StreamFault
from app.grammar import NANOSECONDS, Rate, quoted

_RATE = re.compile(r"(.*)/([sm])", re.DOTALL)


class Manner(NamedTuple):
    """How bytes come back: at once and unharmed, unless something else is said."""

    delay: Delay | None = None  # of each piece that is received
    rate: Rate | None = None
    fault: StreamFault | None = None

    @property
    def is_plain(self) -> bool:
        """Whether nothing is done but to echo."""
        return self == PLAIN


PLAIN = Manner()

NO_DELAY = Fixed(0)


def _delay(text: str, max_delay_ns: int) -> Delay | None:
    delay = delays.parse(text, max_delay_ns=max_delay_ns)
    return None if delay == NO_DELAY else delay


def rate(text: str) -> Rate:
    """Bytes in a second or minute, `10k/s` or `1m/m`, one at least."""
    match = _RATE.fullmatch(text)
    size = grammar.size(match[1]) if match else 0
    if match is None or not size:
        raise BadValue(f"{quoted(text)} is not a rate of bytes; write such as 500/s, 10k/s or 1m/m")
    return Rate(size, NANOSECONDS[match[2]])


KNOBS: dict[str, Callable[[str, int], object]] = {
    "delay": _delay,
    "rate": lambda text, max_delay_ns: rate(text),
    "fault": lambda text, max_delay_ns: faults.stream_fault(text),
}


def read(texts: Mapping[str, str], *, max_delay_ns: int) -> Manner:
    """
    The manner that the knobs in *texts* describe; all of them are in `KNOBS`.

    Raises:
        BadValue: one is not valid; `parameter` names it.
    """
    return Manner(**{name: _read(name, text, max_delay_ns) for name, text in texts.items()})  # type: ignore[arg-type]  # values of several types


def _read(name: str, text: str, max_delay_ns: int) -> object:
    try:
        return KNOBS[name](text, max_delay_ns)
    except BadValue as error:
        raise BadValue(str(error), name) from None


class Schedule:
    """
    When the pieces of one connection go back: in order, each after its delay, at the rate.

    *draws* are for delays that vary; *time_scale* multiplies delays and the period of the rate.
    """

    __slots__ = ("_delay", "_draws", "_free_ns", "_max_delay_ns", "_pieces", "_scale", "rate")

    def __init__(
        self, manner: Manner, draws: Draws, *, max_delay_ns: int, time_scale: float = 1.0
    ) -> None:
        self.rate = _scaled(manner.rate, time_scale)
        self._delay = manner.delay
        self._draws = draws
        self._max_delay_ns = max_delay_ns
        self._scale = time_scale
        self._pieces = 0
        self._free_ns = 0  # when the last byte of all so far is due

    def place(self, size: int, now_ns: int) -> tuple[int, int]:
        """When the first of the bytes that came now begins to go back, and when the last has."""
        begin_ns = max(now_ns + self._draw(), self._free_ns)
        self._free_ns = begin_ns + self.length_ns(size)
        return begin_ns, self._free_ns

    def _draw(self) -> int:
        if self._delay is None:
            return 0
        self._pieces += 1
        delay_ns = delays.draw(
            self._delay, self._draws, self._pieces - 1, max_delay_ns=self._max_delay_ns
        )
        return round(delay_ns * self._scale)

    def length_ns(self, size: int) -> int:
        """How long that many bytes take at the rate, rounded up."""
        return 0 if self.rate is None else -(-size * self.rate.period_ns // self.rate.count)

    def bytes_in(self, passed_ns: int) -> int:
        """How many bytes go out in so much time, where there is a rate."""
        return 0 if self.rate is None else passed_ns * self.rate.count // self.rate.period_ns


def _scaled(rate: Rate | None, time_scale: float) -> Rate | None:
    if rate is None or not round(rate.period_ns * time_scale):
        return None
    return Rate(rate.count, round(rate.period_ns * time_scale))


class Line:
    """Bytes on their way back, the first to come first; `held` is how many there are."""

    __slots__ = ("_pieces", "_schedule", "_taken", "held")

    def __init__(self, schedule: Schedule) -> None:
        self.held = 0
        self._schedule = schedule
        self._pieces: deque[tuple[int, int, bytes]] = deque()  # begin, end, bytes
        self._taken = 0  # of the first piece

    def add(self, data: bytes, now_ns: int) -> None:
        """Let the bytes, which came now, stand in line."""
        self._pieces.append((*self._schedule.place(len(data), now_ns), data))
        self.held += len(data)

    def clear(self) -> None:
        """Nobody wants them any more."""
        self._pieces.clear()
        self._taken = self.held = 0

    def take(self, now_ns: int, most: int | None = None) -> bytes:
        """The bytes that are due, at most so many; they leave the line."""
        parts: list[bytes] = []
        room = self.held if most is None else most
        while self._pieces and room and (part := self._next(now_ns, room)):
            parts.append(part)
            room -= len(part)
        return b"".join(parts)

    def _next(self, now_ns: int, most: int) -> bytes:
        """What is due of the first piece; empty when it is not its turn."""
        begin_ns, end_ns, data = self._pieces[0]
        if now_ns < begin_ns:
            return b""
        due = len(data) if now_ns >= end_ns else self._schedule.bytes_in(now_ns - begin_ns)
        part = data[self._taken : min(due, self._taken + most)]
        self._taken += len(part)
        self.held -= len(part)
        if self._taken == len(data):
            self._pieces.popleft()
            self._taken = 0
        return part

    @property
    def next_ns(self) -> int | None:
        """When the next byte is due; None when there is none."""
        if not self._pieces:
            return None
        begin_ns, _, _ = self._pieces[0]
        return begin_ns + self._schedule.length_ns(self._taken + 1)
