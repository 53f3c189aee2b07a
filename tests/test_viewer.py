"""`dawdle report` and `dawdle compare` from within: what they print, and where."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from app import viewer
from app.errors import Fatal
from app.remote import DEFAULT_URL, Remote
from app.viewer import Question

URL = "http://127.0.0.1"
FAILED = {"name": "requests", "bound": "2", "value": 1, "passed": False, "spans": []}
VERDICT = {"passed": False, "timed_out": False, "time_scale": 1.0, "checks": [FAILED]}


@pytest.fixture(autouse=True)
def _remote(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that answers without being there."""

    async def check(*_: object) -> dict[str, Any]:
        return dict(VERDICT)

    async def report(*_: object) -> dict[str, Any]:
        return {"run": "ci", "key": "ü"}

    async def text(*_: object) -> str:
        return "ci: 1 request\n\nthe rest\n"

    async def picture(*_: object) -> str:
        return "<svg/>\n"

    async def archive(_: Remote, run: str, written: str) -> AsyncIterator[str]:
        yield f"{run} "
        yield f"{written}\n"

    async def comparison(_: Remote, *runs: str, written: str, width: int) -> str:
        return f"{runs} {written} {width >= 40}\n"

    monkeypatch.setattr(Remote, "check", check)
    monkeypatch.setattr(Remote, "report", report)
    monkeypatch.setattr(Remote, "report_text", text)
    monkeypatch.setattr(Remote, "picture", picture)
    monkeypatch.setattr(Remote, "archive", archive)
    monkeypatch.setattr(Remote, "comparison", comparison)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("text", "ci: 1 request\n\nthe rest\n"),
        ("json", '{\n  "run": "ci",\n  "key": "\\u00fc"\n}\n'),
        ("svg", "<svg/>\n"),
        ("har", "ci har\n"),
        ("trace", "ci trace\n"),
    ],
)
def test_every_format_is_printed_as_it_comes(
    capsys: pytest.CaptureFixture[str], written: str, expected: str
) -> None:
    """Without checks there is no verdict."""
    status = viewer.report(Question("ci", URL, {}, written), {})

    assert (0, (expected, "")) == (status, capsys.readouterr())


@pytest.mark.parametrize("written", ["json", "svg", "har", "trace"])
def test_format_for_programs_stands_alone_on_standard_output(
    capsys: pytest.CaptureFixture[str], written: str
) -> None:
    """A program reads it; the verdict is for people, and for the exit status."""
    status = viewer.report(Question("ci", URL, {"requests": "2"}, written), {})

    out, err = capsys.readouterr()
    assert 1 == status
    assert "FAILED" not in out
    assert "\nFAILED requests=2: it is 1\n" == err


def test_text_and_its_verdict_stand_together(capsys: pytest.CaptureFixture[str]) -> None:
    """Both are for people."""
    viewer.report(Question("ci", URL, {"requests": "2"}), {})

    assert capsys.readouterr().out.endswith("the rest\n\nFAILED requests=2: it is 1\n")


@pytest.mark.parametrize("written", viewer.COMPARISON_FORMATS)
def test_comparison_is_printed(capsys: pytest.CaptureFixture[str], written: str) -> None:
    """In the format that was asked for."""
    assert 0 == viewer.compare(("a", "b"), URL, written, {})
    assert f"('a', 'b') {written} True\n" == capsys.readouterr().out


@pytest.mark.parametrize(
    ("given", "environ", "expected"),
    [
        ("http://a", {"DAWDLE_URL": "http://b"}, "http://a"),
        (None, {"DAWDLE_URL": "http://b"}, "http://b"),
        (None, {}, DEFAULT_URL),
    ],
)
def test_the_server_is_the_one_that_was_named(
    given: str | None, environ: dict[str, str], expected: str
) -> None:
    """By option, by environment, else the usual one."""
    assert expected == viewer.address(given, environ)


# --- watching ------------------------------------------------------------------------------------


def _changing(monkeypatch: pytest.MonkeyPatch, texts: list[str]) -> None:
    """A run that says these one after another, then ends; nobody waits in between."""
    left = list(texts)

    async def text(*_: object) -> str:
        return left.pop(0) if len(left) > 1 else left[0]

    async def changes(*_: object) -> AsyncIterator[None]:
        for _more in texts:
            yield

    monkeypatch.setattr(Remote, "report_text", text)
    monkeypatch.setattr(Remote, "changes", changes)
    monkeypatch.setattr(viewer, "LOOKS_APART_S", 0)


def test_watching_tells_the_news_in_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A log has no use for whole reports, and none for the same line twice."""
    _changing(monkeypatch, ["ci: 1 request\n\nmore\n"])

    assert 0 == viewer.report(Question("ci", URL, {}, watch=True), {})

    assert "ci: 1 request\n" == capsys.readouterr().out


def test_watching_on_a_terminal_shows_the_whole_report_in_place(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It takes the place of the one before."""
    _changing(monkeypatch, ["ci: 1 request\n\nmore\n"])
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)

    viewer.report(Question("ci", URL, {}, watch=True), {})

    assert capsys.readouterr().out.startswith("\x1b[H\x1b[Jci: 1 request\n\nmore\n")


def test_watching_ends_with_the_sentence_of_what_went_wrong(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A run that is gone is no run to watch."""

    async def changes(*_: object) -> AsyncIterator[None]:
        for _more in ("one look", "and then"):
            yield
        raise Fatal("there is no run ci")

    monkeypatch.setattr(Remote, "changes", changes)
    monkeypatch.setattr(viewer, "LOOKS_APART_S", 0)

    with pytest.raises(Fatal, match="there is no run ci"):
        viewer.report(Question("ci", URL, {}, watch=True), {})
