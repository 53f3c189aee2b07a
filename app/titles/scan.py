"""
Bytes -> title: a tokenizer of HTML that is fed pieces and stops when the title is known
(https://html.spec.whatwg.org/multipage/parsing.html, section 13.2.5).

It reads bytes of any encoding in which ASCII bytes mean ASCII outside of longer characters. A piece
that ends within a token waits until there is twice as much to read, so that every byte is looked at
a bounded number of times, however small the pieces are. No pattern here can backtrack far.
"""

import re
from collections.abc import Callable

from app.titles.choice import Choice
from app.titles.markup import construction
from app.titles.markup.attributes import Attributes, tag_end
from app.titles.markup.tree import Tag

PRESCAN = 1_024  # bytes in which a `meta` counts wherever it is; past them, in the head

# Start tags after which the head may still go on, as browsers see it when they look for a charset.
_OF_HEAD = frozenset(
    (b"base", b"link", b"meta", b"noscript", b"object", b"script", b"style", b"title")
)
_BEGINS_HEAD = frozenset((b"head", b"html"))

OF_META = frozenset((b"charset", b"content", b"http-equiv"))

_TAG = re.compile(rb"<(/?)([a-zA-Z][^\t\n\f\r />]*)")
_PLAIN_TAG = re.compile(
    rb"<(/?)([a-zA-Z][^\t\n\f\r />]*)"
    rb'((?:[\t\n\f\r ]+[a-zA-Z][a-zA-Z0-9_:.-]*(?:="[^"]*")?){0,30})[\t\n\f\r ]*(/?)>'
)
_MARKUP = re.compile(rb"<(?:[a-zA-Z/!?]|\Z)")
_INK = re.compile(rb"[^\t\n\f\r \0]")
_COMMENT_END = re.compile(rb"--!?>")
_DOCTYPE = re.compile(rb"<!doctype", re.IGNORECASE)
_HTML_DOCTYPE = re.compile(rb"<!doctype[\t\n\f\r ]+html[\t\n\f\r >]", re.IGNORECASE)
_CDATA = b"<![CDATA["
_SCRIPT = re.compile(rb"<!--|-->|<(/?)script(?=[\t\n\f\r />])", re.IGNORECASE)
_LONGEST_MARK = len(_CDATA)


def _end_of(name: bytes) -> re.Pattern[bytes]:
    return re.compile(rb"</" + name + rb"(?=[\t\n\f\r />])", re.IGNORECASE)


_ENDS = {
    name: _end_of(name)
    for name in (b"iframe", b"noembed", b"noframes", b"style", b"textarea", b"title", b"xmp")
}


