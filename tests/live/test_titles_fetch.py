"""
One page at a time, from servers of this test on loopback that behave as badly as servers can.

Where the guard has to refuse, what it refuses is another loopback address, or stands in a network
namespace that has nothing but loopback.
"""

import asyncio
import gzip
import ssl
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import brotli  # type: ignore[import-untyped]  # it has no annotations
import pytest
import trustme
from aiohttp.abc import ResolveResult

from app.clock import SystemClock
from app.errors import BadValue
from app.titles import names
from app.titles.body import DRAINED_BYTES, PIECE_BYTES, Limits
from app.titles.fetch import Fetcher, Lately
from app.titles.guard import Guard, opening
from app.titles.page import Page
from app.titles.results import Code, Hop, Result
from tests.fakes import BEGIN, ManualClock

pytestmark = pytest.mark.live

Answer = bytes | Callable[[asyncio.StreamWriter], Awaitable[None]]

HTML = "Content-Type: text/html; charset=utf-8"
CHUNKED = (HTML, "Transfer-Encoding: chunked")
PAGE = b"<!doctype html><title> One\n page </title><p>text"


def response(
    body: bytes = PAGE, *headers: str, status: str = "200 OK", length: bool = True
) -> bytes:
    """A response; HTML if no headers say otherwise."""
    lines = [f"HTTP/1.1 {status}", *(headers or (HTML,))]
    if length:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def redirect(location: str, *, status: str = "302 Found") -> bytes:
    return response(b"moved", f"Location: {location}", status=status)


