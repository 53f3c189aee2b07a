"""
One request to `/aio` from its arrival to the last byte of its reply.

The heart of the house, and the only place where plan, gate, span and the bytes of the reply come
together. It is synchronous and knows no web framework: whoever owns the connection hands in the
texts of the request and a transport, and is told when all is written.
"""

import asyncio
import hashlib
import logging
from collections.abc import Callable
from random import Random
from types import TracebackType
from typing import NamedTuple, Protocol, Self

from app import faults, reply
from app.clock import SHORTEST_TIMER_NS, Alarm, Clock
from app.errors import OUR_FAULT, Problem
from app.faults import Ending, Script
from app.pacing import Drip
from app.passage import Passage
from app.plan import Asked, Knobs, Ordinal, Plan, Planner, draw, draws_for
from app.recorder import Recorder
from app.reply import whole_seconds_ns
from app.runs import Run, Runs, Waiting
from app.spans import Kind, Outcome, Span

NO_PLAN = Plan(delay_ns=0)
# The refusals that were asked for; each names the knob as its parameter.
ON_PURPOSE = frozenset({"rate-exceeded", "queue-full", "barrier-timeout"})

log = logging.getLogger("dawdle")


class Transport(faults.Wire, Protocol):
    """What an exchange needs of a connection; every `asyncio.Transport` has it."""

    def write(self, data: bytes, /) -> None:
        """Send the bytes, now or as soon as the peer reads."""

    def get_write_buffer_size(self) -> int:
        """How many of them the kernel does not have yet."""


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
        self.silent: set[Waiting] = set()  # whose fault is never to end by itself
        self.longest_silence_ns = planner.limits.max_delay_ns
        self._on_idle: Callable[[], None] = lambda: None
        self._random = random

    def stop(self, on_idle: Callable[[], None]) -> None:
        """
        Refuse what is new; *on_idle* is called when nothing waits any more.

        What has fallen silent on purpose has no reply to wait for: it ends now.
        """
        self.stopping = True
        self._on_idle = on_idle
        for waiting in list(self.silent):
            waiting.dismiss(_stopping())
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
                raise self._no_room(knobs)
        except Problem as problem:
            run = self._run(self.planner.find_run(request.asked), now_ns)
            span = self._open(run, request, now_ns, connection, connection_request)
            return Exchange(self, request, span, run, problem=problem)
        run = self._run(knobs.run, now_ns)
        arrived = run.gate.ordinal(knobs.seed)
        key = knobs.key
        attempt = None if key is None else run.gate.attempt(key)
        plan = knobs.certain or self._draw(knobs, _ordinal(knobs, attempt, arrived))
        if knobs.fail is not None:
            attempt = attempt or run.gate.attempt(_nameless(request))
            plan = knobs.fail.of(plan, attempt)
        span = self._open(run, request, now_ns, connection, connection_request, plan, key, attempt)
        exchange = Exchange(self, request, span, run, plan)
        if knobs.is_limited:
            exchange.limit(knobs)
        return exchange

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

    def _no_room(self, knobs: Knobs) -> Problem:
        problem = _stopping() if self.stopping else _too_many(self.waiting)
        if knobs.retry_after is not None:
            problem.retry_after_ns = round(knobs.retry_after * self.time_scale)
        return problem

    def _draw(self, knobs: Knobs, ordinal: Ordinal) -> Plan:
        draws = draws_for(knobs.seed, ordinal, self._random)
        return draw(knobs, draws, ordinal, self.planner.limits)

    def _run(self, name: str | None, now_ns: int) -> Run:
        return self.runs.unnamed(now_ns) if name is None else self.runs.named(name, now_ns)


def _stopping() -> Problem:
    return Problem("shutting-down", "this server is stopping; try again when it is back")


def _too_many(waiting: int) -> Problem:
    return Problem(
        "too-many-waiting",
        f"{waiting} requests wait already, as many as may (max_waiting); send fewer at once",
    )


def _ordinal(knobs: Knobs, attempt: int | None, arrived: int) -> Ordinal:
    """`n`, else (key, attempt), else the arrival number."""
    if knobs.n is not None:
        return knobs.n
    if knobs.key is not None and attempt is not None:
        return knobs.key, attempt
    return arrived


def _nameless(request: Request) -> bytes:
    """What attempts without a key are counted by: method and target, however long they are."""
    text = f"{request.method} {request.target}".encode("utf-8", "surrogateescape")
    return hashlib.sha256(text).digest()


