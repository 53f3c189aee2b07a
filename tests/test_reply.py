"""The bytes of a reply."""

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.plan import Plan
from app.reply import body, head
from tests.fakes import BEGIN, MILLISECOND, SECOND, Response, make_span, parse

# What every reply says, whatever was asked; the order is nobody's business.
ALWAYS = {
    "Date": "Tue, 14 Nov 2023 22:13:20 GMT",
    "X-Dawdle-Run": "demo",
    "X-Dawdle-Span": "1-1",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "sandbox; default-src 'none'",
    "X-Content-Type-Options": "nosniff",
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Expose-Headers": "Retry-After, Server-Timing, X-Dawdle-Fault, X-Dawdle-Run, "
    "X-Dawdle-Span, X-Dawdle-Time-Scale",
    "Timing-Allow-Origin": "*",
}


def make_head(
    plan: Plan, *, length: int = 12, keep_alive: bool = True, **changes: object
) -> Response:
    span = make_span()
    for name, value in {"delay_ns": plan.delay_ns, **changes}.items():
        setattr(span, name, value)
    data = head(
        span,
        plan,
        length=length,
        keep_alive=keep_alive,
        now_ns=BEGIN + 999 * MILLISECOND,
    )
    assert data.endswith(b"\r\n\r\n")
    assert 1 == data.count(b"\r\n\r\n")
    return parse(data)


# --- the body ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("delay_ns", "expected"),
    [
        (0, b'{"delay": 0}'),
        (7 * SECOND, b'{"delay": 7}'),
        (30 * SECOND, b'{"delay": 30}'),
        (300 * SECOND, b'{"delay": 300}'),
        (SECOND // 2, b'{"delay": 0.5}'),
        (250 * MILLISECOND, b'{"delay": 0.25}'),
        (1_000, b'{"delay": 0.000001}'),
        (1_234_567_000, b'{"delay": 1.234567}'),
        (299_999_999_000, b'{"delay": 299.999999}'),
        (10**18 * SECOND, b'{"delay": 1000000000000000000}'),
    ],
)
def test_the_body_is_the_planned_delay_in_seconds(delay_ns: int, expected: bytes) -> None:
    """Exactly that object: an int when whole, else a decimal without exponent."""
    assert expected == body(Plan(delay_ns))


@given(microseconds=st.integers(0, 10**12))
def test_every_delay_stands_in_the_body_exactly(microseconds: int) -> None:
    """Read back in exact arithmetic it is the plan, and no exponent is ever needed."""
    content = body(Plan(microseconds * 1_000))

    read = json.loads(content, parse_float=Decimal, parse_int=Decimal)
    assert {"delay": Decimal(microseconds) / 1_000_000} == read
    assert b"e" not in content.removeprefix(b'{"delay"').lower()


@pytest.mark.parametrize("status", [200, 201, 299, 301, 400, 404, 418, 500, 503, 599])
def test_every_status_has_the_same_body(status: int) -> None:
    """Clients that look at the body of a 503 find the delay too."""
    assert b'{"delay": 7}' == body(Plan(7 * SECOND, status=status))


@pytest.mark.parametrize("status", [204, 205, 304])
def test_a_status_without_a_body_has_none(status: int) -> None:
    """RFC 9110 sections 15.3.5, 15.3.6 and 15.4.5."""
    assert b"" == body(Plan(7 * SECOND, status=status))


@given(size=st.integers(64, 20_000), microseconds=st.integers(0, 86_400_000_000))
def test_padding_fills_the_body_to_the_exact_byte(size: int, microseconds: int) -> None:
    """Still JSON, still the same delay, nothing but a `padding` member added."""
    plain = json.loads(body(Plan(microseconds * 1_000)))

    content = body(Plan(microseconds * 1_000, size=size))

    assert size == len(content)
    padded = json.loads(content)
    assert {"delay", "padding"} == padded.keys()
    assert plain["delay"] == padded["delay"]


@pytest.mark.parametrize("size", [64, 65, 10 * 1024, 16 * 1024 * 1024])
def test_the_smallest_and_the_largest_size_are_met(size: int) -> None:
    """From 64 bytes to 16 MiB."""
    assert size == len(body(Plan(300 * SECOND - 1_000, size=size)))


# --- the head ------------------------------------------------------------------------------------