def endless(head: bytes, piece: bytes, pause_s: float = 0.0) -> Answer:
    """A head, and a piece for ever after, with a pause before each."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        while not writer.is_closing():
            await writer.drain()
            await asyncio.sleep(pause_s)
            writer.write(piece)

    return answer


class Site:
    """A server with an answer for each path; *requests* are the heads it was sent."""

    def __init__(self, answers: dict[str, Answer]) -> None:
        self.answers = answers
        self.requests: list[bytes] = []
        self.connections = 0
        self.port = 0
        self.scheme = "http"
        self._tasks: set[asyncio.Task[Any]] = set()

    def url(self, path: str = "/", host: str = "127.0.0.1") -> str:
        return f"{self.scheme}://{host}:{self.port}{path}"

    def asked(self, number: int = -1) -> dict[str, str]:
        """The headers of a request, by their names in lower case."""
        lines = self.requests[number].decode("latin-1").split("\r\n")[1:]
        pairs = (line.partition(": ") for line in lines if line)
        return {name.lower(): value for name, _, value in pairs}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                self.requests.append(head)
                await self._answer(self.answers[head.split()[1].decode()], writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def _answer(self, answer: Answer, writer: asyncio.StreamWriter) -> None:
        if not isinstance(answer, bytes):
            await answer(writer)
            return
        writer.write(answer)
        await writer.drain()
        if b"\r\nContent-Length:" not in answer:
            writer.close()  # after the last byte
            await writer.wait_closed()

    async def leave(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks)


@asynccontextmanager
async def site(
    answers: dict[str, Answer] | Answer, host: str = "127.0.0.1", **more: Any
) -> AsyncIterator[Site]:
    """A site that listens; one answer is that of `/`."""
    served = Site(answers if isinstance(answers, dict) else {"/": answers})
    server = await asyncio.start_server(served.serve, host, 0, **more)
    served.port = server.sockets[0].getsockname()[1]
    served.scheme = "https" if more.get("ssl") else "http"
    try:
        yield served
    finally:
        server.close()
        await served.leave()


async def fetch(
    url: str, *, guard: Guard | None = None, timeout_s: float = 10.0, **options: Any
) -> Result:
    """What becomes of one URL with a fetcher of its own."""
    async with Fetcher(SystemClock(), guard=guard, **options) as fetcher:
        return await fetcher.fetch(url, timeout_s=timeout_s)


def code(result: Result) -> Code | None:
    return None if result.error is None else result.error.code


def detail(result: Result) -> str:
    assert result.error is not None
    return result.error.detail


# --- a page --------------------------------------------------------------------------------------


async def test_a_page_gives_its_title_and_all_that_is_known() -> None:
    """Every field of a result that went well."""
    clock = ManualClock()
    async with site(response()) as served, Fetcher(clock, guard=None) as fetcher:
        result = await fetcher.fetch(served.url("/#part"))

    expected = Result(
        url=served.url(),
        final_url=served.url(),
        status=200,
        title="One page",
        charset="utf-8",
        charset_source="header",
        bytes_read=len(PAGE),
        fetched_at="2023-11-14T22:13:20.000Z",
    )
    assert BEGIN == clock.now()
    assert expected == result


async def test_a_request_says_who_asks_and_what_can_be_read() -> None:
    """And nothing of whoever runs it: no cookies, no proxies, no language."""
    async with site(response()) as served:
        await fetch(served.url())

    assert b"GET / HTTP/1.1" == served.requests[0].split(b"\r\n")[0]
    assert {"host", "accept", "user-agent", "accept-encoding", "connection"} == set(served.asked())
    assert served.asked()["user-agent"].startswith("Dawdle/")
    assert "gzip, deflate, br, zstd" == served.asked()["accept-encoding"]


async def test_a_url_is_asked_for_as_it_was_read() -> None:
    """Nothing is escaped twice, and nothing unescaped."""
    async with site({"/%C3%A4%2F%zz?q=%26&%C3%BC=|": response()}) as served:
        result = await fetch(served.url("/ä%2F%zz?q=%26&ü=|"))

    assert "One page" == result.title


@pytest.mark.parametrize("text", ["", "example.com", "ftp://example.com/", "http://a b/"])
async def test_what_is_no_url_is_a_result_too(text: str) -> None:
    """Under the text that was given, with the reason."""
    result = await fetch(text)

    assert (text, Code.INVALID_URL, None) == (result.url, code(result), result.final_url)


@pytest.mark.parametrize("host", ["a..b.test", "b" * 64 + ".test", "xn--a.test", "-.test"])
async def test_a_host_that_no_name_server_takes_is_an_error_of_the_page(host: str) -> None:
    """Browsers and name servers differ in what a name is; neither crashes us."""
    assert code(await fetch(f"http://{host}/")) in (Code.INVALID_URL, Code.DNS_ERROR)


# --- compression ---------------------------------------------------------------------------------


def zstd(data: bytes) -> bytes:
    module = pytest.importorskip("backports.zstd")
    packed: bytes = module.compress(data)
    return packed


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


CODINGS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "gzip": ("gzip", gzip.compress),
    "deflate": ("deflate", zlib.compress),
    "deflate without its header": ("deflate", raw_deflate),
    "br": ("br", brotli.compress),
    "zstd": ("zstd", zstd),
}


@pytest.mark.parametrize("name", CODINGS)
async def test_a_compressed_page_is_read(name: str) -> None:
    """What was asked for can be undone; bytes are counted as the page has them."""
    coding, pack = CODINGS[name]
    async with site(response(pack(PAGE), HTML, f"Content-Encoding: {coding}")) as served:
        result = await fetch(served.url())

    assert ("One page", len(PAGE), None) == (result.title, result.bytes_read, result.error)


@pytest.mark.parametrize("name", CODINGS)
async def test_a_bomb_is_put_down_at_the_limit(name: str) -> None:
    """16 MiB of nothing in a few kB: no more is unpacked than the limit and a step."""
    coding, pack = CODINGS[name]
    bomb = pack(b" " * (16 << 20))
    async with site(response(bomb, HTML, f"Content-Encoding: {coding}")) as served:
        result = await fetch(served.url(), limits=Limits(page_bytes=1 << 18))

    assert (Code.TOO_LARGE, 1 << 18, None) == (code(result), result.bytes_read, result.title)
    assert "no title ended in the first 262144 bytes; more are not read" == detail(result)


async def test_compressed_rubbish_is_a_protocol_error() -> None:
    """A server that says gzip and sends something else."""
    async with site(response(b"no gzip at all, by any means", HTML, "Content-Encoding: gzip")) as (
        served
    ):
        result = await fetch(served.url())

    assert Code.PROTOCOL_ERROR is code(result)
    assert "is not compressed as it says" in detail(result)


async def test_a_coding_that_was_not_asked_for_is_a_protocol_error() -> None:
    """Its bytes are no page, so no title is made of them."""
    async with site(response(PAGE, HTML, "Content-Encoding: compress")) as served:
        result = await fetch(served.url())

    assert (Code.PROTOCOL_ERROR, None) == (code(result), result.title)
    assert "'compress', which was not asked for" in detail(result)


EMPTY = b"\x00\x00\x00\xff\xff"  # a block of nothing, stored (RFC 1951)
BLANK = b"\x00\x01\x00\xfe\xff "  # of one blank


@pytest.mark.parametrize(
    ("piece", "expected"),
    [(EMPTY * 2_000, Code.TIMEOUT), (EMPTY * 2_000 + BLANK, Code.TOO_LARGE)],
    ids=["nothing", "hardly anything"],
)
async def test_what_unpacks_to_hardly_anything_ends(piece: bytes, expected: Code) -> None:
    """Bytes count on the wire, too; and where nothing comes of them, it is silence."""
    head = response(b"", HTML, "Content-Encoding: deflate", length=False)
    async with site(endless(head, piece, pause_s=0.001)) as served:
        limits = Limits(page_bytes=1 << 16, silence_s=0.2)
        result = await fetch(served.url(), limits=limits)

    assert expected is code(result)
    assert result.bytes_read < 100


# --- limits --------------------------------------------------------------------------------------


async def test_an_endless_page_ends_at_the_limit() -> None:
    """A title that has not come by then does not come."""
    head = response(b"<!doctype html>", length=False)
    async with site(endless(head, b"<p>" * 1_000)) as served:
        result = await fetch(served.url(), limits=Limits(page_bytes=100_000))

    assert (Code.TOO_LARGE, 100_000) == (code(result), result.bytes_read)


async def test_an_endless_page_with_a_title_is_a_page() -> None:
    """Reading stops when the title is known; the rest is nobody's business."""
    async with site(endless(response(length=False), b"<p>" * 1_000)) as served:
        result = await fetch(served.url(), limits=Limits(page_bytes=100_000))

    assert ("One page", None) == (result.title, result.error)


