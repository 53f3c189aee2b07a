"""
Which rules a tag or a text goes by: those of the mode, or those of foreign content
(https://html.spec.whatwg.org/multipage/parsing.html#tree-construction-dispatcher).
"""

from app.titles.markup import body, foreign, frames, head, tables
from app.titles.markup.tree import Tag, Tree

RULES = {**head.RULES, **body.RULES, **tables.RULES, **frames.RULES}


def new_tree() -> Tree:
    """The tree of a page of which nothing is read."""
    return Tree(RULES)


def start(tree: Tree, tag: Tag) -> bytes:
    """A start tag; the name of its element if what follows is that element's text, else `b""`."""
    if tree.stack.top_is_foreign and not foreign.is_html_here(tree, tag.name):
        return foreign.start_foreign(tree, tag)
    return tree.again(tag)


def end(tree: Tree, name: bytes) -> None:
    """An end tag."""
    if tree.stack.top_is_foreign:
        foreign.end_foreign(tree, name)
    else:
        tree.again_end(name)


def text(tree: Tree, *, blank: bool) -> None:
    """Text, of ASCII white space alone or not."""
    if blank and not tree.stack.active:
        return  # it changes nothing: what it may reopen are formatting elements
    if tree.stack.top_is_foreign and not foreign.is_html_here(tree, b""):
        tree.frames_possible &= blank
    else:
        tree.again_text(blank)
