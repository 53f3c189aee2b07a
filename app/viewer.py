"""`dawdle report` and `dawdle compare`: what a server that runs already knows of a run."""

import asyncio
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from app.console import show, verdict_text, width
from app.remote import DEFAULT_URL, Remote, remote

FAILED = 1  # exit status when a check fails
LOOKS_APART_S = 0.5  # while watching; and no more than a fifth of the time goes into looking

REPORT_FORMATS = ("text", "json", "svg", "har", "trace")
COMPARISON_FORMATS = ("text", "json", "svg")


@dataclass(frozen=True, slots=True)
class Question:
    """Which run's report is wanted, of which server, and what to hold it against."""

    run: str
    url: str | None
    checks: Mapping[str, str]
    format: str = "text"
    watch: bool = False


def report(question: Question, environ: Mapping[str, str]) -> int:
    """
    Print the report of a run, and the verdict when there are checks; the exit status.

    Of all formats but text, standard output has nothing else: the verdict goes to standard error.
    To watch is to print it anew as it changes, until the run is deleted or the server stops.

    Raises:
        Fatal: the server can't be reached, or there is no such run.
    """
    return asyncio.run(_report(question, environ))


def compare(
    runs: tuple[str, str], url: str | None, written: str, environ: Mapping[str, str]
) -> int:
    """
    Print what changed from one run to another; the exit status.

    Raises:
        Fatal: the server can't be reached, or there is no such run.
    """
    return asyncio.run(_compare(runs, url, written, environ))


def address(url: str | None, environ: Mapping[str, str]) -> str:
    """The server that is meant."""
    return url or environ.get("DAWDLE_URL") or DEFAULT_URL


async def _report(question: Question, environ: Mapping[str, str]) -> int:
    url, checks = address(question.url, environ), question.checks
    async with remote(url, environ.get("DAWDLE_TOKEN")) as server:
        if question.watch:
            await _watch(server, question.run)
            return 0
        # It may wait for the rest, so it comes before the report.
        verdict = await server.check(question.run, checks) if checks else None
        await _print(server, question.run, question.format)
    if verdict is None:
        return 0
    show(verdict_text(verdict), sys.stdout if question.format == "text" else sys.stderr)
    return 0 if verdict["passed"] else FAILED


async def _print(server: Remote, run: str, written: str) -> None:
    match written:
        case "json":
            show(json.dumps(await server.report(run), indent=2) + "\n")
        case "svg":
            show(await server.picture(run))
        case "har" | "trace":
            async for piece in server.archive(run, written):
                show(piece)
        case _:
            show(await server.report_text(run, width()))


async def _compare(
    runs: tuple[str, str], url: str | None, written: str, environ: Mapping[str, str]
) -> int:
    async with remote(address(url, environ), environ.get("DAWDLE_TOKEN")) as server:
        show(await server.comparison(*runs, written=written, width=width()))
    return 0


# --- watching ------------------------------------------------------------------------------------


async def _watch(server: Remote, run: str) -> None:
    """On a terminal the report takes the place of the one before; else a line tells the news."""
    changed = asyncio.Event()
    following = asyncio.create_task(_follow(server, run, changed))
    shown = ""
    try:
        while not following.done():
            shown = await _look(server, run, shown)
            await changed.wait()
            changed.clear()
    finally:
        following.cancel()
        await asyncio.wait([following])
    await following


async def _follow(server: Remote, run: str, changed: asyncio.Event) -> None:
    try:
        async for _ in server.changes(run):
            changed.set()
    finally:
        changed.set()


async def _look(server: Remote, run: str, shown: str) -> str:
    """Print what is new; what was shown now. Then rest for as long as suits what it cost."""
    begun = asyncio.get_running_loop().time()
    text = await server.report_text(run, width())
    if sys.stdout.isatty():
        show(f"\x1b[H\x1b[J{text}")  # from the top, what was there erased (ECMA-48 CUP, ED)
    else:
        text = text.partition("\n\n")[0].rstrip("\n") + "\n"
        if text != shown:
            show(text)
    took = asyncio.get_running_loop().time() - begun
    await asyncio.sleep(max(LOOKS_APART_S, 4 * took))
    return text
