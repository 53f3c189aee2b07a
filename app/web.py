"""The route table, and the thin handlers of everything but `/aio`: load, build a value, answer."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Mapping
from urllib.parse import parse_qsl

from aiohttp import web
from aiohttp_sse import EventSourceResponse, sse_response

from app import (
    assets,
    bars,
    checks,
    compare,
    exports,
    figures,
    findings,
    formats,
    grammar,
    keys,
    preview,
    protection,
    report,
    site,
    svg,
    timeline,
    waterfall,
)
from app.aio import aio, go_on, is_preflight, preflight
from app.columns import Columns
from app.delivery import site_page
from app.errors import BadValue, Problem
from app.exports import Export
from app.feed import Missed
from app.findings import Reading
from app.responses import Reply, json_reply, page, respond, text_reply
from app.runs import Run
from app.spans import Span, record, span_number
from app.titles.web import ROUTES as TITLES_ROUTES
from app.websocket import websocket_echo

SPANS_SHOWN = 200  # in a page's table and a text timeline; exports have them all
PIECE = 200  # spans written as text at a time: some 5 ms in which nobody else is served
RUNS_SHOWN = 200  # in the page; the JSON has them all
LARGEST_BODY = 64 * 1024  # of a control page, which reads but a name or a token
IDS_ASKED = 100
MESSAGES_APART_S = 0.1  # at most ten a second
PING_S = 15.0
WIDTHS = range(timeline.NARROWEST, timeline.WIDEST + 1)


# --- what this is --------------------------------------------------------------------------------


async def home(request: web.Request) -> web.StreamResponse:
    """What this is, in one breath, with what goes on at the moment."""
    app = request.app
    desk, runs = app[keys.DESK], app[keys.RUNS]
    context = {
        "origin": str(request.url.origin()),
        "waiting": desk.waiting,
        "max_waiting": desk.max_waiting,
        "in_flight": len(app[keys.RECORDER].live),
        "requests": sum(run.arrived for run in runs),
        "runs": [run_document(run) for run in runs.newest(10)],
        "total": len(runs),
        "now_ns": app[keys.CLOCK].now(),
    }
    return page(request, "index.html", context)


async def plan(request: web.Request) -> web.StreamResponse:
    """Plans to come, without waiting."""
    scale = request.app[keys.SETTINGS].time_scale
    ahead = preview.preview(
        request.app[keys.DESK].planner, request.raw_path.partition("?")[2], time_scale=scale
    )
    return text_reply(preview.json_text(ahead), content_type="application/json")


async def reading(request: web.Request) -> web.StreamResponse:
    """A preflight, or the methods there are where one can only read."""
    if is_preflight(request):
        return preflight(request)
    return web.Response(status=204, headers={"Allow": "GET, HEAD, OPTIONS"})


# --- runs ----------------------------------------------------------------------------------------


def run_document(run: Run) -> dict[str, object]:
    """A run as lists show it."""
    return {
        "name": run.name,
        "requests": run.arrived,
        "in_flight": run.in_flight,
        "created_ns": run.created_ns,
        "last_arrival_ns": run.last_arrival_ns,
    }


async def list_runs(request: web.Request) -> web.StreamResponse:
    """The runs, the newest arrival first."""
    runs = request.app[keys.RUNS]
    document = {"runs": [run_document(run) for run in runs], "total": len(runs)}
    shown = {"runs": list(map(run_document, runs.newest(RUNS_SHOWN))), "total": len(runs)}
    return respond(request, Reply("runs.html", document, shown), request.match_info["format"])


async def make_run(request: web.Request) -> web.StreamResponse:
    """A fresh run: 201, its name and where to find what."""
    prefix = await _prefix(request)
    run = request.app[keys.RUNS].fresh(prefix, request.app[keys.CLOCK].now())
    await request.app[keys.STORE].add_run(run.name, run.created_ns)
    urls = _urls(request, run.name)
    return json_reply({"name": run.name} | urls, status=201, headers={"Location": urls["report"]})


async def _prefix(request: web.Request) -> str:
    """The `name` in the body, or `run`."""
    if not request.can_read_body:
        return "run"
    try:
        body = json.loads(await request.text())
    except (ValueError, LookupError, RecursionError):  # no JSON, no such charset, too deep
        raise Problem("bad-body", 'the body is no JSON; send {"name": "ci"} or nothing') from None
    prefix = body.get("name", "run") if isinstance(body, dict) else None
    if not isinstance(prefix, str) or not prefix:
        raise Problem("bad-body", 'the body is not of the form {"name": "ci"}; send that', "name")
    for other in body.keys() - {"name"}:
        raise Problem("bad-body", f"{grammar.quoted(other)} is unknown; send name alone", other)
    try:
        return grammar.run_prefix(prefix)
    except BadValue as error:
        raise Problem("bad-body", f"name: {error}", "name") from None


def _urls(request: web.Request, name: str) -> dict[str, str]:
    origin = request.url.origin()
    base = f"{origin}/runs/{name}"
    return {
        "aio": f"{origin}/aio?run={name}",
        "report": base,
        "spans": f"{base}/spans",
        "events": f"{base}/events",
        "check": f"{base}/check",
        "timeline": f"{base}.txt",
        "svg": f"{base}.svg",
        "har": f"{base}.har",
        "trace": f"{base}/trace.json",
    }


async def show_run(request: web.Request) -> web.StreamResponse:
    """The report of a run as page, JSON, text or picture; as an archive, its spans."""
    name, suffix = _split(request.match_info["run"])
    run = request.app[keys.RUNS].expect(name)
    if suffix == ".har":
        return await _export(request, run, exports.HAR)
    if suffix == ".svg":
        return await _svg_reply([await _panel(request, run.name)])
    position = request.app[keys.FEED].here
    read = await _read(request, run.name)
    if suffix == ".txt":
        width = _width(request)
        return text_reply(timeline.text(read.report, read.spans, read.found, width=width))
    urls = _urls(request, run.name)
    document = _document(read) | {"events_after": position, "urls": urls}
    shown = {
        "report": read.report,
        "findings": read.found,
        "urls": urls,
        "headline": formats.headline(read.report),
        "chart": bars.chart(read.report, read.spans),
    }
    return respond(request, Reply("run.html", document, shown), suffix)


def _document(read: Reading) -> dict[str, object]:
    """The report as JSON shows it, and what was found."""
    return figures.document(read.report) | {"findings": findings.document(read.found)}


SUFFIXES = (".html", ".json", ".txt", ".svg", ".har")


def _split(segment: str) -> tuple[str, str]:
    """(run, suffix) of a path's last segment; the suffixes that mean something here."""
    for suffix in SUFFIXES:
        if segment.endswith(suffix):
            return segment.removesuffix(suffix), suffix
    return segment, ""


