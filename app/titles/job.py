"""A job of titles as it is shown, and the values that its owner hands out."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from app.titles.options import Options
from app.titles.results import Result


class State(enum.StrEnum):
    """Where a job stands."""

    QUEUED = "queued"  # others run first
    RUNNING = "running"
    DONE = "done"  # every URL has its result
    CANCELLED = "cancelled"  # the rest of the URLs are not fetched


@dataclass(frozen=True, slots=True)
class Job:
    """A job at one moment: only what is in database and file already."""

    name: str
    label: str  # what its owner finds it by; not shown
    state: State
    options: Options
    created_ns: int  # since the Unix epoch, as the others
    started_ns: int | None
    ended_ns: int | None
    urls: int  # distinct ones: so many results there will be
    repeats: int  # URLs that had come before, and were dropped
    errors: Mapping[str, int]  # code -> results
    done: int  # results
    rate: float | None = None  # results a second: lately, or of the whole job once it is over
    left_s: float | None = None  # seconds to go; None: unknown
    trouble: str | None = None  # why nothing goes on: one sentence; None: all is well
    round: int = 0  # how often it was retried
    version: int = 0  # grows with every change while it is unfinished

    @property
    def failed(self) -> int:
        """Results with an error."""
        return sum(self.errors.values())

    @property
    def finished(self) -> bool:
        return self.state in (State.DONE, State.CANCELLED)


class Sort(enum.StrEnum):
    """What results can be sorted by; position is that of the URL in the input."""

    POSITION = "position"
    URL = "url"
    STATUS = "status"
    TITLE = "title"
    ELAPSED = "elapsed"
    BYTES = "bytes"
    ERROR = "error"


class Page(NamedTuple):
    """Some of the results that match, and how many match."""

    results: list[Result]
    total: int


class News(NamedTuple):
    """
    Results in order of completion, the number to go on after, and the round they are of.

    Who has seen those of another round starts afresh: some of them were replaced.
    """

    results: list[Result]
    last: int
    round: int
