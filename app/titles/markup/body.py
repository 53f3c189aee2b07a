"""
The body, and what comes after it
(https://html.spec.whatwg.org/multipage/parsing.html, sections 13.2.6.4.7, 13.2.6.4.19 and
13.2.6.4.22).
"""

from collections.abc import Callable

from app.titles.markup import head
from app.titles.markup.adoption import adopt
from app.titles.markup.elements import HEADINGS, HTML, LIST_ITEMS, Space, names
from app.titles.markup.stack import LIST_SCOPE, SCOPE
from app.titles.markup.tree import Mode, Rules, Tag, Tree

TYPE = names("type")


def start_in_body(tree: Tree, tag: Tag) -> bytes:
    """A start tag in the body, and where other modes have no rule of their own."""
    rule = _IN_BODY.get(tag.name)
    if rule is not None:
        return rule(tree, tag)
    tree.stack.reconstruct()
    tree.push(tag.name)
    return b""


def end_in_body(tree: Tree, name: bytes) -> None:
    """An end tag there."""
    rule = _END_IN_BODY.get(name)
    if rule is None:
        _end_other(tree, name)
    else:
        rule(tree, name)


def text_in_body(tree: Tree, blank: bool) -> None:
    """Text there."""
    tree.stack.reconstruct()
    tree.frames_possible &= blank


def _ignored(_tree: Tree, _tag: Tag) -> bytes:
    return b""


def _ignored_end(tree: Tree, name: bytes) -> None:
    pass


def _frameset_in_body(tree: Tree, tag: Tag) -> bytes:
    if tree.frames_possible and len(tree.stack) > 1 and tree.stack.at(1) is HTML[b"body"]:
        tree.stack.cut(1)
        tree.push(tag.name)
        tree.mode = Mode.IN_FRAMESET
    return b""


def _body_again(tree: Tree, _tag: Tag) -> bytes:
    if not tree.in_template:
        tree.frames_possible = False
    return b""


def _block(tree: Tree, tag: Tag) -> bytes:
    tree.close_p()
    tree.push(tag.name)
    return b""


def _heading(tree: Tree, tag: Tag) -> bytes:
    tree.close_p()
    if tree.stack.top.name in HEADINGS:
        tree.stack.pop()
    tree.push(tag.name)
    return b""


def _preformatted(tree: Tree, tag: Tag) -> bytes:
    tree.frames_possible = False
    return _block(tree, tag)


def _form_in_body(tree: Tree, tag: Tag) -> bytes:
    if tree.form_open and not tree.in_template:
        return b""
    tree.form_open = not tree.in_template
    return _block(tree, tag)


def _list_item(tree: Tree, tag: Tag) -> bytes:
    tree.frames_possible = False
    alike = LIST_ITEMS[tag.name]
    place = max(tree.stack.last(HTML[name]) for name in alike)
    if place >= 0 and not tree.stack.bars_list_items(place):
        name = tree.stack.at(place).name
        tree.imply_ends(besides=name)
        tree.pop_to(name)
    return _block(tree, tag)


def _plaintext(tree: Tree, tag: Tag) -> bytes:
    tree.close_p()
    return tag.name


def _button(tree: Tree, tag: Tag) -> bytes:
    tree.close(tag.name)
    tree.frames_possible = False
    return _phrase(tree, tag)


def _phrase(tree: Tree, tag: Tag) -> bytes:
    tree.stack.reconstruct()
    tree.push(tag.name)
    return b""


def _anchor(tree: Tree, tag: Tag) -> bytes:
    element = HTML[tag.name]
    entry = tree.stack.formatting(element)
    if entry is not None:
        adopt(tree.stack, element)
        tree.stack.drop(entry)
    return _format(tree, tag)


def _format(tree: Tree, tag: Tag) -> bytes:
    tree.stack.reconstruct()
    tree.stack.push_formatting(HTML[tag.name], tag.source)
    return b""


