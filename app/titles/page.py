"""One page as it arrives: bytes -> its title, and the encoding it is in."""

from typing import NamedTuple

from app.titles import charset
from app.titles.charset import REPLACEMENT, Source
from app.titles.decoding import WIDE, Decoded, Decoder, decode, decoder, is_utf8, narrowed, widened
from app.titles.markup.attributes import Attributes
from app.titles.markup.references import collapse, resolve
from app.titles.scan import Scanner

# Nothing waits while a title is decoded, or a page read again, so there are bounds to that. No
# page that means well has a longer title, or says only later that it is in ISO-2022-JP.
LONGEST_TITLE = 1 << 14  # bytes, of which a longer one is cut
MOST_AGAIN = 1 << 16  # bytes; past them that title alone is read in the encoding


class Title(NamedTuple):
    """
    What a page says of itself.

    *text* is its title as a browser's `document.title`, `""` when it is empty and None when there
    is none. *charset* is the encoding by its name in the Encoding standard, *source* says how it
    was found (`charset.Source`). *bad*: the title is malformed in that encoding and has U+FFFD
    where it is, or the encoding is one that nobody decodes any more and there is no title to be
    had. *cut*: the title is longer than `LONGEST_TITLE`, and *text* its beginning.
    """

    text: str | None
    charset: str
    source: str
    bad: bool
    cut: bool = False


class Page:
    """
    Takes the bytes of a page as they come and tells its title.

    *label* is the charset parameter of its Content-Type. However the bytes are divided, the answer
    is the same.
    """

    def __init__(self, label: str | None) -> None:
        self._encoding = charset.by_header(label)
        self._source = Source.HEADER
        self._begin = b""
        self._begun = False
        self._seen = bytearray()  # all there was, while nobody has said its encoding
        self._found_at = 0  # in bytes of the page: where it turned out what encoding it is in
        self._decoder: Decoder | None = None
        self._scanner = Scanner(self._declared)

    def feed(self, data: bytes) -> bool:
        """Read on; True when the title is known, so that no more need be read."""
        if self._begun:
            return self._read(data)
        self._begin += data
        return len(self._begin) >= charset.PROLOGUE and self._start()

    def close(self) -> Title:
        """What is known now: the page is over, or enough of it was read."""
        if not self._begun:
            self._start()
        self._end()
        if self._needs_decoder():
            self._restart()
            self._end()
        return self._title()

    def _start(self) -> bool:
        """Take up the first bytes, by what they say of the encoding."""
        self._begun = True
        begin, self._begin = self._begin, b""
        mark = charset.by_mark(begin)
        wide = charset.by_wide_xml(begin)
        if mark is not None:
            self._encoding, self._source = mark.encoding, Source.BOM
            begin = begin[len(mark.bytes) :]
        elif self._encoding is None and wide is not None:
            self._encoding, self._source = wide, Source.XML
        if self._encoding is not None:
            self._scanner = self._scanner_that_knows()
        return self._read(begin)

    def _scanner_that_knows(self) -> Scanner:
        """A scanner of a page whose encoding is known, from its beginning."""
        if self._encoding in WIDE:
            self._decoder = decoder(self._encoding)
        return Scanner()

    def _read(self, data: bytes) -> bool:
        if self._encoding is None:
            self._seen += data
        done = self._scan(data)
        if done and self._encoding is None:
            self._guess()
        if self._needs_decoder():
            return self._restart()
        return done or self._encoding == REPLACEMENT

    def _scan(self, data: bytes, *, final: bool = False) -> bool:
        if self._decoder is not None:
            data = narrowed(self._decoder.decode(data, final))
        return self._scanner.feed(data)

    def _end(self) -> None:
        self._scan(b"", final=True)
        self._scanner.close()
        if self._encoding is None:
            self._guess()

    # --- an encoding that shows only later ---

    def _declared(self, attributes: Attributes) -> bool:
        """A `meta`; whether it says the encoding."""
        self._encoding = charset.by_meta(attributes)
        self._source = Source.META
        self._found_at = self._scanner.consumed
        return self._encoding is not None

    def _guess(self) -> None:
        """No `meta` says it: an XML declaration may, else the bytes themselves."""
        self._found_at = self._scanner.consumed
        read = bytes(self._seen[: self._found_at])
        self._encoding, self._source = charset.by_xml(read), Source.XML
        if self._encoding is None and is_utf8(read):
            self._encoding, self._source = "utf-8", Source.DETECTED
        elif self._encoding is None:
            self._encoding, self._source = "windows-1252", Source.DEFAULT

    def _needs_decoder(self) -> bool:
        """The page was read as if ASCII bytes meant ASCII, and they do not."""
        is_wrong = self._encoding in WIDE and self._decoder is None
        return is_wrong and self._found_at <= MOST_AGAIN

    def _restart(self) -> bool:
        """Read again what was read wrongly."""
        self._scanner = self._scanner_that_knows()
        return self._scan(bytes(self._seen))

    # --- the answer ---

    def _title(self) -> Title:
        assert self._encoding is not None, "declared, or guessed at the end"
        raw = self._scanner.title
        if self._encoding == REPLACEMENT:
            return Title(None, self._encoding, self._source, bad=True)
        if raw is None:
            return Title(None, self._encoding, self._source, bad=False)
        read = self._decoded(raw[: self._end_of_title(raw)])
        text = collapse(resolve(read.text.replace("\0", "\N{REPLACEMENT CHARACTER}")))
        cut = len(raw) > LONGEST_TITLE
        return Title(text, self._encoding, self._source, read.malformed, cut)

    def _end_of_title(self, raw: bytes) -> int:
        """Up to where the title is kept: in UTF-8 of our own making, no half of a character is."""
        end = min(len(raw), LONGEST_TITLE)
        if self._decoder is not None:
            while end < len(raw) and raw[end] & 0xC0 == 0x80:
                end -= 1
        return end

    def _decoded(self, raw: bytes) -> Decoded:
        assert self._encoding is not None, "declared, or guessed at the end"
        if self._encoding not in WIDE:
            return decode(raw, self._encoding)
        if self._decoder is None:
            raw = narrowed(decoder(self._encoding).decode(raw, True))
        return widened(raw)
