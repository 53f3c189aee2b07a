"""
`dawdle examples`: a short course on asyncio, an idea a file, read from the files themselves.

What a file teaches, prints and needs stands in its docstring and in the signature of its `main`;
here is only the order in which to read them, and how one is run.
"""

import ast
import asyncio
import difflib
import re
import sys
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from app import assets, grammar, runner
from app.errors import BadValue, Fatal
from app.remote import DEFAULT_URL, remote

# The chapters, and in each the examples from the first step on.
COURSE: Mapping[str, Sequence[str]] = {
    "First steps": (
        "minimal_server", "simple_get", "say_after", "forgotten_await", "concurrent_get",
        "modern_asyncio", "five_ways",
    ),
    "How many at a time": (
        "semaphore", "worker_pool", "producer_consumer", "tornado_queue", "too_many",
    ),
    "Giving up": ("timeout_decorator", "cancellation", "factorials"),
    "One thread, many tasks": ("primes_and_squares", "lock", "starvation", "loop_callbacks"),
    "Beside the loop": (
        "thread_pool", "process_pool", "loop_in_thread", "subprocess_pipes", "files_and_database",
    ),
    "Sockets": ("echo_sockets", "echo_streams_and_protocols"),
    "How it came about": ("generator_send", "legacy_coroutine"),
    "All together": ("page_titles",),
}  # fmt: skip

LONGEST_LOOK_S = 5.0  # for a server to answer there
LARGEST_SCALE = 10.0  # as for the setting time_scale
NOTHING_ASKED = {"requests": "0.."}


@dataclass(frozen=True, slots=True)
class Example:
    """
    One file of the course, as its docstring tells of it.

    *doc* is the docstring, *title* its first line, *output* what it prints, *before* what it
    prints with `--before` (None: there is no such way), both without indent; the figures in them
    are examples.
    *in_order* is False where the lines may come in any order. *notice* says what to look at.
    *needs_server* is False where it has no backend, and so leaves no run.
    """

    name: str
    source: str
    doc: str
    title: str
    output: str
    before: str | None
    in_order: bool
    notice: str
    needs_server: bool


def parse(name: str, source: str) -> Example:
    """
    The example of that name, from the text of its file.

    Raises:
        ValueError: its docstring lacks a part, or it has no `main`.
    """
    module = ast.parse(source)
    doc = ast.get_docstring(module) or ""
    paragraphs = re.split(r"\n{2,}", doc)
    functions = {
        node.name: {argument.arg for argument in node.args.args}
        for node in module.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    heading, output = _part(name, paragraphs, "Output")
    if "main" not in functions:
        raise ValueError(f"{name} has no main; write one")
    if not paragraphs[-1].startswith(("In the timeline:", "Notice:")):
        raise ValueError(f"{name} does not say what to notice; end its docstring with that")
    return Example(
        name=name,
        source=source,
        doc=doc,
        title=paragraphs[0],
        output=output,
        before=_part(name, paragraphs, "Before:")[1] if "before" in functions else None,
        in_order="in an order of its own" not in heading,
        notice=paragraphs[-1],
        needs_server="base_url" in functions["main"],
    )


def _part(name: str, paragraphs: Sequence[str], begin: str) -> tuple[str, str]:
    """The paragraph that begins so, and the indented one below it."""
    for above, below in pairwise(paragraphs):
        if above.startswith(begin) and below.startswith("    "):
            return above, textwrap.dedent(below)
    raise ValueError(f"{name}: no block below {begin!r} in its docstring; write what it prints")


def course() -> dict[str, list[Example]]:
    """Every example, by chapter, in order."""
    return {chapter: [find(name) for name in names] for chapter, names in COURSE.items()}


def find(name: str) -> Example:
    """
    The example of that name.

    Raises:
        Fatal: there is none.
    """
    names = [each for names in COURSE.values() for each in names]
    if name not in names:
        near = difflib.get_close_matches(name.lower().removesuffix(".py"), names, n=1)
        remedy = f"did you mean {near[0]}?" if near else "dawdle examples lists them"
        raise Fatal(f"there is no example {grammar.quoted(name)}; {remedy}")
    return parse(name, path_of(name).read_text(encoding="utf-8"))


def path_of(name: str) -> Path:
    """Where the file is."""
    return assets.folder("examples") / f"{name}.py"


def listing() -> str:
    """All of them with their titles, by chapter."""
    width = max(len(name) for names in COURSE.values() for name in names) + 2
    lines: list[str] = []
    for chapter, examples in course().items():
        lines += [chapter, *(f"  {each.name:<{width}}{each.title}" for each in examples), ""]
    return "\n".join([*lines, "dawdle examples NAME runs one; --source shows it.", ""])


# --- running one ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Wish:
    """Which example is to be run, and how: the other way, at what time scale, on which server."""

    name: str
    before: bool
    scale: str | None
    url: str | None


def run(wish: Wish, environ: Mapping[str, str]) -> int:
    """
    Run the example, then print the report and timeline of its run; its exit status.

    It asks the server at *url*; without one that of DAWDLE_URL, or the one that answers on port
    3000 here; else, or with a scale, one that is started for it.

    Raises:
        Fatal: there is no such example or way, an option is not valid, or nobody answers at *url*.
    """
    example = find(wish.name)
    _check(wish, example)
    command = [sys.executable, str(path_of(example.name))]
    command += ["--before"] if wish.before else []
    if not example.needs_server:
        scale = ["--scale", wish.scale] if wish.scale else []
        return runner.run_alone([*command, *scale], environ)
    flags = {"time_scale": wish.scale} if wish.scale else {}
    job = runner.Job(command, {}, example.name, _url(wish, environ), flags)
    return runner.run(job, environ)


def _check(wish: Wish, example: Example) -> None:
    if wish.before and example.before is None:
        raise Fatal(f"--before: {example.name} shows only one way; leave it out")
    if wish.url and not example.needs_server:
        raise Fatal(f"--url: {example.name} needs no server; leave it out")
    if wish.url and wish.scale:
        raise Fatal("--scale is for a server that is started here; leave it or --url out")
    if wish.scale is not None:
        _check_scale(wish.scale)


def _check_scale(text: str) -> None:
    try:
        scale = grammar.decimal(text)
    except BadValue as error:
        raise Fatal(f"--scale: {error}") from None
    if not 0 < scale <= LARGEST_SCALE:
        raise Fatal(f"--scale: {text} is out of range; use more than 0, up to {LARGEST_SCALE:g}")


def _url(wish: Wish, environ: Mapping[str, str]) -> str | None:
    if wish.scale:
        return None
    named = wish.url or environ.get("DAWDLE_URL")
    if named or not asyncio.run(_answers(DEFAULT_URL, environ.get("DAWDLE_TOKEN"))):
        return named
    return DEFAULT_URL


async def _answers(url: str, token: str | None) -> bool:
    """Whether there is a Dawdle that lets us in."""
    try:
        async with asyncio.timeout(LONGEST_LOOK_S), remote(url, token) as server:
            await server.check("examples", NOTHING_ASKED)
    except (Fatal, TimeoutError):
        return False
    return True
