"""Who may use the control pages: host names, origins, the token; and that `/aio` stays open."""

import ssl
from collections.abc import Mapping
from contextlib import suppress
from http.cookies import SimpleCookie
from pathlib import Path

import pytest
from aiohttp.test_utils import TestServer
from hypothesis import given
from hypothesis import strategies as st
from pytest_aiohttp.plugin import AiohttpClient

from app import __version__
from app.errors import Problem
from app.protection import PAGE_HEADERS, check_host, is_bearer, is_public, same_token
from app.settings import Settings
from app.tls import tls_context
from tests.service import BROWSER, CLOSE, Client, Start, parts, quick_app, raw

TOKEN = "open-sesame-42"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
VISIT = {
    "Sec-Fetch-Site": "cross-site",
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-Dest": "document",
}

# --- host names ----------------------------------------------------------------------------------

OURS = [
    "127.0.0.1",
    "127.0.0.1:3000",
    "192.168.1.20:3000",
    "[::1]",
    "[::1]:3000",
    "[2001:db8::7]:80",
    "localhost",
    "LOCALHOST:3000",
    "localhost.",
    "localhost.:3000",
    "localhost:",
    "dawdle",
    "my_service:3000",
    "app.localhost",
    "a.b.localhost:3000",
    "host.docker.internal:3000",
    "Dawdle.Example",
    "dawdle.example.:443",
]
FOREIGN = [
    "",
    ".",
    "evil.example",
    "evil.example:3000",
    "localhost.evil.example",
    "127.0.0.1.evil.example",
    "notlocalhost.example",
    "dawdle.example.evil.example",
    "sub.dawdle.example",
    "docker.internal",
    "1.2.3",
    "256.1.1.1",
    "[::1",
    "::1",
    "[evil.example]",
    "[::1]evil.example",
    "[fe80::1%25eth0]",
    "localhost@evil.example",
    "evil.example@localhost",
    "localhost/evil.example",
    "localhost:evil",
    "localhost:65536",
    "localhost:80:80",
    "local host",
    "localhost,evil.example",
    "löcalhost",
]


@pytest.mark.parametrize("host", OURS)
def test_host_that_only_we_can_be_is_let_through(host: str) -> None:
    """Addresses, local names, and names that were allowed; in any case, with any port."""
    check_host(host, ("dawdle.example",))


@pytest.mark.parametrize("host", FOREIGN)
def test_host_that_a_stranger_could_point_here_is_refused(host: str) -> None:
    """Else a foreign page could read ours by rebinding its own name to our address."""
    with pytest.raises(Problem) as refusal:
        check_host(host, ("dawdle.example",))

    assert "foreign-host" == refusal.value.code


@given(st.text(max_size=30))
def test_any_host_is_either_ours_or_refused(host: str) -> None:
    """Whatever stands there, nothing but a `Problem` comes of it."""
    with suppress(Problem):
        check_host(host, ())


@pytest.mark.parametrize(
    "path", ["/", "/runs", "/runs/nobody", "/healthz", "/metrics", "/static/x"]
)
async def test_foreign_host_reaches_no_page(client: Client, path: str) -> None:
    """The refusal comes before anything else, and says what to do."""
    answer = await client.get(path, headers={"Host": "evil.example"})

    assert 403 == answer.status
    assert "allowed_hosts" in (await answer.json())["detail"]


@pytest.mark.parametrize("host", [host for host in OURS if "xample" not in host])
async def test_pages_are_served_under_every_name_of_ours(client: Client, host: str) -> None:
    """Their own links name the host that was asked for."""
    answer = await client.post("/runs", headers={"Host": host})

    assert 201 == answer.status
    assert (await answer.json())["report"].startswith("http://")


async def test_allowed_host_is_let_through(start: Start) -> None:
    """By the setting, for who serves under a name of their own."""
    client = await start(allowed_hosts="dawdle.example")

    assert 200 == (await client.get("/runs", headers={"Host": "dawdle.example"})).status


async def test_client_that_names_no_host_is_no_browser(client: Client) -> None:
    """HTTP/1.0 knows no `Host`; what a foreign page sends always has one."""
    assert 200 == parts(await raw(client, b"GET /healthz HTTP/1.0\r\n\r\n"))[0]


