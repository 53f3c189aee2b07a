"""
What is known of a page's tree while it is read, and the steps that its rules share
(https://html.spec.whatwg.org/multipage/parsing.html, section 13.2.4).

There is no tree: only what decides about titles is kept, that is which elements are open and in
which mode the page is. Scripts do not run.
"""

from collections.abc import Callable, Mapping
from enum import IntEnum, auto
from typing import NamedTuple

from app.titles.markup.attributes import Attributes, read
from app.titles.markup.elements import HTML, IMPLIED, Wall
from app.titles.markup.stack import BUTTON_SCOPE, SCOPE, Names, Stack


class Mode(IntEnum):
    """The insertion mode."""

    BEFORE_HTML = auto()
    BEFORE_HEAD = auto()
    IN_HEAD = auto()
    IN_HEAD_NOSCRIPT = auto()
    AFTER_HEAD = auto()
    IN_BODY = auto()
    IN_TABLE = auto()
    IN_CAPTION = auto()
    IN_COLUMNS = auto()
    IN_ROWS = auto()
    IN_ROW = auto()
    IN_CELL = auto()
    IN_TEMPLATE = auto()
    AFTER_BODY = auto()
    IN_FRAMESET = auto()
    AFTER_FRAMESET = auto()
    AFTER_ALL = auto()  # after after body
    AFTER_ALL_FRAMES = auto()  # after after frameset


class Tag(NamedTuple):
    """A start tag. *source* is its attributes as they are written."""

    name: bytes
    source: bytes
    closed: bool  # with `/>`

    def attributes(self, wanted: frozenset[bytes]) -> Attributes:
        return read(self.source, wanted)


class Rules(NamedTuple):
    """
    What a mode makes of a start tag, an end tag and text.

    The rule of a start tag answers with the name of the element when the tokenizer is to take what
    follows as its text, else with `b""`. Text is blank, that is ASCII white space, or not.
    """

    start: "Callable[[Tree, Tag], bytes]"
    end: "Callable[[Tree, bytes], None]"
    text: "Callable[[Tree, bool], None]"


class Tree:
    """What is open, and what the modes remember."""

    def __init__(self, rules: Mapping[Mode, Rules]) -> None:
        self._rules = rules
        self.mode = Mode.BEFORE_HTML
        self.stack = Stack()
        self.names = Names()
        self.quirks = True
        self.frames_possible = True  # the "frameset-ok flag"
        self.templates: list[Mode] = []
        self.form_open = False  # the "form element pointer" points somewhere
        self.head_seen = False

    def doctype(self, *, quirks: bool) -> None:
        """A doctype; only one before everything else counts."""
        if self.mode is Mode.BEFORE_HTML:
            self.quirks = quirks

    @property
    def in_template(self) -> bool:
        """What comes now goes into a template, not into the document."""
        return self.stack.last(HTML[b"template"]) >= 0

    def again(self, tag: Tag) -> bytes:
        """What the rules of the present mode make of a start tag, in HTML content."""
        return self._rules[self.mode].start(self, tag)

    def again_end(self, name: bytes) -> None:
        self._rules[self.mode].end(self, name)

    def again_text(self, blank: bool) -> None:
        self._rules[self.mode].text(self, blank)

    def push(self, name: bytes) -> None:
        self.stack.push(self.names.html(name))

    def has(self, name: bytes, walls: tuple[Wall, ...] = SCOPE) -> bool:
        return self.stack.in_scope(self.names.html(name), walls)

    def has_any(self, among: frozenset[bytes], walls: tuple[Wall, ...] = SCOPE) -> bool:
        return any(self.has(name, walls) for name in among)

    def last_of(self, among: frozenset[bytes]) -> int:
        return max(self.stack.last(HTML[name]) for name in among)

    def pop_to(self, name: bytes) -> None:
        """Pop until one of that name has been popped."""
        self.stack.cut(max(self.stack.last(self.names.html(name)), 1))

    def pop_to_any(self, among: frozenset[bytes]) -> None:
        self.stack.cut(max(self.last_of(among), 1))

    def clear_to(self, context: frozenset[bytes]) -> None:
        """Clear the stack back to a table's, a table body's or a table row's context."""
        self.stack.cut(self.last_of(context) + 1)

    def imply_ends(self, besides: bytes = b"") -> None:
        """Close what needs no end tag: "generate implied end tags"."""
        while (name := self.stack.top.name) in IMPLIED and name != besides:
            if self.stack.top_is_foreign:
                break
            self.stack.pop()

    def close(self, name: bytes, walls: tuple[Wall, ...] = SCOPE) -> bool:
        """Close the element if one is in scope; whether one was."""
        if not self.has(name, walls):
            return False
        self.imply_ends(besides=name)
        self.pop_to(name)
        return True

    def close_p(self) -> None:
        self.close(b"p", BUTTON_SCOPE)

    def reconsider(self, mode: Mode, tag: Tag) -> bytes:
        """The same tag again, in another mode."""
        self.mode = mode
        return self.again(tag)

    def reconsider_end(self, mode: Mode, name: bytes) -> None:
        self.mode = mode
        self.again_end(name)

    def reset_mode(self) -> None:
        """Take the mode of the innermost element that has one: "reset the insertion mode"."""
        _, name = max((self.stack.last(HTML[name]), name) for name in MODE_INSIDE)
        self.mode = MODE_INSIDE[name]
        if name == b"template":
            self.mode = self.templates[-1]
        elif name == b"html":
            self.mode = Mode.AFTER_HEAD if self.head_seen else Mode.BEFORE_HEAD


MODE_INSIDE = {
    b"td": Mode.IN_CELL,
    b"th": Mode.IN_CELL,
    b"tr": Mode.IN_ROW,
    b"tbody": Mode.IN_ROWS,
    b"thead": Mode.IN_ROWS,
    b"tfoot": Mode.IN_ROWS,
    b"caption": Mode.IN_CAPTION,
    b"colgroup": Mode.IN_COLUMNS,
    b"table": Mode.IN_TABLE,
    b"template": Mode.IN_TEMPLATE,
    b"head": Mode.IN_HEAD,
    b"body": Mode.IN_BODY,
    b"frameset": Mode.IN_FRAMESET,
    b"html": Mode.AFTER_HEAD,
}