async def _svg_reply(panels: list[svg.Panel]) -> web.Response:
    """Thousands of bars take a while, in which others are to be served: hence the thread."""
    picture = await asyncio.to_thread(svg.drawing, panels)
    return text_reply(picture, content_type="image/svg+xml")


async def _panel(request: web.Request, name: str) -> svg.Panel:
    """The run to be drawn; one that is crowded is read once more, for its bars are an area."""
    read = await _read(request, name, shown=svg.MOST_BARS)
    if not svg.is_crowded(read.report):
        return svg.Panel(read)
    density = svg.Density(read.report)
    async for columns in _columns(request.app, name):
        density.add(columns)
    return svg.Panel(read, density)


async def compare_runs(request: web.Request) -> web.StreamResponse:
    """What changed from one run to another: as text with both timelines, as JSON or as picture."""
    other, suffix = _split(request.match_info["other"])
    names = [
        request.app[keys.RUNS].expect(name).name for name in (request.match_info["run"], other)
    ]
    if suffix == ".svg":
        return await _svg_reply([await _panel(request, name) for name in names])
    before, after = [await _read(request, name) for name in names]
    if suffix == ".json":
        return json_reply(compare.document(before, after))
    return text_reply(compare.text(before, after, width=_width(request)))


def _width(request: web.Request) -> int:
    try:
        width = grammar.integer(request.query.get("width", "80"))
    except BadValue as error:
        raise Problem("bad-query", f"width: {error}", "width") from None
    if width not in WIDTHS:
        raise Problem("bad-query", f"width {width} is out of range; use 40 to 400", "width")
    return width


async def _read(request: web.Request, name: str, *, shown: int = SPANS_SHOWN) -> Reading:
    """What the run says, with its first spans; an unknown run is an empty one."""
    app = request.app
    run = app[keys.RUNS].get(name)
    fold = report.Fold(name, now_ns=app[keys.CLOCK].now())
    first: list[Span] = []
    async for columns in _columns(app, name):
        fold.add(columns)
        first += columns.first(shown - len(first))
    return findings.reading(fold.report(dropped=run.dropped if run else 0), first)