# --- origins -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [
        ("GET", {}, 200),
        ("GET", {"Sec-Fetch-Site": "same-origin"}, 200),
        ("GET", {"Sec-Fetch-Site": "none"}, 200),
        ("GET", {"Sec-Fetch-Site": "cross-site"}, 403),
        ("GET", {"Sec-Fetch-Site": "same-site"}, 403),
        ("GET", VISIT, 200),
        ("HEAD", VISIT, 200),
        ("GET", VISIT | {"Sec-Fetch-Site": "same-site"}, 200),
        ("GET", VISIT | {"Sec-Fetch-Dest": "iframe"}, 403),
        ("GET", VISIT | {"Sec-Fetch-Mode": "no-cors"}, 403),
        ("POST", VISIT, 403),
        ("POST", {"Sec-Fetch-Site": "same-origin"}, 201),
        ("POST", {}, 201),
        ("POST", {"Origin": "http://localhost:3000"}, 201),
        ("POST", {"Origin": "HTTP://LOCALHOST:3000"}, 201),
        ("POST", {"Origin": "http://localhost:3001"}, 403),
        ("POST", {"Origin": "http://localhost"}, 403),
        ("POST", {"Origin": "https://evil.example"}, 403),
        ("POST", {"Origin": "http://localhost:3000.evil.example"}, 403),
        ("POST", {"Origin": "http://evil.example@localhost:3000"}, 403),
        ("POST", {"Origin": "null"}, 403),
        ("POST", {"Origin": ""}, 403),
        ("POST", {"Origin": "http://[::1"}, 403),
        ("GET", {"Origin": "https://evil.example"}, 403),
    ],
)
async def test_other_origins_may_only_visit(
    client: Client, method: str, headers: Mapping[str, str], status: int
) -> None:
    """By `Sec-Fetch-Site` and `Origin`; a link from anywhere to a page of ours is welcome."""
    answer = await client.request(method, "/runs", headers={"Host": "localhost:3000", **headers})

    assert status == answer.status


async def test_aio_is_open_to_every_host_and_origin(start: Start) -> None:
    """With a token too: it is what clients under test call, from wherever they are."""
    client = await start(token=TOKEN)
    headers = VISIT | {"Host": "evil.example", "Origin": "https://evil.example"}

    assert [200, 200] == [
        (await client.get(path, headers=headers)).status
        for path in ("/aio?delay=0", "/plan?delay=0")
    ]


@pytest.mark.parametrize("path", ["/aio/../runs", "/aio/%2e%2e/runs", "/aio%2f..%2fruns", "/%61io"])
async def test_no_spelling_of_an_open_path_leads_to_a_page(start: Start, path: str) -> None:
    """What is judged open is never routed to what is not."""
    client = await start(token=TOKEN)

    answer = await raw(client, b"GET %s HTTP/1.1\r\n" % path.encode() + CLOSE)

    assert b'"runs"' not in answer


# --- the headers of pages ------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", "/runs", "/runs.json", "/nowhere", "/healthz", "/metrics"])
async def test_every_page_says_what_browsers_may_do_with_it(client: Client, path: str) -> None:
    """No script of others, no foreign frame; refusals are pages too."""
    answer = await client.get(path)

    assert PAGE_HEADERS == {name: answer.headers.get(name) for name in PAGE_HEADERS}
    assert f"Dawdle/{__version__}" == answer.headers["Server"]
    assert "Access-Control-Allow-Origin" not in answer.headers


# --- the token -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("authorization", "right"),
    [
        (f"Bearer {TOKEN}", True),
        (f"bearer {TOKEN}", True),
        (f"BEARER   {TOKEN}", True),
        (f"Bearer {TOKEN}x", False),
        (f"Bearer {TOKEN.upper()}", False),
        ("Bearer", False),
        ("Bearer ", False),
        (f"Basic {TOKEN}", False),
        (TOKEN, False),
        ("", False),
        ("Bearer \udcff", False),
    ],
)
def test_bearer_is_the_very_token(authorization: str, right: bool) -> None:
    """The scheme in any case (RFC 9110 section 11.1), the token in its own."""
    assert right == is_bearer(authorization, TOKEN)


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_only_the_token_is_the_token(given_text: str) -> None:
    """Whatever is typed."""
    assert (given_text == TOKEN) == same_token(given_text, TOKEN)


@pytest.mark.parametrize("path", ["/", "/runs", "/runs/nobody", "/nowhere", "/metrics"])
async def test_stranger_is_told_what_to_send(start: Start, path: str) -> None:
    """Programs get 401, browsers the page to sign in; neither learns what exists."""
    client = await start(token=TOKEN)

    program = await client.get(path)
    person = await client.get(path, headers=BROWSER, allow_redirects=False)

    assert (401, "application/problem+json") == (program.status, program.content_type)
    assert (303, "/sign-in") == (person.status, person.headers["Location"])


