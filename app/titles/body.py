"""The body of a response, in pieces and within limits; and what becomes of its connection."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass

from aiohttp import ClientError, ClientPayloadError, ClientResponse, hdrs
from aiohttp.http_exceptions import HttpProcessingError

from app.grammar import quoted
from app.titles.deadline import Deadline
from app.titles.failures import Failed
from app.titles.media import HTML, SNIFFED_BYTES, looks_like_html, media_type
from app.titles.results import Code

CODINGS = frozenset({"", "identity", "gzip", "deflate", "br", "zstd"})  # that aiohttp undoes

PIECE_BYTES = 1 << 14  # so that scanning what is all tags holds nobody up for long

# After the title the rest of a page is read only if it costs less than another connection would.
DRAINED_BYTES = 1 << 16
DRAINED_S = 0.5


@dataclass(frozen=True, slots=True)
class Limits:
    """What one attempt may take, besides the time that it is given as a whole. Seconds, bytes."""

    connect_s: float = 5.0  # to look the name up, to connect and to shake hands
    head_s: float = 60.0  # from asking to the end of the headers, connecting included
    silence_s: float = 10.0  # between two pieces of a page
    patience_s: float = 5.0  # before the rate of a page is judged
    bytes_per_s: int = 512  # that a page must have come with, on average
    page_bytes: int = 2 << 20  # after decompression; what came over the wire is bounded alike
    redirects: int = 10


class Body:
    """The page in a response."""

    def __init__(self, response: ClientResponse, limits: Limits, deadline: Deadline) -> None:
        self.charset: str | None = None  # as the headers name it
        self._headers = response.headers
        self._content = response.content
        self._ending = _Ending(response)
        self._limits = limits
        self._deadline = deadline
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()
        self._is_begun = False

    async def html(self) -> bytes:
        """
        The first piece of the page.

        Raises:
            Failed: it is not HTML, or compressed in a way that can't be undone.
        """
        coding = self._headers.get(hdrs.CONTENT_ENCODING, "")
        if coding.strip().lower() not in CODINGS:
            raise Failed(
                Code.PROTOCOL_ERROR,
                f"the page is compressed as {quoted(coding)}, which was not asked for; "
                "only gzip, deflate, br and zstd can be undone",
            )
        media = media_type(self._headers.getall(hdrs.CONTENT_TYPE, ()))
        if media is None:
            return await self._sniff()
        if media.essence not in HTML:
            raise Failed(
                Code.NOT_HTML, f"it is {quoted(media.essence)}; only HTML pages have a title here"
            )
        self.charset = media.charset
        return await self.next()

    async def _sniff(self) -> bytes:
        """The beginning of something without a type, if it looks like HTML."""
        beginning = b""
        while len(beginning) < SNIFFED_BYTES and (data := await self.next()):
            beginning += data
        if beginning and not looks_like_html(beginning):
            raise Failed(
                Code.NOT_HTML, "it has no Content-Type, and does not begin as HTML pages do"
            )
        return beginning

    async def next(self) -> bytes:
        """
        A piece of what came meanwhile, decompressed; nothing at the end of the page.

        Raises:
            Failed: it comes too slowly, or there is too much of it.
        """
        content = self._content
        if self._is_begun:
            await asyncio.sleep(0)  # others want to go on, and the deadline may have passed
        self._is_begun = True
        data = content.read_nowait(PIECE_BYTES)
        if not data and not content.at_eof():
            self._judge()
            self._deadline.allow(self._limits.silence_s, "nothing more of the page came")
            with self._ending:
                data = await content.read(PIECE_BYTES)
        return data

    def _judge(self) -> None:
        """Ask whether to wait for more."""
        came, took_s = self._content.total_raw_bytes, self._loop.time() - self._began
        if came > self._limits.page_bytes:  # and hardly anything was in it
            raise self.too_large()
        if took_s > self._limits.patience_s and came < took_s * self._limits.bytes_per_s:
            raise Failed(
                Code.TIMEOUT,
                f"the page comes at {came / took_s:.0f} bytes a second, and "
                f"{self._limits.bytes_per_s} are the least; try again later",
                temporary=True,
            )

    def too_large(self) -> Failed:
        """The failure that a page without a title is when it does not end."""
        return Failed(
            Code.TOO_LARGE,
            f"no title ended in the first {self._limits.page_bytes} bytes; more are not read",
        )


class _Ending:
    """
    Wakes the reader of a page whose connection ended because the parser stumbled.

    When the chunks of a page turn to rubbish, aiohttp 3.14 closes the connection and tells no
    reader, who would wait in vain.
    """

    def __init__(self, response: ClientResponse) -> None:
        self._content = response.content
        connection = response.connection
        self._protocol = None if connection is None else connection.protocol
        self._closed: asyncio.Future[None] | None = None

    def __enter__(self) -> None:
        if self._protocol is None:
            return
        self._closed = closed = self._protocol.closed
        if closed is None:
            self._tell()
            return
        closed.remove_done_callback(_heed)  # one stays on a connection that is kept, not many
        closed.add_done_callback(_heed)
        closed.add_done_callback(self._tell)

    def __exit__(self, *_: object) -> None:
        if self._closed is not None:
            self._closed.remove_done_callback(self._tell)

    def _tell(self, _: object = None) -> None:
        error = None if self._protocol is None else self._protocol.exception()
        if isinstance(error, HttpProcessingError) and self._content.exception() is None:
            broken = ClientPayloadError(error.message)
            broken.__cause__ = error  # which aiohttp itself sets only for who waits already
            self._content.set_exception(broken, error)


def _heed(closed: asyncio.Future[None]) -> None:
    """Look at how a connection ended, so that asyncio does not complain that nobody did."""
    if not closed.cancelled():
        closed.exception()


async def let_go(response: ClientResponse) -> None:
    """Read the rest of the response if it is known and small, so that its connection is kept."""
    content, length = response.content, response.content_length
    if content.is_eof() or length is None or length - content.total_raw_bytes > DRAINED_BYTES:
        return
    with suppress(TimeoutError, ClientError):
        async with asyncio.timeout(DRAINED_S):
            while await content.readany():
                pass
