"""
What finding a title costs: ordinary pages, and pages that no author would write.

An ordinary page is 35 kB with its title after some 250 bytes, as documentation has it. The hostile
ones have no title, so all of them is read. Each is read at three sizes, the next twice as large:
where time is linear, it doubles. The last column is the growth from the first to the last size,
divided by that of the size: 1 is linear, 4 would be quadratic.

    python -m bench.scan            # a minute or two
    python -m bench.scan --quick    # smaller pages: some seconds
"""

import argparse
import time
import tracemalloc
from collections.abc import Callable

from app.titles.page import Page

PIECE = 65_536  # bytes; as much as a socket usually gives
LARGEST = 2 * 1024 * 1024  # bytes: max_page_bytes
QUICK = 128 * 1024
SIZES = 3  # each half of the next
ROUNDS = 2_000  # of an ordinary page

HEAD = b"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8" />
<meta name="viewport" content="width=device-width, initial-scale=1.0" />
<link rel="stylesheet" type="text/css" href="_static/style.css" />
<script src="_static/script.js"></script>
<title>string &mdash; Common string operations</title>
"""
ORDINARY = HEAD + b"<p>some text with <em>tags</em>\n" * 1_100

Make = Callable[[int], bytes]


def over(unit: str, before: str = "", after: str = "") -> Make:
    """Pages of one thing over and over, to a length."""
    return lambda size: (before + unit * (size // len(unit)) + after).encode()


def pairs(begin: str, end: str) -> Make:
    """Pages of as many ends as beginnings, one in the other."""
    return lambda size: ((begin * (n := size // len(begin + end))) + end * n).encode()


def numbered(form: str, before: str = "") -> Make:
    """Pages in which no two things are the same."""
    return lambda size: (
        before + "".join(map(form.format, range(size // (len(form) + 4))))
    ).encode()


HOSTILE: dict[str, Make] = {
    "text": over("x"),
    "<": over("<"),
    "</": over("</"),
    "<!": over("<!"),
    "unclosed tags": over("<x "),
    "attributes of one tag": over("a ", "<div "),
    "quoted attributes of one tag": over('a="" ', "<div ", ">"),
    "one unclosed value": over("x", '<div a="'),
    "blanks in a tag": over(" ", "<div "),
    "unclosed comment": over("-", "<!--"),
    "comments": over("<!---->"),
    "unclosed script": over("<!--<script>", "<script>"),
    "unclosed style": over("</styl", "<style>"),
    "unclosed title": over("x", "<template><title>"),
    "title of references": over("&ampx;&#x26;", "<title>", "</title>"),
    "title of white space": over(" ", "<title>x", "x</title>"),
    "<title>": over("<title>", "<template>"),
    "<div>": over("<div>"),
    "<div> and </div>": pairs("<div>", "</div>"),
    "<p>": over("<p>"),
    "<a>": over("<a>"),
    "<b>": over("<b>"),
    "<p><b>": over("<p><b>"),
    "many fonts": numbered("<font a={}>"),
    "many fonts reopened": over("</p><p>x", "<p>" + "".join(map("<font a={}>".format, range(500)))),
    "overlapping": over("<a><b><i><u><p></a></b></i></u>"),
    "overlapping at depth": over("</b><b>", "<b>" + "<div>" * 4_000),
    "list items": over("<li></li>", "<li>" + "<div>" * 4_000 + "<section>"),
    "<svg>": over("<svg>"),
    "<svg><g>": over("<g>", "<svg>"),
    "ends of nothing in SVG": over("</x>", "<svg>" + "<g>" * 4_000),
    "<svg><foreignObject>": over("<svg><foreignObject>"),
    "<math><mi>": over("<mi>", "<math>"),
    "<template>": over("<template>"),
    "<template> and </template>": pairs("<template>", "</template>"),
    "<table><td>": over("<table><td>"),
    "tables at depth": over("<table></table>", "<div>" * 4_000),
    "titles in tables": over("<title></title>", "<table><td>" * 15),
    "<select><option>": over("<option>", "<select>"),
    "<object>": over("<div><object></div>"),
    "made-up names": numbered("<x{}>"),
    "made-up names in SVG": numbered("<x{}>", "<svg>"),
}


def read(page: bytes, label: str | None = "utf-8") -> None:
    """Read a page as the fetcher does."""
    reader = Page(label)
    for begin in range(0, len(page), PIECE):
        if reader.feed(page[begin : begin + PIECE]):
            break
    reader.close()


def cpu_s(page: bytes, rounds: int = 1) -> float:
    """CPU seconds of one reading, of several the mean."""
    begun = time.process_time()
    for _ in range(rounds):
        read(page)
    return (time.process_time() - begun) / rounds


def peak_bytes(page: bytes) -> int:
    """The most memory that reading takes, the page itself not counted."""
    tracemalloc.start()
    read(page)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak


def report_ordinary() -> None:
    """One line: the best of five."""
    best_s = min(cpu_s(ORDINARY, ROUNDS) for _ in range(5))
    print(f"an ordinary page: {best_s * 1e6:.1f} us of CPU\n")


def report_hostile(largest: int) -> None:
    """A line for each kind of page."""
    sizes = [largest >> halvings for halvings in reversed(range(SIZES))]
    print("| page | " + " | ".join(f"{size // 1024} KiB, ms" for size in sizes), end=" | ")
    print("ns a byte | peak, KiB | growth |")
    print("| --- " + "| ---: " * (len(sizes) + 3) + "|")
    for name, make in HOSTILE.items():
        times = [cpu_s(make(size)) for size in sizes]
        growth = times[-1] / times[0] / (sizes[-1] / sizes[0])
        cells = [f"{seconds * 1e3:.1f}" for seconds in times]
        cells += [f"{times[-1] / sizes[-1] * 1e9:.0f}"]
        cells += [f"{peak_bytes(make(sizes[0])) // 1024}", f"{growth:.1f}"]
        print(f"| `{name}` | " + " | ".join(cells) + " |", flush=True)


def main() -> None:
    """Print both."""
    arguments = argparse.ArgumentParser(description="What finding a title costs.")
    arguments.add_argument("--quick", action="store_true", help="smaller pages")
    chosen = arguments.parse_args()
    report_ordinary()
    report_hostile(QUICK if chosen.quick else LARGEST)


if __name__ == "__main__":
    main()
