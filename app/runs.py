"""
Runs: clients' named experiments, and the groups of those who name none.

The registry holds what is needed at once and must be counted in one place: names, what is in
flight, the gate. The spans themselves are in the journal.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Protocol

from app.errors import Problem
from app.gate import Gate
from app.grammar import quoted

# Of the N in `PREFIX-N`; what is longer a client made up, and it leaves no room for the next.
MOST_DIGITS = 9


class Waiting(Protocol):
    """A request that waits and can be answered now instead of when it is due."""

    def dismiss(self, problem: Problem) -> None:
        """Answer with the problem at once."""


class Run:
    """One run: its gate, its counts and the requests that wait in it."""

    __slots__ = (
        "arrived",
        "created_ns",
        "deleted",
        "dropped",
        "gate",
        "in_flight",
        "last_arrival_ns",
        "last_end_ns",
        "name",
        "waiting",
    )

    def __init__(self, name: str, *, created_ns: int, max_keys: int) -> None:
        self.name = name
        self.created_ns = created_ns
        self.gate = Gate(max_keys)
        self.arrived = 0  # spans ever opened in it
        self.dropped = 0  # spans that could not be kept
        self.in_flight = 0
        self.last_arrival_ns: int | None = None
        self.last_end_ns: int | None = None
        self.waiting: set[Waiting] = set()
        self.deleted = False

    def __repr__(self) -> str:
        return f"<Run {self.name}: {self.arrived} arrived, {self.in_flight} in flight>"


class Runs:
    """All runs by name; at most *most* at once, the longest idle ones are forgotten first."""

    def __init__(
        self,
        *,
        idle_gap_ns: int,
        max_keys: int,
        most: int,
        unnamed: str | None = None,
        on_forgotten: Callable[[Run], None] = lambda run: None,
    ) -> None:
        """With *unnamed*, requests that name no run go there instead of to `default-N`."""
        self._runs: dict[str, Run] = {}  # the newest arrival last; until then, the newest made
        self._latest: Run | None = None  # the last of them, unless it was forgotten
        self._idle_gap_ns = idle_gap_ns
        self._max_keys = max_keys
        self._most = most
        self._unnamed = unnamed
        self._default: Run | None = None
        self._on_forgotten = on_forgotten
        self._numbers: dict[str, int] = {}  # the highest N given to each prefix

    def __iter__(self) -> Iterator[Run]:
        """
        The runs, the newest arrival first; one without any stands by the moment it was made.

        None may come or go meanwhile.
        """
        return reversed(self._runs.values())

    def __len__(self) -> int:
        return len(self._runs)

    def newest(self, count: int) -> list[Run]:
        """The first so many of the runs."""
        return list(islice(self, count))

    def get(self, name: str) -> Run | None:
        """The run of that name; `latest` is the one with the newest arrival."""
        if name == "latest":
            return next((run for run in self if run.last_arrival_ns is not None), None)
        return self._runs.get(name)

    def expect(self, name: str) -> Run:
        """
        As `get`, for those who need one.

        Raises:
            Problem: there is none.
        """
        run = self.get(name)
        if run is None:
            raise Problem("unknown-run", f"there is no run {quoted(name)}; GET /runs lists them")
        return run

    def named(self, name: str, now_ns: int) -> Run:
        """The run of that name, made if need be."""
        return self._runs.get(name) or self._make(name, now_ns)

    def unnamed(self, now_ns: int) -> Run:
        """The run of requests that name none: a new one after each idle gap."""
        if self._unnamed is not None:
            return self.named(self._unnamed, now_ns)
        run = self._default
        if run is None or run.deleted or self._is_over(run, now_ns):
            run = self._default = self.fresh("default", now_ns)
        return run

    def _is_over(self, run: Run, now_ns: int) -> bool:
        idle_since_ns = run.last_end_ns
        return (
            not run.in_flight
            and idle_since_ns is not None
            and now_ns - idle_since_ns >= self._idle_gap_ns
        )

    def fresh(self, prefix: str, now_ns: int) -> Run:
        """A new run, `PREFIX-N` with the lowest N never given."""
        number = self._numbers.get(prefix, 0) + 1
        while f"{prefix}-{number}" in self._runs:
            number += 1
        self._numbers[prefix] = number
        return self._make(f"{prefix}-{number}", now_ns)

    def restore(self, runs: Iterable[Run]) -> None:
        """Take over what an earlier boot left."""
        for run in sorted(runs, key=lambda run: run.last_arrival_ns or run.created_ns):
            self._runs[run.name] = run
            prefix, _, number = run.name.rpartition("-")
            if number.isdecimal() and number.isascii() and len(number) <= MOST_DIGITS:
                self._numbers[prefix] = max(self._numbers.get(prefix, 0), int(number))

    def arrived(self, run: Run, now_ns: int) -> None:
        """Count an arrival; the run is now the latest."""
        run.arrived += 1
        run.in_flight += 1
        run.last_arrival_ns = now_ns
        if run is not self._latest and not run.deleted:
            self._runs[run.name] = self._runs.pop(run.name)
            self._latest = run

    def ended(self, run: Run, now_ns: int) -> None:
        """Count an end."""
        run.in_flight -= 1
        run.last_end_ns = now_ns

    def delete(self, run: Run) -> None:
        """Forget the run and answer what waits in it; spans that end later are not kept."""
        run.deleted = True
        self._runs.pop(run.name, None)
        dismiss_all([run], Problem("run-deleted", f"the run {run.name} was deleted; start anew"))

    def _make(self, name: str, now_ns: int) -> Run:
        if len(self._runs) >= self._most:
            self._forget_oldest()
        run = self._latest = self._runs[name] = Run(
            name, created_ns=now_ns, max_keys=self._max_keys
        )
        return run

    def _forget_oldest(self) -> None:
        oldest = next((run for run in self._runs.values() if not run.in_flight), None)
        if oldest is not None:
            self.forget(oldest.name)
            self._on_forgotten(oldest)

    def is_finished(self, name: str) -> bool:
        """Whether nothing of that run is in flight."""
        run = self._runs.get(name)
        return run is None or not run.in_flight

    def dropped(self, name: str, count: int) -> None:
        """Count spans of that run that could not be kept."""
        run = self._runs.get(name)
        if run is not None:
            run.dropped += count

    def forget(self, name: str) -> None:
        """Drop a finished run's state; its name may be used anew."""
        run = self._runs.pop(name, None)
        if run is not None:
            run.deleted = True


def dismiss_all(runs: Iterable[Run], problem: Problem) -> None:
    """Answer everything that waits in these runs with the problem, now; nobody's turn comes."""
    for run in list(runs):  # whoever is answered may send the next request at once
        run.gate.close()
        for waiting in list(run.waiting):
            waiting.dismiss(problem)
