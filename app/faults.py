"""
Faults: replies broken on purpose. How likely each is, its bytes, and how its connection ends.

Knows no web framework and keeps no time. Whoever owns a connection writes the bytes when they are
due and then ends it with `hang_up` or `reset`, or leaves it silent.
"""

import enum
import socket
import struct
import sys
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from itertools import accumulate
from typing import Any, NamedTuple, Protocol

from app import grammar
from app.errors import BadValue
from app.grammar import quoted


class Fault(enum.StrEnum):
    """What can be done to a reply; L is the length of its true body."""

    __hash__ = str.__hash__  # Enum's own is written in Python

    RESET = "reset"  # RST, no byte
    EMPTY = "empty"  # FIN, no byte
    GARBAGE = "garbage"  # 32 bytes that are no HTTP, FIN
    TRUNCATE = "truncate"  # Content-Length: L, half the body, FIN
    SHORT_LENGTH = "short_length"  # Content-Length: L/2, the whole body, FIN
    LONG_LENGTH = "long_length"  # Content-Length: 2L, the whole body, FIN
    MALFORMED = "malformed"  # chunked: half the body, then a chunk that is none, FIN
    STALL = "stall"  # Content-Length: L, half the body, silence
    HANG = "hang"  # silence


# These need a body to break.
OF_BODIES = frozenset(
    {
        Fault.TRUNCATE,
        Fault.SHORT_LENGTH,
        Fault.LONG_LENGTH,
        Fault.MALFORMED,
        Fault.STALL,
    }
)
# These never end by themselves.
SILENT = frozenset({Fault.STALL, Fault.HANG})
# A stream of bytes without any frame, such as an echo's, can only meet these.
OF_STREAMS = (Fault.RESET, Fault.EMPTY, Fault.GARBAGE, Fault.HANG)

# No status line, not even HTTP/0.9's beginning of a document; it ends as a line does, so that a
# client takes it for one and refuses it instead of waiting for the rest.
GARBAGE = bytes(range(0xE0, 0xFE)) + b"\r\n"


class Ending(enum.Enum):
    """What becomes of the connection after the bytes."""

    KEEP = enum.auto()  # as the request wants it
    FIN = enum.auto()
    RST = enum.auto()
    SILENCE = enum.auto()  # until the client leaves, or for as long as we bear it; then RST


# --- on the wire ---------------------------------------------------------------------------------