@pytest.mark.parametrize(
    ("spare", "expected"), [(0, ("One page", None)), (-1, (None, Code.TOO_LARGE))]
)
async def test_a_page_may_be_as_long_as_the_limit(
    spare: int, expected: tuple[str | None, Code | None]
) -> None:
    """The last byte that is read may be the one that ends the title."""
    page = b" " * 1_000 + b"<title>One page</title>"
    async with site(response(page + b"x")) as served:
        result = await fetch(served.url(), limits=Limits(page_bytes=len(page) + spare))

    assert expected[1] is code(result)
    assert expected[0] == result.title or expected[1] is not None


async def test_a_page_that_ends_at_the_limit_has_no_title() -> None:
    """It is not too large: it was read to its end."""
    async with site(response(b" " * 1_000)) as served:
        result = await fetch(served.url(), limits=Limits(page_bytes=1_000))

    assert (Code.NO_TITLE, 1_000) == (code(result), result.bytes_read)


async def test_a_page_of_a_byte_now_and_then_is_given_up() -> None:
    """A rate is judged once there was some patience."""
    async with site(endless(response(b"<", length=False), b"p", pause_s=0.01)) as served:
        result = await fetch(served.url(), limits=Limits(patience_s=0.1))

    assert (Code.TIMEOUT, 200) == (code(result), result.status)
    assert "bytes a second, and 512 are the least" in detail(result)


