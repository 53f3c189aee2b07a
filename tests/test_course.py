"""Tests of `app.examples`: what the files tell of themselves, and how one is chosen and run."""

import ast
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from app import cli, examples, runner
from app.examples import Example, Wish
from app.remote import DEFAULT_URL
from app.server import serving
from app.settings import load
from tests.live.process import environment

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "examples"
INDEX = ROOT / "docs" / "examples.md"
ERRATA = ROOT / "docs" / "errata.md"
NAMES = sorted(path.stem for path in FOLDER.glob("[!_]*.py"))

MOST_LINES = 80  # of code, without docstring and blank lines

SOURCE = '''
"""
Two things at once.

It waits for both.

    python examples/both.py

Output, in an order of its own each time:

    one
      two

Before: one thing after another.

    one, two

In the timeline: two bars.
"""


async def main(base_url: str, run: str) -> None: ...


async def before(base_url: str) -> None: ...
'''


# --- what a file tells of itself -----------------------------------------------------------------


def test_docstring_is_read_in_its_parts() -> None:
    """Title, both outputs without indent, what to notice; `main` says whether it needs a server."""
    example = examples.parse("both", SOURCE)

    assert example == Example(
        name="both",
        source=SOURCE,
        doc=ast.get_docstring(ast.parse(SOURCE)) or "",
        title="Two things at once.",
        output="one\n  two",
        before="one, two",
        in_order=False,
        notice="In the timeline: two bars.",
        needs_server=True,
    )


def test_example_with_one_way_has_no_output_before() -> None:
    """And one whose `main` takes no address needs no server."""
    source = '"""\nT.\n\nOutput:\n\n    x\n\nNotice: all.\n"""\ndef main() -> None: ...\n'

    example = examples.parse("alone", source)

    assert (None, False, True) == (example.before, example.needs_server, example.in_order)


@pytest.mark.parametrize(
    ("gone", "sentence"),
    [
        ("    one\n      two\n", "both: no block below 'Output' in its docstring"),
        ("    one, two\n", "both: no block below 'Before:' in its docstring"),
        ("async def main(base_url: str, run: str) -> None: ...", "both has no main"),
        ("In the timeline: two bars.", "both does not say what to notice"),
    ],
)
def test_file_without_one_of_its_parts_is_refused(gone: str, sentence: str) -> None:
    """There is no example that is only half told."""
    with pytest.raises(ValueError, match=sentence):
        examples.parse("both", SOURCE.replace(gone, ""))


def test_every_file_has_its_place_in_the_course() -> None:
    """Once, and there is no place without a file."""
    assert NAMES == sorted(name for names in examples.COURSE.values() for name in names)


@pytest.mark.parametrize("name", NAMES)
def test_every_file_is_one_to_read(name: str) -> None:
    """As short as promised; a title of one line; the command that it shows is its own."""
    example = examples.find(name)
    body = ast.parse(example.source).body[1:]
    lines = example.source.splitlines()[body[0].lineno - 1 :]
    code = [line for line in lines if line.strip()]

    assert len(code) <= MOST_LINES
    assert re.fullmatch(r".+\.", example.title)
    assert [name] == re.findall(r"(?m)^    python examples/(\w+)\.py$", example.doc)
    assert example.doc.endswith(example.notice)


