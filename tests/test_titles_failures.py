"""Tests of `app.titles.failures`: each exception of the client is a code, a sentence, a hope."""

import errno
import ssl

import aiodns
import pytest
from aiohttp import (
    ClientConnectionError,
    ClientConnectorDNSError,
    ClientConnectorError,
    ClientConnectorSSLError,
    ClientHttpProxyError,
    ClientOSError,
    ClientPayloadError,
    ClientProxyConnectionError,
    ClientResponseError,
    ConnectionTimeoutError,
    RequestInfo,
    ServerDisconnectedError,
)
from aiohttp.client_reqrep import ConnectionKey
from aiohttp.http_exceptions import ContentEncodingError, TransferEncodingError
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from app.titles.failures import Failed, failure_of, http_error
from app.titles.guard import Forbidden
from app.titles.results import Code, Failure
from app.titles.urls import parse

PAGE = parse("http://h.test:81/a")
KEY = ConnectionKey("h.test", 81, False, True, None, None, None)
REQUEST = RequestInfo(URL(PAGE.href), "GET", CIMultiDictProxy(CIMultiDict()), URL(PAGE.href))


def caused(error: Exception, cause: Exception) -> Exception:
    """The error, raised because of the other."""
    error.__cause__ = cause
    return error


def lookup(code: int) -> ClientConnectorDNSError:
    """What aiohttp makes of an answer of c-ares."""
    words = "Words Of The Name Server"
    error = OSError(None, words)
    error.__cause__ = aiodns.error.DNSError(code, words)
    return ClientConnectorDNSError(KEY, error)


def system(number: int) -> ClientConnectorError:
    """What aiohttp makes of a refusal by the operating system."""
    return ClientConnectorError(KEY, OSError(number, "Connect call failed ('127.0.0.1', 81)"))


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (Failed(Code.NOT_HTML, "a picture"), Failure(Code.NOT_HTML, "a picture")),
        (
            ConnectionTimeoutError("Connection timeout to host"),
            Failure(Code.TIMEOUT, "no connection to h.test:81 came about in time", True),
        ),
        (
            ClientConnectorError(KEY, Forbidden()),
            Failure(
                Code.BLOCKED,
                "h.test:81 leads to an address that is not public; only what allow_networks opens "
                "is fetched besides",
            ),
        ),
        (
            ClientConnectorDNSError(KEY, Forbidden()),
            Failure(
                Code.BLOCKED,
                "h.test:81 leads to an address that is not public; only what allow_networks opens "
                "is fetched besides",
            ),
        ),
        (
            lookup(aiodns.error.ARES_ENOTFOUND),
            Failure(Code.DNS_ERROR, "there is no address for 'h.test'; check the name"),
        ),
        (
            lookup(aiodns.error.ARES_ENODATA),
            Failure(Code.DNS_ERROR, "there is no address for 'h.test'; check the name"),
        ),
        (
            lookup(aiodns.error.ARES_ETIMEOUT),
            Failure(
                Code.DNS_ERROR,
                "no name server could tell the address of 'h.test' (words of the name server)",
                True,
            ),
        ),
        (
            ClientConnectorDNSError(KEY, OSError(None, "DNS lookup failed")),
            Failure(
                Code.DNS_ERROR,
                "no name server could tell the address of 'h.test' (dns lookup failed)",
                True,
            ),
        ),
        (
            system(errno.ECONNREFUSED),
            Failure(Code.CONNECTION_ERROR, "no connection to h.test:81: connection refused", True),
        ),
        (
            system(errno.EMFILE),
            Failure(
                Code.CONNECTION_ERROR,
                "too many files and connections are open here; lower the concurrency, or raise the "
                "limit on open files",
                True,
            ),
        ),
        (
            ClientProxyConnectionError(KEY, OSError(errno.ECONNREFUSED, "x")),
            Failure(Code.CONNECTION_ERROR, "no connection to the proxy: connection refused", True),
        ),
        (
            ClientHttpProxyError(REQUEST, (), status=407, message="Authenticate"),
            Failure(Code.CONNECTION_ERROR, "the proxy answers 407 Authenticate"),
        ),
        (
            ClientConnectorSSLError(KEY, ssl.SSLError(1, "[SSL: WRONG] wrong version number")),
            Failure(
                Code.TLS_ERROR,
                "no secure connection to h.test:81: [SSL: WRONG] wrong version number",
            ),
        ),
        (
            ssl.SSLError(1, "bad record"),
            Failure(Code.TLS_ERROR, "no secure connection to h.test:81: bad record"),
        ),
        (
            ClientResponseError(REQUEST, (), status=400, message="Bad status line:\n\n b'x'\n ^"),
            Failure(Code.PROTOCOL_ERROR, "what h.test:81 sends is not HTTP: 'Bad status line'"),
        ),
        (
            caused(ClientPayloadError("x"), TransferEncodingError("Bad chunk")),
            Failure(Code.PROTOCOL_ERROR, "what h.test:81 sends is not HTTP: 'Bad chunk'"),
        ),
        (
            caused(ClientPayloadError("x"), ContentEncodingError("No gzip")),
            Failure(
                Code.PROTOCOL_ERROR, "what h.test:81 sends is not compressed as it says: 'No gzip'"
            ),
        ),
        (
            caused(ClientPayloadError("x"), TransferEncodingError("Not enough data to satisfy")),
            Failure(
                Code.CONNECTION_ERROR,
                "the connection to h.test:81 broke: it ended in the middle of the page",
                True,
            ),
        ),
        (
            ServerDisconnectedError(),
            Failure(
                Code.CONNECTION_ERROR,
                "the connection to h.test:81 broke: it was closed without an answer",
                True,
            ),
        ),
        (
            ClientOSError(errno.ECONNRESET, "x"),
            Failure(
                Code.CONNECTION_ERROR,
                "the connection to h.test:81 broke: connection reset by peer",
                True,
            ),
        ),
        (
            ClientConnectionError("Connection closed."),
            Failure(
                Code.CONNECTION_ERROR,
                "the connection to h.test:81 broke: it was closed without an answer",
                True,
            ),
        ),
        (
            TimeoutError(),
            Failure(Code.CONNECTION_ERROR, "the connection to h.test:81 broke: timeouterror", True),
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_error_is_a_code_a_sentence_and_whether_to_hope(
    error: Exception, expected: Failure
) -> None:
    """Nobody has to know whose exception it was."""
    assert expected == failure_of(error, PAGE)  # type: ignore[arg-type]  # each is one of them


@pytest.mark.parametrize(
    ("status", "detail", "temporary"),
    [
        (404, "h.test:81 answers 404 Not Found", False),
        (500, "h.test:81 answers 500 Internal Server Error", False),
        (429, "h.test:81 answers 429 Too Many Requests", True),
        (503, "h.test:81 answers 503 Service Unavailable", True),
        (599, "h.test:81 answers 599", False),
    ],
)
def test_a_bad_status_is_an_error_with_its_name(status: int, detail: str, temporary: bool) -> None:
    """Those that may pass are tried again."""
    assert Failure(Code.HTTP_ERROR, detail, temporary) == http_error(status, PAGE)