async def test_a_page_that_begins_slowly_is_given_time() -> None:
    """A rate says something only after a while."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        for piece in (response(b" ", length=False), b" ", b" ", PAGE):
            writer.write(piece)
            await asyncio.sleep(0.02)

    async with site(answer) as served:
        result = await fetch(served.url())

    assert ("One page", None) == (result.title, result.error)


async def test_headers_of_a_byte_now_and_then_are_given_up() -> None:
    """What counts is the end of the headers, not that something comes."""
    async with site(endless(b"HTTP/1.1 200 OK\r\nA: ", b"a", pause_s=0.01)) as served:
        result = await fetch(served.url(), limits=Limits(head_s=0.1))

    assert (Code.TIMEOUT, None) == (code(result), result.status)
    assert "no answer came for 0.1 s; try again later" == detail(result)


async def test_a_page_that_falls_silent_is_given_up() -> None:
    """The title that was complete would have been enough; half of one is not."""
    async with site(endless(response(b"<title>One", length=False), b"", pause_s=0.01)) as served:
        result = await fetch(served.url(), limits=Limits(silence_s=0.1))

    assert (Code.TIMEOUT, 200) == (code(result), result.status)
    assert "nothing more of the page came for 0.1 s; try again later" == detail(result)


async def test_the_attempt_ends_with_its_time_whatever_the_phase() -> None:
    """Redirects that take their time share one limit."""

    async def slowly(writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.04)
        writer.write(redirect("/"))

    async with site(slowly) as served:
        result = await fetch(served.url(), timeout_s=0.1)

    assert Code.TIMEOUT is code(result)
    assert result.error is not None
    assert result.error.temporary
    assert "no answer came before the 0.1 s of the attempt were over" in detail(result)
    assert 1 <= len(result.hops) <= 2


async def test_a_server_that_takes_no_handshake_is_given_up() -> None:
    """TLS against a server that says nothing ends by the limit on connecting."""
    async with site(response()) as served:
        address = served.url().replace("http:", "https:")
        result = await fetch(address, limits=Limits(connect_s=0.1))

    assert Code.TIMEOUT is code(result)
    assert f"no connection to 127.0.0.1:{served.port} came about in time" == detail(result)


@pytest.mark.parametrize(
    "headers", [["A: b"] * 200, ["A: " + "b" * 70_000]], ids=["many", "a long one"]
)
async def test_a_flood_of_headers_is_refused(headers: list[str]) -> None:
    """Neither many nor long ones are kept in memory."""
    async with site(response(PAGE, HTML, *headers)) as served:
        result = await fetch(served.url())

    assert (Code.PROTOCOL_ERROR, None) == (code(result), result.title)


async def test_long_headers_of_real_sites_are_read() -> None:
    """Security policies grow beyond 8 kB."""
    async with site(response(PAGE, HTML, "Content-Security-Policy: " + "p" * 20_000)) as served:
        assert "One page" == (await fetch(served.url())).title


# --- broken servers ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (b"", Code.CONNECTION_ERROR),
        (b"220 mail.example ESMTP\r\n", Code.PROTOCOL_ERROR),
        (b"\x15\x03\x03\x00\x02\x02\x50", Code.PROTOCOL_ERROR),
        (b"HTTP/1.1 200 OK\r\nA", Code.CONNECTION_ERROR),
        (b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", Code.PROTOCOL_ERROR),
        (b"HTTP/1.1 200 OK\r\nA\r\n\r\n", Code.PROTOCOL_ERROR),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\nrubbish\r\n",
            Code.PROTOCOL_ERROR,
        ),
    ],
    ids=["nothing", "mail", "TLS", "half a head", "length", "header", "chunks"],
)
async def test_what_is_no_answer_in_http_is_an_error(answer: bytes, expected: Code) -> None:
    """Whose fault it is can be told from the code."""
    async with site(answer) as served:
        result = await fetch(served.url())

    assert expected is code(result)


@pytest.mark.parametrize(
    ("rest", "expected"),
    [(b"ZZ\r\nrubbish", Code.PROTOCOL_ERROR), (b"", Code.CONNECTION_ERROR)],
    ids=["rubbish", "nothing"],
)
async def test_a_page_that_breaks_is_an_error_beside_what_is_known(
    rest: bytes, expected: Code
) -> None:
    """Status and bytes that came before count."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(response(b"", *CHUNKED, length=False))
        writer.write(b"5\r\n<p>ab\r\n")
        await asyncio.sleep(0.05)  # for the client to see that much
        writer.write(rest)
        await writer.drain()
        writer.close()

    async with site(answer) as served:
        result = await fetch(served.url())

    assert (expected, 200, 5) == (code(result), result.status, result.bytes_read)


async def test_a_page_that_ends_early_is_a_broken_connection() -> None:
    """Fewer bytes than promised; another attempt may bring them all."""
    cut = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\ncontent-length: 100\r\n\r\n<p>"
    async with site(cut) as served:
        result = await fetch(served.url())

    assert Code.CONNECTION_ERROR is code(result)
    assert result.error is not None
    assert result.error.temporary
    assert detail(result).endswith("broke: it ended in the middle of the page")


async def test_a_port_where_nobody_listens_is_a_connection_error() -> None:
    """The operating system says why."""
    async with site(response()) as served:
        pass
    result = await fetch(served.url())

    assert (Code.CONNECTION_ERROR, served.url()) == (code(result), result.final_url)
    assert f"no connection to 127.0.0.1:{served.port}: connection refused" == detail(result)


