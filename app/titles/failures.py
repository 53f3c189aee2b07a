"""What went wrong, from the exceptions of the client to a code and a sentence. Pure."""

import errno
import os
import ssl
from http import HTTPStatus

import aiodns
from aiohttp import (
    ClientConnectorDNSError,
    ClientConnectorError,
    ClientError,
    ClientHttpProxyError,
    ClientPayloadError,
    ClientProxyConnectionError,
    ClientResponseError,
    ServerTimeoutError,
)
from aiohttp.http_exceptions import ContentEncodingError, HttpProcessingError

from app.grammar import quoted
from app.titles.guard import Forbidden
from app.titles.results import Code, Failure
from app.titles.urls import Url

# Statuses that another attempt may not meet; a 500 is usually the page's own, and stays.
TEMPORARY = frozenset(
    {
        HTTPStatus.REQUEST_TIMEOUT,
        HTTPStatus.TOO_EARLY,
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
    }
)

# What c-ares says when the name itself is the trouble, so that asking again changes nothing.
_NO_SUCH_NAME = frozenset(
    {aiodns.error.ARES_ENOTFOUND, aiodns.error.ARES_ENODATA, aiodns.error.ARES_EBADNAME}
)

TOO_FEW = "Not enough data"  # how aiohttp begins to say that a page ended before its time


class Failed(Exception):
    """An attempt ends here, with that failure."""

    def __init__(self, code: Code, detail: str, *, temporary: bool = False) -> None:
        super().__init__(detail)
        self.failure = Failure(code, detail, temporary)


def failure_of(error: Failed | ClientError | OSError, url: Url) -> Failure:
    """The failure that an error is, while *url* was asked for."""
    if isinstance(error, Failed):
        return error.failure
    if isinstance(error, ServerTimeoutError):
        return Failure(Code.TIMEOUT, f"no connection to {url.host} came about in time", True)
    if isinstance(error, ClientConnectorError):
        return _unreached(error, url)
    if isinstance(error, ssl.SSLError):
        return _tls(error, url)
    if isinstance(error, ClientResponseError | ClientPayloadError):
        return _garbled(error, url)
    if isinstance(error, OSError):
        return _broken(url, _reason(error))
    return _broken(url, "it was closed without an answer")


def http_error(status: int, url: Url) -> Failure:
    """The failure that a status of 400 and above is."""
    try:
        reason = f" {HTTPStatus(status).phrase}"
    except ValueError:
        reason = ""
    return Failure(
        Code.HTTP_ERROR, f"{url.host} answers {status}{reason}", temporary=status in TEMPORARY
    )


def _unreached(error: ClientConnectorError, url: Url) -> Failure:
    """No connection came about."""
    cause = error.os_error
    if isinstance(cause, Forbidden):
        return Failure(
            Code.BLOCKED,
            f"{url.host} leads to an address that is not public; only what allow_networks opens is "
            "fetched besides",
        )
    if isinstance(error, ClientProxyConnectionError):
        return Failure(Code.CONNECTION_ERROR, f"no connection to the proxy: {_reason(cause)}", True)
    if isinstance(error, ClientConnectorDNSError):
        return _unknown_name(cause, error.host)
    if isinstance(error, ssl.SSLError | ssl.CertificateError) or isinstance(cause, ssl.SSLError):
        return _tls(cause, url)
    if cause.errno in (errno.EMFILE, errno.ENFILE):
        return Failure(
            Code.CONNECTION_ERROR,
            "too many files and connections are open here; lower the concurrency, or raise the "
            "limit on open files",
            True,
        )
    return Failure(
        Code.CONNECTION_ERROR, f"no connection to {url.host}: {_reason(cause)}", temporary=True
    )


def _unknown_name(cause: OSError, name: str) -> Failure:
    inner = cause.__cause__
    code = inner.args[0] if isinstance(inner, aiodns.error.DNSError) else None
    if code in _NO_SUCH_NAME:
        return Failure(Code.DNS_ERROR, f"there is no address for {quoted(name)}; check the name")
    return Failure(
        Code.DNS_ERROR,
        f"no name server could tell the address of {quoted(name)} ({_reason(cause)})",
        temporary=True,
    )


def _tls(cause: Exception, url: Url) -> Failure:
    reason = getattr(cause, "verify_message", "") or getattr(cause, "reason", None) or str(cause)
    return Failure(Code.TLS_ERROR, f"no secure connection to {url.host}: {reason}")


def _garbled(error: ClientResponseError | ClientPayloadError, url: Url) -> Failure:
    """What came is no HTTP, or ended too early."""
    if isinstance(error, ClientHttpProxyError):
        return Failure(
            Code.CONNECTION_ERROR, f"the proxy answers {error.status} {error.message}".rstrip()
        )
    cause = error.__cause__
    if isinstance(error, ClientResponseError):
        return _not_http(error.message, url)
    if isinstance(cause, ContentEncodingError):
        return Failure(
            Code.PROTOCOL_ERROR,
            f"what {url.host} sends is not compressed as it says: {quoted(cause.message)}",
        )
    if isinstance(cause, HttpProcessingError) and not cause.message.startswith(TOO_FEW):
        return _not_http(cause.message, url)
    return _broken(url, "it ended in the middle of the page")


def _not_http(message: str, url: Url) -> Failure:
    reason = message.partition("\n")[0].rstrip(":")
    return Failure(Code.PROTOCOL_ERROR, f"what {url.host} sends is not HTTP: {quoted(reason)}")


def _broken(url: Url, reason: str) -> Failure:
    return Failure(
        Code.CONNECTION_ERROR, f"the connection to {url.host} broke: {reason}", temporary=True
    )


def _reason(error: OSError) -> str:
    """What the operating system says, or whoever made the error."""
    if error.errno is not None:
        return os.strerror(error.errno).lower()
    return (error.strerror or str(error) or type(error).__name__).lower()
