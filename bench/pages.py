"""
Thousands of real pages, each title held against html5lib's reading of the same bytes.

    python -m bench.pages CACHE   some minutes, most of them html5lib's

The pages are documentation from Debian's packages, fetched into the folder CACHE unless they are
there; nginx has them on loopback, and our fetcher reads them there. Every difference is printed,
and 1 is the exit status if there is one.
"""

import argparse
import asyncio
import re
import sys
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import html5lib

from app.clock import SystemClock
from app.titles.fetch import Fetcher
from app.titles.results import Result
from bench.corpus import PAGES, fetched, pages, urls
from bench.load import Failed
from bench.process import serving

AT_ONCE = 32
TITLE = "{http://www.w3.org/1999/xhtml}title"
WHITE = re.compile("[\t\n\f\r ]+")


async def results(addresses: Sequence[str]) -> list[Result]:
    """What our fetcher says of each, in their order."""
    room = asyncio.Semaphore(AT_ONCE)
    async with Fetcher(SystemClock(), guard=None) as fetcher, asyncio.TaskGroup() as group:

        async def fetch(url: str) -> Result:
            async with room:
                return await fetcher.fetch(url)

        tasks = [group.create_task(fetch(url)) for url in addresses]
        await asyncio.wait(tasks)
    return [task.result() for task in tasks]


def by_html5lib(page: Path) -> str | None:
    """The title of the page as html5lib sees it, who finds the encoding himself."""
    tree = html5lib.parse(page.read_bytes(), treebuilder="etree", useChardet=False)
    title = next(tree.iter(TITLE), None)
    return None if title is None else WHITE.sub(" ", title.text or "").strip(" ")


def difference(page: Path, ours: Result, theirs: str | None) -> str:
    """One line about a page that two see differently."""
    return (
        f"{page}: {ours.title!r} ({ours.charset}, by {ours.charset_source}; {ours.error}), "
        f"by html5lib {theirs!r}"
    )


def compare(cache: Path, count: int) -> int:
    """Print what the pages are, and every difference; how many those are."""
    root = fetched(cache)
    chosen = pages(root, count)
    with serving((sys.executable, "-m", "bench.static", str(root)), core=0) as server:
        ours = asyncio.run(results(urls(root, chosen, server.address)))
    with ProcessPoolExecutor() as readers:
        theirs = list(readers.map(by_html5lib, chosen, chunksize=20))
    pairs = zip(chosen, ours, theirs, strict=True)
    differences = [
        difference(page.relative_to(root), our, their)
        for page, our, their in pairs
        if our.title != their
    ]
    for line in differences:
        print(line)
    print(_summary(chosen, ours, len(differences)))
    return len(differences)


def _summary(chosen: Sequence[Path], ours: Sequence[Result], differences: int) -> str:
    size = sum(page.stat().st_size for page in chosen) / len(chosen)
    read = sum(result.bytes_read for result in ours) / len(ours)
    found = sum(result.title is not None for result in ours)
    charsets = Counter(f"{result.charset} by {result.charset_source}" for result in ours)
    return (
        f"{len(chosen):,} pages of {size:,.0f} bytes, of which {read:,.0f} were read (means); "
        f"{found:,} have a title; {differences} differ from html5lib's\n"
        + "; ".join(f"{charset}: {number:,}" for charset, number in charsets.most_common())
    )


def main() -> int:
    """Compare; 1 if there is a difference, 2 if it could not be done."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.pages", description="Titles of real pages, held against html5lib's."
    )
    parser.add_argument("cache", type=Path, help="the folder where the pages are kept")
    parser.add_argument("--pages", type=int, default=PAGES, help=f"how many [{PAGES}]")
    options = parser.parse_args()
    try:
        return int(compare(options.cache.expanduser().absolute(), options.pages) > 0)
    except Failed as error:
        print(error, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