# --- TLS -----------------------------------------------------------------------------------------


async def test_a_certificate_of_a_stranger_is_a_tls_error_unless_insecure() -> None:
    """Nobody is trusted without a reason, or being told to."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    async with site(response(), ssl=context) as served:
        refused = await fetch(served.url())
        accepted = await fetch(served.url(), insecure=True)

    assert Code.TLS_ERROR is code(refused)
    assert "unable to get local issuer certificate" in detail(refused)
    assert "One page" == accepted.title


# --- kinds ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "headers", "title", "expected"),
    [
        (PAGE, ["Content-Type: application/xhtml+xml"], "One page", None),
        (PAGE, ["A: b"], "One page", None),
        (b"\x89PNG", ["Content-Type: image/png"], None, Code.NOT_HTML),
        (PAGE, ["Content-Type: text/plain"], None, Code.NOT_HTML),
        (PAGE, ["Content-Type: text/xml"], None, Code.NOT_HTML),
        (b"{}", ["A: b"], None, Code.NOT_HTML),
        (b"", ["A: b"], None, Code.NO_TITLE),
        (b"", [HTML], None, Code.NO_TITLE),
        (b"<p>", [HTML], None, Code.NO_TITLE),
        (b"<title> </title>", [HTML], "", Code.NO_TITLE),
    ],
)
async def test_what_has_a_title_and_what_has_none(
    body: bytes, headers: list[str], title: str | None, expected: Code | None
) -> None:
    """As a browser's `document.title` would have it."""
    async with site(response(body, *headers)) as served:
        result = await fetch(served.url())

    assert (title, expected) == (result.title, code(result))


async def test_an_error_page_keeps_its_title() -> None:
    """And how long to stay away."""
    answer = response(PAGE, HTML, "Retry-After: 7", status="503 Service Unavailable")
    async with site(answer) as served:
        result = await fetch(served.url())

    assert ("One page", Code.HTTP_ERROR, 503) == (result.title, code(result), result.status)
    assert 7.0 == result.retry_after
    assert result.error is not None
    assert result.error.temporary


@pytest.mark.parametrize("headers", [["Content-Type: application/json"], [HTML]])
async def test_a_bad_status_outweighs_what_else_is_wrong(headers: list[str]) -> None:
    """A 404 without a title is a 404."""
    async with site(response(b"{}", *headers, status="404 Not Found")) as served:
        result = await fetch(served.url())

    assert (Code.HTTP_ERROR, None) == (code(result), result.title)
    assert f"127.0.0.1:{served.port} answers 404 Not Found" == detail(result)


# --- redirects -----------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_followed_and_recorded(status: int) -> None:
    """Relative to the page, without its fragment."""
    answers: dict[str, Answer] = {
        "/a/b": redirect("../c?d#e", status=f"{status} Moved"),
        "/c?d": response(),
    }
    async with site(answers) as served, Fetcher(ManualClock(), guard=None) as fetcher:
        result = await fetcher.fetch(served.url("/a/b"))

    assert (served.url("/a/b"), served.url("/c?d")) == (result.url, result.final_url)
    assert ("One page", None) == (result.title, result.error)
    assert (Hop(served.url("/a/b"), status, 0.0),) == result.hops


@pytest.mark.parametrize("status", ["300 Choices", "304 Same", "305 Proxy", "302 Found"])
async def test_what_leads_nowhere_is_the_page(status: str) -> None:
    """Other 3xx, and redirects without a `Location`."""
    location = [] if status == "302 Found" else ["Location: /elsewhere"]
    async with site(response(b"", HTML, *location, status=status)) as served:
        result = await fetch(served.url())

    assert () == result.hops
    assert int(status[:3]) == result.status


async def test_a_loop_ends_after_ten_redirects() -> None:
    """All of which are told."""
    async with site(redirect("/")) as served:
        result = await fetch(served.url())

    assert (Code.TOO_MANY_REDIRECTS, 10, None) == (code(result), len(result.hops), result.title)
    assert 11 == len(served.requests)
    assert "once more after 10 redirects" in detail(result)


