"""A Dawdle that runs somewhere, as the command line talks to it."""

from collections.abc import Awaitable, Callable

import pytest
from aiohttp import web
from aiohttp.test_utils import unused_port
from pytest_aiohttp.plugin import AiohttpServer

from app.errors import Fatal
from app.remote import Remote, remote
from tests.service import Client, Start

TOKEN = "open-sesame-42"

ASKING: list[Callable[[Remote], Awaitable[object]]] = [
    lambda server: server.make_run("ci"),
    lambda server: server.report("ci"),
    lambda server: server.check("ci", {}),
]


def url_of(client: Client) -> str:
    return str(client.make_url("/"))


async def test_runs_are_made_reported_and_checked(client: Client) -> None:
    """The service's own answers, as they are."""
    async with remote(url_of(client), None) as server:
        name = await server.make_run("ci")
        await client.get(f"/aio?delay=0&run={name}")

        assert "ci-1" == name
        assert 1 == (await server.report(name))["figures"]["requests"]
        assert name in await server.report_text(name, 80)
        assert (await server.check(name, {"requests": "1"}))["passed"]


async def test_failed_check_is_an_answer(client: Client) -> None:
    """409 is a verdict, not a refusal."""
    async with remote(url_of(client), None) as server:
        verdict = await server.check("nobody", {"requests": "1.."})

    assert not verdict["passed"]


async def test_checks_arrive_as_they_were_given(client: Client) -> None:
    """Whatever they hold is escaped, and refused by name."""
    async with remote(url_of(client), None) as server:
        with pytest.raises(Fatal, match="'1&peak=2' is not a whole number"):
            await server.check("ci", {"requests": "1&peak=2"})


async def test_refusal_explains_itself(client: Client) -> None:
    """The service's own sentence."""
    async with remote(url_of(client), None) as server:
        with pytest.raises(Fatal, match=r"there is no run 'nobody'; GET /runs lists them"):
            await server.report("nobody")


@pytest.mark.parametrize("run", ["x?y", "x#y", "x/y", "x%41", "x y", "ü"])
async def test_name_that_no_run_has_is_asked_for_as_it_is(client: Client, run: str) -> None:
    """Not the part of it that a URL would leave of it."""
    await client.get("/aio?delay=0&run=x")

    async with remote(url_of(client), None) as server:
        for ask in (server.report(run), server.report_text(run, 80)):
            with pytest.raises(Fatal, match="there is no run"):
                await ask
        assert (await server.check(run, {"requests": "0"}))["passed"]


async def test_token_opens_the_server(start: Start) -> None:
    """And without it the sentence says what is missing."""
    client = await start(token=TOKEN)

    async with remote(url_of(client), TOKEN) as server:
        assert "ci-1" == await server.make_run("ci")
    async with remote(url_of(client), None) as server:
        with pytest.raises(Fatal, match="this server has a token"):
            await server.make_run("ci")


async def test_nobody_there_is_said_in_one_sentence() -> None:
    """With what to do about it."""
    async with remote(f"http://127.0.0.1:{unused_port()}", None) as server:
        with pytest.raises(
            Fatal, match=r"no Dawdle answers at http://127\.0\.0\.1:\d+ \(.+\); start"
        ):
            await server.report("ci")


@pytest.mark.parametrize(
    "url", ["nonsense", "127.0.0.1:3000", "ftp://127.0.0.1", "http://", "http://[::1", ""]
)
async def test_url_that_is_none_is_said_in_one_sentence(url: str) -> None:
    """No traceback, whatever is typed."""
    async with remote(url, None) as server:
        with pytest.raises(
            Fatal, match=r"' is not an HTTP URL; write one such as http://127\.0\.0\.1:"
        ):
            await server.report("ci")


@pytest.mark.parametrize("ask", ASKING)
@pytest.mark.parametrize(
    ("status", "content_type", "text"),
    [
        (200, "text/html", "<html>hello</html>"),
        (200, "application/json", "[]"),
        (200, "application/json", "{}"),
        (200, "application/json", "broken"),
        (404, "text/html", "<html>nothing</html>"),
        (500, "application/json", '"no object"'),
    ],
)
async def test_other_servers_are_told_from_a_dawdle(
    aiohttp_server: AiohttpServer,
    ask: Callable[[Remote], Awaitable[object]],
    status: int,
    content_type: str,
    text: str,
) -> None:
    """Whatever answers there, the end is one sentence."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status, text=text, content_type=content_type)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    other = await aiohttp_server(app)

    async with remote(str(other.make_url("/")), None) as server:
        with pytest.raises(Fatal):
            await ask(server)
