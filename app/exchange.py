"""
One request to `/aio` from its arrival to the last byte of its reply.

The heart of the house, and the only place where plan, gate, span and the bytes of the reply come
together. It is synchronous and knows no web framework: whoever owns the connection hands in the
texts of the request and a transport, and is told when all is written.
"""

import asyncio
import logging
from collections.abc import Callable
from random import Random
from types import TracebackType
from typing import NamedTuple, Protocol, Self

from app import reply
from app.clock import SHORTEST_TIMER_NS, Alarm, Clock
from app.errors import OUR_FAULT, Problem
from app.pacing import Drip
from app.plan import Asked, Knobs, Ordinal, Plan, Planner, draw, draws_for
from app.recorder import Recorder
from app.runs import Run, Runs
from app.spans import Kind, Outcome, Span

NO_PLAN = Plan(delay_ns=0)

log = logging.getLogger("dawdle")


class Transport(Protocol):
    """What an exchange needs of a connection; every `asyncio.Transport` has it."""

    def write(self, data: bytes, /) -> None:
        """Send the bytes, now or as soon as the peer reads."""

    def abort(self) -> None:
        """Close the connection at once, whatever is still to be sent."""


class Request(NamedTuple):
    """What the owner of a connection read of one request; equal bytes give equal requests."""

    asked: Asked
    method: str
    target: str  # as sent, readable
    http_version: str  # "1.1"
    keep_alive: bool  # may another request follow on this connection?
    user_agent: str | None = None
    accept: str = ""


class Explain(Protocol):
    """How a problem is put into words."""

    def __call__(self, problem: Problem, *, accept: str) -> tuple[str, bytes]:
        """The content type and the body of a reply to who sent that `Accept`."""