def _columns(app: web.Application, name: str) -> AsyncIterator[Columns]:
    recorder = app[keys.RECORDER]
    return app[keys.JOURNAL].columns(name, lambda: recorder.in_flight(name))


async def _pieces(app: web.Application, name: str) -> AsyncIterator[list[Span]]:
    """The spans of the run, so few at a time that others are served between."""
    async for columns in _columns(app, name):
        for piece in columns.pieces(PIECE):
            yield piece.spans()
            await asyncio.sleep(0)  # others are due, and who takes a piece may wait for nothing


async def delete_run(request: web.Request) -> web.StreamResponse:
    """Answer what waits in the run with 503, at once, and forget it."""
    run = request.app[keys.RUNS].expect(request.match_info["run"])
    request.app[keys.RUNS].delete(run)
    request.app[keys.ECHOES].forget(run)
    request.app[keys.FEED].wake()
    await request.app[keys.JOURNAL].forget(run.name)
    return web.Response(status=204)


async def show_waterfall(request: web.Request) -> web.StreamResponse:
    """
    What the page draws of a run, as JSON Lines: its spans, or of too many how they ended.

    `from` and `to`, in microseconds since its first arrival, or `ids` of spans ask for a part.
    """
    app = request.app
    run = app[keys.RUNS].expect(request.match_info["run"])
    window, ids = _part(request)
    position = app[keys.FEED].here
    now_ns, most = app[keys.CLOCK].now(), waterfall.MOST
    selection = waterfall.Selection(now_ns=now_ns, window=window, ids=ids, most=most)
    is_crowded = run.arrived > most and window is None and not ids
    if not is_crowded:
        async for piece in _pieces(app, run.name):
            selection.add(piece)
    if is_crowded or selection.is_crowded:
        return _lines_reply((await _crowd(request, run.name, window)).lines(position))
    return _lines_reply(selection.lines(position))


async def _crowd(
    request: web.Request, name: str, window: waterfall.Window | None
) -> waterfall.Crowd:
    read = await _read(request, name, shown=0)
    crowd = waterfall.Crowd(read.report, window)
    async for piece in _pieces(request.app, name):
        crowd.add(piece)
    return crowd


def _lines_reply(lines: Iterable[str]) -> web.Response:
    text = "".join(f"{line}\n" for line in lines)
    return text_reply(text, content_type="application/x-ndjson")


def _part(request: web.Request) -> tuple[waterfall.Window | None, frozenset[int]]:
    """The window and the ids that are asked for; None and empty: all."""
    query = request.query
    for name in query.keys() - {"from", "to", "ids"}:
        raise Problem("bad-query", f"{grammar.quoted(name)} is unknown; send from, to, ids", name)
    ids = frozenset(_id(text) for text in query.get("ids", "").split(",") if text)
    if len(ids) > IDS_ASKED:
        raise Problem("bad-query", f"{len(ids)} ids are too many; send up to {IDS_ASKED}", "ids")
    if "from" not in query and "to" not in query:
        return None, ids
    begin_us, end_us = _microseconds(query, "from"), _microseconds(query, "to")
    if begin_us >= end_us:
        problem = f"from {begin_us} is not before to {end_us}; send a later to"
        raise Problem("bad-query", problem, "to")
    return waterfall.Window(begin_us * 1_000, end_us * 1_000), ids


def _microseconds(query: Mapping[str, str], name: str) -> int:
    try:
        return grammar.integer(query.get(name, ""))
    except BadValue as error:
        raise Problem("bad-query", f"{name}: {error}", name) from None


def _id(text: str) -> int:
    try:
        return span_number(text)
    except ValueError:
        problem = f"{grammar.quoted(text)} is not the id of a span; send BOOT-SEQ"
        raise Problem("bad-query", problem, "ids") from None


# --- exports and events --------------------------------------------------------------------------


async def export_spans(request: web.Request) -> web.StreamResponse:
    """All spans of a run as JSON Lines or CSV, streamed."""
    run = request.app[keys.RUNS].expect(request.match_info["run"])
    wants_csv = "text/csv" in request.headers.get("Accept", "")
    suffix = request.match_info["format"] or (".csv" if wants_csv else ".jsonl")
    return await _export(request, run, exports.CSV if suffix == ".csv" else exports.JSONL)


async def export_trace(request: web.Request) -> web.StreamResponse:
    """All spans of a run as trace events, streamed."""
    run = request.app[keys.RUNS].expect(request.match_info["run"])
    return await _export(request, run, exports.TRACE)


