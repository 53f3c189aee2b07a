"""Time that stands still, connections that only listen, and a desk that stands between them."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass
from random import Random

from app.columns import Columns
from app.errors import Problem
from app.exchange import Desk, Exchange, Request
from app.plan import Asked, Limits, Planner
from app.recorder import Recorder
from app.runs import Runs
from app.spans import Kind, Span, span_id

MILLISECOND = 1_000_000
SECOND = 1_000_000_000
BEGIN = 1_700_000_000 * SECOND  # Tue, 14 Nov 2023 22:13:20 GMT
PROBLEM_LENGTH = 99  # bytes of the body that the owner of a connection writes for a problem


class ManualAlarm:
    """An alarm of the `ManualClock`."""

    def __init__(self, clock: "ManualClock", due_ns: int, callback: Callable[[], None]) -> None:
        self.due_ns = due_ns
        self.callback = callback
        self._clock = clock

    def cancel(self) -> None:
        with suppress(ValueError):
            self._clock.alarms.remove(self)


class ManualClock:
    """A clock that moves only when told to."""

    def __init__(self, now_ns: int = BEGIN) -> None:
        self.alarms: list[ManualAlarm] = []  # not yet rung, in order of setting
        self._now_ns = now_ns

    def now(self) -> int:
        return self._now_ns

    def call_at(self, due_ns: int, callback: Callable[[], None]) -> ManualAlarm:
        alarm = ManualAlarm(self, due_ns, callback)
        self.alarms.append(alarm)
        return alarm

    def advance(self, ns: int) -> None:
        """Let time pass; each alarm that falls due rings at its very moment, in order."""
        end_ns = self._now_ns + ns
        while (alarm := self._next(end_ns)) is not None:
            self._now_ns = max(self._now_ns, alarm.due_ns)
            self._ring(alarm)
        self._now_ns = end_ns

    def jump(self, ns: int) -> None:
        """Let time pass as on a busy machine: only afterwards ring the alarms that fell due."""
        self._now_ns += ns
        for alarm in sorted(self.alarms, key=lambda alarm: alarm.due_ns):
            if alarm.due_ns <= self._now_ns and alarm in self.alarms:
                self._ring(alarm)

    def _next(self, end_ns: int) -> ManualAlarm | None:
        due = [alarm for alarm in self.alarms if alarm.due_ns <= end_ns]
        return min(due, key=lambda alarm: alarm.due_ns, default=None)

    def _ring(self, alarm: ManualAlarm) -> None:
        self.alarms.remove(alarm)
        alarm.callback()


class FakeTransport:
    """A connection that notes what is written on it, and when."""

    def __init__(self, clock: ManualClock) -> None:
        self.writes: list[tuple[int, bytes]] = []  # (moment, bytes)
        self.aborted = False
        self.unsent = 0  # bytes that the peer does not read
        self.fin_ns: int | None = None  # when our side was closed
        self.rst_ns: int | None = None  # when the connection was reset
        self._lingers = True
        self._clock = clock

    def write(self, data: bytes, /) -> None:
        self.writes.append((self._clock.now(), data))

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def abort(self) -> None:
        self.aborted = True
        if not self._lingers:
            self.rst_ns = self._clock.now()

    def can_write_eof(self) -> bool:
        return True

    def close(self) -> None:
        raise AssertionError("the owner's part")

    def write_eof(self) -> None:
        self.fin_ns = self._clock.now()

    def get_extra_info(self, name: str) -> "FakeTransport":
        """The socket, which is the connection itself."""
        assert name == "socket"
        return self

    def setsockopt(self, level: int, option: int, value: bytes) -> None:
        assert (socket.SOL_SOCKET, socket.SO_LINGER) == (level, option)
        self._lingers = bool(value[len(value) // 2])

    @property
    def data(self) -> bytes:
        return b"".join(data for _, data in self.writes)


@dataclass(frozen=True)
class Response:
    """What stood on the wire."""

    line: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def __getitem__(self, name: str) -> str:
        """The only value of that header."""
        (value,) = (value for other, value in self.headers if other == name)
        return value

    def __contains__(self, name: str) -> bool:
        return name in dict(self.headers)


def parse(data: bytes) -> Response:
    """The one response in *data*."""
    head, _, body = data.partition(b"\r\n\r\n")
    line, *lines = head.decode("ascii").split("\r\n")
    headers = tuple((name, value) for name, _, value in (one.partition(": ") for one in lines))
    return Response(line, headers, body)


def make_span(sequence: int = 1, run: str = "demo", **changes: object) -> Span:
    """A span that has just been opened."""
    values: dict[str, object] = {
        "id": span_id(1, sequence),
        "run": run,
        "kind": Kind.HTTP,
        "method": "GET",
        "target": "/aio",
        "arrival_ns": BEGIN,
        "http_version": "1.1",
    }
    return Span(**(values | changes))  # type: ignore[arg-type]  # fields of several types


async def as_spans(parts: AsyncIterator[Columns]) -> AsyncIterator[list[Span]]:
    """The same as spans, a list for each part."""
    async for part in parts:
        yield part.spans()


def make_runs(
    *,
    idle_gap_ns: int = 10 * SECOND,
    max_keys: int = 100,
    most: int = 100,
    unnamed: str | None = None,
) -> Runs:
    """An empty registry with the contract's idle gap."""
    return Runs(idle_gap_ns=idle_gap_ns, max_keys=max_keys, most=most, unnamed=unnamed)


