"""What can be asserted of a run, and who is blamed when it does not hold."""

import json

import pytest

from app.checks import Checks, Result, document, evaluate, missing_requests, parse
from app.errors import Problem
from app.findings import Finding, Severity
from app.grammar import pairs
from app.report import Report, build
from app.spans import Kind, Outcome, Span, span_id

SECOND = 1_000_000_000


def make(sequence: int, arrival_s: float, end_s: float, **changes: object) -> Span:
    values: dict[str, object] = {
        "id": span_id(1, sequence),
        "run": "demo",
        "kind": Kind.HTTP,
        "method": "GET",
        "target": "/aio",
        "arrival_ns": round(arrival_s * SECOND),
        "wait_begun_ns": round(arrival_s * SECOND),
        "first_byte_ns": round(end_s * SECOND),
        "end_ns": round(end_s * SECOND),
        "delay_ns": 0,
        "connection": sequence,
        "connection_request": 1,
        "status": 200,
        "outcome": Outcome.COMPLETED,
    }
    return Span(**(values | changes))  # type: ignore[arg-type]  # fields of several types


GONE = {"outcome": Outcome.CLIENT_GONE, "status": None, "first_byte_ns": None}


def of(*spans: Span, dropped: int = 0) -> Report:
    return build(spans, run="demo", now_ns=1000 * SECOND, dropped=dropped)


def busy() -> Report:
    """Four requests: two complete, one is answered 503, one client leaves; one key is retried."""
    return of(
        make(1, 0, 4, key="a"),
        make(2, 1, 3, status=503),
        make(3, 2, 9, **GONE),
        make(4, 5, 6, key="a", connection=1, connection_request=2),
    )


def ask(text: str) -> Checks:
    return parse(pairs(text))


def only(text: str, report: Report, time_scale: float = 1.0) -> Result:
    (result,) = evaluate(ask(text), report, time_scale=time_scale).results
    return result


def ids(*sequences: int) -> tuple[int, ...]:
    return tuple(span_id(1, sequence) for sequence in sequences)


# --- reading -------------------------------------------------------------------------------------


def test_checks_are_read_in_their_order() -> None:
    """Each with its bounds as given; `wait` is no check."""
    checks = ask("requests=100&peak=..10&makespan=..12s&status.200=3..5&wait=1m")

    assert [
        ("requests", "100", 100, 100),
        ("peak", "..10", None, 10),
        ("makespan", "..12s", None, 12 * SECOND),
        ("status.200", "3..5", 3, 5),
    ] == [(one.name, one.text, one.bounds.least, one.bounds.most) for one in checks.checks]
    assert 60 * SECOND == checks.wait_ns


def test_without_wait_nothing_is_waited_for() -> None:
    """None is not at all; 0 looks once."""
    assert (None, 0) == (ask("peak=1").wait_ns, ask("wait=0").wait_ns)


@pytest.mark.parametrize(
    ("text", "parameter", "words"),
    [
        ("peek=3", "peek", "did you mean peak?"),
        ("PEAK=3", "PEAK", "use one of requests"),
        ("status=200", "status", "is no figure"),
        ("finding=none", "finding", "did you mean findings?"),
        ("status.99=1", "status.99", "status.200 to status.599"),
        ("status.600=1", "status.600", "status.200 to status.599"),
        ("status.20٣=1", "status.20٣", "status.200 to status.599"),
    ],
)
def test_unknown_figure_names_the_nearest(text: str, parameter: str, words: str) -> None:
    """Another name is a problem, with what to write instead."""
    with pytest.raises(Problem) as caught:
        ask(text)

    assert ("unknown-knob", parameter) == (caught.value.code, caught.value.parameter)
    assert words in caught.value.detail


@pytest.mark.parametrize(
    "text",
    [
        "requests=1.5",
        "requests=-1",
        "peak=..",
        "peak=5..3",
        "makespan=..12h",
        "speedup=nan",
        "speedup=1e3",
        "efficiency=.5",
        "wasted=inf",
        "wait=301",
        "wait=..5",
        "wait=soon",
        "status.200=x",
    ],
)
def test_value_that_is_no_bound_is_a_problem_of_its_figure(text: str) -> None:
    """Counts are whole, ratios decimal, lengths durations; `wait` is at most 300 s."""
    with pytest.raises(Problem) as caught:
        ask(text)

    name, _, _ = text.partition("=")
    assert ("bad-knob", name) == (caught.value.code, caught.value.parameter)
    assert caught.value.detail.startswith(f"{name}: ")


