"""
Tables (https://html.spec.whatwg.org/multipage/parsing.html, sections 13.2.6.4.9 to 13.2.6.4.15).

What a table has no place for is moved before it; `choice` sees to what that means for titles.
"""

from app.titles.markup import body, head
from app.titles.markup.elements import (
    CELL_ENDERS,
    CELL_TABLES,
    CELLS,
    HTML,
    NO_END_IN_CAPTION,
    NO_END_IN_CELL,
    NO_END_IN_ROW,
    NO_END_IN_ROWS,
    NO_END_IN_TABLE,
    ROW_CONTEXT,
    ROW_GROUPS,
    ROWS_CONTEXT,
    ROWS_ENDERS,
    TABLE_CONTEXT,
)
from app.titles.markup.stack import TABLE_SCOPE
from app.titles.markup.tree import Mode, Rules, Tag, Tree


def _start_in_table(tree: Tree, tag: Tag) -> bytes:
    name = tag.name
    if name in _TABLE_PARTS:
        tree.clear_to(TABLE_CONTEXT)
        pushed, tree.mode = _TABLE_PARTS[name]
        if pushed == b"caption":
            tree.stack.mark()
        tree.push(pushed)
        return b"" if pushed == name else tree.again(tag)
    if name == b"table":
        return tree.again(tag) if _end_table(tree) else b""
    if name in (b"style", b"script", b"template"):
        return head.start_in_head(tree, tag)
    if name == b"form" and (tree.form_open or tree.in_template):
        return b""
    if name == b"form":
        tree.form_open = True
        return b""
    if name == b"input" and body.is_hidden(tag):
        return b""
    return body.start_in_body(tree, tag)


def _end_in_table(tree: Tree, name: bytes) -> None:
    if name == b"table":
        _end_table(tree)
    elif name not in NO_END_IN_TABLE:
        body.end_in_body(tree, name)


def _end_table(tree: Tree) -> bool:
    """Close the innermost table; whether there was one."""
    if not tree.has(b"table", TABLE_SCOPE):
        return False
    tree.pop_to(b"table")
    tree.reset_mode()
    return True


def _text_in_table(tree: Tree, blank: bool) -> None:
    if not blank:
        body.text_in_body(tree, blank)


def _start_in_caption(tree: Tree, tag: Tag) -> bytes:
    if tag.name not in CELL_ENDERS:
        return body.start_in_body(tree, tag)
    return tree.again(tag) if _end_caption(tree) else b""


def _end_in_caption(tree: Tree, name: bytes) -> None:
    if name == b"caption":
        _end_caption(tree)
    elif name == b"table":
        if _end_caption(tree):
            tree.again_end(name)
    elif name not in NO_END_IN_CAPTION:
        body.end_in_body(tree, name)


def _end_caption(tree: Tree) -> bool:
    if not tree.close(b"caption", TABLE_SCOPE):
        return False
    tree.stack.clear_to_marker()
    tree.mode = Mode.IN_TABLE
    return True


def _start_in_columns(tree: Tree, tag: Tag) -> bytes:
    if tag.name in (b"html", b"col"):
        return b""
    if tag.name == b"template":
        return head.start_in_head(tree, tag)
    return tree.again(tag) if _end_columns(tree) else b""


def _end_in_columns(tree: Tree, name: bytes) -> None:
    if name == b"colgroup":
        _end_columns(tree)
    elif name == b"template":
        head.end_template(tree)
    elif name != b"col" and _end_columns(tree):
        tree.again_end(name)


def _text_in_columns(tree: Tree, blank: bool) -> None:
    if not blank and _end_columns(tree):
        tree.again_text(blank)


def _end_columns(tree: Tree) -> bool:
    if tree.stack.top is not HTML[b"colgroup"]:
        return False
    tree.stack.pop()
    tree.mode = Mode.IN_TABLE
    return True


def _start_in_rows(tree: Tree, tag: Tag) -> bytes:
    name = tag.name
    if name == b"tr" or name in CELLS:
        tree.clear_to(ROWS_CONTEXT)
        tree.push(b"tr")
        tree.mode = Mode.IN_ROW
        return b"" if name == b"tr" else tree.again(tag)
    if name in ROWS_ENDERS:
        return tree.again(tag) if _end_rows(tree) else b""
    return _start_in_table(tree, tag)


