"""
`dawdle run -- COMMAND`: a server, a fresh run, the command, its report and the verdict.

And `dawdle report`, which is the last two of these for a server that runs already.
"""

import asyncio
import json
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app import grammar
from app.checks import parse
from app.errors import BadValue, Fatal, Problem
from app.remote import Remote, remote
from app.server import loop_factory, serving
from app.settings import load

FAILED = 1  # exit status when a check fails
NOT_FOUND = 127  # exit status when there is no such command
SETTLING = "2s"  # for replies still on their way when the command has ended
DEFAULT_URL = "http://127.0.0.1:3000"


@dataclass(frozen=True, slots=True)
class Job:
    """What to run, and what to hold it against. Without *url* a server is started for it."""

    command: Sequence[str]
    checks: Mapping[str, str]
    name: str
    url: str | None
    flags: Mapping[str, object]  # settings for the server that is started


def read_checks(texts: Sequence[str]) -> dict[str, str]:
    """
    The checks of all `--check` options together.

    Raises:
        Fatal: one of them is not valid.
    """
    try:
        pairs = grammar.pairs("&".join(texts))
        parse(pairs)
    except (BadValue, Problem) as error:
        raise Fatal(f"--check: {error}") from None
    return dict(pairs)


# --- dawdle report -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Question:
    """Which run's report is wanted, of which server, and what to hold it against."""

    run: str
    url: str | None
    checks: Mapping[str, str]
    as_json: bool


def report(question: Question, environ: Mapping[str, str]) -> int:
    """
    Print the report of a run, and the verdict when there are checks; the exit status.

    Raises:
        Fatal: the server can't be reached, or there is no such run.
    """
    return asyncio.run(_report(question, environ))


async def _report(question: Question, environ: Mapping[str, str]) -> int:
    url = question.url or environ.get("DAWDLE_URL") or DEFAULT_URL
    async with remote(url, environ.get("DAWDLE_TOKEN")) as server:
        if question.as_json:
            document = await server.report(question.run)
            print(json.dumps(document, indent=2, ensure_ascii=False))
        else:
            print(await server.report_text(question.run, _width()), end="")
        return await _judge(server, question.run, question.checks)


def _width() -> int:
    return min(max(shutil.get_terminal_size().columns, 40), 400)


# --- the verdict ---------------------------------------------------------------------------------


async def _judge(server: Remote, run: str, checks: Mapping[str, str]) -> int:
    """Print a line a check; 0 when all hold."""
    if not checks:
        return 0
    verdict = await server.check(run, checks)
    print()
    if verdict["timed_out"]:
        print("FAILED: the run was not complete in time")
    for result in verdict["checks"]:
        print(_line(result))
    return 0 if verdict["passed"] else FAILED


def _line(result: Mapping[str, Any]) -> str:
    value, bound = result["value"], result.get("scaled_bound", result["bound"])
    shown = "nothing" if value is None else f"{value:.6g}"
    line = f"{'ok    ' if result['passed'] else 'FAILED'} {result['name']}={bound}: it is {shown}"
    return f"{line} ({', '.join(result['spans'])})" if result["spans"] else line


# --- dawdle run ----------------------------------------------------------------------------------


def run(job: Job, environ: Mapping[str, str]) -> int:
    """
    Run the command against a server, print what it did, judge it; the exit status.

    That of the command (128 + N when signal N ended it), or 1 when it was 0 and a check fails;
    127 when there is no such command, as shells have it.

    Raises:
        Fatal: the server can't be started or reached.
    """
    if shutil.which(job.command[0], path=environ.get("PATH")) is None:
        print(f"dawdle: {job.command[0]}: there is no such command", file=sys.stderr)
        return NOT_FOUND
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        return runner.run(_run(job, environ))


async def _run(job: Job, environ: Mapping[str, str]) -> int:
    async with (
        _address(job, environ) as url,
        remote(url, environ.get("DAWDLE_TOKEN")) as server,
    ):
        name = await server.make_run(job.name)
        status = await _execute(job.command, {**environ, "DAWDLE_URL": url, "DAWDLE_RUN": name})
        checks = {"wait": SETTLING, **job.checks} if job.checks else {}
        print(await server.report_text(name, _width()), end="", flush=True)
        return status or await _judge(server, name, checks)


@asynccontextmanager
async def _address(job: Job, environ: Mapping[str, str]) -> AsyncIterator[str]:
    """The address of the server that was named, or of one of our own for as long as it takes."""
    if job.url is not None:
        yield job.url
        return
    with tempfile.TemporaryDirectory(prefix="dawdle-", ignore_cleanup_errors=True) as data:
        # On a fresh data folder the first run of a prefix is number 1: requests that name no
        # run belong to it as well, so that a client only needs the address.
        own = {"host": "127.0.0.1", "port": 0, "data": data, "default_run": f"{job.name}-1"}
        loaded = load(dict(job.flags) | own, environ, Path())
        async with serving(loaded.settings) as service:
            yield service.url


async def _execute(command: Sequence[str], environ: Mapping[str, str]) -> int:
    """
    Run the command; its exit status as shells report it.

    Ctrl-C reaches it from the terminal directly; we outlive it to tell what happened. A request
    to terminate is handed on.
    """
    process = await asyncio.create_subprocess_exec(*command, env=environ)
    with suppress(NotImplementedError):  # Windows
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGINT, lambda: None)
        loop.add_signal_handler(signal.SIGTERM, process.terminate)
    status = await process.wait()
    return status if status >= 0 else 128 - status
