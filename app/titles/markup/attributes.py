"""
The attributes of a tag (https://html.spec.whatwg.org/multipage/parsing.html, sections 13.2.5.32
to 13.2.5.40).
"""

import re

Attributes = dict[bytes, bytes]

_BETWEEN = re.compile(rb"[\t\n\f\r /]*")
_NAME = re.compile(rb"[^\t\n\f\r />][^\t\n\f\r />=]*")
_EQUALS = re.compile(rb"[\t\n\f\r ]*=[\t\n\f\r ]*")
_UNQUOTED_END = re.compile(rb"[\t\n\f\r >]")

GREATER = ord(">")
QUOTES = (b'"', b"'")


def tag_end(page: bytes, at: int) -> tuple[int, bool]:
    """
    The place of the `>` that ends the tag whose attributes begin at *at*, and whether it is `/>`.

    -1 when the tag goes on.
    """
    while True:
        begin, at = at, _skip(page, at)
        if at == len(page):
            return -1, False
        if page[at] == GREATER:
            return at, page[at - 1 : at] == b"/" and at > begin
        _, _, at = _attribute(page, at)
        if at < 0:
            return -1, False


def read(source: bytes, wanted: frozenset[bytes]) -> Attributes:
    """The *wanted* attributes by name, in lower case; of several with one name the first."""
    found: Attributes = {}
    at = _skip(source, 0)
    while 0 <= at < len(source):
        name, value, at = _attribute(source, at)
        if name.lower() in wanted:
            found.setdefault(name.lower(), value)
        at = _skip(source, at)
    return found


def _skip(page: bytes, at: int) -> int:
    between = _BETWEEN.match(page, at)
    return at if between is None else between.end()


def _attribute(page: bytes, at: int) -> tuple[bytes, bytes, int]:
    """Name and value of the attribute that begins at *at*, and its end, -1 when it goes on."""
    name = _NAME.match(page, at)
    assert name is not None, "neither blank, nor `/`, nor `>`"
    equals = _EQUALS.match(page, name.end())
    if equals is None:
        return name[0], b"", name.end()
    at = equals.end()
    quote = page[at : at + 1]
    if quote in QUOTES:
        end = page.find(quote, at + 1)
        return (name[0], page[at + 1 : end], end + 1) if end >= 0 else (name[0], b"", -1)
    end = _end_of_unquoted(page, at)
    return name[0], page[at:end], end


def _end_of_unquoted(page: bytes, at: int) -> int:
    end = _UNQUOTED_END.search(page, at)
    return len(page) if end is None else end.start()