def test_a_plain_reply_has_these_headers_and_no_others() -> None:
    """Each once."""
    response = make_head(Plan(7 * SECOND))

    assert "HTTP/1.1 200 OK" == response.line
    expected = ALWAYS | {
        "Content-Type": "application/json; charset=utf-8",
        "Content-Length": "12",
        "Server-Timing": "delay;dur=7000",
    }
    assert sorted(expected.items()) == sorted(response.headers)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (200, {"Content-Type", "Content-Length"}),
        (404, {"Content-Type", "Content-Length"}),
        (204, set()),
        (304, set()),
        (205, {"Content-Length"}),
    ],
)
def test_a_status_without_a_body_describes_none(status: int, expected: set[str]) -> None:
    """RFC 9110 section 8.6: never a Content-Length in a 204; an empty one in a 205."""
    plan = Plan(7 * SECOND, status=status)

    response = make_head(plan, length=len(body(plan)))

    present = {name for name, _ in response.headers if name.startswith("Content-")}
    assert expected == present - {"Content-Security-Policy"}
    if status == 205:
        assert "0" == response["Content-Length"]


@pytest.mark.parametrize(
    ("status", "line"),
    [
        (200, "HTTP/1.1 200 OK"),
        (201, "HTTP/1.1 201 Created"),
        (299, "HTTP/1.1 299 "),
        (429, "HTTP/1.1 429 Too Many Requests"),
        (503, "HTTP/1.1 503 Service Unavailable"),
        (599, "HTTP/1.1 599 "),
    ],
)
def test_the_status_line_has_its_reason(status: int, line: str) -> None:
    """RFC 9112 section 4: the space stays when there is no reason."""
    assert line == make_head(Plan(0, status=status)).line


@pytest.mark.parametrize(
    ("version", "keep_alive", "expected"),
    [
        ("1.1", True, None),
        ("1.1", False, "close"),
        ("1.0", True, "keep-alive"),
        ("1.0", False, None),
    ],
)
def test_the_connection_line_says_what_the_version_does_not_mean_by_default(
    version: str, keep_alive: bool, expected: str | None
) -> None:
    """RFC 9112 section 9.3."""
    response = make_head(Plan(0), keep_alive=keep_alive, http_version=version)

    assert f"HTTP/{version} 200 OK" == response.line
    assert expected == dict(response.headers).get("Connection")


@pytest.mark.parametrize("status", range(200, 600))
def test_a_fault_is_named_exactly_when_the_status_is_not_200(status: int) -> None:
    """`X-Dawdle-Fault: status` says that it was done on purpose."""
    response = make_head(Plan(0, status=status))

    assert (None if status == 200 else "status") == dict(response.headers).get("X-Dawdle-Fault")


@pytest.mark.parametrize(
    ("delay_ns", "scale", "timing"),
    [
        (7 * SECOND, 1.0, "delay;dur=7000"),
        (0, 1.0, "delay;dur=0"),
        (1_000, 1.0, "delay;dur=0.001"),
        (7 * SECOND, 0.01, "delay;dur=70"),
        (7 * SECOND, 0.0, "delay;dur=0"),
        (7 * SECOND, 10.0, "delay;dur=70000"),
        (1_000, 0.01, "delay;dur=0.00001"),
        (1_000, 0.001, "delay;dur=0.000001"),
    ],
)
def test_server_timing_is_the_scaled_delay_in_milliseconds(
    delay_ns: int, scale: float, timing: str
) -> None:
    """Planned x scale, without exponent; the body keeps the plan."""
    plan = Plan(delay_ns)

    assert timing == make_head(plan, time_scale=scale)["Server-Timing"]


@pytest.mark.parametrize(
    ("scale", "expected"),
    [
        (1.0, None),
        (0.0, "0"),
        (0.01, "0.01"),
        (0.1, "0.1"),
        (0.25, "0.25"),
        (0.00001, "0.00001"),
        (2.0, "2"),
        (10.0, "10"),
    ],
)
def test_the_time_scale_is_said_only_when_it_is_not_one(scale: float, expected: str | None) -> None:
    """As one would write it: without exponent or needless zeros."""
    response = make_head(Plan(7 * SECOND), time_scale=scale)

    assert expected == dict(response.headers).get("X-Dawdle-Time-Scale")