async def _export(request: web.Request, run: Run, export: Export) -> web.StreamResponse:
    """All spans of the run in that format, as they are read."""
    headers = {
        "Content-Type": f"{export.content_type}; charset=utf-8",
        "Content-Disposition": f'attachment; filename="{run.name}{export.suffix}"',
        "Cache-Control": "no-store",
        "Vary": "Accept",
    }
    response = web.StreamResponse(headers=headers)
    await response.prepare(request)
    if request.method == "HEAD":  # aiohttp would send what is written
        return response
    writer = export.writer(str(request.url.origin()), request.app[keys.CLOCK].now())
    await response.write(writer.head.encode())
    async for piece in _pieces(request.app, run.name):
        await response.write(writer.lines(piece).encode())
    await response.write(writer.tail.encode())
    await response.write_eof()
    return response


async def run_events(request: web.Request) -> web.StreamResponse:
    """
    The run's spans as they open, change and close: at most ten messages a second.

    Resumed after the position in `Last-Event-ID` or `?after=`. Without one, or when it is too
    old or not ours, a `reset` event with the present state comes first. The stream ends with the
    run, when that is deleted or makes room, and with the service.
    """
    run = request.app[keys.RUNS].expect(request.match_info["run"])
    feed = request.app[keys.FEED]
    after = request.headers.get("Last-Event-ID") or request.query.get("after", "")
    with feed.watching():
        async with sse_response(request, ping_interval=PING_S) as stream:
            await _follow(request, stream, run, after)
    return stream


async def _follow(request: web.Request, stream: EventSourceResponse, run: Run, after: str) -> None:
    feed = request.app[keys.FEED]
    while stream.is_connected():
        is_last = feed.closed or (run.deleted and not run.in_flight)
        position = await _tell(request, stream, run, after)
        if is_last:
            return
        after = feed.name(position)
        await asyncio.sleep(MESSAGES_APART_S)  # also when it was about other runs: many may watch
        await feed.wait(position)


async def _tell(request: web.Request, stream: EventSourceResponse, run: Run, after: str) -> int:
    """Send what changed after that event, else the present state; the position that it is of."""
    feed = request.app[keys.FEED]
    try:
        batch = feed.since(feed.find(after), run.name)
    except Missed:
        return await _reset(request, stream, run)
    if batch.spans:
        data = json.dumps([record(span) for span in batch.spans])
        await stream.send(data, event="spans", id=feed.name(batch.position))
    return batch.position


async def _reset(request: web.Request, stream: EventSourceResponse, run: Run) -> int:
    """Send the present state; what changes after it is to follow."""
    feed = request.app[keys.FEED]
    position, here = feed.position, feed.here
    read = await _read(request, run.name, shown=0)
    live = request.app[keys.RECORDER].in_flight(run.name)
    state = {"report": _document(read), "in_flight": [record(span) for span in live]}
    await stream.send(json.dumps(state), event="reset", id=here)
    return position


# --- check ---------------------------------------------------------------------------------------


async def check_run(request: web.Request) -> web.StreamResponse:
    """200 when the run is as it should be, 409 when not; after waiting for it, if asked to."""
    name = request.match_info["run"]
    try:
        wanted = checks.parse(grammar.pairs(request.raw_path.partition("?")[2]))
    except BadValue as error:
        raise Problem("bad-query", f"in the query, {error}", error.parameter) from None
    timed_out = not await _settled(request, name, wanted)
    run = request.app[keys.RUNS].get(name)
    read = await _read(request, run.name if run else name, shown=0)
    scale = request.app[keys.SETTINGS].time_scale
    verdict = checks.evaluate(
        wanted, read.report, read.found, time_scale=scale, timed_out=timed_out
    )
    return json_reply(checks.document(verdict), status=200 if verdict.passed else 409)


async def _settled(request: web.Request, name: str, wanted: checks.Checks) -> bool:
    """Whether nothing is in flight and enough has arrived, within the time there is for it."""
    if not wanted.wait_ns:
        return True
    feed, runs = request.app[keys.FEED], request.app[keys.RUNS]
    try:
        async with asyncio.timeout(wanted.wait_ns / grammar.NANOSECONDS["s"]):
            while not (settled := _is_settled(runs.get(name), wanted)) and not feed.closed:
                await feed.wait(feed.position)
    except TimeoutError:
        return False
    return settled


def _is_settled(run: Run | None, wanted: checks.Checks) -> bool:
    arrived = run.arrived if run else 0
    return not (run and run.in_flight) and arrived >= checks.missing_requests(wanted)


