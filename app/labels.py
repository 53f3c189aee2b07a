"""
Knobs of endpoints that know only some: their texts from query and header, and who it is. Pure.

`run` and `key` are known everywhere, and stand in headers of their own, too.
"""

from collections.abc import Callable, Collection
from typing import NamedTuple

from app import grammar
from app.errors import BadValue, Problem
from app.grammar import quoted
from app.plan import Asked

NAMES: dict[str, Callable[[str], str]] = {"run": grammar.run_name, "key": grammar.key}
PREFIX = "dawdle."  # of knobs in a query that belongs to the endpoint


class Labels(NamedTuple):
    """Which run, and which logical request of it; None where nothing is said."""

    run: str | None = None
    key: str | None = None


def texts(asked: Asked, known: Collection[str]) -> dict[str, str]:
    """
    The texts of all knobs, by name; the header beats the query.

    Raises:
        Problem: a knob is not *known*, stands there twice, or can't be read.
    """
    return _texts(asked.query, "query", known) | _header(asked, known)


def _header(asked: Asked, known: Collection[str]) -> dict[str, str]:
    found = _texts(asked.header or "", "X-Dawdle header", known)
    for name, text in (("run", asked.run), ("key", asked.key)):
        if text is None:
            continue
        if name in found:
            raise Problem("bad-knob", f"{name} is given twice; once is enough", name)
        found[name] = text
    return found


def _texts(text: str, where: str, known: Collection[str]) -> dict[str, str]:
    try:
        pairs = dict(grammar.pairs(text))
    except BadValue as error:
        raise Problem("bad-query", f"in the {where}, {error}", error.parameter) from None
    for name in pairs:
        if name not in known:
            near = grammar.nearest(name, known)
            raise Problem("unknown-knob", f"{quoted(name)} is not a knob here; {near}", name)
    return pairs


def take(given: dict[str, str]) -> Labels:
    """
    Take `run` and `key` out of the texts, and read them.

    Raises:
        Problem: one is not valid.
    """
    return Labels(**{name: _read(name, given.pop(name, None)) for name in NAMES})


def _read(name: str, text: str | None) -> str | None:
    try:
        return None if text is None else NAMES[name](text)
    except BadValue as error:
        raise Problem("bad-knob", f"{name}: {error}", name) from None


def prefixed(asked: Asked) -> Asked:
    """The same where the query is the endpoint's own: only what begins with `dawdle.` is a knob."""
    pieces = (piece.removeprefix(PREFIX) for piece in asked.query.split("&") if _is_ours(piece))
    return asked._replace(query="&".join(pieces))


def _is_ours(piece: str) -> bool:
    return piece.startswith(PREFIX)
