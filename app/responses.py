"""
Values and problems -> replies: HTML for people, JSON for programs, one value for both.

The only place that knows formats, and the one error middleware.
"""

import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import aiohttp_jinja2
import jinja2
from aiohttp import web

from app import keys
from app.errors import OUR_FAULT, Problem
from app.exchange import Explain
from app.grammar import quoted

OPEN_PATHS = ("/aio", "/plan", "/websocket")  # with everything below them
OPEN_FOLDERS = (*(f"{path}/" for path in OPEN_PATHS), "/site/")  # /site itself is a control page
PROBLEM_JSON = "application/problem+json; charset=utf-8"  # RFC 9457 section 3
HTML = "text/html; charset=utf-8"
CLIENT_CLOSED_REQUEST = 499  # nginx's, for the access log; nobody is left to read it

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

log = logging.getLogger("dawdle")


def is_open(path: str) -> bool:
    """Whether the path is one that any page may call, and that says what its caller wanted."""
    return path in OPEN_PATHS or path.startswith(OPEN_FOLDERS)


def prefers_html(accept: str) -> bool:
    """Whether a person's browser asks: `text/html` named, and not less wanted than JSON."""
    wanted = dict(map(_weighted_type, accept.split(",")))
    html = wanted.get("text/html", 0.0)
    return html > 0 and html >= wanted.get("application/json", 0.0)


def _wants_html(request: web.Request) -> bool:
    return prefers_html(request.headers.get("Accept", ""))


def _weighted_type(item: str) -> tuple[str, float]:
    """(media type, weight) of one item of `Accept` (RFC 9110 section 12.4.2); 1 unless given."""
    media_type, *parameters = (part.strip().lower() for part in item.split(";"))
    weights = [part[2:] for part in parameters if part.startswith("q=")]
    try:
        return media_type, float(weights[0]) if weights else 1.0
    except ValueError:
        return media_type, 0.0


def json_text(document: object) -> str:
    """JSON as people read it; `?` for a lone surrogate, which no UTF-8 can hold."""
    text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    return text.encode("utf-8", "replace").decode()


def json_reply(
    document: object, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> web.Response:
    """A JSON reply that no cache keeps: what we tell is of this moment."""
    return web.Response(
        text=json_text(document),
        status=status,
        content_type="application/json",
        headers={"Cache-Control": "no-store", "Vary": "Accept"} | dict(headers or {}),
    )


def text_reply(text: str, *, status: int = 200, content_type: str = "text/plain") -> web.Response:
    """A reply of that text."""
    headers = {"Cache-Control": "no-store"}
    return web.Response(text=text, status=status, content_type=content_type, headers=headers)


def page(
    request: web.Request, template: str, context: Mapping[str, Any], *, status: int = 200
) -> web.Response:
    """The template rendered as a page."""
    response = aiohttp_jinja2.render_template(template, request, context, status=status)
    response.headers["Cache-Control"] = "no-store"
    response.headers["Vary"] = "Accept"
    return response


@dataclass(frozen=True, slots=True)
class Reply:
    """One value in its two forms: what a program gets, and what a template shows of it."""

    template: str
    document: object
    context: Mapping[str, Any]


def respond(request: web.Request, reply: Reply, suffix: str = "") -> web.Response:
    """The value as the suffix says, else as `Accept` does."""
    if suffix == ".html" or (not suffix and _wants_html(request)):
        return page(request, reply.template, reply.context)
    return json_reply(reply.document)


def explainer(environment: jinja2.Environment) -> Explain:
    """
    Puts problems of open paths into words: as RFC 9457 JSON, or as a page for browsers.

    The policy of those paths forbids a page to load anything, so it links no style and no icon.
    """

    def explain(problem: Problem, *, accept: str) -> tuple[str, bytes]:
        if prefers_html(accept):
            text = environment.get_template("refusal.html").render(problem=problem)
            return HTML, text.encode()
        return PROBLEM_JSON, json_text(problem.document()).encode()

    return explain


def problem_reply(
    request: web.Request, problem: Problem, *, headers: Mapping[str, str] | None = None
) -> web.Response:
    """The problem in words that its reader understands."""
    accept = request.headers.get("Accept", "")
    if prefers_html(accept) and not is_open(request.path):
        response = page(request, "problem.html", {"problem": problem}, status=problem.status)
    else:
        content_type, body = request.app[keys.EXPLAIN](problem, accept=accept)
        own = {"Content-Type": content_type, "Cache-Control": "no-store", "Vary": "Accept"}
        response = web.Response(body=body, status=problem.status, headers=own)
    if problem.status == HTTPStatus.UNAUTHORIZED:
        response.headers["WWW-Authenticate"] = "Bearer"  # RFC 9110 section 15.5.2 wants one
    response.headers.update(headers or {})
    return response


@web.middleware
async def errors_as_problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every refusal and every failure leaves the house as a problem."""
    try:
        return await handler(request)
    except Problem as problem:
        return problem_reply(request, problem)
    except web.HTTPRedirection:
        raise
    except web.HTTPMethodNotAllowed as refusal:
        allowed = ", ".join(sorted(refusal.allowed_methods))
        detail = f"{request.method} is not for {quoted(request.path)}; use {allowed}"
        refused = Problem("method-not-allowed", detail)
        return problem_reply(request, refused, headers={"Allow": allowed})
    except web.HTTPNotFound:
        detail = f"there is nothing at {quoted(request.path)}; start at / to see what there is"
        return problem_reply(request, Problem("not-found", detail))
    except web.HTTPRequestEntityTooLarge:
        limit = request.client_max_size
        detail = f"the body is larger than {limit} bytes; send less"
        return problem_reply(request, Problem("body-too-large", detail))
    except web.HTTPException:
        raise
    except ConnectionError:  # the client left; raised on, aiohttp would log it as our fault
        return web.Response(status=CLIENT_CLOSED_REQUEST)
    except Exception:
        log.exception("%s %s failed", request.method, request.path)
        if request.writer.output_size:  # break off, lest half a reply pass for a whole one
            raise
        return problem_reply(request, Problem("internal", OUR_FAULT))
