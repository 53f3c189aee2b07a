"""
Text as it is written in HTML -> text as it is meant: character references and white space
(https://html.spec.whatwg.org/multipage/parsing.html, section 13.2.5.72 and following).
"""

import re
from html.entities import html5

_REFERENCE = re.compile(r"&(?:#(?:[xX]([0-9a-fA-F]+)|([0-9]+));?|([a-zA-Z][a-zA-Z0-9]*;?))")
_BLANKS = re.compile(r"[\t\n\f\r ]+")
_LONGEST = max(map(len, html5))
_LAST = 0x10FFFF
_DIGITS = 8  # significant ones; more is past the last character in any case

# Numbers of the C1 controls mean windows-1252, except the five that it leaves undefined.
_WINDOWS_1252 = {
    number: bytes((number,)).decode("windows-1252")
    for number in range(0x80, 0xA0)
    if number not in (0x81, 0x8D, 0x8F, 0x90, 0x9D)
}


def resolve(text: str) -> str:
    """The text with its character references replaced, as outside of attributes."""
    return _REFERENCE.sub(_meant, text) if "&" in text else text


def collapse(text: str) -> str:
    """
    The text without ASCII white space at its ends, and a space for each run of it between.

    Other white space stays, as in a browser's `document.title`.
    """
    return _BLANKS.sub(" ", text).strip(" ")


def _meant(match: re.Match[str]) -> str:
    hexadecimal, decimal, name = match.groups()
    if hexadecimal:
        return _character(hexadecimal, 16)
    if decimal:
        return _character(decimal, 10)
    return _named(name)


def _named(name: str) -> str:
    """The longest beginning of *name* that is one; some need no semicolon."""
    for length in range(min(len(name), _LONGEST), 1, -1):
        meant = html5.get(name[:length])
        if meant is not None:
            return meant + name[length:]
    return "&" + name


def _character(digits: str, base: int) -> str:
    significant = digits.lstrip("0")
    number = int(significant or "0", base) if len(significant) <= _DIGITS else _LAST + 1
    if number == 0 or number > _LAST or 0xD800 <= number <= 0xDFFF:
        return "\N{REPLACEMENT CHARACTER}"
    return _WINDOWS_1252.get(number, chr(number))
