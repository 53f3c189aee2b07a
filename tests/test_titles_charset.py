"""
Tests of `app.titles.charset` and `app.titles.decoding`: which encoding, and what its bytes mean.

The characters are those of the indexes of the Encoding standard, against which every byte, pair and
four-byte range of all encodings was compared once; where Python's codecs differ stands in
`app.titles.decoding`.
"""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from webencodings.labels import LABELS

from app.titles import charset, iso2022jp
from app.titles.decoding import WIDE, decode, decoder, is_utf8, narrowed, widened

REPLACED = "\N{REPLACEMENT CHARACTER}"


# --- labels --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("utf-8", "utf-8"), ("UTF8", "utf-8"), (" utf-8\t", "utf-8"), ("unicode20utf8", "utf-8"),
        ("latin1", "windows-1252"), ("ISO-8859-1", "windows-1252"), ("us-ascii", "windows-1252"),
        ("gb2312", "gbk"), ("GBK", "gbk"), ("x-gbk", "gbk"), ("gb18030", "gb18030"),
        ("big5-hkscs", "big5"), ("shift-jis", "shift_jis"), ("ms932", "shift_jis"),
        ("ks_c_5601-1987", "euc-kr"), ("windows-949", "euc-kr"), ("koi8", "koi8-r"),
        ("koi8-ru", "koi8-u"), ("logical", "iso-8859-8-i"), ("mac", "macintosh"),
        ("tis-620", "windows-874"), ("hz-gb-2312", "replacement"), ("iso-2022-kr", "replacement"),
        ("utf-16", "utf-16le"), ("unicode", "utf-16le"), ("utf-7", None), ("utf-32", None),
        ("", None), ("none", None), ("utf-8;", None), ("\u212aoi8-r", None), ("utf\u00a08", None),
    ],
)  # fmt: skip
def test_label_names_the_encoding_of_the_standard(label: str, expected: str | None) -> None:
    """Labels are the standard's: Python's own names of codecs mean nothing here."""
    assert expected == charset.named(label)


@pytest.mark.parametrize(
    ("label", "expected"),
    [(None, None), ("gbk", "gbk"), ('"gbk"', "gbk"), ("'gbk'", None), ("nonsense", None)],
)
def test_header_counts_when_its_label_is_known(label: str | None, expected: str | None) -> None:
    """A label that means nothing is no label at all."""
    assert expected == charset.by_header(label)


# --- declarations in the page --------------------------------------------------------------------

PRAGMA = {b"http-equiv": b"Content-Type"}


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({b"charset": b"gbk"}, "gbk"),
        ({b"charset": b" GBK\n"}, "gbk"),
        ({b"charset": b"&#103;bk"}, "gbk"),
        ({b"charset": b"nonsense"}, None),
        ({b"charset": b"g\xe9k"}, None),
        ({b"charset": b"utf-16"}, "utf-8"),
        ({b"charset": b"utf-16be"}, "utf-8"),
        ({b"charset": b"x-user-defined"}, "windows-1252"),
        ({b"charset": b"iso-2022-cn"}, "replacement"),
        ({b"content": b"text/html; charset=gbk"}, None),
        ({b"http-equiv": b"refresh", b"content": b"text/html; charset=gbk"}, None),
        (PRAGMA, None),
        (PRAGMA | {b"content": b"text/html; charset=gbk"}, "gbk"),
        (PRAGMA | {b"content": b"charset=gbk; a=b"}, "gbk"),
        (PRAGMA | {b"content": b"CHARSET = 'gbk'"}, "gbk"),
        (PRAGMA | {b"content": b'charset="gbk"x'}, "gbk"),
        (PRAGMA | {b"content": b'charset="gbk'}, None),
        (PRAGMA | {b"content": b"charset=gbk x"}, "gbk"),
        (PRAGMA | {b"content": b"charset=gbk'"}, None),
        (PRAGMA | {b"content": b"charset charset=gbk"}, "gbk"),
        (PRAGMA | {b"content": b"charset="}, None),
        (PRAGMA | {b"content": b"text/html"}, None),
        (PRAGMA | {b"content": b"charset=gbk", b"charset": b"big5"}, "big5"),
        (PRAGMA | {b"content": b"charset=gbk", b"charset": b"nonsense"}, None),
    ],
)
def test_meta_declares_as_the_standard_says(
    attributes: dict[bytes, bytes], expected: str | None
) -> None:
    """`charset`, else the `charset=` of a content type; what was read as ASCII is not UTF-16."""
    assert expected == charset.by_meta(attributes)


