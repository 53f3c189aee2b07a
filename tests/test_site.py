"""The demonstration site: fifty pages, each as its row says, whole, slow or broken."""

import asyncio
import gzip
import re
from contextlib import suppress
from xml.etree.ElementTree import Element

import html5lib
import pytest
import webencodings

from app import delivery
from app.clock import SystemClock
from app.faults import GARBAGE
from app.site import PAGES, Declared, Delivery, body_of, headers_of
from app.titles.fetch import Fetcher
from app.titles.results import Code, Result
from tests.service import BROWSER, CLOSE, HOST, Client, Start, parts, raw

ON_TIME = (Delivery.WHOLE, Delivery.LATE, Delivery.SLOW)
COMPLETE = [number for number, page in PAGES.items() if page.delivery in ON_TIME]
HTML = [
    number
    for number, page in PAGES.items()
    if page.content_type.startswith("text/html") and page.code != "too_large"
]
TITLED = [
    number for number in HTML if PAGES[number].title is not None and PAGES[number].status != 302
]


def delivered(how: Delivery) -> int:
    """The number of the page that is delivered so."""
    (number,) = (number for number, page in PAGES.items() if page.delivery is how)
    return number


def read(number: int) -> str:
    """The page as a browser decodes it."""
    page = PAGES[number]
    text, _ = webencodings.decode(body_of(number), page.encoding)
    return text


# --- the table -----------------------------------------------------------------------------------


def test_there_are_fifty_pages() -> None:
    """Numbered from 1."""
    assert list(range(1, 51)) == list(PAGES)


@pytest.mark.parametrize("number", TITLED)
def test_title_is_what_a_browser_shows(number: int) -> None:
    """By html5lib, from the text that the declared encoding gives."""
    tree = html5lib.parse(read(number), namespaceHTMLElements=True)

    elements = tree.iter("{http://www.w3.org/1999/xhtml}title")
    outside = [element for element in elements if element not in in_templates(tree)]

    assert PAGES[number].title == re.sub("[ \t\n\f\r]+", " ", outside[0].text or "").strip(" ")


def in_templates(tree: Element) -> list[object]:
    """What stands inside templates, which is no part of the page."""
    templates = tree.iter("{http://www.w3.org/1999/xhtml}template")
    return [element for template in templates for element in template.iter()]


@pytest.mark.parametrize("number", HTML)
def test_page_is_declared_as_its_row_says(number: int) -> None:
    """And no pages says it twice, but those about contradictions."""
    page, body = PAGES[number], body_of(number)

    assert (page.declared is Declared.HEADER) == headers_of(page)["Content-Type"].endswith(
        f"charset={page.encoding}"
    )
    assert (page.declared is Declared.XML) == body.startswith(b"<?xml")
    assert (page.declared is Declared.BOM) == body.startswith((b"\xef\xbb\xbf", b"\xff\xfe"))
    if page.declared in (Declared.META, Declared.HTTP_EQUIV):
        assert f"charset={page.encoding}" in body.decode("ascii", "ignore").replace('"', "")


def test_many_languages_and_encodings_occur() -> None:
    """Else the site would show little."""
    assert 20 <= len({page.language for page in PAGES.values()})
    assert 20 <= len({page.encoding for page in PAGES.values()})
    assert set(Declared) == {page.declared for page in PAGES.values()}
    assert set(Delivery) == {page.delivery for page in PAGES.values()}


def test_redirects_lead_to_pages_of_the_site() -> None:
    """One to the page whose title it has, one to itself."""
    assert {34: "1", 45: "45"} == {
        number: page.headers["Location"]
        for number, page in PAGES.items()
        if "Location" in page.headers
    }
    assert PAGES[1].title == PAGES[34].title


def test_bomb_is_small_and_unpacks_to_more_than_is_read() -> None:
    """More than 2 MiB, the default of what is read for a title."""
    number = next(n for n, page in PAGES.items() if "Content-Encoding" in page.headers)

    assert len(body_of(number)) < 64 * 1024
    assert 2 << 20 < len(gzip.decompress(body_of(number)))