# --- the demonstration site ----------------------------------------------------------------------


async def show_site(request: web.Request) -> web.StreamResponse:
    """The demonstration site: what each of its pages shows, and what must be found on it."""
    suffix = request.match_info["format"]
    origin = request.url.origin()
    if suffix == ".txt":
        return text_reply("".join(f"{origin}/site/{number}\n" for number in site.PAGES))
    entries = [site.entry(number, page) for number, page in site.PAGES.items()]
    context = {"pages": entries, "origin": str(origin)}
    return respond(request, Reply("site.html", {"pages": entries}, context), suffix)


# --- signing in ----------------------------------------------------------------------------------


async def show_sign_in(request: web.Request) -> web.StreamResponse:
    """Where a person types the token, when there is one."""
    if request.app[keys.SETTINGS].token is None:
        raise web.HTTPSeeOther("/")
    return page(request, "sign_in.html", {"refused": False})


async def sign_in(request: web.Request) -> web.StreamResponse:
    """The token gives a cookie for this browser session."""
    token = request.app[keys.SETTINGS].token
    given = (await _form(request)).get("token", "")
    if token is None or not protection.same_token(given, token.get_secret_value()):
        return page(request, "sign_in.html", {"refused": True}, status=401)
    response = web.HTTPSeeOther("/")
    protection.sign_in(response, token.get_secret_value(), secure=request.secure)
    raise response


async def _form(request: web.Request) -> dict[str, str]:
    """The fields of a form that a browser sends in its usual encoding."""
    try:
        return dict(parse_qsl(await request.text()))
    except (ValueError, LookupError):  # not in its charset, no such charset
        raise Problem("bad-body", "the form can't be read; send it from /sign-in") from None


async def sign_out(_: web.Request) -> web.StreamResponse:
    """Forget the browser."""
    response = web.HTTPSeeOther(protection.SIGN_IN)
    protection.sign_out(response)
    raise response


# --- for machines --------------------------------------------------------------------------------


async def healthz(_: web.Request) -> web.StreamResponse:
    """We live."""
    return text_reply("ok\n")


async def readyz(request: web.Request) -> web.StreamResponse:
    """We take new requests; no longer once we stop."""
    stopping = request.app[keys.DESK].stopping
    return text_reply("stopping\n" if stopping else "ready\n", status=503 if stopping else 200)


async def metrics(request: web.Request) -> web.StreamResponse:
    """Figures for Prometheus."""
    return web.Response(
        body=request.app[keys.METRICS].exposition(),
        headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"},
    )


async def static(request: web.Request) -> web.StreamResponse:
    """What pages are made of besides themselves."""
    file = assets.files("static").get(request.match_info["path"])
    if file is None:
        raise web.HTTPNotFound
    return web.FileResponse(file)


RUN = r"{run:[^/]+}"

ROUTES = [
    web.get("/", home),
    web.route("*", "/aio", aio, expect_handler=go_on),
    web.route("*", "/aio/{profile:.*}", aio, expect_handler=go_on),
    web.route("*", "/websocket/echo", websocket_echo),
    web.get("/plan", plan),
    web.options("/plan", reading),
    web.get(r"/runs{format:(?:\.html|\.json)?}", list_runs),
    web.post("/runs", make_run),
    web.get(f"/runs/{RUN}", show_run),
    web.delete(f"/runs/{RUN}", delete_run),
    web.get(f"/runs/{RUN}/spans{{format:(?:\\.jsonl|\\.csv)?}}", export_spans),
    web.get(f"/runs/{RUN}/waterfall", show_waterfall),
    web.get(f"/runs/{RUN}/trace.json", export_trace),
    web.get(f"/runs/{RUN}/compare/{{other:[^/]+}}", compare_runs),
    web.get(f"/runs/{RUN}/events", run_events, allow_head=False),  # it has no end to wait for
    web.get(f"/runs/{RUN}/check", check_run),
    *TITLES_ROUTES,
    web.get(r"/site{format:(?:\.html|\.json|\.txt)?}", show_site),
    web.route("*", "/site/{number:[1-9][0-9]?}", site_page),
    web.get("/sign-in", show_sign_in),
    web.post("/sign-in", sign_in),
    web.post("/sign-out", sign_out),
    web.get("/healthz", healthz),
    web.get("/readyz", readyz),
    web.get("/metrics", metrics),
    web.get("/static/{path:.+}", static),
]
