"""What became of one URL: the one value that is stored, exported and shown. Pure."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any


class Code(enum.StrEnum):
    """Why there is no title, or why it is to be taken with care."""

    __hash__ = str.__hash__  # Enum's own is written in Python, and results are counted by code

    INVALID_URL = "invalid_url"  # no http or https URL of a host
    BLOCKED = "blocked"  # the guard said no
    DNS_ERROR = "dns_error"
    CONNECTION_ERROR = "connection_error"
    TLS_ERROR = "tls_error"
    TIMEOUT = "timeout"  # of any phase, or of the whole attempt
    TOO_MANY_REDIRECTS = "too_many_redirects"
    HTTP_ERROR = "http_error"  # status 400 and above; the error page's title is kept
    NOT_HTML = "not_html"
    NO_TITLE = "no_title"  # the title is "" where there is an empty one, None where there is none
    TOO_LARGE = "too_large"
    BAD_ENCODING = "bad_encoding"
    PROTOCOL_ERROR = "protocol_error"  # what came is not HTTP
    CRASHED = "crashed"  # our own fault


@dataclass(frozen=True, slots=True)
class Failure:
    """A code for programs, one sentence for people (value, rule, remedy), and what to hope."""

    code: Code
    detail: str
    temporary: bool = False  # another attempt may succeed


@dataclass(frozen=True, slots=True)
class Hop:
    """One redirect that was followed: what was asked for, what came, after how many seconds."""

    url: str
    status: int
    elapsed: float


@dataclass(frozen=True, slots=True)
class Result:
    """
    What became of one URL.

    Field names are those of the JSON that users read. `status`, `title`, `charset` and
    `final_url` are what is known, also beside an error.
    """

    url: str  # as it was fetched: parsed, without its fragment
    final_url: str | None = None  # of the last request; None when there was none
    status: int | None = None  # of the last response
    title: str | None = None
    charset: str | None = None  # WHATWG's name of it
    charset_source: str | None = None  # what told the charset
    bytes_read: int = 0  # of the last response's body, as they came over the wire
    elapsed: float = 0.0  # seconds that the last attempt took, redirects included
    attempts: int = 1
    fetched_at: str | None = None  # when the last attempt began: RFC 3339, UTC
    hops: tuple[Hop, ...] = ()  # the redirects of the last attempt, in order
    retry_after: float | None = None  # seconds, as the last response asked
    error: Failure | None = None


FIELDS: tuple[str, ...] = tuple(field.name for field in fields(Result))
_HOP_FIELDS: tuple[str, ...] = tuple(field.name for field in fields(Hop))


def record(result: Result) -> dict[str, Any]:
    """The result as JSON has it: every field by its own name."""
    values = {name: getattr(result, name) for name in FIELDS}
    values["hops"] = [{name: getattr(hop, name) for name in _HOP_FIELDS} for hop in result.hops]
    if result.error is not None:
        values["error"] = {
            "code": str(result.error.code),
            "detail": result.error.detail,
            "temporary": result.error.temporary,
        }
    return values


def from_record(values: Mapping[str, Any]) -> Result:
    """The result whose record that is; what is left out has its default."""
    error = values.get("error")
    return Result(
        **{
            **values,
            "hops": tuple(Hop(**hop) for hop in values.get("hops", ())),
            "error": error and Failure(**{**error, "code": Code(error["code"])}),
        }
    )