# --- on the wire ---------------------------------------------------------------------------------


async def test_pages_arrive_as_they_are(client: Client) -> None:
    """Bytes, type and status are those of the rows; open to everybody, and unable to act."""
    for number in COMPLETE:
        reply = await raw(client, f"GET /site/{number} HTTP/1.1\r\n".encode() + CLOSE)

        status, headers, body = parts(reply)
        assert (PAGES[number].status, body_of(number)) == (status, body)
        assert (
            headers_of(PAGES[number]).items()
            <= {
                "Content-Type": headers["content-type"],
                **{name: headers.get(name.lower()) for name in PAGES[number].headers},
            }.items()
        )
        assert "sandbox; default-src 'none'" == headers["content-security-policy"]
        assert ("*", "nosniff") == (
            headers["access-control-allow-origin"],
            headers["x-content-type-options"],
        )


async def test_head_gets_the_headers_without_a_body(client: Client) -> None:
    """Of all but those that never have an answer."""
    for number, page in PAGES.items():
        if page.delivery not in (Delivery.SILENT, Delivery.GARBAGE, Delivery.RESET):
            status, _, body = parts(await raw_or_reset(client, number, method="HEAD"))
            assert (page.status, b"") == (status, body)


async def raw_or_reset(client: Client, number: int, method: str = "GET") -> bytes:
    """The bytes up to the end of the connection; nothing where it breaks."""
    with suppress(ConnectionResetError):
        return await raw(client, f"{method} /site/{number} HTTP/1.1\r\n".encode() + CLOSE)
    return b""


async def test_slow_page_comes_in_pieces(client: Client) -> None:
    """Its headers are there before its end."""
    reader, writer = await asyncio.open_connection(client.host, client.port)
    writer.write(f"GET /site/{delivered(Delivery.SLOW)} HTTP/1.1\r\n".encode() + CLOSE)

    head = await reader.readuntil(b"\r\n\r\n")
    first = await reader.read(100)

    assert head.startswith(b"HTTP/1.1 200")
    assert 0 < len(first) < len(body_of(delivered(Delivery.SLOW)))
    writer.close()


