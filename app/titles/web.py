"""Titles over HTTP: orders come in, jobs are shown, exported, followed, cancelled and retried."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any, cast
from urllib.parse import parse_qsl

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp_sse import EventSourceResponse, sse_response

from app import keys, protection
from app.errors import BadValue, Problem
from app.grammar import quoted
from app.responses import Reply, json_reply, page, prefers_html, respond
from app.titles import options, orders, view
from app.titles.exports import EXPORTS
from app.titles.job import Job, Page
from app.titles.jobs import Jobs
from app.titles.options import Options
from app.titles.orders import Order
from app.titles.results import record
from app.titles.view import MOST_SHOWN, View

LARGEST_ORDER = 16 << 20  # bytes; a hundred thousand addresses of 160 characters
MOST_DIRECT = 20  # URLs that `GET /titles?url=` takes
LONGEST_WAIT_S = 300
JOBS_SHOWN = 200  # in the list of them
NEWS_AT_ONCE = 500  # results in one message
MESSAGES_APART_S = 0.1  # at most ten a second
PING_S = 15.0
REFRESH_S = 2  # how often the page of an unfinished job asks again

FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")
TEXTS = ("text/plain", "application/octet-stream")  # the latter also when nothing is said
# What aiohttp says of one; the first three also of charsets and encodings that are none.
BROKEN_FORM = (ValueError, LookupError, RuntimeError, HttpProcessingError, web.HTTPBadRequest)
_WAIT = re.compile(r'(?:^|,)\s*wait\s*=\s*"?([0-9]{1,9})"?\s*(?=[,;]|$)', re.IGNORECASE)


# --- orders --------------------------------------------------------------------------------------


async def list_jobs(request: web.Request) -> web.StreamResponse:
    """The jobs, the newest first, and the form; with `url`, the titles of those pages."""
    if request.query_string:
        return await _direct(request)
    jobs = await request.app[keys.JOBS].list(limit=JOBS_SHOWN)
    document = {"jobs": [view.document(job) for job in jobs]}
    reply = Reply("titles.html", document, _list_context(jobs))
    return respond(request, reply, request.match_info["format"])


def _list_context(
    jobs: list[Job], given: Mapping[str, str] | None = None, problem: Problem | None = None
) -> dict[str, Any]:
    """What the page of jobs shows; with what was typed and what is wrong with it."""
    return {"jobs": jobs, "given": given or {}, "problem": problem, "defaults": _DEFAULTS}


_DEFAULTS = options.document(Options())


async def _direct(request: web.Request) -> web.StreamResponse:
    """Fetch a few titles and answer with them; not for links from elsewhere, for it does work."""
    protection.check_no_visit(request)
    order = _order_of(orders.from_query, request.raw_path.partition("?")[2], code="bad-query")
    if len(order.urls) > MOST_DIRECT:
        raise Problem(
            "bad-query",
            f"{len(order.urls)} times url is too many; send at most {MOST_DIRECT}, or POST them",
            "url",
        )
    jobs = request.app[keys.JOBS]
    job = await jobs.add(order.urls, order.options)
    job = await jobs.wait(job.name, LONGEST_WAIT_S)
    return await _shown(request, job, View(limit=MOST_DIRECT), request.match_info["format"])


async def post_order(request: web.Request) -> web.StreamResponse:
    """
    Begin a job: 202, and where to find it; a person's browser is sent there.

    With `Prefer: wait=N` (RFC 7240), 200 and its results if it is done within N seconds.
    """
    fields: list[tuple[str, str]] = []
    try:
        order = await _read_order(request, fields)
        job = await request.app[keys.JOBS].add(order.urls, order.options)
    except Problem as problem:
        if fields and _is_person(request):
            return await _form_again(request, fields, problem)
        raise
    return await _begun(request, job)


async def _form_again(
    request: web.Request, fields: Iterable[tuple[str, str]], problem: Problem
) -> web.StreamResponse:
    """The form as it was filled in, and what is wrong with it."""
    jobs = await request.app[keys.JOBS].list(limit=JOBS_SHOWN)
    context = _list_context(jobs, orders.given(fields), problem)
    return page(request, "titles.html", context, status=problem.status)


def _is_person(request: web.Request) -> bool:
    return prefers_html(request.headers.get("Accept", ""))


async def _begun(request: web.Request, job: Job) -> web.StreamResponse:
    address = f"/titles/{job.name}"
    if _is_person(request):
        raise web.HTTPSeeOther(address)
    headers = {"Location": address}
    wait_s = _wait_s(request)
    if wait_s is not None:
        headers["Preference-Applied"] = f"wait={wait_s}"
        job = await request.app[keys.JOBS].wait(job.name, wait_s)
    if wait_s is None or not job.finished:
        return json_reply(_document(request, job), status=202, headers=headers)
    document = await _with_results(request, job, View(limit=MOST_SHOWN))
    return json_reply(document, headers=headers)


def _wait_s(request: web.Request) -> int | None:
    """The seconds of `Prefer: wait`, as many as we grant; None without one that can be read."""
    match = _WAIT.search(",".join(request.headers.getall("Prefer", [])))
    return min(int(match[1]), LONGEST_WAIT_S) if match else None


# --- reading them --------------------------------------------------------------------------------


async def _read_order(request: web.Request, fields: list[tuple[str, str]]) -> Order:
    """The order in the body; *fields* gets those of a form, for they may have to be shown again."""
    request = request.clone(client_max_size=LARGEST_ORDER)
    query = request.raw_path.partition("?")[2]
    kind = request.content_type
    if kind in TEXTS:
        return _order_of(lambda text: orders.from_text(text, query), await _text(request))
    if query:
        raise Problem("bad-query", "options stand in the body here; leave the query out")
    if kind in FORMS:
        fields += await _fields(request)
        return _order_of(orders.from_form, fields)
    if kind == "application/json" or kind.endswith("+json"):
        return _order_of(orders.from_json, await _text(request))
    raise Problem(
        "bad-body",
        f"{quoted(kind)} is not read here; send application/json, text/plain or a form",
    )


def _order_of(read: Any, given: object, code: str = "bad-body") -> Order:
    """What *read* makes of it; a refusal is a problem of that code."""
    try:
        return cast("Order", read(given))
    except BadValue as error:
        raise Problem(code, str(error), error.parameter) from None


async def _text(request: web.Request) -> str:
    try:
        return await request.text()
    except (UnicodeDecodeError, LookupError):  # not in its charset; no such charset
        raise Problem("bad-body", "the body is not in its charset; send UTF-8") from None
    except web.HTTPRequestEntityTooLarge:
        raise _too_large() from None


def _too_large() -> Problem:
    return Problem(
        "body-too-large",
        f"the body is larger than {LARGEST_ORDER} bytes; send the URLs in several jobs",
    )


async def _fields(request: web.Request) -> list[tuple[str, str]]:
    """The fields of a form, files as their text."""
    if request.content_type == FORMS[0]:
        return parse_qsl(await _text(request), keep_blank_values=True)
    try:
        form = await request.post()
    except web.HTTPRequestEntityTooLarge:
        raise _too_large() from None
    except BROKEN_FORM:
        raise Problem("bad-body", "the form is broken; send it whole, as browsers do") from None
    return [(name, _field_text(name, value)) for name, value in form.items()]


def _field_text(name: str, value: object) -> str:
    if isinstance(value, str):
        return value
    try:
        return _bytes(value).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise Problem("bad-body", f"{name}: this is not UTF-8; save it so", name) from None


def _bytes(value: object) -> bytes:
    """What a file holds that was sent; a browser sends one without a name when none was chosen."""
    if isinstance(value, web.FileField):
        with value.file:
            return value.file.read()
    return bytes(cast("bytearray", value))


# --- a job ---------------------------------------------------------------------------------------


async def show_job(request: web.Request) -> web.StreamResponse:
    """Where a job stands and what it found, as page or JSON."""
    job = await request.app[keys.JOBS].get(request.match_info["job"])
    wanted = _view(request)
    return await _shown(request, job, wanted, request.match_info["format"])


def _view(request: web.Request) -> View:
    try:
        return view.read(request.raw_path.partition("?")[2])
    except BadValue as error:
        raise Problem("bad-query", str(error), error.parameter) from None


async def _shown(
    request: web.Request, job: Job, wanted: View, suffix: str = ""
) -> web.StreamResponse:
    found = await _found(request, job, wanted)
    document = view.with_results(job, found, wanted, _urls(request, job))
    context = {
        "job": job,
        "headline": view.headline(job),
        "results": found.results,
        "total": found.total,
        "view": wanted,
        "columns": view.columns(wanted),
        "filters": view.filters(job, wanted),
        "pages": view.pages(wanted, found.total),
        "urls": _urls(request, job),
        "refresh_s": None if job.finished or wanted.query else REFRESH_S,
    }
    return respond(request, Reply("titles_job.html", document, context), suffix)


async def _with_results(request: web.Request, job: Job, wanted: View) -> dict[str, Any]:
    found = await _found(request, job, wanted)
    return view.with_results(job, found, wanted, _urls(request, job))


async def _found(request: web.Request, job: Job, wanted: View) -> Page:
    return await request.app[keys.JOBS].results(
        job.name,
        offset=wanted.offset,
        limit=wanted.limit,
        error=wanted.error,
        sort=wanted.by,
        descending=wanted.descending,
    )


def _document(request: web.Request, job: Job) -> dict[str, Any]:
    return view.document(job) | {"urls": _urls(request, job)}


def _urls(request: web.Request, job: Job) -> dict[str, str]:
    base = f"{request.url.origin()}/titles/{job.name}"
    return {
        "job": base,
        "jsonl": f"{base}.jsonl",
        "csv": f"{base}.csv",
        "events": f"{base}/events",
        "retry": f"{base}/retry",
    }


async def cancel_job(request: web.Request) -> web.StreamResponse:
    """Fetch no more of it; what is done stays."""
    job = await request.app[keys.JOBS].cancel(request.match_info["job"])
    if _is_person(request):
        raise web.HTTPSeeOther(f"/titles/{job.name}")
    return json_reply(_document(request, job))


async def retry_job(request: web.Request) -> web.StreamResponse:
    """Fetch anew what failed, and what a cancellation left: as a job that begins."""
    return await _begun(request, await request.app[keys.JOBS].retry(request.match_info["job"]))


async def export_results(request: web.Request) -> web.StreamResponse:
    """All results of a job as JSON Lines or CSV, streamed."""
    jobs = request.app[keys.JOBS]
    job = await jobs.get(request.match_info["job"])
    kind = request.match_info["format"]
    export = EXPORTS[kind]
    headers = {
        "Content-Type": f"{export.content_type}; charset=utf-8",
        "Content-Disposition": f'attachment; filename="titles-{job.name}{kind}"',
        "Cache-Control": "no-store",
    }
    response = web.StreamResponse(headers=headers)
    await response.prepare(request)
    if request.method == "HEAD":  # aiohttp would send what is written
        return response
    await response.write(export.head.encode())
    async for results in jobs.stream(job.name):
        await response.write(export.lines(results).encode())
    await response.write_eof()
    return response


# --- following one -------------------------------------------------------------------------------


async def job_events(request: web.Request) -> web.StreamResponse:
    """
    A job's results as they come, and where it stands: at most ten messages a second.

    Resumed after the position in `Last-Event-ID` or `?after=`. A retry replaces results, so who
    has seen those of an earlier round is told to start afresh. The stream ends when the job is
    finished and all is told; who comes back then gets 204, at which browsers stop asking.
    """
    jobs = request.app[keys.JOBS]
    job = await jobs.get(request.match_info["job"])
    after = _position(request.headers.get("Last-Event-ID") or request.query.get("after", ""))
    if after is not None and job.finished and await _has_seen_all(jobs, job, after):
        return web.Response(status=204)
    with request.app[keys.FEED].watching():
        async with sse_response(request, ping_interval=PING_S) as stream:
            async for event, data, position in _events(jobs, job, after):
                await stream.send(json.dumps(data), event=event, id=position)
                if not _is_open(stream, jobs):
                    break
    return stream


def _is_open(stream: EventSourceResponse, jobs: Jobs) -> bool:
    return stream.is_connected() and not jobs.closed


def _position(text: str) -> tuple[int, int] | None:
    """(round, number) of an event id; None for what is none of ours."""
    match = re.fullmatch(r"([0-9]{1,9})-([0-9]{1,18})", text, re.ASCII)
    return (int(match[1]), int(match[2])) if match else None


async def _has_seen_all(jobs: Jobs, job: Job, after: tuple[int, int]) -> bool:
    news = await jobs.news(job.name, after[1], limit=1)
    return news.round == after[0] and not news.results


async def _events(
    jobs: Jobs, job: Job, after: tuple[int, int] | None
) -> AsyncIterator[tuple[str, dict[str, Any], str]]:
    """(event, data, id) of what is new in the job, up to its end."""
    seen_round, last = after or (None, 0)
    while True:
        news = await jobs.news(job.name, last, limit=NEWS_AT_ONCE)
        event = "news"
        if news.round != seen_round:
            event, seen_round = "reset", news.round
            news = await jobs.news(job.name, 0, limit=NEWS_AT_ONCE)
        last = news.last
        results = [record(result) for result in news.results]
        yield event, {"job": view.document(job), "results": results}, f"{seen_round}-{last}"
        is_all = len(results) < NEWS_AT_ONCE
        if is_all and job.finished:
            return
        await asyncio.sleep(MESSAGES_APART_S)
        job = await (jobs.changed(job.name, job.version) if is_all else jobs.get(job.name))


JOB = r"{job:[^/.]+}"

ROUTES = [
    web.get(r"/titles{format:(?:\.html|\.json)?}", list_jobs),
    web.post("/titles", post_order),
    web.get(f"/titles/{JOB}{{format:(?:\\.html|\\.json)?}}", show_job),
    web.get(f"/titles/{JOB}{{format:\\.jsonl|\\.csv}}", export_results),
    web.delete(f"/titles/{JOB}", cancel_job),
    web.post(f"/titles/{JOB}/cancel", cancel_job),
    web.post(f"/titles/{JOB}/retry", retry_job),
    web.get(f"/titles/{JOB}/events", job_events, allow_head=False),  # it may have no end
]
