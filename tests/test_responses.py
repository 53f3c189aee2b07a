"""Values and problems as replies: which form a client gets, and that none is ever without one."""

import io
import json
import logging
from collections.abc import Awaitable, Callable

import jinja2
import pytest
from aiohttp import ClientPayloadError, web
from aiohttp.test_utils import make_mocked_request
from hypothesis import given
from hypothesis import strategies as st
from pytest_aiohttp.plugin import AiohttpClient

from app import keys
from app.errors import TABLE, Problem
from app.responses import (
    CLIENT_CLOSED_REQUEST,
    Handler,
    errors_as_problems,
    explainer,
    is_open,
    json_text,
    prefers_html,
    problem_reply,
    text_reply,
)
from app.web import LARGEST_BODY
from tests.service import BROWSER, Client, Start


@pytest.mark.parametrize(
    ("accept", "html"),
    [
        ("", False),
        ("*/*", False),
        ("application/json", False),
        ("text/html", True),
        ("TEXT/HTML", True),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", True),
        ("application/json, text/html;q=0.9", False),
        ("application/json;q=0.5, text/html;q=0.9", True),
        ("application/json, text/html", True),
        ("text/html;q=0", False),
        ("text/html; charset=utf-8; q=0.1", True),
        ("text/html;q=much", False),
        (",;,", False),
    ],
)
def test_html_is_for_those_who_name_it(accept: str, html: bool) -> None:
    """Programs that take anything get JSON; browsers name `text/html`."""
    assert html == prefers_html(accept)


@given(st.text())
def test_any_accept_is_understood_somehow(accept: str) -> None:
    """Nonsense is no preference."""
    assert prefers_html(accept) in (True, False)


@given(st.dictionaries(st.text(st.characters()), st.text(st.characters()), max_size=3))
def test_json_is_always_utf8(document: dict[str, str]) -> None:
    """Even of a lone surrogate; everything else is there to be read."""
    text = json_text(document)

    assert text.encode()
    if not any("\ud800" <= character <= "\udfff" for character in json.dumps(text)):
        assert isinstance(json.loads(text), dict)


def test_text_is_kept_by_no_cache() -> None:
    """What is told is of this moment."""
    reply = text_reply("ok\n", status=503)

    assert (503, "ok\n", "no-store") == (reply.status, reply.text, reply.headers["Cache-Control"])


def talking(app: web.Application) -> web.Application:
    """The application, able to put problems into words, though not into pages."""
    app[keys.EXPLAIN] = explainer(jinja2.Environment(autoescape=True))
    return app


@pytest.mark.parametrize("code", TABLE)
def test_problem_is_rfc_9457_json(code: str) -> None:
    """Status, type and members are those of the table."""
    problem = Problem(code, "it is so; do that", "knob")

    request = make_mocked_request("GET", "/", app=talking(web.Application()))
    reply = problem_reply(request, problem, headers={"Allow": "GET"})

    assert (problem.status, "application/problem+json") == (reply.status, reply.content_type)
    assert problem.document() == json.loads(reply.text or "")
    assert ("no-store", "Accept", "GET") == tuple(
        reply.headers[name] for name in ("Cache-Control", "Vary", "Allow")
    )


@pytest.mark.parametrize(
    ("method", "path", "status", "says"),
    [
        ("GET", "/nowhere", 404, "/nowhere"),
        ("GET", "/runs/", 404, "/runs/"),
        ("GET", "/runs/nobody", 404, "nobody"),
        ("POST", "/healthz", 405, "use GET, HEAD"),
        ("PUT", "/runs", 405, "use GET, HEAD, POST"),
        ("GET", "/static/", 404, "/static/"),
        ("GET", "/static/nothing.css", 404, "nothing.css"),
    ],
)
async def test_refusal_is_a_problem_for_programs_and_a_page_for_people(
    client: Client, method: str, path: str, status: int, says: str
) -> None:
    """Whoever refused, the form is the same; 405 says what is allowed (RFC 9110 section 15.5.6)."""
    program = await client.request(method, path)
    person = await client.request(method, path, headers=BROWSER)

    assert (status, "application/problem+json") == (program.status, program.content_type)
    assert says in (await program.json())["detail"]
    assert (status, "text/html") == (person.status, person.content_type)
    assert (status == 405) == ("Allow" in program.headers) == ("Allow" in person.headers)


