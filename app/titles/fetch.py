"""
One URL: asked for, its redirects followed, read up to its title and no further.

Whatever happens becomes a `Result`. Every phase has a deadline, everything that is kept in memory
a limit, and every connection the guard's leave.
"""

import logging
import re
from collections import OrderedDict
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

from aiohttp import (
    ClientError,
    ClientRequest,
    ClientResponse,
    ClientSession,
    ClientTimeout,
    DummyCookieJar,
    TCPConnector,
    hdrs,
)
from aiohttp.connector import Connection
from multidict import CIMultiDict
from yarl import URL

from app import __version__
from app.clock import SECOND_NS, Clock, iso_text
from app.errors import BadValue
from app.grammar import quoted
from app.titles.body import Body, Limits, let_go
from app.titles.deadline import Deadline
from app.titles.failures import Failed, failure_of, http_error
from app.titles.guard import Guard
from app.titles.names import Names
from app.titles.page import Page, Title
from app.titles.results import Code, Failure, Hop, Result
from app.titles.retry import asked_for
from app.titles.urls import Url, join, parse

log = logging.getLogger(__name__)

USER_AGENT = f"Dawdle/{__version__}"
ACCEPT = "text/html, application/xhtml+xml, */*;q=0.1"

REDIRECTS = frozenset({301, 302, 303, 307, 308})  # WHATWG Fetch, "redirect status"

# What is asked for at another origin too; anything else may be a secret for the first one.
HARMLESS = frozenset({"accept", "accept-language", "user-agent"})
# What the client itself says, about the connection and the message.
OURS = frozenset(
    {
        *("accept-encoding", "connection", "content-length", "expect", "host", "keep-alive"),
        *("proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"),
    }
)
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110 section 5.6.2
_NOT_A_VALUE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")  # RFC 9110 section 5.5

KEEP_ALIVE_S = 5.0
FAMILIAR = 256  # origins asked last, whose connections are kept: idle ones are bounded by it
BUFFER_BYTES = 1 << 16  # a connection is read ahead by twice as much
HEADER_BYTES = 1 << 15  # of one header; security policies are long
MOST_HEADERS = 128


class Fetcher:
    """
    Fetches pages over one session, whose connections are shared and kept alive for a moment.

    Bounds on how many at once are the caller's, so that nobody's time runs out in a queue here.
    *guard*: which URLs and addresses are open; None: all. *headers* go with every request, but not
    to another origin by a redirect.

    Raises:
        BadValue: a header or the proxy can't be used.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        guard: Guard | None,
        limits: Limits | None = None,
        user_agent: str = USER_AGENT,
        headers: Mapping[str, str] | None = None,
        proxy: str | None = None,
        insecure: bool = False,
        page: Callable[[str | None], Page] = Page,
    ) -> None:
        if guard is not None and proxy is not None:
            raise BadValue(
                "behind a proxy no address can be judged; leave out the proxy, or the guard"
            )
        self.clock = clock
        self.guard = guard
        self.limits = limits or Limits()
        self.headers = _headers({"Accept": ACCEPT, "User-Agent": user_agent} | dict(headers or {}))
        self.page = page
        self.lately = Lately(FAMILIAR)
        self._proxy = None if proxy is None else parse(proxy, bare=True).href
        self._insecure = insecure
        self._session: ClientSession | None = None

    async def __aenter__(self) -> Self:
        guard = self.guard
        connector = TCPConnector(
            limit=0,
            keepalive_timeout=KEEP_ALIVE_S,
            resolver=Names(guard),
            socket_factory=None if guard is None else guard.socket,
            ssl=not self._insecure,
        )
        self._session = ClientSession(
            connector=connector,
            cookie_jar=DummyCookieJar(),
            timeout=ClientTimeout(total=None, connect=self.limits.connect_s, sock_connect=None),
            trust_env=False,
            proxy=self._proxy,
            request_class=_requests(guard),
            read_bufsize=BUFFER_BYTES,
            max_line_size=HEADER_BYTES,
            max_field_size=HEADER_BYTES,
            max_headers=MOST_HEADERS,
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def fetch(self, url: str, *, timeout_s: float = 10.0) -> Result:
        """
        What becomes of *url* in one attempt of at most *timeout_s*, redirects included.

        Never raises anything but `CancelledError`.
        """
        assert self._session is not None, "a Fetcher is entered before it fetches"
        attempt = _Attempt(self, self._session, url, timeout_s)
        try:
            await attempt.run()
        except Exception:  # one page must not end a job of many
            log.exception("fetching %s", quoted(url))
            attempt.crash()
        return attempt.result()


def _headers(given: Mapping[str, str]) -> CIMultiDict[str]:
    """The headers, once they are known to be some."""
    for name, value in given.items():
        if not _NAME.fullmatch(name) or _NOT_A_VALUE.search(value):
            raise BadValue(f"{quoted(f'{name}: {value}')} is no header; write one as NAME: VALUE")
        if name.lower() in OURS:
            raise BadValue(f"the header {name} is the client's own to send; leave it out")
    return CIMultiDict(given)


def _requests(guard: Guard | None) -> type[ClientRequest]:
    """Requests that look at the connection they got before they use it."""

    class Request(ClientRequest):
        async def send(self, conn: Connection) -> ClientResponse:
            if guard is not None and guard.is_own_port(self.url.port or 0):
                _ask_for_path(guard, conn, self.url.raw_path)
            if conn.protocol is not None and self.headers.get(hdrs.CONNECTION) == "close":
                conn.protocol.force_close()  # whether or not the server does as it is told
            return await super().send(conn)

    return Request


def _ask_for_path(guard: Guard, conn: Connection, path: str) -> None:
    """
    Ask the guard once more, for the path.

    That matters only where the service itself listens: its site is open, its control pages are not,
    and a kept connection knows no paths.
    """
    peer = conn.transport and conn.transport.get_extra_info("peername")
    if not (peer and guard.admits_path(peer[0], peer[1], path)):
        raise Failed(
            Code.BLOCKED,
            f"of this service only the pages below /site are fetched, not {quoted(path)}",
        )


class Lately:
    """
    The origins that were asked last, at most so many.

    Who asks a host for the first time seldom asks again; ten thousand hosts that are asked once
    would leave as many idle connections, and the operating system would run out of files.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._origins: OrderedDict[str, None] = OrderedDict()

    def knew(self, origin: str) -> bool:
        """Whether the origin was among them already; now it is."""
        known = origin in self._origins
        self._origins[origin] = None
        self._origins.move_to_end(origin)
        if len(self._origins) > self._most:
            self._origins.popitem(last=False)
        return known


