"""An unfinished job in memory: what is reported of it, how fast it is, and who waits for news."""

import asyncio
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import count

from app.titles.job import Job, State
from app.titles.options import SECOND
from app.titles.store import Line, StoredJob

LATELY_NS = 10 * SECOND  # the time whose results make the rate

_versions = count(1)


class Live:
    """
    A job that is queued or runs. *serial* is that of its newest result in database and file.

    What changes is told by `changed`, and nothing before it is in database and file.
    """

    def __init__(self, stored: StoredJob, serial: int) -> None:
        self.number = stored.number
        self.stored = stored
        self.state = State.QUEUED
        self.started_ns = stored.started_ns
        self.serial = serial
        self.tally = Counter(stored.tally)
        self.lacks = stored.urls - self.done  # results that are not in the database
        self._samples: deque[tuple[int, int]] = deque()  # (moment, results at that moment)
        self.version = next(_versions)
        self._news = asyncio.Event()

    # --- what happens ----------------------------------------------------------------------------

    def begin(self, now_ns: int) -> None:
        """It runs."""
        self.state = State.RUNNING
        self.started_ns = self.started_ns or now_ns
        self._samples.append((now_ns, self.done))
        self.changed()

    def add(self, lines: Sequence[Line], now_ns: int) -> None:
        """These results are in database and file."""
        self.tally.update(line.code for line in lines)
        self.serial = lines[-1].serial
        self._sample(now_ns)
        self.changed()

    def put_right(self, stored: StoredJob, serial: int, now_ns: int) -> None:
        """All that is stored of it is in the file."""
        self.tally = Counter(stored.tally)
        self.serial = serial
        self._sample(now_ns)
        self.changed()

    def end(self, stored: StoredJob) -> None:
        """It is over."""
        self.stored = stored
        self.state = stored.state
        self.changed()

    def changed(self) -> None:
        """Tell those who wait."""
        self.version = next(_versions)
        self._news.set()

    async def news(self, version: int) -> None:
        """Return once something changed since that version."""
        while self.version == version:
            self._news.clear()
            await self._news.wait()

    # --- what is shown ---------------------------------------------------------------------------

    @property
    def is_complete(self) -> bool:
        """Whether every URL has its result in the database."""
        return self.lacks <= 0

    @property
    def done(self) -> int:
        """Results in database and file."""
        return self.tally.total()

    def job(self, now_ns: int, trouble: str | None) -> Job:
        """The job as it stands."""
        stored = self.stored
        if stored.ended_ns is not None:
            return replace(shown(stored), version=self.version)
        rate = self._rate(now_ns)
        return replace(
            shown(stored),
            state=self.state,
            started_ns=self.started_ns,
            errors=_errors(self.tally),
            done=self.done,
            rate=rate,
            left_s=(stored.urls - self.done) / rate if rate else None,
            trouble=trouble,
            version=self.version,
        )

    def _sample(self, now_ns: int) -> None:
        self._samples.append((now_ns, self.done))
        while len(self._samples) > 1 and self._samples[1][0] <= now_ns - LATELY_NS:
            self._samples.popleft()

    def _rate(self, now_ns: int) -> float | None:
        if not self._samples:
            return None
        began_ns, began = self._samples[0]
        return _per_second(self.done - began, now_ns - began_ns)


def shown(stored: StoredJob) -> Job:
    """A job as it stands on disk."""
    done = sum(stored.tally.values())
    return Job(
        name=str(stored.number),
        label=stored.label,
        state=stored.state,
        options=stored.options,
        created_ns=stored.created_ns,
        started_ns=stored.started_ns,
        ended_ns=stored.ended_ns,
        urls=stored.urls,
        repeats=stored.repeats,
        errors=_errors(stored.tally),
        done=done,
        rate=_per_second(done, (stored.ended_ns or 0) - (stored.started_ns or 0)),
        round=stored.round,
    )


def _errors(tally: Mapping[str, int]) -> dict[str, int]:
    """Code -> results, without those that have no error; the most frequent first."""
    codes = sorted(tally.items(), key=lambda each: (-each[1], each[0]))
    return {code: count for code, count in codes if code and count}


def _per_second(count: int, ns: int) -> float | None:
    return count * SECOND / ns if count and ns > 0 else None