async def test_stranger_changes_nothing_not_even_in_a_browser(start: Start) -> None:
    """A redirect would turn the request into another one."""
    client = await start(token=TOKEN)

    assert 401 == (await client.post("/runs", headers=BROWSER)).status
    assert 201 == (await client.post("/runs", headers=BEARER)).status
    assert 401 == (await client.delete("/runs/run-1", headers=BROWSER)).status


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/sign-in"])
async def test_probes_and_the_way_in_need_no_token(start: Start, path: str) -> None:
    """Whoever checks health has no secrets."""
    client = await start(token=TOKEN)

    assert 200 == (await client.get(path)).status


@pytest.mark.parametrize(("path", "public"), [("/static/style.css", True), ("/static", False)])
def test_static_files_are_public(path: str, public: bool) -> None:
    """The page to sign in is made of them."""
    assert public == is_public(path)


async def test_signing_in_gives_a_cookie_that_opens_the_pages(start: Start) -> None:
    """No script and no other site gets it, and nobody gets the token from it."""
    client = await start(token=TOKEN)

    answer = await client.post("/sign-in", data={"token": TOKEN}, allow_redirects=False)

    assert (303, "/") == (answer.status, answer.headers["Location"])
    cookie = SimpleCookie(answer.headers["Set-Cookie"])["dawdle"]
    assert (True, "Strict", "/", "", "") == (
        cookie["httponly"], cookie["samesite"], cookie["path"], cookie["secure"], cookie["max-age"],
    )  # fmt: skip
    assert TOKEN not in cookie.value
    assert 200 == (await client.get("/runs")).status  # the client keeps cookies


async def test_signing_out_takes_the_cookie_back(start: Start) -> None:
    """Afterwards this browser is a stranger again."""
    client = await start(token=TOKEN)
    await client.post("/sign-in", data={"token": TOKEN}, allow_redirects=False)

    answer = await client.post("/sign-out", allow_redirects=False)

    assert (303, "/sign-in") == (answer.status, answer.headers["Location"])
    assert 401 == (await client.get("/runs")).status


@pytest.mark.parametrize("form", [{"token": "wrong-token"}, {"token": ""}, {}, {"other": TOKEN}])
async def test_wrong_token_gets_the_page_again(start: Start, form: dict[str, str]) -> None:
    """401, and no cookie."""
    client = await start(token=TOKEN)

    answer = await client.post("/sign-in", data=form)

    assert (401, "text/html") == (answer.status, answer.content_type)
    assert "Set-Cookie" not in answer.headers


@pytest.mark.parametrize("cookie", ["", "x", TOKEN, "é", '"\\303\\251"'])
async def test_wrong_cookie_opens_nothing(start: Start, cookie: str) -> None:
    """Not even the token itself."""
    client = await start(token=TOKEN)

    assert 401 == (await client.get("/runs", headers={"Cookie": f"dawdle={cookie}"})).status


async def test_without_a_token_nobody_signs_in(client: Client) -> None:
    """There is nothing to know."""
    assert 401 == (await client.post("/sign-in", data={"token": "anything"})).status


@pytest.mark.parametrize(
    ("content_type", "data"),
    [
        ("application/x-www-form-urlencoded", b"token=\xff"),
        ("application/x-www-form-urlencoded; charset=klingon", b"token=a"),
    ],
)
async def test_form_that_cannot_be_read_is_refused(
    client: Client, content_type: str, data: bytes
) -> None:
    """400, as for every body."""
    answer = await client.post("/sign-in", data=data, headers={"Content-Type": content_type})

    assert 400 == answer.status


async def test_cookie_is_for_https_only_where_there_is_https(
    aiohttp_client: AiohttpClient, tmp_path: Path
) -> None:
    """`Secure`, so that no plain connection ever shows it."""
    chosen = {"data": str(tmp_path), "tls_self_signed": "true"}
    server = TestServer(quick_app(tmp_path, token=TOKEN))
    await server.start_server(ssl=tls_context(Settings.model_validate(chosen)))
    client: Client = await aiohttp_client(server)
    trusting = ssl.create_default_context(cafile=tmp_path / "dawdle-ca.pem")

    answer = await client.post(
        "/sign-in", data={"token": TOKEN}, allow_redirects=False, ssl=trusting
    )

    assert SimpleCookie(answer.headers["Set-Cookie"])["dawdle"]["secure"]