class _Attempt:
    """One attempt at one URL: at every moment, what is known so far."""

    def __init__(
        self, fetcher: Fetcher, session: ClientSession, url: str, timeout_s: float
    ) -> None:
        self._fetcher = fetcher
        self._session = session
        self._limits = fetcher.limits
        self._clock = fetcher.clock
        self._headers = fetcher.headers
        self._text = url
        self._began_ns = fetcher.clock.now()
        self._deadline = Deadline(timeout_s)
        self._url: Url | None = None  # that is asked for
        self._hops: list[Hop] = []
        self._status: int | None = None  # of its response
        self._retry_after: float | None = None
        self._page: Page | None = None
        self._bytes_read = 0
        self._is_known = False  # that title; what is left of its page is nobody's business
        self._title: Title | None = None
        self._failure: Failure | None = None

    async def run(self) -> None:
        """
        Ask, follow, read; what pages, servers and networks do wrong is a failure.

        Raises:
            Exception: it is our own fault.
        """
        try:
            async with self._deadline.timeout:
                await self._go(parse(self._text))
        except BadValue as error:
            self._failure = Failure(Code.INVALID_URL, str(error))
        except TimeoutError as error:
            if not self._is_known:
                self._failure = self._failure_in_time(error)
        except (Failed, ClientError, OSError) as error:
            self._failure = self._explain(error)
        if self._page is not None:
            self._title = self._page.close()

    def crash(self) -> None:
        """Tell that this went wrong by our own fault."""
        self._failure = Failure(
            Code.CRASHED, "something went wrong here, not with the page; the log says what"
        )

    def result(self) -> Result:
        """What became of the URL."""
        title, url = self._title, self._url
        return Result(
            url=self._hops[0].url if self._hops else url.href if url else self._text,
            final_url=url and url.href,
            status=self._status,
            title=title and title.text,
            charset=title and title.charset,
            charset_source=title and title.source,
            bytes_read=self._bytes_read,
            elapsed=self._since(self._began_ns),
            fetched_at=iso_text(self._began_ns),
            hops=tuple(self._hops),
            retry_after=self._retry_after,
            error=self._error(),
        )

    def _error(self) -> Failure | None:
        """The worst of what is wrong, if anything is."""
        failure, title = self._failure, self._title
        if failure is not None and failure.code is Code.CRASHED:
            return failure
        if self._url is not None and self._status is not None and self._status >= 400:
            return http_error(self._status, self._url)
        if failure is not None:
            return failure
        return title and _flaw(title, self._bytes_read)

    # --- the way to the page ---------------------------------------------------------------------

    async def _go(self, url: Url | None) -> None:
        while url is not None:
            self._turn_to(url)
            url = await self._visit(url)

    def _turn_to(self, url: Url) -> None:
        """See to it that the URL may be asked for, and with what."""
        previous, self._url, self._status = self._url, url, None
        guard = self._fetcher.guard
        objection = guard and guard.objection(url)
        if objection:
            raise Failed(Code.BLOCKED, objection)
        if previous is not None and previous.origin != url.origin:
            kept = {name: text for name, text in self._headers.items() if name.lower() in HARMLESS}
            self._headers = CIMultiDict(kept)

    async def _visit(self, url: Url) -> Url | None:
        """Ask for one URL; where that leads, or None if it was the page."""
        asked_ns = self._clock.now()
        kept = self._fetcher.lately.knew(url.origin)
        response = await self._ask(url, kept)
        try:
            self._status = response.status
            location = response.headers.get(hdrs.LOCATION)
            following = None
            if response.status in REDIRECTS and location is not None:
                following = self._follow(url, location)
                self._hops.append(Hop(url.href, response.status, self._since(asked_ns)))
            else:
                await self._read(response)
            if kept:
                await let_go(response)
        finally:
            if not response.closed:
                response.close()
        return following

    async def _ask(self, url: Url, kept: bool) -> ClientResponse:
        """The response of that URL, up to its body, over a connection to be *kept* or not."""
        self._deadline.allow(self._limits.head_s, "no answer came")
        headers = self._headers.copy()
        if not kept:
            headers[hdrs.CONNECTION] = "close"
        if url.has_user:
            headers.popall(hdrs.AUTHORIZATION, None)  # what stands in the URL is more to the point
        try:
            address = URL(url.href, encoded=True)
            return await self._session.get(address, headers=headers, allow_redirects=False)
        except ValueError as error:  # a host that is one to browsers, and none to name servers
            if isinstance(error, OSError):  # a certificate that is refused is a ValueError, too
                raise
            raise Failed(
                Code.INVALID_URL, f"{quoted(url.href)} can't be asked for ({error}); is it right?"
            ) from None

    def _follow(self, url: Url, location: str) -> Url:
        if len(self._hops) >= self._limits.redirects:
            raise Failed(
                Code.TOO_MANY_REDIRECTS,
                f"{url.host} redirects once more after {len(self._hops)} redirects; a site that "
                "never ends may be waiting for a cookie, and none are kept here",
            )
        try:
            return join(url, location)
        except BadValue as error:
            raise Failed(Code.INVALID_URL, f"{url.host} redirects, but {error}") from None

    # --- the page --------------------------------------------------------------------------------

    async def _read(self, response: ClientResponse) -> None:
        """Read the page up to the end of its title, of its bytes, or of a limit."""
        self._retry_after = asked_for(response.headers.get(hdrs.RETRY_AFTER), self._clock.now())
        body = Body(response, self._limits, self._deadline)
        beginning = await body.html()
        page = self._page = self._fetcher.page(body.charset)
        await self._feed(page, beginning, body)

    async def _feed(self, page: Page, data: bytes, body: Body) -> None:
        room = self._limits.page_bytes
        while data:
            known = page.feed(data[:room])
            self._bytes_read += min(len(data), room)
            if known:
                self._is_known = True
                return
            if len(data) > room:
                raise body.too_large()
            room -= len(data)
            data = await body.next()

    # --- what went wrong -------------------------------------------------------------------------

    def _failure_in_time(self, error: TimeoutError) -> Failure:
        """Which of the time limits it was."""
        if self._deadline.timeout.expired():
            return Failure(Code.TIMEOUT, self._deadline.sentence(), temporary=True)
        return self._explain(error)

    def _explain(self, error: Failed | ClientError | OSError) -> Failure:
        assert self._url is not None
        return failure_of(error, self._url)

    def _since(self, ns: int) -> float:
        return (self._clock.now() - ns) / SECOND_NS


def _flaw(title: Title, bytes_read: int) -> Failure | None:
    """What is wrong with the title of a page that was read without trouble."""
    if title.bad:
        return Failure(
            Code.BAD_ENCODING,
            f"it can't be read as {title.charset}, which the page names as its encoding",
        )
    if title.text:
        return None
    if title.text is not None:
        return Failure(Code.NO_TITLE, "the page's title is empty")
    nothing = "there is no title in the page" if bytes_read else "the page is empty"
    return Failure(Code.NO_TITLE, nothing)
