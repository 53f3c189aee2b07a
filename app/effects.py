"""What faults and limits did to the requests of a run: counts by name, and the time held. Pure."""

from collections import Counter
from dataclasses import dataclass

from app.spans import Outcome, Span

LIMITS = frozenset({"rate", "queue", "barrier"})  # faults that are refusals

INVALID = frozenset({*range(400, 500)} - {413})  # statuses that only the request is to blame for

REJECTED = Outcome.REJECTED


@dataclass(frozen=True, slots=True)
class Held:
    """How many spans were held before their delay, and for how long."""

    spans: int = 0
    total_ns: int = 0
    longest_ns: int = 0


@dataclass(frozen=True, slots=True)
class Effects:
    """
    What was done on purpose, by the names of `X-Dawdle-Fault`, and why requests were refused.

    A refusal by a limit that was asked for is among both.
    """

    faults: dict[str, int]
    rejections: dict[str, int]
    queue: Held
    barrier: Held


class EffectFold:
    """The effects on spans that come in lists."""

    def __init__(self) -> None:
        self._faults: Counter[str] = Counter()
        self._rejections: Counter[str] = Counter()
        self._queue, self._barrier = Held(), Held()

    def add(self, spans: list[Span]) -> None:
        """Take the next spans of the run; on most of them there is none."""
        self._faults.update([span.fault for span in spans if span.fault is not None])
        self._rejections.update([reason(span) for span in spans if span.outcome is REJECTED])
        queued = [span.queue_wait_ns for span in spans if span.queue_wait_ns]
        stopped = [span.barrier_wait_ns for span in spans if span.barrier_wait_ns]
        self._queue, self._barrier = _longer(self._queue, queued), _longer(self._barrier, stopped)

    def summary(self) -> Effects:
        """What they say together."""
        return Effects(
            dict(sorted(self._faults.items())),
            dict(sorted(self._rejections.items())),
            self._queue,
            self._barrier,
        )


def reason(span: Span) -> str:
    """
    Why a span was rejected: the limit it asked for, `deleted`, `limit` or `invalid`.

    `limit` is one of the server's own, such as `max_waiting`, `max_body` or those of an echo.
    """
    if span.fault in LIMITS:
        return span.fault
    if span.ended_by is not None:
        return span.ended_by
    return "invalid" if span.status in INVALID else "limit"


def _longer(held: Held, waits_ns: list[int]) -> Held:
    return Held(
        held.spans + len(waits_ns),
        held.total_ns + sum(waits_ns),
        max(held.longest_ns, *waits_ns, 0),
    )
