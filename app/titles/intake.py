"""The URLs of a new job: distinct ones, each at its first position. Pure."""

from collections.abc import Iterable
from hashlib import blake2b
from typing import NamedTuple

from app.errors import BadValue
from app.titles.results import Code, Failure, Result
from app.titles.urls import LONGEST_URL, parse


class Entry(NamedTuple):
    """A URL of a new job: where it stood, and its result if it has one without being fetched."""

    position: int
    url: str
    host: str
    host_number: int
    result: Result | None = None


class Intake:
    """
    Reads the texts of a job in order; with *bare*, `example.com` is a URL.

    Two texts are one URL when the WHATWG URL standard reads them alike, fragments left out. A text
    that is no URL is an entry with its result.
    """

    def __init__(self, *, bare: bool) -> None:
        self.repeats = 0  # dropped so far
        self.refused = 0  # that are no URLs, repeats left out
        self._bare = bare
        self._position = 0
        self._seen: set[bytes] = set()  # digests: a third of the memory
        self._hosts: dict[str, int] = {}  # name -> position of its first URL

    @property
    def urls(self) -> int:
        """Distinct ones so far."""
        return len(self._seen)

    def read(self, texts: Iterable[str]) -> list[Entry]:
        """The entries of the next texts."""
        return [entry for text in texts if (entry := self._read(text))]

    def _read(self, text: str) -> Entry | None:
        position, self._position = self._position, self._position + 1
        try:
            url = parse(text, bare=self._bare)
        except BadValue as error:
            return self._refused(text, str(error), position)
        if not self._is_new(url.href):
            return None
        number = self._hosts.setdefault(url.host, position)
        return Entry(position, url.href, url.host, number)

    def _refused(self, text: str, sentence: str, position: int) -> Entry | None:
        shown = text.strip()[:LONGEST_URL].encode("utf-8", "replace").decode()
        if not self._is_new(f"not a URL: {shown}"):
            return None
        self.refused += 1
        result = Result(shown, attempts=0, error=Failure(Code.INVALID_URL, sentence))
        return Entry(position, shown, "", position, result)

    def _is_new(self, key: str) -> bool:
        digest = blake2b(key.encode("utf-8", "surrogatepass"), digest_size=16).digest()
        if digest in self._seen:
            self.repeats += 1
            return False
        self._seen.add(digest)
        return True