def explain(problem: Problem, *, accept: str) -> tuple[str, bytes]:
    """A problem in few words, always as many bytes."""
    return accept or "text/plain", problem.code.ljust(PROBLEM_LENGTH).encode()


class House:
    """A desk with all that stands around it; *changes* and *ended* are what its spans did."""

    def __init__(
        self,
        *,
        runs: Runs | None = None,
        time_scale: float = 1.0,
        max_waiting: int = 100,
        max_delay_ns: int = 300 * SECOND,
        random: Random | None = None,
    ) -> None:
        self.clock = ManualClock()
        self.runs = make_runs() if runs is None else runs
        self.changes: list[Span] = []
        self.ended: list[Span] = []
        self.recorder = Recorder(
            self.clock,
            self.runs,
            boot=1,
            on_change=self.changes.append,
            on_end=self.ended.append,
        )
        self.desk = Desk(
            clock=self.clock,
            runs=self.runs,
            recorder=self.recorder,
            planner=Planner(Limits(max_delay_ns=max_delay_ns, max_size=1 << 24)),
            random=random or Random(1),
            explain=explain,
            time_scale=time_scale,
            max_waiting=max_waiting,
        )

    def call(self, query: str = "", **changes: object) -> "Call":
        """A request that arrives now and begins to wait, if it may."""
        place = {
            name: changes.pop(name)
            for name in ("connection", "connection_request")
            if name in changes
        }
        return Call(self, self.desk.arrive(make_request(query, **changes), **place))  # type: ignore[arg-type]


def make_request(query: str = "", **changes: object) -> Request:
    """A request for `/aio` with that query; *changes* are fields of `Request` or `Asked`."""
    asked = {name: changes.pop(name) for name in ("header", "run", "key") if name in changes}
    values: dict[str, object] = {
        "asked": Asked(query, head=changes.get("method") == "HEAD", **asked),  # type: ignore[arg-type]
        "method": "GET",
        "target": f"/aio?{query}" if query else "/aio",
        "http_version": "1.1",
        "keep_alive": True,
    }
    return Request(**(values | changes))  # type: ignore[arg-type]  # fields of several types


class Call:
    """One request in the hands of the owner of its connection, who does what owners must do."""

    def __init__(self, house: House, exchange: Exchange) -> None:
        self.transport = FakeTransport(house.clock)
        self.exchange = exchange
        self.ends = 0  # how often the owner was told that it is over
        self.exchange.begin(self.transport, self._finish)

    def _finish(self) -> None:
        self.ends += 1
        self.exchange.finish()

    def fail(self, error: BaseException) -> None:
        """The owner is interrupted by the error."""
        with suppress(type(error)), self.exchange:
            raise error

    def leave(self) -> None:
        """The client leaves, so the owner is cancelled."""
        self.fail(asyncio.CancelledError())

    @property
    def span(self) -> Span:
        return self.exchange.span

    @property
    def problem(self) -> Problem | None:
        return self.exchange.problem

    @property
    def response(self) -> Response:
        return parse(self.transport.data)
