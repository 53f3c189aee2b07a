"""What commands print: signs that the terminal knows, and verdicts in words."""

import io
import json

import pytest

from app import console, words
from app.checks import document, evaluate, parse
from app.grammar import pairs
from app.report import Report, build
from app.spans import Kind, Outcome, Span, span_id

SECOND = 1_000_000_000
PICTURE = f"░█ 2 {words.TIMES}, 5 µs"


# --- printing ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("encoding", "expected"),
    [
        ("utf-8", PICTURE),
        ("cp437", "~# 2 x, 5 us"),  # knows the bars, but not the sign for times
        ("cp1252", "~# 2 x, 5 us"),
        ("ascii", "~# 2 x, 5 us"),
    ],
)
def test_text_is_printed_in_ascii_where_it_can_not_be_shown(encoding: str, expected: str) -> None:
    """All of it or nothing: half a picture would be none."""
    written = io.BytesIO()
    stream = io.TextIOWrapper(written, encoding=encoding)

    console.show(PICTURE, stream)

    shown = written.getvalue().decode(encoding)
    assert expected.replace("~", "-") == shown


def test_text_is_printed_in_ascii_where_nothing_is_known() -> None:
    """A stream need not say how it encodes."""
    stream = io.StringIO()

    console.show("█", stream)

    assert "#" == stream.getvalue()


# --- the verdict ---------------------------------------------------------------------------------


def reported(seconds: float) -> Report:
    """One request that took so long."""
    span = Span(span_id(1, 3), "ci-1", Kind.HTTP, "GET", "/aio", 0)
    span.wait_begun_ns = 0
    span.first_byte_ns = span.last_byte_ns = span.end_ns = round(seconds * SECOND)
    span.outcome, span.status = Outcome.COMPLETED, 200
    return build([span], run="ci-1", now_ns=1000 * SECOND, dropped=0)


def said(checks: str, seconds: float, *, scale: float = 1.0, timed_out: bool = False) -> list[str]:
    """The lines of the verdict on such a run, by way of JSON."""
    verdict = evaluate(
        parse(pairs(checks)), reported(seconds), time_scale=scale, timed_out=timed_out
    )
    text = console.verdict_text(json.loads(json.dumps(document(verdict))))
    assert text.startswith("\n")
    assert text.endswith("\n")
    return text.splitlines()[1:]


@pytest.mark.parametrize(
    ("check", "seconds", "scale", "expected"),
    [
        ("requests=1", 1, 1, "ok     requests=1: it is 1"),
        ("speedup=1..", 1, 1, "ok     speedup=1..: it is 1"),
        ("status.404=1", 1, 1, "FAILED status.404=1: it is 0 (1-3)"),
        ("lateness_p99=..1", 1, 1, "FAILED lateness_p99=..1: it is nothing"),
        ("makespan=..8s", 8.000_412_4, 1, "FAILED makespan=..8s: it is 8.000412 s (1-3)"),
        ("makespan=8s", 8, 1, "ok     makespan=8s: it is 8 s"),
        ("makespan=0..", 0, 1, "ok     makespan=0..: it is 0 ms"),
        (
            "makespan=..8s",
            0.36,
            0.01,
            "FAILED makespan=..8s (..80ms at time scale 0.01): it is 360 ms (1-3)",
        ),
        ("peak=..8", 0.36, 0.01, "ok     peak=..8: it is 1"),
        (
            "makespan=..8s",
            0.000_001,
            0.000_01,
            "ok     makespan=..8s (..0.08ms at time scale 0.00001): it is 0.001 ms",
        ),
    ],
)
def test_line_of_the_verdict_has_the_users_bound_and_a_unit(
    check: str, seconds: float, scale: float, expected: str
) -> None:
    """What was typed, what was compared, what it is instead and whose doing that is."""
    assert [expected] == said(check, seconds, scale=scale)


@pytest.mark.parametrize(
    ("value", "expected"), [(1_000_000, "1000000"), (1234567.25, "1234567.25"), (0.5, "0.5")]
)
def test_figure_has_no_exponent(value: float, expected: str) -> None:
    """It is written as its bound would be."""
    assert expected == console.figure({"name": "requests", "value": value})


def test_run_that_was_not_complete_is_said_first() -> None:
    """Every other line may be right and the verdict still fails."""
    assert [
        "FAILED: the run was not complete in time",
        "ok     requests=1: it is 1",
    ] == said("requests=1", 1, timed_out=True)


@pytest.mark.parametrize(
    ("value", "found", "expected"),
    [
        ("none", [], "none"),
        ("note", [], "note"),
        ("warn", [{"code": "sequential"}, {"code": "starved"}], "warn: sequential, starved"),
    ],
)
def test_verdict_on_findings_names_them(
    value: str, found: list[dict[str, str]], expected: str
) -> None:
    """The gravest, and which break the bound."""
    assert expected == console.figure({"name": "findings", "value": value, "findings": found})


# --- colour --------------------------------------------------------------------------------------


class _Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("environ", "coloured"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True), ({"TERM": "dumb"}, False)],
)
def test_terminal_is_told_in_colour_unless_it_asks_not_to(
    monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], *, coloured: bool
) -> None:
    """And nothing else ever is."""
    for name in ("NO_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    terminal, file = _Terminal(), io.StringIO()

    console.show(PICTURE, terminal)
    console.show(PICTURE, file)

    assert coloured == ("\x1b[" in terminal.getvalue())
    assert "\x1b[" not in file.getvalue()
