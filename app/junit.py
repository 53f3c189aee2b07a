"""
The verdict on a run and its findings as JUnit XML, so that continuous integration shows them. Pure.

There is no standard; this is what Jenkins, GitLab and GitHub's reporters read: suites of cases,
each passed, failed or skipped.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from app.checks import FINDINGS
from app.console import asked, figure
from app.findings import CODES, Severity


def document(report: Mapping[str, Any], verdict: Mapping[str, Any]) -> str:
    """
    A case for each check, and one for each finding there could be.

    A finding that breaks a check of `findings` has failed; another warning is skipped, which shows
    without failing; a note has passed and is told in its output.
    """
    suite = Element("testsuite", name=f"dawdle {report['run']}")
    for case in (*_checks(verdict), *_findings(report, verdict)):
        suite.append(case)
    counts = {kind: str(len(suite.findall(f"testcase/{kind}"))) for kind in ("failure", "skipped")}
    suite.attrib |= {
        "tests": str(len(suite)),
        "failures": counts["failure"],
        "skipped": counts["skipped"],
        "errors": "0",
        "time": _seconds(report["time"]["makespan"]),
    }
    suites = Element("testsuites")
    suites.append(suite)
    indent(suites)
    return f'<?xml version="1.0" encoding="utf-8"?>\n{tostring(suites, encoding="unicode")}\n'


def _seconds(value: float) -> str:
    return f"{value:.6f}"


def _case(kind: str, name: str) -> Element:
    return Element("testcase", classname=f"dawdle.{kind}", name=name, time="0")


def _fail(case: Element, message: str, spans: Iterable[str]) -> None:
    failure = SubElement(case, "failure", message=message, type="dawdle")
    failure.text = f"{message}\n" + "".join(f"span {span}\n" for span in spans)


def _checks(verdict: Mapping[str, Any]) -> Iterator[Element]:
    if verdict["timed_out"]:
        case = _case("checks", "complete in time")
        _fail(case, "the run was not complete in time", ())
        yield case
    for result in verdict["checks"]:
        case = _case("checks", asked(result, verdict["time_scale"]))
        if not result["passed"]:
            _fail(case, f"it is {figure(result)}", result["spans"])
        yield case


def _findings(report: Mapping[str, Any], verdict: Mapping[str, Any]) -> Iterator[Element]:
    found = {finding["code"]: finding for finding in report["findings"]}
    broken = {
        finding["code"]
        for result in verdict["checks"]
        if result["name"] == FINDINGS
        for finding in result["findings"]
    }
    for code in CODES:
        case = _case("findings", code)
        if code in found:
            _tell(case, found[code], is_broken=code in broken)
        yield case


def _tell(case: Element, finding: Mapping[str, Any], *, is_broken: bool) -> None:
    words = f"{finding['sentence']} {finding['remedy']}"
    if is_broken:
        _fail(case, words, finding["spans"])
    elif finding["severity"] == Severity.WARN:
        SubElement(case, "skipped", message=words)
    else:
        SubElement(case, "system-out").text = words
