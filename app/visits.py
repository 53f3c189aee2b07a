"""One request for a page of the demonstration site, from its arrival to the end of its span."""

import asyncio
from collections.abc import Awaitable, Callable

from aiohttp import web

from app import keys, labels
from app.aio import flush, read
from app.clock import until
from app.errors import Problem
from app.exchange import ENDINGS
from app.faults import Fault
from app.grammar import quoted
from app.labels import Labels
from app.responses import problem_reply
from app.runs import Run
from app.spans import Kind, Outcome, Span

Deliver = Callable[["Visit"], Awaitable[web.StreamResponse]]

ALLOWED = "GET, HEAD, OPTIONS"


class Visit:
    """
    One request and its span, which is open; `serve` closes it on every way out.

    What delivers the page waits, writes and strikes through it, so that the span tells of it.
    """

    def __init__(self, request: web.Request, run: Run, span: Span) -> None:
        self.request = request
        self.span = span
        self._run = run
        self._desk = request.app[keys.DESK]
        self._patience = asyncio.timeout(None)
        self._problem: Problem | None = None  # with which it was refused or dismissed
        self._ended_by: str | None = None

    async def serve(self, deliver: Deliver) -> web.StreamResponse:
        """Deliver, or say why not; what is raised is raised on when it is in the span."""
        try:
            response = await self._deliver(deliver)
        except (asyncio.CancelledError, ConnectionError):
            self._abandon()
            raise
        except Exception:
            self.span.status = self.span.status or 500
            self._close(Outcome.ERROR)
            raise
        self._finish()
        return response

    async def _deliver(self, deliver: Deliver) -> web.StreamResponse:
        self.transport.set_write_buffer_limits(0)  # the kernel is to have all before we say so
        try:
            async with self._patience:
                self._enlist()
                try:
                    return await deliver(self)
                finally:
                    self._delist()
        except Problem as problem:
            self._problem = problem
            return await self._say(problem)
        except TimeoutError:
            if self._problem is None:
                raise
            return await self._say(self._problem)

    # --- for those who deliver -------------------------------------------------------------------

    @property
    def transport(self) -> asyncio.Transport:
        """
        The connection.

        Raises:
            ConnectionResetError: the client has left.
        """
        if self.request.transport is None:
            raise ConnectionResetError
        return self.request.transport

    async def wait(self, planned_ns: int) -> None:
        """Return when so much of the delay, before the time scale, is over."""
        begun_ns = self.span.wait_begun_ns or self.span.arrival_ns
        await until(self._desk.clock, begun_ns + round(planned_ns * self.span.time_scale))

    async def whole(self, response: web.Response) -> web.Response:
        """Send a reply with all of its body."""
        await self.begin(response)
        if isinstance(response.body, bytes) and self.span.method != "HEAD":
            self.span.bytes_out = len(response.body)
        await self.end(response)
        return response

    async def begin(self, response: web.StreamResponse) -> None:
        """Send the head of a reply."""
        span = self.span
        span.status = response.status
        response.headers.update({"X-Dawdle-Run": span.run, "X-Dawdle-Span": span.name})
        if span.fault is not None:
            response.headers["X-Dawdle-Fault"] = span.fault
        await response.prepare(self.request)
        span.first_byte_ns = self._desk.clock.now()

    async def write(self, response: web.StreamResponse, data: bytes) -> None:
        """Send some of the body."""
        await response.write(data)
        self.span.bytes_out += len(data)

    async def end(self, response: web.StreamResponse) -> None:
        """Send what is left of a reply; returns when the kernel has all of it."""
        await response.write_eof()
        self.span.last_byte_ns = self._desk.clock.now()
        if not await flush(self.request, self.transport):
            raise ConnectionResetError

    def strike(self, fault: Fault) -> None:
        """The reply is broken on purpose from here on."""
        self.span.fault = fault.value
        self.changed()

    def blurt(self, data: bytes) -> None:
        """Send bytes that are no reply."""
        self.transport.write(data)
        self.span.first_byte_ns = self.span.last_byte_ns = self._desk.clock.now()

    async def fall_silent(self, longest_s: float) -> None:
        """Send nothing for so long, or until the service stops; whoever waits ends it sooner."""
        self._ended_by = "shutdown"
        if not self._desk.stopping:
            self._desk.silent.add(self)
            await asyncio.sleep(longest_s)
            self._ended_by = "cap"

    def changed(self) -> None:
        """Tell those who watch that another phase has begun."""
        self._desk.recorder.changed(self.span)

    # --- being dismissed -------------------------------------------------------------------------

    def _enlist(self) -> None:
        self._desk.waiting += 1
        self._run.waiting.add(self)

    def _delist(self) -> None:
        self._run.waiting.discard(self)
        self._desk.silent.discard(self)
        self._desk.leave()

    def dismiss(self, problem: Problem) -> None:
        """End this now; the reply is to be the problem, if it has not begun."""
        if self._problem is None:
            self._problem = problem
            self._patience.reschedule(0)

    async def _say(self, problem: Problem) -> web.StreamResponse:
        if self.span.first_byte_ns is not None:  # too late for a word
            self.transport.abort()
            return web.Response()
        response = problem_reply(self.request, problem)
        if problem.code == "method-not-allowed":
            response.headers["Allow"] = ALLOWED
        return await self.whole(response)

    # --- the end ---------------------------------------------------------------------------------

    def _finish(self) -> None:
        outcome, ended_by = Outcome.COMPLETED, self._ended_by
        if self._problem is not None:
            outcome, ended_by = ENDINGS.get(self._problem.code, (Outcome.REJECTED, None))
        self._close(outcome, ended_by)

    def _abandon(self) -> None:
        """The connection is gone: the client left, unless it was us who cut it off."""
        if self._desk.over:
            self._close(Outcome.SHUTDOWN, "shutdown")
        else:
            self._close(Outcome.CLIENT_GONE, "client")

    def _close(self, outcome: Outcome, ended_by: str | None = None) -> None:
        """What a fault began stays faulted, whoever ended it."""
        if self.span.fault is not None and outcome is not Outcome.ERROR:
            outcome = Outcome.FAULTED
        self._desk.recorder.close(self._run, self.span, outcome, ended_by)


