"""
The demonstration site: fifty pages to try the titles on without a network. Pure.

Each page is a value that says what it shows, how its bytes come about, how they are delivered,
and what must be found: the title, or the code of the error. So tests hold a fetch of all fifty
against this table.
"""

import enum
import gzip
import html
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from types import MappingProxyType

# What Python reads under these labels is less than, or not, what browsers read under them
# (https://encoding.spec.whatwg.org/#names-and-labels).
CODECS = {
    "gb2312": "gbk",
    "iso-8859-1": "cp1252",
    "iso-8859-9": "cp1254",
    "shift_jis": "cp932",
    "euc-kr": "cp949",
    "tis-620": "cp874",
}

# The smallest PNG there is: one transparent pixel.
PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010804000000b51c0c020000000b4944415478da63"
    "64f80f00010501012718e3660000000049454e44ae426082"
)


class Declared(enum.StrEnum):
    """Where a page says which encoding it is in."""

    HEADER = "header"
    META = "meta"
    HTTP_EQUIV = "meta http-equiv"
    XML = "XML declaration"
    BOM = "byte order mark"
    NOWHERE = "nowhere"


class Delivery(enum.StrEnum):
    """How a page goes over the wire."""

    WHOLE = "whole"
    LATE = "late"  # after a while, then whole
    SLOW = "slow"  # a few bytes at a time
    STALLED = "stalled"  # the first half, then silence
    SILENT = "silent"  # not a byte
    CUT = "cut"  # half of what was promised
    ENDLESS = "endless"  # over and over again
    GARBAGE = "garbage"  # bytes that are no HTTP
    RESET = "reset"  # a connection that breaks instead of an answer


@dataclass(frozen=True, slots=True, kw_only=True)
class SitePage:
    """
    One page of the site, with what must be found on it.

    *title* is `document.title`; None where there is none, or nobody gets to see it. *encoding* is
    the label under which it is declared, and its bytes are what that label means. *head* stands in
    place of the title element, *document*, so many times, in place of the whole page, and *body*
    in place of its bytes.
    """

    shows: str
    title: str | None = None
    code: str | None = None
    language: str = "en"
    encoding: str = "utf-8"
    declared: Declared = Declared.HEADER
    head: str | None = None
    document: str | None = None
    repeats: int = 1
    body: bytes | None = None
    status: int = 200
    content_type: str = "text/html"
    headers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    delivery: Delivery = Delivery.WHOLE


@cache
def body_of(number: int) -> bytes:
    """The bytes of that page, as they are sent."""
    page = PAGES[number]
    if page.body is not None:
        return page.body
    text = page.document or _document(page)
    plain = text.encode(CODECS.get(page.encoding, page.encoding)) * page.repeats
    return gzip.compress(plain, mtime=0) if "Content-Encoding" in page.headers else plain


def headers_of(page: SitePage) -> dict[str, str]:
    """The headers that are the page's own."""
    charset = f"; charset={page.encoding}" if page.declared is Declared.HEADER else ""
    return {"Content-Type": page.content_type + charset, **page.headers}


def entry(number: int, page: SitePage) -> dict[str, object]:
    """The page as the list of the site has it."""
    return {
        "number": number,
        "path": f"/site/{number}",
        "shows": page.shows,
        "language": page.language,
        "encoding": None if page.body else page.encoding,
        "declared": str(page.declared),
        "delivery": str(page.delivery),
        "title": page.title,
        "code": page.code,
    }


def _document(page: SitePage) -> str:
    heading = html.escape(page.title or page.shows, quote=False)
    head = page.head or f"<title>{heading}</title>"
    return (
        f"{_PROLOGS.get(page.declared, '').format(page.encoding)}<!doctype html>\n"
        f'<html lang="{page.language}">\n'
        f"{_METAS.get(page.declared, '').format(page.encoding)}{head}\n"
        f"<h1>{heading}</h1>\n"
        f"<p>{html.escape(page.shows, quote=False)}.</p>\n"
    )


_PROLOGS = {
    Declared.XML: '<?xml version="1.0" encoding="{}"?>\n',
    Declared.BOM: "\N{ZERO WIDTH NO-BREAK SPACE}",
}
_METAS = {
    Declared.META: '<meta charset="{}">\n',
    Declared.HTTP_EQUIV: '<meta http-equiv="Content-Type" content="text/html; charset={}">\n',
}


# --- the fifty pages -----------------------------------------------------------------------------

