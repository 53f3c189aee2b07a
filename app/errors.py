"""
The problems we answer with: one table of codes and statuses, one sentence each (RFC 9457).

A sentence names the value, the rule and the remedy, in that order.
"""

from dataclasses import dataclass
from http import HTTPStatus

# code -> (status, title). RFC 9457 section 3.1.3: the title does not change between occurrences.
TABLE: dict[str, tuple[HTTPStatus, str]] = {
    "bad-knob": (HTTPStatus.BAD_REQUEST, "A knob is not valid"),
    "unknown-knob": (HTTPStatus.BAD_REQUEST, "There is no such knob"),
    "impossible-combination": (HTTPStatus.BAD_REQUEST, "These knobs exclude each other"),
    "bad-query": (HTTPStatus.BAD_REQUEST, "The query can't be read"),
    "bad-body": (HTTPStatus.BAD_REQUEST, "The request body can't be read"),
    "unknown-profile": (HTTPStatus.NOT_FOUND, "There is no such profile"),
    "unknown-run": (HTTPStatus.NOT_FOUND, "There is no such run"),
    "unknown-job": (HTTPStatus.NOT_FOUND, "There is no such job"),
    "job-unfinished": (HTTPStatus.CONFLICT, "The job is not finished"),
    "no-urls": (HTTPStatus.BAD_REQUEST, "There is no URL"),
    "too-many-urls": (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "There are too many URLs"),
    "not-found": (HTTPStatus.NOT_FOUND, "There is nothing here"),
    "method-not-allowed": (HTTPStatus.METHOD_NOT_ALLOWED, "This method is not for this page"),
    "sign-in-required": (HTTPStatus.UNAUTHORIZED, "A token is needed"),
    "foreign-host": (HTTPStatus.FORBIDDEN, "This host name is not ours"),
    "foreign-origin": (HTTPStatus.FORBIDDEN, "Another site may not do this"),
    "body-too-large": (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "The request body is too large"),
    "upgrade-required": (HTTPStatus.UPGRADE_REQUIRED, "Another protocol is spoken here"),
    "too-many-waiting": (HTTPStatus.SERVICE_UNAVAILABLE, "Too many requests are waiting"),
    "rate-exceeded": (HTTPStatus.TOO_MANY_REQUESTS, "Too many requests, on purpose"),
    "queue-full": (HTTPStatus.SERVICE_UNAVAILABLE, "The queue is full, on purpose"),
    "barrier-timeout": (HTTPStatus.GATEWAY_TIMEOUT, "Too few came to the barrier"),
    "too-many-echoes": (HTTPStatus.SERVICE_UNAVAILABLE, "Too many echoes are open"),
    "too-many-jobs": (HTTPStatus.SERVICE_UNAVAILABLE, "Too many jobs are waiting"),
    "disk-trouble": (HTTPStatus.INSUFFICIENT_STORAGE, "The disk does not take it"),
    "too-many-viewers": (HTTPStatus.SERVICE_UNAVAILABLE, "Too many viewers are watching"),
    "run-deleted": (HTTPStatus.SERVICE_UNAVAILABLE, "The run was deleted"),
    "shutting-down": (HTTPStatus.SERVICE_UNAVAILABLE, "The service is stopping"),
    "internal": (HTTPStatus.INTERNAL_SERVER_ERROR, "Our own fault"),
}

OUR_FAULT = "something went wrong here, not with you; the log of the server says what"


@dataclass
class Problem(Exception):
    """
    Something we answer with a 4xx or 5xx: a row of `TABLE` and what happened this time.

    *detail* is one sentence: value, rule, remedy. *parameter* names the knob or field at fault.
    *retry_after_ns* is how long it makes sense to stay away, where that is known.
    """

    code: str
    detail: str
    parameter: str | None = None
    retry_after_ns: int | None = None

    @property
    def status(self) -> HTTPStatus:
        return TABLE[self.code][0]

    @property
    def title(self) -> str:
        return TABLE[self.code][1]

    def document(self) -> dict[str, str | int]:
        """The members of RFC 9457 section 3.1, and `parameter` where one is at fault."""
        members: dict[str, str | int] = {
            "type": f"urn:dawdle:problem:{self.code}",
            "title": self.title,
            "status": int(self.status),
            "detail": self.detail,
        }
        if self.parameter is not None:
            members["parameter"] = self.parameter
        return members

    def __str__(self) -> str:
        return self.detail


class BadValue(ValueError):
    """
    A text that the grammar refuses; its message is one sentence: value, rule, remedy.

    *parameter* is the name it stood under, where the grammar knows it.
    """

    def __init__(self, sentence: str, parameter: str | None = None) -> None:
        super().__init__(sentence)
        self.parameter = parameter


class Fatal(Exception):
    """What ends a command with exit status 2: one sentence for the person at the terminal."""
