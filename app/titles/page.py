"""One page as it arrives: bytes -> its title, and the encoding it is in."""

from typing import NamedTuple

from app.titles import charset
from app.titles.charset import REPLACEMENT, Source
from app.titles.decoding import WIDE, Decoder, decode, decoder, is_utf8, narrowed, widened
from app.titles.markup.attributes import Attributes
from app.titles.markup.references import collapse, resolve
from app.titles.scan import Scanner


class Title(NamedTuple):
    """
    What a page says of itself.

    *text* is its title as a browser's `document.title`, `""` when it is empty and None when there
    is none. *charset* is the encoding by its name in the Encoding standard, *source* says how it
    was found (`charset.Source`). *bad*: the title is malformed in that encoding and has U+FFFD
    where it is, or the encoding is one that nobody decodes any more and there is no title to be
    had.
    """

    text: str | None
    charset: str
    source: str
    bad: bool


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
        return self._encoding is not None

    def _guess(self) -> None:
        """No `meta` says it: an XML declaration may, else the bytes themselves."""
        read = bytes(self._seen[: self._scanner.consumed])
        self._encoding, self._source = charset.by_xml(read), Source.XML
        if self._encoding is None and is_utf8(read):
            self._encoding, self._source = "utf-8", Source.DETECTED
        elif self._encoding is None:
            self._encoding, self._source = "windows-1252", Source.DEFAULT

    def _needs_decoder(self) -> bool:
        """The page was read as if ASCII bytes meant ASCII, and they do not."""
        return self._encoding in WIDE and self._decoder is None

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
        read = widened(raw) if self._decoder is not None else decode(raw, self._encoding)
        text = collapse(resolve(read.text.replace("\0", "\N{REPLACEMENT CHARACTER}")))
        return Title(text, self._encoding, self._source, read.malformed)
