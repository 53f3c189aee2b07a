"""What happened to one request, or one echo connection, from arrival to its end."""

import enum
import re
from collections.abc import Iterable
from dataclasses import dataclass, fields

# A span's number is its boot (how often this data folder was served) and its place in that boot.
SEQUENCE_BITS = 40
_NAME = re.compile(r"([0-9]{1,9})-([0-9]{1,13})", re.ASCII)


class Kind(enum.StrEnum):
    """What arrived."""

    HTTP = "http"
    ECHO = "echo"
    WEBSOCKET = "websocket"


class Outcome(enum.StrEnum):
    """How a span ended."""

    __hash__ = str.__hash__  # Enum's own is written in Python, and this is counted on every end

    IN_FLIGHT = "in_flight"
    COMPLETED = "completed"  # the whole reply, whatever its status, was handed to the kernel
    CLIENT_GONE = "client_gone"  # the client left before that
    FAULTED = "faulted"  # a fault began on the wire
    REJECTED = "rejected"  # 400, 413, or 429, 503, 504 by a limit
    ERROR = "error"  # our own fault, 500
    SHUTDOWN = "shutdown"  # the service stopped first


@dataclass(slots=True, eq=True)
class Span:
    """
    One arrival and what became of it; written to only by the `Recorder` and the request's owner.

    Names ending in `_ns` are nanoseconds: moments since the Unix epoch, on a wall clock that is
    anchored once and then advanced monotonically, or lengths (`queue_wait_ns`, `barrier_wait_ns`,
    `delay_ns`). None: it has not happened, or does not apply.
    """

    id: int
    run: str
    kind: Kind
    method: str
    target: str  # as the client sent it, query included
    arrival_ns: int
    key: str | None = None
    attempt: int | None = None  # from 1, among the attempts of its key
    connection: int = 0  # numbered from 1 within the boot
    connection_request: int = 0  # from 1: which request on that connection
    http_version: str | None = None  # "1.1"
    user_agent: str | None = None
    in_flight: int = 0  # of its run on arrival, itself included
    queue_wait_ns: int = 0
    barrier_wait_ns: int = 0
    delay_ns: int | None = None  # as planned, before the time scale
    time_scale: float = 1.0
    drip: int | None = None  # in how many writes the body was to go out
    wait_begun_ns: int | None = None
    first_byte_ns: int | None = None
    last_byte_ns: int | None = None
    end_ns: int | None = None
    status: int | None = None
    fault: str | None = None
    outcome: Outcome = Outcome.IN_FLIGHT
    ended_by: str | None = None  # client, cap, deleted or shutdown
    bytes_in: int = 0  # of the request's body, or of what is to be echoed
    bytes_out: int = 0  # of the reply's body, or of what was echoed
    messages: int | None = None  # that came, where what comes has frames
    retry_after_ns: int | None = None  # how long the reply's Retry-After asked to wait

    @property
    def name(self) -> str:
        """The id as clients see it, `BOOT-SEQ`, in `X-Dawdle-Span`."""
        return span_name(self.id)

    @property
    def scaled_delay_ns(self) -> int | None:
        """The planned delay times the time scale: how long we meant to wait."""
        if self.time_scale == 1 or self.delay_ns is None:
            return self.delay_ns
        return round(self.delay_ns * self.time_scale)

    @property
    def lateness_ns(self) -> int | None:
        """
        From the beginning of the wait to the first byte (with drip: the last), minus the plan.

        None until that byte is out, and for what was told not to wait, or no longer: rejected, or
        dismissed by a service that stops. A reply is never early.
        """
        if self.outcome in (Outcome.REJECTED, Outcome.SHUTDOWN):
            return None
        byte_ns = self.first_byte_ns if self.drip is None else self.last_byte_ns
        planned = self.scaled_delay_ns
        if byte_ns is None or self.wait_begun_ns is None or planned is None:
            return None
        return byte_ns - self.wait_begun_ns - planned


FIELDS: tuple[str, ...] = tuple(field.name for field in fields(Span))


def span_id(boot: int, sequence: int) -> int:
    """The number of the *sequence*-th span of the *boot*-th start; ascends in order of arrival."""
    return boot << SEQUENCE_BITS | sequence


def span_name(number: int) -> str:
    """`BOOT-SEQ` for a span's number."""
    return f"{number >> SEQUENCE_BITS}-{number & (1 << SEQUENCE_BITS) - 1}"


def span_number(name: str) -> int:
    """
    The number of a `BOOT-SEQ`.

    Raises:
        ValueError: it is none.
    """
    match = _NAME.fullmatch(name)
    if match is None or int(match[2]) >> SEQUENCE_BITS:
        raise ValueError(name)
    return span_id(int(match[1]), int(match[2]))


def record(span: Span) -> dict[str, object]:
    """The span as exports show it: every field by its own name, the id as `BOOT-SEQ`."""
    values = {name: getattr(span, name) for name in FIELDS}
    return values | {"id": span.name}


def arrival_order(spans: Iterable[Span]) -> list[Span]:
    """The spans by arrival; ids ascend with arrivals, so they settle what the clock can't."""
    return sorted(spans, key=lambda span: (span.arrival_ns, span.id))