@pytest.mark.parametrize("location", ["ftp://h/", "javascript:alert(1)", "http://", "//[::"])
async def test_a_redirect_to_no_page_is_refused(location: str) -> None:
    """The status and URL of the redirect are what is known."""
    async with site(redirect(location)) as served:
        result = await fetch(served.url())

    assert (Code.INVALID_URL, 302, served.url()) == (code(result), result.status, result.final_url)
    assert detail(result).startswith(f"127.0.0.1:{served.port} redirects, but ")


async def test_a_secret_stays_at_its_origin() -> None:
    """Another host, port or scheme is told what is harmless, and no more on the way back."""
    given = {"Authorization": "x", "Cookie": "x", "X-Key": "x", "Accept-Language": "de"}
    async with site({"/back": response()}) as first, site({"/": b""}, "127.0.0.2") as second:
        first.answers["/"] = redirect("/same")
        first.answers["/same"] = redirect(second.url(host="127.0.0.2"))
        second.answers["/"] = redirect(first.url("/back"))
        await fetch(first.url(), headers=given, user_agent="me")

    secrets = {"authorization", "cookie", "x-key"}
    assert [secrets, secrets, set()] == [secrets & set(first.asked(n)) for n in range(3)]
    assert set() == secrets & set(second.asked())
    assert ("de", "me") == (second.asked()["accept-language"], second.asked()["user-agent"])


async def test_cookies_are_not_kept(answers: dict[str, list[list[str]]]) -> None:
    """What one page sets no other is told."""
    answers["page.test"] = [["127.0.0.1"]]
    answer = response(b"", "Set-Cookie: a=b", "Location: /next", status="302 Found")
    async with site({"/": answer, "/next": response()}) as served:
        await fetch(served.url(host="page.test"))

    assert 2 == len(served.requests)
    assert "cookie" not in served.asked()


async def test_credentials_in_a_url_are_used_where_all_is_allowed() -> None:
    """And outweigh a header that says otherwise."""
    async with site(response()) as served:
        result = await fetch(
            served.url().replace("//", "//me:secret@"), headers={"Authorization": "Bearer x"}
        )

    assert "One page" == result.title
    assert "Basic bWU6c2VjcmV0" == served.asked()["authorization"]


# --- connections ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "connections"),
    [
        (response(PAGE + b" " * (DRAINED_BYTES - 100)), 2),
        (response(PAGE + b" " * 4_000_000), 3),
        (response(b"x" * 1_000, "Content-Type: image/png"), 2),
        (response(b"%x\r\n%b\r\n" % (len(PAGE), PAGE), *CHUNKED, length=False), 3),
        (response(b"%x\r\n%b\r\n0\r\n\r\n" % (len(PAGE), PAGE), *CHUNKED, length=False), 2),
    ],
    ids=["small", "large", "no page", "unknown", "there already"],
)
async def test_a_connection_is_kept_if_little_is_left_to_read(
    answer: bytes, connections: int
) -> None:
    """More than that costs more than another connection; and not when a host is asked first."""

    async def unended(writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        await writer.drain()

    async with site(unended) as served, Fetcher(SystemClock(), guard=None) as fetcher:
        for _ in range(3):
            await fetcher.fetch(served.url())

    assert connections == served.connections


async def test_a_rest_that_does_not_come_is_not_waited_for() -> None:
    """The title is known: the result is good, whatever time the attempt has left."""
    head = response(PAGE).replace(b"Content-Length: ", b"Content-Length: 1")
    stalling = site(endless(head, b"", pause_s=0.01))
    async with stalling as served, Fetcher(SystemClock(), guard=None) as fetcher:
        times = (10.0, 10.0, 0.1)
        results = [await fetcher.fetch(served.url(), timeout_s=one) for one in times]

    assert [("One page", None)] * 3 == [(result.title, result.error) for result in results]


def test_the_origins_asked_last_are_known() -> None:
    """Those asked longest ago are forgotten first."""
    lately = Lately(2)

    known = [lately.knew(origin) for origin in "abacbba"]

    assert [False, False, True, False, False, True, False] == known


async def test_many_pages_at_once_do_not_wait_for_each_other() -> None:
    """How many may be under way is the caller's to say."""
    everybody = asyncio.Barrier(150)

    async def together(writer: asyncio.StreamWriter) -> None:
        await everybody.wait()
        writer.write(response())

    async with site(together, backlog=200) as served, Fetcher(SystemClock(), guard=None) as fetcher:
        results = await asyncio.gather(*(fetcher.fetch(served.url()) for _ in range(150)))

    assert {"One page"} == {result.title for result in results}


async def test_a_page_is_read_in_pieces_between_which_others_go_on() -> None:
    """Scanning holds up the event loop, and with it every other page and deadline."""
    turns, sizes, met = 0, [], []

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    class Listening(Page):
        def feed(self, data: bytes) -> bool:
            sizes.append(len(data))
            met.append(turns)
            return super().feed(data)

    async with site(response(b"<p>" * 50_000)) as served:
        task = asyncio.create_task(other())
        await fetch(served.url(), page=Listening)
        task.cancel()

    assert 150_000 == sum(sizes)
    assert PIECE_BYTES == max(sizes)
    assert len(met) == len(set(met))


async def test_a_fetch_can_be_cancelled() -> None:
    """The one thing it raises; the connection is gone with it."""
    asked = asyncio.Event()

    async def wait(_: asyncio.StreamWriter) -> None:
        asked.set()
        await asyncio.Event().wait()

    async with site(wait) as served, Fetcher(SystemClock(), guard=None) as fetcher:
        task = asyncio.create_task(fetcher.fetch(served.url()))
        await asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_our_own_fault_is_a_result_too(caplog: pytest.LogCaptureFixture) -> None:
    """One page must not end a job of many; the log says what happened."""

    def broken(_: str | None) -> Any:
        raise ZeroDivisionError

    async with site(response()) as served:
        result = await fetch(served.url(), page=broken)

    assert (Code.CRASHED, 200) == (code(result), result.status)
    assert "ZeroDivisionError" in caplog.text


# --- options -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "sentence"),
    [
        ({"a b": "c"}, "'a b: c' is no header; write one as NAME: VALUE"),
        ({"": "c"}, "': c' is no header; write one as NAME: VALUE"),
        ({"a": "b\r\nc: d"}, "'a: b\\r\\nc: d' is no header; write one as NAME: VALUE"),
        ({"Host": "c"}, "the header Host is the client's own to send; leave it out"),
        ({"te": "c"}, "the header te is the client's own to send; leave it out"),
    ],
)
def test_a_header_that_can_not_be_sent_is_refused(headers: dict[str, str], sentence: str) -> None:
    """Before anything is fetched."""
    with pytest.raises(BadValue) as refusal:
        Fetcher(SystemClock(), guard=None, headers=headers)

    assert sentence == str(refusal.value)


