"""
Which encoding a page is in: what its bytes, its server and its markup say
(https://html.spec.whatwg.org/multipage/parsing.html, section 13.2.3;
https://encoding.spec.whatwg.org/#names-and-labels).

An encoding is its name in the Encoding standard, in lower case.
"""

import re
from enum import StrEnum
from typing import NamedTuple

from webencodings.labels import LABELS

from app.titles.markup.attributes import Attributes
from app.titles.markup.references import resolve

REPLACEMENT = "replacement"  # what once had another name and is no longer decoded by anybody
PROLOGUE = 6  # bytes, in which a byte order mark shows, or UTF-16 without one

_WIDE_XML = (
    ("<?x".encode("utf-16le"), "utf-16le"),
    ("<?x".encode("utf-16be"), "utf-16be"),
)
_IN_CONTENT = re.compile(
    rb"charset[\t\n\f\r ]*=[\t\n\f\r ]*([^\t\n\f\r ].*)", re.IGNORECASE | re.DOTALL
)
_UNQUOTED = re.compile(rb"[^\t\n\f\r ;]*")
_IN_XML = re.compile(rb"encoding[\0- ]*=[\0- ]*([\"'])(.*)", re.DOTALL)


class Mark(NamedTuple):
    """A byte order mark, and what it says."""

    bytes: bytes
    encoding: str


_MARKS = (
    Mark(b"\xef\xbb\xbf", "utf-8"),
    Mark(b"\xfe\xff", "utf-16be"),
    Mark(b"\xff\xfe", "utf-16le"),
)


class Source(StrEnum):
    """How the encoding was found; the earlier beats the later."""

    BOM = "bom"  # a byte order mark
    HEADER = "header"  # the charset of Content-Type
    META = "meta"  # a `meta` of the page
    XML = "xml"  # its XML declaration
    DETECTED = "detected"  # nothing said; what was read is valid UTF-8
    DEFAULT = "default"  # nothing said, and it is not


def named(label: str) -> str | None:
    """The encoding of a label such as `gb2312` or ` Latin1`; None when there is none."""
    text = label.strip("\t\n\f\r ")
    return LABELS.get(text.lower()) if text.isascii() else None


def by_header(label: str | None) -> str | None:
    """The encoding of the charset parameter of Content-Type, also when it is quoted."""
    return named((label or "").strip('\t\n\f\r "'))


def by_mark(begin: bytes) -> Mark | None:
    """The byte order mark that *begin* begins with."""
    return next((mark for mark in _MARKS if begin.startswith(mark.bytes)), None)


def by_wide_xml(begin: bytes) -> str | None:
    """UTF-16 without a mark, when *begin* begins with an XML declaration in it."""
    return next((name for mark, name in _WIDE_XML if begin.startswith(mark)), None)


def by_meta(attributes: Attributes) -> str | None:
    """The encoding that a `meta` declares, by `charset` or by `http-equiv` and `content`."""
    if b"charset" in attributes:
        return _as_declared(_meant(attributes[b"charset"]))
    if attributes.get(b"http-equiv", b"").lower() != b"content-type":
        return None
    return _as_declared(_by_content(attributes.get(b"content", b"")))


def by_xml(begin: bytes) -> str | None:
    """The encoding of the XML declaration that *begin* begins with, when it is all there."""
    end = begin.find(b">")
    if not begin.startswith(b"<?xml") or end < 0:
        return None
    found = _IN_XML.search(begin, 0, end)
    if found is None:
        return None
    label, quote, _ = found[2].partition(found[1])
    if not quote or any(byte <= ord(" ") for byte in label):
        return None
    return _as_declared(_meant(label))


def _by_content(content: bytes) -> str | None:
    """The charset in a content type, however it is written (section 2.3.10 of the standard)."""
    found = _IN_CONTENT.search(content)
    if found is None:
        return None
    rest = found[1]
    quote = rest[:1]
    if quote in (b'"', b"'"):
        label, closed, _ = rest[1:].partition(quote)
        return _meant(label) if closed else None
    unquoted = _UNQUOTED.match(rest)
    return None if unquoted is None else _meant(unquoted[0])


def _meant(label: bytes) -> str | None:
    return named(resolve(label.decode("latin-1")))


def _as_declared(name: str | None) -> str | None:
    """What is meant by a declaration that could be read: as ASCII, so it is not UTF-16."""
    if name in ("utf-16le", "utf-16be"):
        return "utf-8"
    return "windows-1252" if name == "x-user-defined" else name