# --- choosing one --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("semaphor", "there is no example 'semaphor'; did you mean semaphore?"),
        ("lock.py", "there is no example 'lock.py'; did you mean lock?"),
        ("_start", "there is no example '_start'; did you mean starvation?"),
        ("../pyproject", "there is no example '../pyproject'; dawdle examples lists them"),
    ],
)
def test_unknown_name_is_refused_with_the_nearest(
    name: str, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit status 2, one sentence; a name leads to no other file."""
    assert 2 == cli.main(["examples", name], environ={})
    assert ("", f"dawdle: {sentence}\n") == tuple(capsys.readouterr())


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["generator_send", "--before"], "--before: generator_send shows only one way"),
        (["generator_send", "--url", "http://h"], "--url: generator_send needs no server"),
        (["lock", "--url", "http://h", "--scale", "1"], "--scale is for a server that is started"),
        (["lock", "--scale", "0"], "--scale: 0 is out of range; use more than 0, up to 10"),
        (["lock", "--scale", "10.1"], "--scale: 10.1 is out of range"),
        (["lock", "--scale", "fast"], "--scale: 'fast' is not a number"),
        (["--before"], "an option without an example says nothing; add its NAME"),
    ],
)
def test_what_makes_no_sense_is_refused(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before anything is started."""
    assert 2 == cli.main(["examples", *arguments], environ={})
    assert capsys.readouterr().err.startswith(f"dawdle: {sentence}")


def test_list_has_every_example_with_its_title(capsys: pytest.CaptureFixture[str]) -> None:
    """A line each, below the name of its chapter."""
    assert 0 == cli.main(["examples"], environ={})

    lines = capsys.readouterr().out.splitlines()
    for chapter, members in examples.course().items():
        begin = lines.index(chapter)
        shown = [line.split(maxsplit=1) for line in lines[begin + 1 : begin + 1 + len(members)]]
        assert shown == [[example.name, example.title] for example in members]


# --- running one ---------------------------------------------------------------------------------


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the runner was asked for; it only notes that and returns 3."""
    asked: list[Any] = []

    def run(job: object, _: Mapping[str, str]) -> int:
        asked.append(job)
        return 3

    monkeypatch.setattr(runner, "run", run)
    monkeypatch.setattr(runner, "run_alone", run)
    return asked


@pytest.mark.parametrize(
    ("wish", "environ", "answers", "url"),
    [
        (Wish("lock", False, None, "http://a"), {"DAWDLE_URL": "http://b"}, True, "http://a"),
        (Wish("lock", False, None, None), {"DAWDLE_URL": "http://b"}, True, "http://b"),
        (Wish("lock", False, None, None), {}, True, DEFAULT_URL),
        (Wish("lock", False, None, None), {}, False, None),
        (Wish("lock", False, "0.1", None), {"DAWDLE_URL": "http://b"}, True, None),
    ],
)
def test_server_is_the_named_one_or_one_that_answers_or_a_new_one(
    wish: Wish,
    environ: dict[str, str],
    *,
    answers: bool,
    url: str | None,
    jobs: list[Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """None means that one is started: so it is with a scale, which no other server has."""

    async def answer(*_: object) -> bool:
        return answers

    monkeypatch.setattr(examples, "_answers", answer)

    assert 3 == examples.run(wish, environ)
    [job] = jobs
    assert (url, "lock") == (job.url, job.name)
    assert {"time_scale": "0.1"} == job.flags or wish.scale is None


def test_command_is_the_file_in_the_way_that_was_asked_for(jobs: list[Any]) -> None:
    """With this Python; without a server the example is told the scale itself."""
    examples.run(Wish("lock", True, "0.1", None), {})
    examples.run(Wish("loop_callbacks", True, "0.1", None), {})

    python, lock = sys.executable, str(FOLDER / "lock.py")
    assert [python, lock, "--before"] == jobs[0].command
    alone = str(FOLDER / "loop_callbacks.py")
    assert [python, alone, "--before", "--scale", "0.1"] == jobs[1]


async def test_whether_a_dawdle_answers(tmp_path: Path) -> None:
    """One that does, one that wants a token we don't have, and nobody."""
    flags = {"port": "0", "data": str(tmp_path), "token": "open-sesame-42"}
    async with serving(load(flags, {}, tmp_path).settings) as service:
        assert await examples._answers(service.url, "open-sesame-42")
        assert not await examples._answers(service.url, None)

    assert not await examples._answers(service.url, "open-sesame-42")


# --- the documents -------------------------------------------------------------------------------


def test_index_is_the_course() -> None:
    """Chapters, names, titles, and which have another way."""
    text = INDEX.read_text(encoding="utf-8")
    expected = [
        [example.name, example.title, "yes" if example.before is not None else ""]
        for members in examples.course().values()
        for example in members
    ]

    shown = re.findall(r"(?m)^\| \[`(\w+)`\]\(\.\./examples/\1\.py\) \| (.+) \| (yes|) ?\|$", text)

    assert expected == [list(row) for row in shown]
    assert list(examples.COURSE) == re.findall(r"(?m)^### (.+)$", text)


def test_fourteen_examples_have_their_counterparts() -> None:
    """Each number once, and each leads to files that are there."""
    rows = re.findall(r"(?m)^\| (\d+) \| .+ \| (.+) \|$", INDEX.read_text(encoding="utf-8"))

    assert [str(number) for number in range(1, 15)] == [number for number, _ in rows]
    for _, cell in rows:
        assert set(re.findall(r"`(\w+)`", cell)) <= set(NAMES)
        assert "`" in cell


def proofs() -> list[tuple[str, str]]:
    """(claim, proof) of each erratum."""
    return re.findall(
        r'(?s)\n## "(.+?)"\n(?:(?!\n## ).)*?```python\n(.*?)```', ERRATA.read_text(encoding="utf-8")
    )


def test_every_erratum_has_a_proof() -> None:
    """None is only said."""
    claims = re.findall(r'(?m)^## "(.+)"$', ERRATA.read_text(encoding="utf-8"))

    assert claims == [claim for claim, _ in proofs()]
    assert len(claims) >= 6


@pytest.mark.live
@pytest.mark.parametrize(("claim", "proof"), proofs(), ids=lambda text: text.partition("\n")[0])
def test_proof_holds(claim: str, proof: str, tmp_path: Path) -> None:
    """With warnings as errors; by `dawdle run`, in less time, where it asks a server."""
    (tmp_path / "proof.py").write_text(proof, encoding="utf-8")
    proving = [sys.executable, "-W", "error", "proof.py"]
    if "DAWDLE_URL" in proof:
        proving = [sys.executable, "-m", "app", "run", "--time-scale", "0.05", "--", *proving]

    done = subprocess.run(
        proving,
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )

    assert (0, "") == (done.returncode, done.stderr), claim