def test_a_proxy_and_a_guard_exclude_each_other() -> None:
    """The guard would judge the address of the proxy alone."""
    with pytest.raises(BadValue, match="leave out the proxy, or the guard"):
        Fetcher(SystemClock(), guard=Guard(), proxy="http://127.0.0.1:1")


async def test_a_proxy_is_asked_for_the_whole_url() -> None:
    """So it can fetch what we can't reach; the name is its to look up."""
    async with site({"http://page.test/a": response()}) as served:
        result = await fetch("http://page.test/a", proxy=f"127.0.0.1:{served.port}")

    assert ("One page", "http://page.test/a") == (result.title, result.final_url)


async def test_a_proxy_of_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where requests go is said where they are asked for."""
    async with site(response()) as served:
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
        result = await fetch(served.url())

    assert "One page" == result.title


# --- the guard -----------------------------------------------------------------------------------


async def test_a_closed_address_is_not_connected_to() -> None:
    """By number, whatever the notation."""
    async with site(response()) as served:
        hosts = ("127.0.0.1", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]")
        results = [await fetch(served.url(host=host), guard=Guard()) for host in hosts]

    assert {Code.BLOCKED} == {code(result) for result in results}
    assert 0 == served.connections


async def test_a_redirect_to_a_closed_address_is_blocked() -> None:
    """The first page is open, the second is not, and is never connected to."""
    async with site(response(), "127.0.0.2") as hidden, site(b"") as served:
        served.answers["/"] = redirect(hidden.url(host="127.0.0.2"))
        guard = Guard([opening(f"127.0.0.1:{served.port}")])
        result = await fetch(served.url(), guard=guard)

    assert (Code.BLOCKED, None) == (code(result), result.status)
    assert hidden.url(host="127.0.0.2") == result.final_url
    assert [served.url()] == [hop.url for hop in result.hops]
    assert 0 == hidden.connections


@pytest.mark.parametrize("location", ["http://u@127.0.0.1/", "http://127.0.0.1:22/"])
async def test_a_redirect_is_judged_by_its_url_too(location: str) -> None:
    """Credentials and other protocols' ports are refused on every hop."""
    async with site(redirect(location)) as served:
        guard = Guard([opening(f"127.0.0.1:{served.port}")])
        assert Code.BLOCKED is code(await fetch(served.url(), guard=guard))