@pytest.mark.parametrize(
    ("begin", "expected"),
    [
        (b'<?xml version="1.0" encoding="gbk"?>', "gbk"),
        (b"<?xml encoding='gbk'?>", "gbk"),
        (b"<?xml encoding = \n 'gbk'?>", "gbk"),
        (b"<?xmlencoding='gbk'>", "gbk"),
        (b"<?xml encoding='utf-16'?>", "utf-8"),
        (b"<?xml version='1.0'?><p encoding='gbk'>", None),
        (b"<?xml encoding=gbk?>", None),
        (b"<?xml encoding='gb k'?>", None),
        (b"<?xml encoding='gbk?>", None),
        (b"<?xml encoding='gbk'", None),
        (b"\n<?xml encoding='gbk'?>", None),
        (b"<?XML encoding='gbk'?>", None),
    ],
)
def test_xml_declaration_declares_at_the_very_beginning(begin: bytes, expected: str | None) -> None:
    """Browsers have it count in text/html too; only whole, and only as the first bytes."""
    assert expected == charset.by_xml(begin)


@pytest.mark.parametrize(
    ("begin", "expected"),
    [
        (b"\xef\xbb\xbfa", "utf-8"),
        (b"\xff\xfea\0", "utf-16le"),
        (b"\xfe\xff\0a", "utf-16be"),
        (b"\xef\xbb", None),
        (b" \xef\xbb\xbf", None),
        (b"", None),
    ],
)
def test_byte_order_mark_shows_the_encoding(begin: bytes, expected: str | None) -> None:
    """There are three of them, at the very beginning."""
    mark = charset.by_mark(begin)

    assert expected == (None if mark is None else mark.encoding)


# --- what bytes mean -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("encoding", "data", "expected"),
    [
        ("windows-1252", b"\x80\x81\x9f\xe9", "\u20ac\x81\u0178\u00e9"),
        ("windows-1250", b"\x81\x98\x9a", "\x81\x98\u0161"),
        ("windows-1251", b"\x98\xcf", "\x98\u041f"),
        ("windows-1255", b"\xca\x81", "\u05ba\x81"),
        ("windows-874", b"\x81\xa1", "\x81\u0e01"),
        ("windows-1253", b"\x81\xe1", "\x81\u03b1"),
        ("koi8-r", b"\xd0\xd2", "\u043f\u0440"),
        ("koi8-u", b"\xae\xbe\xa4", "\u045e\u040e\u0454"),
        ("iso-8859-2", b"\xb1\x80", "\u0105\x80"),
        ("iso-8859-8-i", b"\xe0", "\u05d0"),
        ("macintosh", b"\x8e\xdb", "\u00e9\u20ac"),
        ("x-mac-cyrillic", b"\x80\xff", "\u0410\u20ac"),
        ("ibm866", b"\x8f", "\u041f"),
        ("x-user-defined", b"a\x80\xff", "a\uf780\uf7ff"),
        ("gbk", "\u4e2d\u6587\u7f51".encode("gbk"), "\u4e2d\u6587\u7f51"),
        ("gbk", b"\x80\xa2\xe3\xa3\xa0", "\u20ac\u20ac\u3000"),
        ("gbk", b"\x81\x30\x81\x30\x95\x32\x82\x36", "\x80\U00020000"),
        ("gb18030", b"\xa6\xd9\xa8\xbc\xfe\x59", "\ufe10\u1e3f\u9fb4"),
        ("big5", b"\xa4\xa4\xa4\xe5\xa1\xe3\xa3\xe1", "\u4e2d\u6587\uff5e\u20ac"),
        ("big5", b"\x88\x62\xf9\xfe", "\u00ca\u0304\uffed"),
        ("shift_jis", b"\x93\xfa\x87\x40\xb1\x80", "\u65e5\u2460\uff71\x80"),
        ("shift_jis", b"\x81\x60\x5c\x7e", "\uff5e\\~"),
        ("euc-jp", b"\xc6\xfc\xad\xa1\x8e\xb1", "\u65e5\u2460\uff71"),
        ("euc-jp", b"\xa1\xc1\xa1\xdd\x8f\xb0\xa1", "\uff5e\uff0d\u4e02"),
        ("euc-kr", b"\xc7\xd1\x81\x41", "\ud55c\uac02"),
        ("utf-8", b"a\xf0\x9f\x98\x80", "a\U0001f600"),
    ],
)
def test_bytes_mean_what_the_standard_says(encoding: str, data: bytes, expected: str) -> None:
    """Also where Python's codec of the name means something else, or nothing."""
    assert (expected, False) == decode(data, encoding)


