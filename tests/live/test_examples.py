"""
Every example, run as a user runs it, against one real server at a twentieth of the time.

What it prints is held against its docstring, and what its client did against the run's report.
"""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from app import examples
from app.examples import Example
from tests.live.process import PATIENCE_S, Dawdle, dawdle, environment

pytestmark = pytest.mark.live

SCALE = "0.05"
FILES = sorted(examples.path_of("semaphore").parent.glob("[!_]*.py"))

# What the report of an example's run must keep; `--before` is the other way.
CHECKS = {
    "simple_get": "requests=1&peak=1",
    "say_after": "requests=2&peak=2",
    "say_after --before": "requests=2&peak=1",
    "forgotten_await": "requests=1",
    "forgotten_await --before": "requests=0",
    "concurrent_get": "requests=11&peak=4&cancelled=2&status.503=1",
    "concurrent_get --before": "requests=11&peak=1&cancelled=0",
    "modern_asyncio": "requests=5&peak=3&cancelled=3&status.503=1",
    "modern_asyncio --before": "requests=3&peak=3&cancelled=0&status.503=1",
    # 29 s once, and four times 7 s
    "five_ways": "requests=25&peak=5&makespan=57s..&busy=145s..",
    "semaphore": "requests=12&peak=3&makespan=8s..",
    "semaphore --before": "requests=12&peak=12",
    "worker_pool": "requests=12&peak=3",
    "worker_pool --before": "requests=12&peak=3",
    "producer_consumer": "requests=6&peak=2",
    "producer_consumer --before": "requests=6&peak=2",
    "tornado_queue": "requests=4&peak=2",
    "too_many": "requests=300&peak=..50&connections=..50",
    "too_many --before": "requests=300&peak=101..&connections=101..",
    "timeout_decorator": "requests=4&peak=4&cancelled=2",
    "timeout_decorator --before": "requests=4&peak=4&cancelled=0",
    "cancellation": "requests=2&peak=2&cancelled=1&completed=1",
    "cancellation --before": "requests=2&peak=1&cancelled=1&completed=1",
    # D is told to stop while it has its third or fourth multiplication done
    "factorials": "requests=6..8&peak=3&cancelled=..1",
    "lock": "requests=5&peak=1",
    "lock --before": "requests=5&peak=5",
    "starvation": "requests=24&peak=6",
    "starvation --before": "requests=24&peak=6",
    "thread_pool": "requests=10&peak=5",
    "thread_pool --before": "requests=10&peak=1",
    "loop_in_thread": "requests=5&peak=..5&cancelled=3&completed=2",
    "subprocess_pipes": "requests=3&peak=2..3",
    "subprocess_pipes --before": "requests=3&peak=1",
    "legacy_coroutine": "requests=2&peak=2",
    "legacy_coroutine --before": "requests=2&peak=2",
    "page_titles": "requests=6&connections=2&completed=6",
    "page_titles --before": "requests=6&connections=6&completed=6",
}


@dataclass(frozen=True, slots=True)
class Way:
    """One of the two ways of an example."""

    example: Example
    is_before: bool = False

    @property
    def name(self) -> str:
        return f"{self.example.name} --before" if self.is_before else self.example.name

    @property
    def promised(self) -> str:
        output = self.example.before if self.is_before else self.example.output
        return output or ""

    @property
    def findings(self) -> set[str]:
        """The diagnoses that the docstring says there are."""
        paragraphs = self.example.doc.split("\n\n")
        own = (each for each in paragraphs if each.startswith("Before:") == self.is_before)
        said = " ".join(each.partition("Dawdle says")[2] for each in own)
        return set(re.findall(r"`(\w+)`", said))


def ways() -> Iterator[Way]:
    for file in FILES:
        example = examples.parse(file.stem, file.read_text(encoding="utf-8"))
        yield Way(example)
        if example.before is not None:
            yield Way(example, is_before=True)


WAYS = tuple(ways())


@pytest.fixture(scope="module")
def server(environ: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dawdle]:
    """One for all of them, at a twentieth of the time."""
    folder = tmp_path_factory.mktemp("examples")
    with Dawdle(folder, "--time-scale", SCALE, environ=environ) as shared:
        yield shared.listening()


def start(
    way: Way, folder: Path, *arguments: str, **more: str
) -> "subprocess.CompletedProcess[str]":
    """Run the file as its first lines say, to its end."""
    command = [sys.executable, str(examples.path_of(way.example.name)), *arguments]
    return subprocess.run(
        [*command, "--before"] if way.is_before else command,
        cwd=folder,
        env=environment(PYTHONIOENCODING="utf-8", **more),
        capture_output=True,
        encoding="utf-8",
        timeout=PATIENCE_S,
        check=False,
    )


def masked(output: str, *, in_order: bool) -> list[str]:
    """The lines of an output without what differs each time."""
    lines = [
        " ".join(re.sub(r"[0-9]+(\.[0-9]+)?", "0", line).split()) for line in output.splitlines()
    ]
    return lines if in_order else sorted(lines)


def broken(server: Dawdle, run: str, checks: str) -> list[str]:
    """The checks that the run does not keep, each with what it is instead; after its end."""
    answer = server.get(f"/runs/{run}/check?{checks}&wait=10s")
    return [
        f"{each['name']}={each['bound']} is {each['value']}"
        for each in json.loads(answer.body)["checks"]
        if not each["passed"]
    ]


