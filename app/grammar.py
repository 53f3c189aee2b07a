"""
Text -> values: query strings, durations, numbers, sizes, weights, names, bounds. Pure.

Everything here refuses with `errors.BadValue`, whose message names the value, the rule and the
remedy. Only ASCII digits count, and nothing is as lenient as Python's own `float` and `int`.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from difflib import get_close_matches
from urllib.parse import unquote_to_bytes

from app.errors import BadValue

NANOSECONDS = {"ms": 1_000_000, "s": 1_000_000_000, "m": 60_000_000_000}
MICROSECOND = 1_000  # in nanoseconds: the finest step of a delay

LONGEST_NUMBER = 20  # characters
LONGEST_KEY = 256
LONGEST_PREFIX = 57  # of a run's name, before `-` and six digits
MOST_KNOBS = 32
LAST_PORT = 65_535

_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m)?", re.ASCII)
_DECIMAL = re.compile(r"[0-9]+(?:\.[0-9]+)?", re.ASCII)
_INTEGER = re.compile(r"[0-9]{1,18}", re.ASCII)
_SEED = re.compile(r"-?[0-9]{1,18}", re.ASCII)
_SIZE = re.compile(r"([0-9]{1,18})([km]?)", re.ASCII)
_RATE = re.compile(r"([0-9]{1,18})/([sm])", re.ASCII)
_RUN = re.compile(r"[A-Za-z0-9_~-][A-Za-z0-9._~-]{0,63}", re.ASCII)
_PROFILE = re.compile(r"[a-z][a-z0-9-]{0,31}", re.ASCII)
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_ENDPOINT = re.compile(
    r"(?:(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<host>[A-Za-z0-9_.-]+)):)?(?P<port>[0-9]{1,5})", re.ASCII
)
_NOT_PLAIN = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")

FORMAT_SUFFIXES = (".html", ".json", ".jsonl", ".csv", ".har", ".svg", ".txt")


def quoted(text: str) -> str:
    """The text as a message shows it: quoted, printable, and cut when somebody sends a novel."""
    shown = text if len(text) <= 60 else text[:57] + "..."
    return repr(shown.encode("utf-8", "replace").decode())


def readable(text: str) -> str:
    """The text of a header or target with a replacement character for bytes that are no UTF-8."""
    if text.isascii():
        return text
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


# --- numbers -------------------------------------------------------------------------------------


def duration(text: str, *, unit: str = "s") -> int:
    """
    Nanoseconds for `[0-9]+(.[0-9]+)?(ms|s|m)?`; *unit* is meant when none is written.

    Whole microseconds: what is finer is rounded, half up.
    """
    match = _DURATION.fullmatch(text) if len(text) <= LONGEST_NUMBER else None
    if match is None:
        raise BadValue(
            f"{quoted(text)} is not a duration; write seconds such as 2 or 0.5, or a number with "
            "ms, s or m such as 250ms"
        )
    return _scaled(match[1], NANOSECONDS[match[2] or unit])


def _scaled(number: str, unit_ns: int) -> int:
    """The decimal *number* of units in nanoseconds, in exact arithmetic, to whole microseconds."""
    whole, _, fraction = number.partition(".")
    denominator: int = 10 ** len(fraction) * MICROSECOND
    return (2 * int(whole + fraction) * unit_ns + denominator) // (2 * denominator) * MICROSECOND


def duration_text(ns: int) -> str:
    """A duration that reads back as *ns*, whole microseconds: in s when whole, else in ms."""
    if ns % NANOSECONDS["s"]:
        return f"{decimal_text(ns, NANOSECONDS['ms'])}ms"
    return f"{ns // NANOSECONDS['s']}s"


def decimal_text(ns: int, unit_ns: int) -> str:
    """*ns* in units of *unit_ns* (a power of ten), exact, without exponent or trailing zeros."""
    whole, rest = divmod(ns, unit_ns)
    digits = str(rest).zfill(len(str(unit_ns)) - 1).rstrip("0")
    return f"{whole}.{digits}" if digits else str(whole)


def decimal(text: str) -> float:
    """A number such as 2 or 0.5: no sign, no exponent, at most 20 characters."""
    if len(text) > LONGEST_NUMBER or not _DECIMAL.fullmatch(text):
        raise BadValue(f"{quoted(text)} is not a number; write digits such as 2 or 0.5")
    return float(text)


def number_text(number: float) -> str:
    """The shortest text that reads back as *number*, without exponent."""
    return format(Decimal(repr(number)).normalize(), "f")


def integer(text: str) -> int:
    """A whole number of 1 to 18 digits."""
    if not _INTEGER.fullmatch(text):
        raise BadValue(f"{quoted(text)} is not a whole number; write 1 to 18 digits")
    return int(text)


def seed(text: str) -> int:
    """A whole number of 1 to 18 digits that may be negative."""
    if not _SEED.fullmatch(text):
        raise BadValue(
            f"{quoted(text)} is not a seed; write a whole number of 1 to 18 digits, - allowed"
        )
    return int(text)


def size(text: str) -> int:
    """Bytes: a whole number, or with k (x 1024) or m (x 1024 x 1024)."""
    match = _SIZE.fullmatch(text)
    if match is None:
        raise BadValue(f"{quoted(text)} is not a size; write bytes such as 4096, 10k or 1m")
    return int(match[1]) << {"": 0, "k": 10, "m": 20}[match[2]]


@dataclass(frozen=True, slots=True)
class Rate:
    """`10/s`: so many, one or more, in a period of nanoseconds."""

    count: int
    period_ns: int

    def __str__(self) -> str:
        return f"{self.count}/{'s' if self.period_ns == NANOSECONDS['s'] else 'm'}"


def rate(text: str) -> Rate:
    """A whole number a second or a minute: `10/s`, `100/m`."""
    match = _RATE.fullmatch(text)
    if match is None:
        raise BadValue(f"{quoted(text)} is not a rate; write a number a second or minute, as 10/s")
    if not int(match[1]):
        raise BadValue(f"{quoted(text)} lets nothing through; use 1 or more")
    return Rate(int(match[1]), NANOSECONDS[match[2]])


# --- names ---------------------------------------------------------------------------------------


def run_name(text: str) -> str:
    """A run's name: 1 to 64 characters that need no escaping in a URL, safe beside a suffix."""
    if not _RUN.fullmatch(text):
        raise BadValue(
            f"{quoted(text)} can't name a run; use 1 to 64 letters, digits, '_', '~', '-' or '.', "
            "not beginning with '.'"
        )
    if text.endswith(FORMAT_SUFFIXES):
        raise BadValue(
            f"{quoted(text)} can't name a run, for it ends like a format; "
            f"leave out {text[text.rindex('.') :]}"
        )
    if text == "latest":
        raise BadValue("'latest' always means the run with the newest arrival; choose another name")
    return text