@pytest.mark.parametrize("path", ["/plan?n=0", "/aio?delay=nan", "/aio/nobody"])
async def test_refusal_of_an_open_path_is_a_page_that_loads_nothing(
    client: Client, path: str
) -> None:
    """Its policy forbids styles and icons, and a browser would say so in its console."""
    answer = await client.get(path, headers=BROWSER)

    page = await answer.text()
    assert "text/html" == answer.content_type
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert "<h1" in page
    assert "<link" not in page


async def test_refusal_of_a_control_page_looks_like_one(client: Client) -> None:
    """With its style, which the policy of those pages allows."""
    page = await (await client.get("/runs/nobody", headers=BROWSER)).text()

    assert '<link rel="stylesheet" href="/static/app.css">' in page


async def test_text_of_a_client_is_escaped_in_a_page(client: Client) -> None:
    """No markup of a client's becomes ours."""
    answer = await client.get("/<script>alert(1)<", headers=BROWSER)

    assert "<script>alert" not in await answer.text()


Serving = Callable[[Handler], Awaitable[Client]]


@pytest.fixture
def serving(aiohttp_client: AiohttpClient) -> Serving:
    """Serves one handler, behind the middleware alone."""

    async def serve(handler: Handler) -> Client:
        app = talking(web.Application(middlewares=[errors_as_problems]))
        app.router.add_get("/", handler)
        return await aiohttp_client(app)

    return serve


async def test_client_that_leaves_is_not_logged_as_a_failure(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is its right, and nobody is left to read an answer."""

    async def leave(_: web.Request) -> web.StreamResponse:
        raise ConnectionResetError

    reply = await errors_as_problems(make_mocked_request("GET", "/"), leave)

    assert CLIENT_CLOSED_REQUEST == reply.status
    assert [] == caplog.records


async def test_failure_is_logged_and_tells_the_client_nothing_of_us(
    serving: Serving, caplog: pytest.LogCaptureFixture
) -> None:
    """The log has the details, the reply none."""

    async def fail(_: web.Request) -> web.StreamResponse:
        raise ZeroDivisionError("the secret")

    answer = await (await serving(fail)).get("/")

    assert (500, "application/problem+json") == (answer.status, answer.content_type)
    assert "secret" not in await answer.text()
    assert [(logging.ERROR, "GET / failed")] == [
        (each.levelno, each.getMessage()) for each in caplog.records
    ]
    assert "the secret" in caplog.text


async def test_half_a_reply_never_passes_for_a_whole_one(serving: Serving) -> None:
    """What fails after its first bytes breaks off: no second reply inside the first."""

    async def fail_late(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"a line")
        raise ZeroDivisionError

    answer = await (await serving(fail_late)).get("/")

    with pytest.raises(ClientPayloadError):
        await answer.read()


async def test_redirect_passes(serving: Serving) -> None:
    """It is no error."""

    async def send_on(_: web.Request) -> web.StreamResponse:
        raise web.HTTPSeeOther("/elsewhere")

    answer = await (await serving(send_on)).get("/", allow_redirects=False)

    assert (303, "/elsewhere") == (answer.status, answer.headers["Location"])


async def test_body_past_the_limit_is_a_problem(client: Client) -> None:
    """The framework's own refusal speaks as ours do."""
    answer = await client.post("/runs", data=io.BytesIO(b" " * (LARGEST_BODY + 1)))

    assert (413, "application/problem+json") == (answer.status, answer.content_type)
    assert "the body is larger than 65536 bytes; send less" == (await answer.json())["detail"]


@pytest.mark.parametrize("max_body", ["0", "1m"])
async def test_body_of_a_control_page_is_bounded_whatever_aio_takes(
    start: Start, max_body: str
) -> None:
    """`max_body` is for `/aio`; with 0, the framework would take bodies of any length."""
    client = await start(max_body=max_body)

    assert [201, 413] == [
        (await client.post("/runs", data=b"{}".ljust(length))).status
        for length in (LARGEST_BODY, LARGEST_BODY + 1)
    ]


@pytest.mark.parametrize(
    ("path", "opened"),
    [
        ("/aio", True),
        ("/aio/", True),
        ("/aio/x", True),
        ("/plan", True),
        ("/aiox", False),
        ("/planet", False),
        ("/", False),
        ("/runs", False),
        ("/AIO", False),
    ],
)
def test_only_aio_and_plan_are_open(path: str, opened: bool) -> None:
    """And what is below them; a name that begins alike is not."""
    assert opened == is_open(path)