class Script(NamedTuple):
    """
    What goes over the wire for one reply.

    A *head*, if there is one, which tells of a body of that *length*, or for None of one in
    chunks; then the *payload*, only the first half of it when *halved*; and the *ending*.
    """

    ending: Ending
    head: bool = False
    length: int | None = None
    payload: bytes = b""
    halved: bool = False

    @property
    def sent(self) -> bytes:
        """What goes out of the payload."""
        return self.payload[: len(self.payload) // 2] if self.halved else self.payload


def script(fault: Fault | None, body: bytes) -> Script:
    """
    The reply with that *body*, broken by *fault*, or sound.

    RFC 9112 section 6.2 has the lengths, section 7.1 the chunks. The faults of bodies need one of
    at least a byte.
    """
    length = len(body)
    match fault:
        case None:
            return Script(Ending.KEEP, True, length, body)
        case Fault.RESET:
            return Script(Ending.RST)
        case Fault.EMPTY:
            return Script(Ending.FIN)
        case Fault.GARBAGE:
            return Script(Ending.FIN, payload=GARBAGE)
        case Fault.TRUNCATE:
            return Script(Ending.FIN, True, length, body, halved=True)
        case Fault.SHORT_LENGTH:
            return Script(Ending.FIN, True, length // 2, body)
        case Fault.LONG_LENGTH:
            return Script(Ending.FIN, True, length * 2, body)
        case Fault.MALFORMED:
            return Script(Ending.FIN, True, None, _chunks(body[: length // 2]))
        case Fault.STALL:
            return Script(Ending.SILENCE, True, length, body, halved=True)
        case Fault.HANG:
            return Script(Ending.SILENCE)


def _chunks(good: bytes) -> bytes:
    """One chunk, unless it were empty and so the end of a sound body; then one that is none."""
    return (b"%x\r\n%b\r\n" % (len(good), good) if good else b"") + b"ZZ\r\n"


class Wire(Protocol):
    """What ending a connection takes; every `asyncio.Transport` has it."""

    def can_write_eof(self) -> bool:
        """Whether one side can be closed alone; TLS can't."""

    def write_eof(self) -> None:
        """Close our side once everything is sent."""

    def abort(self) -> None:
        """Close the connection at once, whatever is still to be sent."""

    def get_extra_info(self, name: str) -> Any:
        """The `socket`, among other things."""


def hang_up(wire: Wire) -> None:
    """
    End what we send with a FIN, once everything is sent.

    Only our side is closed, for a socket that is closed with bytes unread in it sends a RST
    (RFC 1122 section 4.2.2.13). The owner reads on for a while and then closes the connection;
    where one side can't be closed alone, that is also when the FIN goes out.
    """
    if wire.can_write_eof():
        wire.write_eof()


# `struct linger`: on, 0 seconds. Winsock has it in shorts.
_NO_LINGER = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)


def reset(wire: Wire) -> None:
    """End the connection with a RST, at once; what was not sent yet never will be."""
    wire.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    wire.abort()


# --- text -> faults ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Chances:
    """`reset:0.1,truncate:0.05`: each fault as often as its probability says, mostly none."""

    faults: tuple[Fault, ...]
    probabilities: tuple[str, ...]
    cumulative: tuple[float, ...]

    @property
    def certain(self) -> Fault | None:
        """The fault that always happens, if there is one."""
        alone = len(self.faults) == 1 and self.cumulative == (1.0,)
        return self.faults[0] if alone else None

    def choose(self, uniform: Callable[[], float]) -> Fault | None:
        """The first fault at which the sum of probabilities so far exceeds the number."""
        if self.certain is not None:
            return self.certain
        place = bisect_right(self.cumulative, uniform())
        return self.faults[place] if place < len(self.faults) else None

    def __str__(self) -> str:
        pairs = zip(self.faults, self.probabilities, strict=True)
        return ",".join(f"{fault}:{probability}" for fault, probability in pairs)


def chances(text: str) -> Chances:
    """
    The faults that *text* names, with their probabilities.

    Raises:
        BadValue: a fault is unknown, a probability missing in a list, or their sum above 1.
    """
    items = grammar.split(text)
    names, probabilities = [], []
    for item in items:
        name, probability = grammar.weighted(item)
        if probability is None and len(items) > 1:
            raise BadValue(f"{quoted(item)} has no probability; in a list write each as {item}:0.1")
        names.append(fault(name))
        probabilities.append(probability or "1")
    sums = tuple(accumulate(map(Decimal, probabilities)))  # ten times 0.1 is 1
    if sums[-1] > 1:
        raise BadValue(f"the probabilities in {quoted(text)} add up to {sums[-1]}; stay within 1")
    return Chances(tuple(names), tuple(probabilities), tuple(map(float, sums)))


def fault(text: str) -> Fault:
    """
    The fault of that name.

    Raises:
        BadValue: there is none.
    """
    try:
        return Fault(text)
    except ValueError:
        raise BadValue(f"{quoted(text)} is not a fault; use one of {', '.join(Fault)}") from None


class StreamFault(NamedTuple):
    """`reset@10k`: a fault in a stream of bytes, once so many have gone out."""

    fault: Fault
    after: int = 0

    def room(self, sent: int) -> int:
        """How many more bytes go out where *sent* have; with 0, now it happens."""
        return max(self.after - sent, 0)


def stream_fault(text: str) -> StreamFault:
    """
    `FAULT` or `FAULT@BYTES`, for streams without frames.

    Raises:
        BadValue: the fault is unknown or needs a frame to break, or BYTES are no size.
    """
    name, at, size = text.partition("@")
    if name not in OF_STREAMS:
        why = (
            "breaks replies of HTTP, and this is a plain stream"
            if name in set(Fault)
            else "is not a fault"
        )
        raise BadValue(f"{quoted(name)} {why}; use one of {', '.join(OF_STREAMS)}")
    return StreamFault(Fault(name), grammar.size(size) if at else 0)
