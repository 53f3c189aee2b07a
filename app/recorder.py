"""The recorder: opens and closes spans. Synchronous, so nothing can come between."""

from collections import Counter
from collections.abc import Callable
from itertools import count

from app.clock import Clock
from app.runs import Run, Runs
from app.spans import Kind, Outcome, Span, span_id

SpanObserver = Callable[[Span], None]


class Recorder:
    """
    Makes one span for each arrival and closes it once, on every way out.

    *on_change* hears of each span as it changes phase and closes; *on_end* of each that
    has ended and whose run still exists. Both must return at once.
    """

    def __init__(
        self, clock: Clock, runs: Runs, *, boot: int, on_change: SpanObserver, on_end: SpanObserver
    ) -> None:
        self.live: dict[int, Span] = {}  # in order of arrival
        self.outcomes: Counter[Outcome] = Counter()
        self.faults: Counter[str] = Counter()  # by name, of those that have ended
        self._clock = clock
        self._runs = runs
        self._numbers = count(span_id(boot, 1))
        self._on_change = on_change
        self._on_end = on_end

    def open(  # noqa: PLR0917 - by position: half the time
        self,
        run: Run,
        kind: Kind,
        method: str,
        target: str,
        now_ns: int,
        key: str | None = None,
        attempt: int | None = None,
        connection: int = 0,
        connection_request: int = 0,
        http_version: str | None = None,
        user_agent: str | None = None,
        delay_ns: int | None = None,
        time_scale: float = 1.0,
        drip: int | None = None,
    ) -> Span:
        """
        The span of an arrival at *now_ns*; the rest are fields of `Span`.

        Those who watch hear of it when it is `changed` or closed: many do both in one moment.
        """
        self._runs.arrived(run, now_ns)
        number = next(self._numbers)
        span = self.live[number] = Span(
            number,
            run.name,
            kind,
            method,
            target,
            now_ns,
            key,
            attempt,
            connection,
            connection_request,
            http_version,
            user_agent,
            run.in_flight,
            0,
            0,
            delay_ns,
            time_scale,
            drip,
        )
        return span

    def in_flight(self, run: str) -> list[Span]:
        """The spans of that run that have not ended, in order of arrival."""
        return [span for span in self.live.values() if span.run == run]

    def changed(self, span: Span) -> None:
        """Tell those who watch that the span entered another phase."""
        self._on_change(span)

    def close(self, run: Run, span: Span, outcome: Outcome, ended_by: str | None = None) -> None:
        """End the span now. Closing it again changes nothing: the first way out counts."""
        if self.live.pop(span.id, None) is None:
            return
        span.end_ns = self._clock.now()
        span.outcome = outcome
        span.ended_by = ended_by
        self.outcomes[outcome] += 1
        if span.fault is not None:
            self.faults[span.fault] += 1
        self._runs.ended(run, span.end_ns)
        self._on_change(span)
        if not run.deleted:
            self._on_end(span)
