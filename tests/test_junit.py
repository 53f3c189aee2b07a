"""What continuous integration is told, read by a program that nobody here wrote."""

from collections.abc import Iterable
from random import Random
from typing import Any

import pytest
from junitparser import JUnitXml, TestCase, TestSuite

from app import figures, junit
from app import findings as diagnoses
from app.checks import document, evaluate, parse
from app.findings import CODES, findings
from app.grammar import pairs
from app.report import Report
from tests.simulated import fan_out, limited, report_of


def sequential() -> Report:
    """A client that is warned once."""
    return report_of(limited(Random(1), count=25, limit=1, delay=lambda: 0.1))


def written(checks: str, built: Report, *, timed_out: bool = False) -> TestSuite:
    """The one suite in the file of these checks on this run."""
    found = findings(built)
    verdict = document(evaluate(parse(pairs(checks)), built, found, timed_out=timed_out))
    shown = figures.document(built) | {"findings": diagnoses.document(found)}
    [suite] = JUnitXml.fromstring(junit.document(shown, verdict).encode())
    assert isinstance(suite, TestSuite)
    return suite


def results(suite: Iterable[TestCase]) -> dict[str, Any]:
    """The kind of result by name; None has passed."""
    return {case.name: type(case.result[0]).__name__ if case.result else None for case in suite}


def test_every_check_and_every_finding_is_a_case() -> None:
    """Also those that hold, and those that were not found."""
    suite = written("requests=25&peak=1", sequential())

    assert ["requests=25", "peak=1", *CODES] == [case.name for case in suite]
    assert {"dawdle.checks", "dawdle.findings"} == {case.classname for case in suite}
    assert (13, 0, 1, 0) == (suite.tests, suite.failures, suite.skipped, suite.errors)


def test_broken_check_has_failed_and_names_its_spans() -> None:
    """With the value that it has."""
    suite = written("requests=20", sequential())

    [case] = [case for case in suite if case.name == "requests=20"]
    assert "it is 25" == case.result[0].message
    case = next(iter(written("peak=..2", report_of(fan_out(Random(1), count=5, delay=lambda: 1)))))
    assert "span 1-1\n" in case.result[0].text


@pytest.mark.parametrize(
    ("checks", "result"),
    [("requests=25", "Skipped"), ("findings=..warn", "Skipped"), ("findings=none", "Failure")],
)
def test_warning_fails_only_when_no_warning_was_asked_for(checks: str, result: str) -> None:
    """Else it shows without failing."""
    assert result == results(written(checks, sequential()))["sequential"]


def test_note_has_passed_and_is_told() -> None:
    """It is worth knowing, and no more."""
    suite = written("findings=none", report_of(fan_out(Random(1), count=5, delay=lambda: 1)))

    [case] = [case for case in suite if case.name == "unbounded"]
    assert [] == case.result
    assert case.system_out is not None
    assert "All 5 requests" in case.system_out


def test_run_that_was_not_complete_is_a_failure_of_its_own() -> None:
    """Every other check may hold."""
    suite = written("requests=25", sequential(), timed_out=True)

    assert "Failure" == results(suite)["complete in time"]
