"""
What a client asks for: a body or a query -> URLs and options. Pure.

Whatever can't be read is refused with `errors.BadValue`, whose `parameter` is the member, field
or name at fault. Whether a URL is one is not judged here: a bad one is a result like any other.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from app.errors import BadValue
from app.grammar import number_text, pairs, quoted, unescape
from app.titles import options
from app.titles.options import Options

FORM_LISTS = ("urls", "file")  # fields of the form that hold a URL a line
_LINE_END = re.compile(r"\r\n|\r|\n")  # not what else `splitlines` takes for one


@dataclass(frozen=True, slots=True)
class Order:
    """URLs as they were written, and how to fetch them."""

    urls: list[str]
    options: Options


def lines(text: str) -> list[str]:
    """The URLs of a text with one a line; blank lines and those that begin with # are none."""
    stripped = map(str.strip, _LINE_END.split(text.removeprefix("\ufeff")))
    return [line for line in stripped if line and not line.startswith("#")]


def from_text(text: str, query: str) -> Order:
    """The order of a text with a URL a line, its options in the query."""
    return Order(lines(text), options.read(dict(pairs(query))))


def from_query(query: str) -> Order:
    """The order of `url=...&url=...`, with options beside them."""
    pieces = query.split("&")
    urls = [unescape(piece[4:]) for piece in pieces if piece.startswith("url=")]
    others = "&".join(piece for piece in pieces if not piece.startswith("url="))
    return Order(urls, options.read(dict(pairs(others))))


# --- JSON ----------------------------------------------------------------------------------------


def from_json(text: str) -> Order:
    """The order of `{"urls": [...], "concurrency": 50, ...}`."""
    try:
        members = json.loads(text)
    except (ValueError, RecursionError):
        raise BadValue('the body is no JSON; send {"urls": ["https://example.com/"]}') from None
    if not isinstance(members, dict) or not isinstance(members.get("urls"), list):
        raise BadValue('the body has no list "urls"; send {"urls": ["https://..."]}', "urls")
    urls = [_url(place, url) for place, url in enumerate(members.pop("urls"))]
    return Order(urls, options.read({name: _text(name, value) for name, value in members.items()}))


def _url(place: int, url: object) -> str:
    if not isinstance(url, str):
        raise BadValue(f"urls[{place}] is {_shown(url)}, no text; write a URL in quotes", "urls")
    return url


def _text(name: str, value: object) -> str:
    """A member's value as one would write it in a form."""
    match value:
        case str():
            return value
        case int() | float() if not isinstance(value, bool):
            return number_text(value)
    raise BadValue(f"{name}: {_shown(value)} is neither text nor number; write one", name)


def _shown(value: Any) -> str:
    return quoted(json.dumps(value))


# --- a form --------------------------------------------------------------------------------------


def from_form(fields: Iterable[tuple[str, str]]) -> Order:
    """The order of a form's fields; those left blank have their defaults."""
    urls: list[str] = []
    texts: dict[str, str] = {}
    for name, value in fields:
        if "://" in name:
            raise BadValue(
                "the body is a list of URLs that was sent as a form; add the header "
                "Content-Type: text/plain"
            )
        if name in FORM_LISTS:
            urls += lines(value)
        elif name in texts:
            raise BadValue(f"{quoted(name)} is given twice; once is enough", name)
        elif value.strip():
            texts[name] = value.strip()
    return Order(urls, options.read(texts))


def given(fields: Iterable[tuple[str, str]]) -> Mapping[str, str]:
    """What was typed, to be shown again beside what is wrong with it."""
    return {name: value for name, value in fields if name != "file"}