_LANGUAGES = (
    SitePage(
        shows="English, plain and simple",
        title="A page to begin with",
    ),
    SitePage(
        shows="German in UTF-8",
        title="Größe, Maß und Übermut",
        language="de",
        declared=Declared.META,
    ),
    SitePage(
        shows="French under the label of Latin-1, which means windows-1252",
        title="Cœur naïf à Nîmes – un été pour 5 €",
        language="fr",
        encoding="iso-8859-1",
    ),
    SitePage(
        shows="Spanish, with the old form of the declaration",
        title="¿Dónde está la biblioteca? ¡Allí, señor!",
        language="es",
        encoding="windows-1252",
        declared=Declared.HTTP_EQUIV,
    ),
    SitePage(
        shows="Polish in Latin-2",
        title="Zażółć gęślą jaźń",
        language="pl",
        encoding="iso-8859-2",
        declared=Declared.META,
    ),
    SitePage(
        shows="Czech",
        title="Příliš žluťoučký kůň úpěl ďábelské ódy",
        language="cs",
        encoding="windows-1250",
    ),
    SitePage(
        shows="Turkish under the label of Latin-5, which means windows-1254",
        title="Pijamalı hasta, yağız şoföre çabucak güvendi…",
        language="tr",
        encoding="iso-8859-9",
        declared=Declared.META,
    ),
    SitePage(
        shows="Greek",
        title="Ξεσκεπάζω την ψυχοφθόρα βδελυγμία",
        language="el",
        encoding="iso-8859-7",
    ),
    SitePage(
        shows="Russian as Windows wrote it",
        title="Съешь ещё этих мягких французских булок",
        language="ru",
        encoding="windows-1251",
    ),
    SitePage(
        shows="Russian as Unix wrote it",
        title="В чащах юга жил бы цитрус?",
        language="ru",
        encoding="koi8-r",
        declared=Declared.META,
    ),
    SitePage(
        shows="Ukrainian",
        title="Жебракують філософи при ґанку церкви в Гадячі",
        language="uk",
        encoding="koi8-u",
    ),
    SitePage(
        shows="Bulgarian, declared as XML is",
        title="Жълтата дюля беше щастлива",
        language="bg",
        encoding="windows-1251",
        declared=Declared.XML,
    ),
    SitePage(
        shows="Hebrew, from right to left",
        title="דג סקרן שט בים מאוכזב",
        language="he",
        encoding="windows-1255",
        declared=Declared.META,
    ),
    SitePage(
        shows="Arabic, from right to left",
        title="صفحة عربية للتجربة",
        language="ar",
        encoding="windows-1256",
        declared=Declared.META,
    ),
    SitePage(
        shows="Thai under an old label of windows-874",
        title="หน้าเว็บภาษาไทย",
        language="th",
        encoding="tis-620",
    ),
    SitePage(
        shows="Vietnamese, whose accents are characters of their own here",
        title="Tiê\u0301ng Viê\u0323t co\u0301 dâ\u0301u",
        language="vi",
        encoding="windows-1258",
        declared=Declared.META,
    ),
    SitePage(
        shows="Chinese in GBK",
        title="京东：多快好省，只为品质生活",
        language="zh-Hans",
        encoding="gbk",
    ),
    SitePage(
        shows="Chinese under the label gb2312, with characters that only GBK has",
        title="陶喆与朱镕基：标签是 gb2312，内容是 GBK",
        language="zh-Hans",
        encoding="gb2312",
        declared=Declared.META,
    ),
    SitePage(
        shows="Chinese with characters of four bytes",
        title="𠮷野家与㐂寿司：四字节编码",
        language="zh-Hans",
        encoding="gb18030",
        declared=Declared.META,
    ),
    SitePage(
        shows="Traditional Chinese, whose bytes may look like backslashes",
        title="許功蓋的網頁：繁體中文",
        language="zh-Hant",
        encoding="big5",
        declared=Declared.HTTP_EQUIV,
    ),
    SitePage(
        shows="Japanese with characters that only Windows has",
        title="①②③ 髙島屋の「表示」ソフト",
        language="ja",
        encoding="shift_jis",
        declared=Declared.META,
    ),
    SitePage(
        shows="Japanese as Unix wrote it",
        title="吾輩は猫である。名前はまだ無い。",
        language="ja",
        encoding="euc-jp",
    ),
    SitePage(
        shows="Japanese in seven bits, with escape sequences between alphabets",
        title="いろはにほへと ABC ちりぬるを",
        language="ja",
        encoding="iso-2022-jp",
        declared=Declared.META,
    ),
    SitePage(
        shows="Korean with a syllable that only the larger set has",
        title="똠방각하의 한국어 페이지",
        language="ko",
        encoding="euc-kr",
        declared=Declared.META,
    ),
    SitePage(
        shows="Hindi in UTF-8 that nothing declares",
        title="बिना घोषणा का पृष्ठ",
        language="hi",
        declared=Declared.NOWHERE,
    ),
    SitePage(
        shows="Swedish in windows-1252 that nothing declares",
        title="Flygande bäckasiner söka hwila på mjuka tuvor",
        language="sv",
        encoding="windows-1252",
        declared=Declared.NOWHERE,
    ),
    SitePage(
        shows="Finnish in UTF-16",
        title="Törkylempijävongahdus",
        language="fi",
        encoding="utf-16le",
        declared=Declared.BOM,
    ),
)

