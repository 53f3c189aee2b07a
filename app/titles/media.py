"""What kind of thing a response is, by its `Content-Type` or by its first bytes. Pure."""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

# Where browsers find an HTML title. Of plain text and pictures they have none; of other XML they
# have one only when an HTML element stands in it, which the scanner, made for HTML, can't tell.
HTML = frozenset({"text/html", "application/xhtml+xml"})

# WHATWG MIME Sniffing, 7: these, and */*, say as much as no type at all.
_UNKNOWN = frozenset({"unknown/unknown", "application/unknown"})

# WHATWG MIME Sniffing, 5: the resource header, which is all that is looked at.
SNIFFED_BYTES = 1_445

# WHATWG MIME Sniffing, 7.1: the beginnings that mean HTML.
_BEGINNING = re.compile(
    rb"[\t\n\f\r ]*<(?:!DOCTYPE HTML|HTML|HEAD|SCRIPT|IFRAME|H1|DIV|FONT|TABLE|A|STYLE|TITLE|B|BODY"
    rb"|BR|P|!--)[ >]",
    re.IGNORECASE,
)

_TYPE = re.compile(r"\s*([!#$%&'*+.^_`|~0-9A-Za-z-]+/[!#$%&'*+.^_`|~0-9A-Za-z-]+)\s*(?=;|$)")
_CHARSET = re.compile(r";\s*charset=(?:\"((?:[^\"\\]|\\.)*)\"?|([^;\s\"]+))", re.IGNORECASE)


class Media(NamedTuple):
    """A media type: its essence in lower case, and the charset it names."""

    essence: str
    charset: str | None = None


def media_type(values: Iterable[str]) -> Media | None:
    """
    The type that the `Content-Type` headers name; None when they name none.

    As the WHATWG Fetch standard extracts it: the last that can be read counts, and it inherits the
    charset of one before it that names the same type.
    """
    found: Media | None = None
    for media in (media for line in values for media in _in_line(line)):
        if media.charset is None and found is not None and found.essence == media.essence:
            continue
        found = media
    return None if found is None or found.essence in _UNKNOWN else found


@lru_cache(maxsize=256)  # sites differ less than their pages
def _in_line(line: str) -> tuple[Media, ...]:
    matches = ((_TYPE.match(value), value) for value in _parts(line))
    found = [Media(match[1].lower(), _charset(value)) for match, value in matches if match]
    return tuple(media for media in found if media.essence != "*/*")


def _parts(line: str) -> list[str]:
    """The line split at commas outside quotes."""
    if "," not in line:
        return [line]
    return re.findall(r'(?:[^,"]|"(?:[^"\\]|\\.)*"?)+', line)


def _charset(value: str) -> str | None:
    match = _CHARSET.search(value)
    if match is None:
        return None
    return re.sub(r"\\(.)", r"\1", match[1]) if match[1] is not None else match[2]


def looks_like_html(beginning: bytes) -> bool:
    """Whether a browser takes something without a type, that begins so, for HTML."""
    return _BEGINNING.match(beginning[:SNIFFED_BYTES]) is not None
