"""
The adoption agency: what the end tag of a formatting element does to the stack when elements
overlap (https://html.spec.whatwg.org/multipage/parsing.html#adoption-agency-algorithm).
"""

from app.titles.markup.elements import Element
from app.titles.markup.stack import Formatting, Stack

ROUNDS = 8
KEPT = 3  # formatting elements that a block is moved out of, at most


def adopt(stack: Stack, element: Element) -> bool:
    """Close *element*; False when it is to be closed like any other."""
    if stack.top is element and not _listed(stack, stack.entry(-1)):
        stack.pop()
        return True
    for _ in range(ROUNDS):
        entry = stack.formatting(element)
        if entry is None:
            return False
        if not _round(stack, entry):
            break
    return True


def _listed(stack: Stack, entry: Formatting | None) -> bool:
    return entry is not None and entry in stack.active


def _round(stack: Stack, entry: Formatting) -> bool:
    """Whether there may be another round."""
    if not stack.is_open(entry):
        stack.active.remove(entry)
        return False
    if not stack.unwalled(entry.at):
        return False
    block = stack.special_above(entry.at)
    if block < 0:
        stack.cut(entry.at)
        stack.active.remove(entry)
        return False
    _move_into(stack, entry, block)
    return True


def _move_into(stack: Stack, entry: Formatting, block: int) -> None:
    """The block was in the formatting element; now such an element is in the block."""
    kept = _between(stack, entry, block)
    block = entry.at + len(kept) + 1
    moved = Formatting(entry.element, entry.attributes)
    stack.active.insert(stack.active.index(kept[0] if kept else entry) + 1, moved)
    stack.active.remove(entry)
    stack.remove(entry.at)
    stack.insert(block, moved.element)
    stack.assign(block, moved)


def _between(stack: Stack, entry: Formatting, block: int) -> list[Formatting]:
    """Thin out what is open between the two; what stays, innermost first."""
    kept: list[Formatting] = []
    for count, place in enumerate(range(block - 1, entry.at, -1), start=1):
        node = stack.entry(place)
        if node is None or node not in stack.active:
            stack.remove(place)
        elif count > KEPT:
            stack.active.remove(node)
            stack.remove(place)
        else:
            kept.append(node)
    return kept