def run_prefix(text: str) -> str:
    """The PREFIX of runs that are called `PREFIX-N`; it leaves room for the number."""
    if not _RUN.fullmatch(text) or len(text) > LONGEST_PREFIX:
        raise BadValue(
            f"{quoted(text)} can't begin the name of a run; use 1 to {LONGEST_PREFIX} letters, "
            "digits, '_', '~', '-' or '.', not beginning with '.'"
        )
    return text


def profile_name(text: str) -> str:
    """A profile's name: lower case letters, digits and '-', beginning with a letter."""
    if not _PROFILE.fullmatch(text):
        raise BadValue(
            f"{quoted(text)} can't name a profile; use 1 to 32 of a-z, 0-9 and '-', "
            "beginning with a letter"
        )
    return text


def key(text: str) -> str:
    """The name of a logical request: 1 to 256 characters of text, no control characters."""
    if not 1 <= len(text) <= LONGEST_KEY:
        raise BadValue(f"a key of {len(text)} characters is refused; use 1 to {LONGEST_KEY}")
    if _NOT_PLAIN.search(text):
        raise BadValue(
            f"{quoted(text)} has a control character or is no UTF-8; a key is plain text"
        )
    return text


def nearest(name: str, known: Iterable[str]) -> str:
    """What may have been meant by the name of a knob that is not *known*."""
    names = list(known)
    (near,) = get_close_matches(name.lower(), names, n=1, cutoff=0.0)
    if name.lower() == near:
        return f"the nearest is {near} (names are case-sensitive)"
    if get_close_matches(name.lower(), [near]):
        return f"the nearest is {near} (a name beginning with _ would be ignored)"
    return f"the nearest is {near} of {', '.join(names)}"


# --- lists ---------------------------------------------------------------------------------------


