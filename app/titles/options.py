"""What a client may choose for a job of titles. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from app.errors import BadValue
from app.grammar import NANOSECONDS, duration, duration_text, integer, quoted

SECOND = NANOSECONDS["s"]

MOST_AT_ONCE = 200  # pages, also over all jobs
MOST_PER_HOST = 10  # of them, also over all jobs


@dataclass(frozen=True, slots=True)
class Options:
    """How a job fetches; the names are those of the JSON that users write."""

    concurrency: int = 50  # pages at once
    per_host: int = 6  # of them from one host
    timeout_ns: int = 10 * SECOND  # of an attempt with all its redirects
    retries: int = 2  # attempts after the first


@dataclass(frozen=True, slots=True)
class _Option:
    """Where an option is kept, how it is read, its bounds, and how it is shown."""

    field: str
    read: Callable[[str], int]
    least: int
    most: int
    show: Callable[[int], Any] = int


_OPTIONS = {
    "concurrency": _Option("concurrency", integer, 1, MOST_AT_ONCE),
    "per_host": _Option("per_host", integer, 1, MOST_PER_HOST),
    "timeout": _Option("timeout_ns", duration, SECOND // 10, 300 * SECOND, duration_text),
    "retries": _Option("retries", integer, 0, 10),
}


def read(texts: Mapping[str, str]) -> Options:
    """
    The options in *texts*, the rest by default.

    Raises:
        BadValue: an unknown name, or a value out of its bounds; `parameter` is the name.
    """
    return Options(**dict(_value(name, text) for name, text in texts.items()))


def _value(name: str, text: str) -> tuple[str, int]:
    """(field, value) of the option of that name."""
    option = _OPTIONS.get(name)
    if option is None:
        [nearest] = get_close_matches(name, _OPTIONS, n=1, cutoff=0)
        raise BadValue(f"there is no option {quoted(name)}; the nearest is {nearest}", name)
    try:
        value = option.read(text)
    except BadValue as error:
        raise BadValue(f"{name}: {error}", name) from None
    if not option.least <= value <= option.most:
        bounds = f"{option.show(option.least)} to {option.show(option.most)}"
        raise BadValue(f"{name}: {text} is out of range; use {bounds}", name)
    return option.field, value


def document(options: Options) -> dict[str, Any]:
    """The options as JSON shows them, and as `read` takes them again, each as text."""
    return {name: option.show(getattr(options, option.field)) for name, option in _OPTIONS.items()}