async def test_of_the_service_only_its_site_is_fetched_over_any_connection() -> None:
    """A kept connection that was opened for the site serves nothing else."""
    async with site({"/site/1": response(), "/runs": response(), "/site/2": redirect("/runs")}) as (
        served
    ):
        guard = Guard(site=[("127.0.0.1", served.port)])
        async with Fetcher(SystemClock(), guard=guard) as fetcher:
            paths = ("/site/1", "/site/1", "/runs", "/site/2", "/site/1")
            results = [await fetcher.fetch(served.url(path)) for path in paths]

    blocked, asked = Code.BLOCKED, [head.split()[1] for head in served.requests]
    assert [None, None, blocked, blocked, None] == [code(result) for result in results]
    assert [b"/site/1", b"/site/1", b"/site/2", b"/site/1"] == asked
    assert "only the pages below /site are fetched, not '/runs'" in detail(results[2])


class FakeNames:
    """In the place of a resolver: each look-up of a name takes the next of its answers."""

    def __init__(self, answers: dict[str, list[list[str]]]) -> None:
        self.answers = answers

    def __call__(self, **options: object) -> "FakeNames":
        return self

    async def resolve(self, host: str, port: int, family: int) -> list[ResolveResult]:
        found = self.answers[host].pop(0)
        return [
            ResolveResult(hostname=host, host=one, port=port, family=family, proto=0, flags=0)
            for one in found
        ]

    async def close(self) -> None:
        """Nothing is open."""


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[list[str]]]:
    """What a name server says from now on, by name, in turn."""
    said: dict[str, list[list[str]]] = {}
    monkeypatch.setattr(names, "AsyncResolver", FakeNames(said))
    return said


async def test_a_name_of_closed_addresses_is_blocked(answers: dict[str, list[list[str]]]) -> None:
    """Also when there are several."""
    answers["page.test"] = [["127.0.0.1", "127.0.0.2", "::1"]]
    async with site(response()) as served:
        result = await fetch(served.url(host="page.test"), guard=Guard())

    assert (Code.BLOCKED, 0) == (code(result), served.connections)
    assert "page.test" in detail(result)


@pytest.mark.parametrize("order", [["127.0.0.2", "127.0.0.1"], ["127.0.0.1", "127.0.0.2"]])
async def test_of_several_addresses_only_the_open_ones_are_tried(
    answers: dict[str, list[list[str]]], order: list[str]
) -> None:
    """One that is closed neither hides the others nor is connected to."""
    answers["page.test"] = [order, order]
    async with site(response()) as served:
        guard = Guard([opening(f"127.0.0.1:{served.port}")])
        good = await fetch(served.url(host="page.test"), guard=guard)
    refused = await fetch(served.url(host="page.test"), guard=guard)

    assert "One page" == good.title
    assert Code.CONNECTION_ERROR is code(refused)


async def test_the_guard_stands_where_connections_are_opened(
    answers: dict[str, list[list[str]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A resolver that lets everything through changes nothing; nor do several addresses."""
    answers["page.test"] = [["127.0.0.1", "127.0.0.2"]]
    monkeypatch.setattr("app.titles.fetch.Names", lambda guard: names.Names(None))
    async with site(response()) as served:
        result = await fetch(served.url(host="page.test"), guard=Guard())

    assert (Code.BLOCKED, 0) == (code(result), served.connections)


async def test_a_name_that_changes_its_mind_is_judged_again(
    answers: dict[str, list[list[str]]],
) -> None:
    """First an open address, then a closed one: the second connection is refused."""
    answers["page.test"] = [["127.0.0.1"], ["127.0.0.2"]]
    closing = response(PAGE, HTML, "Connection: close")
    async with site(closing) as served:
        guard = Guard([opening(f"127.0.0.1:{served.port}")])
        first = await fetch(served.url(host="page.test"), guard=guard)
        second = await fetch(served.url(host="page.test"), guard=guard)

    assert [None, Code.BLOCKED] == [code(first), code(second)]
    assert 1 == served.connections