class Desk:
    """
    Where requests to `/aio` arrive: what all exchanges of a server share.

    *random* is asked for draws without a seed, *explain* for the replies to those who are refused.
    *max_waiting* requests may wait at once.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        runs: Runs,
        recorder: Recorder,
        planner: Planner,
        random: Random,
        explain: Explain,
        time_scale: float,
        max_waiting: int,
    ) -> None:
        self.clock = clock
        self.runs = runs
        self.recorder = recorder
        self.planner = planner
        self.explain = explain
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
        if not self.waiting:
            on_idle()

    def leave(self) -> None:
        """Count a request that waits no longer."""
        self.waiting -= 1
        if self.stopping and not self.waiting:
            self._on_idle()

    def arrive(
        self, request: Request, connection: int = 0, connection_request: int = 0
    ) -> "Exchange":
        """
        Decide one request: validation, the limit of waiting ones, ordinals and attempts, plan.

        It is number *connection_request* on the connection of that number, both from 1. Never
        raises a `Problem`: the exchange has it, and will reply with nothing else.
        """
        now_ns = self.clock.now()
        try:
            knobs = self.planner.read(request.asked)
            if self.stopping or self.waiting >= self.max_waiting:
                raise self._no_room()
        except Problem as problem:
            run = self._run(self.planner.find_run(request.asked), now_ns)
            span = self._open(run, request, now_ns, connection, connection_request)
            return Exchange(self, request, span, run, problem=problem)
        run = self._run(knobs.run, now_ns)
        arrived = run.gate.ordinal(knobs.seed)
        key = knobs.key
        attempt = None if key is None else run.gate.attempt(key)
        plan = knobs.certain or self._draw(knobs, _ordinal(knobs, attempt, arrived))
        span = self._open(run, request, now_ns, connection, connection_request, plan, key, attempt)
        return Exchange(self, request, span, run, plan)

    def _open(  # noqa: PLR0917 - by position: half the time
        self,
        run: Run,
        request: Request,
        now_ns: int,
        connection: int,
        connection_request: int,
        plan: Plan | None = None,
        key: str | None = None,
        attempt: int | None = None,
    ) -> Span:
        return self.recorder.open(
            run,
            Kind.HTTP,
            request.method,
            request.target,
            now_ns,
            key,
            attempt,
            connection,
            connection_request,
            request.http_version,
            request.user_agent,
            None if plan is None else plan.delay_ns,
            self.time_scale,
            None if plan is None else plan.drip,
        )

    def _no_room(self) -> Problem:
        if self.stopping:
            return Problem("shutting-down", "this server is stopping; try again when it is back")
        return Problem(
            "too-many-waiting",
            f"{self.waiting} requests wait already, as many as may (max_waiting); "
            "send fewer at once",
        )

    def _draw(self, knobs: Knobs, ordinal: Ordinal) -> Plan:
        draws = draws_for(knobs.seed, ordinal, self._random)
        return draw(knobs, draws, ordinal, self.planner.limits)

    def _run(self, name: str | None, now_ns: int) -> Run:
        return self.runs.unnamed(now_ns) if name is None else self.runs.named(name, now_ns)


def _ordinal(knobs: Knobs, attempt: int | None, arrived: int) -> Ordinal:
    """`n`, else (key, attempt), else the arrival number."""
    if knobs.n is not None:
        return knobs.n
    if knobs.key is not None and attempt is not None:
        return knobs.key, attempt
    return arrived


class Exchange:
    """
    One request between its arrival and its end.

    The owner calls `begin`; the exchange waits, writes its reply and calls back. The reply is the
    *problem* when it was refused, or is dismissed while it waits; a reply that has begun by then
    breaks off. Then the owner sees to it that the kernel gets the bytes, and closes exchange or
    connection as `keep_alive` says.

    As a context manager it closes its span on every way out: cancelled means that the client
    left (a service that stops dismisses what waits before it cancels anything).
    """

    __slots__ = (
        "_alarm", "_desk", "_next", "_on_end", "_request", "_transport", "keep_alive",
        "plan", "problem", "run", "span",
    )  # fmt: skip

    def __init__(  # noqa: PLR0917 - by position: half the time
        self,
        desk: Desk,
        request: Request,
        span: Span,
        run: Run,
        plan: Plan = NO_PLAN,
        problem: Problem | None = None,
    ) -> None:
        self.run = run
        self.span = span
        self.plan = plan
        self.problem = problem
        self.keep_alive = request.keep_alive
        self._desk = desk
        self._request = request
        self._alarm: Alarm | None = None
        self._next: Callable[[], None] | None = None
        self._transport: Transport | None = None
        self._on_end: Callable[[], None] | None = None

    @property
    def is_over(self) -> bool:
        """Whether nothing more will be written."""
        return self._on_end is None

    # --- waiting ---------------------------------------------------------------------------------

    def begin(self, transport: Transport, on_end: Callable[[], None]) -> None:
        """Begin the wait; *on_end* is called once, when the reply is written or broken off."""
        self._transport = transport
        self._on_end = on_end
        if self.problem is None:
            self._wait(self.span.arrival_ns)
        else:
            self._refuse(self.problem)
            self._end()

    def _wait(self, begun_ns: int) -> None:
        """Nothing holds the request back any more: its delay begins."""
        span = self.span
        span.wait_begun_ns = begun_ns
        delay_ns = (span.delay_ns and span.scaled_delay_ns) or 0
        if span.drip is not None:
            self._join()
            self._next = lambda: self._begin_drip(delay_ns)
            self._ring()
        elif delay_ns:
            self._join()
            self._alarm = self._desk.clock.call_at(begun_ns + delay_ns, self._ring)
        else:
            self._ring()
            if span.end_ns is None:  # the kernel does not have all of the reply yet
                self._join()

    def _join(self) -> None:
        """Count as waiting, among those who can be dismissed; those who watch are told."""
        self._desk.waiting += 1
        self.run.waiting.add(self)
        self._desk.recorder.changed(self.span)

    def dismiss(self, problem: Problem) -> None:
        """
        End this now: the reply is to be the problem.

        A reply that drips breaks off, and one that waits for its client to read is cut off.
        """
        if self._on_end is None:
            self._cut_off()
            return
        self.problem = problem
        try:
            if self.span.first_byte_ns is None:
                self._refuse(problem)
            else:  # too late for a word
                self.keep_alive = False
        finally:
            self._end()

    def _cut_off(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _ring(self) -> None:
        """It is time. What fails here nobody else would catch, and the client must not wait on."""
        try:
            (self._next or self._reply)()
        except Exception:
            log.exception("%s %s failed", self.span.method, self.span.target)
            self.keep_alive = False
            self.dismiss(Problem("internal", OUR_FAULT))

    def _end(self) -> None:
        """Nothing more will be written: tell the owner."""
        on_end, self._on_end = self._on_end, None
        self._next = None  # it holds us
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if on_end is not None:
            on_end()

    # --- replying --------------------------------------------------------------------------------

    def _reply(self) -> None:
        content = reply.body(self.plan)
        self._write_head(content, b"" if self.span.method == "HEAD" else content)
        self.span.last_byte_ns = self.span.first_byte_ns
        self._end()

    def _refuse(self, problem: Problem) -> None:
        span, now_ns = self.span, self._desk.clock.now()
        content_type, content = self._desk.explain(problem, accept=self._request.accept)
        span.status = int(problem.status)
        head = reply.refusal(
            span,
            problem.status,
            content_type,
            length=len(content),
            keep_alive=self._may_keep_alive(),
            now_ns=now_ns,
        )
        self._write(head, b"" if span.method == "HEAD" else content)
        span.first_byte_ns = span.last_byte_ns = now_ns

    def _begin_drip(self, delay_ns: int) -> None:
        content = reply.body(self.plan)
        self._write_head(content, b"")
        self._desk.recorder.changed(self.span)
        self._drip(content, Drip(len(content), self.plan.drip or 1, delay_ns), 0)

    def _drip(self, content: bytes, drip: Drip, sent: int) -> None:
        """Write what is due and come back for the rest, in no finer steps than timers have."""
        clock, begun_ns = self._desk.clock, self.span.wait_begun_ns or 0
        now_ns = clock.now()
        due = drip.due_bytes(now_ns - begun_ns)
        if due > sent:
            self._write(b"", content[sent:due])
        if due == len(content):
            self.span.last_byte_ns = now_ns
            self._end()
        else:
            self._next = lambda: self._drip(content, drip, due)
            due_ns = max(begun_ns + drip.next_due_ns(due), now_ns + SHORTEST_TIMER_NS)
            self._alarm = clock.call_at(due_ns, self._ring)

    def _write_head(self, content: bytes, payload: bytes) -> None:
        """Write the head for that content, and *payload* of it: the first byte."""
        span, plan = self.span, self.plan
        now_ns = self._desk.clock.now()
        span.status = plan.status
        span.fault = plan.purpose
        keep_alive = self._may_keep_alive()
        head = reply.head(span, plan, len(content), keep_alive=keep_alive, now_ns=now_ns)
        self._write(head, payload)
        span.first_byte_ns = now_ns

    def _may_keep_alive(self) -> bool:
        if self._desk.stopping:
            self.keep_alive = False
        return self.keep_alive

    def _write(self, head: bytes, payload: bytes) -> None:
        if self._transport is not None:
            self._transport.write(head + payload)
        self.span.bytes_out += len(payload)

    # --- the end ---------------------------------------------------------------------------------

    def finish(self) -> None:
        """The kernel has the reply: close the span as it says."""
        if self.problem is None:
            self.close(Outcome.COMPLETED)
        else:
            self.close(*ENDINGS.get(self.problem.code, (Outcome.REJECTED, None)))

    def abandon(self) -> None:
        """The connection is gone: the client left, unless it was us who cut it off."""
        if self._desk.over:
            self.close(Outcome.SHUTDOWN, "shutdown")
        else:
            self.close(Outcome.CLIENT_GONE, "client")

    def fail(self) -> None:
        """It was our own fault."""
        self.span.status = self.span.status or 500
        self.close(Outcome.ERROR)

    def close(self, outcome: Outcome, ended_by: str | None = None) -> None:
        """End the exchange and its span; the first to do so decides."""
        if self in self.run.waiting:
            self.run.waiting.discard(self)
            self._desk.leave()
        if self._on_end is not None:
            self._on_end = None  # whoever closes need not be told
            self._end()
        self._desk.recorder.close(self.run, self.span, outcome, ended_by)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is None:
            self.finish()
        elif issubclass(kind, asyncio.CancelledError | ConnectionError):
            self.abandon()
        else:
            self.fail()


ENDINGS = {
    "internal": (Outcome.ERROR, None),
    "shutting-down": (Outcome.SHUTDOWN, "shutdown"),
    "run-deleted": (Outcome.REJECTED, "deleted"),
}
