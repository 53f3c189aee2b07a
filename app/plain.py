"""Text of strangers, as a terminal or a page may show it. Pure."""

from unicodedata import category

JOINERS = "\N{ZERO WIDTH NON-JOINER}\N{ZERO WIDTH JOINER}"  # Persian, Hindi and emoji need them

# By general category (https://www.unicode.org/reports/tr44/#General_Category_Values).
_SHOWN = {
    "Cc": "\N{REPLACEMENT CHARACTER}",  # escape sequences begin with one
    "Cs": "\N{REPLACEMENT CHARACTER}",  # half of a pair, which no encoding can write
    "Cf": "",  # among them those that turn the direction of what follows
    "Zl": " ",
    "Zp": " ",
}


def plain(text: str) -> str:
    """
    The text on one line, without what could move a cursor or turn the order of letters.

    A control character becomes a replacement character, a line end or tab a blank; invisible
    marks of format are left out.
    """
    return text if text.isprintable() else "".join(map(_shown, text))


def _shown(character: str) -> str:
    if character in JOINERS:
        return character
    if character in "\t\n\r\f\v":
        return " "
    return _SHOWN.get(category(character), character)
