"""Documents that no author would write, and what html5lib and Lexbor find in them."""

import re
from collections.abc import Iterator
from xml.etree.ElementTree import Element

import html5lib
from hypothesis import strategies as st
from selectolax.lexbor import LexborHTMLParser, LexborNode

HTML = "{http://www.w3.org/1999/xhtml}"
HTML_IN_SVG = {"foreignobject", "desc", "title"}
HTML_IN_MATH = {"mi", "mo", "mn", "ms", "mtext"}

# Elements that get into each other's way, in families, so that they do.
FAMILIES = (
    "table tr td th caption tbody thead colgroup col b div template",
    "svg math desc foreignObject p b div span mi annotation-xml g table td a font",
    "select option optgroup button hr input svg desc div table td p b",
    "p b i a nobr font div svg desc foreignObject h1 li dd button marquee object",
    "template table tr td svg div body head html select frameset",
    "frameset frame noframes body html head p div script style noscript br meta",
    "ruby rb rt rtc rp svg desc p option li dd table td span",
    "html head body script style textarea xmp iframe noembed noframes noscript title",
)
ATTRIBUTES = ("", "", "", "", "/", ' a="x>y"', " a='>'", " type=hidden", " color=red", " a=b/")
ODDITIES = (
    " ", "\n", "x", "y z", "&amp;", "<!-->", "<!--a-->", "<!-- <title>c</title> --!>", "<!--",
    "-->", "<![CDATA[x]]>", "<?pi>", "</>", "<!x>", "<", "</", "<!doctype html>", "<!DOCTYPE>",
)  # fmt: skip

TITLE = "<title>t#</title>"


def documents(
    *, without: frozenset[str] = frozenset(), titles: bool = True
) -> st.SearchStrategy[str]:
    """
    Documents of up to thirty pieces, each title of its own; none has a tag *without*.

    With no *titles* among the pieces there is one at the end, so that all pieces decide about it.
    """
    families = [[name for name in family.split() if name not in without] for family in FAMILIES]
    pieces = [_pieces(family, titles=titles) for family in families]
    return st.builds(
        lambda start, middle, titled: _numbered([start, *middle, "" if titled else TITLE]),
        st.sampled_from(("", "<!doctype html>")),
        st.sampled_from(pieces).flatmap(
            lambda known: st.lists(st.sampled_from(known), max_size=30)
        ),
        st.just(titles),
    )


def _pieces(names: list[str], *, titles: bool) -> list[str]:
    """What a document of a family is made of; what is in it more than once comes more often."""
    known = [name for name in names if titles or name != "title"] + ["title"] * (2 * titles)
    starts = [f"<{name}{attribute}>" for name in known for attribute in ATTRIBUTES]
    ends = [f"</{name}>" for name in known] * 5
    return [*starts, *ends, *ODDITIES * 2, *[TITLE] * (10 * titles)]


def _numbered(pieces: list[str]) -> str:
    parts = "".join(pieces).split("#")
    return "".join(f"{part}{number}" for number, part in enumerate(parts))


def collapsed(text: str | None) -> str:
    """White space as `document.title` has it."""
    return re.sub("[\t\n\f\r ]+", " ", text or "").strip(" ")


def by_html5lib(markup: str) -> str | None:
    """The title as html5lib sees it."""
    tree = html5lib.parse(markup, treebuilder="etree", scripting=False)
    found = next(_titles(tree), None)
    return None if found is None else collapsed(found.text)


def _titles(element: Element) -> Iterator[Element]:
    if element.tag == f"{HTML}title":
        yield element
    for child in element:
        if isinstance(child.tag, str):
            yield from _titles(child)


def by_lexbor(markup: str) -> str | None:
    """The title as Lexbor sees it."""
    root = LexborHTMLParser(markup).root
    found = None if root is None else next(_html_titles(root, "html"), None)
    return None if found is None else collapsed(found.text(deep=False))


def _html_titles(parent: LexborNode, kind: str) -> Iterator[LexborNode]:
    """The titles of HTML below; *kind* is that of the parent, which Lexbor keeps to itself."""
    node = parent.first_child
    while node is not None:
        if node.is_element_node:
            own = _kind(node, kind)
            if own == "html" and node.tag == "title":
                yield node
            if own != "html" or node.tag != "template":
                yield from _html_titles(node, own)
        node = node.next


def _kind(node: LexborNode, parent: str) -> str:
    """What an element is: `html`, `svg` or `math`, with ` holding html` at integration points."""
    name = (node.tag or "").lower()
    if parent == "annotation" and name == "svg":
        return "svg"
    if parent == "html" or parent.endswith("holding html"):
        if parent == "math holding html" and name in ("mglyph", "malignmark"):
            return "math"
        return name if name in ("svg", "math") else "html"
    if parent.startswith("svg"):
        return "svg holding html" if name in HTML_IN_SVG else "svg"
    if name == "annotation-xml":
        encoding = (node.attributes.get("encoding") or "").lower()
        holds = encoding in ("text/html", "application/xhtml+xml")
        return "annotation holding html" if holds else "annotation"
    return "math holding html" if name in HTML_IN_MATH else "math"
