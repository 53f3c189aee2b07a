"""
Heads: the bytes of plain requests for `/aio`, read by aiohttp's own parser, once for equal bytes.

Plain is one complete GET or HEAD, and nothing but that. Whatever is not fully understood here is
nobody's guess: it is left to aiohttp.
"""

import asyncio
import re

from aiohttp.http import HttpRequestParser, HttpVersion10, HttpVersion11, RawRequestMessage
from aiohttp.http_exceptions import HttpProcessingError

from app.aio import understand
from app.exchange import Request

LARGEST_HEAD = 4_096  # bytes; few are larger, and aiohttp reads those as well
PARSED_KEPT = 1_024  # heads; clients repeat theirs to the byte
END_OF_HEAD = b"\r\n\r\n"
METHODS = frozenset({"GET", "HEAD"})
VERSIONS = {HttpVersion10: "1.0", HttpVersion11: "1.1"}
TARGET = re.compile(r"/aio(?:/(?P<profile>[a-z][a-z0-9-]{0,31}))?(?:\?[!-~]*)?")
NOT_OURS = ("Content-Length", "Transfer-Encoding", "Expect", "Upgrade")


class Heads:
    """Reads requests, and remembers the last thousand: clients repeat theirs to the byte."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._parser = self._make_parser()
        self._parsed: dict[bytes, Request] = {}

    def read(self, data: bytes) -> Request | None:
        """The request, when *data* is exactly one that the lane understands."""
        if len(data) > LARGEST_HEAD:
            return None
        return self._parsed.get(data) or self._read(data)

    def _read(self, data: bytes) -> Request | None:
        if data.find(END_OF_HEAD) != len(data) - len(END_OF_HEAD):
            return None
        message = self._parse(data)
        if message is None or message.method not in METHODS or message.version not in VERSIONS:
            return None
        target = TARGET.fullmatch(message.path)
        if target is None or any(name in message.headers for name in NOT_OURS):
            return None
        request = understand(
            message.method,
            message.path,
            message.headers,
            http_version=VERSIONS[message.version],
            keep_alive=not message.should_close,
            profile=target["profile"],
        )
        self._keep(data, request)
        return request

    def _parse(self, data: bytes) -> RawRequestMessage | None:
        """
        The only message in *data*, by aiohttp's own parser.

        One parser serves all connections: each call brings it a whole request and leaves it
        between two. After anything else it is made anew.
        """
        try:
            messages, upgraded, tail = self._parser.feed_data(data)
        except HttpProcessingError:
            messages, upgraded, tail = [], False, b""
        if len(messages) != 1 or upgraded or tail:
            self._parser = self._make_parser()
            return None
        self._parser.message_consumed()
        message: RawRequestMessage = messages[0][0]
        return message

    def _make_parser(self) -> HttpRequestParser:
        # Bodies, for which it would want a protocol, are not ours.
        return HttpRequestParser(None, self._loop, LARGEST_HEAD)

    def _keep(self, data: bytes, request: Request) -> None:
        if len(self._parsed) >= PARSED_KEPT:
            del self._parsed[next(iter(self._parsed))]
        self._parsed[data] = request
