"""The service: the application with its resources in order, and the process that serves it."""

import asyncio
import errno
import gc
import logging
import math
import signal
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from random import Random

import aiohttp_jinja2
import jinja2
from aiohttp import web

from app import assets, formats, keys, logs, manners, profiles
from app.clock import SECOND_NS, Clock, SystemClock
from app.connections import Connections
from app.echo import Door
from app.echoes import Echoes
from app.errors import BadValue, Fatal, Problem
from app.exchange import Desk
from app.feed import Feed
from app.journal import Journal
from app.lane import QUIET_S, Hall
from app.loops import loop_factory
from app.manners import Manner
from app.metrics import Metrics
from app.plan import Limits, Planner
from app.protection import control_pages_are_ours, harden
from app.recorder import Recorder
from app.responses import errors_as_problems, explainer
from app.runs import Run, Runs, dismiss_all
from app.settings import Settings
from app.spans import Span
from app.store import StoredRun, open_store
from app.titles.body import Limits as PageLimits
from app.titles.fetch import Fetcher
from app.titles.guard import Guard
from app.titles.jobs import open_jobs
from app.tls import tls_context
from app.web import LARGEST_BODY, ROUTES

DATABASE = "dawdle.sqlite3"
MOST_RUNS = 10_000  # whose counters are kept; the longest idle one makes room
BACKLOG = 4_096  # with aiohttp's 128 a herd waits 1 s for a retransmitted SYN
FILES_FOR_OURSELVES = 500  # descriptors that no waiting request may take
FILES_FOR_DATA = 100  # and those that no connection at all may take
LAST_WORDS_S = 2.0  # for replies that are on their way when the grace is over

# Wildcards are no addresses to call; asyncio's listeners on :: take no IPv4.
CALLED = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104

# Automatic full collections walk every waiting request: 100 ms at 10,000. Young ones stay short.
GC_THRESHOLDS = (700, 10, 1_000_000)

COLLECT_EVERY_S = 10.0

log = logging.getLogger("dawdle")


def create_app(
    settings: Settings, *, clock: Clock | None = None, random: Random | None = None
) -> web.Application:
    """
    The application. No I/O happens before it is started: resources open in cleanup contexts.

    Raises:
        Fatal: the default delay or a profile is not valid.
    """
    app = web.Application(
        middlewares=[errors_as_problems, control_pages_are_ours],
        client_max_size=LARGEST_BODY,  # of control pages; /aio counts on its own
    )
    app[keys.SETTINGS] = settings
    app[keys.CLOCK] = clock or SystemClock()
    app[keys.PLANNER] = _planner(settings)
    app[keys.RANDOM] = random or Random()
    app[keys.CONNECTIONS] = Connections()
    app[keys.MANNER] = _manner(settings)
    app.cleanup_ctx.extend([_storing, _recording, _titling, _measuring])
    app.on_response_prepare.append(harden)
    app.on_shutdown.append(_wake_viewers)
    app.on_shutdown.append(_end_echoes)
    app.add_routes(ROUTES)
    _set_up_templates(app)
    return app


def _planner(settings: Settings) -> Planner:
    limits = Limits(max_delay_ns=settings.max_delay, max_size=settings.max_size)
    presets = profiles.load(settings.profiles)
    try:
        return Planner(
            limits,
            delay=settings.delay,
            profiles=presets,
            built_in=profiles.built_in(presets),
            profile=settings.default_profile,
        )
    except BadValue as error:
        raise Fatal(f"delay {settings.delay}: {error}") from None
    except Problem as problem:
        setting = "profiles" if settings.profiles else "default_profile"
        raise Fatal(f"{setting} {settings.text(setting)}: {problem.detail}") from None


def _manner(settings: Settings) -> Manner:
    """How the TCP echo behaves."""
    texts = {name: settings.text(f"echo_{name}") for name in manners.KNOBS}
    given = {name: text for name, text in texts.items() if text}
    try:
        return manners.read(given, max_delay_ns=settings.max_delay)
    except BadValue as error:
        name = error.parameter or ""
        raise Fatal(f"echo_{name} {given[name]}: {error}") from None