def _nobr(tree: Tree, tag: Tag) -> bytes:
    tree.stack.reconstruct()
    if tree.has(tag.name):
        adopt(tree.stack, HTML[tag.name])
    return _format(tree, tag)


def _object(tree: Tree, tag: Tag) -> bytes:
    _phrase(tree, tag)
    tree.stack.mark()
    tree.frames_possible = False
    return b""


def _table(tree: Tree, tag: Tag) -> bytes:
    if not tree.quirks:
        tree.close_p()
    tree.push(tag.name)
    tree.frames_possible = False
    tree.mode = Mode.IN_TABLE
    return b""


def _void(tree: Tree, _tag: Tag) -> bytes:
    tree.stack.reconstruct()
    tree.frames_possible = False
    return b""


def _input(tree: Tree, tag: Tag) -> bytes:
    _close_select(tree)
    tree.stack.reconstruct()
    tree.frames_possible &= is_hidden(tag)
    return b""


def _thematic_break(tree: Tree, _tag: Tag) -> bytes:
    tree.close_p()
    if tree.has(b"select"):
        tree.imply_ends()
    tree.frames_possible = False
    return b""


def _textarea(tree: Tree, tag: Tag) -> bytes:
    tree.frames_possible = False
    return tag.name


def _xmp(tree: Tree, tag: Tag) -> bytes:
    tree.close_p()
    tree.stack.reconstruct()
    return _textarea(tree, tag)


def _noembed(_tree: Tree, tag: Tag) -> bytes:
    return tag.name


def _select(tree: Tree, tag: Tag) -> bytes:
    if _close_select(tree):
        return b""
    tree.frames_possible = False
    return _phrase(tree, tag)


def _close_select(tree: Tree) -> bool:
    """Whether one was open."""
    was_open = tree.has(b"select")
    if was_open:
        tree.pop_to(b"select")
    return was_open


def _option(tree: Tree, tag: Tag) -> bytes:
    if tree.has(b"select"):
        tree.imply_ends(besides=b"optgroup" if tag.name == b"option" else b"")
    elif tree.stack.top is HTML[b"option"]:
        tree.stack.pop()
    return _phrase(tree, tag)


def _ruby(tree: Tree, tag: Tag) -> bytes:
    if tree.has(b"ruby"):
        tree.imply_ends(besides=b"rtc" if tag.name in (b"rp", b"rt") else b"")
    tree.push(tag.name)
    return b""


def _enter_foreign(tree: Tree, tag: Tag) -> bytes:
    tree.stack.reconstruct()
    if not tag.closed:
        family = Space.SVG if tag.name == b"svg" else Space.MATH
        tree.stack.push(tree.names.foreign(family, tag.name))
    return b""


def _end_template_in_body(tree: Tree, _name: bytes) -> None:
    head.end_template(tree)


def _end_body(tree: Tree, name: bytes) -> None:
    if tree.has(b"body"):
        tree.mode = Mode.AFTER_BODY
        if name == b"html":
            tree.again_end(name)


def _end_block(tree: Tree, name: bytes) -> None:
    tree.close(name)


def _end_form(tree: Tree, name: bytes) -> None:
    if tree.in_template:
        tree.close(name)
        return
    was_open, tree.form_open = tree.form_open, False
    if was_open and tree.has(name):
        tree.imply_ends()
        tree.stack.remove(tree.stack.last(HTML[name]))


def _end_p(tree: Tree, _name: bytes) -> None:
    tree.close_p()


def _end_list_item(tree: Tree, name: bytes) -> None:
    tree.close(name, LIST_SCOPE if name == b"li" else SCOPE)


def _end_heading(tree: Tree, _name: bytes) -> None:
    if tree.has_any(HEADINGS):
        tree.imply_ends()
        tree.pop_to_any(HEADINGS)


def _end_formatting(tree: Tree, name: bytes) -> None:
    if not adopt(tree.stack, HTML[name]):
        _end_other(tree, name)


