"""The bytes of a reply of `/aio`: the same for everybody who owns a connection. Pure."""

from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus

from app.clock import SECOND_NS
from app.grammar import decimal_text, number_text
from app.plan import BODYLESS, Plan
from app.spans import Span

MILLISECOND_NS = 1_000_000

EXPOSED = (
    "Retry-After",
    "Server-Timing",
    "X-Dawdle-Fault",
    "X-Dawdle-Run",
    "X-Dawdle-Span",
    "X-Dawdle-Time-Scale",
)
# On every reply that says what its caller wanted. This origin also hosts the control pages, so
# such a reply must never be able to act as one of them; and any page may read it, though none
# with credentials (https://fetch.spec.whatwg.org/#http-cors-protocol).
OPEN_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "sandbox; default-src 'none'",
    "X-Content-Type-Options": "nosniff",
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Expose-Headers": ", ".join(EXPOSED),
    "Timing-Allow-Origin": "*",
}
_OPEN_LINES = "".join(f"{name}: {value}\r\n" for name, value in OPEN_HEADERS.items())


def body(plan: Plan) -> bytes:
    """`{"delay": 7}`, padded when a size is asked for; nothing for a status without a body."""
    if plan.status in BODYLESS:
        return b""
    delay = decimal_text(plan.delay_ns, SECOND_NS)
    if plan.size is None:
        return f'{{"delay": {delay}}}'.encode()
    before, after = f'{{"delay": {delay}, "padding": "', '"}'
    return f"{before}{'.' * (plan.size - len(before) - len(after))}{after}".encode()


def head(span: Span, plan: Plan, *, length: int, keep_alive: bool, now_ns: int) -> bytes:
    """The status line and headers, with the empty line; *length* is that of the true body."""
    scaled = decimal_text(span.scaled_delay_ns or 0, MILLISECOND_NS)
    fault = f"X-Dawdle-Fault: {plan.fault}\r\n" if plan.fault else ""
    own = f"{_content_lines(plan.status, length)}Server-Timing: delay;dur={scaled}\r\n{fault}"
    return _head(span, plan.status, own, keep_alive, now_ns)


def refusal(
    span: Span, status: int, content_type: str, *, length: int, keep_alive: bool, now_ns: int
) -> bytes:
    """The status line and headers of a problem, with the empty line."""
    own = f"Content-Type: {content_type}\r\nContent-Length: {length}\r\nVary: Accept\r\n"
    return _head(span, status, own, keep_alive, now_ns)


def _head(span: Span, status: int, own: str, keep_alive: bool, now_ns: int) -> bytes:
    lines = (
        f"HTTP/{span.http_version} {status:d} {_reason(status)}\r\n",
        own,
        f"Date: {_date(now_ns // SECOND_NS)}\r\n",
        f"X-Dawdle-Run: {span.run}\r\n",
        f"X-Dawdle-Span: {span.name}\r\n",
        _scale_line(span.time_scale),
        _OPEN_LINES,
        _connection_line(span.http_version, keep_alive),
    )
    return "".join(lines).encode("ascii")


def _scale_line(time_scale: float) -> str:
    return "" if time_scale == 1 else f"X-Dawdle-Time-Scale: {number_text(time_scale)}\r\n"


def _content_lines(status: int, length: int) -> str:
    if status in (204, 304):  # RFC 9110 section 8.6: no Content-Length in a 204
        return ""
    kind = "" if status == 205 else "Content-Type: application/json; charset=utf-8\r\n"
    return f"{kind}Content-Length: {length}\r\n"


def _connection_line(version: str | None, keep_alive: bool) -> str:
    """What RFC 9112 section 9.3 wants said; silence means what the version means by default."""
    if version == "1.0":
        return "Connection: keep-alive\r\n\r\n" if keep_alive else "\r\n"
    return "\r\n" if keep_alive else "Connection: close\r\n\r\n"


@lru_cache(maxsize=512)
def _reason(status: int) -> str:
    return HTTPStatus(status).phrase if status in set(HTTPStatus) else ""


@lru_cache(maxsize=4)
def _date(second: int) -> str:
    return formatdate(second, usegmt=True)
