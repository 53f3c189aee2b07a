# mypy: disable-error-code="import-not-found, import-untyped"
# (Requests lives in the peers' own virtual environment and in no lock of ours.)
"""Titles as one writes it with requests, threads, a session for each, and an expression."""

from concurrent.futures import ThreadPoolExecutor
from threading import local

from requests import Session

from bench.peers.expression import addresses, tell

THREADS = 32

mine = local()


def work(url: str) -> None:
    """Fetch one page."""
    if not hasattr(mine, "session"):
        mine.session = Session()
    tell(url, mine.session.get(url, timeout=30).content)


def main() -> None:
    """Fetch all of them."""
    with ThreadPoolExecutor(THREADS) as threads:
        list(threads.map(work, addresses()))


if __name__ == "__main__":
    main()