def _end_object(tree: Tree, name: bytes) -> None:
    if tree.close(name):
        tree.stack.clear_to_marker()


def _end_br(tree: Tree, _name: bytes) -> None:
    tree.stack.reconstruct()
    tree.frames_possible = False


def _end_other(tree: Tree, name: bytes) -> None:
    place = tree.stack.last(tree.names.html(name))
    if place >= 0 and tree.stack.special_above(place) < 0:
        tree.stack.cut(max(place, 1))


def _start_after_body(tree: Tree, tag: Tag) -> bytes:
    return b"" if tag.name == b"html" else tree.reconsider(Mode.IN_BODY, tag)


def _end_after_body(tree: Tree, name: bytes) -> None:
    if name == b"html":
        tree.mode = Mode.AFTER_ALL
    else:
        tree.reconsider_end(Mode.IN_BODY, name)


def _end_after_all(tree: Tree, name: bytes) -> None:
    tree.reconsider_end(Mode.IN_BODY, name)


def _text_after_body(tree: Tree, blank: bool) -> None:
    if not blank:
        tree.mode = Mode.IN_BODY
    text_in_body(tree, blank)


def is_hidden(tag: Tag) -> bool:
    """Whether an `_input` is there but not to be seen."""
    return tag.attributes(TYPE).get(b"type", b"").lower() == b"hidden"


_Start = Callable[[Tree, Tag], bytes]
_End = Callable[[Tree, bytes], None]


def _by_name(rules: dict[str, _Start]) -> dict[bytes, _Start]:
    return {name: rule for text, rule in rules.items() for name in names(text)}


def _ends_by_name(rules: dict[str, _End]) -> dict[bytes, _End]:
    return {name: rule for text, rule in rules.items() for name in names(text)}


_IN_BODY = _by_name(
    {
        "base basefont bgsound link meta noframes script style template title": head.start_in_head,
        "html caption col colgroup frame head tbody td tfoot th thead tr": _ignored,
        "body": _body_again,
        "frameset": _frameset_in_body,
        "address article aside blockquote center details dialog dir div dl fieldset figcaption "
        "figure footer header hgroup main menu nav ol p search section summary ul": _block,
        "h1 h2 h3 h4 h5 h6": _heading,
        "pre listing": _preformatted,
        "form": _form_in_body,
        "li dd dt": _list_item,
        "plaintext": _plaintext,
        "button": _button,
        "a": _anchor,
        "b big code em font i s small strike strong tt u": _format,
        "nobr": _nobr,
        "applet marquee object": _object,
        "table": _table,
        "area br embed image img keygen wbr": _void,
        "input": _input,
        "param source track": _ignored,
        "hr": _thematic_break,
        "textarea iframe": _textarea,
        "xmp": _xmp,
        "noembed": _noembed,
        "select": _select,
        "option optgroup": _option,
        "rb rp rt rtc": _ruby,
        "math svg": _enter_foreign,
    }
)

_END_IN_BODY = _ends_by_name(
    {
        "template": _end_template_in_body,
        "body html": _end_body,
        "address article aside blockquote _button center details dialog dir div dl fieldset "
        "figcaption figure footer header hgroup listing main menu nav ol pre search section "
        "select summary ul": _end_block,
        "form": _end_form,
        "p": _end_p,
        "li dd dt": _end_list_item,
        "h1 h2 h3 h4 h5 h6": _end_heading,
        "a b big code em font i _nobr s small strike strong tt u": _end_formatting,
        "applet marquee object": _end_object,
        "br": _end_br,
    }
)

RULES = {
    Mode.IN_BODY: Rules(start_in_body, end_in_body, text_in_body),
    Mode.IN_TEMPLATE: Rules(head.start_in_template, head.end_in_template, text_in_body),
    Mode.AFTER_BODY: Rules(_start_after_body, _end_after_body, _text_after_body),
    Mode.AFTER_ALL: Rules(_start_after_body, _end_after_all, _text_after_body),
}
