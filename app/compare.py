"""Two runs side by side: what changed from one to the other. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from app import findings, timeline
from app.figures import counts, figures, lengths_ns
from app.findings import Finding, Reading, Severity
from app.report import Report
from app.words import TIMES, length, per_cent, printable

NAME = 24  # columns for a run's name above its figures
SAME = 0.005  # of a figure: a smaller change is none


@dataclass(frozen=True, slots=True)
class Row:
    """One figure of both; None where there is none. *shown* are the two and the change in words."""

    name: str
    before: float | None
    after: float | None
    shown: tuple[str, str, str]

    @property
    def changed(self) -> bool:
        if self.before is None or self.after is None:
            return self.before is not self.after
        return abs(self.after - self.before) > SAME * abs(self.before)


def rows(before: Report, after: Report) -> list[Row]:
    """Every figure that either has, in the order of reports."""
    first, second = figures(before), figures(after)
    lengths = lengths_ns(before).keys()
    whole = counts(before).keys() | counts(after).keys()
    made = []
    for name in {**first, **second}:
        one, two = first.get(name), second.get(name)
        if name in whole:  # a status that never came is no figure of that report
            one, two = one or 0, two or 0
        write = _length if name in lengths else _number
        made.append(Row(name, one, two, (write(one), write(two), _change(one, two))))
    return made


def _length(seconds: float | None) -> str:
    return "-" if seconds is None else length(round(seconds * 1_000_000_000))


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.2f}"


def _change(before: float | None, after: float | None) -> str:
    if not before or after is None:
        return ""
    ratio = after / before
    if ratio >= 2:
        return f"{ratio:,.1f}{TIMES}"
    change = per_cent(ratio - 1)
    return "" if change.startswith(("0", "-0")) else f"{'+' if ratio > 1 else ''}{change}"


def appeared(before: Sequence[Finding], after: Sequence[Finding]) -> list[Finding]:
    """Findings of *after* that *before* has not, or only as a note."""
    had = {(one.code, one.severity) for one in before}
    had |= {(code, Severity.NOTE) for code, severity in had if severity is Severity.WARN}
    return [one for one in after if (one.code, one.severity) not in had]


def document(before: Reading, after: Reading) -> dict[str, object]:
    """The comparison as JSON shows it: lengths are seconds."""
    return {
        "runs": [before.report.run, after.report.run],
        "figures": {
            row.name: {"before": row.before, "after": row.after, "changed": row.changed}
            for row in rows(before.report, after.report)
        },
        "findings": {
            "appeared": findings.document(appeared(before.found, after.found)),
            "vanished": findings.document(appeared(after.found, before.found)),
        },
    }


def text(before: Reading, after: Reading, *, width: int) -> str:
    """
    The figures that changed, the findings that came and went, then both runs on one time axis.

    So the slower one is seen to be: one after another reaches far to the right, overlapped ends
    early.
    """
    width = timeline.fitting(width)
    lines = [*_table(before.report, after.report), *_news(before, after)]
    length_ns = max(side.report.makespan_ns for side in (before, after))
    most = timeline.MOST_ROWS // 2
    for side in (before, after):
        lines += ["", _name(side.report)]
        lines += timeline.picture(
            side.report, side.spans, width=width, length_ns=length_ns, most=most
        )
    return timeline.lines_text(lines)


def _name(report: Report) -> str:
    return printable(report.run, NAME)


def _table(before: Report, after: Report) -> Iterator[str]:
    shown = [row for row in rows(before, after) if row.changed or row.name == "requests"]
    cells = [("", _name(before), _name(after), "")]
    cells += [(row.name, *row.shown) for row in shown]
    widths = [max(len(row[column]) for row in cells) for column in range(4)]
    for name, *values in cells:
        right = (value.rjust(wide) for value, wide in zip(values, widths[1:], strict=True))
        yield f"{name.ljust(widths[0])}  {'  '.join(right)}"
    if len(shown) == 1:
        yield "no figure differs by more than 0.5 %"


def _news(before: Reading, after: Reading) -> Iterator[str]:
    for word, old, new in (
        ("new", before.found, after.found),
        ("gone", after.found, before.found),
    ):
        for finding in appeared(old, new):
            yield f"{word}: {finding.code} ({finding.severity})"
