"""
One request to `/aio` from its arrival to the last byte of its reply.

The heart of the house, and the only place where plan, gate, span and the bytes of the reply come
together. It is synchronous and knows no web framework: whoever owns the connection hands in the
texts of the request and a transport, and is told when all is written.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from types import TracebackType
from typing import Any, Protocol, Self

from app import reply
from app.clock import SHORTEST_TIMER_NS, Alarm, Clock
from app.errors import Problem
from app.grammar import readable
from app.pacing import Drip
from app.plan import Asked, Knobs, Ordinal, Plan, Planner, draw, draws_for
from app.recorder import Recorder
from app.runs import Run, Runs
from app.spans import Kind, Outcome, Span


class Transport(Protocol):
    """What an exchange needs of a connection; every `asyncio.Transport` has it."""

    def write(self, data: bytes, /) -> None:
        """Send the bytes, now or as soon as the peer reads."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """What the owner of a connection knows of one request."""

    asked: Asked
    method: str
    target: str  # as sent
    http_version: str  # "1.1"
    keep_alive: bool  # may another request follow on this connection?
    user_agent: str | None = None
    connection: int = 0
    connection_request: int = 0


class Desk:
    """
    Where requests to `/aio` arrive: what all exchanges of a server share.

    *random* is asked for draws without a seed. *max_waiting* requests may wait at once.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        runs: Runs,
        recorder: Recorder,
        planner: Planner,
        random: Random,
        time_scale: float,
        max_waiting: int,
    ) -> None:
        self.clock = clock
        self.runs = runs
        self.recorder = recorder
        self.planner = planner
        self.time_scale = time_scale
        self.max_waiting = max_waiting
        self.waiting = 0
        self.stopping = False  # what is new is refused
        self.over = False  # what waited was dismissed: whoever is cut off now, we did it
        self._on_idle: Callable[[], None] = lambda: None
        self._random = random

    def stop(self, on_idle: Callable[[], None]) -> None:
        """Refuse what is new; *on_idle* is called when nothing waits any more."""
        self.stopping = True
        self._on_idle = on_idle
        self.leave(0)

    def leave(self, count: int = 1) -> None:
        """Count a request that waits no longer."""
        self.waiting -= count
        if self.stopping and not self.waiting:
            self._on_idle()

    def arrive(self, arrival: Arrival) -> "Exchange":
        """
        Decide one request: validation, the limit of waiting ones, ordinals and attempts, plan.

        Never raises a `Problem`: the exchange has it, and wants nothing but that as its reply.
        """
        try:
            knobs = self.planner.read(arrival.asked)
            self._admit()
        except Problem as problem:
            return self._refused(arrival, problem)
        run = self._run(knobs.run)
        attempt = None if knobs.key is None else run.gate.attempt(knobs.key)
        plan = self._draw(knobs, _ordinal(run, knobs, attempt))
        known = {"key": knobs.key, "attempt": attempt, "delay_ns": plan.delay_ns, "drip": plan.drip}
        return Exchange(self, run, self._open(run, arrival, **known), plan, arrival.keep_alive)

    def _admit(self) -> None:
        if self.stopping:
            raise Problem("shutting-down", "this server is stopping; try again when it is back")
        if self.waiting >= self.max_waiting:
            raise Problem(
                "too-many-waiting",
                f"{self.waiting} requests wait already, as many as may (max_waiting); "
                "send fewer at once",
            )

    def _draw(self, knobs: Knobs, ordinal: Ordinal) -> Plan:
        draws = draws_for(knobs.seed, ordinal, self._random)
        return draw(knobs, draws, ordinal, self.planner.limits)

    def _run(self, name: str | None) -> Run:
        now_ns = self.clock.now()
        return self.runs.unnamed(now_ns) if name is None else self.runs.named(name, now_ns)

    def _refused(self, arrival: Arrival, problem: Problem) -> "Exchange":
        run = self._run(self.planner.find_run(arrival.asked))
        exchange = Exchange(self, run, self._open(run, arrival), Plan(delay_ns=0), False)
        exchange.problem = problem
        return exchange

    def _open(self, run: Run, arrival: Arrival, **planned: Any) -> Span:
        return self.recorder.open(
            run,
            Kind.HTTP,
            method=arrival.method,
            target=readable(arrival.target),
            http_version=arrival.http_version,
            user_agent=arrival.user_agent and readable(arrival.user_agent),
            connection=arrival.connection,
            connection_request=arrival.connection_request,
            time_scale=self.time_scale,
            **planned,
        )


def _ordinal(run: Run, knobs: Knobs, attempt: int | None) -> Ordinal:
    """`n`, else (key, attempt), else the arrival number; that one advances in any case."""
    arrived = run.gate.ordinal(knobs.seed)
    if knobs.n is not None:
        return knobs.n
    if knobs.key is not None and attempt is not None:
        return knobs.key, attempt
    return arrived


