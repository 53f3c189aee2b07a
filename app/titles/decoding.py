"""
Bytes -> text as the Encoding standard prescribes (https://encoding.spec.whatwg.org/), by Python's
codecs and what they need to agree with it.

Where they still differ, because nothing short of a table would help: 191 characters of Big5, most
of them added by Hong Kong in 2008, are unknown to Python and decode as malformed; 0xA241 and 0xA242
of Big5 and 0x8FA2B7 of EUC-JP give a wider or narrower form of the same sign.
"""

import codecs
from collections.abc import Callable
from typing import NamedTuple, Protocol

import webencodings

from app.titles import iso2022jp
from app.titles.iso2022jp import MALFORMED, sign

Handler = Callable[[UnicodeError], tuple[str, int]]
Translation = dict[int, int]


class Decoded(NamedTuple):
    """A text, with U+FFFD for what was *malformed* if anything was."""

    text: str
    malformed: bool


class Decoder(Protocol):
    """Decodes piece by piece."""

    def decode(self, data: bytes, final: bool = False) -> str: ...


class _Way(NamedTuple):
    """How Python is made to decode as the standard says."""

    codec: str
    errors: str = "dawdle.titles.any"
    translation: Translation | None = None


# --- error handlers: what the standard does where Python stops ---


def _failed(error: UnicodeError) -> UnicodeDecodeError:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return error


def _any(error: UnicodeError) -> tuple[str, int]:
    return MALFORMED, _failed(error).end


def _control(error: UnicodeError) -> tuple[str, int]:
    """What a code page of Windows leaves undefined below 0xA0 is a control character."""
    at = _failed(error).start
    byte = _failed(error).object[at]
    return (chr(byte) if byte < 0xA0 else MALFORMED), at + 1


def _hebrew(error: UnicodeError) -> tuple[str, int]:
    at = _failed(error).start
    if _failed(error).object[at] == 0xCA:
        return "\N{HEBREW POINT HOLAM HASER FOR VAV}", at + 1
    return _control(error)


def _pairs(leads: range) -> Handler:
    """Of a pair that means nothing, a second byte in ASCII stands for itself."""

    def handle(error: UnicodeError) -> tuple[str, int]:
        data, at = _failed(error).object, _failed(error).start
        pair = data[at : at + 2]
        both = len(pair) == 2 and pair[0] in leads and pair[1] >= 0x80
        return MALFORMED, at + (2 if both else 1)

    return handle


def _chinese(error: UnicodeError) -> tuple[str, int]:
    at = _failed(error).start
    if _failed(error).object[at] == 0x80:
        return "\N{EURO SIGN}", at + 1
    return _LEADS_81_FE(error)


def _taiwanese(error: UnicodeError) -> tuple[str, int]:
    data, at = _failed(error).object, _failed(error).start
    if data[at : at + 2] == b"\xa3\xe1":
        return "\N{EURO SIGN}", at + 2
    return _LEADS_81_FE(error)


def _japanese(error: UnicodeError) -> tuple[str, int]:
    """EUC-JP, with the extensions of NEC and IBM."""
    data, at = _failed(error).object, _failed(error).start
    pair = data[at : at + 2]
    if len(pair) == 2 and all(0xA1 <= byte <= 0xFE for byte in pair):
        return sign(pair[0] - 0x80, pair[1] - 0x80), at + 2
    return _LEADS_81_FE(error)


_LEADS_81_FE = _pairs(range(0x81, 0xFF))

for _name, _handler in {
    "any": _any,
    "control": _control,
    "hebrew": _hebrew,
    "pairs": _LEADS_81_FE,
    "chinese": _chinese,
    "taiwanese": _taiwanese,
    "japanese": _japanese,
}.items():
    codecs.register_error(f"dawdle.titles.{_name}", _handler)


# --- the encodings that need more than their codec ---

