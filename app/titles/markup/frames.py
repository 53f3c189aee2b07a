"""
Pages of frames, which have no title but in their head
(https://html.spec.whatwg.org/multipage/parsing.html, sections 13.2.6.4.20, 13.2.6.4.21 and
13.2.6.4.23).
"""

from app.titles.markup.elements import HTML
from app.titles.markup.tree import Mode, Rules, Tag, Tree


def _start_in_frameset(tree: Tree, tag: Tag) -> bytes:
    if tag.name == b"frameset":
        tree.push(tag.name)
    return tag.name if tag.name == b"noframes" else b""


def _end_in_frameset(tree: Tree, name: bytes) -> None:
    if name == b"frameset" and len(tree.stack) > 1:
        tree.stack.pop()
        if tree.stack.top is not HTML[name]:
            tree.mode = Mode.AFTER_FRAMESET


def _start_after_frameset(_tree: Tree, tag: Tag) -> bytes:
    return tag.name if tag.name == b"noframes" else b""


def _end_after_frameset(tree: Tree, name: bytes) -> None:
    if name == b"html":
        tree.mode = Mode.AFTER_ALL_FRAMES


def _no_text(tree: Tree, blank: bool) -> None:
    pass


def _no_end(tree: Tree, name: bytes) -> None:
    pass


RULES = {
    Mode.IN_FRAMESET: Rules(_start_in_frameset, _end_in_frameset, _no_text),
    Mode.AFTER_FRAMESET: Rules(_start_after_frameset, _end_after_frameset, _no_text),
    Mode.AFTER_ALL_FRAMES: Rules(_start_after_frameset, _no_end, _no_text),
}
