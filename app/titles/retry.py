"""When to try again what may still succeed. Pure."""

import re
from email.utils import parsedate_to_datetime
from random import Random

from app.titles.results import Result

FIRST_S = 0.5  # the longest first wait; each later one may be twice as long
LONGEST_S = 30.0
MOST_DOUBLINGS = 6  # after which the longest wait is reached
LONGEST_ASKED_S = 60.0  # a server that asks for more is asked no more: coming early is no manners

_SECONDS = re.compile(r"[0-9]{1,9}", re.ASCII)


def wait_before_next(result: Result, attempt: int, random: Random) -> float | None:
    """
    Seconds to wait after that *attempt*, counted from 1; None: another one can't succeed.

    Between nothing and twice as much as before ("full jitter"), so that those who failed together
    do not come back together; never earlier than the server asked for by `Retry-After`.
    """
    if result.error is None or not result.error.temporary:
        return None
    asked_s = result.retry_after or 0.0
    if asked_s > LONGEST_ASKED_S:
        return None
    doublings = min(attempt - 1, MOST_DOUBLINGS)
    return asked_s + random.uniform(0, min(LONGEST_S, FIRST_S * 2**doublings))


def asked_for(retry_after: str | None, now_ns: int) -> float | None:
    """
    Seconds from now that a `Retry-After` asks for; None for one that says nothing.

    RFC 9110 section 10.2.3: seconds, or a date.
    """
    text = (retry_after or "").strip()
    if _SECONDS.fullmatch(text):
        return float(text)
    try:
        moment_s = parsedate_to_datetime(text).timestamp()
    except (ValueError, OverflowError):
        return None
    return max(0.0, moment_s - now_ns / 1e9)
