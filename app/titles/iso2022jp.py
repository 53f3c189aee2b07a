"""
ISO-2022-JP as the web has it (https://encoding.spec.whatwg.org/#iso-2022-jp-decoder): with the
half-width katakana and the signs of NEC and IBM that Python's codecs of that name lack.
"""

import re

MALFORMED = "\udfff"  # in place of what is malformed; nothing that can be decoded is a surrogate

_NAME = 2  # bytes, after the escape byte
_PAIRED = bytes(range(0x21, 0x7F))
_SIGNS = str.maketrans({"\\": "\N{YEN SIGN}", "~": "\N{OVERLINE}"})
_NO_TEXT = re.compile("[\x0e\x0f\x80-\xff]")
_KATAKANA = {chr(byte): chr(0xFF61 - 0x21 + byte) for byte in range(0x21, 0x60)}


def sign(row: int, cell: int) -> str:
    """The character of JIS X 0208, with the extensions of NEC and IBM; rows and cells from 0x21."""
    first = (row - 0x21) // 2 + 0x81
    first += 0x40 if first > 0x9F else 0
    second = cell + (0x1F if row % 2 else 0x7E)
    second += 1 if row % 2 and second >= 0x7F else 0
    try:
        return bytes((first, second)).decode("cp932")
    except UnicodeDecodeError:
        return MALFORMED


def _ascii(data: bytes) -> str:
    return _NO_TEXT.sub(MALFORMED, data.decode("latin-1"))


def _roman(data: bytes) -> str:
    return _ascii(data).translate(_SIGNS)


def _katakana(data: bytes) -> str:
    return "".join(_KATAKANA.get(character, MALFORMED) for character in data.decode("latin-1"))


def _kanji(data: bytes) -> str:
    """Pairs; a byte that can't begin one stands alone, and so does the last of all."""
    found = []
    at = 0
    while at < len(data):
        pair = data[at : at + 2]
        whole = len(pair) == 2 and pair[0] in _PAIRED and pair[1] in _PAIRED
        found.append(sign(pair[0], pair[1]) if whole else MALFORMED)
        at += 2 if pair[0] in _PAIRED else 1
    return "".join(found)


_SETS = {b"(B": _ascii, b"(J": _roman, b"(I": _katakana, b"$@": _kanji, b"$B": _kanji}


class Decoder:
    """Decodes piece by piece, with `MALFORMED` for what can't be."""

    def __init__(self) -> None:
        self._set = _ascii
        self._rest = b""

    def decode(self, data: bytes, final: bool = False) -> str:
        data = self._rest + data
        self._rest = b""
        first, *others = data.split(b"\x1b")
        found = [self._set(first)] if others else [self._last(first, final)]
        for place, run in enumerate(others, start=1):
            last = place == len(others)
            found.append(self._escaped(run, open_ended=last and not final))
        return "".join(found)

    def _escaped(self, run: bytes, *, open_ended: bool) -> str:
        """What follows an escape byte: the name of a set, and text in it."""
        if len(run) < _NAME and open_ended:
            self._rest = b"\x1b" + run
            return ""
        chosen = _SETS.get(run[:_NAME])
        if chosen is None:
            return MALFORMED + self._last(run, not open_ended)
        self._set = chosen
        return self._last(run[_NAME:], not open_ended)

    def _last(self, run: bytes, final: bool) -> str:
        """The text of a run, of which half a character may be yet to come."""
        if self._set is _kanji and not final and _ends_in_half(run):
            self._rest = run[-1:]
            run = run[:-1]
        return self._set(run)


def _ends_in_half(run: bytes) -> bool:
    """Whether the last byte begins a pair: an odd one of those that can."""
    paired = len(run) - len(run.rstrip(_PAIRED))
    return paired % 2 == 1
