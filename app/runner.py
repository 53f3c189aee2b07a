"""`dawdle run -- COMMAND`: a server, a fresh run, the command, its report and the verdict."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from app import grammar, junit
from app.checks import parse
from app.console import show, verdict_text, width
from app.errors import BadValue, Fatal, Problem
from app.remote import Remote, remote
from app.server import loop_factory, serving
from app.settings import load

FAILED = 1  # exit status when a check fails
NOT_RUN, NOT_FOUND = 126, 127  # exit statuses of shells for a command that can't be started
TERMINATED = 128 + signal.SIGTERM

SETTLING = "2s"  # for replies still on their way when the command has ended
NOTHING_ASKED = {"requests": "0.."}  # which holds as soon as nothing is in flight

# Not for a server that only this machine reaches, as long as one command runs, and whose logs
# nobody sees: the command, and we ourselves, could not talk to it.
NOT_FOR_OURSELVES = ("tls_cert", "tls_key", "tls_self_signed", "token", "access_log")

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Job:
    """What to run, and what to hold it against. Without *url* a server is started for it."""

    command: Sequence[str]
    checks: Mapping[str, str]
    name: str
    url: str | None
    flags: Mapping[str, object]  # settings for the server that is started
    junit: Path | None = None  # where checks and findings are written as JUnit XML


def read_checks(texts: Sequence[str]) -> dict[str, str]:
    """
    The checks of all `--check` options together.

    Raises:
        Fatal: one of them is not valid.
    """
    pairs = _read("--check", grammar.pairs, "&".join(texts))
    _read("--check", parse, pairs)
    return dict(pairs)


def _read(option: str, read: Callable[[Any], Value], given: object) -> Value:
    """What *read* makes of an option's value; its refusal names the option."""
    try:
        return read(given)
    except (BadValue, Problem) as error:
        raise Fatal(f"{option}: {error}") from None


# --- dawdle run ----------------------------------------------------------------------------------


class _CannotStart(Exception):
    """The command can't be started: the exit status, and one sentence."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


def run(job: Job, environ: Mapping[str, str]) -> int:
    """
    Run the command against a server, print what it did, judge it; the exit status.

    That of the command (128 + N when signal N ended it), or 1 when it was 0 and a check fails;
    as shells have it, 127 when there is no such command and 126 when it can't be started.

    Raises:
        Fatal: an option is not valid, or the server can't be started or reached.
    """
    _check_names(job)
    if job.junit is not None:
        _write(job.junit, "")  # better no run than one whose results can't be written
    try:
        _find(job.command[0], environ.get("PATH"))
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            return runner.run(_run(job, environ))
    except _CannotStart as error:
        show(f"dawdle: {job.command[0]}: {error}\n", sys.stderr)
        return error.status


def _check_names(job: Job) -> None:
    """Refuse them here, where they can be called by the options that they were given with."""
    _read("--name", grammar.run_prefix, job.name)
    if profile := job.flags.get("default_profile"):
        _read("--profile", grammar.profile_name, profile)


def _find(command: str, path: str | None) -> None:
    """Make sure that it is there, so that no server is started for nothing."""
    if shutil.which(command, path=path):
        return
    if shutil.which(command, os.F_OK, path):
        raise _CannotStart(NOT_RUN, "it may not be executed; try chmod +x")
    raise _CannotStart(NOT_FOUND, "there is no such command")


async def _run(job: Job, environ: Mapping[str, str]) -> int:
    with _handling({signal.SIGTERM: lambda: sys.exit(TERMINATED)}):
        async with (
            _place(job, environ) as place,
            remote(place["DAWDLE_URL"], environ.get("DAWDLE_TOKEN")) as server,
        ):
            name = await server.make_run(job.name)
            told = {**environ, **place, "DAWDLE_RUN": name}
            status = await _execute(job.command, told)
            verdict = await _judge(server, name, job)
            return status or verdict


@asynccontextmanager
async def _place(job: Job, environ: Mapping[str, str]) -> AsyncIterator[dict[str, str]]:
    """
    The address of the server that was named, or those of one of our own for as long as it takes.

    By the names under which the command is told of them.
    """
    if job.url is not None:
        yield {"DAWDLE_URL": job.url}
        return
    with tempfile.TemporaryDirectory(prefix="dawdle-", ignore_cleanup_errors=True) as data:
        # On a fresh data folder the first run of a prefix is number 1: requests that name no
        # run belong to it as well, so that a client only needs the address.
        own = {
            "host": "127.0.0.1",
            "port": 0,
            "echo_port": 0,
            "data": data,
            "default_run": f"{job.name}-1",
        }
        loaded = load(dict(job.flags) | own, environ, Path(), without=NOT_FOR_OURSELVES)
        async with serving(loaded.settings) as service:
            echo = service.echo_address
            yield {"DAWDLE_URL": service.url} | ({"DAWDLE_ECHO_ADDRESS": echo} if echo else {})


async def _judge(server: Remote, run: str, job: Job) -> int:
    """Wait for what is still on its way, print the report and the verdict; 0 when all holds."""
    verdict = await server.check(run, {"wait": SETTLING, **(job.checks or NOTHING_ASKED)})
    if not job.checks:
        verdict |= {"checks": [], "timed_out": False}
    show(await server.report_text(run, width()))
    if job.junit is not None:
        _write(job.junit, junit.document(await server.report(run), verdict))
    if not job.checks:
        return 0
    show(verdict_text(verdict))
    return 0 if verdict["passed"] else FAILED


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise Fatal(
            f"--junit: {path} can't be written ({error.strerror or error}); name a file in a "
            "folder that exists"
        ) from None


# --- the command ---------------------------------------------------------------------------------


async def _execute(command: Sequence[str], environ: Mapping[str, str]) -> int:
    """
    Run the command; its exit status as shells report it.

    Ctrl-C reaches it from the terminal directly; we outlive it to tell what happened. A request
    to terminate is handed on.
    """
    process = _started(command, environ)
    with _handling({signal.SIGINT: lambda: None, signal.SIGTERM: process.terminate}):
        status = await asyncio.to_thread(process.wait)
    return status if status >= 0 else 128 - status


def _started(command: Sequence[str], environ: Mapping[str, str]) -> "subprocess.Popen[bytes]":
    """
    The command, running.

    Not by the loop: when uvloop can't start one, its `close` may go round and round for ever
    (libuv issue 1933).
    """
    try:
        return subprocess.Popen(command, env=environ)  # noqa: S603  # what the user asks for
    except OSError as error:
        raise _CannotStart(
            NOT_RUN,
            f"it can't be started ({error.strerror or error}); is it a program for this machine, "
            "or does its first line name an interpreter that is there?",
        ) from None


@contextmanager
def _handling(callbacks: Mapping[signal.Signals, Callable[[], object]]) -> Iterator[None]:
    """
    Let signals call back in the loop, as long as the context lasts.

    Not by the loop's own `add_signal_handler`: that does not give back the handler that was there
    before, such as the one by which asyncio turns Ctrl-C into a cancelled task.
    """
    loop = asyncio.get_running_loop()

    def handler(number: int, _: object) -> None:
        loop.call_soon_threadsafe(callbacks[signal.Signals(number)])

    before = {number: signal.signal(number, handler) for number in callbacks}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)
