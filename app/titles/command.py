"""
`dawdle titles`: the same jobs as the service's, for one user at one terminal.

What is done is in a folder of state before it is shown, so that whatever ends the process, even
`kill -9`, `--resume` goes on from there.
"""

import asyncio
import shlex
import signal
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, suppress
from random import Random

from app.errors import Fatal, Problem
from app.titles import options
from app.titles.errand import Errand, Wish, prepare
from app.titles.inputs import STANDARD_INPUT
from app.titles.job import Job
from app.titles.jobs import Jobs, open_jobs
from app.words import plural

FAILED = 1  # exit status with --strict when a page failed
INTERRUPTED = 128 + signal.SIGINT
TERMINATED = 128 + signal.SIGTERM
MOST_URLS = 100_000_000  # the disk is the limit here
NEWS_AT_ONCE = 500
LOOKS_APART_S = 0.1


def titles(wish: Wish, line: Sequence[str]) -> int:
    """
    Fetch the titles, show them, and return the exit status: 0, or 1 with *strict* and failures.

    *line* is the command as it was given, for the sentence that says how to go on.

    Raises:
        Fatal: an option, file or folder can't be used, or the disk is full.
    """
    errand = prepare(wish)
    try:
        status = asyncio.run(_run(errand))
    except KeyboardInterrupt:
        status = INTERRUPTED
    finally:
        errand.state.lock.release()
    if status in (INTERRUPTED, TERMINATED):
        errand.terminal.say(_how_to_go_on(errand, line))
    return status


def _how_to_go_on(errand: Errand, line: Sequence[str]) -> str:
    """What is kept, where, and the command that goes on with it."""
    job = errand.job
    done = f"{job.done:,} of {plural(job.urls, 'page')} done" if job else "nothing done"
    again = [word for word in line if word not in ("--resume", STANDARD_INPUT)]
    again.insert(again.index("titles") + 1, "--resume")
    return f"{done} and kept in {errand.folder}; to go on: {shlex.join(again)}"


# --- doing it ------------------------------------------------------------------------------------


async def _run(errand: Errand) -> int:
    """Fetch until all is done, or somebody interrupts or terminates us; the exit status."""
    task = asyncio.current_task()
    assert task is not None

    def terminate() -> None:
        errand.terminated = True
        task.cancel()

    with suppress(NotImplementedError):  # Windows
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, terminate)
    try:
        job = await _fetch(errand)
    except asyncio.CancelledError:
        if errand.terminated:
            return TERMINATED
        raise
    errand.states.forget(errand.state)
    errand.terminal.say(_summary(job))
    return FAILED if errand.wish.strict and job.failed else 0


async def _fetch(errand: Errand) -> Job:
    async with errand.fetcher, _jobs(errand) as jobs:
        job = await _begun(errand, jobs)
        if errand.output:
            errand.output.open()
        try:
            await _follow(errand, jobs, job)
        finally:  # also when interrupted: what is done is to be in the file
            if errand.output:
                await errand.output.finish(jobs.stream(job.name))
        return await jobs.get(job.name)


def _jobs(errand: Errand) -> AbstractAsyncContextManager[Jobs]:
    """The jobs of the folder, of which there is one at most."""
    fetcher = errand.fetcher
    return open_jobs(
        errand.folder,
        fetcher.fetch,
        clock=fetcher.clock,
        random=Random(),
        resume=False,
        max_urls=MOST_URLS,
        kept_urls=MOST_URLS,
    )


async def _begun(errand: Errand, jobs: Jobs) -> Job:
    """The job of this folder, under way."""
    try:
        for job in await jobs.list(limit=1):
            return await _resumed(errand, jobs, job)
        if not errand.urls:
            raise Fatal(f"there is nothing to go on with in {errand.folder}; name the URLs")
        return await jobs.add(errand.urls, errand.options, bare=True)
    except Problem as problem:
        raise Fatal(problem.detail) from None


async def _resumed(errand: Errand, jobs: Jobs, job: Job) -> Job:
    kept = options.document(job.options)
    for name, text in errand.wish.options.items():
        if options.document(errand.options)[name] != kept[name]:
            flag = name.replace("_", "-")
            raise Fatal(f"--{flag} {text} was {kept[name]} at the beginning; leave it out")
    return job if job.finished else await jobs.resume(job.name)


async def _follow(errand: Errand, jobs: Jobs, job: Job) -> None:
    """Show and write results as they come, up to the last."""
    errand.terminal.say(_beginning(errand, job))
    last = 0
    while True:
        errand.job = job
        news = await jobs.news(job.name, last, limit=NEWS_AT_ONCE)
        last = news.last
        if errand.output:
            errand.output.add(news.results)
        errand.terminal.results(news.results)
        errand.terminal.progress(job)
        if job.trouble:
            raise Fatal(f"{job.trouble}; what is done is kept in {errand.folder}")
        if len(news.results) == NEWS_AT_ONCE:
            continue
        if job.finished:
            return
        await asyncio.sleep(LOOKS_APART_S)
        job = await jobs.changed(job.name, job.version)


def _beginning(errand: Errand, job: Job) -> str:
    goes_on = f", {job.done:,} of them done already" if job.done else ""
    return f"{plural(job.urls, 'page')}{goes_on}; what is done is kept in {errand.folder}"


def _summary(job: Job) -> str:
    """`48 titles of 50 pages; 2 failed: timeout 1, http_error 1; 3 repeats left out`."""
    parts = [f"{plural(job.done - job.failed, 'title')} of {plural(job.urls, 'page')}"]
    if job.failed:
        codes = ", ".join(f"{code} {count:,}" for code, count in sorted(job.errors.items()))
        parts.append(f"{job.failed:,} failed: {codes}")
    if job.repeats:
        parts.append(f"{plural(job.repeats, 'repeat')} left out")
    return "; ".join(parts)