_RULES = (
    SitePage(
        shows="A byte order mark, which beats the header",
        title="Ce que dit la marque d’ordre: l’été",
        language="fr",
        declared=Declared.BOM,
        content_type="text/html; charset=windows-1251",
    ),
    SitePage(
        shows="A header, which beats the page's own declaration",
        title="Заголовок важнее",
        language="ru",
        encoding="windows-1251",
        head='<meta charset="koi8-r">\n<title>Заголовок важнее</title>',
    ),
    SitePage(
        shows="Character references, also those that browsers put right",
        title="Café & crêpes — 5 € < 6 €, 🦀 ¬it;",
        head="<title>Caf&eacute; &amp; cr&ecirc;pes &#8212; 5 &#128; &lt; 6 &euro;, &#x1F980; "
        "&notit;</title>",
    ),
    SitePage(
        shows="White space that becomes one blank, and a no-break space that stays",
        title="Tabs, line feeds and blanks become one; this one\xa0stays",
        head="<title>\r\n\tTabs,\tline feeds\r\n and    blanks\f\n"
        "become one; this one&nbsp;stays\n</title>",
    ),
    SitePage(
        shows="Four titles that are none: in a comment, a script, a template and a drawing",
        title="The fifth is the title",
        head="<!-- <title>In a comment</title> -->\n"
        '<script>const text = "<title>In a script</title>"</script>\n'
        "<template><title>In a template</title></template>\n"
        "<svg><title>In a drawing</title></svg>\n"
        '<TITLE data-note="1 > 0">The fifth is the title</TITLE >',
    ),
    SitePage(
        shows="A title that nothing closes, so that it goes on to the end",
        title="A title that goes on to the end",
        document='<!doctype html>\n<html lang="en">\n<title>A title that goes on\nto the end\n',
    ),
    SitePage(
        shows="A redirect to the first page",
        title="A page to begin with",
        status=302,
        headers={"Location": "1"},
    ),
)

_SLOW = (
    SitePage(
        shows="A page that lets you wait",
        title="Late, but here",
        delivery=Delivery.LATE,
    ),
    SitePage(
        shows="A page that comes a few bytes at a time",
        title="Drop by drop",
        delivery=Delivery.SLOW,
    ),
    SitePage(
        shows="A page that falls silent half-way, when its title is known",
        title="Enough said",
        delivery=Delivery.STALLED,
    ),
    SitePage(
        shows="A page that never comes",
        code="timeout",
        delivery=Delivery.SILENT,
    ),
)

_BROKEN = (
    SitePage(
        shows="An error page, whose title is kept",
        title="Nothing to be found here",
        code="http_error",
        status=404,
    ),
    SitePage(
        shows="A server that is overloaded and asks for a second's patience",
        title="Please come again",
        code="http_error",
        status=503,
        headers={"Retry-After": "1"},
    ),
    SitePage(
        shows="An empty title, which is the first one and therefore counts",
        title="",
        code="no_title",
        head="<title> </title>\n<title>Too late</title>",
    ),
    SitePage(
        shows="A page without a title",
        code="no_title",
        head="<svg><title>Of a drawing</title></svg>",
    ),
    SitePage(
        shows="A picture",
        code="not_html",
        declared=Declared.NOWHERE,
        content_type="image/png",
        body=PIXEL,
    ),
    SitePage(
        shows="An encoding that browsers refuse to read, for safety's sake",
        code="bad_encoding",
        language="ko",
        encoding="iso-2022-kr",
        head="<title>읽을 수 없는 제목</title>",
    ),
    SitePage(
        shows="A redirect to itself",
        code="too_many_redirects",
        status=302,
        headers={"Location": "45"},
    ),
    SitePage(
        shows="A page without an end, and without a title up to there",
        code="too_large",
        document="And so on, and so on, and so on.\n",
        repeats=400,
        delivery=Delivery.ENDLESS,
    ),
    SitePage(
        shows="A small page that unpacks to a large one",
        code="too_large",
        headers={"Content-Encoding": "gzip"},
        document="A thousand sails, all of them white as this page is long.\n",
        repeats=128 * 1024,
    ),
    SitePage(
        shows="A page that is cut off before its title",
        code="connection_error",
        head="<style>\n" + "/* much ado about nothing */\n" * 40 + "</style>\n<title>Lost</title>",
        delivery=Delivery.CUT,
    ),
    SitePage(
        shows="Bytes that are no HTTP",
        code="protocol_error",
        delivery=Delivery.GARBAGE,
    ),
    SitePage(
        shows="A connection that breaks instead of an answer",
        code="connection_error",
        delivery=Delivery.RESET,
    ),
)

PAGES: Mapping[int, SitePage] = MappingProxyType(
    dict(enumerate(_LANGUAGES + _RULES + _SLOW + _BROKEN, start=1))
)
