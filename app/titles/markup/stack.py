"""
The stack of open elements and the list of active formatting elements of a page being read
(https://html.spec.whatwg.org/multipage/parsing.html, sections 13.2.4.2 and 13.2.4.3).

No tree is built. What a page can make grow is bounded, and no search looks at elements one by one:
a few bytes stand for each, and are searched at the speed of memory. So reading a page takes time
linear in its length, however deep its elements are nested.
"""

from collections.abc import Iterator

from app.titles.markup.elements import (
    ANNOTATION_WITH_HTML,
    FOREIGN,
    HOLDS_HTML,
    HTML,
    KNOWN,
    Element,
    Space,
    Special,
    Wall,
)

DEEPEST = 4_096  # open elements; a deeper one replaces the last. Browsers go flat at 512
MOST_FORMATTING = 32  # entries of the list; the oldest goes
ALIKE = 3  # formatting elements of the same name and attributes, since the last marker

SCOPE = (Wall.SCOPE, Wall.TABLE)
BUTTON_SCOPE = (*SCOPE, Wall.BUTTON)
LIST_SCOPE = (*SCOPE, Wall.LIST)
TABLE_SCOPE = (Wall.TABLE,)

# What an element is to foreign content.
ORDINARY, PLAIN, WITH_HTML = range(3)

# What stands for all names that no rule knows, once a page has used too many of them.
OTHER_HTML = Element(254, b"", Space.HTML)
OTHER_FOREIGN = Element(255, b"", Space.SVG)


def _content(element: Element) -> int:
    if element.space is Space.HTML:
        return ORDINARY
    return WITH_HTML if element.space in HOLDS_HTML else PLAIN


class Formatting:
    """An entry of the list of active formatting elements, and where it stands on the stack."""

    __slots__ = ("at", "attributes", "element")

    def __init__(self, element: Element, attributes: bytes) -> None:
        self.element = element
        self.attributes = attributes
        self.at = -1


class Names:
    """The elements of one page by name: those that rules know, and those it made up."""

    __slots__ = ("_made",)

    def __init__(self) -> None:
        self._made: dict[tuple[Space, bytes], Element] = {}

    def html(self, name: bytes) -> Element:
        return HTML.get(name) or self._new(Space.HTML, name)

    def foreign(self, family: Space, name: bytes) -> Element:
        """The element of that name in the *family* of SVG or MathML."""
        return FOREIGN.get((family, name)) or self._new(family, name)

    def named(self, name: bytes) -> list[Element]:
        """All foreign elements of that name, of either family."""
        found = [self._known(family, name) for family in (Space.SVG, Space.MATH)]
        annotation = ANNOTATION_WITH_HTML if name == ANNOTATION_WITH_HTML.name else None
        return [element for element in (*found, annotation) if element is not None]

    def _known(self, family: Space, name: bytes) -> Element | None:
        return FOREIGN.get((family, name)) or self._made.get((family, name))

    def _new(self, space: Space, name: bytes) -> Element:
        made = self._made.get((space, name))
        if made is not None:
            return made
        code = len(KNOWN) + len(self._made)
        if code >= OTHER_HTML.code:
            return OTHER_HTML if space is Space.HTML else OTHER_FOREIGN
        made = self._made[space, name] = Element(code, name, space)
        return made