def _set_up_templates(app: web.Application) -> None:
    environment = aiohttp_jinja2.setup(
        app,
        loader=jinja2.FileSystemLoader(assets.folder("templates")),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    app[keys.EXPLAIN] = explainer(environment)
    environment.filters.update(formats.FILTERS)
    environment.globals.update(formats.GLOBALS, has_token=app[keys.SETTINGS].token is not None)


# --- what lives as long as the application -------------------------------------------------------


async def _storing(app: web.Application) -> AsyncIterator[None]:
    """The database, open; it outlives the journal, which writes to the last."""
    app[keys.STORE] = store = await open_store(app[keys.SETTINGS].data / DATABASE)
    yield
    await store.close()


async def _recording(app: web.Application) -> AsyncIterator[None]:
    """Runs, feed, journal, recorder and desk, wired to each other."""
    settings, clock, store = app[keys.SETTINGS], app[keys.CLOCK], app[keys.STORE]
    app[keys.FEED] = feed = Feed(store.boot, most_viewers=settings.viewers)
    app[keys.RUNS] = runs = Runs(
        idle_gap_ns=settings.idle_gap,
        max_keys=settings.max_keys,
        most=MOST_RUNS,
        unnamed=settings.default_run,
        on_forgotten=lambda run: app[keys.JOURNAL].remove(run.name),
    )
    runs.restore(map(_restored(settings), await store.runs()))
    app[keys.JOURNAL] = journal = Journal(
        store,
        limit=settings.journal,
        is_finished=runs.is_finished,
        on_removed=runs.forget,
        on_dropped=runs.dropped,
    )
    app[keys.RECORDER] = recorder = Recorder(
        clock, runs, boot=store.boot, on_change=feed.publish, on_end=journal.add
    )
    app[keys.DESK] = Desk(
        clock=clock,
        runs=runs,
        recorder=recorder,
        planner=app[keys.PLANNER],
        random=app[keys.RANDOM],
        explain=app[keys.EXPLAIN],
        time_scale=settings.time_scale,
        max_waiting=_max_waiting(settings),
    )
    app[keys.ECHOES] = echoes = Echoes(
        clock=clock,
        runs=runs,
        recorder=recorder,
        connections=app[keys.CONNECTIONS],
        random=app[keys.RANDOM],
        max_delay_ns=settings.max_delay,
        time_scale=settings.time_scale,
        most=settings.max_echo_connections,
        idle_ns=settings.echo_idle,
    )
    await journal.start()
    sweep = asyncio.create_task(echoes.sweep())
    yield
    sweep.cancel()
    await journal.close()


async def _titling(app: web.Application) -> AsyncIterator[None]:
    """Title jobs and the session they fetch with; whose jobs go on once it listens."""
    settings, clock = app[keys.SETTINGS], app[keys.CLOCK]
    app[keys.GUARD] = guard = Guard(settings.allow_networks)
    limits = PageLimits(page_bytes=settings.max_page_bytes)
    async with (
        Fetcher(clock, guard=guard, limits=limits) as fetcher,
        open_jobs(
            settings.data,
            fetcher.fetch,
            clock=clock,
            random=app[keys.RANDOM],
            resume=False,
            max_urls=settings.max_urls,
            max_jobs=settings.max_jobs,
            kept_urls=settings.kept_urls,
        ) as jobs,
    ):
        app[keys.JOBS] = jobs
        yield


async def _measuring(app: web.Application) -> AsyncIterator[None]:
    """The figures of all the others."""
    app[keys.METRICS] = Metrics(
        desk=app[keys.DESK],
        recorder=app[keys.RECORDER],
        journal=app[keys.JOURNAL],
        feed=app[keys.FEED],
        runs=app[keys.RUNS],
        connections=app[keys.CONNECTIONS],
        echoes=app[keys.ECHOES],
        jobs=app[keys.JOBS],
    )
    yield


def _restored(settings: Settings) -> Callable[[StoredRun], Run]:
    def restore(stored: StoredRun) -> Run:
        run = Run(stored.name, created_ns=stored.created_ns, max_keys=settings.max_keys)
        run.arrived = stored.requests
        run.dropped = stored.dropped
        run.last_arrival_ns = stored.last_arrival_ns
        return run

    return restore


def _max_waiting(settings: Settings) -> int:
    """The setting, or what the limit of open files leaves room for."""
    return int(max(1, min(settings.max_waiting, _files_left(FILES_FOR_OURSELVES))))


def _files_left(others: int) -> float:
    """How many files and connections may be open beside *others*."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return math.inf
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return math.inf if files == resource.RLIM_INFINITY else files - others


async def _wake_viewers(app: web.Application) -> None:
    """Else every open event stream holds up the exit."""
    app[keys.FEED].close()
    app[keys.JOBS].stop()


async def _end_echoes(app: web.Application) -> None:
    """Before the handlers of WebSockets are cancelled, which would look as if clients left."""
    await app[keys.ECHOES].close()


# --- serving -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Service:
    """An application that listens."""

    app: web.Application
    listener: asyncio.Server
    hall: Hall
    url: str
    echo: asyncio.Server | None  # the listener of the TCP echo
    echo_address: str | None  # as a client on this machine writes it

    async def drain(self, over: asyncio.Event) -> None:
        """
        Refuse what is new and let those who wait have their replies, until *over* is set or the
        grace has passed; then answer the rest with 503.
        """
        desk, runs, echoes = self.app[keys.DESK], self.app[keys.RUNS], self.app[keys.ECHOES]
        grace_ns = self.app[keys.SETTINGS].shutdown_grace

        def rest() -> None:
            if not desk.waiting and not echoes:
                over.set()

        self.listener.close()
        if self.echo is not None:
            self.echo.close()
        desk.stop(on_idle=rest)
        echoes.stop(on_empty=rest)
        await _wake_viewers(self.app)
        with suppress(TimeoutError):
            await asyncio.wait_for(over.wait(), grace_ns / SECOND_NS)
        desk.over = True
        dismiss_all(
            runs,
            Problem("shutting-down", "the server stopped before the delay was over; try again"),
        )
        await echoes.close()
        await self.hall.close(LAST_WORDS_S)


@asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[Service]:
    """
    The service, listening as long as the context lasts.

    Raises:
        Fatal: a setting is not valid, the port is taken, the data folder can't be used.
    """
    app = create_app(settings)
    runner = web.AppRunner(
        app,
        # Without it nobody tells a handler that its client has left.
        handler_cancellation=True,
        keepalive_timeout=QUIET_S,
        auto_decompress=False,
        access_log=logging.getLogger("dawdle.access") if settings.access_log else None,
        shutdown_timeout=LAST_WORDS_S,
    )
    try:
        await runner.setup()
        async with _listening(app, runner, tls_context(settings)) as service:
            yield service
    finally:
        await runner.cleanup()


@asynccontextmanager
async def _listening(
    app: web.Application, runner: web.AppRunner, context: ssl.SSLContext | None
) -> AsyncIterator[Service]:
    settings = app[keys.SETTINGS]
    echoes = app[keys.ECHOES]
    hall = Hall(
        app[keys.DESK],
        app[keys.CONNECTIONS],
        _handlers(runner),
        most=_files_left(FILES_FOR_DATA),
        others=echoes,
    )
    echoes.has_room = lambda: not hall.is_full
    # Only aiohttp writes an access log.
    lane = settings.lane and not settings.access_log
    protocols = hall.lane if lane else hall.handlers
    listener = await _listen(protocols, settings.host, settings.port, context)
    scheme = "http" if context is None else "https"
    url = f"{scheme}://{_address(settings.host, listener)}"
    app[keys.GUARD].open_site(_places(listener))
    try:
        echo = await _listen_for_echoes(app) if settings.echo else None
        try:
            address = None if echo is None else _address(settings.host, echo)
            await app[keys.JOBS].resume_all()
            yield Service(app, listener, hall, url, echo, address)
        finally:
            if echo is not None:
                echo.close()
            await echoes.close()
    finally:
        listener.close()
        await hall.close(0)


def _handlers(runner: web.AppRunner) -> web.Server:
    if runner.server is None:
        raise RuntimeError("the runner is not set up")
    return runner.server


async def _listen_for_echoes(app: web.Application) -> asyncio.Server:
    settings = app[keys.SETTINGS]
    try:
        return await _open_door(
            app[keys.ECHOES], app[keys.MANNER], settings.host, settings.echo_listens_on
        )
    except Fatal as fatal:
        raise Fatal(f"echo: {fatal}, or --no-echo") from None


async def _open_door(echoes: Echoes, manner: Manner, host: str, port: int) -> asyncio.Server:
    """Let echo connections in."""
    door = Door(echoes, manner)
    listener = await _listen(door.echo, host, port)
    door.target = _address(host, listener)
    return listener


async def _listen(
    protocols: Callable[[], asyncio.Protocol],
    host: str,
    port: int,
    context: ssl.SSLContext | None = None,
) -> asyncio.Server:
    loop = asyncio.get_running_loop()
    try:
        listener = await loop.create_server(protocols, host, port, backlog=BACKLOG, ssl=context)
    except OSError as error:
        raise Fatal(_deaf(host, port, error)) from None
    for each in listener.sockets:  # connections inherit it: dead peers are noticed some day
        each.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    return listener


def _places(listener: asyncio.Server) -> Iterator[tuple[str, int]]:
    """Addresses and ports at which the service listens."""
    for each in listener.sockets:
        address, port = each.getsockname()[:2]
        yield address, port


def _deaf(host: str, port: int, error: OSError) -> str:
    """Why nothing can be heard there, and what to do."""
    any_port = "choose another port, or 0 for any free one"
    if error.errno == errno.EADDRINUSE:
        return f"port {port} is in use; stop what listens there, or {any_port}"
    # Newer asyncios keep no errno when they could bind none of the addresses.
    nowhere = (errno.EADDRNOTAVAIL, errno.EINVAL, None)
    if isinstance(error, socket.gaierror) or error.errno in nowhere:
        return f"host {host} is no address of this machine; choose another, such as 127.0.0.1"
    return f"can't listen on {host}:{port}: {error.strerror}; {any_port}"


def _address(host: str, listener: asyncio.Server) -> str:
    """`HOST:PORT` as a client on this machine writes it."""
    called = CALLED.get(host, host)
    port = listener.sockets[0].getsockname()[1]
    return f"[{called}]:{port}" if ":" in called else f"{called}:{port}"


def serve(settings: Settings) -> int:
    """
    Serve until told to stop; the exit status.

    Raises:
        Fatal: see `serving`.
    """
    logs.configure(settings)
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        return runner.run(_serve(settings))


async def _serve(settings: Settings) -> int:
    stop, over = asyncio.Event(), asyncio.Event()
    async with serving(settings) as service:
        _on_signals(lambda: over.set() if stop.is_set() else stop.set())
        _announce(service, settings)
        chores = [
            asyncio.create_task(chore)
            for chore in (_collect_when_idle(service.app), service.hall.sweep())
        ]
        await stop.wait()
        for chore in chores:
            chore.cancel()
        log.info("stopping: %d requests wait", service.app[keys.DESK].waiting)
        await service.drain(over)
    return 0


def _announce(service: Service, settings: Settings) -> None:
    echo = service.echo_address or "off"
    print(f"Dawdle on {service.url} (echo {echo}, data {settings.text('data')})", flush=True)
    if settings.token is None and not _is_loopback(settings.host):
        log.warning(
            "anybody who reaches %s can read and delete runs; set a token (DAWDLE_TOKEN)",
            settings.host,
        )


def _is_loopback(host: str) -> bool:
    return host in ("localhost", "::1") or host.startswith("127.")


def _on_signals(callback: Callable[[], object]) -> None:
    """Call back in the loop for each SIGINT and SIGTERM."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        try:
            loop.add_signal_handler(number, callback)
        except NotImplementedError:  # Windows
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(callback))


