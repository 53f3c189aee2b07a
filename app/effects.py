"""What faults and limits did to the requests of a run: counts by name, and the time held. Pure."""

from collections import Counter
from dataclasses import dataclass

from app.batch import Batch
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
    """The effects on spans that come in batches."""

    def __init__(self) -> None:
        self._faults: Counter[str] = Counter()
        self._rejections: Counter[str] = Counter()
        self._queue, self._barrier = Held(), Held()

    def add(self, batch: Batch) -> None:
        """Take the next spans of the run; on most of them there is none."""
        if not batch.columns.is_all("fault", None):
            self._faults.update(name for name in batch["fault"] if name is not None)
        refused = batch.columns.at(batch.places(REJECTED)).spans()
        self._rejections.update(map(reason, refused))
        self._queue = _longer(self._queue, _waits(batch, "queue_wait_ns"))
        self._barrier = _longer(self._barrier, _waits(batch, "barrier_wait_ns"))

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


def _waits(batch: Batch, name: str) -> list[int]:
    return [] if batch.columns.is_all(name, 0) else [ns for ns in batch[name] if ns]


def _longer(held: Held, waits_ns: list[int]) -> Held:
    return Held(
        held.spans + len(waits_ns),
        held.total_ns + sum(waits_ns),
        max(held.longest_ns, *waits_ns, 0),
    )
