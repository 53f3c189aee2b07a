"""Tests of `app.titles.page`: bytes -> title, with the encoding and how it was found."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.titles.page import Page, Title
from tests.hostile import documents

REPLACED = "\N{REPLACEMENT CHARACTER}"
CHINESE = "\u4e2d\u6587\u7f51"
COMMENT = b"<!--" + b"x" * 2_000 + b"-->"


def read(page: bytes, label: str | None = None) -> Title:
    """What a page says that comes in one piece."""
    reader = Page(label)
    reader.feed(page)
    return reader.close()


def read_in_pieces(page: bytes, label: str | None, cuts: list[int]) -> Title:
    """The same, cut at *cuts*, and no further than the page wants to be read."""
    reader = Page(label)
    begin = 0
    for end in [*sorted(cut % (len(page) + 1) for cut in cuts), len(page)]:
        if reader.feed(page[begin:end]):
            break
        begin = end
    return reader.close()


def titled(text: str, encoding: str) -> bytes:
    return f"<title>{text}</title>".encode(encoding)


GBK = titled(CHINESE, "gbk")
UTF8 = titled(CHINESE, "utf-8")
MOJIBAKE = "\u00d6\u00d0\u00ce\u00c4\u00cd\u00f8"  # what GBK looks like to the West


# --- who is believed -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("page", "label", "expected"),
    [
        # a byte order mark beats all
        (b"\xef\xbb\xbf" + UTF8, "gbk", (CHINESE, "utf-8", "bom")),
        (b"\xff\xfe" + titled(CHINESE, "utf-16le"), "utf-8", (CHINESE, "utf-16le", "bom")),
        (b"\xfe\xff" + titled(CHINESE, "utf-16be"), None, (CHINESE, "utf-16be", "bom")),
        # the header beats the page
        (b"<meta charset=utf-8>" + GBK, "gb2312", (CHINESE, "gbk", "header")),
        (titled(CHINESE, "utf-16le"), "utf-16", (CHINESE, "utf-16le", "header")),
        (b"<title>a\xe4</title>", "x-user-defined", ("a\uf7e4", "x-user-defined", "header")),
        # a label that means nothing is none
        (b"<meta charset=gbk>" + GBK, "nonsense", (CHINESE, "gbk", "meta")),
        (b"<meta charset=nonsense><meta charset=gbk>" + GBK, None, (CHINESE, "gbk", "meta")),
        # metas, wherever tags are read, in the head however late, and after the title too
        (b"<meta charset=gb18030>" + GBK, None, (CHINESE, "gb18030", "meta")),
        (GBK + b"<meta charset=gbk>", None, (CHINESE, "gbk", "meta")),
        (COMMENT + b"<meta charset=gbk>" + GBK, None, (CHINESE, "gbk", "meta")),
        (GBK + COMMENT + b"<meta charset=gbk>", None, (CHINESE, "gbk", "meta")),
        (b"<script>" + COMMENT + b"</script><meta charset=gbk>" + GBK, None,
         (CHINESE, "gbk", "meta")),
        (GBK + b"<body><p><meta charset=gbk>", None, (CHINESE, "gbk", "meta")),
        (b"<noscript><meta charset=gbk></noscript>" + GBK, None, (CHINESE, "gbk", "meta")),
        (b"<meta http-equiv=Content-Type content='text/html; charset=gb2312'>" + GBK, None,
         (CHINESE, "gbk", "meta")),
        # but not past head and first bytes, nor where there are no tags
        (b"<body>" + COMMENT + b"<meta charset=gbk>" + GBK, None,
         (MOJIBAKE, "windows-1252", "default")),
        (GBK + b"</head>" + COMMENT + b"<meta charset=gbk>", None,
         (MOJIBAKE, "windows-1252", "default")),
        (b"<!--<meta charset=gbk>-->" + GBK, None, (MOJIBAKE, "windows-1252", "default")),
        (b"<script>'<meta charset=gbk>'</script>" + GBK, None,
         (MOJIBAKE, "windows-1252", "default")),
        # an XML declaration, when there is no meta
        (b"<?xml version='1.0' encoding='gbk'?>" + GBK, None, (CHINESE, "gbk", "xml")),
        (b"<?xml encoding='big5'?><meta charset=gbk>" + GBK, None, (CHINESE, "gbk", "meta")),
        (b"<?xml encoding='big5'?>" + GBK + b"<meta charset=gbk>", None, (CHINESE, "gbk", "meta")),
        ("<?xml version='1.0'?><title>a</title>".encode("utf-16le"), None,
         ("a", "utf-16le", "xml")),
        ("<?xml version='1.0'?><title>a</title>".encode("utf-16be"), None,
         ("a", "utf-16be", "xml")),
        (b"<?xml encoding='iso-2022-jp'?><title>\x1b$BF|\x1b(B</title>", None,
         ("\u65e5", "iso-2022-jp", "xml")),
        # nothing says it: the bytes do, here unlike in a browser
        (UTF8, None, (CHINESE, "utf-8", "detected")),
        (b"<title>a</title>", None, ("a", "utf-8", "detected")),
        (b"<title>caf\xe9</title>", None, ("caf\u00e9", "windows-1252", "default")),
    ],
)  # fmt: skip
def test_encoding_is_found_as_browsers_do(
    page: bytes, label: str | None, expected: tuple[str, str, str]
) -> None:
    """Mark, header, meta, XML declaration; then valid UTF-8; then windows-1252."""
    assert (*expected, False) == read(page, label)


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("gbk", CHINESE), ("gb18030", CHINESE + "\u3400"), ("big5", "\u4e2d\u6587\u7db2"),
        ("shift_jis", "\u65e5\u672c\u8a9e"), ("euc-jp", "\u65e5\u672c\u8a9e"),
        ("iso-2022-jp", "\u65e5\u672c\u8a9e"), ("euc-kr", "\ud55c\uad6d\uc5b4"),
        ("windows-1250", "\u017dlu\u0165ou\u010dk\u00fd"), ("windows-1251", "\u0420\u0443\u0441"),
        ("windows-1252", "Stra\u00dfe \u20ac"), ("windows-1253", "\u0395\u03bb\u03bb"),
        ("windows-1254", "T\u00fcrk\u0131ye"), ("windows-1255", "\u05e9\u05dc\u05d5\u05dd"),
        ("windows-1256", "\u0633\u0644\u0627\u0645"), ("windows-1257", "Lietuvi\u0173"),
        ("windows-1258", "Vi\u00ea\u0323t"), ("koi8-r", "\u0420\u0443\u0441"),
        ("koi8-u", "\u0423\u043a\u0440\u0457"), ("iso-8859-2", "\u010ce\u0161tina"),
        ("iso-8859-5", "\u0420\u0443\u0441"), ("iso-8859-7", "\u0395\u03bb\u03bb"),
        ("iso-8859-15", "\u20ac\u0153"), ("windows-874", "\u0e44\u0e17\u0e22"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("declaration", ["header", "meta"])
def test_title_is_read_in_every_encoding(encoding: str, text: str, declaration: str) -> None:
    """Whoever declares it."""
    codec = {"windows-874": "cp874"}.get(encoding, encoding)
    page = f"<meta charset={encoding}><title>{text}</title>".encode(codec)
    label = encoding if declaration == "header" else None

    assert Title(text, encoding, declaration, bad=False) == read(page, label)


def test_chinese_portal_is_read_as_its_readers_see_it() -> None:
    """
    Large Chinese sites: a long comment and scripts first, then GBK declared in a meta.

    The second bytes of GBK reach down to `@`, so what looks like a bar or a letter in the title may
    be half of a character; and 0x80 is the euro sign.
    """
    text = "\u8bda\u4fe1 | \u7f51\u8d2d&amp;\u4e0a \u4e37\u4e57\u936e - \u20ac"
    page = (
        b"<!DOCTYPE html PUBLIC '-//W3C//DTD XHTML 1.0 Transitional//EN'>\r\n<!-- "
        + "\u6b22\u8fce".encode("gbk") * 600
        + b" -->\r\n<html><head><script>if (a<b && '<title>') {}</script>\r\n"
        b'<meta http-equiv="X-UA-Compatible" content="IE=edge">\r\n'
        b'<meta http-equiv="Content-Type" content="text/html; charset=gb2312" />\r\n<title>'
        + text.replace("\u20ac", "").encode("gbk")
        + b"\x80\r\n</title>"
    )

    assert Title(text.replace("&amp;", "&"), "gbk", "meta", bad=False) == read(page)


# --- titles that are not right -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("page", "label", "expected"),
    [
        (b"<p>none", None, Title(None, "utf-8", "detected", bad=False)),
        (b"", None, Title(None, "utf-8", "detected", bad=False)),
        (b"", "gbk", Title(None, "gbk", "header", bad=False)),
        (b"<title> \n</title>", "gbk", Title("", "gbk", "header", bad=False)),
        (GBK, "utf-8", Title(REPLACED * 6, "utf-8", "header", bad=True)),
        (b"<p>\xff<title>a</title>", "utf-8", Title("a", "utf-8", "header", bad=False)),
        (b"<title>a\xd6</title>", "gbk", Title(f"a{REPLACED}", "gbk", "header", bad=True)),
        (titled(REPLACED, "utf-8"), "utf-8", Title(REPLACED, "utf-8", "header", bad=False)),
        (b"<title>a\0b</title>", "utf-8", Title(f"a{REPLACED}b", "utf-8", "header", bad=False)),
        (b"<title>a</title>", "iso-2022-kr", Title(None, "replacement", "header", bad=True)),
        (b"<meta charset=hz-gb-2312><title>a", None, Title(None, "replacement", "meta", bad=True)),
        (b"<meta charset=iso-2022-jp><title>\x1b$BF\x1b(B</title>", None,
         Title(REPLACED, "iso-2022-jp", "meta", bad=True)),
        (titled("a", "utf-8"), "utf-16", Title(None, "utf-16le", "header", bad=False)),
    ],
)  # fmt: skip
def test_title_that_is_not_right_says_how(page: bytes, label: str | None, expected: Title) -> None:
    """None there is, empty, malformed but kept, or in an encoding that nobody decodes."""
    result = read(page, label)

    assert expected._replace(text=None) == result._replace(text=None)
    assert expected.text == result.text


# --- arriving ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("page", "label"),
    [
        (b"<meta charset=gbk>" + GBK, None),
        (GBK + b"<meta charset=gbk>", None),
        (b"\xef\xbb\xbf" + UTF8, None),
        (b"\xff\xfe" + titled(CHINESE, "utf-16le"), None),
        (b"<?xml encoding='gbk'?>" + GBK, None),
        (b"<title>\x1b$BF|K\\\x1b(B</title><meta charset=iso-2022-jp>", None),
        (b"<title>a</title>", "iso-2022-kr"),
        (b"<title>a</titl", None),
        (b"<ti", None),
    ],
)
def test_single_bytes_give_the_same_answer(page: bytes, label: str | None) -> None:
    """However slowly a page comes."""
    assert read(page, label) == read_in_pieces(page, label, list(range(len(page))))


@given(
    documents(),
    st.sampled_from(["", "<meta charset=gbk>", "<meta charset=iso-2022-jp>", "<?xml encoding=1>"]),
    st.sampled_from([None, "gbk", "utf-16", "iso-2022-jp"]),
    st.lists(st.integers(0, 10_000), max_size=10),
)
def test_pieces_give_the_same_answer(
    markup: str, declaration: str, label: str | None, cuts: list[int]
) -> None:
    """However a page is divided, whatever it declares and wherever."""
    half = len(markup) // 2
    page = f"{markup[:half]}{declaration}{markup[half:]}\u4e2d".encode()

    assert read(page, label) == read_in_pieces(page, label, cuts)


@pytest.mark.parametrize(
    ("page", "label"),
    [
        (b"<title>a</title>", "utf-8"),
        (b"<meta charset=utf-8><title>a</title>", None),
        (b"<title>a</title><meta charset=utf-8>", None),
        (b"<plaintext>", "utf-8"),
        (b"anything", "replacement"),
    ],
)
def test_page_says_when_it_need_not_be_read_on(page: bytes, label: str | None) -> None:
    """As soon as neither title nor encoding can change."""
    assert Page(label).feed(page)


@pytest.mark.parametrize(
    ("page", "label"),
    [
        (b"", "utf-8"),
        (b"<titl", "utf-8"),
        (b"<title>a</titl", "utf-8"),
        (b"<title>a</title>", None),
        (b"<title>\x1b$BF|</title><meta charset=iso-2022-jp>", None),
    ],
)
def test_page_is_read_on_while_something_may_change(page: bytes, label: str | None) -> None:
    """The encoding may still be declared, or what was read must be read in another one."""
    assert not Page(label).feed(page)


def test_title_is_what_it_is_when_the_page_is_cut_off() -> None:
    """A limit may strike anywhere: what is there of the title is told."""
    page = Page("utf-8")

    page.feed(b"<title>a long ti")

    assert page.close().text == "a long ti"
