"""The bytes of a reply of `/aio`: the same for everybody who owns a connection. Pure."""

from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus

from app.clock import SECOND_NS
from app.grammar import decimal_text, number_text
from app.plan import BODYLESS, RETRYABLE, Plan
from app.spans import Span, span_name

MILLISECOND_NS = 1_000_000
KEPT = 1_024  # of each part that many replies have in common

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

# What the replies of one run in one second, to clients of one kind, have in common: run, time
# scale, HTTP version, whether the connection is kept, second. Made for each reply, so a tuple.
Scene = tuple[str, float, str | None, bool, int]


def body(plan: Plan) -> bytes:
    """`{"delay": 7}`, padded when a size is asked for; nothing for a status without a body."""
    if plan.status in BODYLESS:
        return b""
    if plan.size is None:
        return _plain_body(plan.delay_ns)
    delay = decimal_text(plan.delay_ns, SECOND_NS)
    before, after = f'{{"delay": {delay}, "padding": "', '"}'
    return f"{before}{'.' * (plan.size - len(before) - len(after))}{after}".encode()


@lru_cache(maxsize=KEPT)
def _plain_body(delay_ns: int) -> bytes:
    return f'{{"delay": {decimal_text(delay_ns, SECOND_NS)}}}'.encode()


def head(span: Span, plan: Plan, length: int | None, *, keep_alive: bool, now_ns: int) -> bytes:
    """
    The status line and headers, with the empty line.

    *length* is what they say of the body, normally the truth; None says that it is in chunks.
    """
    before, after = _planned_frame(plan, length, _scene(span, now_ns, keep_alive=keep_alive))
    return b"%b%b%b" % (before, span_name(span.id).encode(), after)


def refusal(span: Span, content_type: str, *, length: int, keep_alive: bool, now_ns: int) -> bytes:
    """The status line and headers of a problem, with the empty line."""
    own = (
        f"Content-Type: {content_type}\r\nContent-Length: {length}\r\nVary: Accept\r\n"
        f"{_retry_line(span.retry_after_ns)}{_fault_line(span.fault)}"
    )
    before, after = _frame(span.status or 500, own, _scene(span, now_ns, keep_alive=keep_alive))
    return b"%b%b%b" % (before, span_name(span.id).encode(), after)


def last_word(status: str, sentence: str) -> bytes:
    """A reply for when nothing better can be said, after which the connection closes."""
    return (
        f"HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\n"
        f"Content-Length: {len(sentence) + 1}\r\nConnection: close\r\n\r\n{sentence}\n"
    ).encode("ascii")


def _scene(span: Span, now_ns: int, *, keep_alive: bool) -> Scene:
    return span.run, span.time_scale, span.http_version, keep_alive, now_ns // SECOND_NS


@lru_cache(maxsize=KEPT)
def _planned_frame(plan: Plan, length: int | None, scene: Scene) -> tuple[bytes, bytes]:
    _, time_scale, *_ = scene
    scaled_ns = round(plan.delay_ns * time_scale)
    own = (
        f"{_content_lines(plan.status, length)}"
        f"Server-Timing: delay;dur={decimal_text(scaled_ns, MILLISECOND_NS)}\r\n"
        f"{_retry_line(retry_after_ns(plan, time_scale))}{_fault_line(plan.purpose)}"
    )
    return _frame(plan.status, own, scene)


def retry_after_ns(plan: Plan, time_scale: float, status: int | None = None) -> int | None:
    """What `Retry-After` says by that plan, with its own status or another; None: nothing."""
    if plan.retry_after_ns is None or (status or plan.status) not in RETRYABLE:
        return None
    return whole_seconds_ns(round(plan.retry_after_ns * time_scale))


def whole_seconds_ns(ns: int) -> int:
    """
    A length as `Retry-After` has them: RFC 9110 section 10.2.3 knows whole seconds only.

    Rounded up, so that who obeys does not come too early.
    """
    return -(-ns // SECOND_NS) * SECOND_NS


def _retry_line(ns: int | None) -> str:
    return "" if ns is None else f"Retry-After: {ns // SECOND_NS}\r\n"


def _fault_line(name: str | None) -> str:
    return "" if name is None else f"X-Dawdle-Fault: {name}\r\n"


def _frame(status: int, own: str, scene: Scene) -> tuple[bytes, bytes]:
    """What stands before and after the name of the span."""
    run, time_scale, http_version, keep_alive, second = scene
    before = (
        f"HTTP/{http_version} {status:d} {_reason(status)}\r\n"
        f"{own}"
        f"Date: {_date(second)}\r\n"
        f"X-Dawdle-Run: {run}\r\nX-Dawdle-Span: "
    )
    end = _connection_line(http_version, keep_alive)
    after = f"\r\n{_scale_line(time_scale)}{_OPEN_LINES}{end}"
    return before.encode("ascii"), after.encode("ascii")


@lru_cache(maxsize=2)
def _date(second: int) -> str:
    return formatdate(second, usegmt=True)


def _scale_line(time_scale: float) -> str:
    return "" if time_scale == 1 else f"X-Dawdle-Time-Scale: {number_text(time_scale)}\r\n"


def _content_lines(status: int, length: int | None) -> str:
    if status in (204, 304):  # RFC 9110 section 8.6: no Content-Length in a 204
        return ""
    kind = "" if status == 205 else "Content-Type: application/json; charset=utf-8\r\n"
    if length is None:
        return f"{kind}Transfer-Encoding: chunked\r\n"
    return f"{kind}Content-Length: {length}\r\n"


def _connection_line(version: str | None, keep_alive: bool) -> str:
    """What RFC 9112 section 9.3 wants said; silence means what the version means by default."""
    if version == "1.0":
        return "Connection: keep-alive\r\n\r\n" if keep_alive else "\r\n"
    return "\r\n" if keep_alive else "Connection: close\r\n\r\n"


@lru_cache(maxsize=512)
def _reason(status: int) -> str:
    return HTTPStatus(status).phrase if status in set(HTTPStatus) else ""
