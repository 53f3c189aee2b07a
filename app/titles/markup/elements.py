"""
The elements that the HTML standard treats specially when it builds a tree, by name. Tables only.

All of it is from https://html.spec.whatwg.org/multipage/parsing.html, section 13.2.
"""

from dataclasses import dataclass
from enum import IntEnum


class Wall(IntEnum):
    """What an element stops: "has an element in scope" looks no further (section 13.2.4.2)."""

    NONE = 0
    SCOPE = 1  # every scope but that of tables
    TABLE = 2  # every scope
    BUTTON = 3  # button scope only
    LIST = 4  # list item scope only


class Space(IntEnum):
    """What kind of content an element is, and what kind its children are."""

    HTML = 0
    SVG = 1
    MATH = 2
    SVG_WITH_HTML = 3  # an HTML integration point
    MATH_WITH_TEXT = 4  # a MathML text integration point
    ANNOTATION = 5  # annotation-xml, which may hold SVG
    ANNOTATION_WITH_HTML = 6  # annotation-xml that says it holds HTML


SVG_SPACES = frozenset((Space.SVG, Space.SVG_WITH_HTML))
HOLDS_HTML = frozenset((Space.SVG_WITH_HTML, Space.MATH_WITH_TEXT, Space.ANNOTATION_WITH_HTML))


class Special(IntEnum):
    """Whether an element stops an end tag that is not its own."""

    NOT = 0
    YES = 1
    PASSED = 2  # but not the start tag of a list item


@dataclass(frozen=True, slots=True, eq=False)
class Element:
    """
    An element as the stack of open elements knows it: one object for all of the same name.

    *code* is a byte that stands for it, so that the stack can be searched at the speed of memory.
    """

    code: int
    name: bytes
    space: Space = Space.HTML
    wall: Wall = Wall.NONE
    special: Special = Special.NOT


def names(text: str) -> frozenset[bytes]:
    """A set of names from text with blanks between."""
    return frozenset(text.encode().split())


SPECIAL = names(
    "address applet area article aside base basefont bgsound blockquote body br button caption "
    "center col colgroup dd details dir div dl dt embed fieldset figcaption figure footer form "
    "frame frameset h1 h2 h3 h4 h5 h6 head header hgroup hr html iframe img input keygen li link "
    "listing main marquee menu meta nav noembed noframes noscript object ol p param plaintext pre "
    "script search section select source style summary table tbody td template textarea tfoot th "
    "thead title tr track ul wbr xmp"
)
PASSED_BY_LIST_ITEMS = names("address div p")
FORMATTING = names("a b big code em font i nobr s small strike strong tt u")
OTHERS = names("optgroup option rb rp rt rtc ruby")  # that a rule asks for
WALLS = {
    Wall.SCOPE: names("applet caption marquee object select td th"),
    Wall.TABLE: names("html table template"),
    Wall.BUTTON: names("button"),
    Wall.LIST: names("ol ul"),
}

HEADINGS = names("h1 h2 h3 h4 h5 h6")
IMPLIED = names("dd dt li optgroup option p rb rp rt rtc")  # end tags that go without saying
LIST_ITEMS = {b"li": names("li"), b"dd": names("dd dt"), b"dt": names("dd dt")}

TEXT_IN_HEAD = names("noframes script style title")
VOID_IN_HEAD = names("base basefont bgsound link meta")
IN_HEAD = TEXT_IN_HEAD | VOID_IN_HEAD | names("template")
IN_NOSCRIPT = VOID_IN_HEAD - names("base") | names("noframes style")
ENDS_THAT_BEGIN = names("body br head html")  # end tags that are not ignored before the body

CELLS = names("td th")
CELLS_AND_CAPTION = CELLS | names("caption")
ROW_GROUPS = names("tbody tfoot thead")
CELL_TABLES = ROW_GROUPS | names("table tr")  # whose end tags end a cell
ROWS_ENDERS = ROW_GROUPS | names("caption col colgroup")  # whose start tags end a row
CELL_ENDERS = ROWS_ENDERS | CELLS | names("tr")
TABLE_CONTEXT = names("html table template")
ROWS_CONTEXT = ROW_GROUPS | names("html template")
ROW_CONTEXT = names("html template tr")

# End tags that mean nothing there.
NO_END_IN_CELL = names("body caption col colgroup html")
NO_END_IN_ROW = NO_END_IN_CELL | CELLS
NO_END_IN_ROWS = NO_END_IN_ROW | names("tr")
NO_END_IN_TABLE = NO_END_IN_ROWS | ROW_GROUPS
NO_END_IN_CAPTION = NO_END_IN_TABLE - names("caption")

# Start tags of ordinary HTML that end foreign content.
BREAKOUT = HEADINGS | names(
    "b big blockquote body br center code dd div dl dt em embed head hr i img li listing menu "
    "meta nobr ol p pre ruby s small span strong strike sub sup table tt u ul var"
)
BREAKOUT_FONT = names("color face size")  # and a font with one of these

SVG_WITH_HTML = names("desc foreignobject title")
MATH_WITH_TEXT = names("mi mn mo ms mtext")
ANNOTATION_HTML = names("text/html application/xhtml+xml")
MATH_IN_TEXT = names("malignmark mglyph")  # foreign even at a text integration point


def _special(name: bytes) -> Special:
    if name in PASSED_BY_LIST_ITEMS:
        return Special.PASSED
    return Special(name in SPECIAL)


def _wall(name: bytes) -> Wall:
    return next((wall for wall, walled in WALLS.items() if name in walled), Wall.NONE)


def _html() -> dict[bytes, Element]:
    known = sorted(SPECIAL | FORMATTING | OTHERS)
    return {
        name: Element(code, name, Space.HTML, _wall(name), _special(name))
        for code, name in enumerate(known)
    }


HTML = _html()


def _foreign() -> dict[tuple[Space, bytes], Element]:
    """The foreign elements that rules ask for; the first of the pair is the family."""
    kinds = [
        (Space.SVG, Space.SVG, names("svg")),
        (Space.SVG, Space.SVG_WITH_HTML, SVG_WITH_HTML),
        (Space.MATH, Space.MATH, names("math")),
        (Space.MATH, Space.MATH_WITH_TEXT, MATH_WITH_TEXT),
        (Space.MATH, Space.ANNOTATION, names("annotation-xml")),
    ]
    found: dict[tuple[Space, bytes], Element] = {}
    for family, space, known in kinds:
        plain = space in (Space.SVG, Space.MATH)
        wall = Wall.NONE if plain else Wall.SCOPE
        for name in sorted(known):
            code = len(HTML) + len(found)
            found[family, name] = Element(code, name, space, wall, Special(not plain))
    return found


FOREIGN = _foreign()
ANNOTATION_WITH_HTML = Element(
    len(HTML) + len(FOREIGN),
    b"annotation-xml",
    Space.ANNOTATION_WITH_HTML,
    Wall.SCOPE,
    Special.YES,
)
KNOWN = (*HTML.values(), *FOREIGN.values(), ANNOTATION_WITH_HTML)  # by code
