"""
Faults: what is broken on purpose. The bytes, and how a connection ends.

Knows no web framework and keeps no time. Whoever owns a connection writes the bytes when they are
due and then ends it with `hang_up` or `reset`, or leaves it silent.
"""

import enum
import socket
import struct
import sys
from typing import Any, NamedTuple, Protocol

from app import grammar
from app.errors import BadValue
from app.grammar import quoted


class Fault(enum.StrEnum):
    """What can be done to a stream of bytes."""

    RESET = "reset"  # RST, no byte
    EMPTY = "empty"  # FIN, no byte
    GARBAGE = "garbage"  # 32 bytes that nobody sent, FIN
    HANG = "hang"  # silence


OF_STREAMS = (Fault.RESET, Fault.EMPTY, Fault.GARBAGE, Fault.HANG)

# Neither text nor the beginning of any protocol; it ends as a line does, so that a client takes
# it for one instead of waiting for the rest.
GARBAGE = bytes(range(0xE0, 0xFE)) + b"\r\n"


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
    try:
        fault = Fault(name)
    except ValueError:
        known = ", ".join(OF_STREAMS)
        raise BadValue(f"{quoted(name)} is not a fault of streams; use one of {known}") from None
    return StreamFault(fault, grammar.size(size) if at else 0)