class Exchange:
    """
    One request between its arrival and its end.

    The owner calls `begin`; the exchange waits, writes its reply and calls back. The reply is the
    *problem* when it was refused, or is dismissed while it waits; a reply that has begun by then
    breaks off. Then the owner sees to it that the kernel gets the bytes, and closes exchange or
    connection as `keep_alive` says; after a fault it reads on for a while before, so that its
    close does not turn a FIN into a RST.

    As a context manager it closes its span on every way out: cancelled means that the client
    left (a service that stops dismisses what waits before it cancels anything).
    """

    __slots__ = (
        "_alarm", "_desk", "_next", "_on_end", "_passage", "_request", "_transport", "keep_alive",
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
        self._passage: Passage | None = None
        self._transport: Transport | None = None
        self._on_end: Callable[[], None] | None = None

    @property
    def is_over(self) -> bool:
        """Whether nothing more will be written."""
        return self._on_end is None

    @property
    def is_faulted(self) -> bool:
        """Whether the fault of the plan has begun: with its first byte, or with what has none."""
        return self.plan.fault is not None and self.plan.fault == self.span.fault

    @property
    def has_hung_up(self) -> bool:
        """Whether a fault has closed our side of the connection, and that alone."""
        return self.plan.fault is not None and self.problem is None

    # --- waiting ---------------------------------------------------------------------------------

    def begin(self, transport: Transport, on_end: Callable[[], None]) -> None:
        """Begin the wait; *on_end* is called once, when the reply is written or broken off."""
        self._transport = transport
        self._on_end = on_end
        if self.problem is not None:
            self._refuse(self.problem)
            self._end()
        elif self._passage is None:
            self._wait(self.span.arrival_ns)
        else:
            self._enlist()
            self._passage.begin()

    def limit(self, knobs: Knobs) -> None:
        """Have it pass the limits that *knobs* name before it waits."""
        self._passage = Passage(
            self.run.gate.turnstile,
            knobs,
            self.span,
            self._desk.clock,
            on_passed=self._pass,
            on_refused=self.dismiss,
        )

    def _pass(self) -> None:
        if self._passage is not None:
            self._passage.expect(self._planned_ns())
        self._wait(self._desk.clock.now())

    def _planned_ns(self) -> int:
        """How long this takes from now on."""
        silence_ns = self._desk.longest_silence_ns if self.plan.fault in faults.SILENT else 0
        return (self.span.scaled_delay_ns or 0) + silence_ns

    def _wait(self, begun_ns: int) -> None:
        """Nothing holds the request back any more: its delay begins."""
        span = self.span
        span.wait_begun_ns = begun_ns
        delay_ns = (span.delay_ns and span.scaled_delay_ns) or 0
        if span.drip is not None and self.plan.sent_status is not None:
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
        """Count as waiting; those who watch are told."""
        if self._passage is None:  # else it has waited before its limits already
            self._enlist()
        else:
            self._desk.recorder.changed(self.span)

    def _enlist(self) -> None:
        """Be among those who can be dismissed."""
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
                self._break_off()
        finally:
            self._end()

    def _break_off(self) -> None:
        """Leave the reply as it is; where the client does not read even that, cut it off."""
        self.keep_alive = False
        if self._transport is not None and self._transport.get_write_buffer_size():
            on_end = self._on_end
            self.finish()
            self._cut_off()
            if on_end is not None:
                on_end()

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
        if self.plan.fault is not None:
            self._desk.silent.discard(self)
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if on_end is not None:
            on_end()

    # --- replying --------------------------------------------------------------------------------

    def _reply(self) -> None:
        plan = self.plan
        if plan.fault is not None:
            self._break(faults.script(plan.fault, reply.body(plan)))
            return
        content = reply.body(plan)
        self._write_head(len(content), b"" if self.span.method == "HEAD" else content)
        self.span.last_byte_ns = self.span.first_byte_ns
        self._end()

    def _refuse(self, problem: Problem) -> None:
        span, now_ns = self.span, self._desk.clock.now()
        content_type, content = self._desk.explain(problem, accept=self._request.accept)
        span.status = int(problem.status)
        if problem.code in ON_PURPOSE:
            span.fault = problem.parameter
        span.retry_after_ns = self._retry_after_ns(problem)
        head = reply.refusal(
            span,
            content_type,
            length=len(content),
            keep_alive=self._may_keep_alive(),
            now_ns=now_ns,
        )
        self._write(head, b"" if span.method == "HEAD" else content)
        span.first_byte_ns = span.last_byte_ns = now_ns

    def _retry_after_ns(self, problem: Problem) -> int | None:
        """What was asked for, else what is known to make sense."""
        asked_ns = reply.retry_after_ns(self.plan, self.span.time_scale, problem.status)
        if asked_ns is not None or problem.retry_after_ns is None:
            return asked_ns
        return whole_seconds_ns(problem.retry_after_ns)

    def _begin_drip(self, delay_ns: int) -> None:
        plan = self.plan
        script = faults.script(plan.fault, reply.body(plan))
        self.keep_alive = self.keep_alive and plan.fault is None
        self._write_head(script.length, b"")
        self._desk.recorder.changed(self.span)
        drip = Drip(len(script.payload), plan.drip or 1, delay_ns, halved=script.halved)
        self._drip(script, drip, 0)

    def _drip(self, script: Script, drip: Drip, sent: int) -> None:
        """Write what is due and come back for the rest, in no finer steps than timers have."""
        clock, begun_ns = self._desk.clock, self.span.wait_begun_ns or 0
        now_ns = clock.now()
        due = drip.due_bytes(now_ns - begun_ns)
        if due > sent:
            self._write(b"", script.payload[sent:due])
        if now_ns - begun_ns >= drip.end_ns:
            self._conclude(script, now_ns)
        else:
            self._next = lambda: self._drip(script, drip, due)
            due_ns = max(begun_ns + drip.next_due_ns(due), now_ns + SHORTEST_TIMER_NS)
            self._alarm = clock.call_at(due_ns, self._ring)

    def _write_head(self, length: int | None, payload: bytes) -> None:
        """Write the head for a body of that length, and *payload* of it: the first byte."""
        span, plan = self.span, self.plan
        now_ns = self._desk.clock.now()
        span.status = plan.status
        if plan.status != 200 or plan.fault is not None:
            span.fault = plan.purpose
            span.retry_after_ns = reply.retry_after_ns(plan, span.time_scale)
        head = reply.head(span, plan, length, keep_alive=self._may_keep_alive(), now_ns=now_ns)
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

    # --- faults ----------------------------------------------------------------------------------

    def _break(self, script: Script) -> None:
        """Send the reply as the fault has it."""
        span = self.span
        self.keep_alive = False
        if script.head:
            self._write_head(script.length, script.sent)
        else:
            span.fault = self.plan.purpose
            if script.sent:
                span.first_byte_ns = self._desk.clock.now()
                self._write(script.sent, b"")
        self._conclude(script, span.first_byte_ns)

    def _conclude(self, script: Script, last_byte_ns: int | None) -> None:
        """What the script wants written is written, at that moment if it is anything."""
        if not script.halved:
            self.span.last_byte_ns = last_byte_ns
        match script.ending:
            case Ending.SILENCE:
                self._fall_silent()
            case Ending.RST:
                self._cut_short()
            case Ending.FIN:
                self._hang_up()
            case Ending.KEEP:
                self._end()

    def _hang_up(self) -> None:
        # Over TLS the FIN has to wait for the owner's close, or what is still to be read would
        # turn it into a RST.
        if self._transport is not None and self._transport.can_write_eof():
            faults.hang_up(self._transport)
        self._end()

    def _cut_short(self, ended_by: str | None = None) -> None:
        """End with a RST: there is nothing for the kernel to get any more."""
        on_end = self._on_end
        self.close(Outcome.FAULTED, ended_by)
        if self._transport is not None:
            faults.reset(self._transport)
        if on_end is not None:
            on_end()

    def _fall_silent(self) -> None:
        """Do nothing more until somebody ends it."""
        desk = self._desk
        if desk.stopping:
            self.dismiss(_stopping())
            return
        desk.silent.add(self)
        desk.recorder.changed(self.span)
        self._next = lambda: self._cut_short("cap")
        due_ns = desk.clock.now() + desk.longest_silence_ns
        self._alarm = desk.clock.call_at(due_ns, self._ring)

    # --- the end ---------------------------------------------------------------------------------

    def finish(self) -> None:
        """The kernel has the reply: close the span as it says."""
        if self.problem is None:
            self.close(Outcome.COMPLETED if self.plan.fault is None else Outcome.FAULTED)
        else:
            outcome, ended_by = ENDINGS.get(self.problem.code, (Outcome.REJECTED, None))
            self.close(Outcome.FAULTED if self.is_faulted else outcome, ended_by)

    def abandon(self) -> None:
        """The connection is gone: the client left, unless it was us who cut it off."""
        outcome, ended_by = (
            (Outcome.SHUTDOWN, "shutdown") if self._desk.over else (Outcome.CLIENT_GONE, "client")
        )
        self.close(Outcome.FAULTED if self.is_faulted else outcome, ended_by)

    def fail(self) -> None:
        """It was our own fault."""
        self.span.status = self.span.status or 500
        self.close(Outcome.ERROR)

    def close(self, outcome: Outcome, ended_by: str | None = None) -> None:
        """End the exchange and its span; the first to do so decides."""
        desk = self._desk
        passage = self._passage
        if self in self.run.waiting:
            self.run.waiting.discard(self)
            desk.leave()
        if self._on_end is not None:
            self._on_end = None  # whoever closes need not be told
            self._end()
        if passage is not None:
            passage.release()
            self._passage = None  # it holds us
        desk.recorder.close(self.run, self.span, outcome, ended_by)
        if passage is not None:  # only now, for nobody is to be served before we are not
            passage.leave()

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
