"""The title as those find it who write an expression: good enough for pages that mean well."""

import html
import re
import sys

TITLE = re.compile(rb"<title[^>]*>(.*?)</title", re.IGNORECASE | re.DOTALL)


def title(page: bytes) -> str:
    """The first title of a page that is taken for UTF-8; nothing where there is none."""
    found = TITLE.search(page)
    return " ".join(html.unescape(found[1].decode("utf-8", "replace")).split()) if found else ""


def addresses() -> list[str]:
    """The lines of the file that the command line names."""
    with open(sys.argv[1], encoding="utf-8") as file:  # noqa: PTH123 - as one writes it
        return file.read().split()


def tell(url: str, page: bytes) -> None:
    """A line for a page."""
    sys.stdout.write(f"{url}\t{title(page)}\n")  # in one piece, also from several threads