class Exchange:
    """
    One request between its arrival and its end.

    The owner calls `begin`; the exchange waits, writes the reply and calls back. When it was
    dismissed meanwhile, `problem` is what the reply must say, unless `has_begun_reply`: then
    there is nothing to do but to close the connection.

    As a context manager it closes its span on every way out: cancelled means that the client
    left (a service that stops dismisses what waits before it cancels anything).
    """

    __slots__ = (
        "_alarm", "_desk", "_keep_alive", "_on_end", "_transport", "plan", "problem", "run", "span",
    )  # fmt: skip

    def __init__(self, desk: Desk, run: Run, span: Span, plan: Plan, keep_alive: bool) -> None:
        self.run = run
        self.span = span
        self.plan = plan
        self.problem: Problem | None = None
        self._desk = desk
        self._keep_alive = keep_alive
        self._alarm: Alarm | None = None
        self._transport: Transport | None = None
        self._on_end: Callable[[], None] | None = None

    @property
    def has_begun_reply(self) -> bool:
        """Whether a byte of the reply is out already."""
        return self.span.first_byte_ns is not None

    # --- waiting ---------------------------------------------------------------------------------

    def begin(self, transport: Transport, on_end: Callable[[], None]) -> None:
        """Begin the wait; *on_end* is called once, when all is written or it was dismissed."""
        self._transport = transport
        self._on_end = on_end
        self._desk.waiting += 1
        self.run.waiting.add(self)
        self.span.wait_begun_ns = self._desk.clock.now()
        if self.plan.drip is None:
            self._call_at(self._due_ns(self._scaled_delay_ns), self._reply)
        else:
            self._begin_drip(self.plan.drip)

    def dismiss(self, problem: Problem) -> None:
        """End the wait now, if it is not over: the reply is to be the problem."""
        if self._on_end is not None:
            self.problem = problem
            self._end()

    @property
    def _scaled_delay_ns(self) -> int:
        return self.span.scaled_delay_ns or 0

    def _due_ns(self, passed_ns: int) -> int:
        return (self.span.wait_begun_ns or 0) + passed_ns

    def _call_at(self, due_ns: int, callback: Callable[[], None]) -> None:
        if due_ns <= self._desk.clock.now():
            callback()
        else:
            self._alarm = self._desk.clock.call_at(due_ns, callback)

    def _end(self) -> None:
        on_end = self._on_end
        self._stop_waiting()
        if on_end is not None:
            on_end()

    def _stop_waiting(self) -> None:
        if self._on_end is None:
            return
        self._on_end = None
        self._desk.leave()
        self.run.waiting.discard(self)
        if self._alarm is not None:
            self._alarm.cancel()

    # --- replying --------------------------------------------------------------------------------

    def _reply(self) -> None:
        content = reply.body(self.plan)
        self._send(self._head(content), b"" if self.span.method == "HEAD" else content)
        self.span.last_byte_ns = self.span.first_byte_ns
        self._end()

    def _begin_drip(self, steps: int) -> None:
        content = reply.body(self.plan)
        self._send(self._head(content), b"")
        self._desk.recorder.changed(self.span)
        self._drip(content, Drip(len(content), steps, self._scaled_delay_ns), 0)

    def _drip(self, content: bytes, drip: Drip, sent: int) -> None:
        """Write what is due and come back for the rest, in no finer steps than timers have."""
        now_ns = self._desk.clock.now()
        due = drip.due_bytes(now_ns - self._due_ns(0))
        self._send(b"", content[sent:due])
        if due == len(content):
            self.span.last_byte_ns = self._desk.clock.now()
            self._end()
        else:
            due_ns = max(self._due_ns(drip.next_due_ns(due)), now_ns + SHORTEST_TIMER_NS)
            self._call_at(due_ns, lambda: self._drip(content, drip, due))

    def _head(self, content: bytes) -> bytes:
        return reply.head(
            self.span,
            self.plan,
            length=len(content),
            keep_alive=self._keep_alive,
            now_ns=self._desk.clock.now(),
        )

    def _send(self, head: bytes, payload: bytes) -> None:
        span = self.span
        if self._transport is not None and (head or payload):
            self._transport.write(head + payload)
        span.bytes_out += len(payload)
        if span.first_byte_ns is None:
            span.first_byte_ns = self._desk.clock.now()
            span.status = self.plan.status
            span.fault = self.plan.fault

    # --- the end ---------------------------------------------------------------------------------

    def close(self, outcome: Outcome, ended_by: str | None = None) -> None:
        """End the exchange and its span; the first to do so decides."""
        self._stop_waiting()
        self._desk.recorder.close(self.run, self.span, outcome, ended_by)

    def answer(self, problem: Problem, length: int) -> None:
        """The owner wrote the problem as the reply, with a body of *length* bytes."""
        span = self.span
        span.status = int(problem.status)
        span.bytes_out = length
        span.first_byte_ns = span.last_byte_ns = self._desk.clock.now()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close(*_ending(self.problem))
        elif issubclass(kind, asyncio.CancelledError | ConnectionError):
            over = self._desk.over
            self.close(
                *((Outcome.SHUTDOWN, "shutdown") if over else (Outcome.CLIENT_GONE, "client"))
            )
        else:
            self.span.status = self.span.status or 500
            self.close(Outcome.ERROR)


def _ending(problem: Problem | None) -> tuple[Outcome, str | None]:
    if problem is None:
        return Outcome.COMPLETED, None
    if problem.code == "shutting-down":
        return Outcome.SHUTDOWN, "shutdown"
    return Outcome.REJECTED, "deleted" if problem.code == "run-deleted" else None
