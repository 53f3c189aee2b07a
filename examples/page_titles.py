"""
The titles of many pages: as it is often shown, and as it should be.

One session keeps connections open and bounds them per host, a timeout bounds each page, and a
page without a title has a reason. The encoding is the one the server declares. A parser knows
what is a title and what only looks like one, as in a comment or a drawing.

    python examples/page_titles.py

Output:

    1   A page to begin with
    6   Příliš žluťoučký kůň úpěl ďábelské ódy
    22  吾輩は猫である。名前はまだ無い。
    32  The fifth is the title
    39  404 Not Found
    42  no title
    6 pages over 2 connections

Before: a session for each page, a regular expression, and UTF-8 for everybody.

    1   A page to begin with
    6   P��li� �lu�ou�k� k�� �p�l ��belsk� �dy
    22  ���ڤ�ǭ�Ǥ��롣̾���Ϥޤ�̵����
    32  In a comment
    39  Nothing to be found here
    42  Of a drawing
    6 pages over 6 connections

Notice: no error came up before, only wrong titles. The pages are those of /site, which Dawdle
brings along; `dawdle titles` does all this and survives being killed.
"""

import asyncio
import re
from html.parser import HTMLParser

import aiohttp

from _start import start

PAGES = (1, 6, 22, 32, 39, 42)
connections: list[str] = []


class TitleParser(HTMLParser):
    """Finds the first title of the page itself: one inside a drawing or a template is not it."""

    title: str | None = None
    inside: tuple[str, ...] = ()

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag in ("svg", "template", "title"):
            self.inside += (tag,)

    def handle_endtag(self, tag: str) -> None:
        if tag in self.inside:
            self.inside = self.inside[: self.inside.index(tag)]

    def handle_data(self, data: str) -> None:
        if self.inside == ("title",) and self.title is None:
            self.title = " ".join(data.split())


async def title_of(session: aiohttp.ClientSession, number: int) -> str:
    async with session.get(f"/site/{number}") as reply:
        if not reply.ok:
            return f"{reply.status} {reply.reason}"
        parser = TitleParser()
        parser.feed(await reply.text(errors="replace"))
        return parser.title or "no title"


async def main(base_url: str, run: str) -> None:
    async with aiohttp.ClientSession(
        base_url,
        headers={"X-Dawdle-Run": run},
        connector=aiohttp.TCPConnector(limit_per_host=2),
        timeout=aiohttp.ClientTimeout(total=10),
        trace_configs=[counting()],
    ) as session:
        show(await asyncio.gather(*(title_of(session, number) for number in PAGES)))


async def before(base_url: str, run: str) -> None:
    headers = {"X-Dawdle-Run": run}

    async def title_of(number: int) -> str:
        async with (
            aiohttp.ClientSession(base_url, headers=headers, trace_configs=[counting()]) as session,
            session.get(f"/site/{number}") as reply,
        ):
            page = (await reply.read()).decode(errors="replace")
            found = re.search("<title>(.*)</title>", page)
            return found[1] if found else "no title"

    show(await asyncio.gather(*(title_of(number) for number in PAGES)))


def counting() -> aiohttp.TraceConfig:
    async def count(*_: object) -> None:
        connections.append("one more")

    config = aiohttp.TraceConfig()
    config.on_connection_create_end.append(count)
    return config


def show(titles: list[str]) -> None:
    for number, title in zip(PAGES, titles, strict=True):
        print(f"{number:<3} {title}")
    print(f"{len(titles)} pages over {len(connections)} connections")


if __name__ == "__main__":
    start(main, before)
