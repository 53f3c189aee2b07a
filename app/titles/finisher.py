"""The files of jobs that are over, made whole and put in the order of the input."""

import asyncio
from collections.abc import Callable

from app.clock import Alarm, Clock
from app.database import StoreError
from app.titles.files import Files
from app.titles.ledger import AGAIN_NS
from app.titles.store import NEWEST, StoredJob, TitleStore
from app.titles.trouble import Trouble


class Finisher:
    """
    Takes jobs that are over in the database, one after the other; *on_filed* hears of each.

    What the disk refuses is tried again, now or after the next start.
    """

    def __init__(
        self,
        store: TitleStore,
        files: Files,
        trouble: Trouble,
        clock: Clock,
        *,
        on_filed: Callable[[StoredJob], None],
    ) -> None:
        self._store = store
        self._files = files
        self._trouble = trouble
        self._clock = clock
        self._on_filed = on_filed
        self._jobs: asyncio.Queue[int] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None
        self._alarm: Alarm | None = None

    def start(self) -> None:
        """Begin."""
        self._task = asyncio.create_task(self._finish_on(), name="titles finisher")

    async def close(self) -> None:
        """End; what is left to do is done after the next start."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        if self._alarm is not None:
            self._alarm.cancel()

    def add(self, job: int) -> None:
        """That job is over."""
        self._jobs.put_nowait(job)

    async def _finish_on(self) -> None:
        while True:
            job = await self._jobs.get()
            while not await self._finish(job):
                await self._wait_a_while()

    async def _finish(self, job: int) -> bool:
        """Whether the disk did it."""
        try:
            await self._files.rewrite(job, self._store.lines_by_position(job, upto=NEWEST))
            await self._store.filed(job)
            stored = await self._store.job(job)
        except (StoreError, OSError) as error:
            self._trouble.note("files", error)
            return False
        self._trouble.clear("files")
        if stored is not None:
            self._on_filed(stored)
        return True

    async def _wait_a_while(self) -> None:
        over = asyncio.Event()
        self._alarm = self._clock.call_at(self._clock.now() + AGAIN_NS, over.set)
        await over.wait()