def test_longest_wait_is_allowed() -> None:
    """300 s themselves are within the limit."""
    assert 300 * SECOND == ask("wait=5m").wait_ns


def test_figure_given_twice_is_a_problem() -> None:
    """Several `--check` texts come together as one list of pairs."""
    with pytest.raises(Problem, match="'peak' is given twice"):
        parse([("peak", "..5"), ("peak", "..6")])


@pytest.mark.parametrize(
    ("expected", "text"),
    [
        (1, ""),
        (1, "peak=3"),
        (100, "requests=100"),
        (3, "peak=2&requests=3..5"),
        (1, "requests=..5"),
        (0, "requests=..0"),
        (0, "requests=0"),
    ],
)
def test_wait_is_for_the_lower_bound_of_requests(expected: int, text: str) -> None:
    """One where nothing is said, none where none are allowed."""
    assert expected == missing_requests(ask(text))


# --- judging -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        *("requests=4", "completed=3", "cancelled=1", "faulted=0", "rejected=0", "errors=..0"),
        *("peak=3", "mean_in_flight=1.5..1.6", "makespan=9s", "busy=14s", "speedup=1.5..1.6"),
        *("efficiency=0..0.1", "connections=3", "reuse=0.25", "lateness_p99=4s"),
        *("lateness_max=..4000ms", "retries=1", "wasted=7", "dropped=0"),
        *("status.200=2", "status.503=1", "status.404=0"),
    ],
)
def test_every_figure_can_be_checked(text: str) -> None:
    """Each name of the contract has a value to compare, and both ends of a bound are included."""
    result = only(text, busy())

    assert (True, ()) == (result.passed, result.spans)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("completed=..2", ids(1, 2, 4)),
        ("completed=4", ids(3)),  # too few: those that ended otherwise
        ("cancelled=0", ids(3)),
        ("cancelled=2..", ids(1, 2, 4)),
        ("status.503=0", ids(2)),
        ("status.200=4", ids(2, 3)),
        ("status.404=1", ids(1, 2, 3, 4)),
        ("peak=..2", ids(1, 2, 3)),
        ("peak=4", ()),
        ("mean_in_flight=..1", ids(1, 2, 3)),
        ("makespan=..8s", ids(3)),
        ("makespan=10s..", ()),
        ("connections=..2", ids(1, 2, 3)),
        ("reuse=0.5..", ids(1, 2, 3)),
        ("reuse=..0.1", ()),
        ("retries=0", ids(4)),
        ("lateness_max=..1ms", ids(1, 2, 4)),
        ("lateness_p99=..1ms", ids(1, 2, 4)),
        ("wasted=..1s", ids(3)),
        ("requests=..3", ()),
        ("speedup=3..", ()),
        ("efficiency=1", ()),
        ("busy=..1s", ()),
    ],
)
def test_broken_bound_names_the_spans_behind_it(text: str, expected: tuple[int, ...]) -> None:
    """As far as single spans can be blamed; nobody in particular is too slow or too few."""
    result = only(text, busy())

    assert (False, expected) == (result.passed, result.spans)


def test_offenders_are_at_most_twenty() -> None:
    """The first of them, by arrival."""
    spans = [make(number, number, number + 1, status=200 + number % 2) for number in range(60)]

    assert ids(*range(20)) == only("completed=0", of(*spans)).spans


def test_dropped_spans_can_be_checked() -> None:
    """A run that lost spans can be refused."""
    result = only("dropped=0", of(dropped=2))

    assert (False, 2, ()) == (result.passed, result.value, result.spans)


@pytest.mark.parametrize(
    "text", ["speedup=..9", "efficiency=0..", "lateness_max=..1s", "reuse=0.."]
)
def test_figure_without_a_value_meets_no_bound(text: str) -> None:
    """What was not seen can't be vouched for: a test that never reached the server fails."""
    result = only(text, of())

    assert (False, None, ()) == (result.passed, result.value, result.spans)


def test_makespan_of_an_empty_run_is_zero() -> None:
    """An unknown run is an empty one; its bound may hold, its ratios have no value."""
    assert only("makespan=..0", of()).passed
    assert not only("makespan=1..", of()).passed


