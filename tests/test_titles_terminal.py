"""What the command line shows while it fetches."""

import io
from dataclasses import replace

import pytest

from app.titles.job import Job, State
from app.titles.options import Options
from app.titles.results import Code, Failure, Result
from app.titles.terminal import Terminal, progress_line, told

PYTHON = Result("https://www.python.org/", title="Welcome to Python.org")
LATE = Result("https://a.example/", error=Failure(Code.TIMEOUT, "no answer came within 10 s"))
JOB = Job(
    name="1",
    label="",
    state=State.RUNNING,
    options=Options(),
    created_ns=0,
    started_ns=0,
    ended_ns=None,
    urls=2_400,
    repeats=0,
    errors={"timeout": 12},
    done=1_200,
    rate=34.06,
    left_s=35.2,
)


class Stream(io.TextIOWrapper):
    """A stream in memory, on a terminal or not."""

    def __init__(self, *, is_terminal: bool, encoding: str = "utf-8") -> None:
        super().__init__(io.BytesIO(), encoding=encoding, newline="")
        self.is_terminal = is_terminal

    def isatty(self) -> bool:
        return self.is_terminal

    @property
    def text(self) -> str:
        buffer = self.buffer
        assert isinstance(buffer, io.BytesIO)
        return buffer.getvalue().decode(self.encoding)


def streams(
    monkeypatch: pytest.MonkeyPatch, *, terminal: bool, encoding: str = "utf-8"
) -> tuple[Stream, Stream]:
    """Standard output and standard error."""
    out = Stream(is_terminal=terminal, encoding=encoding)
    err = Stream(is_terminal=terminal, encoding=encoding)
    monkeypatch.setattr("sys.stdout", out)
    monkeypatch.setattr("sys.stderr", err)
    monkeypatch.setenv("COLUMNS", "60")
    return out, err


# --- lines ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("result", "line"),
    [
        (PYTHON, "Welcome to Python.org"),
        (LATE, "[timeout: no answer came within 10 s]"),
        (
            replace(LATE, title="Gone", error=Failure(Code.HTTP_ERROR, "it answers 404")),
            "Gone  [http_error: it answers 404]",
        ),
        (Result("u", title="\x1b]0;pwned\x07\u202egnp.exe"), "�]0;pwned�gnp.exe"),
        (Result("u"), ""),
    ],
)
def test_result_is_told_by_its_title_and_what_is_wrong(result: Result, line: str) -> None:
    """Nothing in it reaches the terminal but signs."""
    assert line == told(result)


def test_tab_parts_the_columns_for_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    """And there is no progress between the lines."""
    out, err = streams(monkeypatch, terminal=False)
    terminal = Terminal([PYTHON.url], shows_results=True)

    terminal.progress(JOB)
    terminal.results([PYTHON, LATE])

    assert (
        "https://www.python.org/\tWelcome to Python.org\n"
        "https://a.example/\t[timeout: no answer came within 10 s]\n"
    ) == out.text
    assert "" == err.text


def test_blanks_part_them_for_people(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that titles stand in a column."""
    out, _ = streams(monkeypatch, terminal=True)

    Terminal([PYTHON.url, LATE.url], shows_results=True).results([PYTHON, LATE])

    assert (
        "https://www.python.org/  Welcome to Python.org\n"
        "https://a.example/       [timeout: no answer came within 10 s]\n"
    ) == out.text


def test_results_that_go_elsewhere_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file has them."""
    out, _ = streams(monkeypatch, terminal=True)

    Terminal([], shows_results=False).results([PYTHON])

    assert "" == out.text


def test_signs_that_a_terminal_lacks_become_question_marks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Better than an end with a traceback."""
    out, _ = streams(monkeypatch, terminal=False, encoding="ascii")

    Terminal([], shows_results=True).results([Result("u", title="Größe")])

    assert "u\tGr??e\n" == out.text


# --- progress ------------------------------------------------------------------------------------


def test_progress_is_a_bar_and_figures() -> None:
    """In plain signs that every terminal has."""
    line = progress_line(JOB)

    assert "[############------------]  1,200/2,400  12 failed  34.1/s  35 s to go" == line
    assert line.isascii()


def test_progress_leaves_out_what_is_not_known() -> None:
    """At the beginning and at the end."""
    job = replace(JOB, done=0, errors={}, rate=None, left_s=None)

    assert "[------------------------]  0/2,400" == progress_line(job)


def test_progress_is_one_line_that_gives_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """Never wider than the terminal; wiped out before anything else is said."""
    out, err = streams(monkeypatch, terminal=True)
    terminal = Terminal([], shows_results=True)

    terminal.progress(JOB)
    terminal.results([PYTHON])
    terminal.progress(replace(JOB, done=1_300))
    terminal.say("done")

    _, first, wiped, _, second, wiped_again, said = err.text.split("\r")
    assert progress_line(JOB)[:59] == first
    assert "1,300/2,400" in second
    assert ("", "") == (wiped.strip(), wiped_again.strip())
    assert len(first) == len(wiped)
    assert "dawdle: done\n" == said
    assert "\r" not in out.text


def test_shorter_line_covers_the_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    """No rest of it stays."""
    _, err = streams(monkeypatch, terminal=True)
    terminal = Terminal([], shows_results=True)

    terminal.progress(JOB)
    terminal.progress(replace(JOB, errors={}, rate=None, left_s=None))

    _, first, second = err.text.split("\r")
    assert len(first) == len(second)
