"""
Up to the body: the document, its head, what is in it, and templates, which may also come later
(https://html.spec.whatwg.org/multipage/parsing.html, sections 13.2.6.4.2 to 13.2.6.4.6 and
13.2.6.4.18).
"""

from app.titles.markup.elements import (
    ENDS_THAT_BEGIN,
    IN_HEAD,
    IN_NOSCRIPT,
    TEXT_IN_HEAD,
    VOID_IN_HEAD,
)
from app.titles.markup.tree import Mode, Rules, Tag, Tree


def _start_before_html(tree: Tree, tag: Tag) -> bytes:
    tree.push(b"html")
    tree.mode = Mode.BEFORE_HEAD
    return b"" if tag.name == b"html" else tree.again(tag)


def _end_before_html(tree: Tree, name: bytes) -> None:
    if name in ENDS_THAT_BEGIN:
        tree.push(b"html")
        tree.reconsider_end(Mode.BEFORE_HEAD, name)


def _text_before_html(tree: Tree, blank: bool) -> None:
    if not blank:
        tree.push(b"html")
        tree.mode = Mode.BEFORE_HEAD
        tree.again_text(blank)


def _begin_head(tree: Tree) -> None:
    tree.push(b"head")
    tree.head_seen = True
    tree.mode = Mode.IN_HEAD


def _start_before_head(tree: Tree, tag: Tag) -> bytes:
    if tag.name == b"html":
        return b""
    _begin_head(tree)
    return b"" if tag.name == b"head" else tree.again(tag)


def _end_before_head(tree: Tree, name: bytes) -> None:
    if name in ENDS_THAT_BEGIN:
        _begin_head(tree)
        tree.again_end(name)


def _text_before_head(tree: Tree, blank: bool) -> None:
    if not blank:
        _begin_head(tree)
        tree.again_text(blank)


def start_in_head(tree: Tree, tag: Tag) -> bytes:
    """A start tag in the head, or one that means the same anywhere."""
    name = tag.name
    if name in TEXT_IN_HEAD:
        return name
    if name in VOID_IN_HEAD or name in (b"html", b"head"):
        return b""
    if name == b"template":
        _begin_template(tree)
    elif name == b"noscript":
        tree.push(name)
        tree.mode = Mode.IN_HEAD_NOSCRIPT
    else:
        _leave_head(tree)
        return tree.again(tag)
    return b""


def _end_in_head(tree: Tree, name: bytes) -> None:
    if name == b"template":
        end_template(tree)
    elif name == b"head":
        _leave_head(tree)
    elif name in ENDS_THAT_BEGIN:
        _leave_head(tree)
        tree.again_end(name)


def _text_in_head(tree: Tree, blank: bool) -> None:
    if not blank:
        _leave_head(tree)
        tree.again_text(blank)


def _leave_head(tree: Tree) -> None:
    tree.stack.pop()
    tree.mode = Mode.AFTER_HEAD


def _start_in_noscript(tree: Tree, tag: Tag) -> bytes:
    name = tag.name
    if name in IN_NOSCRIPT:
        return start_in_head(tree, tag)
    if name in (b"html", b"head", b"noscript"):
        return b""
    _leave_noscript(tree)
    return tree.again(tag)


def _end_in_noscript(tree: Tree, name: bytes) -> None:
    if name in (b"noscript", b"br"):
        _leave_noscript(tree)
    if name == b"br":
        tree.again_end(name)


def _text_in_noscript(tree: Tree, blank: bool) -> None:
    if not blank:
        _leave_noscript(tree)
        tree.again_text(blank)


def _leave_noscript(tree: Tree) -> None:
    tree.stack.pop()
    tree.mode = Mode.IN_HEAD


def _start_after_head(tree: Tree, tag: Tag) -> bytes:
    name = tag.name
    if name in IN_HEAD:
        return start_in_head(tree, tag)
    if name in (b"html", b"head"):
        return b""
    if name == b"frameset":
        tree.push(name)
        tree.mode = Mode.IN_FRAMESET
        return b""
    _begin_body(tree)
    if name == b"body":
        tree.frames_possible = False
        return b""
    return tree.again(tag)


def _end_after_head(tree: Tree, name: bytes) -> None:
    if name == b"template":
        end_template(tree)
    elif name in (b"body", b"html", b"br"):
        _begin_body(tree)
        tree.again_end(name)


def _text_after_head(tree: Tree, blank: bool) -> None:
    if not blank:
        _begin_body(tree)
        tree.again_text(blank)


def _begin_body(tree: Tree) -> None:
    tree.push(b"body")
    tree.frames_possible = True
    tree.mode = Mode.IN_BODY


def _begin_template(tree: Tree) -> None:
    tree.push(b"template")
    tree.stack.mark()
    tree.frames_possible = False
    tree.mode = Mode.IN_TEMPLATE
    tree.templates.append(Mode.IN_TEMPLATE)


def end_template(tree: Tree) -> None:
    """Close the innermost template, if there is one, and everything in it."""
    if tree.in_template:
        tree.pop_to(b"template")
        tree.stack.clear_to_marker()
        tree.templates.pop()
        tree.reset_mode()


def start_in_template(tree: Tree, tag: Tag) -> bytes:
    """The first start tag of a template says what it is a template of."""
    name = tag.name
    if name in IN_HEAD:
        return start_in_head(tree, tag)
    tree.templates[-1] = _MODE_OF_TEMPLATE.get(name, Mode.IN_BODY)
    return tree.reconsider(tree.templates[-1], tag)


def end_in_template(tree: Tree, name: bytes) -> None:
    """An end tag before it."""
    if name == b"template":
        end_template(tree)


_MODE_OF_TEMPLATE = {
    b"caption": Mode.IN_TABLE,
    b"colgroup": Mode.IN_TABLE,
    b"tbody": Mode.IN_TABLE,
    b"tfoot": Mode.IN_TABLE,
    b"thead": Mode.IN_TABLE,
    b"col": Mode.IN_COLUMNS,
    b"tr": Mode.IN_ROWS,
    b"td": Mode.IN_ROW,
    b"th": Mode.IN_ROW,
}

RULES = {
    Mode.BEFORE_HTML: Rules(_start_before_html, _end_before_html, _text_before_html),
    Mode.BEFORE_HEAD: Rules(_start_before_head, _end_before_head, _text_before_head),
    Mode.IN_HEAD: Rules(start_in_head, _end_in_head, _text_in_head),
    Mode.IN_HEAD_NOSCRIPT: Rules(_start_in_noscript, _end_in_noscript, _text_in_noscript),
    Mode.AFTER_HEAD: Rules(_start_after_head, _end_after_head, _text_after_head),
}