async def test_stalled_page_says_its_title_and_falls_silent(client: Client) -> None:
    """The title stands in the half that comes."""
    number = delivered(Delivery.STALLED)
    reader, writer = await asyncio.open_connection(client.host, client.port)
    writer.write(f"GET /site/{number} HTTP/1.1\r\n".encode() + CLOSE)

    half = body_of(number)[: len(body_of(number)) // 2]
    received = await reader.readuntil(half)

    assert b"</title>" in received
    assert not reader.at_eof()
    writer.close()


async def test_silent_page_sends_nothing_for_a_while_and_ends(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who never gives up is let go some day."""
    monkeypatch.setattr(delivery, "LONGEST_SILENCE_S", 0.001)

    assert b"" == await raw_or_reset(client, delivered(Delivery.SILENT))


async def test_cut_page_brings_half_of_what_it_promised(client: Client) -> None:
    """And its title stands in the other half."""
    number = delivered(Delivery.CUT)

    _, headers, body = parts(await raw_or_reset(client, number))

    assert (str(len(body_of(number))), len(body_of(number)) // 2) == (
        headers["content-length"],
        len(body),
    )
    assert b"<title>" not in body


async def test_endless_page_goes_on_until_its_end(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Chunk after chunk; after 64 MiB all the same it is over."""
    number = delivered(Delivery.ENDLESS)
    monkeypatch.setattr(delivery, "MOST_ENDLESS_BYTES", 3 * len(body_of(number)))

    answer = await client.get(f"/site/{number}")

    assert 3 * body_of(number) == await answer.read()


async def test_garbage_is_no_http(client: Client) -> None:
    """As from a server of something else."""
    assert GARBAGE == await raw_or_reset(client, delivered(Delivery.GARBAGE))


async def test_reset_breaks_the_connection(client: Client) -> None:
    """A RST, no FIN."""
    with pytest.raises(ConnectionResetError):
        await raw(
            client, f"GET /site/{delivered(Delivery.RESET)} HTTP/1.1\r\n".encode() + HOST + b"\r\n"
        )


@pytest.mark.parametrize("path", ["/site/0", "/site/51", "/site/99", "/site/100", "/site/x"])
async def test_no_other_page_is_there(client: Client, path: str) -> None:
    """Fifty it is."""
    answer = await client.get(path)

    assert (404, "urn:dawdle:problem:not-found") == (answer.status, (await answer.json())["type"])


async def test_pages_are_open_where_a_token_is_set(start: Start) -> None:
    """The fetcher has none."""
    client = await start(token="secret-enough")

    assert 200 == (await client.get("/site/1", headers={"Host": "elsewhere.example"})).status
    assert 401 == (await client.get("/site")).status


async def test_preflight_is_answered(client: Client) -> None:
    """As browsers want it before a script may ask with headers of its own."""
    asked = {"Origin": "https://app.example", "Access-Control-Request-Method": "GET"}

    assert 204 == (await client.options("/site/1", headers=asked)).status


# --- what is found -------------------------------------------------------------------------------

SOURCES = {
    Declared.HEADER: {"header"},
    Declared.META: {"meta"},
    Declared.HTTP_EQUIV: {"meta"},
    Declared.XML: {"xml"},
    Declared.BOM: {"bom"},
    Declared.NOWHERE: {"detected", "default"},
}


async def found(client: Client) -> dict[int, Result]:
    """What a fetch of all fifty finds; only the one that never comes has but a second."""
    async with Fetcher(SystemClock(), guard=None) as fetcher:
        fetches = (
            fetcher.fetch(
                str(client.make_url(f"/site/{number}")),
                timeout_s=1 if page.code == Code.TIMEOUT else 60,
            )
            for number, page in PAGES.items()
        )
        return dict(zip(PAGES, await asyncio.gather(*fetches), strict=True))


async def test_fetch_of_all_fifty_finds_what_the_table_says(client: Client) -> None:
    """Titles, and the codes of those that fail."""
    results = await found(client)

    assert {number: (page.title, page.code) for number, page in PAGES.items()} == {
        number: (result.title, result.error and result.error.code)
        for number, result in results.items()
    }
    assert results[34].final_url == str(client.make_url("/site/1"))
    for number in TITLED:
        page, result = PAGES[number], results[number]
        assert getattr(webencodings.lookup(page.encoding), "name", None) == result.charset, number
        assert result.charset_source in SOURCES[page.declared], number


# --- the list of them ----------------------------------------------------------------------------


async def test_list_says_what_each_page_shows(client: Client) -> None:
    """As JSON, with what must be found."""
    pages = (await (await client.get("/site")).json())["pages"]

    assert list(PAGES) == [page["number"] for page in pages]
    assert {
        "number": 39,
        "path": "/site/39",
        "shows": "An error page, whose title is kept",
        "language": "en",
        "encoding": "utf-8",
        "declared": "header",
        "delivery": "whole",
        "title": "Nothing to be found here",
        "code": "http_error",
    } == pages[38]


async def test_list_as_text_is_a_url_a_line(client: Client) -> None:
    """As `dawdle titles -` takes it."""
    lines = (await (await client.get("/site.txt")).text()).splitlines()

    assert [str(client.make_url(f"/site/{number}")) for number in PAGES] == lines


async def test_list_is_a_page_for_people(client: Client) -> None:
    """With every title, as text."""
    text = await (await client.get("/site", headers=BROWSER)).text()

    assert text.count('<tr role="row">') == 1 + len(PAGES)
    assert "Zażółć gęślą jaźń" in text
    assert "5 € &lt; 6 €" in text