# --- arriving ------------------------------------------------------------------------------------


async def visit(
    request: web.Request, deliver: Deliver, *, delay_ns: int = 0, drip: int | None = None
) -> web.StreamResponse:
    """Answer a request as *deliver* does, by that plan, in a span of its own."""
    asked = labels.prefixed(read(request).asked)
    try:
        named = labels.take(labels.texts(asked, labels.NAMES))
        _check(request)
    except Problem as problem:
        name = request.app[keys.PLANNER].find_run(asked)
        return await Visit(request, *_open(request, Labels(name))).serve(_refusing(problem))
    run, span = _open(request, named)
    span.delay_ns, span.drip = delay_ns, drip
    span.wait_begun_ns = span.arrival_ns
    return await Visit(request, run, span).serve(deliver)


def _check(request: web.Request) -> None:
    if request.method not in ALLOWED.split(", "):
        raise Problem(
            "method-not-allowed",
            f"{request.method} is not for {quoted(request.path)}; use {ALLOWED}",
        )


def _refusing(problem: Problem) -> Deliver:
    async def refuse(_: Visit) -> web.StreamResponse:
        raise problem

    return refuse


def _open(request: web.Request, named: Labels) -> tuple[Run, Span]:
    """The run of that name, or of those that name none, and the span."""
    desk, told, transport = request.app[keys.DESK], read(request), request.transport
    now_ns = desk.clock.now()
    run = desk.runs.unnamed(now_ns) if named.run is None else desk.runs.named(named.run, now_ns)
    connection, ordinal = request.app[keys.CONNECTIONS].request(transport) if transport else (0, 0)
    span = desk.recorder.open(
        run,
        Kind.HTTP,
        told.method,
        told.target,
        now_ns,
        key=named.key,
        attempt=None if named.key is None else run.gate.attempt(named.key),
        connection=connection,
        connection_request=ordinal,
        http_version=told.http_version,
        user_agent=told.user_agent,
        time_scale=desk.time_scale,
    )
    return run, span
