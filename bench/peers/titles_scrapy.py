# mypy: disable-error-code="import-not-found, misc"
# (Scrapy lives in the peers' own virtual environment and in no lock of ours.)
"""Titles as one writes it with Scrapy, without the delay that it makes by default."""

from collections.abc import AsyncIterator
from typing import Any, ClassVar

from scrapy import Request, Spider
from scrapy.crawler import CrawlerProcess
from scrapy.http import Response

from bench.peers.expression import addresses, tell


class Titles(Spider):
    """Each page is parsed as Scrapy has it."""

    name = "titles"
    custom_settings: ClassVar[dict[str, Any]] = {
        "CONCURRENT_REQUESTS": 64,
        "CONCURRENT_REQUESTS_PER_DOMAIN": 8,
        "DOWNLOAD_DELAY": 0,
        "ROBOTSTXT_OBEY": False,
        "LOG_LEVEL": "ERROR",
        "TELNETCONSOLE_ENABLED": False,
    }

    async def start(self) -> AsyncIterator[Request]:
        for url in addresses():
            yield Request(url)

    def parse(self, response: Response) -> None:
        tell(response.url, response.body)


def main() -> None:
    """Fetch all of them."""
    process = CrawlerProcess()
    process.crawl(Titles)
    process.start()


if __name__ == "__main__":
    main()