class Stack:
    """The open elements, outermost first."""

    __slots__ = ("_codes", "_foreign", "_nodes", "_specials", "_walls", "active", "watched")

    def __init__(self) -> None:
        self.active: list[Formatting | None] = []  # None is a marker
        self.watched: list[int] = []  # places, ascending; they go when what is there is popped
        self._nodes: list[Element | Formatting] = []
        self._codes = bytearray()
        self._walls = bytearray()
        self._specials = bytearray()
        self._foreign = bytearray()

    def __len__(self) -> int:
        return len(self._nodes)

    @property
    def top(self) -> Element:
        """The current node."""
        return self.at(-1)

    @property
    def top_is_foreign(self) -> bool:
        """The current node, if there is one, is SVG or MathML."""
        return bool(self._foreign) and self._foreign[-1] != ORDINARY

    def at(self, place: int) -> Element:
        node = self._nodes[place]
        return node.element if isinstance(node, Formatting) else node

    def entry(self, place: int) -> Formatting | None:
        """The formatting element at *place*, if there is one."""
        node = self._nodes[place]
        return node if isinstance(node, Formatting) else None

    # --- changes ---

    def push(self, element: Element) -> None:
        if len(self._nodes) >= DEEPEST:
            self.cut(DEEPEST - 1)
        self._nodes.append(element)
        self._codes.append(element.code)
        self._walls.append(element.wall)
        self._specials.append(element.special)
        self._foreign.append(_content(element))

    def insert(self, place: int, element: Element) -> None:
        """Put an HTML element in the middle."""
        self._nodes.insert(place, element)
        self._codes.insert(place, element.code)
        self._walls.insert(place, element.wall)
        self._specials.insert(place, element.special)
        self._foreign.insert(place, ORDINARY)
        self._shift(place, 1)

    def remove(self, place: int) -> None:
        """Take one out of the middle."""
        for column in self._columns():
            del column[place]
        self._shift(place, -1)

    def _shift(self, place: int, by: int) -> None:
        for entry in self.active:
            if entry is not None and entry.at >= place:
                entry.at += by

    def assign(self, place: int, entry: Formatting) -> None:
        """Let the element at *place* be the one of *entry*."""
        self._nodes[place] = entry
        entry.at = place

    def cut(self, length: int) -> None:
        """Pop until so many are left."""
        for column in self._columns():
            del column[length:]
        while self.watched and self.watched[-1] >= length:
            self.watched.pop()

    def pop(self) -> None:
        self.cut(len(self._nodes) - 1)

    def _columns(self) -> tuple[bytearray | list[Element | Formatting], ...]:
        return self._nodes, self._codes, self._walls, self._specials, self._foreign

    # --- searches, from the top; -1 is nowhere ---

    def last(self, element: Element) -> int:
        return self._codes.rfind(element.code)

    def places(self, element: Element, most: int) -> list[int]:
        """Where it stands, from the bottom, up to *most* times."""
        found: list[int] = []
        place = self._codes.find(element.code)
        while place >= 0 and len(found) < most:
            found.append(place)
            place = self._codes.find(element.code, place + 1)
        return found

    def between(self, element: Element, begin: int, end: int) -> bool:
        """Whether it stands anywhere from *begin* up to *end*."""
        return self._codes.find(element.code, begin, end) >= 0

    def last_html(self) -> int:
        """The innermost HTML element."""
        return self._foreign.rfind(ORDINARY)

    def last_with_html(self) -> int:
        """The innermost HTML element or integration point."""
        return max(self._foreign.rfind(ORDINARY), self._foreign.rfind(WITH_HTML))

    def is_open(self, entry: Formatting) -> bool:
        return 0 <= entry.at < len(self._nodes) and self._nodes[entry.at] is entry

    def in_scope(self, element: Element, walls: tuple[Wall, ...] = SCOPE) -> bool:
        at = self.last(element)
        return at >= 0 and self.unwalled(at, walls)

    def unwalled(self, place: int, walls: tuple[Wall, ...] = SCOPE) -> bool:
        """Whether nothing above *place* ends the scope."""
        return all(self._walls.find(wall, place + 1) < 0 for wall in walls)

    def special_above(self, place: int) -> int:
        """The first special element above *place*."""
        found = [self._specials.find(kind, place + 1) for kind in (Special.YES, Special.PASSED)]
        return min((at for at in found if at >= 0), default=-1)

    def bars_list_items(self, place: int) -> bool:
        """Whether something above *place* keeps a list item there open."""
        return self._specials.find(Special.YES, place + 1) >= 0

    # --- the list of active formatting elements ---

    def push_formatting(self, element: Element, attributes: bytes) -> None:
        """Open a formatting element and remember it: "push onto the list", section 13.2.4.3."""
        alike = [
            entry
            for entry in self._since_marker()
            if entry.element is element and entry.attributes == attributes
        ]
        if len(alike) >= ALIKE:
            self.active.remove(alike[-1])
        entry = Formatting(element, attributes)
        self._open(entry)
        self._remember(entry)

    def drop(self, entry: Formatting) -> None:
        """Forget a formatting element, and take it off the stack."""
        if entry in self.active:
            self.active.remove(entry)
        if self.is_open(entry):
            self.remove(entry.at)

    def mark(self) -> None:
        """Formatting from outside ends here."""
        self._remember(None)

    def clear_to_marker(self) -> None:
        while self.active and self.active.pop() is not None:
            pass

    def reconstruct(self) -> None:
        """Reopen the formatting elements that were closed by the end of what they were in."""
        closed = []
        for entry in self._since_marker():
            if self.is_open(entry):
                break
            closed.append(entry)
        for entry in reversed(closed):
            self._open(entry)

    def formatting(self, element: Element) -> Formatting | None:
        """The last entry of *element* after the last marker."""
        return next((entry for entry in self._since_marker() if entry.element is element), None)

    def _since_marker(self) -> Iterator[Formatting]:
        for entry in reversed(self.active):
            if entry is None:
                return
            yield entry

    def _open(self, entry: Formatting) -> None:
        self.push(entry.element)
        self.assign(len(self._nodes) - 1, entry)

    def _remember(self, entry: Formatting | None) -> None:
        if len(self.active) >= MOST_FORMATTING:
            del self.active[0]
        self.active.append(entry)
