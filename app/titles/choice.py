"""
Which of a page's titles is the first one of its tree, which need not be the first in its bytes.

Two things put a later title first: what stands in a table but in none of its cells is moved before
the table; and a `frameset` takes the place of a body that holds nothing yet but, say, a title.
"""

from itertools import pairwise

from app.titles.markup.elements import CELLS_AND_CAPTION, HTML
from app.titles.markup.tree import Mode, Tree

MOST_TABLES = 16  # around a title; one that is in more of them is taken for the first


class Choice:
    """The title so far, and whether it will stay."""

    def __init__(self, tree: Tree) -> None:
        self.title: bytes | None = None
        self._tree = tree
        self._in_body = False

    @property
    def settled(self) -> bool:
        """A title is known, and nothing to come can replace it."""
        if self.title is None:
            return False
        if self._in_body and self._tree.mode is Mode.IN_FRAMESET:
            self.title = None
            return False
        return not self._tree.stack.watched and not (self._in_body and self._tree.frames_possible)

    def offer(self, title: bytes) -> None:
        """The next title in the bytes of the page, where the tree now is."""
        stack = self._tree.stack
        around = self._tables_around()
        if self.title is None or not around.issuperset(stack.watched):
            self.title = title
            self._in_body = len(stack) > 1 and stack.at(1) is HTML[b"body"]
            stack.watched = sorted(around)

    def _tables_around(self) -> set[int]:
        """The places of the tables in one of whose cells, or caption, the page now is."""
        stack = self._tree.stack
        tables = stack.places(HTML[b"table"], MOST_TABLES + 1)
        if len(tables) > MOST_TABLES:
            return set()
        return {
            table
            for table, end in pairwise((*tables, len(stack)))
            if any(stack.between(HTML[name], table, end) for name in CELLS_AND_CAPTION)
        }