def _end_in_rows(tree: Tree, name: bytes) -> None:
    if name in ROW_GROUPS:
        if tree.has(name, TABLE_SCOPE):
            _leave_rows(tree)
    elif name == b"table":
        if _end_rows(tree):
            tree.again_end(name)
    elif name not in NO_END_IN_ROWS:
        _end_in_table(tree, name)


def _end_rows(tree: Tree) -> bool:
    if not tree.has_any(ROW_GROUPS, TABLE_SCOPE):
        return False
    _leave_rows(tree)
    return True


def _leave_rows(tree: Tree) -> None:
    tree.clear_to(ROWS_CONTEXT)
    tree.stack.pop()
    tree.mode = Mode.IN_TABLE


def _start_in_row(tree: Tree, tag: Tag) -> bytes:
    name = tag.name
    if name in CELLS:
        tree.clear_to(ROW_CONTEXT)
        tree.push(name)
        tree.mode = Mode.IN_CELL
        tree.stack.mark()
        return b""
    if name in ROWS_ENDERS or name == b"tr":
        return tree.again(tag) if _end_row(tree) else b""
    return _start_in_table(tree, tag)


def _end_in_row(tree: Tree, name: bytes) -> None:
    if name == b"tr":
        _end_row(tree)
    elif name == b"table":
        if _end_row(tree):
            tree.again_end(name)
    elif name in ROW_GROUPS:
        if tree.has(name, TABLE_SCOPE) and _end_row(tree):
            tree.again_end(name)
    elif name not in NO_END_IN_ROW:
        _end_in_table(tree, name)


def _end_row(tree: Tree) -> bool:
    if not tree.has(b"tr", TABLE_SCOPE):
        return False
    tree.clear_to(ROW_CONTEXT)
    tree.stack.pop()
    tree.mode = Mode.IN_ROWS
    return True


def _start_in_cell(tree: Tree, tag: Tag) -> bytes:
    if tag.name not in CELL_ENDERS:
        return body.start_in_body(tree, tag)
    _end_cell(tree, CELLS)
    return tree.again(tag)


def _end_in_cell(tree: Tree, name: bytes) -> None:
    if name in CELLS:
        if tree.has(name, TABLE_SCOPE):
            _end_cell(tree, frozenset((name,)))
    elif name in CELL_TABLES:
        if tree.has(name, TABLE_SCOPE):
            _end_cell(tree, CELLS)
            tree.again_end(name)
    elif name not in NO_END_IN_CELL:
        body.end_in_body(tree, name)


def _end_cell(tree: Tree, among: frozenset[bytes]) -> None:
    tree.imply_ends()
    tree.pop_to_any(among)
    tree.stack.clear_to_marker()
    tree.mode = Mode.IN_ROW


# start tag in a table -> what is opened for it
_TABLE_PARTS = {
    b"caption": (b"caption", Mode.IN_CAPTION),
    b"colgroup": (b"colgroup", Mode.IN_COLUMNS),
    b"col": (b"colgroup", Mode.IN_COLUMNS),
    b"tbody": (b"tbody", Mode.IN_ROWS),
    b"tfoot": (b"tfoot", Mode.IN_ROWS),
    b"thead": (b"thead", Mode.IN_ROWS),
    b"tr": (b"tbody", Mode.IN_ROWS),
    b"td": (b"tbody", Mode.IN_ROWS),
    b"th": (b"tbody", Mode.IN_ROWS),
}

RULES = {
    Mode.IN_TABLE: Rules(_start_in_table, _end_in_table, _text_in_table),
    Mode.IN_CAPTION: Rules(_start_in_caption, _end_in_caption, body.text_in_body),
    Mode.IN_COLUMNS: Rules(_start_in_columns, _end_in_columns, _text_in_columns),
    Mode.IN_ROWS: Rules(_start_in_rows, _end_in_rows, _text_in_table),
    Mode.IN_ROW: Rules(_start_in_row, _end_in_row, _text_in_table),
    Mode.IN_CELL: Rules(_start_in_cell, _end_in_cell, body.text_in_body),
}
