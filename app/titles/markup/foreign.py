"""
SVG and MathML within HTML (https://html.spec.whatwg.org/multipage/parsing.html, section 13.2.6.5),
whose titles are not the page's.
"""

from app.titles.markup.elements import (
    ANNOTATION_HTML,
    ANNOTATION_WITH_HTML,
    BREAKOUT,
    BREAKOUT_FONT,
    MATH_IN_TEXT,
    SVG_SPACES,
    Element,
    Space,
    names,
)
from app.titles.markup.tree import Tag, Tree

ENCODING = names("encoding")


def start_foreign(tree: Tree, tag: Tag) -> bytes:
    """A start tag in SVG or MathML; one of ordinary HTML ends it."""
    if _breaks_out(tag):
        _break_out(tree)
        return tree.again(tag)
    if not tag.closed:
        tree.stack.push(_foreign_element(tree, tag))
    return b""


def _foreign_element(tree: Tree, tag: Tag) -> Element:
    family = Space.SVG if tree.stack.top.space in SVG_SPACES else Space.MATH
    element = tree.names.foreign(family, tag.name)
    if element.space is Space.ANNOTATION:
        encoding = tag.attributes(ENCODING).get(b"encoding", b"")
        if encoding.lower() in ANNOTATION_HTML:
            return ANNOTATION_WITH_HTML
    return element


def _break_out(tree: Tree) -> None:
    """Leave foreign content, up to an integration point."""
    tree.stack.cut(tree.stack.last_with_html() + 1)


def end_foreign(tree: Tree, name: bytes) -> None:
    """An end tag there: of a foreign element that is open, else it is HTML's."""
    if name in (b"br", b"p"):
        _break_out(tree)
        tree.again_end(name)
        return
    place = max(map(tree.stack.last, tree.names.named(name)), default=-1)
    if place > tree.stack.last_html():
        tree.stack.cut(place)
    else:
        tree.again_end(name)


def is_html_here(tree: Tree, name: bytes) -> bool:
    """Whether a start tag (or text, which has no name) is HTML although in foreign content."""
    space = tree.stack.top.space
    if space is Space.MATH_WITH_TEXT:
        return name not in MATH_IN_TEXT
    if space is Space.ANNOTATION:
        return name == b"svg"
    return space in (Space.SVG_WITH_HTML, Space.ANNOTATION_WITH_HTML)


def _breaks_out(tag: Tag) -> bool:
    if tag.name == b"font":
        return bool(tag.attributes(BREAKOUT_FONT))
    return tag.name in BREAKOUT