async def _collect_when_idle(app: web.Application) -> None:
    """Full garbage collections, but only while nobody waits and something has happened since."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    desk, feed, seen = app[keys.DESK], app[keys.FEED], 0
    while True:
        await asyncio.sleep(COLLECT_EVERY_S)
        if not desk.waiting and feed.position != seen:
            seen = feed.position
            gc.collect()


# --- the echo alone ------------------------------------------------------------------------------


def serve_echo(host: str, port: int, knobs: Mapping[str, str]) -> int:
    """
    Serve the TCP echo and nothing else until told to stop; the exit status.

    *knobs* are texts by the names of `manners.KNOBS`. Nothing is recorded; limits are the
    defaults of the settings.

    Raises:
        Fatal: a knob is not valid, or nothing can be heard there.
    """
    limits = Settings()
    try:
        manner = manners.read(knobs, max_delay_ns=limits.max_delay)
    except BadValue as error:
        raise Fatal(f"--{error.parameter}: {error}") from None
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        return runner.run(_serve_echo(_unrecorded(limits), manner, host, port))


def _unrecorded(limits: Settings) -> Echoes:
    """Echoes whose spans nobody keeps."""
    clock = SystemClock()
    runs = Runs(idle_gap_ns=limits.idle_gap, max_keys=1, most=1, unnamed="echo")
    echoes = Echoes(
        clock=clock,
        runs=runs,
        recorder=Recorder(clock, runs, boot=0, on_change=_ignore, on_end=_ignore),
        connections=Connections(),
        random=Random(),
        max_delay_ns=limits.max_delay,
        time_scale=limits.time_scale,
        most=limits.max_echo_connections,
        idle_ns=limits.echo_idle,
    )
    echoes.has_room = lambda: len(echoes) < _files_left(FILES_FOR_DATA)
    return echoes


def _ignore(_: Span) -> None:
    """Nobody watches."""


async def _serve_echo(echoes: Echoes, manner: Manner, host: str, port: int) -> int:
    stop = asyncio.Event()
    listener = await _open_door(echoes, manner, host, port)
    _on_signals(stop.set)
    print(f"Dawdle echo on {_address(host, listener)}", flush=True)
    sweep = asyncio.create_task(echoes.sweep())
    await stop.wait()
    sweep.cancel()
    listener.close()
    await echoes.close()
    return 0
