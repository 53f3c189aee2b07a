"""Some spans of one boot as a report looks at them, by column. Pure; nanoseconds throughout."""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import compress
from operator import lt, sub
from typing import Any

from app.columns import Columns
from app.spans import SEQUENCE_BITS, Kind, Outcome

SIZE = 2048  # spans looked at together: enough to work in C, few enough for the processor's cache

# How a span ended: what it was, its outcome, its status.
End = tuple[Kind, Outcome, int | None]


class Batch:
    """
    Spans in order of arrival; what is in flight lasts until *now_ns*.

    A clock that was set makes lengths zero, never negative.
    """

    __slots__ = (
        "arrivals",
        "begun",
        "columns",
        "durations",
        "ends",
        "ids",
        "now_ns",
        "outcomes",
        "planned",
        "replies",
        "statuses",
    )

    def __init__(self, columns: Columns, now_ns: int) -> None:
        self.columns = columns
        self.now_ns = now_ns
        self.ids = columns.ids
        self.arrivals: list[int] = columns["arrival_ns"]
        self.ends = _ends(columns["end_ns"], self.arrivals, now_ns)
        self.durations = list(map(sub, self.ends, self.arrivals))
        self.begun: list[int | None] = columns["wait_begun_ns"]
        self.planned = _scaled(columns)
        self.outcomes: list[Outcome] = columns["outcome"]
        self.statuses: list[int | None] = columns["status"]
        self.replies: Counter[End] = Counter(
            zip(columns["kind"], self.outcomes, self.statuses, strict=True)
        )

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, name: str) -> list[Any]:
        """The value of a field of every span."""
        return self.columns[name]

    def requests(self) -> "Batch":
        """Those that are no echoes; itself, where none is."""
        some = self.columns.where("kind", Kind.HTTP)
        return self if some is self.columns else Batch(some, self.now_ns)

    @property
    def boot(self) -> int:
        """Which start of the service they are of."""
        return self.ids[0] >> SEQUENCE_BITS

    def alike(self, end: End) -> Iterator[int]:
        """The ids of those that ended so."""
        ends = zip(self.columns["kind"], self.outcomes, self.statuses, strict=True)
        return (number for number, one in zip(self.ids, ends, strict=True) if one == end)

    def of(self, outcome: Outcome, values: Sequence[int]) -> list[int]:
        """The values, which have one for every span, of those with that outcome."""
        if not any(reply[1] is outcome for reply in self.replies):
            return []
        return list(compress(values, [one is outcome for one in self.outcomes]))

    def places(self, outcome: Outcome) -> list[int]:
        """Where in the batch the spans with that outcome are."""
        return self.of(outcome, range(len(self)))


def _ends(ends: list[int | None], arrivals: list[int], now_ns: int) -> list[int]:
    until = [now_ns if end is None else end for end in ends]
    return list(map(max, until, arrivals)) if any(map(lt, until, arrivals)) else until


def _scaled(columns: Columns) -> list[int | None]:
    """The planned delays times the time scale, as `Span.scaled_delay_ns`."""
    delays = columns["delay_ns"]
    if columns.is_all("time_scale", 1):
        return delays
    return [
        delay if delay is None or scale == 1 else round(delay * scale)
        for delay, scale in zip(delays, columns["time_scale"], strict=True)
    ]
