"""
URLs as the WHATWG URL standard reads them: what is fetched, and which two texts are one. Pure.

So `http://EXAMPLE.com:80/a/../b#c` is `http://example.com/b`, `http://2130706433/` says openly
that it is 127.0.0.1, and a name in any script is in ASCII.
"""

import re
from typing import NamedTuple

import ada_url

from app.errors import BadValue
from app.grammar import quoted

LONGEST_URL = 8_192  # characters, as it is sent: more than most servers take
PORTS = {"http": 80, "https": 443}

# A scheme, but not the `localhost:` of `localhost:3000`.
_SCHEME = re.compile(r"[\x00-\x20]*[A-Za-z][A-Za-z0-9+.-]*:(?![0-9])")
# A URL as the standard writes it, where nothing else can be read for a separator; no fragment.
_PARTS = re.compile(
    r"(https?)://(?:([^/@]*)@)?(\[[0-9a-f:]+\]|[^/:]+)(?::([0-9]+))?(/[^?#]*)(?:\?[^#]*)?"
)
_STRAY_BYTE = re.compile(r"[\udc80-\udcff]")  # a byte that was no UTF-8, as Python smuggles it


class Url(NamedTuple):
    """An http or https URL with a host."""

    href: str  # what is fetched, and what makes it distinct: without its fragment
    origin: str  # scheme, host and port
    host: str  # `example.com`, `[::1]:8080`: the port where it is not the scheme's own
    name: str  # `example.com`, `::1`
    port: int
    path: str
    has_user: bool  # somebody's name or password stands in it


def parse(text: str, *, bare: bool = False) -> Url:
    """
    The URL that *text* is; with *bare*, `example.com` and `localhost:3000/site/1` are http ones.

    Raises:
        BadValue: it is none, has another scheme than http and https, or is too long.
    """
    if bare and not _SCHEME.match(text):
        text = f"http://{text.strip()}"
    return _read(text, None)


def join(base: Url, location: str) -> Url:
    """
    Where a response of *base* leads with that `Location`; what `parse` refuses is refused.

    Bytes in it that are no UTF-8 are escaped, as browsers do.
    """
    return _read(_STRAY_BYTE.sub(_escape, location), base.href)


def _escape(match: re.Match[str]) -> str:
    return f"%{ord(match[0]) - 0xDC00:02X}"


def _read(text: str, base: str | None) -> Url:
    try:
        whole = ada_url.URL(text, base).href
    except ValueError:
        raise BadValue(
            f"{quoted(text)} is not a URL; write one such as https://example.com/"
        ) from None
    match = _PARTS.match(whole)
    if match is None:
        raise BadValue(f"{quoted(text)} is no web page; only http and https URLs are fetched")
    scheme, user, name, port, path = match.groups()
    href = match[0]
    if len(href) > LONGEST_URL:
        raise BadValue(f"{quoted(text)} has {len(href)} characters; at most {LONGEST_URL} are sent")
    host = name if port is None else f"{name}:{port}"
    return Url(
        href=href,
        origin=f"{scheme}://{host}",
        host=host,
        name=name.strip("[]"),
        port=PORTS[scheme] if port is None else int(port),
        path=path,
        has_user=user is not None,
    )
