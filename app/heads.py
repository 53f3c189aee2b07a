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
BEGINNINGS = (b"GET ", b"HEAD ")
END = b"\r\n\r\n"
VERSIONS = {HttpVersion10: "1.0", HttpVersion11: "1.1"}
TARGET = re.compile(r"/aio(?:/(?P<profile>[a-z][a-z0-9-]{0,31}))?(?:\?[!-~]*)?")
NOT_OURS = ("Content-Length", "Transfer-Encoding", "Expect", "Upgrade")


class Heads:
    """Reads requests, and remembers the last thousand: clients repeat theirs to the byte."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._parsed: dict[bytes, Request] = {}

    def read(self, data: bytes) -> Request | None:
        """The request, when *data* is exactly one that the lane understands."""
        return self._parsed.get(data) or self._read(data)

    def _read(self, data: bytes) -> Request | None:
        if len(data) > LARGEST_HEAD:
            return None
        begun = data.lstrip(b"\r\n")  # RFC 9112 section 2.2 allows empty lines before
        if not begun.startswith(BEGINNINGS) or data.find(END) != len(data) - len(END):
            return None
        message = self._parse(data)
        request = None if message is None else _understand(message)
        if request is not None:
            self._keep(data, request)
        return request

    def _parse(self, data: bytes) -> RawRequestMessage | None:
        """
        The only message in *data*, by aiohttp's own parser.

        A new one each time: what one client sent must never decide how the next one's bytes are
        read. It costs a microsecond. Bodies, for which it would want a protocol, are not ours.
        """
        try:
            messages, upgraded, tail = HttpRequestParser(None, self._loop, LARGEST_HEAD).feed_data(
                data
            )
        except HttpProcessingError:
            return None
        if len(messages) != 1 or upgraded or tail:
            return None
        message: RawRequestMessage = messages[0][0]
        return message

    def _keep(self, data: bytes, request: Request) -> None:
        if len(self._parsed) >= PARSED_KEPT:
            del self._parsed[next(iter(self._parsed))]
        self._parsed[data] = request


def _understand(message: RawRequestMessage) -> Request | None:
    target = TARGET.fullmatch(message.path)
    if (
        target is None
        or message.version not in VERSIONS
        or any(name in message.headers for name in NOT_OURS)
    ):
        return None
    return understand(
        message.method,
        message.path,
        message.headers,
        http_version=VERSIONS[message.version],
        keep_alive=not message.should_close,
        profile=target["profile"],
    )