def split(text: str, separator: str = ",") -> list[str]:
    """The parts between separators outside parentheses."""
    return list(_parts(text, separator))


def _parts(text: str, separator: str) -> Iterator[str]:
    depth = start = 0
    for position, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if character == separator and depth == 0:
            yield text[start:position]
            start = position + 1
    yield text[start:]


def call(text: str) -> tuple[str, str] | None:
    """(`name`, `arguments`) of `name(arguments)`; None when the text is not of that form."""
    name, opening, rest = text.partition("(")
    if not opening or not rest.endswith(")"):
        return None
    return name, rest[:-1]


def weighted(item: str) -> tuple[str, str | None]:
    """(`item`, `weight`) of `item:weight`, the weight a valid decimal; None when there is none."""
    text, colon, weight = item.rpartition(":")
    if not colon:
        return item, None
    decimal(weight)
    return text, weight


# --- addresses -----------------------------------------------------------------------------------


def endpoint(text: str, *, host: str) -> tuple[str, int]:
    """(host, port) of `HOST:PORT`, `[::1]:PORT` or `PORT` alone, which means that *host*."""
    match = _ENDPOINT.fullmatch(text)
    if match is None or int(match["port"]) > LAST_PORT:
        raise BadValue(
            f"{quoted(text)} is no address of a port; write such as 127.0.0.1:7777, [::1]:7777 "
            f"or 7777, up to {LAST_PORT}"
        )
    return match["v6"] or match["host"] or host, int(match["port"])


# --- the query string ----------------------------------------------------------------------------


def pairs(query: str) -> list[tuple[str, str]]:
    """
    The (name, value) pairs of a query string or an `X-Dawdle` header, in order.

    Only `&` separates; `+` and `%20` are a space; percent-decoding is strict UTF-8 (unlike the
    WHATWG URL standard, which replaces what it can't decode). Names beginning with `_`, the
    usual cache busters, are left out. At most 32 pairs; a name twice or without a value, or a
    value without a name, is refused.
    """
    found: dict[str, str] = {}
    for piece in filter(None, query.split("&")):
        raw_name, _, raw_value = piece.partition("=")
        name = unescape(raw_name)
        if name.startswith("_"):
            continue
        if not name:
            raise BadValue(f"{quoted(piece)} has no name; write NAME=VALUE or leave it out")
        if not raw_value:
            raise BadValue(f"{quoted(name)} has no value; give it one or leave it out", name)
        if name in found:
            raise BadValue(f"{quoted(name)} is given twice; once is enough", name)
        found[name] = _value(name, raw_value)
        if len(found) > MOST_KNOBS:
            raise BadValue(f"there are more than {MOST_KNOBS} names here; send fewer")
    return list(found.items())


def _value(name: str, raw: str) -> str:
    try:
        return unescape(raw)
    except BadValue as error:
        raise BadValue(str(error), name) from None


def unescape(text: str) -> str:
    """The text behind `+` and percent escapes; broken ones and what is no UTF-8 are refused."""
    if "%" not in text and text.isascii():
        return text.replace("+", " ")
    if _BAD_ESCAPE.search(text):
        raise BadValue(f"{quoted(text)} has a broken % escape; write %25 for a percent sign")
    try:
        return unquote_to_bytes(text.replace("+", " ").encode("utf-8", "surrogateescape")).decode()
    except UnicodeError:
        raise BadValue(f"{quoted(text)} is not UTF-8; escape its UTF-8 bytes") from None


# --- bounds --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Bounds:
    """`5`, `..5`, `3..` or `3..5`: both ends included, None where a side is open."""

    least: float | None
    most: float | None

    def admits(self, value: float) -> bool:
        """Whether the value lies within."""
        return (self.least is None or value >= self.least) and (
            self.most is None or value <= self.most
        )


def bounds(text: str, read: Callable[[str], float]) -> Bounds:
    """The bounds in *text*, each end read by *read* (`integer`, `decimal`, `duration`, ...)."""
    low, dots, high = text.partition("..")
    if not dots:
        exact = read(text)
        return Bounds(exact, exact)
    if not low and not high:
        raise BadValue("'..' bounds nothing; write 5, ..5, 3.. or 3..5")
    least, most = (read(end) if end else None for end in (low, high))
    if least is not None and most is not None and least > most:
        raise BadValue(f"{quoted(text)} is empty; write the smaller end first")
    return Bounds(least, most)