@pytest.mark.parametrize(
    ("text", "time_scale", "scaled", "passed"),
    [
        ("makespan=..12s", 0.5, "..6s", False),
        ("makespan=..18s", 0.5, "..9s", True),
        ("makespan=90s", 0.1, "9s", True),
        ("wasted=10..20", 0.25, "2500ms..5s", False),
        ("busy=14..", 1.0, None, True),
        ("lateness_p99=..8s", 0.5, "..4s", True),
        ("speedup=..1.6", 0.5, None, True),  # no length
        ("requests=4", 0.01, None, True),
    ],
)
def test_bounds_of_lengths_are_multiplied_by_the_time_scale(
    text: str, time_scale: float, scaled: str | None, *, passed: bool
) -> None:
    """The same check serves a suite at any scale; what it came to is shown."""
    result = only(text, busy(), time_scale)

    assert (scaled, passed) == (result.scaled, result.passed)


def test_verdict_passes_when_every_check_does() -> None:
    """One broken bound breaks the whole."""
    assert evaluate(ask("requests=4&peak=..3"), busy()).passed
    assert not evaluate(ask("requests=4&peak=..2"), busy()).passed


def test_nothing_asserted_holds() -> None:
    """A bare `wait` asks only whether the run is complete."""
    assert evaluate(ask("wait=1s"), busy()).passed


def test_verdict_that_timed_out_fails() -> None:
    """Figures of an incomplete run may yet change."""
    assert not evaluate(ask("requests=4"), busy(), timed_out=True).passed


def test_document_shows_value_bound_and_offenders() -> None:
    """Lengths in seconds, ids as clients know them, both bounds where they differ."""
    verdict = evaluate(ask("makespan=..12s&peak=..2&efficiency=1&wait=3"), busy(), time_scale=0.5)

    shown = json.loads(json.dumps(document(verdict)))

    efficiency = shown["checks"].pop()
    assert ("efficiency", 0.0) == (efficiency["name"], efficiency["value"])
    assert {
        "passed": False,
        "timed_out": False,
        "time_scale": 0.5,
        "checks": [
            {
                "name": "makespan",
                "bound": "..12s",
                "value": 9.0,
                "passed": False,
                "spans": ["1-3"],
                "scaled_bound": "..6s",
            },
            {
                "name": "peak",
                "bound": "..2",
                "value": 3,
                "passed": False,
                "spans": ["1-1", "1-2", "1-3"],
            },
        ],
    } == shown


def test_document_of_a_missing_value_is_null() -> None:
    """JSON has no way to say nan."""
    shown = document(evaluate(ask("lateness_max=..1s"), of()))

    assert None is shown["checks"][0]["value"]  # type: ignore[index]


# --- findings ------------------------------------------------------------------------------------

NOTE = Finding("unbounded", Severity.NOTE, "All of them.", "Fewer.", ids(2))
WARN = Finding("sequential", Severity.WARN, "One by one.", "Together.", ids(7, 3))


@pytest.mark.parametrize(
    ("bound", "found", "passed", "value"),
    [
        ("none", (), True, "none"),
        ("none", (NOTE,), True, "note"),
        ("none", (WARN, NOTE), False, "warn"),
        ("..note", (NOTE,), True, "note"),
        ("..note", (WARN,), False, "warn"),
        ("..warn", (WARN, NOTE), True, "warn"),
    ],
)
def test_findings_are_bounded_by_their_gravity(
    bound: str, found: tuple[Finding, ...], value: str, *, passed: bool
) -> None:
    """`none` means no warning; notes may always be there."""
    verdict = evaluate(ask(f"findings={bound}"), build([], run="demo", now_ns=0), found)

    result = json.loads(json.dumps(document(verdict)))["checks"][0]
    assert (passed, value) == (result["passed"], result["value"])
    broken = [] if passed else ["sequential"]
    assert broken == [finding["code"] for finding in result["findings"]]
    assert ([] if passed else ["1-3", "1-7"]) == result["spans"]


@pytest.mark.parametrize("bound", ["0", "warn", "..none", "None", "1..", "sequential"])
def test_other_bounds_of_findings_are_refused(bound: str) -> None:
    """With what to write instead."""
    with pytest.raises(Problem, match="write none"):
        ask(f"findings={bound}")