class Scanner:
    """
    Looks for the title in the bytes of a page.

    *on_meta* is told the attributes of every `meta` that may declare the encoding, until it answers
    True; while it has not, the page is read on to the end of its head. None: nobody asks.
    """

    def __init__(self, on_meta: Callable[[Attributes], bool] | None = None) -> None:
        self.done = False
        self._on_meta = on_meta
        self._head_over = False
        self._tree = construction.new_tree()
        self._choice = Choice(self._tree)
        self._step: Callable[[], bool] = self._markup
        self._waiting: list[bytes] = []
        self._waits = 0  # bytes, in all of `_waiting`
        self._enough = 0  # bytes to wait for
        self._page = b""  # what is being read
        self._at = 0  # up to where it is read
        self._before = 0  # bytes before it
        self._final = False
        self._within = b""  # the element whose text is being read, or whose end tag comes next
        self._escaped = 0  # of a script: 0 not, 1 in a comment, 2 in a script in a comment

    @property
    def title(self) -> bytes | None:
        """The title as it is written: with its character references."""
        return self._choice.title

    @property
    def consumed(self) -> int:
        """Bytes read, up to the end of the token that decided."""
        return self._before + self._at

    def feed(self, data: bytes) -> bool:
        """Read on; True when there is nothing more to find."""
        self._waiting.append(data)
        self._waits += len(data)
        if self._waits >= self._enough and not self.done:
            self._read()
        return self.done

    def close(self) -> None:
        """The page ends here."""
        self._final = True
        if not self.done:
            self._read()
            self.done = True

    def _read(self) -> None:
        self._before += self._at
        self._page = b"".join(self._waiting)
        self._at = 0
        while not self.done and self._step():
            pass
        rest = b"" if self.done else self._page[self._at :]
        self._waiting = [rest]
        self._waits = len(rest)
        self._enough = 2 * len(rest)

    # --- steps: each reads a token and says whether there was one to read ---

    def _markup(self) -> bool:
        """Text up to a `<`, and what begins there."""
        page = self._page
        less = page.find(b"<", self._at)
        if less != self._at:
            self._text(len(page) if less < 0 else less)
        if less < 0:
            return False
        tag = _PLAIN_TAG.match(page, less)
        if tag is None:
            return self._odd_markup(less)
        self._at = tag.end()
        slash, name, source, closing = tag.groups()
        self._tag(less, slash, name.lower(), source, closing)
        return True

    def _text(self, end: int) -> None:
        blank = _INK.search(self._page, self._at, end) is None
        construction.text(self._tree, blank=blank)
        self._at = end

    def _odd_markup(self, less: int) -> bool:
        page = self._page
        tag = _TAG.match(page, less)
        if tag is not None:
            return self._odd_tag(tag)
        if len(page) - less < _LONGEST_MARK and not self._final:
            return False
        mark = page[less + 1 : less + 2]
        if mark == b"!":
            return self._declaration(less)
        if mark == b"?" or (mark == b"/" and page[less + 2 : less + 3]):
            return self._skip_to_greater()
        return self._stray(less + 1)

    def _stray(self, begin: int) -> bool:
        """Text with a `<` in it, up to where markup may begin."""
        markup = _MARKUP.search(self._page, begin)
        self._text(len(self._page) if markup is None else max(begin, markup.start()))
        return markup is not None

    def _odd_tag(self, tag: re.Match[bytes]) -> bool:
        """A tag with attributes that are not plainly written."""
        page, begin = self._page, tag.end()
        end, closed = tag_end(page, begin)
        if end < 0:
            return False
        self._at = end + 1
        self._tag(tag.start(), tag[1], tag[2].lower(), page[begin:end], b"/" if closed else b"")
        return True

    def _declaration(self, less: int) -> bool:
        page = self._page
        if page.startswith(b"<!--", less):
            return self._begin_comment(less + 4)
        if page.startswith(_CDATA, less) and self._tree.stack.top_is_foreign:
            self._at = less + len(_CDATA)
            self._step = self._cdata
            return True
        if _DOCTYPE.match(page, less):
            if page.find(b">", less) < 0 and not self._final:
                return False
            self._tree.doctype(quirks=_HTML_DOCTYPE.match(page, less) is None)
        return self._skip_to_greater()

    def _skip_to_greater(self) -> bool:
        self._step = self._skipping
        return True

    def _skipping(self) -> bool:
        """What ends with the next `>`: a doctype, or what is no markup at all."""
        end = self._page.find(b">", self._at)
        if end < 0:
            self._at = len(self._page)
            return False
        self._at = end + 1
        self._step = self._markup
        return True

    def _begin_comment(self, begin: int) -> bool:
        """A comment; `<!-->` and `<!--->` are whole ones."""
        page = self._page
        abrupt = next((end for end in (b">", b"->") if page.startswith(end, begin)), None)
        if abrupt is not None:
            self._at = begin + len(abrupt)
        else:
            self._at = begin
            self._step = self._comment
        return True

    def _comment(self) -> bool:
        end = _COMMENT_END.search(self._page, self._at)
        if end is None:
            self._at = max(self._at, len(self._page) - 3)
            return False
        self._at = end.end()
        self._step = self._markup
        return True

    def _cdata(self) -> bool:
        end = self._page.find(b"]]>", self._at)
        if end < 0:
            self._text(max(self._at, len(self._page) - 2))
            return False
        self._text(end)
        self._at = end + 3
        self._step = self._markup
        return True

    # --- tags ---

    def _tag(self, begin: int, slash: bytes, name: bytes, source: bytes, closing: bytes) -> None:
        if self._on_meta is not None:
            self._look_for_end_of_head(begin)
        if slash:
            self._end_tag(name)
        else:
            self._start_tag(Tag(name, source, closing == b"/"))
        if self._on_meta is not None:
            self._head_over |= name not in _OF_HEAD and (slash == b"/" or name not in _BEGINS_HEAD)
            self._look_for_end_of_head(self._at)
        if self._choice.title is not None:
            self._decide()

    def _end_tag(self, name: bytes) -> None:
        if self._within:
            self._within = b""
        else:
            construction.end(self._tree, name)

    def _start_tag(self, tag: Tag) -> None:
        if (
            tag.name == b"meta"
            and self._on_meta is not None
            and self._on_meta(tag.attributes(OF_META))
        ):
            self._on_meta = None
        within = construction.start(self._tree, tag)
        if within:
            self._within = within
            self._step = self._step_within(within)

    def _look_for_end_of_head(self, at: int) -> None:
        """Past the head and the first bytes, no `meta` declares anything."""
        if self._head_over and self._before + at >= PRESCAN:
            self._on_meta = None

    def _decide(self) -> None:
        self.done = self._choice.settled and self._on_meta is None

    def _step_within(self, name: bytes) -> Callable[[], bool]:
        if name == b"title":
            return self._title
        if name == b"script":
            return self._script
        return self._plaintext if name == b"plaintext" else self._raw_text

    # --- the text of elements that hold nothing else ---

    def _title(self) -> bool:
        end = _ENDS[b"title"].search(self._page, self._at)
        if end is None and not self._final:
            return False
        stop = len(self._page) if end is None else end.start()
        if not self._tree.in_template:
            self._choice.offer(self._page[self._at : stop])
        self._at = stop
        self._step = self._markup
        self._decide()
        return end is not None

    def _raw_text(self) -> bool:
        end = _ENDS[self._within].search(self._page, self._at)
        if end is None:
            self._keep(len(self._within) + 2)
            return False
        self._at = end.start()
        self._step = self._markup
        return True

    def _keep(self, last: int) -> None:
        """All is read but the *last* bytes, which may be the beginning of something."""
        self._at = max(self._at, len(self._page) - last)

    def _script(self) -> bool:
        mark = _SCRIPT.search(self._page, self._at)
        if mark is None:
            self._keep(len(b"</script"))
            return False
        if mark[1] == b"/" and self._escaped < 2:
            self._at = mark.start()
            self._escaped = 0
            self._step = self._markup
        else:
            # Two bytes on, since the dashes of `<!-->` both begin and end a comment.
            self._at = mark.start() + 2
            self._escaped = _escape(self._escaped, mark)
        return True

    def _plaintext(self) -> bool:
        self.done = True
        return False


def _escape(escaped: int, mark: re.Match[bytes]) -> int:
    """How deep in comments a script is after the *mark*."""
    if mark[0] == b"-->":
        return 0
    if mark[0] == b"<!--":
        return max(escaped, 1)
    if mark[1]:
        return 1
    return 2 if escaped else 0