# GB 18030 moved these in 2005 and 2022 from the private use area, where Python leaves them.
_GB18030 = str.maketrans(
    "\ue5e5\ue78d\ue78e\ue78f\ue790\ue791\ue792\ue793\ue794\ue795\ue796\ue7c7"
    "\ue81e\ue826\ue82b\ue82c\ue832\ue843\ue854\ue864",
    "\u3000\ufe10\ufe12\ufe11\ufe13\ufe14\ufe15\ufe16\ufe17\ufe18\ufe19\u1e3f"
    "\u9fb4\u9fb5\u9fb6\u9fb7\u9fb8\u9fb9\u9fba\u9fbb",
)
_BIG5 = str.maketrans(
    "\u2022\uff64\u203e\u223c\u2641\u2609\xa5\xa2\xa3",
    "\u2027\ufe51\xaf\uff5e\u2295\u2299\uffe5\uffe0\uffe1",
)
_EUC_JP = str.maketrans("\u301c\u2016\u2212\xa2\xa3\xac", "\uff5e\u2225\uff0d\uffe0\uffe1\uffe2")
_SHIFT_JIS = str.maketrans("\uf8f0\uf8f1\uf8f2\uf8f3", MALFORMED * 4)
_KOI8_U = str.maketrans("\u255d\u256c", "\u045e\u040e")

_GB = _Way("gb18030", "dawdle.titles.chinese", _GB18030)
_WAYS = {
    "gbk": _GB,
    "gb18030": _GB,
    "big5": _Way("big5hkscs", "dawdle.titles.taiwanese", _BIG5),
    "euc-kr": _Way("cp949", "dawdle.titles.pairs"),
    "shift_jis": _Way("cp932", "dawdle.titles.pairs", _SHIFT_JIS),
    "euc-jp": _Way("euc_jp", "dawdle.titles.japanese", _EUC_JP),
    "koi8-u": _Way("koi8-u", translation=_KOI8_U),
    "windows-874": _Way("cp874", "dawdle.titles.control"),
    "windows-1255": _Way("cp1255", "dawdle.titles.hebrew"),
}
_WAYS |= {
    f"windows-{number}": _Way(f"cp{number}", "dawdle.titles.control")
    for number in (*range(1250, 1255), *range(1256, 1259))
}

WIDE = frozenset(("utf-16le", "utf-16be", "iso-2022-jp"))  # whose ASCII bytes need not mean ASCII
_NARROW = "surrogatepass"


def decode(data: bytes, encoding: str) -> Decoded:
    """*data* in the *encoding*, one that is not `WIDE`, by its name in the standard."""
    way = _WAYS.get(encoding)
    if way is None:
        return _decoded(_codec(encoding).decode(data, "dawdle.titles.any")[0])
    text = data.decode(way.codec, way.errors)
    return _decoded(text.translate(way.translation) if way.translation else text)


def _codec(encoding: str) -> codecs.CodecInfo:
    found = webencodings.lookup(encoding)
    assert found is not None, "a name of the standard"
    return found.codec_info


def narrowed(text: str) -> bytes:
    """Text of a `WIDE` encoding as UTF-8 that remembers what was malformed."""
    return text.encode("utf-8", _NARROW)


def widened(data: bytes) -> Decoded:
    """The text of bytes out of what was `narrowed`."""
    return _decoded(data.decode("utf-8", _NARROW))


def decoder(encoding: str) -> Decoder:
    """A decoder for a `WIDE` encoding."""
    if encoding == "iso-2022-jp":
        return iso2022jp.Decoder()
    return codecs.getincrementaldecoder(encoding)("dawdle.titles.any")


def is_utf8(data: bytes) -> bool:
    """Whether *data* is valid UTF-8, but for a last character that is cut off."""
    try:
        codecs.getincrementaldecoder("utf-8")().decode(data)
    except UnicodeDecodeError:
        return False
    return True


def _decoded(text: str) -> Decoded:
    malformed = MALFORMED in text
    return Decoded(text.replace(MALFORMED, "\N{REPLACEMENT CHARACTER}"), malformed)
