"""How people are told of lengths, counts and what clients sent: the words all views share. Pure."""

import unicodedata

TIMES = "\N{MULTIPLICATION SIGN}"
JOINED = "\xa0"  # a space at which no line is broken; an ordinary one where lines don't matter

MICROSECOND, MILLISECOND, SECOND, MINUTE = 10**3, 10**6, 10**9, 60 * 10**9


def length(ns: int) -> str:
    """A length as people say it: three digits that matter, and `m:ss` from two minutes on."""
    if ns >= 2 * MINUTE:
        return f"{ns // MINUTE}:{ns % MINUTE // SECOND:02d}{JOINED}min"
    for unit, name in ((SECOND, "s"), (MILLISECOND, "ms")):
        if round(ns / unit, 3 if name == "s" else 0) >= 1:
            return f"{digits(ns / unit)}{JOINED}{name}"
    return f"{digits(ns / MICROSECOND)}{JOINED}µs" if ns else f"0{JOINED}s"


def digits(value: float) -> str:
    """A number in the three digits that matter."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def per_cent(ratio: float) -> str:
    """A ratio as per cent, in whole numbers."""
    return f"{100 * ratio:.0f}{JOINED}%"


def plural(count: int, noun: str) -> str:
    """So many of them: 1 request, 2,000 requests."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def printable(raw: str, most: int) -> str:
    """
    Text from a client in at most *most* columns, one a character.

    Control characters, and those that take no column or two, are shown as escapes.
    """
    shown = "".join(one if _plain(one) else ascii(one)[1:-1] for one in raw[: most + 1])
    return shown if len(shown) <= most else shown[: most - 3] + "..."


def _plain(one: str) -> bool:
    wide = unicodedata.east_asian_width(one) in "WF"
    return one.isprintable() and not wide and not unicodedata.category(one).startswith("M")