@pytest.mark.parametrize(
    ("encoding", "data", "expected"),
    [
        ("utf-8", b"a\xffb\xe4\xb8", f"a{REPLACED}b{REPLACED}"),
        ("utf-8", b"\xed\xa0\x80", REPLACED * 3),
        ("gbk", b"a\xffb", f"a{REPLACED}b"),
        ("gbk", b"\x81 <", f"{REPLACED} <"),
        ("gbk", b"\x81\x30\x20", f"{REPLACED}0 "),
        ("gbk", b"\xd6", REPLACED),
        ("big5", b"\x81\x40\xa4\xa4", f"{REPLACED}@\u4e2d"),
        ("big5", b"\x80\xa4\xa4", f"{REPLACED}\u4e2d"),
        ("euc-kr", b"\xc9\xa1\xc7\xd1", f"{REPLACED}\ud55c"),
        ("shift_jis", b"\xa0\xfd\x93\xfa", f"{REPLACED}{REPLACED}\u65e5"),
        ("shift_jis", b"\x85a", f"{REPLACED}a"),
        ("euc-jp", b"\xa9\xa1\xc6\xfc", f"{REPLACED}\u65e5"),
        ("euc-jp", b"\x8ea", f"{REPLACED}a"),
        ("iso-8859-3", b"\xa5b", f"{REPLACED}b"),
        ("windows-1253", b"\xaa", REPLACED),
        ("windows-1255", b"\xd9", REPLACED),
    ],
)
def test_malformed_bytes_are_replaced_and_told(encoding: str, data: bytes, expected: str) -> None:
    """One U+FFFD for each mistake; what follows a broken pair in ASCII stands for itself."""
    assert (expected, True) == decode(data, encoding)


def test_replacement_character_itself_is_no_mistake() -> None:
    """A page may hold one that somebody else has put there."""
    assert (REPLACED, False) == decode(REPLACED.encode(), "utf-8")


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b'a\x1b$B$"F|\x1b(Bb', "a\u3042\u65e5b"),
        (b"\x1b$@F|K\\", "\u65e5\u672c"),
        (b"\x1b$B-!\x1b(J\\~\x1b(I1", "\u2460\u00a5\u203e\uff71"),
    ],
)
def test_iso_2022_jp_is_that_of_the_web(data: bytes, expected: str) -> None:
    """Its sets are ASCII, Roman, half-width katakana, and JIS X 0208 with its extensions."""
    assert expected == iso2022jp.Decoder().decode(data, True)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"a\xe4\x0eb", "a!!b"),
        (b"\x1b$BF", "!"),
        (b"\x1b$BF\x1b(B<", "!<"),
        (b"\x1b$B\nF|", "!\u65e5"),
        (b"\x1b$BF\nF|", "!\u65e5"),
        (b"\x1b$B)!", "!"),
        (b"\x1b(Ix", "!"),
        (b"\x1b(Za", "!(Za"),
        (b"\x1ba", "!a"),
        (b"a\x1b", "a!"),
        (b"\x1b$", "!$"),
    ],
)
def test_malformed_iso_2022_jp_goes_on_behind_it(data: bytes, expected: str) -> None:
    """A lost half, a lost set, or a byte that there is not: `!` stands for each here."""
    text = iso2022jp.Decoder().decode(data, True)

    assert expected == text.replace(iso2022jp.MALFORMED, "!")


@given(st.lists(st.sampled_from([b"\x1b", b"$B", b"(B", b"(J", b"(I", b"F", b"|", b"\n", b"\xff"])))
def test_iso_2022_jp_in_pieces_is_the_same(pieces: list[bytes]) -> None:
    """However its bytes are divided."""
    whole = iso2022jp.Decoder().decode(b"".join(pieces), True)
    divided = iso2022jp.Decoder()

    assert whole == "".join(map(divided.decode, pieces)) + divided.decode(b"", True)


@settings(max_examples=30)
@pytest.mark.parametrize("encoding", sorted(set(LABELS.values()) - WIDE - {"replacement"}))
@given(data=st.binary(max_size=30))
def test_any_bytes_can_be_decoded(encoding: str, data: bytes) -> None:
    """Nothing is refused, nothing that stands for a mistake is left, and ASCII stays ASCII."""
    text, _ = decode(data + b" <", encoding)

    assert text.endswith("<")
    assert text.encode("utf-8").decode("utf-8") == text


@pytest.mark.parametrize("encoding", ["utf-16le", "utf-16be"])
def test_utf_16_tells_of_half_a_character(encoding: str) -> None:
    """Half a pair, or an odd byte at the end, is malformed."""
    text = "a\u4e2d\U0001f600"
    data = text.encode(encoding)

    assert (text, False) == widened(narrowed(decoder(encoding).decode(data, True)))
    assert widened(narrowed(decoder(encoding).decode(data[:-2], True))).malformed
    assert widened(narrowed(decoder(encoding).decode(data + b"a", True))).malformed


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", True),
        (b"a", True),
        ("\u4e2d".encode(), True),
        ("\u4e2d".encode()[:2], True),
        (b"\xd6\xd0", False),
        (b"\xc0\x80", False),
    ],
)
def test_utf8_is_told_by_its_bytes(data: bytes, expected: bool) -> None:
    """A last character may be cut off: reading stops anywhere."""
    assert expected == is_utf8(data)