def warnings_of(server: Dawdle, run: str) -> set[str]:
    return {one["code"] for one in server.report(run)["findings"] if one["severity"] == "warn"}


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
def test_an_example_does_and_prints_what_it_says(way: Way, server: Dawdle, tmp_path: Path) -> None:
    """Its lines are those of its docstring, its run keeps the checks, and nothing went wrong."""
    run = way.name.replace(" --", "-")
    where = (server.url,) if way.example.needs_server else ("--scale", SCALE)

    done = start(way, tmp_path, *where, DAWDLE_RUN=run)

    expected = masked(way.promised, in_order=way.example.in_order)
    assert expected == masked(done.stdout, in_order=way.example.in_order), done.stderr
    assert 0 == done.returncode
    assert ("was never awaited" if way.name == "forgotten_await --before" else "") in done.stderr
    assert bool(done.stderr) == (way.name == "forgotten_await --before"), done.stderr
    if way.name in CHECKS:
        assert [] == broken(server, run, CHECKS[way.name])
    if "requests=0" not in CHECKS.get(way.name, "requests=0"):
        found = warnings_of(server, run)
        assert way.findings <= found if way.is_before else found <= way.findings


def test_every_way_that_asks_the_server_has_its_checks() -> None:
    """A new example says what its run must look like."""
    asking = {way.name for way in WAYS if way.example.needs_server}

    assert asking == set(CHECKS)


def test_the_pool_of_processes_uses_two(tmp_path: Path) -> None:
    """Both processes counted, and neither is the one that waits for them."""
    way = next(way for way in WAYS if way.name == "process_pool")

    done = start(way, tmp_path, "--scale", SCALE)

    assert {"process 1", "process 2"} == set(re.findall(r"(?m)^(.+) counted", done.stdout))


def test_an_example_by_itself_says_where_its_timeline_is(server: Dawdle, tmp_path: Path) -> None:
    """In a run of its own, a new one each time, on the server that DAWDLE_URL names."""
    way = next(way for way in WAYS if way.name == "simple_get")

    said = [start(way, tmp_path, DAWDLE_URL=server.url).stderr for _ in range(2)]

    addresses = [text.removeprefix("timeline: ").strip() for text in said]
    assert 2 == len(set(addresses))
    for address in addresses:
        assert address.startswith(f"{server.url}/runs/simple_get-")
        assert 1 == server.report(address.rpartition("/")[2])["figures"]["requests"]


def test_an_example_without_a_server_is_one_sentence(tmp_path: Path) -> None:
    """Nobody listens on port 1."""
    way = next(way for way in WAYS if way.name == "simple_get")

    done = start(way, tmp_path, "http://127.0.0.1:1")

    assert (1, "") == (done.returncode, done.stdout)
    assert re.fullmatch(
        r"no Dawdle answers at http://127\.0\.0\.1:1 \(.+\); start one with: dawdle serve\n",
        done.stderr,
    )


def test_a_missing_package_is_named_with_its_extra(tmp_path: Path) -> None:
    """As on a machine where only Dawdle itself is installed."""
    hidden = tmp_path / "hidden"
    (hidden / "tornado").mkdir(parents=True)
    (hidden / "tornado" / "__init__.py").write_text("raise ModuleNotFoundError(name='tornado')")

    way = next(way for way in WAYS if way.name == "tornado_queue")
    done = start(way, tmp_path, PYTHONPATH=str(hidden))

    assert 1 == done.returncode
    assert "this example needs Tornado: pip install 'dawdle[examples]'\n" == done.stderr


# --- dawdle examples -----------------------------------------------------------------------------


def test_dawdle_examples_runs_one_and_prints_its_timeline(tmp_path: Path) -> None:
    """On a server of its own: the lines of the example, then the report of its run."""
    done = dawdle(tmp_path, "examples", "semaphore", "--scale", SCALE)

    assert (0, "") == (done.returncode, done.stderr)
    lines = done.stdout.splitlines()
    assert lines[0].startswith("12 calls of 2 s each, 3 at a time")
    assert lines[1].startswith("semaphore-1: 12 requests (12 completed)")
    assert any(line.startswith("in flight    peak 3 at ") for line in lines)


@pytest.mark.parametrize("named", ["option", "environment"])
def test_dawdle_examples_uses_the_server_that_is_named(
    named: str, server: Dawdle, tmp_path: Path
) -> None:
    """By --url or by DAWDLE_URL; the run is to be found there."""
    before = {each["name"] for each in server.json("/runs.json")["runs"]}
    option = ("--url", server.url) if named == "option" else ()
    surroundings = {"DAWDLE_URL": server.url} if named == "environment" else {}

    done = dawdle(tmp_path, "examples", "lock", "--before", *option, environ=surroundings)

    assert 0 == done.returncode, done.stderr
    [run] = {each["name"] for each in server.json("/runs.json")["runs"]} - before
    assert run.startswith("lock-")
    assert f"\n{run}: 5 requests" in done.stdout
    assert 5 == server.report(run)["figures"]["peak"]


def test_dawdle_examples_starts_no_server_for_one_that_needs_none(tmp_path: Path) -> None:
    """It has a trace of its own, and there is no timeline to print."""
    done = dawdle(tmp_path, "examples", "generator_send", "--scale", SCALE)

    assert (0, "") == (done.returncode, done.stderr)
    assert examples.find("generator_send").output == done.stdout.rstrip("\n")


def test_dawdle_examples_shows_the_code(tmp_path: Path) -> None:
    """The very bytes of the file."""
    done = dawdle(tmp_path, "examples", "lock", "--source")

    assert (0, "") == (done.returncode, done.stderr)
    assert examples.path_of("lock").read_text(encoding="utf-8") == done.stdout


def test_dawdle_examples_ends_as_the_example_does(tmp_path: Path) -> None:
    """Here it can't begin: somebody else listens at the address, or nobody."""
    done = dawdle(tmp_path, "examples", "lock", "--url", "http://127.0.0.1:1")

    assert (2, "") == (done.returncode, done.stdout)
    assert done.stderr.startswith("dawdle: no Dawdle answers at http://127.0.0.1:1 ")
